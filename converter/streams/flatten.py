"""The rewrite of several layers into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converter.model.content import Blocks, Note, Open
from converter.streams.squash import squash
from converter.streams.superseded import Replaced


@dataclass(frozen=True, slots=True)
class Flatten:
    """Squashes; ``replaced`` is for ``squash``, which see."""

    replaced: Replaced = frozenset()

    def __call__(self, inputs: Sequence[Open], _note: Note, /) -> Blocks:
        return squash(inputs, replaced=self.replaced)
