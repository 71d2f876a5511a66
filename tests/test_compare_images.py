from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from converter.compare_images import Difference, compare_configurations, compare_images
from converter.errors import DigestMismatch, Invalid
from converter.model import media_types as types
from converter.model.content import GZIP, Derived, Layer, known_bytes
from converter.model.descriptor import Digest
from converter.model.image import History, Image, RunConfig
from converter.model.platform import Platform
from tests import naive_tree
from tests.strategies.tar import FORMATS, File, archive, dialects

LINUX = Platform(os="linux", architecture="amd64")

PATHS = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "a/x/p", "./a", "/b/x", "a/\udcff"])
MARKS = st.sampled_from([".wh.a", ".wh.b", "a/.wh.x", "a/.wh..wh..opq", ".wh..wh..opq", "a/.wh..wh.aufs"])
ATTRIBUTES = {
    "mode": st.sampled_from([0o644, 0o4755]),
    "uid": st.sampled_from([0, 70000]),
    "gid": st.sampled_from([0, 5]),
    "mtime": st.integers(0, 2),
}
ENTRIES = st.one_of(
    st.builds(File, PATHS, st.just("file"), st.sampled_from([b"", b"1", b"3" * 1000]), **ATTRIBUTES),
    st.builds(File, PATHS | st.just("a/x/"), st.just("dir"), **ATTRIBUTES),
    st.builds(File, PATHS, st.just("symlink"), target=st.sampled_from(["a", "../b"]), **ATTRIBUTES),
    st.builds(File, PATHS, st.just("link"), target=st.sampled_from(["a/x", "b", "a/y"])),
    st.builds(File, PATHS, st.sampled_from(["fifo", "char"]), **ATTRIBUTES),
    st.builds(File, MARKS),
)


def unrepeated(files: list[File]) -> list[File]:
    """As the specification wants a layer: each path once, and nothing below what is no directory."""
    once = {naive_tree.name_of(file.name): file for file in files}
    return [
        file
        for path, file in once.items()
        if not any(path.startswith(other + b"/") and once[other].type != "dir" for other in once)
    ]


LAYERS = st.lists(st.lists(ENTRIES, max_size=6).map(unrepeated), max_size=3)


def image(*layers: bytes, config: RunConfig | None = None, **more: Any) -> Image:
    """An image of uncompressed layers."""
    made = tuple(Layer(content=known_bytes(layer, types.OCI_LAYER), diff_id=Digest.of(layer)) for layer in layers)
    more.setdefault("platform", LINUX)
    return Image(config=config or RunConfig(), layers=made, **more)


def of(*files: File, dialect: str = "pax") -> Image:
    """An image of one layer."""
    return image(archive(files, dialect))


FIRST_OF_MANY = ["/a", *(f"/b{number:02}" for number in range(19))]


def found(a: Image, b: Image) -> set[tuple[bytes, str]]:
    """The differences as the naive flattening names them."""
    return {
        (one.path.removeprefix("/").encode("utf-8", "surrogateescape"), one.what)
        for one in compare_images(a, b)
        if one.what != "size"
    }


@given(LAYERS, LAYERS, dialects, dialects)
def test_images_differ_as_their_naively_flattened_trees_do(
    files_a: list[list[File]], files_b: list[list[File]], dialect_a: str, dialect_b: str
) -> None:
    layers_a = [archive(layer, dialect_a) for layer in files_a]
    layers_b = [archive(layer, dialect_b) for layer in files_b]
    try:
        want = naive_tree.differences(naive_tree.flattened(layers_a), naive_tree.flattened(layers_b))
    except KeyError:
        assume(False)
    assert found(image(*layers_a), image(*layers_b)) == want
    assert found(image(*layers_b), image(*layers_a)) == want


@given(LAYERS, st.sampled_from(sorted(FORMATS)))
def test_an_image_equals_itself_in_any_dialect(files: list[list[File]], dialect: str) -> None:
    one = image(*(archive(layer) for layer in files))
    other = image(*(archive(layer, dialect) for layer in files))
    try:
        assert list(compare_images(one, other)) == []
    except Invalid:
        assume(False)


