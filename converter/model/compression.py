"""How a blob is compressed: a codec and a level."""

from __future__ import annotations

from typing import Self

from converter.errors import Usage
from converter.model.frozen import frozen

LEVELS = {"keep": range(0), "none": range(0), "gzip": range(1, 10), "zstd": range(1, 20)}


@frozen(kw_only=False)
class Compression:
    """A codec that can be written, or ``keep``; a ``level`` of None is this program's default for the codec."""

    codec: str
    level: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``keep``, ``none``, ``gzip[:LEVEL]`` or ``zstd[:LEVEL]``; raises Usage otherwise."""
        codec, colon, level = text.partition(":")
        if codec not in LEVELS:
            raise Usage(f"got the compression {text!r}, want keep, none, gzip[:LEVEL] or zstd[:LEVEL]")
        if not colon:
            return cls(codec)
        levels = LEVELS[codec]
        if not (level.isascii() and level.isdigit() and len(level) < 4 and int(level) in levels):
            want = f"{levels[0]} to {levels[-1]}" if levels else "no level"
            raise Usage(f"got the {codec} level {level[:40]!r}, want {want}")
        return cls(codec, int(level))

    def __str__(self) -> str:
        return self.codec if self.level is None else f"{self.codec}:{self.level}"


KEEP = Compression("keep")
NONE = Compression("none")
GZIP = Compression("gzip")
ZSTD = Compression("zstd")
