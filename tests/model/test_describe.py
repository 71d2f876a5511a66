from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from converter.formats.container_config import UnknownMembers
from converter.model import media_types as types
from converter.model.content import GZIP, Derived, Layer, known_bytes
from converter.model.describe import describe
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json
from converter.model.image import Artifact, Attachment, History, Image, Index, IndexEntry, Item, Original, RunConfig
from converter.model.platform import Platform
from converter.schema import check_document

ARM = Platform(os="linux", architecture="arm", variant="v7")
LAYER = Layer(content=known_bytes(b"layer", types.OCI_LAYER), diff_id=Digest.of(b"layer"), annotations={"a": "b"})
DOCUMENT = known_bytes(b"{}", types.OCI_MANIFEST)
DIGEST = str(Digest.of(b"layer"))

FULL = Image(
    platform=Platform(os="windows", architecture="amd64", os_version="10.0.1", os_features=("win32k",)),
    config=RunConfig(
        user="1:2",
        exposed_ports=("80/tcp",),
        env=("A=1",),
        entrypoint=(),
        cmd=("a",),
        volumes=("/data",),
        working_dir="/",
        labels={"a": "b"},
        stop_signal="SIGINT",
        healthcheck={"Test": ("NONE",)},
        shell=("sh",),
        on_build=("RUN x",),
    ),
    layers=(LAYER, Layer(content=Derived(inputs=(LAYER, LAYER), compression=GZIP))),
    history=(History(created="2024-05-06T07:08:09Z", created_by="x", author="me", comment="c", empty_layer=True),),
    created="2024-05-06T07:08:09Z",
    author="me",
    annotations={"a": "b"},
    foreign={"docker": UnknownMembers({"docker_version": "26.1", "odd": (b"\0", {"deep": (1, None)})})},
    original=Original(format="oci", manifest=DOCUMENT, config=DOCUMENT),
)


def test_an_image_in_full() -> None:
    layer = {"media_type": types.OCI_LAYER, "digest": DIGEST, "size": 5, "diff_id": DIGEST, "annotations": {"a": "b"}}
    manifest = {"media_type": types.OCI_MANIFEST, "digest": str(DOCUMENT.descriptor.digest), "size": 2}
    assert describe(FULL) == {
        "kind": "image",
        "platform": {"os": "windows", "architecture": "amd64", "os_version": "10.0.1", "os_features": ["win32k"]},
        "created": "2024-05-06T07:08:09Z",
        "author": "me",
        "config": {
            "user": "1:2",
            "exposed_ports": ["80/tcp"],
            "env": ["A=1"],
            "entrypoint": [],
            "cmd": ["a"],
            "volumes": ["/data"],
            "working_dir": "/",
            "labels": {"a": "b"},
            "stop_signal": "SIGINT",
            "healthcheck": {"Test": ["NONE"]},
            "shell": ["sh"],
            "on_build": ["RUN x"],
        },
        "layers": [layer, {"derived_from": [layer, layer], "compression": "gzip"}],
        "history": [
            {
                "created": "2024-05-06T07:08:09Z",
                "created_by": "x",
                "author": "me",
                "comment": "c",
                "empty_layer": True,
            }
        ],
        "annotations": {"a": "b"},
        "foreign": {"docker": {"docker_version": "26.1", "odd": ["AA==", {"deep": [1, None]}]}},
        "original": {"format": "oci", "manifest": manifest, "config": manifest},
    }


@pytest.mark.parametrize(
    "item, expected",
    [
        pytest.param(
            Image(platform=ARM),
            {"kind": "image", "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            id="what nobody told is left out",
        ),
        pytest.param(Index(), {"kind": "index", "entries": []}, id="an index of nothing"),
        pytest.param(
            Index(
                entries=(
                    IndexEntry(descriptor=Descriptor(media_type="", digest=Digest.of(b""), size=-1)),
                    IndexEntry(
                        descriptor=replace(
                            Descriptor.of(b"x", "t", urls=("u",), platform=ARM, artifact_type="a", other={"b": 1}),
                            data=b"x",
                        ),
                        item=Index(),
                    ),
                ),
                annotations={"a": "b"},
            ),
            {
                "kind": "index",
                "entries": [
                    {"descriptor": {"digest": str(Digest.of(b""))}},
                    {
                        "descriptor": {
                            "media_type": "t",
                            "digest": str(Digest.of(b"x")),
                            "size": 1,
                            "urls": ["u"],
                            "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
                            "artifact_type": "a",
                            "data": "eA==",
                            "other": {"b": 1},
                        },
                        "item": {"kind": "index", "entries": []},
                    },
                ],
                "annotations": {"a": "b"},
            },
            id="an index, read in part",
        ),
        pytest.param(
            Artifact(
                original=Original(format="oci", manifest=DOCUMENT),
                blobs=(known_bytes(b"layer", "t"),),
                subject=Digest.of(b"layer"),
                artifact_type="a",
            ),
            {
                "kind": "artifact",
                "artifact_type": "a",
                "subject": DIGEST,
                "blobs": [{"media_type": "t", "digest": DIGEST, "size": 5}],
                "original": {
                    "format": "oci",
                    "manifest": {
                        "media_type": types.OCI_MANIFEST,
                        "digest": str(DOCUMENT.descriptor.digest),
                        "size": 2,
                    },
                },
            },
            id="an artifact",
        ),
    ],
)
def test_items(item: Item, expected: dict[str, Any]) -> None:
    assert describe(item) == expected


def test_what_speaks_of_an_item() -> None:
    spoken = Attachment(subject=Digest.of(b"layer"), descriptor=Descriptor.of(b"s", "t"), tag="sha256-x.sig")
    assert describe(Index(), [spoken])["attachments"] == [
        {
            "subject": DIGEST,
            "descriptor": {"media_type": "t", "digest": str(Digest.of(b"s")), "size": 1},
            "tag": "sha256-x.sig",
        }
    ]


@pytest.mark.parametrize(
    "item",
    [FULL, Image(platform=ARM), Index(), Index(entries=(IndexEntry(descriptor=Descriptor.of(b"x", "t"), item=FULL),))],
)
def test_every_description_keeps_to_its_schema(item: Item) -> None:
    spoken = Attachment(subject=Digest.of(b"layer"), descriptor=Descriptor.of(b"s", "t"))
    assert check_document(dump_json(describe(item, [spoken])), "image") == ()


def test_the_schema_refuses_something_else() -> None:
    assert check_document(dump_json(describe(Index(), []) | {"attachments": [{}]}), "image") != ()
