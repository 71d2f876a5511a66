"""The rewrite of several layers into one."""

from __future__ import annotations

from collections.abc import Sequence

from converter.model.content import Blocks, Note, Open
from converter.model.frozen import frozen
from converter.streams.squash import squash
from converter.streams.superseded import Replaced


@frozen(kw_only=False)
class Flatten:
    """Squashes layers; for ``replaced``, see ``squash``."""

    replaced: Replaced = frozenset()

    def __call__(self, inputs: Sequence[Open], _note: Note, /) -> Blocks:
        return squash(inputs, replaced=self.replaced)
