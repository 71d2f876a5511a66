"""Progress on standard error: bars on a terminal, otherwise a line every few seconds, or nothing with ``--quiet``."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO, assert_never

from converter.cli.text import RED, on_terminal, show_error, warn
from converter.errors import count, printable
from converter.events import Event, Failed, Finished, Moved, Planned, Report, Started, Warned, silent
from converter.model.limits import size

if TYPE_CHECKING:
    from tqdm import tqdm

Clock = Callable[[], float]

INTERVAL = 5.0
"""Seconds between two lines without a terminal."""

TICK = 0.25
"""Seconds before the first bar is drawn, and between two drawings."""

NAME = 24
"""The most characters of a name next to a bar."""

SHORTEST = 10
"""The fewest, so that bars rarely move; they stand below each other."""

ROWS = 6
"""The most blobs with a bar of their own; the others count only in the sum."""


WINDOW = 30.0
"""Seconds over which a rate is measured: long enough for it to be steady, short enough for it to be true."""


_START = "{desc} {percentage:3.0f}% |{bar}| "


class View(Protocol):
    """Shows progress. Its methods are called one at a time, in the order of the events."""

    def show(self, event: Event) -> None: ...

    def close(self) -> None: ...


@contextmanager
def progress(*, quiet: bool, noun: str = "", first: str = "") -> Iterator[Report]:
    """Yield a report that any thread may call; leaving removes the bars from the screen.

    ``noun`` names the things whose number is known from the beginning; without one, progress is shown in bytes.
    ``first`` says what is done before the work is planned: a terminal shows it until then.
    """
    if sys.stderr is None:
        yield silent
        return
    view = _view(sys.stderr, quiet=quiet, noun=noun, first=first)
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            view.show(event)

    try:
        with _drawing(view, lock) if isinstance(view, Bars) else nullcontext():
            yield report
    finally:
        with lock:
            view.close()


@contextmanager
def _drawing(bars: Bars, lock: threading.Lock) -> Iterator[None]:
    """Draw bars in a thread of its own: between two events, a block that is hard to compress may take seconds."""
    ended = threading.Event()

    def draw() -> None:
        with suppress(OSError):  # the terminal has gone; its process gets a signal
            while not ended.wait(TICK):
                with lock:
                    bars.draw()

    thread = threading.Thread(target=draw, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _view(stream: TextIO, *, quiet: bool, noun: str, first: str) -> View:
    if quiet:
        return Failures()
    return Bars(stream, noun=noun, first=first) if on_terminal(stream) else Lines(noun=noun)


def _tell(event: Warned | Failed) -> None:
    if isinstance(event, Failed):
        show_error(event.fact, colour=RED)
    else:
        warn(event.fact)


class Failures:
    """Shows failures only, for ``--quiet``."""

    def show(self, event: Event) -> None:
        """Print an event if it is a failure."""
        if isinstance(event, Failed):
            _tell(event)

    def close(self) -> None:
        """Nothing to remove."""


class Blob:
    """A blob that is being read: its size in bytes (0: unknown), and how many of them have been read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = 0


class Sum:
    """How much of the work is done: bytes, blobs, and the active blobs by name.

    A blob that was skipped, or whose size was unknown, counts with the size it turned out to have; ``moved`` are only
    the bytes that were read.
    """

    def __init__(self) -> None:
        self.size = self.done = self.moved = 0
        self.blobs = self.blobs_done = 0
        self._most = 0.0
        self.active: dict[str, Blob] = {}

    def add(self, event: Event) -> None:
        """Count an event."""
        match event:
            case Planned():
                self.size += event.size
                self.blobs += event.blobs
            case Started():
                self.active.setdefault(event.name, Blob(0)).size = max(0, event.size)  # an image may turn out larger
            case Moved():
                self.active.setdefault(event.name, Blob(0)).done += event.size
                self.done += event.size
                self.moved += event.size
            case Finished():
                blob = self.active.pop(event.name, Blob(0))
                self.blobs_done += 1
                self.done += max(0, event.size - blob.done)
            case Warned() | Failed():
                pass
            case _:
                assert_never(event)

    @property
    def begun(self) -> bool:
        """Whether anything is known of the work."""
        return bool(self.blobs or self.active or self.blobs_done)

    @property
    def ended(self) -> bool:
        """Whether all that is known of is done."""
        return not self.active and self.blobs_done >= self.blobs

    @property
    def whole(self) -> int:
        """The bytes to read, as far as known: never fewer than are done; 0 if nobody knows."""
        return max(self.size, self.done) if self.size else 0

    def fraction(self, *, blobs: bool) -> float:
        """How much is done, of the bytes or the ``blobs``; where more work turns up, it waits and does not go back."""
        done, whole = (self.share, self.blobs) if blobs else (self.done, self.whole)
        self._most = max(self._most, min(1.0, done / whole) if whole else 0.0)
        return self._most

    @property
    def share(self) -> float:
        """The number of blobs done; an active one counts by the fraction read."""
        return self.blobs_done + sum(min(1.0, blob.done / blob.size) for blob in self.active.values() if blob.size)


