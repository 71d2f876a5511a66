"""Output of the command line, escaped so that nothing from an image can control the terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO, TypeGuard

from converter.cli.flags import flags
from converter.errors import printable

RED, GREEN, YELLOW, BLUE, BOLD, FAINT = "31", "32", "33", "34", "1", "2"

LONGEST = 1600
"""The most characters shown of an error."""

DIGEST = r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52,116}(?![0-9a-f])"
"""A digest in a text, of SHA-256, SHA-384 or SHA-512; the group is what a short form keeps."""

Part = tuple[str, str]
"""A text and its colour."""

_USUAL = 80
"""The columns of a terminal that does not say how many it has."""

_BELOW = 4
"""The columns before a value that stands below its label."""

_NOT_PRINTABLE = r"[^\n -~]"


def json_text(value: Any) -> str:
    """One JSON document for people and programs: indented, UTF-8, with every unprintable character escaped.

    A digest becomes its text; anything else that JSON has no type for is an error.
    """
    # Imported here, since --help does not need them.
    import json

    from converter.model.descriptor import Digest

    def escaped(match: re.Match[str]) -> str:
        character = match.group()
        return character if character.isprintable() else json.dumps(character)[1:-1]

    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=Digest.__str__)
    # The newlines between members are the document's own; those within a string are escaped by json.
    return re.sub(_NOT_PRINTABLE, escaped, text)


def show(text: str, *, to: TextIO | None = None, colour: str = "", fold: bool = False) -> None:
    """Write one line, by default to standard output, as ``show_parts`` does."""
    show_parts((text, colour), to=to, fold=fold)


def show_row(label: str, value: str) -> None:
    """Write a label and a value to standard output, wrapped on terminals below the value's start.

    A digest goes below its label, in one piece, if there is no room for it beside it: people copy it.
    """
    value = printable(value)
    columns = _columns(sys.stdout)
    if len(label) + len(value) <= columns:
        _write(sys.stdout, [(label + value, "")])
        return
    indent = " " * len(label)
    if " " not in value and len(value) + _BELOW <= columns:
        _write(sys.stdout, [(label.rstrip(), "")])
        label = " " * _BELOW
    for line in _folded([(_short_where(value, columns - len(label)), "")], columns - len(label), 2):
        _write(sys.stdout, [(label, ""), *line])
        label = indent


def show_parts(*parts: Part, to: TextIO | None = None, fold: bool = False) -> None:
    """Write one line of texts, by default to standard output, each in its colour on terminals.

    On a terminal, a line that is too long has its digests shortened to 12 digits. If it has any, or with ``fold``, it
    is then wrapped between words.
    """
    stream = sys.stdout if to is None else to
    shown = [(printable(text), colour) for text, colour in parts]
    columns = _columns(stream)
    length = sum(len(text) for text, _ in shown)
    if length <= columns or not (fold or any(re.search(DIGEST, text) for text, _ in shown)):
        _write(stream, shown)
        return
    shown = [(with_short_digests(text), colour) for text, colour in shown]
    indent = len(shown[0][0]) - len(shown[0][0].lstrip(" "))
    for line in _folded(shown, columns, indent + 2):
        _write(stream, line)


def with_short_digests(text: str) -> str:
    """The text with every digest in it shortened to 12 digits."""
    return re.sub(DIGEST, r"\1…", text)


def short_digest(digest: object) -> str:
    """A digest in a list: its first 12 digits on a terminal, whole where nobody counts the columns."""
    text = str(digest)
    return with_short_digests(text).rpartition(":")[2].rstrip("…") if on_terminal(sys.stdout) else text


def columns_left(taken: int) -> int | None:
    """The columns that a terminal has left in a line of standard output; None: as many as one likes."""
    return max(_columns(sys.stdout) - taken, 0) if on_terminal(sys.stdout) else None


def _columns(stream: TextIO) -> int:
    """The columns of the terminal that a stream is, as COLUMNS or the terminal says; without one, lines never end."""
    if not on_terminal(stream):
        return sys.maxsize
    if (said := os.environ.get("COLUMNS", "")).isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _USUAL


def _short_where(text: str, columns: int) -> str:
    """The text with those words shortened that have a digest and do not fit in a line."""
    return " ".join(with_short_digests(word) if len(word) > columns else word for word in text.split(" "))


def _folded(parts: Sequence[Part], columns: int, indent: int) -> Iterator[list[Part]]:
    """Coloured text as lines that end between words; a word stays whole, even if it is too long, and an arrow stays
    before what it points at.
    """
    line: list[Part] = []
    length = 0
    for text, colour in parts:
        for word in re.findall(r" *→ [^ ]+| *[^ ]+| +", text):
            if length > indent and length + len(word.rstrip()) > columns:
                yield _stripped(line)
                line, length, word = [(" " * indent, "")], indent, word.lstrip()
            length += len(word)
            if line and line[-1][1] == colour:
                word = line.pop()[0] + word
            line.append((word, colour))
    yield _stripped(line)


def _stripped(line: Sequence[Part]) -> list[Part]:
    """A line without spaces at its end, which might not fit."""
    return [*line[:-1], *((text.rstrip(" "), colour) for text, colour in line[-1:])]


def show_lines(lines: Iterable[Sequence[Part]]) -> None:
    """Write many lines to standard output, each as ``show_parts`` does; all at once if it is not a terminal."""
    if on_terminal(sys.stdout):
        for parts in lines:
            show_parts(*parts)
        return
    texts = (printable("".join([text for text, _ in parts])) + "\n" for parts in lines)
    print(end="".join(texts))


def _write(stream: TextIO, parts: Iterable[Part]) -> None:
    bright = coloured(stream)
    painted = (f"\x1b[{colour}m{text}\x1b[0m" if colour and bright else text for text, colour in parts)
    print("".join(painted), file=stream)


def show_json(value: Any, *, to: TextIO | None = None) -> None:
    """Write one JSON document, by default to standard output."""
    print(json_text(value), file=sys.stdout if to is None else to)


def show_as_asked(document: Any, lines: Iterable[Part], *, to: TextIO | None = None) -> None:
    """Write a result: the document with ``--json``, nothing with ``--quiet``, or else lines of text."""
    if flags().json:
        show_json(document, to=to)
    elif not flags().quiet:
        for text, colour in lines:
            show(text, to=to, colour=colour)


def show_error(text: str, *, colour: str = "") -> None:
    """Write one line to standard error, shortened to readable length, and on a terminal wrapped between words."""
    if sys.stderr is not None:
        text = printable(f"transship: {without_middle(text)}")
        columns = _columns(sys.stderr)
        for line in _folded([(_short_where(text, columns - 2), colour)], columns, 2):
            _write(sys.stderr, line)


def without_middle(text: str) -> str:
    """The text, without its middle if it is long: an image may hold a name of megabytes."""
    left_out = len(text) - LONGEST
    if left_out <= 0:
        return text
    kept = LONGEST // 2
    return f"{text[:kept]}[… {left_out} more characters …]{text[-kept:]}"


def warn(fact: str) -> None:
    """Write a warning to standard error."""
    show_error(f"warning: {fact}", colour=YELLOW)


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on the stream (no-color.org)."""
    return on_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def on_terminal(stream: TextIO | None) -> TypeGuard[TextIO]:
    """Whether the stream is open and a terminal."""
    return stream is not None and not stream.closed and stream.isatty()
