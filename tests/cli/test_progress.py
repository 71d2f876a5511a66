from __future__ import annotations

import errno
import io
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
import pytest

from converter.cli import progress
from converter.cli.flags import Flags
from converter.cli.progress import Bars, Lines, Rate, Sum
from converter.events import Event, Failed, Finished, Moved, Planned, Started, Warned
from tests.patience import wait_until

MIB = 1024 * 1024
Work = Planned | Started | Moved | Finished


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(Terminal):
    refused = False

    def write(self, text: str) -> int:
        self.refused = True
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def running() -> Iterator[Flags]:
    """The flags of a command that runs."""
    flags = Flags()
    with click.Context(click.Command("convert"), obj=flags):
        yield flags


@pytest.mark.parametrize(
    "events, done",
    [
        pytest.param([Planned(10, 1), Started("a", 10), Moved("a", 4)], (4, 0), id="bytes count as they move"),
        pytest.param([Started("a", 10), Moved("a", 10), Finished("a", 10)], (10, 1), id="they do not count twice"),
        pytest.param(
            [Started("a", 10), Finished("a", 10, skipped=True)], (10, 1), id="what was there counts at its end"
        ),
        pytest.param([Moved("a", 3), Finished("a", 3)], (3, 1), id="a blob that nobody announced counts"),
        pytest.param([Started("a", -1), Moved("a", 3), Finished("a", -1)], (3, 1), id="a size may be unknown"),
        pytest.param(
            [Started("a", 3), Moved("a", 3), Started("a", 9), Moved("a", 6), Finished("a", 9)],
            (9, 1),
            id="an image may turn out larger",
        ),
    ],
)
def test_the_sum_of_the_work(events: Sequence[Work], done: tuple[int, int]) -> None:
    total = Sum()
    for event in events:
        total.add(event)
    assert (total.done, total.blobs_done) == done


@pytest.mark.parametrize(
    "events, whole, fraction",
    [
        pytest.param([Planned(10, 1), Moved("a", 5), Planned(90, 1)], 100, 0.5, id="more work turns up"),
        pytest.param([Planned(10, 1), Moved("a", 30)], 30, 0.99, id="all is read, but not yet packed"),
        pytest.param([Planned(10, 1), Moved("a", 30), Finished("a", 30)], 30, 1.0, id="more is read than was planned"),
        pytest.param([Moved("a", 30)], 0, 0.0, id="nobody knows how much there is"),
    ],
)
def test_progress_never_runs_backwards(events: Sequence[Work], whole: int, fraction: float) -> None:
    total = Sum()
    for event in events:
        total.add(event)
        total.fraction(blobs=False)
    assert (total.whole, total.fraction(blobs=False)) == (whole, fraction)


@pytest.fixture
def _five(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a line every five seconds again, by a clock of the test's."""
    monkeypatch.setattr(progress, "INTERVAL", 5.0)


@pytest.mark.usefixtures("_five")
def test_a_log_gets_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = Lines(clock)
    view.show(Planned(100 * MIB, 4))
    view.show(Started("layer", 50 * MIB))
    for _ in range(6):
        clock.now += 2
        view.show(Moved("layer", 5 * MIB))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "transship: 15 % of 100.0 MiB, 0 of 4 blobs done, 2.5 MiB/s",
        "transship: 30 % of 100.0 MiB, 0 of 4 blobs done, 2.5 MiB/s",
    ]


@pytest.mark.usefixtures("_five")
def test_a_log_says_so_where_nobody_knows_how_much_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = Lines(clock)
    clock.now += 8
    view.show(Moved("layer", 16 * MIB))
    assert capsys.readouterr().err == "transship: 16.0 MiB read, 0 blobs done, 2.0 MiB/s\n"


