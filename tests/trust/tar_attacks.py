"""Attacks on the tar of a converted image: entries that two readers take for two things, and what headers say besides.

Each makes the recipes anew, so that what was signed still comes out of the changed tar.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import zstandard

from converter.streams.tar.fields import sealed
from converter.streams.tar.write import header, pad
from tests.strategies.tar import File, archive
from tests.trust.attacked import DOCKER, OCI_ACI, OCI_OCI, OF_DOCKER, V1_ACI, Attack, Target
from tests.trust.attacks import LAYER
from tests.trust.changed_files import each, entry, in_the_recipe, remade_recipes, repacked, retarred

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
    return header(name=b"record", type=kind, size=len(data)) + data + pad(len(data))


def in_header(name: str, place: int, text: bytes) -> Callable[[Target], None]:
    """Other bytes at that place of an entry's header."""

    def attack(target: Target) -> None:
        (tar,) = target.tars()
        start = tar.index(name.encode().ljust(100, b"\0"))
        head = tar[start : start + place] + text + tar[start + place + len(text) : start + 512]
        target.with_tars([tar[:start] + sealed(head) + tar[start + 512 :]])
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


STAYS = "makes no file that stays"
ATTACKS = (
    Attack(
        "a file with a whiteout's name added",
        added("rootfs/etc/.wh.evil"),
        {OCI_ACI: STAYS},
    ),
    Attack("an opaque directory", added("rootfs/etc/.wh..wh..opq"), {OCI_ACI: STAYS}),
    Attack("what aufs kept", added("rootfs/.wh..wh.plnk/evil"), {OCI_ACI: STAYS}),
    Attack("the label of a volume", added("evil", type=b"V"), {OCI_ACI: STAYS}),
    Attack("a directory's entry left out", with_members(without="rootfs/etc"), {OCI_ACI: "/etc: got no entry"}),
    Attack(
        "an entry for the archive's root",
        with_members(member(".", type=tarfile.DIRTYPE, mode=0o777)),
        {OCI_ACI: "/: got an entry"},
    ),
    Attack("a file twice", with_members(member("./rootfs/bin/sh")), {OCI_ACI: "twice, want it once"}),
    Attack(
        "a link where a directory comes",
        with_members(member("rootfs//bin", type=tarfile.SYMTYPE, linkname="/etc")),
        {OCI_ACI: "twice, want it once"},
    ),
    Attack(
        "a path that leads out",
        added("rootfs/../../etc/evil"),
        {OCI_ACI: "want a path without"},
    ),
    Attack(
        "an entry of a type that nobody knows",
        added("rootfs/evil", type=b"Z"),
        {OCI_ACI: "got the type"},
    ),
    Attack("names exchanged for some readers", exchanged, {V1_ACI: "got version '.' without a map"}),
    Attack(
        "a long name that is empty", before("rootfs/bin/su", record(b"L", b"\0")), {V1_ACI: "got an empty name, want"}
    ),
    Attack(
        "an owner for some readers",
        before("rootfs/bin/su", record(b"g", b"8 uid=0\n")),
        {V1_ACI: "a global PAX header"},
    ),
    Attack(
        "a PAX header for some readers",
        before("rootfs/bin/su", record(b"X", b"22 path=rootfs/bin/su\n")),
        {V1_ACI: "a PAX header of Solaris"},
    ),
    Attack("a directory with a size", in_header("rootfs/bin/", 124, b"00000001000\0"), {OCI_ACI: "with a size"}),
    Attack("a directory for some readers", in_header("rootfs/bin/", 156, b"0"), {OCI_ACI: "a type that its name"}),
    Attack("a header of star", in_header("rootfs/bin/su", 508, b"tar\0"), {OCI_ACI: "fields of another dialect"}),
    Attack("a time", in_the_recipe(entry("bin/sh", mtime=5)), {OCI_ACI: "/bin/sh: got the mtime"}),
    Attack(
        "a file made a hard link",
        in_the_recipe(entry("bin/su", type=tarfile.LNKTYPE, linkname="rootfs/bin/sh")),
        {OCI_ACI: "/bin/sh: got the names"},
    ),
    Attack("an attribute", records("bin/sh", **{"SCHILY.xattr.security.capability": "x"}), {OCI_ACI: "got the xattrs"}),
    Attack(
        "an attribute as libarchive writes it",
        records("bin/sh", **{"LIBARCHIVE.xattr.security.capability": "eA"}),
        {OCI_ACI: "'LIBARCHIVE.xattr.security.capability'"},
    ),
    Attack("an ACL", records("bin/sh", **{"SCHILY.acl.access": "user::rwx"}), {OCI_ACI: "'SCHILY.acl.access'"}),
    Attack(
        "a label of SELinux", records("bin/sh", **{"RHT.security.selinux": "x"}), {OCI_ACI: "'RHT.security.selinux'"}
    ),
    Attack("the name of an owner", in_the_recipe(entry("bin/su", uname="daemon")), {OCI_ACI: "'uname' 'daemon'"}),
    Attack("an isolator", isolator, {OCI_ACI: "at /app/isolators, want null"}),
    Attack("another group", in_the_recipe(_another_user), {OCI_ACI: 'got "7" at /app/group, want "0"'}),
    Attack(
        "a second gzip member",
        appended(gzip.compress(EVIL, mtime=0)),
        {OCI_OCI: LAYER, DOCKER: LAYER, OCI_ACI: "behind the last entry"},
    ),
    Attack("a second gzip member behind zeros", appended(bytes(100) + gzip.compress(EVIL, mtime=0)), {OCI_OCI: LAYER}),
    Attack(
        "something behind the gzip stream", appended(b"evil"), dict.fromkeys(OF_DOCKER, "got a gzip stream cut off")
    ),
    Attack(
        "a zstd frame behind the gzip stream", appended(zstandard.compress(EVIL)), {OCI_OCI: "got a broken gzip stream"}
    ),
    Attack(
        "a layer packed otherwise than its media type says",
        repacked(lambda data: zstandard.compress(gzip.decompress(data))),
        {OCI_OCI: "got a layer packed with zstd, want gzip"},
    ),
)
