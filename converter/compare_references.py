"""Compares two opened references: two images, an image with its counterpart in an index, or two indexes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from converter.compare_images import Difference, compare_images
from converter.errors import Unsupported, Usage, within
from converter.events import Finished, Moved, Planned, Report, Started, silent
from converter.model.content import Blocks, Known, source_blobs
from converter.model.image import Artifact, Image, Index, Item, images_of
from converter.model.limits import enforce_limits
from converter.model.reference import Reference
from converter.opened_reference import OpenedReference, reading
from converter.stores.options import StoreOptions
from converter.streams.blocks import closing
from converter.transform import one_platform, read_whole_index, select_platforms

IGNORED = {"mtime": "mtime", "owner": "owner", "mode": "mode", "xattr": "xattrs"}
"""What ``ignore`` takes → the property of a file; no setting is called so."""


def diff(
    a: Reference,
    b: Reference,
    *,
    platform: str | None = None,
    ignore: Iterable[str] = (),
    aci_paths: Sequence[str | PathLike[str]] = (),
    store: StoreOptions | None = None,
    report: Report = silent,
) -> tuple[Difference, ...]:
    """The differences between two images of any format: their flattened file trees, and how they are started.

    Empty if they have the same content. ``ignore`` names what may differ: mtime, owner, mode, xattr. Of two indexes,
    all images are compared, unless ``platform`` says which. Raises what reading raises.
    """
    options, paths = store or StoreOptions(), tuple(map(Path, aci_paths))
    with (
        enforce_limits(options.limits),
        reading(a, options, paths) as one,
        reading(b, options, paths) as other,
    ):
        return tuple(differences(one, other, platform, report, ignore))


def differences(
    a: OpenedReference, b: OpenedReference, platform: str | None, report: Report, ignore: Iterable[str] = ()
) -> Iterator[Difference]:
    """The differences of all images, perhaps a million; for two indexes, the platform precedes the path.

    Raises Usage for what cannot be ignored, and what comparing raises.
    """
    ignored = set()
    for word in [ignore] if isinstance(ignore, str) else ignore:
        if word not in IGNORED:
            raise Usage(f'cannot ignore "{word}" (one of: {", ".join(IGNORED)})')
        ignored.add(IGNORED[word])
    names = a.reference, b.reference
    for name, (of_a, of_b) in counterparts(a, b, platform).items():
        if of_a is None:
            yield Difference(path=name, what="entry", a=None, b="image")
        elif of_b is None:
            yield Difference(path=name, what="entry", a="image", b=None)
        else:
            for one in compare_images(of_a, of_b, watched(report, of_a, of_b), names):
                if one.what not in ignored:
                    yield replace(one, path=f"{name}:{one.path}") if name else one


def counterparts(
    a: OpenedReference, b: OpenedReference, platform: str | None
) -> dict[str, tuple[Image | None, Image | None]]:
    """What is to be compared with what: of two indexes, the images of each platform that one of them has, by platform;
    otherwise one image of each, by an empty name.
    """
    if isinstance(a.item, Index) and isinstance(b.item, Index) and platform is None:
        of_a, of_b = _by_platform(a), _by_platform(b)
        return {name: (of_a.get(name), of_b.get(name)) for name in sorted(of_a.keys() | of_b.keys())}
    return {"": (_one_image(a, platform, b.item), _one_image(b, platform, a.item))}


def _one_image(opened: OpenedReference, platform: str | None, other: Item) -> Image:
    """The image itself, or the one of an index for a platform, by default the one that suits the other image."""
    with within(opened.reference):
        item = opened.item
        if platform:
            item = select_platforms(item, (platform,), opened.read)
        elif isinstance(other, Image):
            item = one_platform(item, other.platform, opened.read)
        if not isinstance(item, Image):
            what = item if isinstance(item, Artifact) else "an index"
            raise Unsupported(f"cannot compare {what}: expected an image with tar layers")
        return opened.whole(item)


def _by_platform(opened: OpenedReference) -> dict[str, Image]:
    """The images of an index, by platform; repeated platforms are numbered."""
    found: dict[str, Image] = {}
    with within(opened.reference):
        for image in images_of(read_whole_index(opened.item, opened.read)):
            name = str(image.platform.normalised())
            found[name if name not in found else f"{name}#{len(found)}"] = image
    return found


def watched(report: Report, *compared: Image) -> Callable[[Known], Blocks]:
    """Returns a function that opens blobs and reports how far they have been read."""
    layers = [known for image in compared for layer in image.layers for known in source_blobs(layer.content)]
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
