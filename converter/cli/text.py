"""Output of the command line, escaped so that nothing from an image can control the terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, TextIO

from converter.errors import printable

RED, GREEN, YELLOW, BLUE, BOLD, FAINT = "31", "32", "33", "34", "1", "2"

LONGEST = 1600
"""The most characters shown of an error."""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_NOT_PRINTABLE = re.compile(r"[^\n -~]")


def json_text(value: Any) -> str:
    """One JSON document for people and programs: indented, UTF-8, with every unprintable character escaped."""
    # Imported here, since --help does not need it.
    import json

    def escaped(match: re.Match[str]) -> str:
        character = match.group()
        return character if character.isprintable() else json.dumps(character)[1:-1]

    # The newlines between members are the document's own; those within a string are escaped by json.
    return _NOT_PRINTABLE.sub(escaped, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def show(text: str, *, to: TextIO | None = None, colour: str = "") -> None:
    """Write one line, by default to standard output, coloured only on terminals."""
    stream = sys.stdout if to is None else to
    print(_painted(printable(text), colour if colour and coloured(stream) else ""), file=stream)


def show_row(label: str, value: str) -> None:
    """Write a label and a value to standard output, wrapped on terminals below the value's start."""
    lines = [printable(value)]
    if on_terminal(sys.stdout):
        import shutil
        import textwrap

        # Names and digests stay in one piece, since people copy them.
        room = max(shutil.get_terminal_size().columns - len(label), 20)
        whole = textwrap.TextWrapper(room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        lines = whole.wrap(lines[0]) or [""]
    for line in lines:
        show(label + line)
        label = " " * len(label)


def show_parts(*parts: tuple[str, str]) -> None:
    """Write one line of texts to standard output, each in its colour on terminals."""
    bright = coloured(sys.stdout)
    print("".join(_painted(printable(text), colour if bright else "") for text, colour in parts))


def _painted(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def show_json(value: Any, *, to: TextIO | None = None) -> None:
    """Write one JSON document, by default to standard output."""
    print(json_text(value), file=sys.stdout if to is None else to)


def say(text: str, *, colour: str = "") -> None:
    """Write one line to standard error, shortened to readable length."""
    if sys.stderr is not None:
        show(f"transship: {shortened(text)}", to=sys.stderr, colour=colour)


def shortened(text: str) -> str:
    """The text, without its middle if it is long: an image may hold a name of megabytes."""
    left_out = len(text) - LONGEST
    if left_out <= 0:
        return text
    kept = LONGEST // 2
    return f"{text[:kept]}[… {left_out} more characters …]{text[-kept:]}"


def warn(fact: str) -> None:
    """Write a warning to standard error."""
    say(f"warning: {fact}", colour=YELLOW)


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on the stream (no-color.org)."""
    return on_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def on_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is open and a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def size(count: int) -> str:
    """A number of bytes for display: ``31.2 MiB``."""
    if count < 1024:
        return f"{count} byte" if count == 1 else f"{count} bytes"
    power = 1
    # 1023.96 KiB would be shown as 1024.0 KiB.
    while count / 1024**power >= 1023.95 and power < len(_UNITS):
        power += 1
    return f"{count / 1024**power:.1f} {_UNITS[power - 1]}"


def count(number: int, noun: str) -> str:
    """``1 layer``, ``3 layers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
