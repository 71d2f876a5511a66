from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from converter.cli.sync import page, shared
from converter.conversion.sync import Outcome, Summary
from converter.model.image import Loss

HOSTILE = '"><script>alert(1)</script>\u202e'


class Seen(HTMLParser):
    """The tags of a page, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [name for name, _ in attrs if name in ("href", "src", "xlink:href")]
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def summary(*outcomes: Outcome) -> Summary:
    return Summary(outcomes=outcomes, seconds=1.5, fetched=2048, began=datetime(2026, 11, 25, 9, 30, tzinfo=UTC))


def outcome(number: int = 1, text: str = "app") -> Outcome:
    return Outcome(
        source=f"docker://a.example/{text}:{number}",
        destination=f"oci:out:{text}:{number}",
        state="written",
        digest="sha256:00",
        before=number * 1024,
        after=number * 512,
        losses=(Loss(field="healthcheck", reason=f"no place for {text}"),),
    )


THERE = replace(outcome(), state="there", losses=())
PLANNED = replace(outcome(), state="planned", losses=())
UNSTARTED = Outcome(source="docker://a.example/y", destination="oci:out:y", state="unstarted")
FAILED = Outcome(source="docker://a.example/x", destination="", state="failed", error=f"got {HOSTILE}")


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(summary(), id="nothing at all"),
        pytest.param(summary(outcome()), id="an image"),
        pytest.param(summary(*(outcome(number) for number in range(1, 90)), FAILED), id="many, and a failure"),
        pytest.param(summary(outcome(text=HOSTILE), FAILED), id="names that would be markup"),
    ],
)
def test_a_page_is_whole_and_asks_for_nothing(whole: Summary) -> None:
    text = page(whole)

    seen = Seen()
    seen.feed(text)
    seen.close()
    assert seen.open == []
    assert seen.links == []
    assert text.count("<script") == 1
    assert "\u202e" not in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_it_says_what_was_done() -> None:
    text = page(summary(outcome(), FAILED))

    for part in ("copied", "1.0 KiB", "512 bytes", "50.0 %", "healthcheck", "nowhere", "Failures", "2.0 KiB", "<svg"):
        assert part in text
    assert "2026-11-25 09:30 UTC" in text


@pytest.mark.parametrize(
    "whole, said",
    [
        pytest.param(summary(), "No images to copy", id="nothing was there"),
        pytest.param(summary(outcome()), "1 image copied", id="one image"),
        pytest.param(summary(outcome(1), outcome(2), FAILED), "2 of 3 images copied, 1 failed", id="one failed"),
        pytest.param(summary(FAILED), "0 of 1 image copied, 1 failed", id="the only one failed"),
        pytest.param(summary(THERE, outcome()), "1 of 2 images copied, 1 already there", id="one was there"),
        pytest.param(summary(THERE, THERE), "All 2 images were already there", id="all were there"),
        pytest.param(summary(THERE), "The image was already there", id="the only one was there"),
        pytest.param(summary(PLANNED, THERE), "1 of 2 images planned, 1 already there", id="a dry run"),
        pytest.param(
            summary(outcome(), FAILED, *[UNSTARTED] * 3),
            "1 of 5 images copied, 1 failed, 3 not started",
            id="given up",
        ),
    ],
)
def test_the_title_says_what_happened(whole: Summary, said: str) -> None:
    assert f"<h1>{said}</h1>" in page(whole)


def test_no_plot_is_drawn_where_no_size_changes() -> None:
    same = replace(outcome(), after=1024)

    assert "<svg" not in page(summary(same))


def test_a_loss_that_many_images_have_is_told_once() -> None:
    text = page(summary(*(outcome(number) for number in range(1, 90))))

    assert text.count("no place for app") == 1
    assert "and 88 more" in text


@pytest.mark.parametrize(
    "names, start",
    [
        pytest.param([], "", id="no names"),
        pytest.param(["docker://a.example/app:1"], "docker://a.example/app:", id="one name has a last part"),
        pytest.param(["docker://a.example/app:1", "docker://a.example/app:10"], "docker://a.example/app:", id="tags"),
        pytest.param(["docker://a.example/ab:1", "docker://a.example/ac:1"], "docker://a.example/", id="whole parts"),
        pytest.param(["oci:a", "dir:b"], "", id="nothing in common"),
    ],
)
def test_what_names_share(names: list[str], start: str) -> None:
    assert shared(names) == start
