from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from converter.cache import VerifiedCache
from converter.errors import Invalid, Unsupported
from converter.execute import Threads
from converter.formats import docker, docker_v1, oci
from converter.formats.container_config import unknown_members
from converter.model import media_types as types
from converter.model.content import Known, known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object, signed_payload
from converter.model.image import History, Image
from converter.model.platform import Platform
from converter.plan import forecast
from converter.streams.workers import Workers
from tests.builders.memory import MemorySink, MemoryStore
from tests.strategies.tar import File, archive

BASE, MIDDLE, TOP = "a" * 64, "b" * 64, "c" * 64
EMPTY = str(docker_v1.EMPTY_LAYER)


def blob(text: str) -> Known:
    return known_bytes(gzip.compress(archive([File(text)]), mtime=0), types.DOCKER_LAYER_GZIP)


FIRST, SECOND = blob("first"), blob("second")
STORE = {known.descriptor.digest: known for known in (FIRST, SECOND)}


def fetch(descriptor: Descriptor) -> Known:
    assert descriptor.size == -1
    return STORE[descriptor.digest]


def step(id_: str, parent: str = "", **more: Any) -> dict[str, Any]:
    return {"id": id_} | ({"parent": parent} if parent else {}) | more


def manifest(*steps: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A manifest of steps, newest first, as they stand in it."""
    return {
        "schemaVersion": 1,
        "name": "library/app",
        "tag": "1.0",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest} for digest, _ in steps],
        "history": [{"v1Compatibility": json.dumps(compatibility)} for _, compatibility in steps],
    } | more


def root(document: dict[str, Any]) -> Known:
    return known_bytes(json.dumps(document, indent=3).encode(), types.DOCKER_SCHEMA1)


def signed(document: dict[str, Any]) -> bytes:
    """The document with one signature inside, in libtrust's form. The signature itself is none."""
    text = json.dumps(document, indent=3).encode()
    head = text.removesuffix(b"\n}")
    header = {"formatLength": len(head), "formatTail": base64.urlsafe_b64encode(b"\n}").decode().rstrip("=")}
    protected = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    row = {"header": {"alg": "ES256"}, "signature": "AAAA", "protected": protected}
    return head + b',\n   "signatures": [' + json.dumps(row).encode() + b"]\n}"


TOP_CONFIG = {
    "architecture": "arm64",
    "os": "linux",
    "author": "somebody",
    "created": "2016-09-23T23:20:45.789Z",
    "docker_version": "1.12.1",
    "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ", 'CMD ["run"]']},
    "config": {"Cmd": ["run"], "Hostname": "383850eeb47b", "ExposedPorts": {"80/tcp": {}}},
    "Size": 17,
    "layer_id": "sha256:1",
    "parent_id": "sha256:2",
    "unknown": {"kept": True},
}
DOCUMENT = manifest(
    (EMPTY, step(TOP, MIDDLE, throwaway=True, **TOP_CONFIG)),
    (str(SECOND.descriptor.digest), step(MIDDLE, BASE, container_config={"Cmd": ["make", "it"]}, comment="built")),
    (str(FIRST.descriptor.digest), step(BASE, created="2016-01-01T00:00:00Z")),
)


def test_the_layers_are_base_first_without_the_throwaway_ones() -> None:
    image = docker_v1.decode(root(DOCUMENT), fetch)
    assert [layer.content for layer in image.layers] == [FIRST, SECOND]
    assert all(layer.diff_id is None for layer in image.layers)


def test_the_history_is_base_first_and_marks_what_made_no_layer() -> None:
    image = docker_v1.decode(root(DOCUMENT), fetch)
    assert image.history == (
        History(created="2016-01-01T00:00:00Z"),
        History(created_by="make it", comment="built"),
        History(
            created="2016-09-23T23:20:45.789Z",
            created_by='/bin/sh -c #(nop)  CMD ["run"]',
            author="somebody",
            empty_layer=True,
        ),
    )


def test_the_configuration_is_that_of_the_newest_step_without_its_place_in_the_chain() -> None:
    image = docker_v1.decode(root(DOCUMENT), fetch)
    dropped = {"Size", "layer_id", "parent_id"}
    assert unknown_members(image) == {key: value for key, value in TOP_CONFIG.items() if key not in dropped}
    assert (image.platform, image.created, image.author) == (
        Platform(os="linux", architecture="arm64"),
        "2016-09-23T23:20:45.789Z",
        "somebody",
    )
    assert (image.config.cmd, image.config.exposed_ports) == (("run",), ("80/tcp",))


def test_the_platform_of_an_old_image_is_that_of_the_manifest() -> None:
    image = docker_v1.decode(root(manifest((EMPTY, step(BASE)), architecture="arm")), fetch_any)
    assert image.platform == Platform(os="linux", architecture="arm")


def fetch_any(descriptor: Descriptor) -> Known:
    return known_bytes(b"", descriptor.media_type)


def ids(*pairs: tuple[str, str]) -> dict[str, Any]:
    return manifest(*((EMPTY, step(id_, parent)) for id_, parent in pairs))


