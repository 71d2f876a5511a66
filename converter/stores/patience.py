"""How often a failed request is repeated, and how long to wait in between (RFC 9110, 10.2.3, Retry-After)."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from converter.errors import Unreachable

RETRYABLE = frozenset((408, 425, 429, 500, 502, 503, 504))
FIRST_WAIT = 0.25
LONGEST_WAIT = 30.0
_SECONDS = re.compile(r"[ \t]*[0-9]+[ \t]*")
LONGEST_ASKED = 300.0
"""A host that asks for more seconds than this is not waited for."""


class Interrupted(Unreachable):
    """The exchange broke off, or the host asks to come back: the same may work later.

    ``wait`` is for how many seconds the host asks, None where it does not; ``busy`` says that it has too much to do
    (429), which is nobody's fault.
    """

    def __init__(self, fact: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(fact)
        self.wait = wait
        self.busy = busy


class Patience:
    """One for all threads that speak to a host: when it asks one of them to wait, all of them do."""

    def __init__(
        self,
        retries: int,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.monotonic,
        asked: int | None = None,
        told: Callable[[float], None] | None = None,
    ) -> None:
        """``asked`` is how often in a row a request is made again where the host is busy; None: as often as others.

        Where many share a host, one may have bad luck for long. ``told`` hears for how many seconds to back off.
        """
        self._told = told
        self._retries = retries
        self._asked = retries if asked is None else asked
        self._sleep = sleep
        self._now = now
        self._not_before = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait as long as the host has asked for."""
        with self._lock:
            seconds = self._not_before - self._now()
        if seconds > 0:
            self._sleep(seconds)

    def retry(self, error: Interrupted, failures: int) -> None:
        """Wait before the next try, after so many failures in a row; raises ``error`` when there is to be none."""
        busy = error.busy or error.wait is not None
        if failures > (self._asked if busy else self._retries) or (error.wait or 0) > LONGEST_ASKED:
            raise error
        # Jitter, so that threads that were cut together do not come back together.
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
        seconds = longest * random.uniform(0.5, 1) if error.wait is None else error.wait  # noqa: S311 - no secret
        if not busy:
            self._sleep(seconds)
            return
        self.hold(seconds)
        if self._told is not None:
            self._told(seconds)
        self.wait()

    def hold(self, seconds: float) -> None:
        """Back off for that long, as the host has asked."""
        with self._lock:
            self._not_before = max(self._not_before, self._now() + seconds)


def asked_wait(value: str | None, date: str | None = None) -> float | None:
    """The seconds that a Retry-After header asks for; None where there is none, or it says nothing.

    A moment is counted from the answer's ``date``: it is the host's clock that it was told by.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    moment = _moment(value)
    if moment is None:
        return None
    now = None if date is None else _moment(date)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
