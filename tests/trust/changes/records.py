"""Changes of the origin record itself: removed, spliced, cyclic, ambiguous, of weaker proof."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.model import media_types as types
from converter.model.document import dump_json
from converter.model.reference import REF_NAME
from converter.streams.tar.delta import MAGIC, make_difference
from converter.trust import cosign
from converter.trust.origin_record import EVIDENCE
from converter.verification.wanted import Wanted
from tests.builders import CONFIG, sha256
from tests.trust import origins
from tests.trust.attacked import Edit, Target, opened, read
from tests.trust.making import NAME, ecdsa
from tests.trust.test_dsse import envelope


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
FRAME = make_difference(EVIL, EVIL[:4000]) or b""
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
    data = dump_json(envelope(statement, ecdsa()))
    row = {"mediaType": cosign.ENVELOPE, "digest": layout.put(data), "size": len(data)}
    config = {"mediaType": types.OCI_CONFIG, "digest": layout.put(b"{}"), "size": 2}
    listed = {"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "config": config, "layers": [row]}
    text = dump_json(listed)
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
            config = dump_json(said | {"root": image, "attachments": attachments, "layers": []})
            document = layout.json(above["digest"])
            layout.row(document["config"], config)
            document["annotations"] = {"number": f"{depth}.{number}"}
            data = dump_json(document)
            found.append({"mediaType": types.OCI_MANIFEST, "digest": layout.put(data), "size": len(data)})
        rows = found
    layout.entries += [row | {"artifactType": above["artifactType"]} for row in rows]


def stripped(target: Target) -> None:
    """The record is gone."""
    target.stripped = True
    target.layout.entries.remove(target.layout.record)


def of_another_subject(target: Target) -> None:
    """The record names another image, and is listed as that of this one."""
    subject = sha256(target.aci) if target.aci else target.layout.image["digest"]
    other = {"mediaType": types.OCI_MANIFEST, "digest": sha256(b"other"), "size": 5}
    target.layout.document(target.layout.record, lambda said: said.update(subject=other))
    target.layout.record["annotations"] = {REF_NAME: subject.replace(":", "-")}


def bomb(target: Target) -> None:
    """A recipe that never stops giving: a piece of the target, over and over."""
    step = b"P" + (0).to_bytes(8) + len(target.tars()[0]).to_bytes(8)
    recipe = gzip.compress(b"transship borrowed tar 1\n" + step * 10_000_000, 1)
    target.layout.replace_part(target.layout.part("recipe"), recipe)


def large_claim(target: Target) -> None:
    """A layer that is said to be larger than what was signed can become."""

    def edit(said: dict[str, Any]) -> None:
        for row in said["layers"]:
            if "recipe" in row:
                row["size"] = 1 << 40

    target.layout.said(edit)


def recipe_elsewhere(target: Target) -> None:
    """A recipe that reads behind the end of the target."""
    step = b"P" + (1 << 50).to_bytes(8) + (100).to_bytes(8) + b"E"
    recipe = gzip.compress(b"transship borrowed tar 1\n" + step)
    target.layout.replace_part(target.layout.part("recipe"), recipe)


def twice(title: str) -> Callable[[Target], None]:
    """A key twice in one of the documents."""

    def attack(target: Target) -> None:
        layout = target.layout
        if title == "record":
            said = layout.json(layout.record["digest"])
            text = layout.blobs[said["config"]["digest"]]
            layout.document(
                layout.record, lambda said: layout.row(said["config"], text[:-1] + b',"version":1,"version":1}')
            )
        else:
            data = layout.part(title)
            layout.replace_part(data, data.rstrip()[:-1] + b',"schemaVersion":2,"schemaVersion":2}')

    return attack


def of_another_image(target: Target) -> None:
    """The record of another image that the same key has signed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["other"]}}
        source = origins.layout(folder / "source", config=config)
        converter.convert(source, f"oci:{folder}/out", compress="zstd")
        other = read(folder / "out")
    if not target.aci:
        target.layout.entries[target.layout.entries.index(target.layout.record)] = other.record
    else:
        target.layout.entries = [other.record]
    target.layout.blobs |= other.blobs
    subject = {"mediaType": types.ACI, "digest": sha256(target.aci), "size": len(target.aci)}
    target.layout.adopt(subject if target.aci else target.layout.image, {})


def another_platform(target: Target) -> None:
    """A record that says that the image is the one for another platform."""
    target.layout.said(lambda said: said["settings"].update(platforms=["linux/arm64"]))


def packed_by(text: str) -> Callable[[Target], None]:
    """Another compressor than the one that packed the signed file."""

    def attack(target: Target) -> None:
        def edit(said: dict[str, Any]) -> None:
            for row in said["layers"]:
                row["packing"] = text

        target.layout.said(edit)

    return attack


def other_keys(target: Target) -> None:
    """The image is what was signed, but by somebody else."""
    from tests.trust.making import ecdsa, public_pem

    target.wanted = Wanted(keys=(("--key other", public_pem(ecdsa(7))),))
