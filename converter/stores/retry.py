"""How often a failed request is retried, and how long to wait in between (RFC 9110, 10.2.3, Retry-After)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from converter.errors import Unreachable
from converter.stores.hosts import Host

T = TypeVar("T")

RETRYABLE = frozenset((408, 425, 429, 500, 502, 503, 504))
FIRST_WAIT = 0.25
LONGEST_WAIT = 30.0
_SECONDS = r"[ \t]*[0-9]+[ \t]*"
LONGEST_ASKED = 300.0
"""A host that asks for more seconds than this is not waited for."""

MOST_POSTPONED = 20
"""How many times in a row a busy host may postpone a request before it fails, where many share the host: one may be
unlucky for long.
"""


class Interrupted(Unreachable):
    """The exchange broke off, or the host asks to retry later: the same request may succeed then.

    ``wait`` is the number of seconds that the host asks for, None if it does not; ``busy`` means that it asks so, or is
    overloaded (429), which is no fault of the request; ``brief`` says it in a word or two; ``silent``: it did not
    answer.
    """

    def __init__(
        self, fact: str, wait: float | None = None, *, busy: bool = False, brief: str = "", silent: bool = False
    ) -> None:
        super().__init__(fact)
        self.brief = brief or fact
        self.silent = silent
        self.wait = wait
        self.busy = busy or wait is not None


def retrying(host: Host, retries: int, once: Callable[[], T]) -> T:
    """What ``once`` returns, called until it is not Interrupted; raises the last error if there is no next try."""
    failures = 0
    while True:
        try:
            return once()
        except Interrupted as error:
            failures += 1
            wait_to_retry(host, retries, error, failures)


def wait_to_retry(host: Host, retries: int, error: Interrupted, failures: int) -> None:
    """Wait before the next try, after so many failures in a row; raises ``error`` if there is to be none.

    There are ``retries``, and more while a host that many share is busy. If it asks to wait, all who ask it do.
    """
    most = max(retries, MOST_POSTPONED) if error.busy and host.hosts.most else retries
    if failures > most or (error.wait or 0) > LONGEST_ASKED:
        raise error
    seconds = error.wait
    if seconds is None:
        # Jitter, so that threads that were cut off together do not return together.
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
        seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - a pause, no secret
    host.report_retry(f"{error.brief}, retrying in {seconds:.0f} s ({failures} of {most})", seconds)
    if not error.busy:
        host.hosts.sleep(seconds)
        return
    host.back_off(seconds)
    host.hosts.on_back_off(host.name, seconds)
    host.wait()


def asked_wait(value: str | None, date: str | None = None) -> float | None:
    """The seconds that a Retry-After header asks for; None if it is missing or malformed.

    A point in time is relative to the response's ``date``, which is by the same clock.
    """
    if value and re.fullmatch(_SECONDS, value):
        return float(value)
    moment = _parse_date(value or "")
    if moment is None:
        return None
    now = _parse_date(date or "")
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _parse_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
