"""What somebody may do to a converted image who can change all of it, its origin record too, and holds no key.

Those on tars and on documents have files of their own; ``attack_table`` has all of them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.model import media_types as types
from converter.model.document import dump
from converter.model.naming import REF_NAME
from converter.verification import Wanted
from tests.builders import sha256, tar
from tests.trust import origins
from tests.trust.attacked import (
    ACI_ACI,
    ACI_OCI,
    EVERY,
    INDEX,
    LAYERED,
    OCI_ACI,
    OCI_OCI,
    OF_ACI,
    OF_DOCKER,
    ONE,
    SQUASHED,
    V1,
    V1_ACI,
    Attack,
    Target,
    read,
)
from tests.trust.changed_files import content, each, entry, everything, flipped, in_the_recipe, retarred, without
from tests.trust.origins import NAME


def one_byte(target: Target) -> None:
    """One byte of a blob as it lies, its digest as it was."""
    if target.aci:
        target.aci = flipped(target.aci, len(target.aci) // 2)
        return
    row = target.layout.json(target.layout.image["digest"])["layers"][0]
    target.layout.blobs[row["digest"]] = flipped(target.layout.blobs[row["digest"]], 200)


def whiteout(target: Target) -> None:
    """What was taken away comes back."""
    if target.aci:
        each(everything, "bin/secret")(target)
    else:
        each(without("bin/.wh.secret"))(target)


def _with_variable(manifest: bytes) -> bytes:
    said = json.loads(manifest)
    rows = said["app"].setdefault("environment", [{"name": "PATH"}])
    rows[0]["value"] = "/tmp"
    return dump(said)


def environment(target: Target) -> None:
    """Another variable for whatever is run."""
    if target.aci:
        each(content("manifest", _with_variable))(target)
    else:
        target.with_tars(target.tars(), lambda config: config["config"].update(Env=["PATH=/tmp"]))


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


def below(target: Target) -> None:
    """The ACI that this one depends on, exchanged for another one of the same name, as a whole."""
    (path,) = target.folder.glob("app-*.aci")
    data = gzip.compress(retarred(gzip.decompress(path.read_bytes()), content("bin/sh", flipped)), mtime=0)
    path.unlink()
    path.with_name(f"app-{sha256(data).removeprefix('sha256:')[:12]}.aci").write_bytes(data)


def below_changed(target: Target) -> None:
    """The same, under the name that the file had."""
    (path,) = target.folder.glob("app-*.aci")
    path.write_bytes(gzip.compress(retarred(gzip.decompress(path.read_bytes()), content("bin/sh", flipped)), mtime=0))


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


def another_platform(target: Target) -> None:
    """A record that says that the image is the one for another platform."""
    target.layout.said(lambda said: said["settings"].update(platforms=["linux/arm64"]))


def behind_the_end(target: Target) -> None:
    """Another archive behind the end of this one, for readers that go on."""
    tars = target.tars()
    target.with_tars([tars[0] + tar({"rootfs/bin/sh": b"evil"})])


def other_keys(target: Target) -> None:
    """The image is what was signed, but by somebody else."""
    from tests.trust.making import ecdsa, public_pem

    target.wanted = Wanted(keys=(("--key other", public_pem(ecdsa(7))),))


def packed_by(text: str) -> Callable[[Target], None]:
    """Another compressor than the one that packed the signed file."""

    def attack(target: Target) -> None:
        def edit(said: dict[str, Any]) -> None:
            for row in said["layers"]:
                row["packing"] = text

        target.layout.said(edit)

    return attack


ZLIB_1 = '{"by":"zlib","level":1,"header":"","check":0,"zeros":0}'


def _reasons(*rows: tuple[str | tuple[str, ...], str]) -> dict[str, str]:
    """A part of the reason, for one target or several."""
    return {made: text for targets, text in rows for made in ((targets,) if isinstance(targets, str) else targets)}


LAYER, AGAIN, GIVES = "which was signed", "made again of the image", "which the signed image gives"
MISSING, NAMES = "got a record without the layer", "for the name"
ATTACKS = (
    Attack("one byte of a layer", one_byte, dict.fromkeys(EVERY, "got a broken gzip stream")),
    Attack(
        "one byte of a file, every digest made to fit",
        each(content("bin/sh", flipped)),
        _reasons(
            (OF_DOCKER, LAYER),
            (V1, MISSING),
            (OCI_ACI, "got bytes with the digest"),
            (V1_ACI, "/bin/sh: got the content"),
            (OF_ACI, AGAIN),
        ),
    ),
    Attack(
        "a mode set to 4777",
        each(entry("bin/sh", mode=0o4777)),
        _reasons(
            (OF_DOCKER, LAYER),
            (V1, MISSING),
            ((OCI_ACI, V1_ACI), '/bin/sh: got the mode "4777", want "0755"'),
            (OF_ACI, AGAIN),
        ),
    ),
    Attack(
        "an owner",
        each(entry("bin/su", uid=1000)),
        _reasons(
            (OF_DOCKER, LAYER),
            (V1, MISSING),
            ((OCI_ACI, V1_ACI), '/bin/su: got the owner "1000:0", want "0:0"'),
            (OF_ACI, AGAIN),
        ),
    ),
    Attack(
        "an added file",
        each(everything, "bin/evil"),
        _reasons(
            (OF_DOCKER, LAYER),
            (V1, MISSING),
            ((OCI_ACI, V1_ACI, LAYERED), '/bin/evil: got the entry "file", want null'),
            (OF_ACI, AGAIN),
        ),
    ),
    Attack(
        "a whiteout removed",
        whiteout,
        _reasons(
            (OF_DOCKER, LAYER),
            (V1, MISSING),
            ((OCI_ACI, V1_ACI, LAYERED), '/bin/secret: got the entry "file", want null'),
        ),
    ),
    Attack(
        "the environment changed",
        environment,
        _reasons(
            ((*OF_DOCKER, V1, ACI_OCI), "config: got"),
            ((OCI_ACI, LAYERED), "manifest: got"),
            (V1_ACI, "at /app/environment, want null"),
            (ACI_ACI, AGAIN),
        ),
    ),
    Attack(
        "another name",
        renamed("registry.example/other:1"),
        _reasons(
            ((*OF_DOCKER, OCI_ACI, LAYERED, ACI_OCI), NAMES),
            (V1_ACI, 'at /name, want "registry.example/other"'),
            (ACI_ACI, AGAIN),
        ),
    ),
    Attack(
        "another tag",
        renamed("registry.example/app:2"),
        dict.fromkeys((*OF_DOCKER, OCI_ACI, LAYERED, ACI_OCI), NAMES),
    ),
    Attack("no record", stripped, dict.fromkeys((*EVERY, INDEX), "got no signature")),
    Attack(
        "a record that names another subject",
        of_another_subject,
        dict.fromkeys((*EVERY, INDEX), "got a record of the image"),
    ),
    Attack(
        "a record of another image",
        of_another_image,
        _reasons(
            (OF_DOCKER, "config: got"),
            ((OCI_ACI, LAYERED), MISSING),
            ((V1, V1_ACI), NAMES),
            (OF_ACI, "that was not given"),
        ),
    ),
    Attack("the ACI below exchanged", below, {LAYERED: "got no blob"}),
    Attack("the ACI below changed", below_changed, {LAYERED: "got bytes with the digest"}),
    Attack(
        "a file replaced, the old one in the recipe",
        in_the_recipe(content("bin/sh", flipped)),
        {OCI_ACI: "/bin/sh: got the content", SQUASHED: GIVES},
    ),
    Attack(
        "a file taken away, and still in the recipe",
        in_the_recipe(without("bin/sh")),
        {OCI_ACI: '/bin/sh: got the entry null, want "file"', SQUASHED: GIVES},
    ),
    Attack(
        "a file that was whited out brought back, by a name of its own",
        in_the_recipe(everything, "bin/secret"),
        {OCI_ACI: '/bin/secret: got the entry "file", want null', SQUASHED: GIVES},
    ),
    Attack("a recipe that is a bomb", bomb, {OCI_ACI: "got more than"}),
    Attack("a recipe of a layer too large", large_claim, {OCI_ACI: "limit: ratio"}),
    Attack("a recipe that reads elsewhere", recipe_elsewhere, {OCI_ACI: "got a piece that ends at"}),
    Attack(
        "an entry left out",
        each(without("etc/passwd")),
        {OCI_OCI: LAYER, OCI_ACI: "got bytes with the digest", ACI_OCI: AGAIN},
    ),
    Attack("the platforms of an index swapped", swapped_platforms, {INDEX: "index: got"}),
    Attack("a record of another platform", another_platform, {INDEX: "got an index in place of", ONE: "got no blob"}),
    Attack("a key twice in the record", twice("record"), dict.fromkeys(EVERY, "'version' twice")),
    Attack(
        "a key twice in what was signed",
        twice("manifest"),
        dict.fromkeys((*OF_DOCKER, V1, OCI_ACI, V1_ACI, LAYERED), "got more than"),
    ),
    Attack("a layer read by another table", lazy, dict.fromkeys((*OF_DOCKER, V1), "steers what is made of it")),
    Attack("a layer that lies elsewhere", urls, dict.fromkeys((*OF_DOCKER, V1), "manifest: got")),
    Attack("a layer that is said to be a plain tar", mislabelled, {OCI_OCI: "as its media type says"}),
    Attack("another archive behind the end", behind_the_end, {OCI_ACI: "behind the last entry"}),
    Attack("another compressor", packed_by(ZLIB_1), dict.fromkeys(OF_ACI, AGAIN)),
    Attack("no compressor", packed_by("{}"), dict.fromkeys(OF_ACI, "packing: got something else")),
    Attack("a key that nobody has asked for", other_keys, dict.fromkeys((OCI_OCI, OCI_ACI), "none of the keys made")),
)
