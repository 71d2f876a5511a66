"""What the result of a conversion depends on besides the content; an origin record keeps it (docs/signatures.md)."""

from __future__ import annotations

from converter.model.compression import Compression
from converter.model.frozen import frozen
from converter.model.platform import only


@frozen
class Settings:
    """How images become others; the defaults change as little as the target allows.

    ``to`` is the target's format, or empty to keep that of each image. ``platforms`` are ``OS/ARCH[/VARIANT]``, or just
    ``all``. ``compress`` None keeps what the target takes, except for layers that are plain only because Docker
    unpacked them (docs/decisions/0003). ``layered`` and ``rkt_dev_links`` are for ACIs: one for each layer, and with
    links below ``/dev``. ``changes`` are instructions of a Dockerfile that change how a container is started.
    ``epoch``, in seconds, is used only where a time must be invented.

    A record has neither ``to`` nor ``compress``: the converted image shows both.
    """

    to: str = ""
    platforms: tuple[str, ...] = ()
    compress: Compression | None = None
    squash: bool = False
    layered: bool = False
    rkt_dev_links: bool = False
    changes: tuple[str, ...] = ()
    epoch: int | None = None

    @property
    def platform(self) -> str:
        """The platform of the one image taken from an index; empty if not exactly one was."""
        return only(self.platforms)


DEFAULTS = Settings()
