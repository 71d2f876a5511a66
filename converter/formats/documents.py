"""Documents on their way in: read whole, checked against their digest, their schema and their rules."""

from __future__ import annotations

from typing import Any

from converter.model.content import Known
from converter.model.document import load_object
from converter.schema import require


def read_document(known: Known, kind: str) -> dict[str, Any]:
    """The document as JSON; raises Invalid with everything that is wrong with it."""
    data = known.read()
    require(data, kind)
    return load_object(data)