@pytest.mark.usefixtures("_five")
def test_of_many_images_the_number_is_known_first(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = Lines(clock, noun="image")
    events: list[Event] = [Planned(0, 4), Started("app:1", 8 * MIB), Moved("app:1", 8 * MIB), Finished("app:1", 0)]
    events += [Planned(8 * MIB, 0), Started("app:2", 8 * MIB), Moved("app:2", 4 * MIB)]
    clock.now += 6
    for event in events:
        view.show(event)
    clock.now += 6
    view.show(Moved("app:2", 2 * MIB))
    assert capsys.readouterr().err.splitlines() == [
        "transship: 0 %, 0 of 4 images done, 0 bytes read, 0 bytes/s",
        "transship: 43 %, 1 of 4 images done, 14.0 MiB read, 1.2 MiB/s",
    ]


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress() as report:
        for event in (Planned(1, 1), Started("a", 1), Moved("a", 1), Finished("a", 1)):
            report(event)
    assert capsys.readouterr() == ("", "")


def test_a_warning_is_told_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress() as report:
        report(Warned("a name with \x1b]0;title\x07"))
    assert capsys.readouterr().err == "transship: warning: a name with \\x1b]0;title\\x07\n"


def test_quiet_is_quiet(running: Flags, capsys: pytest.CaptureFixture[str]) -> None:
    running.quiet = True
    with progress.progress() as report:
        report(Warned("odd"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_failure_is_an_error_for_the_quiet_too(
    running: Flags, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    running.quiet = quiet
    with progress.progress() as report:
        report(Failed("app: gone"))
    assert capsys.readouterr() == ("", "transship: app: gone\n")


def test_bars_begin_below_each_other() -> None:
    clock, screen = Clock(), Terminal()
    bars = Bars(screen, clock)
    bars.show(Planned(40 * MIB, 2))
    clock.now += 1
    for name in ("layer[0]", "linux/arm64/v8 layer[0]"):
        bars.show(Started(name, 5 * MIB))
        bars.draw()

    drawn = [piece for piece in screen.getvalue().split("\r") if "|" in piece]
    bars.close()
    last = {piece.split("  ")[0].split(" 0%")[0].strip(): piece.index("|") for piece in drawn}
    assert last == dict.fromkeys(("total", "layer[0]", "linux/arm64/v8 layer[0]"), len("linux/arm64/v8 layer[0]   0% "))


def test_a_terminal_gets_bars_and_then_its_screen_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, screen = Clock(), Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    bars = Bars(screen, clock)
    bars.show(Planned(1, 1))
    bars.show(Started("quick", 1))
    bars.show(Finished("quick", 1))
    bars.draw()
    assert screen.getvalue() == "", "nothing is drawn for what is done at once"
    bars.show(Planned(40 * MIB, 8))
    clock.now += 1
    for number in range(8):
        bars.show(Started(f"layer[{number}] \x1b[2J", 5 * MIB))
        bars.show(Moved(f"layer[{number}] \x1b[2J", MIB))
    bars.draw()
    bars.show(Warned("odd"))
    bars.show(Failed("gone"))
    drawn = screen.getvalue()
    assert "total" in drawn
    assert "layer[0] \\x1b[2J" in drawn
    assert "\x1b[2J" not in drawn
    assert "layer[7]" not in drawn, "only so many bars fit"
    assert "transship: warning: odd" in drawn
    assert "transship: gone" in drawn
    for number in range(8):
        bars.show(Finished(f"layer[{number}] \x1b[2J", 5 * MIB))
    bars.close()
    assert not bars._bars


def test_a_terminal_shows_what_is_read_before_any_of_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with progress.progress() as report:
        report(Planned(40 * MIB, 1))
        report(Started("layer[0]", 40 * MIB))
        wait_until(lambda: "layer[0]" in screen.getvalue(), "it is drawn, though no event comes")
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_the_screen_is_left_alone_once_all_is_done() -> None:
    clock, screen = Clock(), Terminal()
    bars = Bars(screen, clock)
    bars.show(Planned(8, 1))
    bars.show(Started("layer[0]", 8))
    bars.draw()
    bars.show(Finished("layer[0]", 8))
    bars.draw()
    drawn = screen.getvalue()
    assert "total      100%" in drawn
    bars.draw()
    assert screen.getvalue() == drawn, "a program that asks for a passphrase may need it"
    bars.show(Planned(8, 1))
    bars.draw()
    assert screen.getvalue() != drawn
    bars.close()


def test_until_the_work_is_known_a_line_says_what_is_done() -> None:
    clock, screen = Clock(), Terminal()
    bars = Bars(screen, clock, first="reading oci:{app}\x1b[2J")
    clock.now += 3
    bars.draw()
    assert screen.getvalue().strip() == "reading oci:{app}\\x1b[2J"
    bars.show(Planned(10 * MIB, 1))
    bars.show(Started("layer[0]", 10 * MIB))
    clock.now += 1
    bars.show(Moved("layer[0]", 2 * MIB))
    bars.draw()
    drawn = screen.getvalue().rpartition("\rtotal")[2]
    assert "2.0 MiB of 10.0 MiB, 2.0 MiB/s, 0:04 left" in drawn, "the time before does not count"
    bars.close()


def test_a_line_about_the_beginning_is_removed_if_there_is_no_work() -> None:
    screen = Terminal()
    bars = Bars(screen, Clock(), first="reading oci:app")
    bars.draw()
    bars.close()
    assert screen.getvalue().replace("reading oci:app", "").strip() == ""
    assert screen.getvalue().endswith("\r")


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_runs_beside_the_work_without_a_terminal(running: Flags, quiet: bool) -> None:
    running.quiet = quiet
    before = set(threading.enumerate())
    with progress.progress():
        assert set(threading.enumerate()) <= before


def test_a_terminal_that_goes_away_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Gone()
    monkeypatch.setattr("sys.stderr", screen)
    with progress.progress() as report:
        report(Planned(1, 1))
        report(Started("layer[0]", 1))
        wait_until(lambda: screen.refused, "it is drawn")
        report(Moved("layer[0]", 1))


def test_a_bar_for_many_images_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, screen = Clock(), Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    bars = Bars(screen, clock, noun="image")
    bars.show(Planned(0, 4))
    bars.show(Started("app:1", 8 * MIB))
    bars.show(Moved("app:1", 8 * MIB))
    bars.show(Finished("app:1", 0))
    clock.now += 1
    bars.show(Started("an-image-with-a-long-name:2", 8 * MIB))
    bars.draw()
    bars.show(Warned("odd"))
    assert "total" in screen.getvalue()
    assert "25%" in screen.getvalue()
    assert "…mage-with-a-long-name:2" in screen.getvalue(), "of a long name the end, where the tag is"
    assert "1 of 4 images, 8.0 MiB, 0:03 left" in screen.getvalue()
    bars.close()


def test_a_rate_is_steady_and_what_was_there_does_not_count() -> None:
    clock = Clock()
    rate, total = Rate(clock), Sum()
    total.add(Planned(1000 * MIB, 2))
    total.add(Finished("there", 900 * MIB, skipped=True))
    told = []
    for burst in (0, 4, 0, 4) * 10:  # a network that stops every other second
        clock.now += 1
        total.add(Moved("layer", burst * MIB))
        told.append(rate.now(total.moved) / MIB)
    assert all(1.9 <= one <= 2.1 for one in told[20:])
    clock.now += progress.WINDOW
    assert rate.now(total.moved) == 0, "and it does not tell of what is long over"


@pytest.mark.parametrize(
    "first, events, threads",
    [
        pytest.param("", [], 0, id="none before the first event, so that the process may copy itself"),
        pytest.param("", [Moved("a", 1)], 1, id="one from the first event on"),
        pytest.param("reading oci:app", [], 1, id="one at once if something is said first"),
    ],
)
def test_the_thread_that_draws(
    monkeypatch: pytest.MonkeyPatch, first: str, events: Sequence[Event], threads: int
) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    with progress.progress(first=first) as report:
        for event in events:
            report(event)
        assert [one.name for one in threading.enumerate()].count("progress") == threads


def test_many_threads_may_report(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(progress, "TICK", 0.001)
    with progress.progress() as report:
        report(Planned(80 * 20, 80))

        def move(number: int) -> None:
            report(Started(str(number), 20))
            for _ in range(20):
                report(Moved(str(number), 1))
            report(Finished(str(number), 20))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(move, range(79)))
        wait_until(lambda: "total" in screen.getvalue(), "bars are drawn")
        move(79)
