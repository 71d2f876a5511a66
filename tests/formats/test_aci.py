"""ACIs read and written, whole archives in memory."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import zstandard

from converter import formats
from converter.cache import VerifiedCache
from converter.errors import Invalid, NotFound, Unsupported
from converter.execute import Threads
from converter.formats import aci as aci_format, docker, oci
from converter.formats.aci import kept_annotations as keys
from converter.model import media_types as types
from converter.model.content import Compression, Known, known_bytes
from converter.model.image import Artifact, Image, Index, Item, Original, RunConfig
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Copy, Node, forecast
from converter.ports import Writer
from converter.streams.workers import Workers
from converter.transform import select_platforms
from tests.builders.acis import aci, aci_tar, docker_image, files_of, layer, manifest, manifest_of, names_of, tar_of
from tests.builders.memory import MemorySink, MemorySource, MemoryStore
from tests.formats.running import run
from tests.strategies.tar import File, archive

APP = {"exec": ["/bin/app"], "user": "0", "group": "0"}
FILES = (File("rootfs/etc", "dir", mode=0o755), File("rootfs/etc/name", data=b"box"))


def read(root: Known) -> Image:
    def fetch(descriptor: object) -> Known:
        raise AssertionError("an ACI names nothing else")

    item = aci_format.decode(root, fetch)
    assert isinstance(item, Image)
    return item


def encode(item: Item, compress: str = "") -> Node:
    settings = Settings(compress=Compression.parse(compress) if compress else None)
    return aci_format.encode(item, frozenset(), settings)


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(bytes, id="no compression"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(bz2.compress, id="bzip2"),
        pytest.param(lzma.compress, id="xz"),
    ],
)
def test_the_manifest_is_found_wherever_it_stands(pack: Callable[[bytes], bytes], last: bool) -> None:
    image = read(known_bytes(pack(aci_tar(manifest(app=APP), FILES, last)), types.ACI))
    assert image.config.entrypoint == ("/bin/app",)
    assert [name.removeprefix("./") for name in names_of(tar_of(image.layers[0]))] == [".", "etc", "etc/name"]


def v7(data: bytes) -> bytes:
    """The tar with a first header as it was before there was a magic number."""
    head = data[:257] + bytes(8) + data[265:512]
    blank = head[:148] + b" " * 8 + head[156:]
    return head[:148] + b"%06o\0 " % sum(blank) + head[156:] + data[512:]


@pytest.mark.parametrize(
    "data, error",
    [
        pytest.param(zstandard.compress(aci_tar(manifest())), Unsupported, id="zstd"),
        pytest.param(v7(aci_tar(manifest())), Unsupported, id="v7"),
        pytest.param(archive([File("rootfs", "dir")]), Invalid, id="no manifest"),
        pytest.param(archive([File("manifest", "dir")]), Invalid, id="a directory for a manifest"),
        pytest.param(archive([File("manifest", "symlink", target="x")]), Invalid, id="a link for a manifest"),
        pytest.param(b"text", Invalid, id="no archive"),
        pytest.param(archive([File("manifest", data=b"[]")]), Invalid, id="a manifest that is no object"),
        pytest.param(archive([File("manifest", data=b"{}" + b" " * (1 << 22))]), Invalid, id="a manifest of 4 MiB"),
    ],
)
def test_what_is_no_aci_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(known_bytes(data, types.ACI))


def test_an_aci_that_nobody_changed_is_copied() -> None:
    root = aci(manifest(app=APP), FILES)
    image = read(root)
    named = replace(image, notes=replace(image.notes, name="docker.io/library/other:2"))
    for each in (image, named):
        node = encode(each)
        assert isinstance(node, Copy)
        future = forecast(node).made
        assert future is not None
        assert future.descriptor == root.descriptor
        assert list(aci_format.losses(each)) == []


def test_another_compression_keeps_the_image_id() -> None:
    tar = aci_tar(manifest(app=APP), FILES)
    image = read(known_bytes(lzma.compress(tar), types.ACI))
    ran = run(encode(image, "none"))
    assert ran.root.read() == tar
    assert ran.image_id == f"sha512-{hashlib.sha512(tar).hexdigest()}"
    assert run(encode(image, "gzip")).image_id == ran.image_id
    with pytest.raises(Unsupported, match="zstd"):
        encode(image, "zstd")


def test_an_edit_makes_a_new_aci() -> None:
    image = read(aci(manifest(app=APP | {"unknown": 1}), FILES))
    ran = run(encode(replace(image, config=replace(image.config, env=("A=1",)))))
    document = manifest_of(ran.root)
    assert document == manifest(app=APP | {"unknown": 1, "environment": [{"name": "A", "value": "1"}]})
    names = [name.removeprefix("./") for name in names_of(ran.root.read())]
    assert names == ["manifest", "rootfs", "rootfs/etc", "rootfs/etc/name"]


LOWER = layer(File("etc", "dir", mode=0o755), File("etc/a", data=b"a"), File("etc/b", data=b"b"))
UPPER = layer(File("etc/.wh.a"), File("etc/c", "link", target="etc/b"))


def test_layers_become_one_root_file_system() -> None:
    image = docker_image(LOWER, UPPER)
    ran = run(encode(image))
    assert files_of(ran.root.read()) | {"manifest": b""} == {
        "manifest": b"",
        "rootfs": None,
        "rootfs/etc": None,
        "rootfs/etc/b": b"b",
        "rootfs/etc/c": "rootfs/etc/b",
    }
    assert names_of(ran.root.read())[0] == "manifest"
    assert ran.image_id == f"sha512-{hashlib.sha512(gzip.decompress(ran.root.read())).hexdigest()}"
    losses = {loss.field: loss.kept for loss in aci_format.losses(image)}
    assert losses == {"layers": "", "history": keys.HISTORY}


def test_two_runs_give_the_same_bytes() -> None:
    assert run(encode(docker_image(LOWER, UPPER))).blobs == run(encode(docker_image(LOWER, UPPER))).blobs


@pytest.mark.parametrize(
    "files",
    [
        pytest.param([File(".", "dir", mode=0o700), File("a")], id="an entry for the root"),
        pytest.param([File("./", "dir", mode=0o700), File("./a")], id="names that begin with a dot"),
        pytest.param([File("a")], id="none"),
    ],
)
def test_the_root_has_one_entry(files: list[File]) -> None:
    names = names_of(run(encode(docker_image(layer(*files)))).root.read())
    assert sorted(name.removeprefix("./").rstrip("/") for name in names) == ["manifest", "rootfs", "rootfs/a"]


PASSWD = File("etc/passwd", data=b"root:x:0:0::/:\napp:x:1000:2000::/:\n")
GROUPS = File("etc/group", data=b"wheel:x:10:root,app\nvideo:x:44:app\n")


@pytest.mark.parametrize(
    "user, layers, group",
    [
        pytest.param("app", [PASSWD], "2000", id="a name"),
        pytest.param("1000:", [PASSWD], "2000", id="a number and an empty group"),
        pytest.param("app:5", [PASSWD], "5", id="a group that is told"),
        pytest.param("other", [PASSWD], "other", id="a user who is not there"),
        pytest.param("7", [PASSWD], "7", id="a number that is not there"),
        pytest.param("7", [File("etc/hosts")], "7", id="a number, and no password file"),
        pytest.param("app", [File("etc/hosts")], "app", id="no password file"),
        pytest.param("app", [File("etc/passwd", "symlink", target="/x")], "app", id="a password file that is a link"),
        pytest.param(
            "app",
            [File("etc/passwd", "symlink", target="/x/passwd"), replace(PASSWD, name="x/passwd")],
            "2000",
            id="a password file that is elsewhere",
        ),
        pytest.param("app", [PASSWD, File("etc/.wh.passwd")], "app", id="a password file that a layer took away"),
        pytest.param("app", [File("etc/passwd"), PASSWD], "2000", id="the password file of the top layer"),
    ],
)
def test_the_group_of_a_user_is_looked_up_in_the_image(user: str, layers: list[File], group: str) -> None:
    image = docker_image(*(layer(file) for file in layers), config=RunConfig(user=user))
    ran = run(encode(image))
    app = manifest_of(ran.root)["app"]
    assert (app["user"], app["group"]) == (user.partition(":")[0], group)
    assert len(ran.warnings) == (app["user"] == app["group"])
    assert read(ran.root).config.user == user


def test_further_groups_are_looked_up_and_are_no_loss_on_the_way_back() -> None:
    root = run(encode(docker_image(layer(PASSWD), layer(GROUPS), config=RunConfig(user="app")))).root
    assert manifest_of(root)["app"] == {"exec": [], "user": "app", "group": "2000", "supplementaryGIDs": [10, 44]}
    back = read(root)
    assert back.config.user == "app"
    assert [loss.field for loss in oci.losses(back)] == []
    other = replace(back, config=replace(back.config, user="1:2"))
    again = run(encode(other)).root
    assert "supplementaryGIDs" not in manifest_of(again)["app"]


def test_a_docker_image_comes_back_from_an_aci() -> None:
    config = RunConfig(
        user="app", entrypoint=("/a",), cmd=("b",), env=("A=1", "B"), healthcheck={"Test": ["NONE"]}, stop_signal="9"
    )
    back = read(run(encode(docker_image(LOWER, UPPER, config=config))).root)
    assert back.config == config
    assert [(step.created_by, step.empty_layer) for step in back.history] == [("step 0", True), ("step 1", False)]
    assert back.notes.name == "docker.io/library/app:1"
    assert list(oci.losses(back)) == []


def test_the_links_of_rkt_lie_below_the_image() -> None:
    image = docker_image(layer(File("dev", "dir"), File("dev/stdin", data=b"own")))
    files = files_of(run(aci_format.encode(image, frozenset(), Settings(rkt_dev_links=True))).root.read())
    assert files["rootfs/dev/stdin"] == b"own"
    assert files["rootfs/dev/stdout"] == files["rootfs/dev/stderr"] == "/dev/console"
    assert files["rootfs/dev/fd"] == "/proc/self/fd"


def test_a_file_tells_who_runs_the_app() -> None:
    app = APP | {"user": "/bin/ping", "group": "/bin/ping"}
    image = read(aci(manifest(app=app), [File("rootfs/bin/ping", uid=7, gid=8)], last=True))
    assert image.config.user == "7:8"
    assert isinstance(encode(image), Copy)
    assert read(aci(manifest(app=app))).config.user == "/bin/ping:/bin/ping"


def on_arm(image: Image) -> Image:
    """The image, if its caller chooses that platform."""
    item = select_platforms(image, ["linux/arm64"], formats.item_reader(MemorySource(MemoryStore()).fetch))
    assert isinstance(item, Image)
    return item


def fields(image: Image, target: Writer = oci) -> dict[str, str]:
    return {loss.field: loss.kept for loss in target.losses(image, frozenset(), DEFAULTS)}


def test_what_another_format_cannot_hold_is_told() -> None:
    app = APP | {"isolators": [{"name": "os/linux/no-new-privileges", "value": True}], "supplementaryGIDs": [5]}
    image = read(aci(manifest(app=app, labels=[])))
    assert fields(image) == {
        "platform": keys.MANIFEST,
        "app.supplementaryGIDs": keys.MANIFEST,
        "app.isolators": keys.MANIFEST,
    }
    assert set(fields(image, docker).values()) == {""}
    assert "platform" not in fields(on_arm(image))
    assert fields(docker_image(LOWER)) == {}


def test_a_platform_without_a_name_must_be_given_one() -> None:
    labels = [{"name": "os", "value": "linux"}, {"name": "arch", "value": "aarch64_be"}]
    image = read(aci(manifest(labels=labels)))
    assert isinstance(encode(image), Copy)
    with pytest.raises(Unsupported, match="--platform"):
        fields(image)
    assert fields(on_arm(image)) == {}


def test_what_an_image_depends_on_must_be_there() -> None:
    image = read(aci(manifest(dependencies=[{"imageName": "example.com/base"}])))
    with pytest.raises(NotFound, match=r"example\.com/base"):
        fields(image)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Index(), id="an index"),
        pytest.param(Artifact(original=Original(format="oci", manifest=known_bytes(b"{}", ""))), id="an artifact"),
        pytest.param(
            docker_image(replace(LOWER, content=Known(known_bytes(b"", "").descriptor, lambda: (), absent=True))),
            id="a foreign layer",
        ),
    ],
)
def test_what_is_no_image_is_no_aci(item: Item) -> None:
    with pytest.raises(Unsupported):
        encode(item)
    with pytest.raises(Unsupported):
        list(aci_format.losses(item))


@pytest.mark.parametrize(
    "document, lost",
    [
        pytest.param(b"{}", set(), id="nothing more"),
        pytest.param(b'{"subject":{"x":1},"artifactType":"y"}', {"subject", "artifactType"}, id="what OCI has"),
    ],
)
def test_what_an_oci_manifest_says_beside_the_image_is_lost(document: bytes, lost: set[str]) -> None:
    image = docker_image(replace(LOWER, annotations={"a": "b"}))
    image = replace(image, original=Original(format="oci", manifest=known_bytes(document, types.OCI_MANIFEST)))
    found: dict[str, Any] = {loss.field: loss.kept for loss in aci_format.losses(image)}
    assert set(found) == {"history", "layers.annotations", *lost}


def by_way_of_oci(image: Image) -> Image:
    """What an OCI layout would give back of an image."""
    store = MemoryStore()
    with MemorySink(store) as sink, Workers(1) as workers:
        node = oci.encode(image, frozenset())
        made = Threads(sink, workers, VerifiedCache(), jobs=1).run([node])[0].done
        sink.name("app", made.descriptor)
    source = MemorySource(store)
    back = oci.decode(source.fetch(source.resolve("app")), source.fetch)
    assert isinstance(back, Image)
    return back


ODD_FILES = (
    File("./rootfs/", "dir", mode=0o750, mtime=1.5),
    File("./rootfs/a", data=b"a" * 1000, pax={"comment": "kept"}),
    File("rootfs/" + "long" * 40, data=b"b"),
    File("rootfs/link", "link", target="rootfs/a"),
    File("manifest", data=json.dumps(manifest(app=APP), indent=3).encode(), mtime=9),
    File("rootfs/c", "symlink", target="rootfs/a"),
)
ODD = archive(ODD_FILES, "pax")


@pytest.mark.parametrize(
    "tar",
    [
        pytest.param(aci_tar(manifest(app=APP), FILES), id="a plain one"),
        pytest.param(aci_tar(manifest(app=APP, labels=[]), FILES, last=True), id="the manifest last, for any platform"),
        pytest.param(aci_tar(manifest(app=APP | {"user": "/etc/name"}), FILES), id="an owner that was looked up"),
        pytest.param(aci_tar(manifest()), id="without an app and without files"),
        pytest.param(ODD, id="PAX headers, long names, links, an odd order"),
        pytest.param(archive(ODD_FILES, "pax", ending=False), id="without an end"),
    ],
)
def test_an_aci_comes_back_from_oci_bit_for_bit(tar: bytes) -> None:
    back = by_way_of_oci(read(known_bytes(gzip.compress(tar), types.ACI)))
    assert run(encode(back, "none")).root.read() == tar
    assert list(aci_format.losses(back)) == []


def test_an_aci_that_was_edited_on_the_way_is_made_anew() -> None:
    image = read(known_bytes(gzip.compress(ODD), types.ACI))
    edited = replace(image, config=replace(image.config, env=("A=1",)))
    document = manifest_of(run(encode(by_way_of_oci(edited))).root)
    assert document == manifest(app=APP | {"environment": [{"name": "A", "value": "1"}]})


def test_an_oci_image_comes_back_from_an_aci() -> None:
    config = RunConfig(
        entrypoint=("/a",), cmd=("b",), healthcheck={"Test": ["NONE"]}, stop_signal="9", labels={"a": "b"}
    )
    source = by_way_of_oci(docker_image(LOWER, UPPER, config=config, annotations={"org.example.A": "1", "b": "2"}))
    back = by_way_of_oci(read(run(encode(source)).root))
    assert back.config == source.config
    assert [step.created_by for step in back.history] == [step.created_by for step in source.history]
    assert {key: value for key, value in back.annotations.items() if key != keys.MANIFEST} == dict(source.annotations)
    assert run(encode(back)).image_id == run(encode(source)).image_id


def test_a_name_that_a_layer_cannot_hold_is_refused() -> None:
    image = read(aci(manifest(), [File("rootfs/.wh.a")]))
    with pytest.raises(Unsupported):
        by_way_of_oci(image)


def test_a_copy_learns_the_image_id_and_its_digest_is_foreseen() -> None:
    tar = aci_tar(manifest(app=APP), FILES)
    root = known_bytes(gzip.compress(tar, mtime=0), types.ACI)
    plan = encode(read(root))
    foreseen = forecast(plan).made
    assert foreseen is not None
    assert foreseen.descriptor == root.descriptor
    ran = run(plan)
    assert ran.made.descriptor == root.descriptor
    assert ran.image_id == "sha512-" + hashlib.sha512(tar).hexdigest()


def test_a_copy_of_an_archive_that_breaks_the_rules_is_refused() -> None:
    stray = known_bytes(aci_tar(manifest(app=APP), (*FILES, File("stray", data=b"x"))), types.ACI)
    with pytest.raises(Invalid, match='neither "manifest" nor "rootfs"'):
        run(encode(read(stray)))


def test_a_copy_may_have_names_that_a_layer_may_not() -> None:
    odd = known_bytes(aci_tar(manifest(app=APP), (*FILES, File("rootfs/.wh.name", data=b"x"))), types.ACI)
    assert run(encode(read(odd))).made.descriptor == odd.descriptor


def test_an_entry_for_the_archive_itself_is_passed_by_as_the_reference_does() -> None:
    document = json.dumps(manifest(app=APP)).encode()
    tar = archive(
        [File("./", "dir"), File("manifest", data=document), File("rootfs", "dir", mode=0o711), *FILES], "ustar"
    )
    image = read(known_bytes(tar, types.ACI))
    assert names_of(tar_of(image.layers[0])) == [".", "etc", "etc/name"]
    assert run(encode(image)).root.read() == tar
