"""Identifies the rules that a document was checked by."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from converter.version import __version__

_PACKAGE = Path(__file__).parent.parent
RULES = (_PACKAGE / "schema", _PACKAGE / "schemas", _PACKAGE.parent / "schemas")
"""Where the rules and schemas may be: in a wheel and in a checkout."""


@cache
def edition(folders: tuple[Path, ...] = RULES) -> str:
    """The version and a checksum of the rule files: in a checkout, rules change between versions.

    Every file counts, not just the newest: a restored file may be older than the rest, and clocks can go backwards.
    """
    files = []
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file():
                    status = entry.stat()
                    files.append((entry.name, status.st_size, status.st_mtime_ns))
    return f"{__version__} of {zlib.crc32(repr(sorted(files)).encode()):08x}"
