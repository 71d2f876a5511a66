from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from converter.stores import retry
from converter.stores.hosts import Hosts
from converter.stores.registry.urls import bypasses_proxy, display_url
from converter.stores.retry import Interrupted, asked_wait, wait_to_retry


class Clock(Hosts):
    """Hosts whose time is only what is slept."""

    def __init__(self) -> None:
        super().__init__(now=lambda: self.time)
        self.time = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def test_each_wait_is_longer_than_the_one_before_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 1)
    clock = Clock()
    for failures in range(1, 10):
        wait_to_retry(clock.host("reg.test"), 9, Interrupted("broken"), failures)
    for failures, slept in enumerate(clock.slept):
        assert min(30, 2**failures) / 2 <= slept <= min(30, 2**failures)


def test_the_last_failure_is_raised() -> None:
    clock = Clock()
    with pytest.raises(Interrupted, match="broken"):
        wait_to_retry(clock.host("reg.test"), 2, Interrupted("broken"), 3)
    assert not clock.slept


def test_when_a_host_asks_to_wait_all_threads_do() -> None:
    class Busy(Clock):
        def sleep(self, seconds: float) -> None:
            first = not self.slept
            self.slept.append(seconds)
            if first:
                # Another thread, four seconds later.
                self.time += 4
                host.wait()

    clock = Busy()
    host = clock.host("reg.test")
    host.wait()
    assert not clock.slept
    wait_to_retry(host, 5, Interrupted("busy", 7), 1)
    assert clock.slept == [7, 3]


def test_a_host_that_asks_for_too_much_is_given_up() -> None:
    with pytest.raises(Interrupted):
        wait_to_retry(Clock().host("reg.test"), 5, Interrupted("busy", 3600), 1)


@pytest.mark.parametrize(
    "value, seconds",
    [
        pytest.param(None, None, id="nothing"),
        pytest.param("", None, id="an empty header"),
        pytest.param("soon", None, id="a word"),
        pytest.param("12", 12.0, id="seconds"),
        pytest.param("-1", None, id="less than no time"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, id="a date in the past"),
    ],
)
def test_what_retry_after_asks_for(value: str | None, seconds: float | None) -> None:
    assert asked_wait(value) == seconds


def test_a_date_to_come_is_waited_for() -> None:
    found = asked_wait(format_datetime(datetime.now(UTC) + timedelta(days=30), usegmt=True))
    assert found is not None
    assert 29 * 86400 < found <= 30 * 86400


@pytest.mark.parametrize(
    "date, seconds",
    [
        pytest.param("Wed, 21 Oct 2015 07:27:30 GMT", 30.0, id="by the host's clock, whatever ours says"),
        pytest.param("Wed, 21 Oct 2015 07:28:30 GMT", 0.0, id="which may be beyond it"),
        pytest.param("yesterday", 0.0, id="by ours, where it has none"),
    ],
)
def test_a_moment_is_counted_from_the_answers_date(date: str, seconds: float) -> None:
    assert asked_wait("Wed, 21 Oct 2015 07:28:00 GMT", date) == seconds


@pytest.mark.parametrize(
    "host, exceptions, found",
    [
        pytest.param("reg.test", "", False, id="nothing is excepted"),
        pytest.param("reg.test", "*", True, id="everything is"),
        pytest.param("reg.test", "other.test, reg.test", True, id="the host is"),
        pytest.param("a.reg.test", ".reg.test", True, id="the domain is"),
        pytest.param("a.reg.test", "*.reg.test", True, id="the domain is, with a star"),
        pytest.param("areg.test", "reg.test", False, id="a name that ends alike is not"),
        pytest.param("192.0.2.1", "192.0.2.1:80", True, id="a port does not matter"),
        pytest.param("192.0.2.1", "10.0.0.0/8 192.0.2.0/24", True, id="the network is"),
        pytest.param("192.0.3.1", "192.0.2.0/24 192.0.3", False, id="another network is"),
        pytest.param("2001:db8::1", "[2001:db8::1]:5000", True, id="an address of IPv6 is, in brackets"),
        pytest.param("2001:db8::1", "2001:db8::/32", True, id="a network of IPv6 is"),
        pytest.param("reg.test", "::1", False, id="only an address of IPv6 is"),
        pytest.param("reg.test", ". , :80", False, id="nobody is"),
        pytest.param("127.0.0.2", "", True, id="this machine always is"),
        pytest.param("localhost", "", True, id="and by its name"),
    ],
)
def test_who_is_spoken_to_without_the_proxy(host: str, exceptions: str, found: bool) -> None:
    assert bypasses_proxy(host, exceptions) == found


def test_secrets_of_urls_do_not_show() -> None:
    assert display_url("https://user:secret@reg.test/v2/a?token=secret#secret") == "https://reg.test/v2/a"