@pytest.mark.parametrize(
    "document, count",
    [
        pytest.param(ids((BASE, "")), 1, id="a base alone"),
        pytest.param(ids((MIDDLE, BASE), (BASE, "")), 2, id="a layer on a base"),
        pytest.param(ids((MIDDLE, BASE), (MIDDLE, BASE), (BASE, "")), 2, id="an ID twice in a row is one layer"),
        pytest.param(ids((BASE, ""), (BASE, ""), (BASE, "")), 1, id="a base three times in a row is one layer"),
    ],
)
def test_a_chain_is_accepted(document: dict[str, Any], count: int) -> None:
    assert len(docker_v1.decode(root(document), fetch_any).history) == count


def test_of_two_rows_with_one_id_the_older_stays() -> None:
    older, newer = step(MIDDLE, BASE, comment="older"), step(MIDDLE, BASE, comment="newer")
    first, second = str(FIRST.descriptor.digest), str(SECOND.descriptor.digest)
    document = manifest((EMPTY, newer), (first, older), (second, step(BASE)))

    image = docker_v1.decode(root(document), fetch)

    assert [layer.content for layer in image.layers] == [SECOND, FIRST]
    assert [each.comment for each in image.history] == ["", "older"]


@pytest.mark.parametrize(
    "document, fact",
    [
        pytest.param(manifest(), "/fsLayers: the array is empty", id="no layer"),
        pytest.param(ids((BASE, "")) | {"history": []}, "/history: the array is empty", id="no history"),
        pytest.param(
            ids((BASE, "")) | {"history": ids((TOP, BASE), (BASE, ""))["history"]},
            "2 steps of history for 1 layers",
            id="more history than layers",
        ),
        pytest.param(ids((BASE, "")) | {"fsLayers": None}, '"fsLayers" is missing', id="null for the layers"),
        pytest.param(ids((BASE, TOP)), f'parent is "{TOP}": expected ""', id="a base with a parent"),
        pytest.param(
            ids((TOP, MIDDLE), (BASE, "")), f'is "{MIDDLE}": expected "{BASE}"', id="a parent that is not the next"
        ),
        pytest.param(
            ids((TOP, TOP), (TOP, MIDDLE), (BASE, "")),
            f'/history/1/v1Compatibility: parent is "{MIDDLE}"',
            id="a parent that is not the next, behind an ID twice in a row",
        ),
        pytest.param(ids((TOP, ""), (BASE, "")), 'is "": expected', id="no parent where one must be"),
        pytest.param(ids((BASE, MIDDLE), (MIDDLE, BASE), (BASE, "")), "is used again", id="an ID that comes again"),
        pytest.param(ids(("A" * 64, "")), "64 lower-case hex digits", id="an ID in upper case"),
        pytest.param(ids(("../../x", "")), "64 lower-case hex digits", id="an ID that is a path"),
        pytest.param(manifest(("sha256:1", step(BASE))), "64 lower-case hex digits", id="a short digest"),
        pytest.param(
            ids((BASE, "")) | {"fsLayers": [{}]}, '/fsLayers/0: "blobSum" is missing', id="a layer without a digest"
        ),
        pytest.param(ids((BASE, "")) | {"history": [{}]}, '"v1Compatibility" is missing', id="a row without its text"),
        pytest.param(
            ids((BASE, "")) | {"history": [{"v1Compatibility": '{"id":"1","id":"2"}'}]},
            "duplicate key",
            id="a duplicate key inside the text",
        ),
        pytest.param(
            manifest((EMPTY, step(BASE, Throwaway=True))), 'expected "throwaway"', id="a member that only Go would know"
        ),
    ],
)
def test_what_is_no_chain_is_refused(document: dict[str, Any], fact: str) -> None:
    with pytest.raises(Invalid, match=fact):
        docker_v1.decode(root(document), fetch_any)


def test_what_is_signed_is_the_document_without_its_signatures() -> None:
    unsigned = json.dumps(DOCUMENT, indent=3).encode()
    assert signed_payload(signed(DOCUMENT)) == unsigned
    assert signed_payload(unsigned) == unsigned