FILE = File("etc/hosts", data=b"one", mode=0o644, mtime=1)


@pytest.mark.parametrize(
    "a, b, expected",
    [
        pytest.param([FILE], [FILE], [], id="the same"),
        pytest.param(
            [FILE], [], [("/etc", "entry", "directory", None), ("/etc/hosts", "entry", "file", None)], id="only in a"
        ),
        pytest.param(
            [], [FILE], [("/etc/hosts", "entry", None, "file")], id="only in b, with a directory that nobody listed"
        ),
        pytest.param(
            [FILE], [replace(FILE, mode=0o4755)], [("/etc/hosts", "mode", "0644", "4755")], id="the mode, in octal"
        ),
        pytest.param([FILE], [replace(FILE, uid=7, gid=8)], [("/etc/hosts", "owner", "0:0", "7:8")], id="the owner"),
        pytest.param(
            [FILE],
            [replace(FILE, mtime=1714979289)],
            [("/etc/hosts", "mtime", "1970-01-01T00:00:01Z", "2024-05-06T07:08:09Z")],
            id="the time",
        ),
        pytest.param(
            [FILE],
            [replace(FILE, pax={"mtime": "1.25"})],
            [("/etc/hosts", "mtime", "1970-01-01T00:00:01Z", "1970-01-01T00:00:01.25Z")],
            id="less than a second",
        ),
        pytest.param(
            [FILE],
            [replace(FILE, pax={"mtime": "1e18"})],
            None,
            id="a time that is no decimal number is refused",
        ),
        pytest.param(
            [FILE],
            [replace(FILE, pax={"mtime": "9999999999999.5"})],
            [("/etc/hosts", "mtime", "1970-01-01T00:00:01Z", "9999999999999.5")],
            id="a time after all years",
        ),
        pytest.param(
            [FILE],
            [replace(FILE, pax={"SCHILY.xattr.user.a": "b"})],
            [("/etc/hosts", "xattrs", {}, {"user.a": "Yg=="})],
            id="an extended attribute",
        ),
        pytest.param(
            [FILE],
            [replace(FILE, data=b"two")],
            [
                (
                    "/etc/hosts",
                    "content",
                    "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
                    "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
                )
            ],
            id="the content",
        ),
        pytest.param(
            [FILE],
            [File("etc/hosts", type="symlink", target="x", mtime=1)],
            [("/etc/hosts", "type", "file", "symlink")],
            id="another type says all",
        ),
        pytest.param(
            [File("a", type="symlink", target="x", mode=0o777)],
            [File("a", type="symlink", target="y", mode=0o755)],
            [("/a", "target", "x", "y")],
            id="the target of a symbolic link, but not its mode",
        ),
        pytest.param(
            [File("a"), File("b")],
            [File("a"), File("b", type="link", target="a")],
            [("/a", "names", [], ["/a", "/b"]), ("/b", "names", [], ["/a", "/b"])],
            id="hard links",
        ),
        pytest.param(
            [File("a"), *(File(f"b{number:02}", type="link", target="a") for number in range(30))],
            [File("a"), *(File(f"b{number:02}", type="link", target="a") for number in range(29)), File("b29")],
            [
                *(
                    (f"/{name}", "names", [*FIRST_OF_MANY, "and 11 more"], [*FIRST_OF_MANY, "and 10 more"])
                    for name in ("a", *(f"b{number:02}" for number in range(29)))
                ),
                ("/b29", "names", [*FIRST_OF_MANY, "and 11 more"], []),
            ],
            id="more hard links than can be told for each",
        ),
        pytest.param(
            [File("a"), File("b", type="link", target="a")],
            [File("b"), File("a", type="link", target="b")],
            [],
            id="whichever is the link",
        ),
        pytest.param(
            [File("a/b"), File("a", type="dir", mode=0o700)],
            [File("a/b")],
            [],
            id="a directory that nobody listed has no attributes",
        ),
        pytest.param([File("./", type="dir", mode=0o700)], [], [], id="nor has the root"),
        pytest.param(
            [File("a", type="dir"), File("a-b"), File("a/c", mtime=1)],
            [File("a/c"), File("b")],
            [
                ("/a/c", "mtime", "1970-01-01T00:00:01Z", "1970-01-01T00:00:00Z"),
                ("/a-b", "entry", "file", None),
                ("/b", "entry", None, "file"),
            ],
            id="what is in a directory comes before the name beside it",
        ),
        pytest.param(
            [File("a", type="dir"), File("a/b", type="dir")],
            [File("a/b/c")],
            [("/a/b/c", "entry", None, "file")],
            id="more below directories that nobody listed",
        ),
        pytest.param(
            [File("a/b")],
            [File("a")],
            [("/a", "type", "directory", "file"), ("/a/b", "entry", "file", None)],
            id="a directory that nobody listed is one",
        ),
    ],
)
def test_files(a: Sequence[File], b: Sequence[File], expected: list[tuple[Any, ...]] | None) -> None:
    one, other = of(*a), of(*b)
    if expected is None:
        with pytest.raises(Invalid, match="mtime"):
            list(compare_images(one, other))
        return
    told = [(each.path, each.what, each.a, each.b) for each in compare_images(one, other)]
    if [path for path, *_ in told] == ["/etc/hosts"] and FILE in a:
        told = [row for row in told if row[1] != "size"]
    assert told == [row for row in expected if row[:2] != ("/etc", "entry")]


