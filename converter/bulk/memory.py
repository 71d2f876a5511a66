"""What the images of one run share: what was verified and packed, and who is at work on which blob."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from converter.cache import Forgetful
from converter.model.digest import Digest
from converter.plan import Made


class Memory:
    """A cache in which several images are at work. ``alone`` lets one of them move a blob and the others find it."""

    def __init__(self, cache: Forgetful) -> None:
        self.blobs = cache.blobs
        self._cache = cache
        self._lock = threading.Lock()
        self._at_work: dict[Digest, tuple[threading.Lock, list[None]]] = {}

    def get(self, digest: Digest) -> Digest | None:
        return self._cache.get(digest)

    def learn(self, digest: Digest, diff_id: Digest) -> None:
        self._cache.learn(digest, diff_id)

    def packed(self, source: Digest, how: str) -> Made | None:
        return self._cache.packed(source, how)

    def learn_packed(self, source: Digest, how: str, made: Made) -> None:
        self._cache.learn_packed(source, how, made)

    def save(self) -> None:
        """Keep what was learned, also for a run that comes after this one was killed."""
        self._cache.save()

    @contextmanager
    def alone(self, digest: Digest) -> Iterator[None]:
        """Wait until nobody else moves the blob. Whoever holds one waits for no other, so all come to their turn."""
        with self._lock:
            turn, waiting = self._at_work.setdefault(digest, (threading.Lock(), []))
            waiting.append(None)
        try:
            with turn:
                yield
        finally:
            with self._lock:
                waiting.pop()
                if not waiting:
                    del self._at_work[digest]
