"""The bounds on input: each has a name, an option, a line in the documentation, and holds in every thread."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from converter.errors import LimitExceeded, Usage
from converter.model.content import known_bytes
from converter.model.document import load_json
from converter.model.limits import DEFAULT, Limits, current_limits, enforce_limits
from converter.streams.read_ahead import fan_out, read_ahead
from converter.streams.tar.scan import scan_entries
from tests.builders import tar

DOCUMENT = Path(__file__).parents[2] / "docs/limits.md"


@pytest.mark.parametrize(
    "texts, limits",
    [
        pytest.param([], Limits(), id="without options the defaults hold"),
        pytest.param(["layers=2000"], Limits(layers=2000), id="a number"),
        pytest.param(["document=8M", "path=1K"], Limits(document=8 << 20, path=1024), id="several, with units"),
        pytest.param(["layer=2GiB"], Limits(layer=2 << 30), id="a unit in full"),
        pytest.param(["json-depth=3"], Limits(json_depth=3), id="a dash for an underscore"),
        pytest.param(["ratio=1", "ratio=2"], Limits(ratio=2), id="the last one holds"),
    ],
)
def test_limits_are_read(texts: list[str], limits: Limits) -> None:
    assert Limits.parse(texts) == limits


@pytest.mark.parametrize("text", ["", "layers", "layers=", "layers=-1", "layers=x", "layers=1T", "depth=3", "=1"])
def test_what_is_no_limit_is_wrong_usage(text: str) -> None:
    with pytest.raises(Usage):
        Limits.parse([text])


def test_the_documentation_lists_every_limit_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([0-9,]+)(?: ([KMG])iB)? \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    told = [(name, int(number.replace(",", "")) * units[unit], what) for name, number, unit, what in rows]
    assert told == [(one.name, one.default, one.metadata["what"]) for one in fields(Limits)]


def test_limits_in_force_hold_for_whatever_is_not_told_others() -> None:
    with enforce_limits(Limits(document=10, json_depth=1, json_values=2, path=3)):
        with pytest.raises(LimitExceeded, match="limit: document"):
            load_json(b"[1,2,3,4,5,6]")
        with pytest.raises(LimitExceeded, match="limit: document"):
            known_bytes(b"x" * 11, "").read()
        with pytest.raises(LimitExceeded, match="limit: json_depth"):
            load_json(b"[[]]")
        with pytest.raises(LimitExceeded, match="limit: json_values"):
            load_json(b"[1,2,3,4]")
        with pytest.raises(LimitExceeded, match="limit: path"):
            list(scan_entries([tar({"four": b""})]))
    assert current_limits() is DEFAULT


def test_values_within_texts_are_no_values() -> None:
    with enforce_limits(Limits(json_values=2)):
        assert load_json(rb'["[[[,,,\"{{{{"]') == ['[[[,,,"{{{{']


def test_limits_in_force_hold_in_the_threads_of_a_stream() -> None:
    def seen() -> list[bytes]:
        return [b"%d" % current_limits().layers]

    with enforce_limits(Limits(layers=7)):
        assert list(read_ahead(block for _ in range(1) for block in seen())) == [b"7"]
        assert fan_out([b"x"], [lambda blocks: (list(blocks), seen())[1]] * 2) == [[b"7"], [b"7"]]
