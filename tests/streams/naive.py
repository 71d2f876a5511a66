"""Flattening as simple as it is slow, on dictionaries and tarfile, and the layers that it is compared on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from converter.model.content import Replaced
from converter.streams.blocks import Blocks
from converter.streams.squash import find_superseded, squash
from converter.streams.tar.fields import clean_name
from converter.streams.uncompressed import Superseded
from tests.strategies.tar import File


@dataclass(frozen=True)
class Inode:
    """A file of the naive model; links to it share the object."""

    type: str
    data: bytes
    target: str
    mode: int
    uid: int
    mtime: float


Tree = dict[str, Inode]


class Dangling(Exception):
    pass


def plain(name: str) -> str:
    return clean_name(name.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def below(tree: Tree, path: str) -> list[str]:
    return [name for name in tree if name.startswith(f"{path}/" if path else "") and name != path]


def apply(lower: Tree, layer: bytes) -> Tree:
    """What a layer makes of the tree below it: whiteouts first, then every entry in order."""
    with tarfile.open(fileobj=io.BytesIO(layer), encoding="utf-8", errors="surrogateescape") as tar:
        members = [(plain(info.name), info, tar.extractfile(info) if info.isreg() else None) for info in tar]
        tree = dict(lower)
        for path, _, _ in members:
            directory, _, base = path.rpartition("/")
            if base == ".wh..wh..opq":
                for name in below(tree, directory):
                    tree.pop(name)
            elif base.startswith(".wh."):
                removed = f"{directory}/{base[4:]}".lstrip("/")
                for name in [removed, *below(tree, removed)]:
                    tree.pop(name, None)
        lost: Tree = {**lower}
        for path, info, stream in members:
            if ".wh." not in path:
                add(tree, lost, path, info, stream.read() if stream else b"")
    return tree


def add(tree: Tree, lost: Tree, path: str, info: tarfile.TarInfo, data: bytes) -> None:
    kind = {tarfile.DIRTYPE: "dir", tarfile.LNKTYPE: "link", tarfile.SYMTYPE: "symlink"}.get(info.type, "file")
    inode = Inode(kind, data, info.linkname if kind == "symlink" else "", info.mode, info.uid, info.mtime)
    if kind == "link":
        target = plain(info.linkname)
        found = next((t[target] for t in (tree, lost) if target in t and t[target].type != "dir"), None)
        if found is None:
            raise Dangling
        inode = found
    above = path
    while above:
        above = above.rpartition("/")[0]
        if above in tree and tree[above].type != "dir":
            lost[above] = tree.pop(above)
    old = tree.get(path)
    if kind != "dir" or (old and old.type != "dir"):
        for name in [path, *below(tree, path)]:
            if name in tree:
                lost[name] = tree.pop(name)
    tree[path] = inode


def naive(layers: Sequence[bytes]) -> Tree:
    tree: Tree = {}
    for layer in layers:
        tree = apply(tree, layer)
    return tree


def groups(tree: Tree) -> set[frozenset[str]]:
    names: dict[int, set[str]] = {}
    for name, inode in tree.items():
        names.setdefault(id(inode), set()).add(name)
    return {frozenset(group) for group in names.values()}


def opener(layer: bytes) -> Callable[[], Blocks]:
    return lambda: [layer[start : start + 700] for start in range(0, len(layer), 700)]


def flattened(layers: Sequence[bytes]) -> bytes:
    openers = [opener(layer) for layer in layers]
    replaced: Replaced = set()
    try:
        return b"".join(squash(openers, replaced=replaced))
    except Superseded:
        pass
    assert replaced == find_superseded(openers)
    return b"".join(squash(openers, replaced=replaced))


paths = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "a/x/p", "a/x/q", "./a", "./b/x"])
marks = st.sampled_from([".wh.a", ".wh.b", "a/.wh.x", "a/.wh..wh..opq", "b/.wh.x", ".wh..wh..opq", "a/x/.wh.p"])
attributes = {"mode": st.sampled_from([0o644, 0o755]), "mtime": st.integers(0, 3)}
one_file = st.one_of(
    st.builds(File, paths, st.just("file"), st.sampled_from([b"", b"1", b"22", b"3" * 1000]), **attributes),
    st.builds(File, paths, st.just("dir"), **attributes),
    st.builds(File, paths, st.just("symlink"), target=st.sampled_from(["a", "../b"]), **attributes),
    st.builds(File, paths, st.just("link"), target=paths, **attributes),
    st.builds(File, marks),
)
one_layer = st.lists(one_file, max_size=6)
