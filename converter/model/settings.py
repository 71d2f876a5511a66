"""What the result of a conversion depends on besides the content; an origin record keeps it (docs/signatures.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from converter.model.content import Compression
from converter.model.document import required_member, text_list
from converter.model.frozen import frozen


@frozen
class Settings:
    """The settings of a conversion. The defaults change as little as the target allows.

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

    def to_json(self) -> dict[str, Any]:
        """The members in an origin record."""
        found: dict[str, Any] = {
            "platforms": list(self.platforms),
            "squash": self.squash,
            "layered": self.layered,
            "devLinks": self.rkt_dev_links,
            "epoch": self.epoch or 0,
        }
        return found | ({"changes": list(self.changes)} if self.changes else {})

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The settings in an origin record; raises Invalid."""
        return cls(
            platforms=text_list(record, "platforms"),
            squash=record.get("squash") is True,
            layered=record.get("layered") is True,
            rkt_dev_links=record.get("devLinks") is True,
            epoch=required_member(record, "epoch", int),
            changes=text_list(record, "changes"),
        )


DEFAULTS = Settings()
