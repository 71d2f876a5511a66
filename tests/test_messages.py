"""No message follows the old pattern "got X, want Y" (docs/messages.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import converter

ROOT = Path(converter.__file__).parent
OLD = re.compile(r"\bgot\b.*\bwant\b|^got\b|, want\b")


def texts(source: str) -> Iterator[str]:
    """The string literals of a module; of an f-string, its literal parts with an ellipsis for each value."""
    tree = ast.parse(source)
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


@pytest.mark.parametrize("source", ['f"got {x}, want {y}"', '"got a file, want a directory"', 'f"{x}: {y}, want more"'])
def test_the_old_pattern_is_recognised(source: str) -> None:
    assert any(OLD.search(text) for text in texts(source))


def test_no_message_says_what_it_got_and_wants() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sorted(ROOT.rglob("*.py"))
        for text in texts(path.read_text())
        if OLD.search(text)
    ]
    assert found == []


def test_few_texts_want_anything() -> None:
    found = [text for path in ROOT.rglob("*.py") for text in texts(path.read_text()) if re.search(r"\bwants?\b", text)]
    assert len(found) <= 25
