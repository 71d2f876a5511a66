"""The platform that an image runs on, and which of several images suits a platform.

Names are Go's, as in image-spec 1.1.1, config.md, "Properties"; aliases are those of containerd's platforms package.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from converter.errors import Usage
from converter.model.frozen import frozen

ALL_PLATFORMS = ("all",)
"""In place of platforms: all that an index has."""

_ARCHITECTURES = {
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
}
_SYSTEMS = {"macos": "darwin"}
_PART = r"[A-Za-z0-9_.-]+"


@frozen
class Platform:
    """An operating system and a processor; ``str`` gives ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a platform that a user has typed; raises Usage unless it is ``OS/ARCH[/VARIANT]``."""
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(re.fullmatch(_PART, part) for part in parts):
            several = "; for several, repeat the option" if "," in text else ""
            raise Usage(f'invalid platform "{text}": expected OS/ARCH[/VARIANT], as in linux/arm64{several}')
        return cls(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")

    @property
    def known(self) -> bool:
        """False for what is not a platform: attestations are listed under ``unknown/unknown``."""
        return "unknown" not in (self.os, self.architecture)

    def normalised(self) -> Platform:
        """The same platform under its canonical name: aarch64 is arm64, arm without a variant is arm/v7."""
        os = _SYSTEMS.get(self.os.lower(), self.os.lower())
        architecture, variant = _ARCHITECTURES.get(self.architecture.lower(), (self.architecture.lower(), ""))
        variant = self.variant.lower() or variant
        if variant and variant[0].isdigit():
            variant = f"v{variant}"
        if architecture == "arm64" and variant == "v8":
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        return replace(self, os=os, architecture=architecture, variant=variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host_platform() -> Platform:
    """The platform whose images run here: linux on this machine's architecture, in a virtual machine if need be."""
    return Platform(os="linux", architecture=os.uname().machine).normalised()


def only_platform(platforms: Sequence[str]) -> str:
    """The one platform of a selection; empty if there may be several."""
    return platforms[0] if len(platforms) == 1 and tuple(platforms) != ALL_PLATFORMS else ""


def choose_platform(platform: Platform, offered: Iterable[Platform | None]) -> int | None:
    """The index of the offer that suits best, or None.

    The same variant wins, then the nearest lower one; an entry without a variant stands for the lowest. An unknown
    variant suits only a request for that same variant. An offer that names no platform at all is taken only if nothing
    else suits.

    Of equals the first wins, as in the Engine and containerd: by convention the gzip one, which every reader supports,
    is listed before a zstd one (containers/image prefers the latter, but lists gzip first in the indexes it writes).
    """
    ranks = [None if offer is None else _rank(platform, offer) for offer in offered]
    best = max((rank for rank in ranks if rank is not None), default=None)
    return None if best is None else ranks.index(best)


def _rank(platform: Platform, offer: Platform) -> int | None:
    if not (offer.os or offer.architecture):
        return -1
    asked, offered = platform.normalised(), offer.normalised()
    if (offered.os, offered.architecture) != (asked.os, asked.architecture):
        return None
    if asked.os_version and offered.os_version and asked.os_version != offered.os_version:
        return None
    if offered.variant == asked.variant and bool(offer.variant) == bool(platform.variant):
        return 1000
    if not offer.variant:
        return 0
    offered_level, asked_level = _level(offered), _level(asked)
    if offered_level is None or asked_level is None or offered_level > asked_level:
        return None
    return offered_level


def _level(platform: Platform) -> int | None:
    if not platform.variant:
        return 8 if platform.architecture == "arm64" else 1
    known = re.fullmatch(r"v([0-9]{1,3})", platform.variant)
    return int(known[1]) if known else None
