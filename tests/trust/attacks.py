"""What somebody may do to a converted image who can change all of it, its origin record too, and holds no key.

Those on tars and on documents have files of their own; ``attack_table`` has all of them.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.errors import ConverterError
from converter.model import media_types as types
from converter.model.document import dump
from converter.model.naming import REF_NAME
from converter.streams.tar.borrowed import Files, described
from converter.trust.origin import ARTIFACT
from converter.verification import Wanted
from tests.builders import sha256
from tests.trust import origins
from tests.trust.origins import BOTH, NAME, OPENPGP

Edit = Callable[[dict[str, Any]], None]


class Layout:
    """The blobs and the entries of an OCI layout, in memory, to be changed without mercy."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.blobs = {
            f"sha256:{name.rpartition('/')[2]}": data for name, data in files.items() if name.startswith("blobs/")
        }
        self.entries: list[dict[str, Any]] = json.loads(files["index.json"])["manifests"]

    def put(self, data: bytes) -> str:
        self.blobs[sha256(data)] = data
        return sha256(data)

    def json(self, digest: str) -> Any:
        return json.loads(self.blobs[digest])

    @property
    def image(self) -> dict[str, Any]:
        """The entry of the image."""
        return next(entry for entry in self.entries if entry.get("artifactType") != ARTIFACT)

    @property
    def record(self) -> dict[str, Any]:
        """The entry of the record."""
        return next(entry for entry in self.entries if entry.get("artifactType") == ARTIFACT)

    def document(self, entry: dict[str, Any], edit: Edit) -> None:
        """Change the document that a descriptor names, and the descriptor."""
        said = self.json(entry["digest"])
        edit(said)
        self.row(entry, dump(said))

    def row(self, entry: dict[str, Any], data: bytes) -> None:
        """Let a descriptor name these bytes."""
        entry["digest"], entry["size"] = self.put(data), len(data)

    def adopt(self, subject: dict[str, Any], renamed: dict[str, str]) -> None:
        """Let the record speak of the changed image as if it had been made for it."""

        def edit(said: dict[str, Any]) -> None:
            said["subject"] = {key: subject[key] for key in ("mediaType", "digest", "size")}
            text = self.blobs[said["config"]["digest"]].decode()
            for old, new in renamed.items():
                text = text.replace(f'"target":"{old}"', f'"target":"{new}"')
            self.row(said["config"], text.encode())

        self.document(self.record, edit)

    def said(self, edit: Edit) -> None:
        """Change what the record says."""
        self.document(self.record, lambda said: self.document(said["config"], edit))

    def part(self, title: str) -> bytes:
        """A part of the record by what it is called."""
        return next(
            self.blobs[row["digest"]]
            for row in self.json(self.record["digest"])["layers"]
            if row["annotations"]["org.opencontainers.image.title"] == title
        )

    def replace_part(self, old: bytes, new: bytes) -> None:
        """Put other bytes in place of a part, wherever the record names it."""

        def edit(said: dict[str, Any]) -> None:
            for row in said["layers"]:
                if row["digest"] == sha256(old):
                    self.row(row, new)
            text = self.blobs[said["config"]["digest"]].decode().replace(sha256(old), sha256(new))
            self.row(said["config"], text.encode())

        self.document(self.record, edit)

    def files(self) -> dict[str, bytes]:
        """The layout as files."""
        index = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": self.entries}
        found = {f"blobs/sha256/{digest.removeprefix('sha256:')}": data for digest, data in self.blobs.items()}
        return found | {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": dump(index)}


@dataclass
class Target:
    """A converted image that is attacked: a layout, or an ACI with the layout beside it."""

    folder: Path
    layout: Layout
    aci: bytes = b""
    wanted: Wanted = BOTH
    stripped: bool = False
    name: str = NAME
    out: str = "out"

    def write(self) -> str:
        """Write what has become of it; gives its reference."""
        if self.aci:
            (self.folder / "app.aci").write_bytes(self.aci)
            (self.folder / "app.aci.origin").unlink()
            if not self.stripped:
                (self.folder / "app.aci.origin").write_bytes(_tar(self.layout.files()))
            return f"aci:{self.folder}/app.aci"
        shutil.rmtree(self.folder / self.out, ignore_errors=True)
        for name, data in self.layout.files().items():
            path = self.folder / self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return f"oci:{self.folder}/{self.out}:{self.name}"

    def tars(self) -> list[bytes]:
        """The layers, or the ACI, plain."""
        if self.aci:
            return [gzip.decompress(self.aci)]
        return [gzip.decompress(self.layout.blobs[row["digest"]]) for row in self._manifest()["layers"]]

    def with_tars(self, tars: list[bytes], config: Edit = lambda _: None) -> None:
        """Put other content in place of the layers, with every digest as it has to be then."""
        if self.aci:
            subject = {"mediaType": types.ACI, "digest": sha256(self.aci)}
            old = subject["digest"]
            self.aci = gzip.compress(tars[0], mtime=0)
            self.layout.adopt(subject | {"digest": sha256(self.aci), "size": len(self.aci)}, {old: sha256(self.aci)})
            return
        renamed: dict[str, str] = {}

        def change(said: dict[str, Any]) -> None:
            def describe(document: dict[str, Any]) -> None:
                document["rootfs"]["diff_ids"] = [sha256(data) for data in tars]
                config(document)

            self.layout.document(said["config"], describe)
            for row, data in zip(said["layers"], tars, strict=True):
                old = row["digest"]
                self.layout.row(row, gzip.compress(data, mtime=0))
                renamed[old] = row["digest"]

        self.layout.document(self.layout.image, change)
        self.layout.adopt(self.layout.image, renamed)

    def _manifest(self) -> dict[str, Any]:
        found = self.layout.json(self.layout.image["digest"])
        assert isinstance(found, dict)
        return found


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


Change = Callable[[tarfile.TarInfo, bytes], "tuple[tarfile.TarInfo, bytes] | None"]


def retarred(data: bytes, change: Change, added: tuple[str, bytes] | None = None) -> bytes:
    """A tar with its entries changed, left out, and one added."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            stream = old.extractfile(member) if member.isreg() else None
            kept = change(member, stream.read() if stream else b"")
            if kept is not None:
                info, content = kept
                info.size = len(content) if info.isreg() else 0
                new.addfile(info, io.BytesIO(content) if info.isreg() else None)
        if added is not None:
            info = tarfile.TarInfo(added[0])
            info.size = len(added[1])
            new.addfile(info, io.BytesIO(added[1]))
    return out.getvalue()


def entry(name: str, **members: Any) -> Change:
    """Members of the header of one entry, wherever it lies."""

    def change(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name.removeprefix("rootfs/") == name:
            for key, value in members.items():
                setattr(info, key, value)
        return info, data

    return change


def content(name: str, edit: Callable[[bytes], bytes]) -> Change:
    """The content of one file."""

    def change(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        return info, edit(data) if info.name.removeprefix("rootfs/") == name else data

    return change


def without(name: str) -> Change:
    """No such entry."""
    return lambda info, data: None if info.name.removeprefix("rootfs/") == name else (info, data)


def everything(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """Nothing is changed."""
    return info, data


def flipped(data: bytes, place: int = 40) -> bytes:
    """One bit of one byte, another one."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def each(change: Change, added: str = "") -> Callable[[Target], None]:
    """Change the files, and everything that follows from them."""

    def attack(target: Target) -> None:
        tars = target.tars()
        prefix = "rootfs/" if target.aci else ""
        more = (prefix + added, b"evil") if added else None
        target.with_tars([retarred(data, change, more if number == 0 else None) for number, data in enumerate(tars)])

    return attack


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


def remade_recipes(target: Target) -> None:
    """Recipes that give what was signed of what the target has become."""
    tar = target.tars()[0]
    files = Files.of([tar])

    def recipe(data: bytes) -> bytes:
        return gzip.compress(b"".join(described([data], files, lambda at, size: [tar[at : at + size]])), mtime=0)

    recipes = {sha256(data): recipe(data) for data in origins.TARS}
    rows = target.layout.json(target.layout.json(target.layout.record["digest"])["config"]["digest"])["layers"]
    for row in rows:
        if "recipe" in row:
            target.layout.replace_part(target.layout.blobs[row["recipe"]], recipes[row["diffID"]])


def in_the_recipe(change: Change, added: str = "") -> Callable[[Target], None]:
    """Change the files, and make the recipes anew, so that they still give what was signed."""

    def attack(target: Target) -> None:
        each(change, added)(target)
        remade_recipes(target)

    return attack


def repacked(pack: Callable[[bytes], bytes]) -> Callable[[Target], None]:
    """Other packed bytes in place of the first layer's, or of the ACI, under the digest that they have."""

    def attack(target: Target) -> None:
        if target.aci:
            old, target.aci = sha256(target.aci), pack(target.aci)
            subject = {"mediaType": types.ACI, "digest": sha256(target.aci), "size": len(target.aci)}
            target.layout.adopt(subject, {old: sha256(target.aci)})
            return
        renamed: dict[str, str] = {}

        def edit(said: dict[str, Any]) -> None:
            row = said["layers"][0]
            old = row["digest"]
            target.layout.row(row, pack(target.layout.blobs[old]))
            renamed[old] = row["digest"]

        target.layout.document(target.layout.image, edit)
        target.layout.adopt(target.layout.image, renamed)

    return attack


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
    target.with_tars([tars[0] + _tar({"rootfs/bin/sh": b"evil"})])


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


@dataclass(frozen=True)
class Attack:
    """One attack: what it is called, on which targets it is tried, and a part of the reason that it is refused for."""

    name: str
    act: Callable[[Target], None]
    reasons: dict[str, str] = field(default_factory=dict)


MADE: dict[str, Callable[[Path], tuple[str, Wanted]]] = {}
"""Targets by what they were and are; each has been converted in a folder."""


def _made(name: str, make: Callable[[Path], str], wanted: Wanted, target: str, **options: Any) -> None:
    def convert(folder: Path) -> tuple[str, Wanted]:
        converter.convert(make(folder / "source"), target.format(folder), **options)
        return target.format(folder), wanted

    MADE[name] = convert


OCI_OCI, OCI_ACI, ACI_OCI, INDEX = "OCI → OCI, repacked", "OCI → ACI", "ACI → OCI", "index → index"
DOCKER, V1, V1_ACI, ACI_ACI = "Docker → OCI", "schema 1 → OCI", "schema 1 → ACI", "ACI → ACI, repacked"
ONE, SQUASHED, LAYERED = "index → OCI", "OCI → OCI, squashed", "OCI → an ACI a layer"
OF_DOCKER, OF_ACI = (OCI_OCI, DOCKER), (ACI_OCI, ACI_ACI)
EVERY = (*OF_DOCKER, V1, OCI_ACI, V1_ACI, LAYERED, *OF_ACI)
ZLIB_1 = '{"by":"zlib","level":1,"header":"","check":0,"zeros":0}'
V1_WANTED = Wanted(keys=BOTH.keys, identity="library/app:1")
_made(OCI_OCI, origins.oci, BOTH, "oci:{}/out", compress="gzip:9")
_made(DOCKER, origins.docker, BOTH, "oci:{}/out", to="oci")
_made(V1, origins.v1, V1_WANTED, f"oci:{{}}/out:{NAME}")
_made(OCI_ACI, origins.oci, BOTH, "aci:{}/app.aci")
_made(V1_ACI, origins.v1, V1_WANTED, "aci:{}/app.aci")
_made(LAYERED, origins.oci, BOTH, "aci:{}/app.aci", layered=True)
_made(ACI_OCI, origins.aci, OPENPGP, "oci:{}/out")
_made(ACI_ACI, origins.aci, OPENPGP, "aci:{}/app.aci", compress="gzip:9")
_made(ONE, origins.index, BOTH, "oci:{}/out", platforms=["linux/amd64"], compress="gzip:9")
_made(SQUASHED, origins.oci, BOTH, "oci:{}/out", squash=True)
_made(INDEX, origins.index, BOTH, "oci:{}/out", platforms=["all"], compress="gzip:9")


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


def read(folder: Path) -> Layout:
    """A layout on disk."""
    return Layout({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


def opened(folder: Path, wanted: Wanted) -> Target:
    """What a conversion has left in a folder."""
    if (folder / "app.aci").exists() and (folder / "app.aci.origin").exists():
        with tarfile.open(folder / "app.aci.origin") as tar:
            files = {one.name: stream.read() for one in tar if (stream := tar.extractfile(one)) is not None}
        return Target(folder, Layout(files), (folder / "app.aci").read_bytes(), wanted)
    return Target(folder, read(folder / "out"), wanted=wanted)


def refused(attack: Attack, made: str, folder: Path) -> str:
    """Convert, attack, verify: the reason it is refused for, empty where it is not."""
    _, wanted = MADE[made](folder)
    target = opened(folder, wanted)
    attack.act(target)
    reference = target.write()
    try:
        report = origins.asked(reference, target.wanted)
    except ConverterError as error:
        return str(error)
    return "; ".join(report.unmet)
