"""What only docker save archives do: three generations in, one out."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from converter.errors import ConverterError, DigestMismatch, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json
from converter.model.image import Attachment
from converter.model.platform import Platform
from converter.model.reference import REF_NAME
from converter.stores import docker_archive
from converter.stores.docker_archive import tables
from converter.stores.media import DirectoryMedium, Medium
from converter.stores.oci_layout import fetch_blob
from tests.builders import DOCKER, LAYERS, OCI, Dialect, add_image, add_index, gzipped, sha256, tar
from tests.builders.memory import MemoryStore
from tests.builders.saved import BASE, TOP, Link, classic, config, old, write_tar
from tests.stores.copying import contents, copy, put_tree, sink_at, source_at
from tests.stores.test_image_names import parsed_names

FULL = "io.containerd.image.name"


def text_of(files: dict[str, bytes | Link], name: str) -> bytes:
    data = files[name]
    assert isinstance(data, bytes)
    return data


def manifest_at(path: Path, name: str = "") -> dict[str, Any]:
    with source_at("docker-archive", path) as source:
        contents(source, name)
        document: dict[str, Any] = json.loads(source.fetch(source.resolve(name)).read())
        return document


PLAIN, GZIP, ZSTD = types.DOCKER_LAYER, types.DOCKER_LAYER_GZIP, types.DOCKER_LAYER_ZSTD
FIRST, SECOND = LAYERS
FIRST_NAME, SECOND_NAME = f"{0:064x}/layer.tar", f"{1:064x}/layer.tar"
SAME = (FIRST, FIRST)
PGP = b"\x8d\x00\x00\x04" + bytes(600)


@pytest.mark.parametrize(
    "layers, tars, want",
    [
        pytest.param(LAYERS, LAYERS, [(PLAIN, FIRST), (PLAIN, SECOND)], id="plain layers"),
        pytest.param((gzipped(FIRST), SECOND), LAYERS, [(GZIP, gzipped(FIRST)), (PLAIN, SECOND)], id="a gzipped layer"),
        pytest.param(
            (zstandard.compress(FIRST), SECOND),
            LAYERS,
            [(ZSTD, zstandard.compress(FIRST)), (PLAIN, SECOND)],
            id="a zstd layer",
        ),
        pytest.param((bz2.compress(FIRST), SECOND), LAYERS, [(PLAIN, FIRST), (PLAIN, SECOND)], id="a bzip2 layer"),
        pytest.param((lzma.compress(FIRST), SECOND), LAYERS, [(PLAIN, FIRST), (PLAIN, SECOND)], id="an xz layer"),
        pytest.param((PGP, SECOND), (PGP, SECOND), [(PLAIN, PGP), (PLAIN, SECOND)], id="one that nobody can unpack"),
        pytest.param((FIRST, Link(f"../{FIRST_NAME}")), SAME, [(PLAIN, FIRST)] * 2, id="a symlink to a layer"),
        pytest.param((FIRST, Link(FIRST_NAME, hard=True)), SAME, [(PLAIN, FIRST)] * 2, id="a hard link to a layer"),
        pytest.param((Link(f"../{SECOND_NAME}"), FIRST), SAME, [(PLAIN, FIRST)] * 2, id="a link to a later layer"),
    ],
)
def test_layers_are_what_their_bytes_say(
    tmp_path: Path, layers: tuple[bytes | Link, ...], tars: tuple[bytes, ...], want: list[tuple[str, bytes]]
) -> None:
    path = write_tar(tmp_path / "a.tar", classic(layers, data=config(tars)))
    document = manifest_at(path)
    assert [(layer["mediaType"], layer["digest"]) for layer in document["layers"]] == [
        (media_type, sha256(data)) for media_type, data in want
    ]
    assert document["config"]["digest"] == sha256(config(tars))


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_the_archive_may_be_packed_and_its_names_begin_anyhow(tmp_path: Path, packed: Any, prefix: str) -> None:
    path = write_tar(tmp_path / "a.tar", classic(), prefix)
    path.write_bytes(packed(path.read_bytes()))
    assert len(manifest_at(path)["layers"]) == 2


def test_a_row_is_read_in_any_case_as_the_engine_reads_it(tmp_path: Path) -> None:
    files = classic()
    before = manifest_at(write_tar(tmp_path / "a.tar", files))
    rows = json.loads(text_of(files, "manifest.json"))
    files["manifest.json"] = json.dumps([{name.lower(): value for name, value in row.items()} for row in rows]).encode()
    assert manifest_at(write_tar(tmp_path / "b.tar", files), "app:1") == before


def test_a_directory_of_it_is_the_same_store(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", classic())
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "there", filter="data")
    assert manifest_at(path) == manifest_at(tmp_path / "there")


@pytest.mark.parametrize(
    "files, error, text",
    [
        pytest.param(classic(LAYERS[:1]), Invalid, "1 layers and 2 diff_ids", id="too few layers"),
        pytest.param(classic((*LAYERS, FIRST)), Invalid, "3 layers and 2 diff_ids", id="too many layers"),
        pytest.param(classic(data=b"{}"), Invalid, "rootfs", id="a config without rootfs"),
        pytest.param(classic(data=b"[]"), Invalid, "object", id="a config that is no object"),
        pytest.param(classic((SECOND, FIRST)), DigestMismatch, "digest", id="layers in the wrong order"),
        pytest.param(
            classic(config_name="blobs/sha256/" + "0" * 64),
            DigestMismatch,
            "digest",
            id="a config under a wrong digest",
        ),
        pytest.param(classic((Link("layer.tar"), SECOND)), Invalid, "circle", id="a symlink to itself"),
        pytest.param(
            classic((Link(f"../{SECOND_NAME}"), Link(f"../{FIRST_NAME}"))), Invalid, "circle", id="symlinks in a circle"
        ),
        pytest.param(classic((Link("../../etc/passwd"), SECOND)), Invalid, "inside", id="a symlink out of the archive"),
        pytest.param(classic((Link("/etc/passwd"), SECOND)), NotFound, "no layer", id="an absolute symlink"),
        pytest.param({"manifest.json": b"{}"}, Invalid, "array", id="a manifest.json that is no array"),
        pytest.param({"manifest.json": b"[[]]"}, Invalid, "object", id="a row that is no object"),
        pytest.param({"manifest.json": b"[{}]"}, Invalid, "Config: missing", id="a row without a config"),
        pytest.param({"manifest.json": b'[{"Config":"a","config":"b"}]'}, Invalid, "only in case", id="two configs"),
        pytest.param({"manifest.json": b'[{"Config":"../x"}]'}, Invalid, "inside", id="a config out of the archive"),
        pytest.param({"manifest.json": b'[{"Config":"x"}]'}, NotFound, 'no entry "x"', id="a config that is not there"),
        pytest.param({"manifest.json": b"[]"}, NotFound, "holds no image", id="no image"),
        pytest.param({"x": b""}, NotFound, "neither", id="a tar of something else"),
        pytest.param(old(parent=TOP), Invalid, "own ancestor", id="a layer that is its own parent"),
        pytest.param(old(parent="../../x"), Invalid, "hex", id="a parent out of the archive"),
        pytest.param(old(parent="c" * 64), NotFound, "no entry", id="a parent that is not there"),
        pytest.param(old(parent=1), Invalid, "parent", id="a parent that is no string"),
        pytest.param(old(id="d" * 64), Invalid, "its directory", id="an id that is not its directory's"),
        pytest.param({**old(), "repositories": b"[]"}, Invalid, "object", id="repositories that are no object"),
        pytest.param(
            {**old(), "repositories": b'{"a":[]}'},
            Invalid,
            "a: expected an object, found an array",
            id="tags that are no object",
        ),
        pytest.param(
            {**old(), "repositories": b'{"a":{"1":2}}'},
            Invalid,
            "1: expected a string, found a number",
            id="an ID that is no string",
        ),
        pytest.param({**old(), "repositories": b'{"a":{"1":"../x"}}'}, Invalid, "hex", id="an ID out of the archive"),
    ],
)
def test_broken_archives_are_refused(
    tmp_path: Path, files: dict[str, bytes | Link], error: type[ConverterError], text: str
) -> None:
    path = write_tar(tmp_path / "a.tar", files)
    with pytest.raises(error, match=text):
        manifest_at(path)


def test_two_different_tables_of_contents_are_refused(tmp_path: Path) -> None:
    files = classic()
    twice = [*files.items(), ("manifest.json", b"[]")]
    with pytest.raises(Invalid, match="two different"):
        source_at("docker-archive", write_tar(tmp_path / "a.tar", twice))


def test_an_archive_may_repeat_itself(tmp_path: Path) -> None:
    files = classic()
    assert manifest_at(write_tar(tmp_path / "a.tar", [*files.items(), *files.items()]))


class Counted(DirectoryMedium):
    """A directory that counts how many documents are read of it."""

    read = 0

    def read_document(self, name: str) -> bytes:
        self.read += 1
        return super().read_document(name)


def test_many_names_of_one_long_chain_are_found_in_linear_time(tmp_path: Path) -> None:
    ids = [f"{number:064x}" for number in range(300)]
    (tmp_path / "repositories").write_text(json.dumps({"a": dict(zip(ids, ids, strict=True))}))
    for below, layer in zip([None, *ids], ids, strict=False):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "json").write_text(json.dumps({"id": layer, "parent": below}))
    medium = Counted(tmp_path)
    assert len(tables.Chains(medium).images()) == 300
    assert medium.read == 1 + 300


def test_each_of_many_names_of_one_image_is_parsed_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = [f"app:{number}" for number in range(300)]
    path = write_tar(tmp_path / "a.tar", classic(tags=tags))
    parsed = parsed_names(monkeypatch)

    with source_at("docker-archive", path) as source:
        assert [source.resolve(name).annotations[REF_NAME] for name in source.names()] == [
            str(number) for number in range(300)
        ]
    assert len(parsed) < 10 * len(tags)


def several() -> dict[str, bytes | Link]:
    files = classic(tags=["app:1", "example.com/other:2"])
    row = json.loads(text_of(files, "manifest.json"))[0]
    files["two"] = config(created="2024-01-01T00:00:00Z")
    files["three"] = config(created="2025-01-01T00:00:00Z")
    rows = [row, {**row, "Config": "two", "RepoTags": None}, {**row, "Config": "three", "RepoTags": ["bare"]}]
    files["manifest.json"] = json.dumps(rows).encode()
    return files


@pytest.mark.parametrize(
    "name, want",
    [
        pytest.param("app:1", 0, id="as it is written"),
        pytest.param("docker.io/library/app:1", 0, id="in full"),
        pytest.param("index.docker.io/library/app:1", 0, id="with the old name of the host"),
        pytest.param("example.com/other:2", 0, id="the second name of an image"),
        pytest.param("bare", 2, id="a name without a tag"),
        pytest.param("bare:latest", 2, id="its tag, left out in the archive"),
        pytest.param("@1", 1, id="the position of an image without a name"),
        pytest.param("", None, id="no name for several images"),
        pytest.param("app", None, id="another tag"),
        pytest.param("@3", None, id="a position beyond the last"),
    ],
)
def test_one_of_several_images_is_found(tmp_path: Path, name: str, want: int | None) -> None:
    path = write_tar(tmp_path / "a.tar", several())
    configs = [config(), config(created="2024-01-01T00:00:00Z"), config(created="2025-01-01T00:00:00Z")]
    with source_at("docker-archive", path) as source:
        assert source.names() == ("app:1", "example.com/other:2", "@1", "bare")
    if want is None:
        with pytest.raises(NotFound):
            manifest_at(path, name)
    else:
        assert manifest_at(path, name)["config"]["digest"] == sha256(configs[want])


@pytest.mark.parametrize(
    "name, want",
    [
        ("", "docker.io/library/app:1"),
        ("example.com/other:2", "example.com/other:2"),
        ("@0", "docker.io/library/app:1"),
    ],
)
def test_the_root_says_its_name(tmp_path: Path, name: str, want: str) -> None:
    files = classic(tags=["app:1", "example.com/other:2"])
    with source_at("docker-archive", write_tar(tmp_path / "a.tar", files)) as source:
        assert source.resolve(name).annotations[FULL] == want


@pytest.mark.parametrize("named", [True, False])
def test_an_old_archive_becomes_a_schema_1_manifest(tmp_path: Path, named: bool) -> None:
    files = old((gzipped(FIRST), SECOND), named=named)
    with source_at("docker-archive", write_tar(tmp_path / "a.tar", files)) as source:
        assert source.names() == (("example.com/app:1",) if named else ("@0",))
        root = source.resolve("")
        document = json.loads(source.fetch(root).read())
        for data, media_type in ((gzipped(FIRST), GZIP), (SECOND, PLAIN)):
            layer = source.fetch(replace(Descriptor.of(data, GZIP), size=-1))
            assert layer.descriptor == Descriptor.of(data, media_type)
            assert layer.read() == data
    assert root.media_type == types.DOCKER_SCHEMA1
    assert document == {
        "schemaVersion": 1,
        "name": "example.com/app" if named else "",
        "tag": "1" if named else "",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": sha256(SECOND)}, {"blobSum": sha256(gzipped(FIRST))}],
        "history": [{"v1Compatibility": text_of(files, f"{layer}/json").decode()} for layer in (TOP, BASE)],
    }


def test_an_absent_foreign_layer_keeps_its_urls(tmp_path: Path) -> None:
    files = classic()
    row = json.loads(text_of(files, "manifest.json"))[0]
    far = Descriptor.of(b"packed", types.DOCKER_FOREIGN_GZIP).to_json() | {"urls": ["https://example.com/base"]}
    files["manifest.json"] = json.dumps([{**row, "LayerSources": {sha256(FIRST): far}}]).encode()
    del files[FIRST_NAME]
    with source_at("docker-archive", write_tar(tmp_path / "a.tar", files)) as source:
        document = json.loads(source.fetch(source.resolve("")).read())
        assert document["layers"][0] == far
        assert source.fetch(Descriptor.from_json(far)).absent


def rewritten(path: Path, **changes: bytes | None) -> Path:
    """The archive with some of its documents changed or left out; ``_json`` stands for ``.json``."""
    wanted = {name.replace("_", ".", 1) if "_" in name else name: data for name, data in changes.items()}
    files: list[tuple[str, bytes | Link]] = []
    with tarfile.open(path) as archive:
        for info in archive:
            file = archive.extractfile(info)
            data = wanted.get(info.name, b"" if file is None else file.read())
            if info.isfile() and data is not None:
                files.append((info.name, data))
    return write_tar(path, files)


@pytest.mark.parametrize("dialect", [OCI, DOCKER])
def test_the_manifest_survives_in_a_hybrid(tmp_path: Path, dialect: Dialect) -> None:
    store = MemoryStore()
    root = add_image(store, dialect)
    copy(store, root, sink_at("docker-archive", tmp_path / "a.tar"), "app:1")
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.resolve("app:1").bare() == root
        assert source.resolve("@0").digest == root.digest
        assert source.names() == ("app:1",)
    with source_at("oci-archive", tmp_path / "a.tar") as source:
        assert source.resolve("app:1").digest == root.digest


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(b'{"manifests":null}', id="an index without manifests"),
        pytest.param(b'{"schemaVersion":2,"manifests":null}', id="null manifests"),
        pytest.param(None, id="no index"),
    ],
)
def test_without_an_index_a_manifest_is_made(tmp_path: Path, index: bytes | None) -> None:
    store = MemoryStore()
    root = add_image(store)
    copy(store, root, sink_at("docker-archive", tmp_path / "a.tar"), "app:1")
    before = manifest_at(tmp_path / "a.tar")
    after = manifest_at(rewritten(tmp_path / "a.tar", index_json=index))
    assert after["mediaType"] == types.DOCKER_MANIFEST
    assert after["config"]["digest"] == before["config"]["digest"]
    assert [layer["digest"] for layer in after["layers"]] == [layer["digest"] for layer in before["layers"]]


def test_without_manifest_json_it_is_a_layout(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store)
    copy(store, root, sink_at("docker-archive", tmp_path / "a.tar"), "app:1")
    rewritten(tmp_path / "a.tar", manifest_json=None, repositories=None)
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("docker.io/library/app:1",)
        assert source.resolve("").digest == root.digest


def table(path: Path, name: str = "manifest.json") -> Any:
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return json.load(file)


@pytest.mark.parametrize(
    "data, label, told",
    [
        pytest.param(FIRST, types.OCI_LAYER_GZIP, types.OCI_LAYER, id="a plain layer called gzip"),
        pytest.param(FIRST, types.DOCKER_LAYER_GZIP, types.DOCKER_LAYER, id="a plain layer of Docker's called gzip"),
        pytest.param(gzipped(FIRST), types.OCI_LAYER, types.OCI_LAYER_GZIP, id="gzip called plain"),
        pytest.param(gzipped(FIRST), types.DOCKER_LAYER_GZIP, types.DOCKER_LAYER_GZIP, id="what is called right"),
        pytest.param(FIRST, types.DOCKER_FOREIGN_GZIP, types.DOCKER_FOREIGN, id="a foreign layer"),
    ],
)
def test_layer_sources_say_how_a_layer_is_packed_whatever_its_label(
    tmp_path: Path, data: bytes, label: str, told: str
) -> None:
    store = MemoryStore()
    dialect = DOCKER if "docker" in label else OCI
    root = add_image(store, dialect, tars=[FIRST])
    document = json.loads(store.blobs[root.digest])
    document["layers"] = [store.add(data, label).to_json()]
    mislabelled = store.add(json.dumps(document).encode(), root.media_type)
    copy(store, mislabelled, sink_at("docker-archive", tmp_path / "a.tar"), "app:1")
    assert table(tmp_path / "a.tar")[0]["LayerSources"][sha256(FIRST)]["mediaType"] == told


def test_what_is_written_for_the_engine(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store)
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        put_tree(store, root, sink)
        sink.name("docker.io/library/app:1", root)
        sink.name("app", root)
    row = table(tmp_path / "a.tar")[0]
    manifest = json.loads(store.blobs[root.digest])
    assert row["RepoTags"] == ["app:1", "app:latest"]
    assert row["Config"] == "blobs/sha256/" + manifest["config"]["digest"][7:]
    assert row["Layers"] == ["blobs/sha256/" + layer["digest"][7:] for layer in manifest["layers"]]
    assert row["LayerSources"] == dict(zip(map(sha256, LAYERS), manifest["layers"], strict=True))
    top = manifest["layers"][-1]["digest"][7:]
    assert table(tmp_path / "a.tar", "repositories") == {"app": {"1": top, "latest": top}}
    assert [entry["annotations"] for entry in table(tmp_path / "a.tar", "index.json")["manifests"]] == [
        {FULL: "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1"},
        {FULL: "docker.io/library/app:latest", "org.opencontainers.image.ref.name": "latest"},
    ]
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert {(info.mtime, info.uid, info.gid, info.uname) for info in archive} == {(0, 0, 0, "")}
        assert not [info for info in archive if info.issym() or info.islnk()]


def test_an_image_without_a_name_has_no_tags(tmp_path: Path) -> None:
    store = MemoryStore()
    copy(store, add_image(store), sink_at("docker-archive", tmp_path / "a.tar"))
    assert table(tmp_path / "a.tar")[0]["RepoTags"] is None
    assert table(tmp_path / "a.tar", "repositories") == {}


def test_an_index_without_a_name_comes_after_the_rows(tmp_path: Path) -> None:
    store = MemoryStore()
    root, images = add_platforms(store, "linux/amd64", "linux/arm64")
    copy(store, root, sink_at("docker-archive", tmp_path / "a.tar"))
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("@2",)
        assert [source.resolve(name).digest for name in ("", "@2", "@0")] == [
            root.digest,
            root.digest,
            images[0].digest,
        ]


def add_platforms(store: MemoryStore, *platforms: str, attested: bool = False) -> tuple[Descriptor, list[Descriptor]]:
    rows, images = [], []
    for number, text in enumerate(platforms):
        os, architecture = text.split("/")
        data = tar({f"only-{number}": b"x"})
        image = add_image(store, tars=[data], config={"os": os, "architecture": architecture}, name="")
        images.append(image)
        rows.append(replace(image, platform=Platform(os=os, architecture=architecture)).to_json())
    if attested:
        unknown = Platform(os="unknown", architecture="unknown")
        rows.append(replace(store.add(b'{"an":"attestation"}', types.OCI_MANIFEST), platform=unknown).to_json())
    return add_index(store, rows), images


@pytest.mark.parametrize(
    "platforms, best",
    [
        pytest.param(["linux/arm64", "linux/amd64"], 1, id="linux/amd64 where it is"),
        pytest.param(["linux/s390x", "linux/arm64"], 0, id="else the first"),
    ],
)
def test_an_index_keeps_its_digest_and_gives_its_name_to_one_image(
    tmp_path: Path, platforms: list[str], best: int
) -> None:
    store = MemoryStore()
    root, images = add_platforms(store, *platforms)
    copy(store, root, sink_at("docker-archive", tmp_path / "a.tar"), "app:1")
    assert [row["RepoTags"] for row in table(tmp_path / "a.tar")] == [
        ["app:1"] if number == best else None for number in range(2)
    ]
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("app:1",)
        assert source.resolve("").digest == root.digest
        assert source.resolve("app:1").digest == root.digest
        assert [source.resolve(f"@{number}").digest for number in range(2)] == [image.digest for image in images]
        assert set(contents(source)) >= {str(image.digest) for image in images}


def test_an_attestation_is_no_image(tmp_path: Path) -> None:
    store = MemoryStore()
    root, _ = add_platforms(store, "linux/amd64", attested=True)
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        for data in list(store.blobs.items()):
            media_type = types.OCI_INDEX if data[0] == root.digest else types.OCI_MANIFEST
            if b"rootfs" in data[1]:
                media_type = types.OCI_CONFIG
            sink.put((data[1],), media_type)
        sink.name("app:1", root)
    assert len(table(tmp_path / "a.tar")) == 1
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.resolve("app:1").digest == root.digest


def test_an_index_of_which_the_engine_saved_one_image(tmp_path: Path) -> None:
    store = MemoryStore()
    root, images = add_platforms(store, "linux/amd64", "linux/arm64")
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        put_tree(store, images[0], sink)
        sink.put((store.blobs[root.digest],), types.OCI_INDEX)
        sink.name("app:1", root)
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("app:1",)
        assert source.resolve("").digest == images[0].digest


def test_only_what_the_archive_lists_itself_has_a_name(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store)
    manifest = {**json.loads(store.blobs[root.digest]), "annotations": {"a": "b"}}
    other = store.add(dump_json(manifest), root.media_type)
    outer = add_index(store, [replace(other, annotations={REF_NAME: "app:1"}).to_json()])
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        for one in (root, outer):
            put_tree(store, one, sink)
        sink.name("app:1", root)
    listed = [outer.to_json(), *table(tmp_path / "a.tar", "index.json")["manifests"]]
    rewritten(tmp_path / "a.tar", index_json=dump_json({"schemaVersion": 2, "manifests": listed}))
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.resolve("app:1").digest == root.digest


def test_indexes_that_name_one_another_often_are_read_once(tmp_path: Path) -> None:
    store = MemoryStore()
    outer = inner = add_platforms(store, "linux/amd64")[0]
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        put_tree(store, inner, sink)
        sink.name("app:1", inner)
        for _ in range(6):
            outer = add_index(store, [outer.to_json()] * 50)
            sink.put((store.blobs[outer.digest],), types.OCI_INDEX)
    rewritten(tmp_path / "a.tar", index_json=dump_json({"schemaVersion": 2, "manifests": [outer.to_json()]}))
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.resolve("app:1").digest == outer.digest


@pytest.mark.parametrize(
    "differing",
    [
        pytest.param(lambda number: {}, id="as before"),
        pytest.param(lambda number: {"annotations": {REF_NAME: str(number)}}, id="under another name"),
        pytest.param(lambda number: {"platform": {"os": str(number), "architecture": "x"}}, id="for another platform"),
    ],
)
def test_an_index_that_is_listed_again_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differing: Callable[[int], dict[str, Any]]
) -> None:
    store, fetched = MemoryStore(), list[Descriptor]()
    index = add_platforms(store, "linux/amd64", "linux/arm64")[0]
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        put_tree(store, index, sink)
        sink.name("app:1", index)
    listed = [index.to_json() | differing(number) for number in range(100)]
    rewritten(tmp_path / "a.tar", index_json=dump_json({"schemaVersion": 2, "manifests": listed}))

    def recorded(medium: Medium, descriptor: Descriptor) -> Known:
        fetched.append(descriptor)
        return fetch_blob(medium, descriptor)

    monkeypatch.setattr(docker_archive, "fetch_blob", recorded)
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        source.names()
    assert len(fetched) < len(listed)


def test_several_images_in_one_archive(tmp_path: Path) -> None:
    store = MemoryStore()
    one = add_image(store)
    two = add_image(store, DOCKER, tars=LAYERS[:1])
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        for name, root in (("app:1", one), ("db:1", two)):
            put_tree(store, root, sink)
            sink.name(name, root)
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("app:1", "db:1")
        assert [source.resolve(name).digest for name in source.names()] == [one.digest, two.digest]
        with pytest.raises(NotFound, match=r"app:1, db:1"):
            source.resolve("")


def test_attachments_stay_in_the_index(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store)
    signature = add_image(store, manifest={"annotations": {"a": "signature"}}, name="")
    tag = f"sha256-{root.digest.encoded}.sig"
    with sink_at("docker-archive", tmp_path / "a.tar") as sink:
        put_tree(store, root, sink)
        put_tree(store, signature, sink)
        sink.name("app:1", root)
        sink.attach(Attachment(subject=root.digest, descriptor=signature, tag=tag))
    assert len(table(tmp_path / "a.tar")) == 1
    with source_at("docker-archive", tmp_path / "a.tar") as source:
        assert source.names() == ("app:1",)
        assert [(each.descriptor.digest, each.tag) for each in source.attachments(root.digest)] == [
            (signature.digest, tag)
        ]


@pytest.mark.parametrize("name", ["App:1", "app@sha256:" + "0" * 64, "a b", "app:\x1b"])
def test_names_the_engine_cannot_hold(tmp_path: Path, name: str) -> None:
    store = MemoryStore()
    with pytest.raises((Invalid, Unsupported)):
        copy(store, add_image(store), sink_at("docker-archive", tmp_path / "a.tar"), name)
    assert not list(tmp_path.iterdir())


def test_layers_and_diff_ids_must_be_as_many(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store)
    document = json.loads(store.blobs[root.digest])
    short = store.add(json.dumps({**document, "layers": document["layers"][:1]}).encode(), types.OCI_MANIFEST)
    with pytest.raises(Invalid, match="1 layers and 2 diff_ids"):
        copy(store, short, sink_at("docker-archive", tmp_path / "a.tar"))
    assert not list(tmp_path.iterdir())


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    files = classic()
    path = write_tar(tmp_path / "a.tar", files)
    info = tarfile.TarInfo("manifest.json")
    info.size = 3
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "manifest.json"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"[]\n"))
    with pytest.raises(Invalid):
        source_at("docker-archive", path)
