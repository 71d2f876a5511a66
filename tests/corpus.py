"""The documents of ``fixtures/``, read as its README says."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FIXTURES = Path(__file__).parent.parent / "fixtures"
INDEX: dict[str, Any] = json.loads((FIXTURES / "index.json").read_bytes())


class Case(NamedTuple):
    """One document and the verdicts on it."""

    kind: str
    description: str
    data: bytes
    valid: bool
    rules: list[str]
    strict: dict[str, Any]

    @property
    def name(self) -> str:
        """By which a failure names it."""
        return f"{self.kind}: {self.description}"

    @property
    def is_text(self) -> bool:
        """Whether what is odd is the JSON itself, so that its value says little or nothing."""
        return self.description.startswith("JSON: ")

    @property
    def is_base(self) -> bool:
        """Whether it is one of those that the others are made from."""
        return self.description.startswith("valid: ")

    @property
    def value(self) -> Any:
        """The document as Python's parser reads it."""
        return json.loads(self.data)


@cache
def documents() -> tuple[Case, ...]:
    """All of them."""
    return tuple(
        Case(file["kind"], row["description"], _data(row), row["valid"], row["rules"], row["strict"])
        for file in INDEX["documents"]
        for row in json.loads((FIXTURES / file["path"]).read_bytes())
    )


def _data(row: dict[str, Any]) -> bytes:
    if "base64" in row:
        return base64.b64decode(row["base64"])
    text: str = row["raw"] if "raw" in row else json.dumps(row["document"], ensure_ascii=False)
    return text.encode()
