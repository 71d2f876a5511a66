"""Limits how often a client may ask: so many requests a second, and ten times as many at once."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from converter.serving.responses import Request, Response, refusal

BURST = 10.0
"""Seconds whose requests may come at once: a pull is one manifest, and then all layers."""

CLIENTS = 10_000
"""The most clients that are distinguished; of more, those that asked last."""


class RateLimit:
    """The clients that asked lately, and when each of them is back within its rate (the cell rate algorithm).

    A client is an address, or a network of IPv6 (/64), which is what one machine may have.
    """

    def __init__(self, rate: float, *, clients: int = CLIENTS, clock: Callable[[], float] = time.monotonic) -> None:
        """``rate`` is in requests a second."""
        self._interval, self._most, self._clock = 1 / rate, clients, clock
        self._due: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def refuse(self, request: Request) -> Response | None:
        """The answer to a client that asks too often; None if it does not."""
        wait = self.wait(_network_of(request.client))
        if not wait:
            return None
        headers = {"Retry-After": str(math.ceil(wait))}
        return refusal(429, "TOOMANYREQUESTS", "too many requests from this address: try again later", headers)

    def wait(self, client: str) -> float:
        """Seconds until this client may ask; 0 if it may now, which counts."""
        now = self._clock()
        with self._lock:
            due = max(now, self._due.get(client, now))
            if due - now + self._interval > max(BURST, self._interval):
                return due - now + self._interval - max(BURST, self._interval)
            self._due[client] = due + self._interval
            self._due.move_to_end(client)
            if len(self._due) > self._most:
                self._due.popitem(last=False)
        return 0.0


def _network_of(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
