"""How an image was converted, as its origin record states; apart from ``origin``, as every conversion needs it."""

from __future__ import annotations

from converter.model.frozen import frozen
from converter.model.platform import only


@frozen
class Settings:
    """The settings of a conversion that its metadata depend on; ``called`` is the image's name at its source."""

    platforms: tuple[str, ...] = ()
    called: str = ""
    squash: bool = False
    layered: bool = False
    dev_links: bool = False
    epoch: int = 0

    @property
    def platform(self) -> str:
        """The platform of the one image taken from an index; empty if not exactly one was."""
        return only(self.platforms)
