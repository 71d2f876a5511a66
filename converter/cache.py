"""What earlier runs have verified, kept in the user's cache directory: work that need not be done twice.

A digest names its bytes for ever, so an entry can become unused but never wrong. The cache only saves time: where it
cannot be read or written, there is nothing in it.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from converter.model.digest import Digest

FILE = "blobs.sqlite3"
_BUSY = 10.0
"""Seconds to wait for another process that is writing."""

_TABLES = """
CREATE TABLE IF NOT EXISTS diff_ids (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL) WITHOUT ROWID, STRICT;
"""


class Forgetful:
    """Remembers for one run only."""

    def __init__(self) -> None:
        self._known: dict[Digest, Digest] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept."""

    def get(self, digest: Digest) -> Digest | None:
        return self._known.get(digest)

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        self._known[digest] = diff_id


class Cache:
    """Blob digests and the diff_ids that were computed for them. Safe for many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._learned: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write down what was learned, also by a run that failed later: it is true all the same."""
        if self._learned:
            with suppress(sqlite3.Error, OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._open() as database, database:
                    database.executescript(_TABLES)
                    database.executemany("INSERT OR REPLACE INTO diff_ids VALUES (?, ?)", list(self._learned.items()))

    def get(self, digest: Digest) -> Digest | None:
        """The digest of the blob's uncompressed bytes, where it has been computed before."""
        with self._lock:
            found = self._learned.get(str(digest))
        if found is None and self._path.exists():
            with suppress(sqlite3.Error), self._open() as database:
                row = database.execute("SELECT diff_id FROM diff_ids WHERE digest = ?", (str(digest),)).fetchone()
                found = row[0] if row else None
        return None if found is None else Digest.parse(found)

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        """Remember what was computed from bytes that had this digest."""
        with self._lock:
            self._learned[str(digest)] = str(diff_id)

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=_BUSY))
