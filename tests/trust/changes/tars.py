"""Changes of a converted image's tar: entries that two readers read differently, and other members of headers."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

from converter.streams.tar.fields import padding_bytes, with_checksum
from converter.streams.tar.pax import make_header
from tests.builders import tar
from tests.strategies.tar import File, archive
from tests.trust.attacked import Target
from tests.trust.changes.files import each, entry, in_the_recipe, remade_recipes, repacked, retarred

EVIL = archive([File("bin/evil", data=b"evil")])


Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"evil", **said: Any) -> Member:
    """An entry that is added."""
    info = tarfile.TarInfo(name)
    for key, value in said.items():
        setattr(info, key, value)
    return info, data


def with_members(*first: Member, last: tuple[Member, ...] = (), without: str = "") -> Callable[[Target], None]:
    """Entries before all others and behind them, and one of the others left out."""

    def attack(target: Target) -> None:
        out = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(target.tars()[0])) as old,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
        ):
            kept = [(one, read.read() if (read := old.extractfile(one)) else b"") for one in old if one.name != without]
            for info, data in (*first, *kept, *last):
                info.size = len(data) if info.isreg() else 0
                new.addfile(info, io.BytesIO(data))
        target.with_tars([out.getvalue()])
        remade_recipes(target)

    return attack


def added(name: str, **said: Any) -> Callable[[Target], None]:
    """An entry behind all others."""
    return with_members(last=(member(name, **said),))


def records(name: str, **said: str) -> Callable[[Target], None]:
    """PAX records of one entry."""
    return in_the_recipe(entry(name, pax_headers=said))


def exchanged(target: Target) -> None:
    """Two names exchanged in the headers, and put right for some readers alone."""
    names = {"rootfs/bin/sh": "rootfs/bin/su", "rootfs/bin/su": "rootfs/bin/sh"}

    def edit(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name in names:
            info.pax_headers = {"GNU.sparse.name": info.name}
            info.name = names[info.name]
        return info, data

    each(edit)(target)


def before(name: str, record: bytes) -> Callable[[Target], None]:
    """A record in front of an entry's header."""

    def attack(target: Target) -> None:
        (tar,) = target.tars()
        place = tar.index(name.encode().ljust(100, b"\0"))
        target.with_tars([tar[:place] + record + tar[place:]])

    return attack


def record(kind: bytes, data: bytes) -> bytes:
    """A PAX header or a long name."""
    return make_header(name=b"record", type=kind, size=len(data)) + data + padding_bytes(len(data))


def in_header(name: str, place: int, text: bytes) -> Callable[[Target], None]:
    """Other bytes at that place of an entry's header."""

    def attack(target: Target) -> None:
        (tar,) = target.tars()
        start = tar.index(name.encode().ljust(100, b"\0"))
        head = tar[start : start + place] + text + tar[start + place + len(text) : start + 512]
        target.with_tars([tar[:start] + with_checksum(head) + tar[start + 512 :]])
        remade_recipes(target)

    return attack


def isolator(target: Target) -> None:
    """A capability for whatever is run."""

    def edit(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name == "manifest":
            said = json.loads(data)
            value = {"set": ["CAP_SYS_ADMIN"]}
            said["app"]["isolators"] = [{"name": "os/linux/capabilities-retain-set", "value": value}]
            data = json.dumps(said, separators=(",", ":")).encode()
        return info, data

    target.with_tars([retarred(tar, edit) for tar in target.tars()])
    remade_recipes(target)


def _another_user(info: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return info, data.replace(b'"group":"0"', b'"group":"7"') if info.name == "manifest" else data


def appended(data: bytes) -> Callable[[Target], None]:
    """Something behind the packed bytes of the first layer, or of the ACI."""
    return repacked(lambda packed: packed + data)


def behind_the_end(target: Target) -> None:
    """Another archive behind the end of this one, for readers that go on."""
    tars = target.tars()
    target.with_tars([tars[0] + tar({"rootfs/bin/sh": b"evil"})])
