"""Docker and OCI manifests: read into the neutral model and written back, in their own dialect and in the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from converter import formats
from converter.errors import Invalid, NotFound, Unsupported
from converter.formats import docker, oci
from converter.formats.container_config import unknown_members
from converter.formats.manifest import ZSTD_INSTANCE, choose_compression
from converter.model import media_types as types
from converter.model.content import GZIP, KEEP, ZSTD, Compression, Derived, Known, Layer, known_bytes
from converter.model.descriptor import Descriptor
from converter.model.image import Artifact, Image, Index, Item
from converter.model.platform import Platform
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Copy, Made, Make, Node, Write, forecast, leaves_below
from converter.ports import Format
from converter.streams.squash import Flatten
from converter.transform import Read, one_platform, read_whole_index
from tests.builders import CONFIG, DOCKER, LAYERS, OCI, Dialect, add_image, add_index, gzipped
from tests.builders.memory import MemorySource, MemoryStore

ANY: frozenset[str] = frozenset()
GZIP_6 = Compression("gzip", 6)
NO_ZSTD = "the target takes no zstd layers"
DIALECTS = [pytest.param(OCI, oci, id="oci"), pytest.param(DOCKER, docker, id="docker")]


def decoded(store: MemoryStore, name: str = "app:1") -> Item:
    source = MemorySource(store)
    return formats.decode(source.fetch(source.resolve(name)), source.fetch)


def reading(store: MemoryStore) -> Read:
    """What reads what an index names."""
    source = MemorySource(store)
    return lambda descriptor: formats.decode(source.fetch(descriptor), source.fetch)


def image(store: MemoryStore) -> Image:
    item = decoded(store)
    assert isinstance(item, Image)
    return item


def rendered(node: Node) -> bytes:
    """The document of a node without holes."""
    assert isinstance(node, Write)
    made = [forecast(child).made for child in node.inputs]
    return node.render(tuple(one for one in made if one is not None))


@pytest.mark.parametrize("dialect, own", DIALECTS)
def test_an_image_that_nobody_changed_keeps_its_bytes(dialect: Dialect, own: Format) -> None:
    store = MemoryStore()
    root = add_image(store, dialect)
    plan = own.encode(image(store), ANY, DEFAULTS)
    assert rendered(plan) == store.blobs[root.digest]
    made = forecast(plan).made
    assert made is not None
    assert made.descriptor == root
    assert all(isinstance(leaf, Copy) for leaf in leaves_below(plan))


@pytest.mark.parametrize("dialect, own", DIALECTS)
def test_planning_reads_the_manifest_as_often_however_many_layers_there_are(dialect: Dialect, own: Format) -> None:
    def reads(layers: int) -> int:
        store = MemoryStore()
        add_image(store, dialect, tars=[b"%d" % number for number in range(layers)])
        item, count = image(store), 0

        def opened() -> Iterator[bytes | memoryview]:
            nonlocal count
            count += 1
            yield from manifest.blocks()

        assert item.original is not None
        manifest = item.original.manifest
        counting = Known(descriptor=manifest.descriptor, raw=opened)
        own.encode(replace(item, original=replace(item.original, manifest=counting)), ANY, DEFAULTS)
        return count

    assert reads(20) == reads(1) > 0


@pytest.mark.parametrize(
    "before, after, target",
    [pytest.param(OCI, DOCKER, docker, id="oci to docker"), pytest.param(DOCKER, OCI, oci, id="docker to oci")],
)
def test_the_other_dialect_gets_the_same_config_and_the_same_blobs(
    before: Dialect, after: Dialect, target: Format
) -> None:
    store = MemoryStore()
    root = add_image(store, before)
    was = json.loads(store.blobs[root.digest])
    document = json.loads(rendered(target.encode(image(store), ANY, DEFAULTS)))
    assert document["mediaType"] == after.manifest
    assert document["config"] == {**was["config"], "mediaType": after.config}
    assert document["layers"] == [{**layer, "mediaType": after.layer} for layer in was["layers"]]


def test_the_way_back_from_the_other_dialect_is_the_same_image() -> None:
    store = MemoryStore()
    add_image(store, DOCKER)
    first = image(store)
    other = MemoryStore(blobs=store.blobs)
    other.named["app:1"] = other.add(rendered(oci.encode(first, ANY)), types.OCI_MANIFEST)
    back = image(other)
    assert replace(back, original=None, layers=()) == replace(first, original=None, layers=())


def test_what_no_specification_names_is_kept_as_foreign() -> None:
    store = MemoryStore()
    add_image(store)
    assert unknown_members(image(store)) == {"docker_version": "26.1.5", "config": {"Hostname": "builder"}}


def test_an_edit_changes_its_member_and_no_other() -> None:
    store = MemoryStore()
    add_image(store, OCI)
    before = image(store)
    after = replace(before, config=replace(before.config, cmd=("--other",)))
    plan = oci.encode(after, ANY)
    assert isinstance(plan, Write)
    config = json.loads(rendered(plan.inputs[0]))
    assert before.original is not None
    assert before.original.config is not None
    was = json.loads(before.original.config.read())
    assert config == {**was, "config": {**was["config"], "Cmd": ["--other"]}}


def test_a_config_is_read_in_any_case_as_the_engine_reads_it() -> None:
    store = MemoryStore()
    root = add_image(store, DOCKER, config={"OS": "linux", "architecture": "arm", "config": {"env": ["A=b"], "x": 1}})
    before = image(store)
    assert (before.platform.os, before.config.env) == ("linux", ("A=b",))
    assert rendered(docker.encode(before, ANY)) == store.blobs[root.digest]
    plan = docker.encode(replace(before, config=replace(before.config, env=("A=c",))), ANY)
    assert isinstance(plan, Write)
    assert json.loads(rendered(plan.inputs[0]))["config"] == {"Env": ["A=c"], "x": 1}


def test_recompression_keeps_the_image_id_and_leaves_the_root_open() -> None:
    store = MemoryStore()
    add_image(store, OCI)
    plan = oci.encode(image(store), ANY, Settings(compress=ZSTD))
    assert isinstance(plan, Write)
    assert forecast(plan).made is None
    made = forecast(plan.inputs[0]).made
    before = image(store).original
    assert made is not None
    assert before is not None
    assert before.config is not None
    assert made.descriptor.digest == before.config.descriptor.digest
    assert {leaf.media_type for leaf in leaves_below(plan)} == {types.OCI_LAYER_ZSTD}


def test_recompression_drops_the_annotations_that_speak_of_compressed_bytes() -> None:
    store = MemoryStore()
    annotations = {
        "org.example.kept": "yes",
        "containerd.io/snapshot/stargz/toc.digest": "sha256:0",
        "io.containers.zstd-chunked.manifest-position": "1:2:3:1",
        "io.github.containers.zstd-chunked.manifest-checksum": "sha256:0",
    }
    root = add_image(store, OCI, tars=LAYERS[:1])
    document = json.loads(store.blobs[root.digest])
    document["layers"][0]["annotations"] = annotations
    store.named["app:1"] = store.add(json.dumps(document).encode(), types.OCI_MANIFEST)
    plan = oci.encode(image(store), ANY, Settings(compress=ZSTD))
    assert isinstance(plan, Write)
    config, blob = forecast(plan.inputs[0]).made, plan.inputs[1]
    assert config is not None
    assert isinstance(blob, Make)
    row = json.loads(plan.render((config, replace(config, diff_id=None))))["layers"][0]
    assert row["annotations"] == {"org.example.kept": "yes"}


@pytest.mark.parametrize(
    "codec, told",
    [
        pytest.param(None, {"x": "y", ZSTD_INSTANCE: "true"}, id="zstd, which nobody changed"),
        pytest.param(GZIP, {"x": "y"}, id="gzip, packed from zstd"),
    ],
)
def test_an_index_says_that_an_image_is_of_zstd(codec: Compression | None, told: Mapping[str, str]) -> None:
    store = MemoryStore()
    zstd = Dialect(types.OCI_MANIFEST, types.OCI_CONFIG, types.OCI_LAYER_ZSTD, types.OCI_INDEX)
    first = add_image(store, zstd, tars=LAYERS[:1], name="")
    add_index(store, [{**first.to_json(), "annotations": {"x": "y", ZSTD_INSTANCE: "true"}}])
    item = read_whole_index(decoded(store), reading(store))
    plan = oci.encode(item, ANY, Settings(compress=codec))
    assert isinstance(plan, Write)
    made = forecast(plan.inputs[0]).made or Made(descriptor=Descriptor.of(b"new", types.OCI_MANIFEST))
    assert json.loads(plan.render((made,)))["manifests"][0]["annotations"] == told


@pytest.mark.parametrize(
    "layer, asked, target, compression, reason",
    [
        pytest.param("gzip", None, "takes it", None, "", id="what the target takes is kept"),
        pytest.param("gzip", GZIP, "takes it", None, "", id="the codec that is asked for is kept"),
        pytest.param("gzip", GZIP_6, "takes it", GZIP_6, "gzip:6 was asked for", id="but not for a level"),
        pytest.param("gzip", ZSTD, "takes it", ZSTD, "zstd was asked for", id="another codec is asked for"),
        pytest.param("none", ZSTD, "takes none", ZSTD, "zstd was asked for", id="what is asked for comes first"),
        pytest.param("zstd", None, "takes none", GZIP, NO_ZSTD, id="the target takes no zstd"),
        pytest.param("zstd", KEEP, "takes none", GZIP, NO_ZSTD, id="even if it is to be kept"),
        pytest.param("none", None, "takes it", None, "", id="a plain tar is kept"),
        pytest.param("unpacked", None, "takes it", GZIP, "the source keeps layers unpacked", id="not an unpacked one"),
        pytest.param("absent", ZSTD, "takes none", None, "", id="what is not here is kept"),
        pytest.param("squashed", None, "takes it", GZIP, "", id="a new layer is compressed as it was made"),
        pytest.param("squashed", ZSTD, "takes it", ZSTD, "", id="or as is asked for"),
    ],
)
def test_a_layer_is_kept_or_compressed_anew(
    layer: str, asked: Compression | None, target: str, compression: Compression | None, reason: str
) -> None:
    stated = {"gzip": types.OCI_LAYER_GZIP, "zstd": types.OCI_LAYER_ZSTD}.get(layer, types.OCI_LAYER)
    given = Layer(content=replace(known_bytes(b"", stated), absent=layer == "absent"))
    if layer == "squashed":
        given = Layer(content=Derived(inputs=(given, given), rewrite=Flatten(), compression=GZIP))
    chosen = choose_compression(given, asked, unpacked=layer == "unpacked", taken=target == "takes it")
    if compression is None:
        assert chosen is given
    else:
        assert isinstance(chosen.content, Derived)
        assert (chosen.content.compression, chosen.content.reason) == (compression, reason)


def test_docker_gets_gzip_for_zstd_unless_the_target_takes_it() -> None:
    store = MemoryStore()
    zstd = Dialect(types.OCI_MANIFEST, types.OCI_CONFIG, types.OCI_LAYER_ZSTD, types.OCI_INDEX)
    add_image(store, zstd)
    assert {leaf.media_type for leaf in leaves_below(docker.encode(image(store), ANY))} == {types.DOCKER_LAYER_GZIP}
    takes = frozenset((types.DOCKER_LAYER_ZSTD,))
    assert {leaf.media_type for leaf in leaves_below(docker.encode(image(store), takes))} == {types.DOCKER_LAYER_ZSTD}


def test_zstd_that_is_asked_for_is_refused_where_not_every_reader_knows_it() -> None:
    store = MemoryStore()
    add_image(store)
    zstd = Settings(compress=ZSTD)
    with pytest.raises(Unsupported, match=r"layer\[0\]: Docker manifests cannot hold zstd layers: use --to oci"):
        docker.encode(image(store), ANY, zstd)
    with pytest.raises(Unsupported, match=r"layer\[0\]: the target does not take zstd layers: use --compress gzip"):
        oci.encode(image(store), frozenset((types.OCI_LAYER_GZIP,)), zstd)
    takes = frozenset((types.DOCKER_LAYER_ZSTD,))
    plan = docker.encode(image(store), takes, zstd)
    assert {leaf.media_type for leaf in leaves_below(plan)} == {types.DOCKER_LAYER_ZSTD}


BROKEN: list[Any] = [
    pytest.param({"rootfs": {"type": "layers", "diff_ids": []}}, "0 diff_ids for 2 layers", id="too few diff_ids"),
    pytest.param({"history": [{"created_by": "one"}]}, "1 steps of history made a layer", id="too little history"),
]


@pytest.mark.parametrize("change, message", BROKEN)
@pytest.mark.parametrize("dialect, own", DIALECTS)
def test_a_config_that_does_not_fit_its_manifest_is_refused(
    dialect: Dialect, own: Format, change: dict[str, Any], message: str
) -> None:
    store = MemoryStore()
    root = add_image(store, dialect)
    document = json.loads(store.blobs[root.digest])
    digest = document["config"]["digest"]
    config = json.loads(next(data for key, data in store.blobs.items() if str(key) == digest)) | change
    document["config"] = store.add(json.dumps(config).encode(), dialect.config).to_json()
    store.named["app:1"] = store.add(json.dumps(document).encode(), dialect.manifest)
    with pytest.raises(Invalid, match=message):
        decoded(store)


def test_a_manifest_that_could_be_read_as_another_kind_is_refused() -> None:
    store = MemoryStore()
    add_image(store, OCI, manifest={"manifests": []})
    with pytest.raises(Invalid):
        decoded(store)


def test_a_missing_media_type_is_legal() -> None:
    store = MemoryStore()
    root = add_image(store, OCI)
    document = json.loads(store.blobs[root.digest])
    del document["mediaType"]
    store.named["app:1"] = store.add(json.dumps(document).encode(), "")
    assert isinstance(decoded(store), Image)


@pytest.mark.parametrize(
    "config_data, layer_type, told",
    [
        pytest.param(
            json.dumps(CONFIG).encode(),
            "application/vnd.in-toto+json",
            r'a layer of the type "application/vnd.in-toto\+json"',
            id="a layer that is none",
        ),
        pytest.param(b"{}", types.OCI_LAYER_GZIP, "an empty configuration", id="the tables of contents of eStargz"),
    ],
)
def test_an_artifact_is_carried_by_oci_and_refused_by_docker(config_data: bytes, layer_type: str, told: str) -> None:
    store = MemoryStore()
    blob = store.add(b"a layer", layer_type)
    config = store.add(config_data, types.OCI_CONFIG)
    body = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [blob.to_json()],
    }
    root = store.named["app:1"] = store.add(json.dumps(body).encode(), types.OCI_MANIFEST)
    item = decoded(store)
    assert isinstance(item, Artifact)
    assert rendered(oci.encode(item, ANY)) == store.blobs[root.digest]
    with pytest.raises(Unsupported, match=f"cannot hold an image with {told}: add --to oci"):
        docker.encode(item, ANY)


@pytest.mark.parametrize(
    "dialect, expected",
    [
        pytest.param(DOCKER, Image, id="an image of an old engine"),
        pytest.param(OCI, Artifact, id="an artifact of nobody knows what"),
    ],
)
def test_a_configuration_of_octets_is(dialect: Dialect, expected: type) -> None:
    store = MemoryStore()
    document = json.loads(store.blobs[add_image(store, dialect).digest])
    document["config"]["mediaType"] = "application/octet-stream"
    store.named["app:1"] = store.add(json.dumps(document).encode(), document["mediaType"])

    assert type(decoded(store)) is expected


@pytest.mark.parametrize("dialect, _", DIALECTS)
def test_an_index_may_list_what_is_no_document(dialect: Dialect, _: Format) -> None:
    """As BuildKit's cache does (image-spec 1.1.1, image-index.md: unknown media types are no error)."""
    store = MemoryStore()
    rows = [store.add(b"\x1f\x8b", dialect.layer), store.add(b"{}", "application/vnd.buildkit.cacheconfig.v0")]
    root = add_index(store, [row.to_json() for row in rows], dialect)
    plan = formats.encode_mixed(read_whole_index(decoded(store), reading(store)), ANY)
    assert rendered(plan) == store.blobs[root.digest]
    assert [(leaf.media_type, forecast(leaf).made) for leaf in leaves_below(plan)] == [
        (row.media_type, Made(descriptor=row)) for row in rows
    ]
    with pytest.raises(NotFound, match=r"no image for linux/amd64 .*available: none"):
        one_platform(decoded(store), Platform(os="linux", architecture="amd64"), reading(store))


@pytest.mark.parametrize("dialect, own", DIALECTS)
def test_an_index_that_nobody_changed_keeps_its_bytes(dialect: Dialect, own: Format) -> None:
    store = MemoryStore()
    first = add_image(store, dialect, name="")
    root = add_index(
        store, [{**first.to_json(), "platform": {"os": "linux", "architecture": "amd64"}, "x-extra": 1}], dialect
    )
    item = decoded(store)
    assert isinstance(item, Index)
    source = MemorySource(store)
    whole = replace(
        item,
        entries=tuple(
            replace(entry, item=formats.decode(source.fetch(entry.descriptor), source.fetch)) for entry in item.entries
        ),
    )
    assert rendered(own.encode(whole, ANY, DEFAULTS)) == store.blobs[root.digest]


def test_a_layer_that_is_not_there_is_an_error() -> None:
    store = MemoryStore()
    add_image(store, OCI)
    del store.blobs[next(key for key, data in store.blobs.items() if data == gzipped(LAYERS[0]))]
    with pytest.raises(NotFound):
        decoded(store)
