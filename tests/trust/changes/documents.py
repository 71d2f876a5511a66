"""Changes of a converted image's documents: its manifest, its index, its names."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from converter.model import media_types as types
from converter.model.document import dump_json
from converter.model.reference import FULL_NAME, REF_NAME
from tests.builders import sha256
from tests.trust.attacked import Edit, Target
from tests.trust.changes.files import content, each
from tests.trust.making import NAME

OTHER = "registry.example/other:1"


def manifest(edit: Edit) -> Callable[[Target], None]:
    """Another manifest, which the record is made to speak of."""

    def attack(target: Target) -> None:
        target.layout.document(target.layout.image, edit)
        target.layout.adopt(target.layout.image, {})

    return attack


def layer(**members: Any) -> Callable[[Target], None]:
    """Members of the first layer's descriptor."""
    return manifest(lambda said: said["layers"][0].update(members))


def noted(key: str, change: Edit, *, of_layer: bool = False) -> Callable[[Target], None]:
    """Another document under an annotation that the conversion has written."""

    def edit(said: dict[str, Any]) -> None:
        annotations = (said["layers"][0] if of_layer else said)["annotations"]
        found = json.loads(annotations[key])
        change(found)
        annotations[key] = dump_json(found).decode()

    return manifest(edit)


def _with_4777(recipe: dict[str, Any]) -> None:
    """A header of its own for a file."""
    header = bytearray(512)
    header[:13], header[100:108] = b"rootfs/bin/sh", b"0004777\0"
    recipe["headers"]["3"] = base64.b64encode(bytes(header).rstrip(b"\0")).decode() + "+0"


def called(asked: str, **names: str) -> Callable[[Target], None]:
    """The annotations that name the image, and the name that it is asked for by."""

    def attack(target: Target) -> None:
        keys = {"full": FULL_NAME, "short": REF_NAME}
        target.layout.image["annotations"] = {keys[key]: name for key, name in names.items()}
        target.name = asked

    return attack


def two_names(target: Target) -> None:
    """The image listed once more, as another one."""
    target.layout.entries.append(target.layout.image | {"annotations": {REF_NAME: OTHER}})
    target.name = ""


def renamed(name: str) -> Callable[[Target], None]:
    """The image goes by another name than the signed one."""

    def attack(target: Target) -> None:
        repository, _, tag = name.rpartition(":")
        if target.aci:
            old, _, old_tag = NAME.rpartition(":")
            change = content(
                "manifest",
                lambda data: data.replace(old.encode(), repository.encode()).replace(
                    b'"version","value":"' + old_tag.encode(), b'"version","value":"' + tag.encode()
                ),
            )
            each(change)(target)
            target.layout.said(lambda said: said["settings"].update(called=name))
        else:
            target.layout.image["annotations"] = {REF_NAME: name}
            target.name = name

    return attack


def lazy(target: Target) -> None:
    """An annotation that makes a runtime read a layer by a table of contents that nobody has signed."""
    note = {"io.github.containers.zstd-chunked.manifest-checksum": sha256(b"evil")}
    target.layout.document(target.layout.image, lambda said: said["layers"][0].update(annotations=note))
    target.layout.adopt(target.layout.image, {})


def urls(target: Target) -> None:
    """An address that a layer is said to lie at."""
    target.layout.document(
        target.layout.image, lambda said: said["layers"][0].update(urls=["https://evil.example/layer"])
    )
    target.layout.adopt(target.layout.image, {})


def mislabelled(target: Target) -> None:
    """A layer whose media type makes a reader take it for a plain tar."""
    target.layout.document(target.layout.image, lambda said: said["layers"][0].update(mediaType=types.OCI_LAYER))
    target.layout.adopt(target.layout.image, {})


def swapped_platforms(target: Target) -> None:
    """An index that lists each image under the other's platform."""

    def edit(said: dict[str, Any]) -> None:
        first, second = said["manifests"]
        first["platform"], second["platform"] = second["platform"], first["platform"]

    target.layout.document(target.layout.image, edit)
    target.layout.adopt(target.layout.image, {})
