"""Attacks on what is said of a converted image: its manifest, its names, and the records that lead back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.formats.aci.keys import MANIFEST
from converter.model import media_types as types
from converter.model.document import dump
from converter.model.naming import FULL_NAME, RECIPE, REF_NAME
from converter.trust import dsse
from converter.trust.origin import EVIDENCE
from tests.builders import sha256
from tests.trust.attacked import (
    ACI_OCI,
    DOCKER,
    INDEX,
    OCI_ACI,
    OCI_OCI,
    OF_DOCKER,
    SQUASHED,
    V1,
    Attack,
    Edit,
    Target,
    read,
)
from tests.trust.attacks import NAMES
from tests.trust.making import NAME, ecdsa
from tests.trust.test_dsse import envelope

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
        annotations[key] = dump(found).decode()

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


def chained(target: Target) -> None:
    """A record of an evil image, and for that image the record of the signed one, as if it had been made of that."""
    layout, image = target.layout, target.layout.image
    middle = read(target.folder / "source")
    middle.entries = [middle.image]
    middle.document(
        middle.image, lambda said: middle.document(said["config"], lambda config: config["config"].update(Cmd=["evil"]))
    )
    with TemporaryDirectory() as name:
        written = Target(Path(name), middle, out="middle")
        converter.convert(written.write(), f"oci:{name}/out", to="oci", origin="always")
        evil = read(Path(name, "out"))
    layout.blobs |= evil.blobs
    layout.adopt(middle.image, {})
    inner = {key: layout.record[key] for key in ("mediaType", "digest", "size")}
    layout.entries = [evil.image | {"annotations": image["annotations"]}, evil.record]
    row = {"subject": middle.image["digest"], "descriptor": inner}
    layout.said(lambda said: said.update(attachments=[row]))
    listed = layout.json(inner["digest"])
    carried(target, inner, listed["config"], *listed["layers"])


def carried(target: Target, *rows: dict[str, Any]) -> None:
    """More parts of the record."""
    title = {"org.opencontainers.image.title": "attachment"}
    parts = [{**row, "mediaType": EVIDENCE, "annotations": title} for row in rows]
    target.layout.document(target.layout.record, lambda said: said["layers"].extend(parts))


def attested(target: Target) -> None:
    """What the same key has said of the image, and not signed, in place of its signature."""
    layout = target.layout
    said = layout.json(layout.json(layout.record["digest"])["config"]["digest"])
    digest = said["root"]["digest"].removeprefix("sha256:")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
    data = dump(envelope(statement, ecdsa()))
    row = {"mediaType": dsse.ENVELOPE, "digest": layout.put(data), "size": len(data)}
    config = {"mediaType": types.OCI_CONFIG, "digest": layout.put(b"{}"), "size": 2}
    listed = {"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "config": config, "layers": [row]}
    text = dump(listed)
    one = {"mediaType": types.OCI_MANIFEST, "digest": layout.put(text), "size": len(text)}
    attachment = {"subject": said["root"]["digest"], "descriptor": one, "tag": f"sha256-{digest}.att"}
    layout.said(lambda said: said.update(attachments=[attachment]))
    carried(target, one, row, config)


def many_records(target: Target) -> None:
    """Records that lead to records that lead to records, each level to all of the next."""
    layout = target.layout
    image = {key: layout.image[key] for key in ("mediaType", "digest", "size")}
    above = layout.record
    layout.entries.remove(above)
    said = layout.json(layout.json(above["digest"])["config"]["digest"])
    rows: list[dict[str, Any]] = []
    for depth in range(8):
        found = []
        for number in range(16):
            attachments = [{"subject": image["digest"], "descriptor": row} for row in rows]
            config = dump(said | {"root": image, "attachments": attachments, "layers": []})
            document = layout.json(above["digest"])
            layout.row(document["config"], config)
            document["annotations"] = {"number": f"{depth}.{number}"}
            data = dump(document)
            found.append({"mediaType": types.OCI_MANIFEST, "digest": layout.put(data), "size": len(data)})
        rows = found
    layout.entries += [row | {"artifactType": above["artifactType"]} for row in rows]


MADE_OF_LAYERS = (*OF_DOCKER, V1, ACI_OCI, SQUASHED)
ATTACKS = (
    Attack(
        "a subject",
        manifest(lambda said: said.update(subject=said["config"])),
        dict.fromkeys(OF_DOCKER, "at /subject, want null"),
    ),
    Attack(
        "another artifact type",
        manifest(lambda said: said.update(artifactType="application/evil")),
        dict.fromkeys(OF_DOCKER, "at /artifactType"),
    ),
    Attack(
        "data in place of a layer",
        layer(data="ZXZpbA=="),
        dict.fromkeys(MADE_OF_LAYERS, "at /layers/0/data, want null"),
    ),
    Attack(
        "data in place of the config",
        manifest(lambda said: said["config"].update(data="e30=")),
        dict.fromkeys(MADE_OF_LAYERS, "at /config/data, want null"),
    ),
    Attack(
        "a layer that readers may leave out",
        layer(mediaType=types.OCI_NONDISTRIBUTABLE_GZIP),
        dict.fromkeys((*OF_DOCKER, V1), "at /layers/0/mediaType"),
    ),
    Attack(
        "a platform at a layer",
        layer(platform={"os": "x", "architecture": "y"}),
        {OCI_OCI: "at /layers/0/platform, want null"},
    ),
    Attack(
        "keys that differ in case alone",
        manifest(lambda said: said.update(Layers=[])),
        {OCI_OCI: "differs in case alone"},
    ),
    Attack(
        "an index for lazy pulls",
        manifest(lambda said: said.update(annotations={"com.amazon.soci.index-digest": sha256(b"evil")})),
        {OCI_OCI: "'com.amazon.soci.index-digest'"},
    ),
    Attack(
        "an isolator where the way back to an ACI finds it",
        noted(MANIFEST, lambda said: said["app"].update(isolators=[])),
        {ACI_OCI: "'appc.io/aci/manifest'"},
    ),
    Attack(
        "a mode where the way back to an ACI finds it",
        noted(RECIPE, _with_4777, of_layer=True),
        {ACI_OCI: "'appc.io/aci/recipe'"},
    ),
    Attack("a name for some readers", called("", full=NAME, short=OTHER), {OCI_OCI: f"goes by {NAME} and by {OTHER}"}),
    Attack(
        "the name for some readers, asked for by the others'", called(OTHER, full=NAME, short=OTHER), {OCI_OCI: NAMES}
    ),
    Attack("a second name", two_names, {OCI_OCI: f"goes by {NAME}, {OTHER}"}),
    Attack(
        "a name with the digest of another image",
        called("", short=f"registry.example/app@{sha256(b'other')}"),
        {OCI_OCI: "want to be told the image's"},
    ),
    Attack(
        "an image of an index twice",
        manifest(lambda said: said["manifests"].append(said["manifests"][0])),
        {INDEX: "got 3 entries"},
    ),
    Attack("an image of an index left out", manifest(lambda said: said["manifests"].pop()), {INDEX: "got 1 entries"}),
    Attack(
        "the images of an index exchanged",
        manifest(lambda said: said["manifests"].reverse()),
        {INDEX: "which was signed"},
    ),
    Attack("a chain by way of another image", chained, {DOCKER: "config: got"}),
    Attack(
        "an attestation in place of the signature",
        attested,
        dict.fromkeys((*OF_DOCKER, OCI_ACI), "and no signature"),
    ),
    Attack("records without end", many_records, {OCI_OCI: "got more than 32 origin records"}),
)
