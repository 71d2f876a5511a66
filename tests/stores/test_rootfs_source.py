"""Root file systems as sources: a directory, a tar or a bundle is an image of one layer."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from converter.compare_images import compare_images
from converter.errors import ConverterError, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.image import Image
from converter.model.platform import host_platform
from converter.stores.rootfs import DirectorySource
from converter.stores.rootfs.attributes import ROOTLESS, owner_message
from tests.builders import tar
from tests.stores.copying import contents, source_at

ROOT = os.geteuid() == 0


def layer(place: Path, transport: str = "rootfs") -> bytes:
    """The bytes of the layer of the image there."""
    with source_at(transport, place) as source:
        manifest = json.loads(source.fetch(source.resolve("")).read())
        return contents(source)[manifest["layers"][0]["digest"]]


def config(place: Path, transport: str) -> dict[str, Any]:
    with source_at(transport, place) as source:
        manifest = json.loads(source.fetch(source.resolve("")).read())
        found: dict[str, Any] = json.loads(contents(source)[manifest["config"]["digest"]])
        return found


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def file(path: Path, data: bytes = b"data", mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def sparse(path: Path) -> None:
    with path.open("wb") as hole:
        hole.seek(1 << 20)
        hole.write(b"end")


def linked(tree: Path) -> None:
    file(tree / "a")
    os.link(tree / "a", tree / "b")


def owned(path: Path) -> None:
    file(path)
    os.setxattr(path, ROOTLESS, owner_message(33, 42))


def with_attribute(path: Path) -> None:
    file(path)
    os.setxattr(path, "user.a", b"\0v")


def with_time(path: Path) -> None:
    file(path)
    os.utime(path, ns=(0, 1_500_000_001))


def given_away(path: Path) -> None:
    file(path)
    os.chown(path, 3_000_000, 5)


def deep(tree: Path) -> None:
    for _ in range(300):
        tree = tree / "d"
    tree.mkdir(parents=True)


Make = Callable[[Path], None]
Member = Callable[[tarfile.TarInfo], bool]


@pytest.mark.parametrize(
    "make, name, holds",
    [
        pytest.param(lambda t: file(t / "a/f"), "a/f", lambda m: m.isreg() and m.size == 4, id="a file"),
        pytest.param(lambda t: file(t / "f", mode=0o4755), "f", lambda m: m.mode == 0o4755, id="a set-uid program"),
        pytest.param(lambda t: (t / "d").mkdir(0o1777), "d", lambda m: m.isdir(), id="a directory"),
        pytest.param(lambda t: (t / "l").symlink_to("../x"), "l", lambda m: m.linkname == "../x", id="a symbolic link"),
        pytest.param(linked, "b", lambda m: m.islnk() and m.linkname == "a", id="a hard link"),
        pytest.param(lambda t: os.mkfifo(t / "p"), "p", lambda m: m.isfifo(), id="a FIFO"),
        pytest.param(lambda t: sparse(t / "s"), "s", lambda m: m.size == (1 << 20) + 3, id="a sparse file, whole"),
        pytest.param(lambda t: owned(t / "f"), "f", lambda m: (m.uid, m.gid) == (33, 42), id="a recorded owner"),
        pytest.param(lambda t: file(t / ("n" * 255)), "n" * 255, lambda m: m.isreg(), id="the longest name"),
        pytest.param(lambda t: file(t / "ä\n"), "ä\n", lambda m: m.isreg(), id="a name with a line feed"),
        pytest.param(deep, "/".join("d" * 300), lambda m: m.isdir(), id="a deep directory"),
        pytest.param(
            lambda t: with_attribute(t / "f"),
            "f",
            lambda m: m.pax_headers["SCHILY.xattr.user.a"] == "\0v",
            id="an extended attribute",
        ),
        pytest.param(
            lambda t: with_time(t / "f"),
            "f",
            lambda m: m.mtime == 1.500000001,
            id="a time with nanoseconds",
        ),
    ],
)
def test_a_file_is_in_the_layer_as_it_is(tree: Path, make: Make, name: str, holds: Member) -> None:
    make(tree)
    assert holds(members(layer(tree))[name])


@pytest.mark.skipif(not ROOT, reason="only root makes device nodes, and gives files away")
@pytest.mark.parametrize(
    "make, name, holds",
    [
        pytest.param(
            lambda t: os.mknod(t / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
            "null",
            lambda m: m.ischr() and (m.devmajor, m.devminor) == (1, 3),
            id="a device",
        ),
        pytest.param(
            lambda t: given_away(t / "f"),
            "f",
            lambda m: (m.uid, m.gid) == (3_000_000, 5),
            id="a large owner",
        ),
    ],
)
def test_what_only_root_makes_is_in_the_layer_as_it_is(tree: Path, make: Make, name: str, holds: Member) -> None:
    make(tree)
    assert holds(members(layer(tree))[name])


def test_the_order_in_which_files_were_made_does_not_matter(tmp_path: Path) -> None:
    places = []
    for number, names in enumerate(["abc", "cba", "bac"]):
        place = tmp_path / str(number)
        for name in names:
            file(place / name)
        for path in (*place.iterdir(), place):
            os.utime(path, (1, 1))
        places.append(place)
    assert len({layer(place) for place in places}) == 1


def test_a_socket_is_left_out_with_a_loss(tree: Path) -> None:
    file(tree / "f")
    here = Path.cwd()
    os.chdir(tree)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("s")
    finally:
        os.chdir(here)
    with source_at("rootfs", tree) as source:
        source.resolve("")
        assert [loss.field for loss in source.losses] == ["files"]
    assert set(members(layer(tree))) == {".", "f"}


@pytest.mark.parametrize("name", [".wh.gone", ".wh..wh..opq", "d/.wh.gone/f"])
def test_a_name_that_means_a_deletion_is_refused(tree: Path, tmp_path: Path, name: str) -> None:
    file(tree / name)
    with pytest.raises(Unsupported, match="means a deletion"):
        layer(tree)
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        tar.add(tree, "")
    with pytest.raises(Unsupported, match="means a deletion"):
        layer(tmp_path / "tree.tar")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: file(t / "f", b"DATA"), id="other bytes"),
        pytest.param(lambda t: file(t / "f", b"dat"), id="a shorter file"),
        pytest.param(lambda t: file(t / "f", b"datas"), id="a longer file"),
        pytest.param(lambda t: file(t / "g"), id="a new file"),
        pytest.param(lambda t: (t / "f").unlink(), id="a file removed"),
        pytest.param(lambda t: (t / "f").chmod(0o600), id="another mode"),
    ],
)
def test_a_tree_that_changes_between_two_readings_is_refused(tree: Path, change: Make) -> None:
    file(tree / "f")
    os.utime(tree / "f", (1, 1))
    with source_at("rootfs", tree) as source:
        root = source.resolve("")
        change(tree)
        manifest = json.loads(source.fetch(root).read())
        one = next(descriptor for descriptor in manifest["layers"])
        with pytest.raises(ConverterError):
            contents(source)[one["digest"]]


def test_a_file_that_grows_while_it_is_read_is_refused(tree: Path) -> None:
    file(tree / "f", bytes(1 << 20))
    blocks = iter(DirectorySource(tree, {}, host_platform()).blocks())
    for _ in range(3):  # the two headers, and a part of the file
        next(blocks)
    with (tree / "f").open("ab") as more:
        more.write(b"more")
    with pytest.raises(Invalid, match="f changed while it was read"):
        list(blocks)


@pytest.mark.parametrize("packed", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
def test_a_tar_is_the_layer_byte_for_byte(tree: Path, tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    linked(tree)
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        tar.add(tree, ".")
    data = (tmp_path / "tree.tar").read_bytes()
    (tmp_path / "other.tar").write_bytes(packed(data))
    assert layer(tmp_path / "other.tar") == data


def test_the_image_is_valid_and_of_one_layer(tree: Path) -> None:
    file(tree / "f")
    with source_at("rootfs", tree) as source:
        root = source.resolve("")
        assert root.media_type == types.OCI_MANIFEST
        assert source.names() == ("@0",)
        assert list(source.attachments(root.digest)) == []
        with pytest.raises(NotFound):
            source.resolve("other")


@pytest.mark.parametrize(
    "document, run",
    [
        pytest.param({}, {}, id="an empty document says nothing"),
        pytest.param({"process": {"args": ["/app", "-v"]}}, {"Cmd": ["/app", "-v"]}, id="arguments"),
        pytest.param(
            {"process": {"env": ["A=1"], "cwd": "/srv"}}, {"Env": ["A=1"], "WorkingDir": "/srv"}, id="process"
        ),
        pytest.param({"process": {"user": {"uid": 5, "gid": 7}}}, {"User": "5:7"}, id="a user"),
        pytest.param({"process": {"user": {"uid": 0, "gid": 0}}}, {}, id="root is nobody special"),
        pytest.param({"annotations": {"a": "b"}}, {"Labels": {"a": "b"}}, id="an annotation is a label"),
        pytest.param(
            {
                "annotations": {
                    "org.opencontainers.image.stopSignal": "SIGINT",
                    "org.opencontainers.image.exposedPorts": "80/tcp,53/udp",
                }
            },
            {"StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}},
            id="annotations of the image-spec",
        ),
    ],
)
def test_a_bundle_says_how_its_container_is_started(tree: Path, document: Mapping[str, Any], run: object) -> None:
    file(tree / "rootfs/f")
    file(tree / "config.json", json.dumps({"ociVersion": "1.0.2", **document}).encode())
    assert config(tree, "bundle")["config"] == run
    assert set(members(layer(tree, "bundle"))) == {".", "f"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"process": 1}', id="a process that is a number"),
        pytest.param(b'{"process": {"args": [1]}}', id="an argument that is a number"),
        pytest.param(b'{"process": {"user": {"uid": "x"}}}', id="a user that is a string"),
        pytest.param(b'{"annotations": {"a": 1}}', id="an annotation that is a number"),
    ],
)
def test_a_bundle_with_a_malformed_configuration_is_refused(tree: Path, text: bytes) -> None:
    file(tree / "rootfs/f")
    file(tree / "config.json", text)
    with pytest.raises(Invalid):
        config(tree, "bundle")


def test_what_an_image_was_unpacked_to_is_that_image(tmp_path: Path, tree: Path) -> None:
    import converter

    linked(tree)
    (tree / "l").symlink_to("a")
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/layout:app", compress="zstd")
    for target in (f"rootfs:{tmp_path}/out", f"rootfs:{tmp_path}/out.tar", f"bundle:{tmp_path}/bundle"):
        converter.convert(f"oci:{tmp_path}/layout:app", target)
        a, b = (converter.open_image(place) for place in (target, f"oci:{tmp_path}/layout:app"))
        assert isinstance(a, Image)
        assert isinstance(b, Image)
        assert [one for one in compare_images(a, b) if one.path != "config"] == []


@pytest.mark.parametrize(
    "names, transport",
    [
        pytest.param(("manifest.json", "repositories"), "docker-archive", id="what docker save writes"),
        pytest.param(("./oci-layout", "./index.json"), "oci-archive", id="a layout"),
        pytest.param(("manifest", "rootfs/bin/app"), "aci", id="an ACI"),
        pytest.param(("manifest", "bin/app"), "", id="a root file system with a file of that name"),
        pytest.param(("bin/app", "usr/oci-layout"), "", id="a root file system"),
    ],
)
def test_an_image_that_is_taken_for_a_root_file_system_is_told(
    names: tuple[str, ...], transport: str, tmp_path: Path
) -> None:
    (tmp_path / "a.tar").write_bytes(tar(dict.fromkeys(names, b"")))
    with source_at("rootfs", tmp_path / "a.tar") as source:
        told = [str(loss) for loss in source.losses]
    wanted = f"files: {tmp_path}/a.tar is itself an image, which {transport}:PATH converts; kept in the layer, packed"
    assert [text.startswith(wanted) for text in told] == ([True] if transport else [])
