"""``transship diff``: whether two images of any formats have the same content."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from converter.cli.command import LayerCommand
from converter.cli.environment import store_from_options, store_options
from converter.cli.flags import OneOf, common, flags
from converter.cli.image_options import aci_path_option, platform_option
from converter.cli.progress import progress
from converter.cli.report_files import check_reports, report_options, reports, wants_page, write_reports
from converter.cli.text import BOLD, GREEN, RED, YELLOW, json_text, show, show_json
from converter.model.image import Image, Index
from converter.model.limits import size

if TYPE_CHECKING:
    from converter.comparison import Difference
    from converter.reading import OpenedReference
    from converter.streams.tar.records import Records
    from converter.usage import Node

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
    check_reports()
    from converter.differences import differences
    from converter.reading import reading
    from converter.streams.tar.records import Records

    options = store_from_options()
    with Records() as found:
        with (
            reading(first, options, aci_paths) as a,
            reading(second, options, aci_paths) as b,
            progress(quiet=flags().quiet) as report,
        ):
            for one in differences(a, b, platform, report, ignore):  # printed once all are known
                found.add(json.dumps((one.path, one.what, one.a, one.b)).encode())
            trees = _trees(a, b, platform) if wants_page() else {}
        if reports():
            rows = list(map(difference, found))
            told = {"equal": not rows, "differences": [asdict(one) for one in rows]}
            write_reports(told, "difference", (first, second), rows, trees)
        show_result(found, first, second)
        return DIFFERENT if found else EQUAL


def _trees(a: OpenedReference, b: OpenedReference, platform: str | None) -> dict[str, list[Node]]:
    """The flattened trees of both images with their sizes; of two indexes, those of each platform that both have."""
    from converter.differences import by_platform, one_image

    if isinstance(a.item, Index) and isinstance(b.item, Index) and platform is None:
        of_a, of_b = by_platform(a), by_platform(b)
        return {name: [_tree(of_a[name]), _tree(of_b[name])] for name in sorted(of_a.keys() & of_b.keys())}
    return {"": [_tree(one_image(a, platform, b.item)), _tree(one_image(b, platform, a.item))]}


def _tree(image: Image) -> Node:
    from converter.streams.content import uncompressed_layer
    from converter.usage import usage

    return usage([partial(uncompressed_layer, layer) for layer in image.layers]).root


def show_result(found: Records, first: str, second: str) -> None:
    """Print the differences, as JSON or as text."""
    if flags().json and found:
        print('{\n  "equal": false,\n  "differences": [')
        for number, row in enumerate(found, 1):
            print(indent(json_text(asdict(difference(row))), "    ") + ("," if number < len(found) else ""))
        print("  ]\n}")
    elif flags().json:
        show_json({"equal": True, "differences": []})
    elif not flags().quiet:
        if found:
            show(f"- {first}", colour=RED)
            show(f"+ {second}", colour=GREEN)
        show_differences(map(difference, found))


def show_differences(found: Iterable[Difference]) -> None:
    """Print the differences by directory, one line a path; paths that differ in time alone are counted."""
    counts = dict.fromkeys(("added", "removed", "changed", "in time alone"), 0)
    place = ""
    for path, rows in itertools.groupby(found, lambda one: one.path):
        told = list(rows)
        if [one.what for one in told] == ["mtime"]:
            counts["in time alone"] += 1
            continue
        folder, slash, name = path.rpartition("/")
        if slash and folder + slash != place:
            place = folder + slash
            show(place, colour=BOLD)
        sign, colour = _sign(told)
        counts[_KINDS[sign]] += 1
        lead = f"  {sign} {name}" if slash else path
        if sign == "~" or not slash:
            show(f"{lead}: {'; '.join(map(changed, told))}", colour=colour)
        else:
            show(f"{lead} ({told[0].a or told[0].b})", colour=colour)
    counted = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    show(counted or "equal", colour=BOLD)


_KINDS = {"+": "added", "-": "removed", "~": "changed"}


def _sign(rows: list[Difference]) -> tuple[str, str]:
    """Whether a path was added, removed or changed, and the colour of that."""
    if rows[0].what != "entry":
        return "~", YELLOW
    return ("-", RED) if rows[0].b is None else ("+", GREEN)


def difference(row: bytes) -> Difference:
    """Read back a difference that ``command`` stored."""
    from converter.comparison import Difference

    path, what, a, b = json.loads(row)
    return Difference(path=path, what=what, a=a, b=b)


def changed(one: Difference) -> str:
    """A difference of a path that is in both, as text."""
    if one.what == "entry":
        return f"only in {'A' if one.b is None else 'B'}"
    if one.what == "content":
        return "content"  # of which the digests say nothing to people
    if one.what == "size":
        return f"size {size(one.a)} → {size(one.b)}"
    return f"{one.what} {value(one.a)} → {value(one.b)}"


def value(member: Any) -> str:
    """A JSON value as text."""
    return member if isinstance(member, str) and member else json.dumps(member, ensure_ascii=False)
