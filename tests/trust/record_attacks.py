"""Attacks on the record itself: spliced, cyclic, in words that two readers read differently, and of weaker proof."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.model import media_types as types
from converter.model.naming import REF_NAME
from converter.streams.delta import differing
from converter.streams.tar.borrowed import MAGIC
from converter.trust import cosign, dsse
from tests.builders import CONFIG, sha256
from tests.trust import origins
from tests.trust.attacked import ACI_OCI, INDEX, OCI_ACI, OCI_OCI, OF_DOCKER, V1, Attack, Edit, Target, opened
from tests.trust.document_attacks import carried
from tests.trust.making import NAME


def said(edit: Edit) -> Callable[[Target], None]:
    """Change what the record says."""
    return lambda target: target.layout.said(edit)


def rows(**members: Any) -> Callable[[Target], None]:
    """Members of every layer's row."""

    def edit(record: dict[str, Any]) -> None:
        for row in record["layers"]:
            row.update(members)

    return said(edit)


def root(**members: Any) -> Callable[[Target], None]:
    """Members of the original's descriptor."""
    return said(lambda record: record["root"].update(members))


def settings(**members: Any) -> Callable[[Target], None]:
    """How the image is said to have been converted."""
    return said(lambda record: record["settings"].update(members))


def text(old: str, new: str) -> Callable[[Target], None]:
    """Other words in the record, as text: what no JSON library would write."""

    def attack(target: Target) -> None:
        def edit(document: dict[str, Any]) -> None:
            data = target.layout.blobs[document["config"]["digest"]].decode()
            assert old in data
            target.layout.row(document["config"], data.replace(old, new, 1).encode("utf-8", "surrogatepass"))

        target.layout.document(target.layout.record, edit)

    return attack


def spliced(title: str) -> Callable[[Target], None]:
    """A part of the record of another image of the same signer, in place of this one's."""

    def attack(target: Target) -> None:
        with TemporaryDirectory() as name:
            folder = Path(name)
            made = origins.layout(folder / "source", config={**CONFIG, "os": "plan9"})
            converter.convert(made, f"aci:{folder}/app.aci")
            other = opened(folder, target.wanted).layout.part(title)
        target.layout.replace_part(target.layout.part(title), other)

    return attack


def step(kind: bytes, *numbers: tuple[int, int], more: bytes = b"") -> bytes:
    """A step of a recipe; each number with the bytes that it takes."""
    return kind + b"".join(number.to_bytes(size) for number, size in numbers) + more


def recipe(*steps: bytes, ending: bytes = b"E") -> Callable[[Target], None]:
    """Another recipe for the first layer."""

    def attack(target: Target) -> None:
        data = gzip.compress(b"".join((MAGIC, *steps, ending)), 1)
        target.layout.replace_part(target.layout.part("recipe"), data)

    return attack


EVIL = random.Random(1).randbytes(4000) * 2
"""What one difference makes of its first half: much of little, so that many of them are small here and large there."""
FRAME = differing(EVIL, EVIL[:4000]) or b""
DIFFERENCE = step(b"D", (0, 8), (4000, 4), (8000, 4), (len(FRAME), 4), more=FRAME)
ELSEWHERE = step(b"D", (1 << 40, 8), (4000, 4), (8000, 4), (len(FRAME), 4), more=FRAME)
GREEDY = step(b"D", (0, 8), (1 << 30, 4), (8000, 4), (len(FRAME), 4), more=FRAME)
LIAR = step(b"D", (0, 8), (4000, 4), (1 << 20, 4), (len(FRAME), 4), more=FRAME)


def of_itself(target: Target) -> None:
    """The record says that the image was made of itself."""
    image = {key: target.layout.image[key] for key in ("mediaType", "digest", "size")}
    target.layout.said(lambda record: record.update(root=image))


def in_a_circle(target: Target) -> None:
    """The record says that a record of the converted image spoke of the original."""
    inner = {key: target.layout.record[key] for key in ("mediaType", "digest", "size")}
    listed = target.layout.json(inner["digest"])

    def edit(record: dict[str, Any]) -> None:
        record["attachments"] = [{"subject": record["root"]["digest"], "descriptor": inner}]

    target.layout.said(edit)
    carried(target, inner, listed["config"])


def unsigned(target: Target) -> None:
    """The list of signatures is there, and empty."""
    target.layout.said(lambda record: record.update(attachments=[]))


def emptied(target: Target) -> None:
    """What held the signature holds none."""
    layout = target.layout
    record = layout.json(layout.json(layout.record["digest"])["config"]["digest"])
    (one,) = record["attachments"]
    old = dict(one["descriptor"])
    layout.document(one["descriptor"], lambda document: document.update(layers=[]))
    layout.said(lambda document: document.update(attachments=[one]))
    carried(target, {key: one["descriptor"][key] for key in ("mediaType", "digest", "size")})
    assert old["digest"] != one["descriptor"]["digest"]


def resigned(edit: Edit) -> Callable[[Target], None]:
    """The signature's manifest, changed."""

    def attack(target: Target) -> None:
        layout = target.layout
        record = layout.json(layout.json(layout.record["digest"])["config"]["digest"])
        (one,) = record["attachments"]
        layout.document(one["descriptor"], edit)
        layout.said(lambda document: document.update(attachments=[one]))
        carried(target, {key: one["descriptor"][key] for key in ("mediaType", "digest", "size")})

    return attack


def annotated(**annotations: str) -> Callable[[Target], None]:
    """Annotations of the signature."""
    return resigned(lambda document: document["layers"][0]["annotations"].update(annotations))


def of_kind(media_type: str) -> Callable[[Target], None]:
    """The payload of the signature, said to be something else."""
    return resigned(lambda document: document["layers"][0].update(mediaType=media_type))


