"""What was verified and packed, in a file of SQLite: digests alone, no bytes."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from converter.cache.blobs import Blobs
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.plan import Made

FILE = "blobs.sqlite3"
FOLDER = "blobs"
_NO_TYPE = "application/octet-stream"
_BUSY = 10.0
"""Seconds to wait for another process that is writing."""

_TABLES = """
CREATE TABLE IF NOT EXISTS diff_ids (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS packed (
    source TEXT NOT NULL, how TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, diff_id TEXT NOT NULL,
    PRIMARY KEY (source, how)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS holders (
    host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, PRIMARY KEY (host, digest)
) WITHOUT ROWID, STRICT;
"""
TABLES = ("diff_ids", "packed", "holders")


class Forgetful:
    """Remembers for one run only."""

    blobs: Blobs | None = None

    def __init__(self) -> None:
        self._known: dict[Digest, Digest] = {}
        self._packed: dict[tuple[Digest, str], Made] = {}
        self._holders: dict[tuple[str, Digest], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept."""

    def save(self) -> None:
        """Nothing is kept."""

    def get(self, digest: Digest) -> Digest | None:
        return self._known.get(digest)

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        self._known[digest] = diff_id

    def packed(self, source: Digest, how: str) -> Made | None:
        return self._packed.get((source, how))

    def learn_packed(self, source: Digest, how: str, made: Made) -> None:
        self._packed[source, how] = made

    def holder(self, host: str, digest: Digest) -> str | None:
        return self._holders.get((host, digest))

    def learn_holder(self, host: str, digest: Digest, repository: str) -> None:
        self._holders[host, digest] = repository

    def alone(self, digest: Digest) -> AbstractContextManager[None]:  # noqa: ARG002 - one image at a time has no need
        return nullcontext()


class Cache:
    """Blob digests, the diff_ids that were computed for them, and what became of them. Safe for threads and processes.

    ``blobs`` has the bytes of ``most`` bytes of them; None where none are to be kept.
    """

    def __init__(self, folder: Path, most: int = 0) -> None:
        self.blobs = Blobs(folder / FOLDER, most) if most else None
        self._path = folder / FILE
        self._learned: dict[str, str] = {}
        self._packed: dict[tuple[str, str], Made] = {}
        self._new_diff_ids: list[tuple[str, str]] = []
        self._new_packed: list[tuple[str, str, str, int, str]] = []
        self._holders: dict[tuple[str, str], str] = {}
        self._new_holders: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        self._reading: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write down what was learned, also by a run that failed later: it is true all the same."""
        self.save()
        with self._lock:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
        if self.blobs is not None:
            self.blobs.trim()

    def save(self) -> None:
        """Write down what was learned since the last time: a process that is killed remembers nothing else."""
        with self._lock:
            learned, self._new_diff_ids = self._new_diff_ids, []
            packed, self._new_packed = self._new_packed, []
            holders, self._new_holders = self._new_holders, []
        if learned or packed or holders:
            with suppress(sqlite3.Error, OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._open() as database, database:
                    database.executescript(_TABLES)
                    database.executemany("INSERT OR REPLACE INTO diff_ids VALUES (?, ?)", learned)
                    database.executemany("INSERT OR REPLACE INTO packed VALUES (?, ?, ?, ?, ?)", packed)
                    database.executemany("INSERT OR REPLACE INTO holders VALUES (?, ?, ?)", holders)

    def get(self, digest: Digest) -> Digest | None:
        """The digest of the blob's uncompressed bytes, where it has been computed before."""
        with self._lock:
            found = self._learned.get(str(digest))
            if found is None:
                row = self._row("SELECT diff_id FROM diff_ids WHERE digest = ?", str(digest))
                found = row[0] if row else None
        return None if found is None else Digest.parse(found)

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        """Remember what was computed from bytes that had this digest."""
        with self._lock:
            self._learned[str(digest)] = str(diff_id)
            self._new_diff_ids.append((str(digest), str(diff_id)))

    def packed(self, source: Digest, how: str) -> Made | None:
        """What a blob became when it was unpacked and packed again in this way, as far as any run remembers."""
        with self._lock:
            found = self._packed.get((str(source), how))
            if found is None:
                query = "SELECT digest, size, diff_id FROM packed WHERE source = ? AND how = ?"
                row = self._row(query, str(source), how)
                if row:
                    descriptor = Descriptor(media_type=_NO_TYPE, digest=Digest.parse(row[0]), size=row[1])
                    found = Made(descriptor=descriptor, diff_id=Digest.parse(row[2]))
        return found

    def learn_packed(self, source: Digest, how: str, made: Made) -> None:
        """Remember what was made of the bytes with this digest; the media type is the plan's affair."""
        if made.diff_id is not None:
            row = (str(source), how, str(made.descriptor.digest), made.descriptor.size, str(made.diff_id))
            with self._lock:
                self._packed[str(source), how] = made
                self._new_packed.append(row)

    def alone(self, digest: Digest) -> AbstractContextManager[None]:  # noqa: ARG002 - one image at a time has no need
        """Nobody else moves blobs in this run."""
        return nullcontext()

    def holder(self, host: str, digest: Digest) -> str | None:
        """A repository of a registry that had the blob when it was last heard of."""
        with self._lock:
            found = self._holders.get((host, str(digest)))
            if found is None:
                row = self._row("SELECT repository FROM holders WHERE host = ? AND digest = ?", host, str(digest))
                found = row[0] if row else None
        return found

    def learn_holder(self, host: str, digest: Digest, repository: str) -> None:
        """Remember a repository that has the blob, in place of the one that was known."""
        with self._lock:
            self._holders[host, str(digest)] = repository
            self._new_holders.append((host, str(digest), repository))

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        # The names are the constants of this module: nobody's text is among them.
        queries = {table: f"SELECT count(*) FROM {table}" for table in TABLES}  # noqa: S608 # nosec B608
        with self._lock:
            return {table: (self._row(query) or (0,))[0] for table, query in queries.items()}

    def forget(self) -> None:
        """Start anew, with nothing."""
        with suppress(OSError):
            self._path.unlink()

    def _row(self, query: str, *values: str) -> tuple[Any, ...] | None:
        """The first row of an answer; None where there is none, or no database."""
        with suppress(sqlite3.Error, OSError):
            if self._reading is None:
                if not self._path.exists():
                    return None
                self._reading = sqlite3.connect(self._path, timeout=_BUSY, check_same_thread=False)
            row: tuple[Any, ...] | None = self._reading.execute(query, values).fetchone()
            return row
        return None

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=_BUSY))
