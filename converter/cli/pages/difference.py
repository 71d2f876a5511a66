"""The report of ``diff``, and of ``verify --profile``: two trees, and where they differ."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from converter.cli.pages.files import encoded
from converter.errors import count
from converter.pages import data, render
from converter.usage import Node, files_below, find_node

if TYPE_CHECKING:
    from converter.comparison import Difference

MOST = 2000
"""The most paths on the page; the JSON has all."""

FOLDERS = 100
"""The most directories in the table of sizes, those that differ most first."""

SAME, DIFFERS, ALONE = range(3)
"""The colours of the maps."""

NAMES = ("A", "B")


def page(
    references: tuple[str, str], found: Iterable[Difference], trees: Sequence[Node] = (), command: str = "diff"
) -> str:
    """The whole page; without ``trees``, of which there are two, it has no maps."""
    counts = dict.fromkeys(("added", "removed", "changed", "in time alone"), 0)
    config: list[Difference] = []
    rows: list[tuple[str, str, list[Difference]]] = []
    _colour(trees)
    for path, grouped in itertools.groupby(found, lambda one: one.path):
        told = list(grouped)
        if not path.startswith("/") and ":/" not in path:
            config += told
            continue
        kind = kind_of(told)
        counts[kind] += 1
        _mark(trees, path, kind)
        if kind != "in time alone" and len(rows) < MOST:
            rows.append((path, kind, told))
    return render(
        "difference.html.j2",
        references=references,
        command=command,
        title=title(counts, len(config)),
        counts=counts,
        config=config,
        rows=rows,
        left_out=counts["added"] + counts["removed"] + counts["changed"] - len(rows),
        folders=folders(*trees) if trees else [],
        trees=[(name, data(encoded(tree, budget=1_700_000))) for name, tree in zip(NAMES, trees, strict=False)],
    )


def kind_of(rows: Sequence[Difference]) -> str:
    """Whether a path was added, removed or changed."""
    if rows[0].what == "entry":
        return "removed" if rows[0].b is None else "added"
    return "in time alone" if [one.what for one in rows] == ["mtime"] else "changed"


def title(counts: dict[str, int], config: int) -> str:
    """The result, in a sentence."""
    paths = sum(counts.values())
    if not paths and not config:
        return "Equal"
    alone = " in time alone" if paths == counts["in time alone"] else ""
    told = f"{count(paths, 'path')} differ{'s' if paths == 1 else ''}{alone}" if paths else "The files are equal"
    settings = "setting differs" if config == 1 else "settings differ"
    return f"{told}, {config} {settings}" if config else f"{told}, the configuration is equal"


def folders(first: Node, second: Node) -> list[tuple[str, int, int]]:
    """The directories whose sizes differ most: the path, and the bytes of all files below it on both sides."""
    sizes: dict[bytes, list[int]] = {}
    for side, tree in enumerate((first, second)):
        for path, node in files_below(tree):
            while path:
                path = path.rpartition(b"/")[0]
                sizes.setdefault(path, [0, 0])[side] += node.size
    found = [("/" + os.fsdecode(path), a, b) for path, (a, b) in sizes.items() if a != b]
    return sorted(found, key=lambda row: (-abs(row[1] - row[2]), row[0]))[:FOLDERS]


def _colour(trees: Iterable[Node]) -> None:
    for tree in trees:
        for _, node in files_below(tree):
            node.layer = SAME


def _mark(trees: Sequence[Node], path: str, kind: str) -> None:
    for tree in trees:
        node = find_node(tree, os.fsencode(path.lstrip("/")))
        if node is not None and kind != "in time alone":
            for _, file in files_below(node) if kind != "changed" or node.children is None else ():
                file.layer = DIFFERS if kind == "changed" else ALONE
