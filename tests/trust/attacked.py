"""A converted image that is attacked: what it was, what it became, and whether ``verify`` refuses what is left."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import converter
from converter.errors import ConverterError
from converter.model import media_types as types
from converter.model.document import dump_json
from converter.trust.origin_record import ARTIFACT
from converter.verification.wanted import Wanted
from tests.builders import sha256, tar
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
        self.row(entry, dump_json(said))

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
        return found | {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": dump_json(index)}


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
                (self.folder / "app.aci.origin").write_bytes(tar(self.layout.files()))
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


@dataclass(frozen=True)
class Attack:
    """What is done, and how; for each target that it is done to, a part of the reason that it is refused for."""

    name: str
    act: Callable[[Target], None]
    reasons: dict[str, str]


def attack(name: str, act: Callable[[Target], None], *refused: dict[str, str]) -> Attack:
    """A row of the table."""
    return Attack(name, act, {target: reason for row in refused for target, reason in row.items()})


def on(targets: str | tuple[str, ...], reason: str) -> dict[str, str]:
    """On these targets it is refused for this reason."""
    return dict.fromkeys((targets,) if isinstance(targets, str) else targets, reason)


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


def read(folder: Path) -> Layout:
    """A layout on disk."""
    return Layout({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


def opened(folder: Path, wanted: Wanted) -> Target:
    """What a conversion has left in a folder."""
    if (folder / "app.aci").exists() and (folder / "app.aci.origin").exists():
        with tarfile.open(folder / "app.aci.origin") as archive:
            files = {one.name: stream.read() for one in archive if (stream := archive.extractfile(one)) is not None}
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
