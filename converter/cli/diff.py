"""``transship diff``: whether two images of any formats have the same content."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import OneOf, common, flags
from converter.cli.progress import progress
from converter.cli.shared_options import (
    aci_path_option,
    check_outputs,
    platform_option,
    report_options,
    reports,
    store_from_options,
    store_options,
    wants_page,
    write_reports,
)
from converter.cli.text import BOLD, FAINT, GREEN, RED, YELLOW, json_text, show, show_json, show_parts
from converter.errors import count
from converter.model.document import shown_value
from converter.model.limits import size

if TYPE_CHECKING:
    from converter.compare_images import Difference
    from converter.events import Report
    from converter.model.image import Image
    from converter.opened_reference import OpenedReference
    from converter.streams.tar.listing import Records
    from converter.usage import TreeNode

Folders = Mapping[str, Sequence[int]]
"""Where the differences in each directory are; those of what is no file are in none, whose path is empty."""

EQUAL, DIFFERENT, UNKNOWN = range(3)
"""The exit status, as in diff(1)."""


EXAMPLES = """\b
Examples:
  transship diff app.tar oci:app
  transship diff docker://registry.example/app:1 docker-daemon:app:1 --ignore mtime
"""


@click.command("diff", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@platform_option("Which image of an index. Default: all of them.")
@click.option(
    "--ignore",
    multiple=True,
    type=OneOf(["mtime", "owner", "mode", "xattr"]),
    help="What may differ: mtime, owner, mode or xattr (repeatable).",
)
@aci_path_option
@report_options
@store_options
@common
def command(first: str, second: str, platform: str | None, ignore: tuple[str, ...], aci_paths: tuple[Path, ...]) -> int:
    """Compare two images: their flattened file trees (type, mode, owner, times, links, devices, extended attributes,
    content), and how their containers are started.

    Layers, history and annotations are not compared. Paths that differ only in their times are counted; --json lists
    them too. Exit status 0: equal; 1: different; 2: could not tell.
    """
    flags().failed = UNKNOWN
    check_outputs()
    from converter.compare_references import differences
    from converter.opened_reference import reading
    from converter.streams.tar.listing import Records

    options = store_from_options()
    with Records() as found:
        with (
            progress(first=f"reading {first} and {second}") as report,
            reading(first, options, aci_paths) as a,
            reading(second, options, aci_paths) as b,
        ):
            # Printed once all are known.
            folders: dict[str, list[int]] = {}
            for one in differences(a, b, platform, report, ignore):
                place = found.add(json.dumps(one.to_json()).encode())
                folders.setdefault(_split(one.path)[0], []).append(place)
            trees = _trees(a, b, platform, report) if wants_page() else {}
        if reports():
            all_found = list(map(difference, found))
            document = {"equal": not all_found, "differences": [one.to_json() for one in all_found]}
            write_reports(document, "pages.difference", (first, second), all_found, trees)
        show_result(found, folders, first, second, ignore)
        return DIFFERENT if folders else EQUAL


def _trees(a: OpenedReference, b: OpenedReference, platform: str | None, report: Report) -> dict[str, list[TreeNode]]:
    """The flattened trees of both images with their sizes; of two indexes, those of each platform that both have."""
    from converter.compare_references import counterparts, watched
    from converter.streams.uncompressed import read_layers
    from converter.usage import usage

    pairs: dict[str, list[Image]] = {}
    for name, (of_a, of_b) in counterparts(a, b, platform).items():
        if of_a is not None and of_b is not None:
            pairs[name] = [of_a, of_b]
    opened = watched(report, *itertools.chain(*pairs.values()))
    return {
        name: [read_layers(image.layers, usage, opened=opened).root for image in two] for name, two in pairs.items()
    }


def show_result(found: Records, folders: Folders, first: str, second: str, ignore: Sequence[str]) -> None:
    """Print the differences as JSON or as text."""
    if flags().json and folders:
        print('{\n  "equal": false,\n  "differences": [')
        separator = ""
        for row in found:
            print(separator + indent(json_text(json.loads(row)), "    "), end="")
            separator = ",\n"
        print("\n  ]\n}")
    elif flags().json:
        show_json({"equal": True, "differences": []})
    elif flags().quiet:
        return
    elif folders:
        show(f"- {first}", colour=RED)
        show(f"+ {second}", colour=GREEN)
        show_differences(found, folders)
    else:
        but = f" ({', '.join(dict.fromkeys(ignore))} ignored)" if ignore else ""
        show(f"equal: the same files and configuration{but}", colour=BOLD)


def _split(path: str) -> tuple[str, str]:
    """The directory of a path, with a slash at its end, and the name in it; no directory for what is no file."""
    is_file = path.startswith("/") or ":/" in path
    folder, slash, name = path.rpartition("/")
    return (folder + slash, name) if is_file else ("", path)


def show_differences(found: Records, folders: Folders) -> None:
    """Print the differences, one line a path; those that differ only in their times are counted.

    Those in a directory come together, before those in the directories within it.
    """
    others = folders.get("", ())
    _show_settings(_by_path(found, others))
    counts: Counter[str] = Counter()
    grown = 0
    for folder in sorted(folders.keys() - {""}):
        paths = _by_path(found, folders[folder])
        here = Counter(map(kind_of, paths))
        counts += here
        del here[TIME_ONLY]
        if here:
            more = sum(one.growth for rows in paths for one in rows)
            grown += more
            shown = f"  {_counted(here)}{_in_brackets(more)}" if here.total() > 1 else ""
            show_parts((folder, BOLD), (shown, FAINT), fold=True)
            _show_paths(paths)
    parts = [_counted(counts)] if counts else []
    if others:
        parts.append(count(len(others), "setting"))
    only_times = counts.keys() == {TIME_ONLY} and not others
    hint = " (--ignore mtime leaves it out)" if only_times else ""
    show(", ".join(parts) + _in_brackets(grown) + hint, colour=BOLD)


def _by_path(found: Records, places: Iterable[int]) -> list[list[Difference]]:
    """The differences at these places, those of each path together."""
    each = (difference(found[place]) for place in places)
    return [list(rows) for _, rows in itertools.groupby(each, lambda one: one.path)]


def _show_paths(paths: Iterable[list[Difference]]) -> None:
    """Print the paths of a directory, but for those that differ only in their times."""
    for changes in paths:
        sign, colour = _SIGNS[kind_of(changes)]
        name = _split(changes[0].path)[1]
        if sign == "~":
            changes.sort(key=lambda one: one.what == "mtime")
            show(f"  ~ {name}: {'; '.join(map(changed, changes))}", colour=colour, fold=True)
        elif sign:
            alone = changes[0]
            grown = f", {_signed(alone.growth)}" if alone.growth else ""
            show(f"  {sign} {name} ({alone.a or alone.b}{grown})", colour=colour, fold=True)


def _counted(counts: Mapping[str, int]) -> str:
    """How many paths were added, removed and changed."""
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in _SIGNS if counts[kind])


def _signed(grown: int) -> str:
    """By how many bytes files grew or shrank."""
    return f"{'+' if grown > 0 else MINUS}{size(abs(grown))}"


def _in_brackets(grown: int) -> str:
    return f" ({_signed(grown)})" if grown else ""


def _show_settings(places: Iterable[Sequence[Difference]]) -> None:
    """Print what is no file: settings, a line each, or an image that only one of two indexes has."""
    for rows in places:
        show(rows[0].path, colour=BOLD)
        for name, a, b in settings(rows):
            name = name.removeprefix(f"{rows[0].path} ")
            if b is None:
                show(f"  - {name}: {shown_value(a)}", colour=RED, fold=True)
            elif a is None:
                show(f"  + {name}: {shown_value(b)}", colour=GREEN, fold=True)
            else:
                show(f"  ~ {name}: {shown_value(a)} → {shown_value(b)}", colour=YELLOW, fold=True)


def settings(found: Iterable[Difference]) -> list[tuple[str, Any, Any]]:
    """What differs in the configuration, with A's and B's values; of one with members, such as `env`, each member."""
    rows: list[tuple[str, Any, Any]] = []
    for one in found:
        name = one.what if one.path == "config" else f"{one.path} {one.what}"
        if one.what == "entry":
            name = one.path
        if isinstance(one.a, dict) and isinstance(one.b, dict):
            a, b = one.a, one.b
            members = (key for key in {**a, **b} if a.get(key) != b.get(key))
            rows += [(f"{name} {key}", a.get(key), b.get(key)) for key in members]
        else:
            rows.append((name, one.a, one.b))
    return rows


TIME_ONLY = "with only another time"
"""The word for paths of which nothing else differs."""

_SIGNS = {"added": ("+", GREEN), "removed": ("-", RED), "changed": ("~", YELLOW), TIME_ONLY: ("", "")}
"""The sign and the colour of each kind of path."""

MINUS = "\N{MINUS SIGN}"


def kind_of(rows: Sequence[Difference]) -> str:
    """Whether a path was added, removed or changed."""
    if rows[0].what == "entry":
        return "removed" if rows[0].b is None else "added"
    return TIME_ONLY if [one.what for one in rows] == ["mtime"] else "changed"


def difference(row: bytes) -> Difference:
    """Read back a difference that ``command`` stored."""
    from converter.compare_images import Difference

    return Difference(**json.loads(row))


def changed(one: Difference) -> str:
    """A difference of a path that is in both, as text."""
    if one.what == "content":
        return "content"  # of which the digests say nothing to people
    if one.what == "size":
        return f"size {size(one.a)} → {size(one.b)}"
    if one.what == "mtime" and one.a[:_SECONDS] != one.b[:_SECONDS]:
        return f"mtime {one.a[:_SECONDS]}Z → {one.b[:_SECONDS]}Z"
    return f"{one.what} {shown_value(one.a)} → {shown_value(one.b)}"


_SECONDS = len("2024-05-06T07:08:09")
"""The length of a time to the second; the rest is shown only where nothing else differs."""
