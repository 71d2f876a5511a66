"""Which rules a document was checked by."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from converter.version import __version__

_PACKAGE = Path(__file__).parent.parent
_RULES = (_PACKAGE / "schema", _PACKAGE / "schemas", _PACKAGE.parent / "schemas")
"""The rules and the schemas, where they lie in a wheel and where in a checkout."""


@cache
def edition() -> str:
    """The version, and what tells one state of a checkout from another: in one, a rule changes between two versions.

    All files count, not the newest: one that is put back may be older than the rest, and a clock may have gone back.
    """
    files = []
    for folder in _RULES:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file():
                    status = entry.stat()
                    files.append((entry.name, status.st_size, status.st_mtime_ns))
    return f"{__version__} of {zlib.crc32(repr(sorted(files)).encode()):08x}"
