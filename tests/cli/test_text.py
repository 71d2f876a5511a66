from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given, strategies as st

from converter.cli.text import FAINT, RED, json_text, show, show_error, show_parts, show_row
from converter.errors import printable
from converter.model.descriptor import Descriptor, Digest
from converter.model.limits import size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text, shown",
    [
        pytest.param("app:1", "app:1", id="plain text stays"),
        pytest.param("Grüße ✓ 日本", "Grüße ✓ 日本", id="letters of any language stay"),
        pytest.param("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", id="an escape sequence is told, not obeyed"),
        pytest.param("\x9b31m", "\\x9b31m", id="its form in one byte too"),
        pytest.param("a\nb\rc\td", "a\\nb\\rc\\td", id="a line stays one line"),
        pytest.param("exe\u202egpj", "exe\\u202egpj", id="the reading direction does not turn"),
        pytest.param("a\u2028b", "a\\u2028b", id="a line separator does not separate lines"),
        pytest.param("a\u200bb", "a\\u200bb", id="what cannot be seen is shown"),
        pytest.param(b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9", id="bytes that are no UTF-8 are shown"),
        pytest.param("\x00\x7f", "\\x00\\x7f", id="NUL and DEL are told"),
        pytest.param("\U000e0041", "\\U000e0041", id="tag characters are told"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_text_is_printable_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(_VALUES)
def test_json_says_the_same_and_holds_no_control_character(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


def test_json_of_a_name_that_is_no_utf_8_can_be_written_and_read() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert json.loads(json_text([name]).encode()) == [name]


def test_json_of_a_digest_is_its_text() -> None:
    assert json.loads(json_text([Digest("sha256", "ab")])) == ["sha256:ab"]


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(b"bytes", id="bytes"),
        pytest.param(Path("folder"), id="a path that nobody made a text"),
        pytest.param(Descriptor.of(b"", "a/b"), id="a descriptor that nobody made an object"),
        pytest.param(iter("ab"), id="an iterator that nobody made a list"),
    ],
)
def test_what_json_has_no_type_for_is_not_made_text_by_chance(stray: object) -> None:
    with pytest.raises(AttributeError):
        json_text({"member": stray})


@pytest.mark.parametrize(
    "stream, variables, coloured",
    [
        pytest.param(Terminal(), {"TERM": "xterm"}, True, id="a terminal gets colour"),
        pytest.param(io.StringIO(), {"TERM": "xterm"}, False, id="a file gets none"),
        pytest.param(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR is obeyed"),
        pytest.param(Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True, id="an empty NO_COLOR says nothing"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, id="a dumb terminal gets none"),
    ],
)
def test_colour(
    stream: io.StringIO, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    show("text", to=stream, colour=RED)
    assert stream.getvalue() == ("\x1b[31mtext\x1b[0m\n" if coloured else "text\n")


def test_nobody_is_told_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere: TextIO | None = None
    monkeypatch.setattr("sys.stderr", nowhere)
    show_error("text")


@pytest.mark.parametrize(
    "number, shown",
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (31 * 1024 * 1024 + 200_000, "31.2 MiB"),
        (2**70, "1024.0 EiB"),
    ],
)
def test_sizes_are_told_in_binary_units(number: int, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    "value, shown",
    [
        pytest.param("short", ["  label  short"], id="what fits stays a line"),
        pytest.param("", ["  label  "], id="nothing is a line, too"),
        pytest.param(
            "one two three four five six seven",
            ["  label  one two three four", "           five six seven"],
            id="what does not goes below, further in",
        ),
        pytest.param(
            f"sha256:{'0' * 30}  tar",
            [f"  label  sha256:{'0' * 30}", "           tar"],
            id="a digest is not cut",
        ),
        pytest.param("a\nb", ["  label  a\\nb"], id="a line break is told, not obeyed"),
    ],
)
def test_a_row_has_its_value_beside_its_label(monkeypatch: pytest.MonkeyPatch, value: str, shown: list[str]) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    show_row("  label  ", value)
    assert screen.getvalue().splitlines() == shown


def test_a_folded_line_has_no_space_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    show_parts(("error: nineteen it  ", ""), ("[a rule]", FAINT), fold=True)
    assert terminal.getvalue().splitlines() == ["error: nineteen it", "  [a rule]"]


def test_a_row_of_a_file_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_row("  label  ", "word " * 100)
    assert capsys.readouterr().out == f"  label  {'word ' * 100}\n"
