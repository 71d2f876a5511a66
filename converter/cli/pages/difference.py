"""The report of ``diff``, and of ``verify --profile``: two trees, and where they differ."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.cli.diff import TIME_ONLY, kind_of, settings
from converter.cli.pages.files import encoded
from converter.errors import count
from converter.pages import data, render
from converter.usage import TreeNode, files_below, find_node

if TYPE_CHECKING:
    from converter.compare_images import Difference

MOST_SHOWN = 2000
"""The most paths on the page; the JSON has all."""

FOLDERS = 30
"""The most directories in the table of sizes."""

BUDGET = 1_700_000
"""About how many bytes of the page the maps of all A may take, and those of all B."""

SAME = 0
"""The colour of a file in the maps that both sides have."""

_COLOURS = {"changed": 1, "added": 2, "removed": 3}
"""The colours of the others."""


Trees = Mapping[str, Sequence[TreeNode]]
"""The trees of A and B, by what precedes their paths: a platform if two indexes are compared, else nothing."""


def page(
    references: tuple[str, str], found: Iterable[Difference], trees: Trees | None = None, command: str = "diff"
) -> str:
    """The whole page; without ``trees`` it has no maps."""
    trees = trees or {}
    counts = dict.fromkeys(("added", "removed", "changed", TIME_ONLY), 0)
    config: list[Difference] = []
    rows = PathRows()
    sizes = folders(trees)
    for tree in itertools.chain(*trees.values()):
        for _, node in files_below(tree):
            node.layer = SAME
    for path, grouped in itertools.groupby(found, lambda one: one.path):
        here = list(grouped)
        if not path.startswith("/") and ":/" not in path:
            config += here
            continue
        kind = kind_of(here)
        counts[kind] += 1
        if kind != TIME_ONLY:
            _mark(trees, path, kind)
            rows.add(path, kind, here)
    return render(
        "difference.html.j2",
        references=references,
        command=command,
        title=title(counts, len(config)),
        counts=counts,
        config=settings(config),
        differing=len(config),
        rows=rows.shown(),
        left_out=rows.count - sum(1 + row.below for row in rows.shown()),
        folders=sizes[:FOLDERS],
        folders_left_out=len(sizes[FOLDERS:]),
        maps=[
            (
                platform,
                [(name, data(encoded(tree, BUDGET // len(trees)))) for name, tree in zip("AB", two, strict=True)],
            )
            for platform, two in trees.items()
        ],
    )


@dataclass(slots=True)
class PathRow:
    """A path that differs, and if it stands for a whole directory, the number of paths below it and their bytes."""

    path: str
    kind: str
    differences: Sequence[Difference]
    below: int = 0
    size: int = 0

    @property
    def top(self) -> str:
        """The directory it is in, or the one two levels below the root that has it; empty for the root."""
        return _TOP.sub(r"\1", self.path)


_TOP = re.compile("((?:[^/:][^:]*:(?=/))?(?:/[^/]*){0,2})/.*", re.DOTALL)
"""A path, perhaps of a platform, with what precedes the rest: two names at most."""


class PathRows:
    """The paths that differ, in their order, as many as fit. If they are too many, they are folded: a directory that
    only one side has then stands for all in it.
    """

    def __init__(self) -> None:
        self.count = 0
        self._single: list[PathRow] = []
        self._folded: list[PathRow] = []

    def add(self, path: str, kind: str, differences: Sequence[Difference]) -> None:
        """Add the next path, with what differs there."""
        self.count += 1
        if len(self._single) < MOST_SHOWN:
            self._single.append(PathRow(path, kind, differences))
        last = self._folded[-1] if self._folded else None
        if last is not None and last.kind != "changed" and path.startswith(f"{last.path}/"):
            last.below += 1
            last.size += differences[0].size or 0
        elif len(self._folded) < MOST_SHOWN:
            self._folded.append(PathRow(path, kind, differences))

    def shown(self) -> Sequence[PathRow]:
        """The rows of the page."""
        return self._folded if self.count > MOST_SHOWN else self._single


def title(counts: dict[str, int], config: int) -> str:
    """The result, in a sentence."""
    paths = sum(counts.values())
    if not paths and not config:
        return "Equal"
    alone = " only in time" if paths == counts[TIME_ONLY] else ""
    files = f"{count(paths, 'path')} differ{'s' if paths == 1 else ''}{alone}" if paths else "The files are equal"
    settings = "setting differs" if config == 1 else "settings differ"
    return f"{files}, {config} {settings}" if config else f"{files}, the configuration is equal"


def folders(trees: Trees) -> list[tuple[str, int, int]]:
    """The directories whose sizes differ, most first: the path, and the bytes of all files below it on both sides.

    Without those that differ by as much as a directory in them does.
    """
    sizes: dict[tuple[str, bytes], list[int]] = {}
    for platform, two in trees.items():
        for side, tree in enumerate(two):
            for path, node in files_below(tree):
                while path:
                    path = path.rpartition(b"/")[0]
                    sizes.setdefault((platform, path), [0, 0])[side] += node.size
    within = {(platform, path.rpartition(b"/")[0], b - a) for (platform, path), (a, b) in sizes.items() if path}
    found = [
        (_shown(platform, path), a, b)
        for (platform, path), (a, b) in sizes.items()
        if a != b and (platform, path, b - a) not in within
    ]
    return sorted(found, key=lambda row: (-abs(row[1] - row[2]), row[0]))


def _shown(platform: str, path: bytes) -> str:
    return f"{platform}:/{os.fsdecode(path)}" if platform else f"/{os.fsdecode(path)}"


def _mark(trees: Trees, path: str, kind: str) -> None:
    platform, _, below = path.partition(":/") if not path.startswith("/") else ("", "", path.lstrip("/"))
    for tree in trees.get(platform, ()):
        node = find_node(tree, os.fsencode(below))
        if node is not None:
            for _, file in files_below(node) if kind != "changed" or node.children is None else ():
                file.layer = _COLOURS[kind]