class Rate:
    """How fast something grows, a second, over the last WINDOW seconds or, with ``whole``, since the beginning."""

    def __init__(self, clock: Clock, *, whole: bool = False) -> None:
        self._clock = clock
        self._seen = deque([(clock(), 0.0)])
        self._window = math.inf if whole else WINDOW

    def now(self, done: float) -> float:
        """The rate, now that so much is done."""
        now = self._clock()
        while len(self._seen) > 1 and now - self._seen[1][0] >= self._window:
            self._seen.popleft()
        began, before = self._seen[0]
        if self._window < math.inf and now - self._seen[-1][0] >= 1:
            self._seen.append((now, done))
        return (done - before) / (now - began) if now > began else 0.0


def _left(todo: float, rate: float) -> str:
    """The time left in minutes and seconds; empty if unknown."""
    if rate <= 0 or todo < 0:
        return ""
    minutes, seconds = divmod(round(todo / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f", {hours}:{minutes:02}:{seconds:02} left" if hours else f", {minutes}:{seconds:02} left"


def _shown_name(name: str) -> str:
    """The end of a name, as a bar has room for it: names of images differ at their end."""
    shown = printable(name)
    return shown if len(shown) <= NAME else f"…{shown[1 - NAME :]}"


class Lines:
    """One line every few seconds, for logs."""

    def __init__(self, clock: Clock = time.monotonic, noun: str = "") -> None:
        self._clock = clock
        self._noun = noun
        self._sum = Sum()
        self._began = self._last_line = clock()

    def show(self, event: Event) -> None:
        """Count an event, and print a line when it is time."""
        if isinstance(event, Warned | Failed):
            _tell(event)
            return
        self._sum.add(event)
        now = self._clock()
        if now - self._last_line >= INTERVAL:
            self._last_line = now
            show_error(self._line(now - self._began))

    def close(self) -> None:
        """Nothing to remove."""

    def _line(self, seconds: float) -> str:
        done = self._sum
        speed = f"{size(int(done.moved / seconds))}/s"
        if self._noun:
            share = f"{int(done.fraction(blobs=True) * 100)} %"
            return f"{share}, {_of(done, self._noun)} done, {size(done.done)} read, {speed}"
        if done.size < done.done or not done.size:
            return f"{size(done.done)} read, {count(done.blobs_done, 'blob')} done, {speed}"
        share = f"{int(done.fraction(blobs=False) * 100)} % of {size(done.size)}"
        return f"{share}, {_of(done, 'blob')} done, {speed}"


def _amount(done: int, whole: int) -> str:
    return f"{size(done)} of {size(whole)}" if whole else size(done)


def _of(done: Sum, noun: str) -> str:
    return f"{done.blobs_done} of {count(done.blobs, noun)}"


class Bars:
    """A bar for the whole and one for each active blob; none for work that is done before anybody could read it.

    Before the work is known, the line of the whole says what is done ``first``.
    """

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic, noun: str = "", first: str = "") -> None:
        self._noun = noun
        self._first = first
        self._stream = stream
        self._at_rest = not first
        self._clock = clock
        self._sum = Sum()
        self._start_rates()
        self._whole: tqdm[NoReturn] | None = None
        self._rows: dict[str, tqdm[NoReturn]] = {}
        self._width = SHORTEST

    def show(self, event: Event) -> None:
        """Count an event; print a warning or a failure at once."""
        if isinstance(event, Warned | Failed):
            self._interrupted_by(event)
            return
        if not self._sum.begun:
            self._start_rates()
        self._sum.add(event)
        self._at_rest = False

    def _start_rates(self) -> None:
        self._bytes = Rate(self._clock)
        self._share = Rate(self._clock, whole=True)

    def draw(self) -> None:
        """Draw the bars; once all is done, only once more: a signing program may want the screen."""
        if self._at_rest:
            return
        if self._first and not self._sum.begun:
            line = printable(self._first).replace("{", "{{").replace("}", "}}")
            self._whole = self._bar("total", line, 1, 0, 0)
            self._at_rest = True
            return
        if self._whole is None and self._sum.ended:
            return
        self._at_rest = self._sum.ended
        self._draw_whole()
        self._draw_rows()

    def close(self) -> None:
        """Remove the bars from the screen."""
        for bar in self._rows.values():
            bar.close()
        self._rows.clear()
        if self._whole is not None:
            self._whole.close()
            self._whole = None

    def _draw_whole(self) -> None:
        total, text = self._sum, self._text()
        whole = total.blobs if self._noun else total.whole
        done = total.fraction(blobs=bool(self._noun)) * whole if whole else total.done
        if self._whole is None:
            self._whole = self._bar("total", _START + text, whole, done, 0)
        self._whole.bar_format = _START + text
        self._whole.total = whole or None
        self._whole.n = done
        self._whole.refresh()

    def _draw_rows(self) -> None:
        for name in [name for name in self._rows if name not in self._sum.active]:
            self._rows.pop(name).close()
        for name, blob in self._sum.active.items():
            bar = self._rows.get(name)
            if bar is not None:
                bar.bar_format = _START + _amount(blob.done, blob.size)
                bar.total = blob.size or None
                bar.n = blob.done
                bar.refresh()
            elif len(self._rows) < ROWS:
                taken = {-bar.pos for bar in self._rows.values()}
                row = next(row for row in range(1, ROWS + 1) if row not in taken)
                self._align(name)
                self._rows[name] = self._bar(name, _START + _amount(blob.done, blob.size), blob.size, blob.done, row)

    def _align(self, name: str) -> None:
        """Make room for a name: all bars begin where the longest name ends."""
        width = len(_shown_name(name))
        if width <= self._width:
            return
        self._width = width
        for bar in (self._whole, *self._rows.values()):
            if bar is not None:
                bar.desc = f"{bar.desc:<{width}}"
                bar.refresh()

    def _text(self) -> str:
        """What is done of the whole, how fast, and what time that leaves; short enough for 80 columns with a bar."""
        total, speed = self._sum, self._bytes.now(self._sum.moved)
        if self._noun:
            left = _left(total.blobs - total.share, self._share.now(total.share))
            return f"{_of(total, self._noun)}, {size(total.done)}{left}"
        left = _left(total.whole - total.done, speed) if total.whole else ""
        return f"{_amount(total.done, total.whole)}, {size(int(speed))}/s{left}"

    def _bar(self, name: str, form: str, length: int, done: float, row: int) -> tqdm[NoReturn]:
        # Imported here, since that takes as long as all of --help.
        from tqdm import tqdm

        # There are threads, but no processes, and no monitor is needed.
        tqdm.set_lock(threading.RLock())
        tqdm.monitor_interval = 0
        return tqdm(
            desc=f"{_shown_name(name):<{self._width}}",
            bar_format=form,
            total=length or None,
            initial=done,
            position=row,
            leave=False,
            file=self._stream,
            dynamic_ncols=True,
        )

    def _interrupted_by(self, event: Warned | Failed) -> None:
        if self._whole is None:
            _tell(event)
            return
        # tqdm removes the bars, lets us write, and draws them again.
        with self._whole.external_write_mode(file=self._stream):
            _tell(event)
