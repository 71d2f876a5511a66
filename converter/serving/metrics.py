"""What a server has done so far, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from converter.serving.conversions import Conversions
from converter.serving.http import LogEntry
from converter.serving.image_store import ImageStore

KIND = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts requests. Any number of threads may add to it."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._bytes = 0
        self._seconds = 0.0
        self._lock = threading.Lock()

    def add(self, served: LogEntry) -> None:
        """Count one request. An unknown method counts as ``other``."""
        method = served.method if served.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
        with self._lock:
            self._requests[method, served.status] += 1
            self._bytes += served.sent
            self._seconds += served.seconds

    def text(self, conversions: Conversions, store: ImageStore) -> str:
        """All counters and gauges."""
        return "".join(f"{line}\n" for line in self._lines(conversions, store))

    def _lines(self, conversions: Conversions, store: ImageStore) -> Iterator[str]:
        with self._lock:
            requests = sorted(self._requests.items())
            sent, seconds = self._bytes, self._seconds
        yield "# TYPE transship_requests_total counter"
        for (method, status), number in requests:
            yield f'transship_requests_total{{method="{method}",status="{status}"}} {number}'
        rows = (
            ("request_seconds_total", "counter", f"{seconds:.3f}"),
            ("sent_bytes_total", "counter", sent),
            ("conversions_total", "counter", conversions.made),
            ("conversions_failed_total", "counter", conversions.failed),
            ("conversion_seconds_total", "counter", f"{conversions.seconds:.3f}"),
            ("conversions_under_way", "gauge", len(conversions.under_way)),
            ("images", "gauge", len(store.images())),
            ("stored_bytes", "gauge", store.size),
            ("evicted_blobs_total", "counter", store.evicted),
        )
        for name, kind, value in rows:
            yield f"# TYPE transship_{name} {kind}"
            yield f"transship_{name} {value}"
