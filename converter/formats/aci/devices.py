"""Links below ``/dev`` that exist in Docker containers but not in rkt (rkt and docker2aci)."""

from __future__ import annotations

from dataclasses import replace

from converter.model import media_types as types
from converter.model.content import Layer, known_bytes
from converter.model.image import History, Image
from converter.streams.tar import fields
from converter.streams.tar.write import END, make_header

LINKS = {
    b"dev/fd": b"/proc/self/fd",
    b"dev/stderr": b"/dev/console",
    b"dev/stdin": b"/proc/self/fd/0",
    b"dev/stdout": b"/dev/console",
}
"""As in docker2aci: a console can be opened where standard output is a socket."""


def with_dev_links(image: Image) -> Image:
    """An edit that puts the links below all layers, so that anything the image has in their place hides them."""
    data = b"".join(
        make_header(name=name, type=fields.SYMLINK, mode=0o777, linkname=target) for name, target in LINKS.items()
    )
    layer = Layer(content=known_bytes(data + END, types.OCI_LAYER))
    step = History(comment="links below /dev for rkt")
    return replace(image, layers=(layer, *image.layers), history=(step, *image.history) if image.history else ())