def protected(**header: Any) -> list[dict[str, str]]:
    return [{"protected": base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")}]


@pytest.mark.parametrize(
    "signatures",
    [
        pytest.param(1, id="a number"),
        pytest.param([], id="an empty list"),
        pytest.param([1], id="a list of numbers"),
        pytest.param([{}], id="a signature without a protected header"),
        pytest.param([{"protected": "!"}], id="a header that is not base64url"),
        pytest.param(protected(formatLength=5), id="a header without a tail"),
        pytest.param(protected(formatLength=True, formatTail="fQ"), id="a length that is a boolean"),
        pytest.param(protected(formatLength=-1, formatTail="fQ"), id="a negative length"),
        pytest.param(protected(formatLength=10**6, formatTail="fQ"), id="a length beyond the file"),
        pytest.param(
            protected(formatLength=1, formatTail="fQ") + protected(formatLength=2, formatTail="fQ"),
            id="two signatures of two payloads",
        ),
    ],
)
def test_broken_signatures_have_no_payload(signatures: Any) -> None:
    document = DOCUMENT | {"signatures": signatures}
    with pytest.raises(Invalid):
        signed_payload(json.dumps(document).encode())
    with pytest.raises(Invalid):
        docker_v1.decode(known_bytes(json.dumps(document).encode(), types.DOCKER_SCHEMA1_SIGNED), fetch)


def test_an_image_that_nobody_changed_is_written_byte_for_byte() -> None:
    source = known_bytes(signed(DOCUMENT), types.DOCKER_SCHEMA1_SIGNED)
    image = docker_v1.decode(source, fetch)
    named = replace(image, notes=replace(image.notes, name="docker.io/library/app:1.0"))
    for each in (image, named):
        made = forecast(docker_v1.encode(each, frozenset())).made
        assert made is not None
        assert made.descriptor == source.descriptor
    assert list(docker_v1.losses(image)) == []


def test_the_empty_layer_is_known_by_heart() -> None:
    assert hashlib.sha256(docker_v1.EMPTY_LAYER_BYTES).hexdigest() == docker_v1.EMPTY_LAYER.encoded
    assert gzip.decompress(docker_v1.EMPTY_LAYER_BYTES) == bytes(1024)


def changed(image: Image) -> Image:
    return replace(image, author="somebody else")


def without_a_layer(image: Image) -> Image:
    return replace(image, layers=image.layers[:1])


def of_another_format(image: Image) -> Image:
    assert image.original is not None
    return replace(image, original=replace(image.original, format="oci"))


@pytest.mark.parametrize("edit", [changed, without_a_layer, of_another_format])
def test_nothing_new_is_written(edit: Any) -> None:
    with pytest.raises(Unsupported):
        docker_v1.encode(edit(docker_v1.decode(root(DOCUMENT), fetch)), frozenset())


def test_a_target_that_does_not_take_schema_1_is_refused_up_front() -> None:
    image = docker_v1.decode(root(DOCUMENT), fetch)
    with pytest.raises(Unsupported, match="cannot hold a manifest of type"):
        docker_v1.encode(image, frozenset({types.OCI_MANIFEST}))


def test_a_manifest_is_read_the_same_twice() -> None:
    assert docker_v1.decode(root(DOCUMENT), fetch) == docker_v1.decode(root(DOCUMENT), fetch)
    assert load_object(root(DOCUMENT).read())["tag"] == "1.0"


def test_its_configuration_is_written_as_docker_writes_it() -> None:
    """Members sorted, history as Go's structure has it, HTML escaped: the image has the ID that Docker gives it."""
    top = {"os": "linux", "author": "<a> & b", "architecture": "arm64", "created": "2016-09-23T23:20:45.789Z", "b": "ä"}
    document = manifest((str(FIRST.descriptor.digest), step(BASE, comment="c", config={"Cmd": ["run"]}, **top)))
    store = MemoryStore()
    with MemorySink(store) as sink, Workers(1) as workers:
        execution = Threads(sink, workers, VerifiedCache(), jobs=1)
        made = execution.run([docker.encode(docker_v1.decode(root(document), fetch), frozenset())])[0].done
    config = load_object(store.blobs[made.descriptor.digest])["config"]["digest"]

    assert store.blobs[Digest.parse(config)].decode() == (
        r'{"architecture":"arm64","author":"\u003ca\u003e \u0026 b","b":"ä","comment":"c","config":{"Cmd":["run"]},'
        r'"created":"2016-09-23T23:20:45.789Z","history":[{"created":"2016-09-23T23:20:45.789Z",'
        r'"author":"\u003ca\u003e \u0026 b","comment":"c"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["'
        + str(Digest.of(archive([File("first")])))
        + '"]}}'
    )


def test_it_becomes_a_docker_and_an_oci_image() -> None:
    image = docker_v1.decode(root(DOCUMENT), fetch)
    for target in (docker, oci):
        store = MemoryStore()
        with MemorySink(store) as sink, Workers(1) as workers:
            execution = Threads(sink, workers, VerifiedCache(), jobs=1)
            made = execution.run([target.encode(image, frozenset())])[0].done
        written = load_object(store.blobs[made.descriptor.digest])
        config = load_object(store.blobs[Digest.parse(written["config"]["digest"])])
        assert [row["digest"] for row in written["layers"]] == [
            str(layer.descriptor.digest) for layer in (FIRST, SECOND)
        ]
        assert config == {
            **{key: value for key, value in TOP_CONFIG.items() if key not in {"Size", "layer_id", "parent_id"}},
            "rootfs": {
                "type": "layers",
                "diff_ids": [str(Digest.of(archive([File(name)]))) for name in ("first", "second")],
            },
            "history": [
                {"created": "2016-01-01T00:00:00Z"},
                {"created_by": "make it", "comment": "built"},
                {
                    "created": "2016-09-23T23:20:45.789Z",
                    "created_by": '/bin/sh -c #(nop)  CMD ["run"]',
                    "author": "somebody",
                    "empty_layer": True,
                },
            ],
        }
