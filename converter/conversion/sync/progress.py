"""Progress of whole images, derived from the bytes read of their blobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from converter.errors import CalledOff
from converter.events import Event, Finished, Moved, Planned, Report, Started


class SyncProgress:
    """The progress of one run; its ``report`` may be called by any thread."""

    def __init__(self, report: Report, images: int) -> None:
        self.report = report
        report(Planned(0, images))

    @contextmanager
    def image(self, name: str, also: Report) -> Iterator[Report]:
        """A report for one image; ``also`` gets every event first, and may end the image by raising."""
        image = _Image(name, self.report, also)
        over = True
        try:
            yield image.hear
        except CalledOff:
            over = False
            raise
        finally:
            if over:
                self.report(Finished(name, 0))


class _Image:
    def __init__(self, name: str, report: Report, also: Report) -> None:
        self._name = name
        self._report = report
        self._also = also
        self._read: Counter[str] = Counter()
        self._size = 0

    def hear(self, event: Event) -> None:
        self._also(event)
        match event:
            case Planned():
                # Attachments are planned when the image is written.
                self._size += event.size
                self._report(Started(self._name, self._size))
                self._report(Planned(event.size, 0))
            case Moved():
                self._read[event.name] += event.size
                self._report(Moved(self._name, event.size))
            case Finished():
                # What was already there, or was made earlier, counts as read.
                rest = event.size - self._read[event.name]
                if rest > 0:
                    self._report(Moved(self._name, rest))
            case Started():
                pass
            case _:
                self._report(event)
