"""What later runs can reuse: what was verified and made, in an SQLite file of digests, and of recipes of ACIs.

``blob_folder`` optionally keeps the blobs that were made.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.model.content import LayerFacts
from converter.model.descriptor import Descriptor, Digest
from converter.plan import Made
from converter.streams.blocks import ClosedOnExit
from converter.streams.workers import Turns
from converter.version import __version__

if TYPE_CHECKING:
    from converter.cache.blob_folder import BlobFolder

FILE = "blobs.sqlite3"
FOLDER = "blobs"
_TRIES = 2
"""The most repositories noted for one blob."""

_BUSY = 10.0
"""Seconds to wait for another process to finish writing."""

_TABLES = """
CREATE TABLE IF NOT EXISTS diff_ids (digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS made (
    source TEXT NOT NULL, how TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, diff_id TEXT NOT NULL,
    recipe TEXT NOT NULL, PRIMARY KEY (source, how)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS holders (
    host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, PRIMARY KEY (host, digest)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS sound (
    digest TEXT NOT NULL, kind TEXT NOT NULL, edition TEXT NOT NULL, PRIMARY KEY (digest, kind)
) WITHOUT ROWID, STRICT;
"""
_FIND = {
    "diff_ids": "SELECT diff_id FROM diff_ids WHERE digest = ?",
    "made": "SELECT digest, size, diff_id, recipe FROM made WHERE source = ? AND how = ?",
    "holders": "SELECT repository FROM holders WHERE host = ? AND digest = ?",
    "sound": "SELECT edition FROM sound WHERE digest = ? AND kind = ?",
}
_KEEP = {
    "diff_ids": "INSERT OR REPLACE INTO diff_ids VALUES (?, ?)",
    "made": "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?, ?, ?)",
    "holders": "INSERT OR REPLACE INTO holders VALUES (?, ?, ?)",
    "sound": "INSERT OR REPLACE INTO sound VALUES (?, ?, ?)",
}
_COUNT = {
    "diff_ids": "SELECT count(*) FROM diff_ids",
    "made": "SELECT count(*) FROM made",
    "holders": "SELECT count(*) FROM holders",
    "sound": "SELECT count(*) FROM sound",
}

Fact = tuple[str | int, ...]


class VerifiedCache(ClosedOnExit):
    """Remembers, for one run: diff_ids by blob digest, what blobs were made into, repositories that hold a blob, sound
    documents.

    All images of a run share one instance; ``turn`` lets one thread move a blob while the others wait and then find
    it.
    """

    blobs: BlobFolder | None = None

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Fact] = {}
        self._seen: dict[tuple[str, Digest], tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self.turn = Turns()
        """To move a blob, by its digest, or to make something of it, by how as well. Nobody waits for a second blob
        while holding one: no deadlocks.
        """

    def close(self) -> None:
        """Keep nothing."""

    def save(self) -> None:
        """Keep nothing."""

    def get(self, digest: Digest) -> Digest | None:
        """The digest of the blob's uncompressed bytes; None if it has not been computed yet."""
        fact = self._find("diff_ids", str(digest))
        return None if fact is None else Digest.parse(str(fact[0]))

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        """Remember the diff_id computed from the bytes with this digest."""
        self._learn("diff_ids", str(digest), fact=(str(diff_id),))

    def result(self, source: Digest, how: str) -> Made | None:
        """What was made of a blob in this way; its media type is left to the plan."""
        fact = self._find("made", str(source), how)
        if fact is None:
            return None
        descriptor = Descriptor(media_type="", digest=Digest.parse(str(fact[0])), size=int(fact[1]))
        facts = LayerFacts(recipe=str(fact[3]))
        return Made(descriptor=descriptor, diff_id=Digest.parse(str(fact[2])), facts=facts)

    def learn_result(self, source: Digest, how: str, made: Made) -> None:
        """Remember what was made of the blob with this digest."""
        if made.diff_id is not None:
            descriptor = made.descriptor
            fact = (str(descriptor.digest), descriptor.size, str(made.diff_id), made.facts.recipe)
            self._learn("made", str(source), how, fact=fact)

    def holders(self, host: str, digest: Digest) -> tuple[str, ...]:
        """The repositories that may have a blob: those that this run saw, then the one that earlier runs knew last."""
        fact = self._find("holders", host, str(digest)) or ()
        return (*self.seen(host, digest), *map(str, fact))

    def holds(self, host: str, digest: Digest, repository: str, *, sent: bool) -> None:
        """Remember a repository that has the blob; ``sent``: since it was put there just now."""
        self.learn_place(host, digest, repository)
        # A repository that the blob could be mounted from will serve the next one as well.
        if sent or self._find("holders", host, str(digest)) is None:
            self._learn("holders", host, str(digest), fact=(repository,))

    def seen(self, place: str, digest: Digest) -> tuple[str, ...]:
        """The repositories of a registry in which this run saw the blob, the latest first."""
        return self._seen.get((place, digest), ())

    def learn_place(self, place: str, digest: Digest, repository: str) -> None:
        """Note that a repository has a blob; a layout counts as a place with one unnamed repository."""
        with self._lock:
            others = (one for one in self._seen.get((place, digest), ()) if one != repository)
            self._seen[place, digest] = (repository, *others)[:_TRIES]

    def is_valid_document(self, digest: Digest, kind: str) -> bool:
        """Whether the document was found valid under the current rules."""
        return self._find("sound", str(digest), kind) == (edition(RULES),)

    def learn_valid(self, digest: Digest, kind: str) -> None:
        """Remember that a document is valid."""
        self._learn("sound", str(digest), kind, fact=(edition(RULES),))

    def _find(self, table: str, *key: str) -> Fact | None:
        return self._known.get((table, *key))

    def _learn(self, table: str, *key: str, fact: Fact) -> None:
        self._known[table, *key] = fact


class Cache(VerifiedCache):
    """A memory kept in a folder for later runs. Safe for concurrent threads and processes.

    ``blobs`` keeps up to ``most`` bytes of blobs; it is None if ``most`` is 0.
    """

    def __init__(self, folder: Path, most: int = 0) -> None:
        super().__init__()
        if most:
            from converter.cache.blob_folder import BlobFolder

            self.blobs = BlobFolder(folder / FOLDER, most)
        self._path = folder / FILE
        self._new: dict[str, list[Fact]] = {}
        self._reading: sqlite3.Connection | None = None

    def close(self) -> None:
        """Save what was learned, even if the run failed: it remains true."""
        try:
            self.save()
        finally:
            with self._lock:
                if self._reading is not None:
                    self._reading.close()
                    self._reading = None
        if self.blobs is not None:
            self.blobs.trim()

    def save(self) -> None:
        """Save what was learned since the last call; a process that is killed loses the rest."""
        with self._lock:
            new, self._new = self._new, {}
        if new:
            # Of two threads that write at once, SQLite may refuse one without waiting.
            with self.turn("save"), suppress(sqlite3.Error, OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self._path, timeout=_BUSY)) as database, database:
                    database.executescript(_TABLES)
                    for table, facts in new.items():
                        database.executemany(_KEEP[table], facts)

    def _find(self, table: str, *key: str) -> Fact | None:
        with self._lock:
            return super()._find(table, *key) or self._row(_FIND[table], *key)

    def _learn(self, table: str, *key: str, fact: Fact) -> None:
        with self._lock:
            super()._learn(table, *key, fact=fact)
            self._new.setdefault(table, []).append((*key, *fact))

    def counts(self) -> dict[str, int]:
        """The number of rows in each table."""
        with self._lock:
            return {table: (self._row(query) or (0,))[0] for table, query in _COUNT.items()}

    def forget(self) -> None:
        """Delete the database, to start anew."""
        with suppress(OSError):
            self._path.unlink()

    def _row(self, query: str, *values: str) -> tuple[Any, ...] | None:
        """The first row of the result; None if there is none, or no database."""
        with suppress(sqlite3.Error, OSError):
            if self._reading is None:
                # Only a file that is there: connecting alone makes none.
                place = f"{self._path.absolute().as_uri()}?mode=rw"
                self._reading = sqlite3.connect(place, timeout=_BUSY, check_same_thread=False, uri=True)
            row: tuple[Any, ...] | None = self._reading.execute(query, values).fetchone()
            return row
        return None


def open_cache(folder: Path | None, most: int = 0) -> VerifiedCache:
    """What is remembered in a folder; without one, for this run only."""
    return Cache(folder, most) if folder else VerifiedCache()


_PACKAGE = Path(__file__).parent.parent
RULES = (_PACKAGE / "schema", _PACKAGE / "schemas", _PACKAGE.parent / "schemas")
"""Where the rules and schemas may be: in a wheel and in a checkout."""

REWRITES = (_PACKAGE / "formats" / "aci", _PACKAGE / "streams", _PACKAGE / "streams" / "tar")
"""What decides the bytes that an ACI or several layers become."""


@cache
def edition(folders: tuple[Path, ...]) -> str:
    """The version and a checksum of the files in these folders: in a checkout, they change between versions.

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
