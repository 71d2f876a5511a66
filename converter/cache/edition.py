"""Which rules a document was checked by."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from converter.version import __version__

_PACKAGE = Path(__file__).parent.parent
_RULES = (_PACKAGE / "schema", _PACKAGE / "schemas", _PACKAGE.parent / "schemas")
"""The rules and the schemas, where they lie in a wheel and where in a checkout."""


@cache
def edition() -> str:
    """The version, and when a rule was last changed: in a checkout that happens between two versions."""
    newest = 0
    for folder in _RULES:
        with suppress(OSError), os.scandir(folder) as entries:
            newest = max(newest, *(entry.stat().st_mtime_ns for entry in entries if entry.is_file()))
    return f"{__version__} of {newest}"
