"""The report of ``inspect``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from converter.cli.image_rows import rows, signature_rows
from converter.cli.pages.files import encoded
from converter.cli.pages.graph import graph
from converter.model.image import Attachment
from converter.pages import data, render
from converter.usage import files_below

if TYPE_CHECKING:
    from converter.cli.contents import Contents
    from converter.reading import OpenedReference
    from converter.trust.signature import Signature

NAMES = ("name", "format", "media type", "digest", "image ID", "content", "platform", "OS version", "created", "author")
IDENTITY = frozenset((*NAMES, "depends on", "artifact", "speaks of", "size"))
ELSEWHERE = frozenset(("layers", "history", "images", "attached", "blobs"))
"""What has a part of the page of its own."""

WASTED = 100
"""The most paths in the table of waste; the JSON has more."""


def page(
    opened: OpenedReference, attached: Sequence[Attachment], signatures: Sequence[Signature], contents: Contents | None
) -> str:
    """The whole page."""
    stated = (row for row in signature_rows(signatures) if row[0] == "content")
    facts = grouped((*rows(opened, attached), *stated))
    used = contents.usage if contents else None
    # An ACI has no layer with a digest of its own.
    layers = [{"digest": "", "size": None} | layer for layer in contents.layers()] if contents else []
    sizes = [layer["size"] or 0 for layer in layers]
    return render(
        "image.html.j2",
        reference=opened.reference,
        identity=[row for row in facts if row[0] in IDENTITY],
        config=[row for row in facts if row[0] not in IDENTITY | ELSEWHERE],
        history=[row[1] for row in facts if row[0] == "history"],
        contents=contents,
        layers=layers,
        whole=sum(sizes),
        starts=[sum(sizes[:number]) for number in range(len(sizes))],
        used=used,
        repeated=contents.repeated()[:WASTED] if contents else [],
        tree=data(encoded(used.root)) if used else "",
        number=sum(1 for _ in files_below(used.root)) if used else 0,
        signatures=signatures,
        graph=graph(opened, attached),
    )


def grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Rows of which those without a label continue the one above, each with all its values."""
    found: list[tuple[str, list[str]]] = []
    for label, value in pairs:
        if label or not found:
            found.append((label, [value]))
        else:
            found[-1][1].append(value)
    return found
