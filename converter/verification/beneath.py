"""The ACIs that an ACI depended on, from its record or rebuilt, each vouched for (aci.md, "Dependency Matching").

If the signed image names a dependency by its image ID, that suffices; if not, the dependency has to be signed like the
image itself, as rkt required.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from converter.errors import Untrusted, within
from converter.formats.aci import Dependency
from converter.formats.aci.archive import read_manifest
from converter.formats.aci.dependencies import Shelf, fitting, pinned
from converter.formats.aci.manifest import parse
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.trust.signature import Verdict
from converter.verification.original import OriginalSource

if TYPE_CHECKING:
    from converter.verification import Judgement


class Beneath:
    """The ACIs of a record; ``verdicts`` are those on the ones that had to be signed."""

    def __init__(self, original: OriginalSource, judge: Callable[[Descriptor], Judgement]) -> None:
        self._original = original
        self._judge = judge
        self.verdicts: list[Verdict] = []

    def find(self, dependency: Dependency) -> Known | None:
        """A Finder; raises Untrusted if the ACI has to be signed and is not."""
        known = fitting(self._shelf, dependency)
        if known is not None and not pinned(dependency):
            judgement = self._judge(known.descriptor)
            self.verdicts += judgement.verdicts
            if not judgement.ok:
                raise Untrusted("; ".join(judgement.unmet))
        return known

    @cached_property
    def _shelf(self) -> Shelf:
        with within("dependencies"):
            return [(parse(read_manifest(known)), known) for known in self._original.acis()]
