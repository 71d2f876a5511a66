"""How an image was converted, as an origin record states it; apart from ``origin``, since every conversion needs it."""

from __future__ import annotations

from converter.model.frozen import frozen


@frozen
class Settings:
    """How the image was converted, as far as its metadata depend on it; ``called`` is its name at its source."""

    platforms: tuple[str, ...] = ()
    called: str = ""
    squash: bool = False
    layered: bool = False
    dev_links: bool = False
    epoch: int = 0

    @property
    def platform(self) -> str:
        """That of the one image that was taken of an index; empty where it was not just one."""
        return self.platforms[0] if len(self.platforms) == 1 and self.platforms != ("all",) else ""
