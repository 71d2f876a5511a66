"""A flattening that is as simple as it is slow, on the standard library's tarfile alone: the judge of the real ones.

Layers are applied one after the other to a dictionary of files (image-spec 1.1.1, layer.md, "Applying Changesets").
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(eq=False)
class Inode:
    """One file, perhaps under several names. ``told`` is False for a directory that nobody listed."""

    type: str
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    mtime_ns: int = 0
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    told: bool = True


Tree = dict[bytes, Inode]


def flattened(layers: Iterable[bytes]) -> Tree:
    """The files that layers, base first, uncompressed, make; the root is ``b""``."""
    tree: Tree = {b"": Inode("directory", told=False)}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as archive:
            members = [
                (name_of(member.name), member, archive.extractfile(member) if member.isreg() else None)
                for member in archive
                if plain(member)
            ]
            lower = dict(tree)
            for name, _, _ in members:
                remove(tree, name)
            for name, member, content in members:
                if b".wh." not in name:
                    place(tree, lower, name, member, b"" if content is None else content.read())
    return tree


def plain(member: tarfile.TarInfo) -> bool:
    return member.type in TYPES or member.islnk()


def name_of(text: str) -> bytes:
    """The bytes of a name, without ``./`` or ``/`` at either end."""
    parts = text.encode("utf-8", "surrogateescape").split(b"/")
    return b"/".join(part for part in parts if part not in {b"", b"."})


def remove(tree: Tree, name: bytes) -> None:
    """Do what a whiteout says, if ``name`` is one."""
    directory, slash, base = name.rpartition(b"/")
    if base == b".wh..wh..opq":
        clear(tree, directory)
    elif base.startswith(b".wh.") and not base.startswith(b".wh..wh."):
        gone = directory + slash + base[4:]
        clear(tree, gone)
        tree.pop(gone, None)


def clear(tree: Tree, directory: bytes) -> None:
    """Take away all that is below a directory."""
    start = directory + b"/" if directory else b""
    for path in [path for path in tree if path.startswith(start) and path not in {b"", directory}]:
        del tree[path]


def place(tree: Tree, lower: Tree, name: bytes, member: tarfile.TarInfo, data: bytes) -> None:
    """Put one entry into the tree, and directories above it where there are none.

    A hard link is to a file of its own layer, else to one of the layers below, even where it is removed.
    """
    above = name
    while above:
        above = above.rpartition(b"/")[0]
        if above not in tree or tree[above].type != "directory":
            tree[above] = Inode("directory", told=False)
    target = name_of(member.linkname) if member.islnk() else None
    inode = made(member, data) if target is None else linked(tree, lower, target)
    if inode.type != "directory":
        clear(tree, name)
    tree[name] = inode


def linked(tree: Tree, lower: Tree, target: bytes) -> Inode:
    """The file that a hard link is to; raises KeyError where there is none."""
    found = [files[target] for files in (tree, lower) if target in files and files[target].type != "directory"]
    if not found:
        raise KeyError(target)
    return found[0]


def made(member: tarfile.TarInfo, data: bytes) -> Inode:
    kind = TYPES[member.type]
    pax = member.pax_headers
    return Inode(
        type=kind,
        mode=member.mode & 0o7777,
        owner=(member.uid, member.gid),
        mtime_ns=int(Decimal(pax["mtime"]) * 10**9) if "mtime" in pax else int(member.mtime) * 10**9,
        target=member.linkname.encode("utf-8", "surrogateescape") if member.issym() else b"",
        device=(member.devmajor, member.devminor) if member.isdev() and not member.isfifo() else (0, 0),
        xattrs={key[13:].encode(): binary(value) for key, value in pax.items() if key.startswith("SCHILY.xattr.")},
        data=data,
    )


def binary(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def pruned(tree: Tree) -> Tree:
    """The tree without directories that nobody listed and nothing lies in."""
    used = {b""}
    for path, inode in tree.items():
        while inode.told and path:
            used.add(path)
            path = path.rpartition(b"/")[0]
    return {path: inode for path, inode in tree.items() if path in used}


def names(tree: Tree) -> dict[bytes, frozenset[bytes]]:
    """For every path that is no directory, all paths of the same file."""
    groups: dict[int, set[bytes]] = {}
    for path, inode in tree.items():
        groups.setdefault(id(inode), set()).add(path)
    return {path: frozenset(groups[id(inode)]) for path, inode in tree.items()}


def differences(a: Tree, b: Tree) -> set[tuple[bytes, str]]:
    """What is not the same, as path and property. Directories that nobody listed are there for what lies in them."""
    found: set[tuple[bytes, str]] = set()
    a, b = pruned(a), pruned(b)
    names_a, names_b = names(a), names(b)
    for path in a.keys() | b.keys():
        if path not in a or path not in b:
            if (a.get(path) or b[path]).told:
                found.add((path, "entry"))
            continue
        one, other = a[path], b[path]
        if one.type != other.type:
            found.add((path, "type"))
            continue
        found |= {(path, what) for what in properties(one, other)}
        if one.type != "directory" and names_a[path] != names_b[path]:
            found.add((path, "names"))
    return found


def properties(one: Inode, other: Inode) -> Iterable[str]:
    if not (one.told and other.told):
        return
    pairs: Mapping[str, tuple[object, object]] = {
        "mode": (one.mode, other.mode) if one.type != "symlink" else (0, 0),
        "owner": (one.owner, other.owner),
        "mtime": (one.mtime_ns, other.mtime_ns),
        "target": (one.target, other.target),
        "device": (one.device, other.device),
        "xattrs": (one.xattrs, other.xattrs),
        "content": (one.data, other.data),
    }
    for what, (a, b) in pairs.items():
        if a != b:
            yield what
