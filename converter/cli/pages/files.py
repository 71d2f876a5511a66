"""A tree of files as the data of the map in a page: compact, and small enough for a page of a million files."""

from __future__ import annotations

import os
from typing import Any

from converter.errors import printable
from converter.pages import cut
from converter.usage import TreeNode, files_below

BUDGET = 3_500_000
"""About how many bytes of a page the files may take; where there are more, small ones are only counted."""

DEEPEST = 60
LONGEST = 255
"""The most bytes of a name in the file systems of Linux."""
_ROW = 16
"""The bytes that a row takes beside its name."""


def encoded(root: TreeNode, budget: int = BUDGET) -> list[Any]:
    """``[name, bytes, layer]`` for a file, ``[name, bytes, layer, children]`` for a directory; instead of the name, the
    number of files that are left out.
    """
    return _row(root, "", 0, _least(root, budget))


def _row(node: TreeNode, name: str, depth: int, least: int) -> list[Any]:
    if node.children is None:
        return [name, node.size, node.layer] if node.size >= least else [1, node.size, -1]
    if depth >= DEEPEST:
        below = [file for _, file in files_below(node)]
        return [name, sum(file.size for file in below), 0, [[len(below), sum(file.size for file in below), -1]]]
    rows = [_row(child, _shown(key), depth + 1, least) for key, child in node.children.items()]
    kept = [row for row in rows if isinstance(row[0], str)]
    small = [row for row in rows if not isinstance(row[0], str)]
    if small:
        rest = [sum(row[0] for row in small), sum(row[1] for row in small), -1]
        if least and depth and not kept:
            return rest  # nothing in it is large enough to be named
        kept.append(rest)
    return [name, sum(row[1] for row in rows), 0, kept]


def _least(root: TreeNode, budget: int) -> int:
    """The size of the smallest file that there is room for; 0 if there is room for all."""
    costs = ((node.size, _ROW + min(len(path) - path.rfind(b"/"), LONGEST)) for path, node in files_below(root))
    least = spent = 0
    for size, cost in sorted(costs, reverse=True):
        spent += cost
        if spent > budget:
            return max(least, 1) + 1
        least = size
    return 0


def _shown(name: bytes) -> str:
    return cut(printable(os.fsdecode(name)), LONGEST)
