from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given, settings, strategies as st

from converter.errors import Invalid
from converter.streams.tar.listing import Node
from converter.streams.tar.tree import list_tree
from tests.strategies.tar import File, archive, dialects
from tests.streams.naive import Dangling, Tree, flattened, groups, naive, one_layer, opener
from tests.trees import Named, tree

KINDS = {b"5": "dir", b"2": "symlink"}


Row = tuple[str, int, int, int, str]


def plain(files: dict[bytes, Named]) -> dict[str, Row]:
    return {path.decode(): row(file.node) for path, file in files.items()}


def row(node: Node) -> Row:
    kind = KINDS.get(node.type, "file")
    return kind, node.mode, node.size, node.mtime_ns // 10**9, node.linkname.decode()


def expected(model: Tree) -> dict[str, Row]:
    return {
        name: (inode.type, inode.mode, len(inode.data), int(inode.mtime), inode.target) for name, inode in model.items()
    }


@settings(max_examples=300)
@given(st.lists(one_layer, max_size=4), dialects)
def test_the_tree_agrees_with_a_naive_model_and_squash_keeps_it(listings: list[list[File]], dialect: str) -> None:
    layers = [archive(listing, dialect) for listing in listings]
    try:
        model = naive(layers)
    except Dangling:
        with suppress(Invalid):
            assert tree([opener(flattened(layers))]) == tree([opener(layer) for layer in layers])
        return
    found = tree([opener(layer) for layer in layers])
    assert plain(found) == expected(model)
    links = {frozenset(name.decode() for name in file.names) for file in found.values() if file.names}
    assert links == {group for group in groups(model) if len(group) > 1}
    assert tree([opener(flattened(layers))]) == found


def test_a_chain_of_links_before_their_file_is_walked_once() -> None:
    names = [f"{number:05}" for number in range(5_000)]
    links = [File(name, "link", target=after) for name, after in pairwise(names)]
    with list_tree([opener(archive([*links, File(names[-1])], "ustar"))]) as found:
        counts = {found.names(one)[0] for one in found if one.record}
    assert counts == {len(names)}
