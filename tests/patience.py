"""Waiting for what other threads and processes do: for the thing itself, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

PATIENCE = 120.0
"""Seconds after which what is waited for is taken to hang; where all is right, nothing waits as long."""


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Wait for other threads; fails with ``what`` was to happen, if it does not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"this did not happen within {PATIENCE:.0f} s: {what}")
        time.sleep(0.002)


def patiently(attempt: Callable[[float], None], seconds: Sequence[float]) -> None:
    """Try with ever more time, for what must be done before some time is over: a busy machine may be too late at first.

    What is wrong fails every time. The last failure is raised.
    """
    *hasty, last = seconds
    for one in hasty:
        try:
            attempt(one)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - whatever being late leads to
            continue
        return
    attempt(last)
