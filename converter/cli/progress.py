"""Progress on standard error: bars on a terminal, otherwise a line every few seconds, or nothing with ``--quiet``."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

from converter.cli.flags import flags
from converter.cli.text import RED, on_terminal, show_error, warn
from converter.errors import count, printable
from converter.events import Event, Failed, Finished, Moved, Planned, Report, Started, Warned
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

_WHOLE = ""
"""What stands for the name of a blob with the bar of the whole, which is the first to be drawn."""


@contextmanager
def progress(*, noun: str = "", first: str = "") -> Iterator[Report]:
    """Yield a report that any thread may call; leaving removes the bars from the screen. ``--quiet`` leaves failures.

    ``noun`` names the things whose number is known from the beginning; without one, progress is shown in bytes.
    ``first`` says what is done before the work is planned: a terminal shows it until then. Without it, there is no
    thread before the first event, so that the process may still copy itself.
    """
    lock, quiet = threading.Lock(), flags().quiet
    if not quiet and on_terminal(sys.stderr):
        with _drawn(Bars(sys.stderr, noun=noun, first=first), lock) as report:
            yield report
        return
    lines = Lines(noun=noun)

    def report_alone(event: Event) -> None:
        if not quiet or isinstance(event, Failed):
            with lock:
                lines.show(event)

    yield report_alone


@contextmanager
def _drawn(bars: Bars, lock: threading.Lock) -> Iterator[Report]:
    """Draw bars in a thread of its own: between two events, a block that is hard to compress may take seconds."""
    ended = threading.Event()

    def draw() -> None:
        with suppress(OSError):  # the terminal has gone; its process gets a signal
            while not ended.wait(TICK):
                with lock:
                    bars.draw()

    thread = threading.Thread(target=draw, name="progress", daemon=True)

    def report(event: Event) -> None:
        with lock:
            bars.show(event)
            if thread.ident is None:
                thread.start()

    if bars.first:
        thread.start()
    try:
        yield report
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
        with lock:
            bars.close()


def _tell(event: Warned | Failed) -> None:
    if isinstance(event, Failed):
        show_error(event.fact, colour=RED)
    else:
        warn(event.fact)


class Blob:
    """A blob that is being read: its size in bytes (0: unknown), and how many of them have been read."""

    size = 0
    done = 0


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

    def add(self, event: Planned | Started | Moved | Finished) -> None:
        """Count an event."""
        match event:
            case Planned():
                self.size += event.size
                self.blobs += event.blobs
            case Started():
                self.active.setdefault(event.name, Blob()).size = max(0, event.size)  # an image may turn out larger
            case Moved():
                self.active.setdefault(event.name, Blob()).done += event.size
                self.done += event.size
                self.moved += event.size
            case Finished():
                blob = self.active.pop(event.name, Blob())
                self.blobs_done += 1
                self.done += max(0, event.size - blob.done)

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
        """How much is done, of the bytes or the ``blobs``; where more work turns up, it waits and does not go back.

        All is done only once it has ended: packing what was read may take long.
        """
        done, whole = (self.share, self.blobs) if blobs else (self.done, self.whole)
        share = min(1.0 if self.ended else 0.99, done / whole) if whole else 0.0
        self._most = max(self._most, share)
        return self._most

    @property
    def share(self) -> float:
        """The number of blobs done; an active one counts by the fraction read."""
        return self.blobs_done + sum(min(1.0, blob.done / blob.size) for blob in self.active.values() if blob.size)


class Rate:
    """How many bytes a second are read, over the last WINDOW seconds; ``began`` is when they began to be."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began = clock()
        self._seen = deque([(self.began, 0)])

    def now(self, done: int) -> float:
        """The rate, now that so many are read."""
        now = self._clock()
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        if now - self._seen[-1][0] >= 1:
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
        self.first = first
        self._noun = noun
        self._stream = stream
        self._at_rest = not first
        self._clock = clock
        self._sum = Sum()
        self._rate = Rate(clock)
        self._bars: dict[str, tqdm[NoReturn]] = {}
        self._width = SHORTEST

    def show(self, event: Event) -> None:
        """Count an event; print a warning or a failure at once."""
        if isinstance(event, Warned | Failed):
            # tqdm removes the bars, lets us write, and draws them again.
            with self._bars[_WHOLE].external_write_mode(file=self._stream) if self._bars else nullcontext():
                _tell(event)
            return
        if not self._sum.begun:
            self._rate = Rate(self._clock)
        self._sum.add(event)
        self._at_rest = False

    def draw(self) -> None:
        """Draw the bars; once all is done, only once more: a signing program may want the screen."""
        total = self._sum
        if self._at_rest or (total.begun and total.ended and not self._bars):
            return
        self._at_rest = total.ended
        if self.first and not total.begun:
            self._draw_bar(_WHOLE, printable(self.first).replace("{", "{{").replace("}", "}}"), 1, 0)
            return
        whole = total.blobs if self._noun else total.whole
        done = total.fraction(blobs=bool(self._noun)) * whole if whole else total.done
        # What has a bar keeps it.
        rows = sorted(total.active, key=lambda name: name not in self._bars)[:ROWS]
        self._width = max([self._width, *(len(_shown_name(name)) for name in rows)])
        self._draw_bar(_WHOLE, _START + self._text(), whole, done)
        for name in [name for name in self._bars if name not in (_WHOLE, *rows)]:
            self._bars.pop(name).close()
        for name in rows:
            blob = total.active[name]
            self._draw_bar(name, _START + _amount(blob.done, blob.size), blob.size, blob.done)

    def close(self) -> None:
        """Remove the bars from the screen, that of the whole last."""
        while self._bars:
            self._bars.popitem()[1].close()

    def _text(self) -> str:
        """What is done of the whole, how fast, and what time that leaves; short enough for 80 columns with a bar."""
        total = self._sum
        if self._noun:
            seconds = self._clock() - self._rate.began
            left = _left(total.blobs - total.share, total.share / seconds if seconds else 0.0)
            return f"{_of(total, self._noun)}, {size(total.done)}{left}"
        speed = self._rate.now(total.moved)
        left = _left(total.whole - total.done, speed) if total.whole else ""
        return f"{_amount(total.done, total.whole)}, {size(int(speed))}/s{left}"

    def _draw_bar(self, name: str, form: str, length: int, done: float) -> None:
        """Draw a bar in its row; a new one in the first row that is free. All begin where the longest name ends."""
        label = f"{_shown_name(name or 'total'):<{self._width}}"
        if name in self._bars:
            bar = self._bars[name]
            bar.desc, bar.bar_format, bar.total, bar.n = label, form, length or None, done
            bar.refresh()
            return
        # Imported here, since that takes as long as all of --help.
        from tqdm import tqdm

        # There are threads, but no processes, and no monitor is needed.
        tqdm.set_lock(threading.RLock())
        tqdm.monitor_interval = 0
        self._bars[name] = tqdm(
            desc=label,
            bar_format=form,
            total=length or None,
            initial=done,
            leave=False,
            file=self._stream,
            dynamic_ncols=True,
        )
