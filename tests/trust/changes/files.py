"""Changes of a converted image's files, with every digest, and if asked every recipe, made to match."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable
from typing import Any

from converter.model import media_types as types
from converter.model.document import dump_json
from converter.streams.tar.delta import FileIndex, make_delta
from tests.builders import sha256
from tests.trust import origins
from tests.trust.attacked import Target

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


def remade_recipes(target: Target) -> None:
    """Recipes that give what was signed of what the target has become."""
    tar = target.tars()[0]
    files = FileIndex([tar])

    def recipe(data: bytes) -> bytes:
        return gzip.compress(b"".join(make_delta([data], files, lambda at, size: [tar[at : at + size]])), mtime=0)

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


def damaged(packed: bytes) -> bytes:
    """One bit of one byte, another one, so that something else comes out; some bits of a stream mean nothing."""
    for place in range(len(packed) // 2, len(packed)):
        changed = flipped(packed, place)
        try:
            same = gzip.decompress(changed) == gzip.decompress(packed)
        except (OSError, EOFError, zlib.error):
            return changed
        if not same:
            return changed
    raise AssertionError("no byte counts")


def one_byte(target: Target) -> None:
    """One byte of a blob as it lies, its digest as it was."""
    if target.aci:
        target.aci = damaged(target.aci)
        return
    row = target.layout.json(target.layout.image["digest"])["layers"][0]
    target.layout.blobs[row["digest"]] = damaged(target.layout.blobs[row["digest"]])


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
    return dump_json(said)


def environment(target: Target) -> None:
    """Another variable for whatever is run."""
    if target.aci:
        each(content("manifest", _with_variable))(target)
    else:
        target.with_tars(target.tars(), lambda config: config["config"].update(Env=["PATH=/tmp"]))


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