@pytest.mark.parametrize(
    "a, b, expected",
    [
        pytest.param([], [FILE], [("/etc/hosts", 3, 3)], id="a file that was added"),
        pytest.param([FILE], [], [("/etc/hosts", 3, -3)], id="a file that was removed"),
        pytest.param([], [File("a")], [("/a", 0, 0)], id="an empty file"),
        pytest.param([], [File("a", "symlink", target="b")], [("/a", None, 0)], id="a link has no size"),
        pytest.param(
            [File("a", data=b"one")], [File("a", "dir")], [("/a", 3, -3)], id="a file that became a directory"
        ),
        pytest.param([File("a", "dir")], [File("a", data=b"one")], [("/a", 3, 3)], id="a directory that became a file"),
        pytest.param(
            [],
            [File("b", data=b"one"), File("a", "link", target="b")],
            [("/a", 3, 3), ("/b", None, 0)],
            id="of hard links, one has the size",
        ),
        pytest.param(
            [File("a", data=b"one")],
            [File("a", data=b"one"), File("b", "link", target="a")],
            [("/a", None, 0), ("/b", None, 0)],
            id="a hard link to what is there takes no room",
        ),
        pytest.param(
            [File("a", data=b"one")],
            [File("a", data=b"other")],
            [("/a", None, 2), ("/a", None, 0)],
            id="a file that both have grows",
        ),
        pytest.param(
            [File("d", "dir"), File("d/e", data=b"one"), File("d/f", data=b"other")],
            [],
            [("/d", None, 0), ("/d/e", 3, -3), ("/d/f", 5, -5)],
            id="each file of a directory",
        ),
    ],
)
def test_sizes_of_files(a: Sequence[File], b: Sequence[File], expected: list[tuple[Any, ...]]) -> None:
    told = [(one.path, one.size, one.growth) for one in compare_images(of(*a), of(*b))]
    assert told == expected


