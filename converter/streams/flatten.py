"""The rewrite of several layers into one."""

from __future__ import annotations

from collections.abc import Sequence

from converter.model.content import Blocks, LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.streams.squash import squash


@frozen(kw_only=False)
class Flatten:
    """Squashes layers."""

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        return squash(inputs, replaced=replaced)
