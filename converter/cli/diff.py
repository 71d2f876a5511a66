"""``transship diff``: whether two images of any formats have the same content."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from converter.cli.command import Command
from converter.cli.environment import store, store_options
from converter.cli.flags import common, flags
from converter.cli.heap import share_heap
from converter.cli.image_options import aci_path_option
from converter.cli.progress import progress
from converter.cli.text import BOLD, count, json_text, show, show_json
from converter.errors import Unsupported, within
from converter.events import Finished, Moved, Planned, Report, Started
from converter.model.content import Blocks, Known, sources
from converter.model.image import Artifact, Image, Index, Item, images
from converter.model.platform import Platform
from converter.streams.blocks import closing

if TYPE_CHECKING:
    from converter.cli.reading import Opened
    from converter.diff import Difference
    from converter.streams.tar.records import Records

EQUAL, DIFFERENT, UNKNOWN = range(3)
"""The exit status, as in diff(1)."""


EXAMPLES = """\b
Examples:
  transship diff app.tar oci:app
  transship diff docker://registry.example/app:1 docker-daemon:app:1
"""


@click.command("diff", cls=Command, epilog=EXAMPLES)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Which image of an index. Default: all of them.")
@aci_path_option
@store_options
@common
def command(first: str, second: str, platform: str | None, aci_paths: tuple[Path, ...]) -> int:
    """Compare two images: their flattened file trees (type, mode, owner, times, links, devices, extended attributes,
    content), and how their containers are started.

    Layers, history and annotations are not compared. Exit status 0: equal; 1: different; 2: could not tell.
    """
    flags().failed = UNKNOWN
    from converter.cli.reading import reading
    from converter.streams.tar.records import Records

    share_heap()
    options = store()
    with Records() as found:
        with (
            reading(first, options, aci_paths) as a,
            reading(second, options, aci_paths) as b,
            progress(quiet=flags().quiet) as report,
        ):
            for one in differences(a, b, platform, report):  # perhaps a million; printed once all are known
                found.add(json.dumps((one.path, one.what, one.a, one.b)).encode())
        tell(found)
        return DIFFERENT if found else EQUAL


def differences(a: Opened, b: Opened, platform: str | None, report: Report) -> Iterator[Difference]:
    """The differences of all images; for two indexes, the platform precedes the path. Raises what comparing raises."""
    from converter.diff import Difference, compare

    names = a.reference, b.reference
    if isinstance(a.item, Index) and isinstance(b.item, Index) and platform is None:
        of_a, of_b = by_platform(a), by_platform(b)
        for name in sorted(of_a.keys() | of_b.keys()):
            if name in of_a and name in of_b:
                for one in compare(of_a[name], of_b[name], watched(report, of_a[name], of_b[name]), names):
                    yield replace(one, path=f"{name}:{one.path}")
            else:
                there, missing = ("image", None) if name in of_a else (None, "image")
                yield Difference(path=name, what="entry", a=there, b=missing)
        return
    wanted = Platform.parse(platform) if platform else None
    image_a, image_b = one_image(a, wanted, b.item), one_image(b, wanted, a.item)
    yield from compare(image_a, image_b, watched(report, image_a, image_b), names)


def one_image(opened: Opened, wanted: Platform | None, other: Item) -> Image:
    """The image itself, or the one of an index that is wanted or that suits the other image."""
    from converter.transform.platforms import one_platform

    with within(opened.reference):
        if wanted is None and isinstance(other, Image):
            wanted = other.platform
        item = opened.item if wanted is None else one_platform(opened.item, wanted, opened.read)
        if not isinstance(item, Image):
            what = item if isinstance(item, Artifact) else "an index"
            raise Unsupported(f"cannot compare {what}: expected an image with tar layers")
        return opened.whole(item)


def by_platform(opened: Opened) -> dict[str, Image]:
    """The images of an index, by platform; repeated platforms are numbered."""
    from converter.transform.platforms import read_whole

    found: dict[str, Image] = {}
    with within(opened.reference):
        for image in images(read_whole(opened.item, opened.read)):
            name = str(image.platform.normalised())
            found[name if name not in found else f"{name}#{len(found)}"] = image
    return found


def watched(report: Report, *compared: Image) -> Callable[[Known], Blocks]:
    """Returns a function that opens blobs and reports how far they have been read."""
    layers = [known for image in compared for layer in image.layers for known in sources(layer.content)]
    report(Planned(sum(max(0, known.descriptor.size) for known in layers), len(layers)))
    numbers = itertools.count(1)

    def opened(known: Known) -> Blocks:
        label = f"layer {next(numbers)} of {len(layers)}"
        report(Started(label, known.descriptor.size))
        with closing(known.blocks()) as source:
            for block in source:
                report(Moved(label, len(block)))
                yield block
        report(Finished(label, known.descriptor.size))

    return opened


def tell(found: Records) -> None:
    """Print the differences, as JSON or as text."""
    if flags().json and found:
        print('{\n  "equal": false,\n  "differences": [')
        for number, row in enumerate(found, 1):
            print(indent(json_text(asdict(difference(row))), "    ") + ("," if number < len(found) else ""))
        print("  ]\n}")
    elif flags().json:
        show_json({"equal": True, "differences": []})
    elif not flags().quiet:
        for row in found:
            one = difference(row)
            show(f"{one.path}: {sentence(one)}")
        show(count(len(found), "difference") if found else "equal", colour=BOLD)


def difference(row: bytes) -> Difference:
    """Read back a difference that ``command`` stored."""
    from converter.diff import Difference

    path, what, a, b = json.loads(row)
    return Difference(path=path, what=what, a=a, b=b)


def sentence(one: Difference) -> str:
    """A difference as text."""
    if one.what == "entry":
        return f"only in {'A' if one.b is None else 'B'} ({one.a or one.b})"
    return f"{one.what} is {value(one.a)} in A, {value(one.b)} in B"


def value(member: Any) -> str:
    """A JSON value as text."""
    return member if isinstance(member, str) and member else json.dumps(member, ensure_ascii=False)