@pytest.mark.parametrize(
    "a, b, expected",
    [
        pytest.param(RunConfig(), RunConfig(), [], id="the same"),
        pytest.param(RunConfig(user=""), RunConfig(user="0:0"), [], id="nobody named is the superuser"),
        pytest.param(RunConfig(user="0"), RunConfig(user="7"), [("user", "0", "7")], id="another user"),
        pytest.param(RunConfig(working_dir=""), RunConfig(working_dir="/"), [], id="no directory is the root"),
        pytest.param(RunConfig(cmd=None), RunConfig(cmd=()), [], id="silence starts what emptiness starts"),
        pytest.param(RunConfig(cmd=("a",)), RunConfig(cmd=("b",)), [("cmd", ["a"], ["b"])], id="another command"),
        pytest.param(
            RunConfig(entrypoint=("a",), cmd=("b",)),
            RunConfig(entrypoint=("a", "b")),
            [("entrypoint", ["a"], ["a", "b"]), ("cmd", ["b"], [])],
            id="arguments may be replaced, an entry point may not",
        ),
        pytest.param(
            RunConfig(exposed_ports=("80", "1/udp")),
            RunConfig(exposed_ports=("1/udp", "80/tcp")),
            [],
            id="ports in order",
        ),
        pytest.param(RunConfig(env=("A=1", "B=2")), RunConfig(env=("B=2", "A=1")), [], id="the order of variables"),
        pytest.param(RunConfig(env=("A=1", "A=2")), RunConfig(env=("A=2",)), [], id="the last value counts"),
        pytest.param(
            RunConfig(env=("A=1",)), RunConfig(env=("A=2",)), [("env", {"A": "1"}, {"A": "2"})], id="another value"
        ),
        pytest.param(
            RunConfig(labels={"a": "b"}), RunConfig(), [("labels", {"a": "b"}, {})], id="a label that is not there"
        ),
        pytest.param(
            RunConfig(healthcheck={"Test": ["NONE"]}),
            RunConfig(),
            [("healthcheck", {"Test": ["NONE"]}, {})],
            id="a health check",
        ),
        pytest.param(RunConfig(stop_signal="SIGINT"), RunConfig(), [("stop_signal", "SIGINT", "")], id="a signal"),
    ],
)
def test_configurations(a: RunConfig, b: RunConfig, expected: list[tuple[str, Any, Any]]) -> None:
    told = [(one.path, one.what, one.a, one.b) for one in compare_configurations(image(config=a), image(config=b))]
    assert told == [("config", *row) for row in expected]


def test_platforms_are_compared_by_their_normal_names() -> None:
    arm = image(platform=Platform(os="linux", architecture="aarch64"))
    same = image(platform=Platform(os="linux", architecture="arm64", variant="v8"))
    other = image(platform=Platform(os="linux", architecture="arm", variant="v7"))
    assert list(compare_configurations(arm, same)) == []
    assert list(compare_configurations(arm, other)) == [
        Difference(path="platform", what="architecture", a="arm64", b="arm"),
        Difference(path="platform", what="variant", a="", b="v7"),
    ]


def test_how_an_image_came_to_be_does_not_matter() -> None:
    one, two = archive([File("a", mtime=1)]), archive([File("b", mtime=2)])
    both = archive([File("a", mtime=1), File("b", mtime=2)])
    packed = Layer(content=Derived(inputs=image(one).layers, compression=GZIP))
    a = replace(image(one, two), layers=(packed, *image(two).layers))
    b = image(both, history=(History(created_by="other"),), annotations={"a": "b"}, created="2024-01-01T00:00:00Z")
    assert list(compare_images(a, b)) == []


def test_compressed_layers_are_read() -> None:
    plain = archive([FILE])
    packed = Layer(content=known_bytes(gzip.compress(plain), types.OCI_LAYER_GZIP), diff_id=Digest.of(plain))
    assert list(compare_images(image(plain), replace(image(), layers=(packed,)))) == []


def test_bytes_that_are_not_those_promised_are_no_answer() -> None:
    layer = archive([FILE])
    wrong = Layer(content=known_bytes(layer, types.OCI_LAYER), diff_id=Digest.of(b"other"))
    with pytest.raises(DigestMismatch, match=r"^second > layer\[0\]: "):
        list(compare_images(image(layer), replace(image(), layers=(wrong,)), names=("first", "second")))


@pytest.mark.parametrize("files", [{}, {"a": b"\0" * 10}])
def test_what_is_compared_can_be_watched(files: Mapping[str, bytes]) -> None:
    seen = []
    one = image(archive([File(name, data=data) for name, data in files.items()]))

    def opened(blob: Any) -> Any:
        seen.append(blob.descriptor.digest)
        return blob.blocks()

    assert list(compare_images(one, one, opened)) == []
    assert seen == [one.layers[0].diff_id] * 2
