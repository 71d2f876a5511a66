"""What a conversion loses: reported once per field, never silently."""

from __future__ import annotations

from converter.model.frozen import frozen


@frozen
class Loss:
    """Something the target cannot hold: which field, why, and where it is kept instead (empty: nowhere)."""

    field: str
    reason: str
    kept: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}; {f'kept in {self.kept}' if self.kept else 'not kept'}"