def two_of_one_name(target: Target) -> None:
    """An evil image under the name of the signed one, listed before it."""
    layout = target.layout
    evil = dict(layout.image)
    layout.document(evil, lambda document: document.update(annotations={"evil": "yes"}))
    layout.entries.insert(0, evil | {"annotations": {REF_NAME: NAME}})


def reordered(target: Target) -> None:
    """The layers of the target exchanged, and those of the record with them."""

    def edit(document: dict[str, Any]) -> None:
        document["layers"].reverse()

    target.layout.document(target.layout.image, edit)
    target.layout.adopt(target.layout.image, {})
    target.layout.said(edit)


KEY_IS_ANOTHER, UNSIGNED = "none of the keys made", ": got no signature"
ATTACKS = (
    Attack(
        "the recipe of another image",
        recipe(step(b"L", (4, 4), more=b"evil")),
        {OCI_ACI: "got 4 bytes, want"},
    ),
    Attack("the manifest of another image of the signer", spliced("manifest"), {OCI_ACI: "got a signature of"}),
    Attack("the configuration of another image of the signer", spliced("config"), {OCI_ACI: "without the layer"}),
    Attack("a recipe of differences without end", recipe(DIFFERENCE * 100_000), {OCI_ACI: "got more than"}),
    Attack("a difference that reads elsewhere", recipe(ELSEWHERE), {OCI_ACI: "got a piece that ends at"}),
    Attack("a difference from a gigabyte", recipe(GREEDY), {OCI_ACI: "recipe: got a difference of"}),
    Attack("a difference that gives another size", recipe(LIAR), {OCI_ACI: "recipe: got a difference that makes"}),
    Attack("an image that was made of itself", of_itself, dict.fromkeys(OF_DOCKER, UNSIGNED)),
    Attack("a record that leads back to itself", in_a_circle, dict.fromkeys(OF_DOCKER, "got a record of the image")),
    Attack("an empty list of signatures", unsigned, dict.fromkeys((*OF_DOCKER, OCI_ACI, ACI_OCI), UNSIGNED)),
    Attack("a signature's manifest without one", emptied, dict.fromkeys((*OF_DOCKER, OCI_ACI), UNSIGNED)),
    Attack(
        "an empty signature", annotated(**{cosign.SIGNATURE: ""}), dict.fromkeys((OCI_OCI, OCI_ACI), "want a signature")
    ),
    Attack(
        "a signature of another kind of key",
        annotated(**{cosign.SIGNATURE: "A" * 344}),
        dict.fromkeys((OCI_OCI, OCI_ACI), KEY_IS_ANOTHER),
    ),
    Attack("the payload said to be an envelope", of_kind(dsse.ENVELOPE), {OCI_OCI: "payloadType: missing"}),
    Attack("the original said to be of Docker", root(mediaType=types.DOCKER_MANIFEST), {OCI_OCI: "/mediaType: got"}),
    Attack(
        "the original said to be an index",
        root(mediaType=types.OCI_INDEX),
        dict.fromkeys((OCI_OCI, OCI_ACI), "no member 'manifests'"),
    ),
    Attack("the original said to be larger", root(size=1 << 20), dict.fromkeys((OCI_OCI, OCI_ACI), "want 1048576 for")),
    Attack("the original said to be at hand", root(data="ZXZpbA==", size=4), {OCI_OCI: "want 4 for"}),
    Attack("said not to be flattened", settings(layered=True), {OCI_ACI: "ACIs"}),
    Attack("said to have been called otherwise", settings(called="evil.example/app:1"), {OCI_ACI: "at /name"}),
    Attack("the layers exchanged", reordered, {OCI_OCI: "which was signed"}),
    Attack("a diff_id by another algorithm", rows(diffID="sha512:" + "0" * 128), {OCI_ACI: "without the layer"}),
    Attack("a recipe that is said to be for another layer", rows(diffID=sha256(b"x")), {OCI_ACI: "without the layer"}),
    Attack("a layer made of a blob that is another's", rows(target=sha256(b"{}")), {OCI_ACI: "got"}),
    Attack("a size that is no number", rows(size="10"), {OCI_ACI: "size: expected a whole number"}),
    Attack(
        "a size with a fraction",
        text('"size":', '"size":1.0,"sizes":'),
        dict.fromkeys((OCI_OCI, OCI_ACI), "size: expected a whole number"),
    ),
    Attack("a version with a fraction", text('"version":1', '"version":1.0'), dict.fromkeys(OF_DOCKER, "version")),
    Attack("a version that is true", text('"version":1', '"version":true'), dict.fromkeys(OF_DOCKER, "version")),
    Attack(
        "a key twice, once in escapes",
        text('"version":1', '"version":1,"\\u0076ersion":1'),
        dict.fromkeys((*OF_DOCKER, OCI_ACI), "'version' twice"),
    ),
    Attack("a mark of the byte order", text("{", "\ufeff{"), {OCI_OCI: "want a JSON document"}),
    Attack("half a character", text('"called":"', '"called":"\ud800'), {OCI_OCI: "not UTF-8"}),
    Attack("no number at all", text('"epoch":0', '"epoch":NaN'), {OCI_OCI: "got NaN"}),
    Attack("a number without end", text('"epoch":0', '"epoch":1e999'), {OCI_OCI: "a number too large"}),
    Attack("a name that looks alike", settings(called="reg\u0456stry.example/app:1"), {OCI_ACI: "at /name"}),
    Attack(
        "an evil image under the same name", two_of_one_name, dict.fromkeys((*OF_DOCKER, V1, INDEX), "for 2 images")
    ),
)
