"""Plans run in memory."""

from __future__ import annotations

from dataclasses import dataclass

from converter.cache import VerifiedCache
from converter.events import Event, Warned
from converter.execute import Threads
from converter.model import media_types as types
from converter.model.content import Known, known_bytes
from converter.plan import Made, Node
from converter.streams.workers import Workers
from tests.builders.memory import MemorySink, MemoryStore

BUNDLE = frozenset((types.ROOTFS, types.RUNTIME_CONFIG))
"""What a target takes that holds a bundle."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a plan made: the root, and every blob in the order of its making."""

    made: Made
    blobs: tuple[bytes, ...]
    warnings: tuple[str, ...] = ()

    @property
    def root(self) -> Known:
        """The root as a source would have it."""
        data = next(
            data for data in self.blobs if known_bytes(data, "").descriptor.digest == self.made.descriptor.digest
        )
        return known_bytes(data, types.ACI)

    @property
    def image_id(self) -> str:
        """The ID of the ACI."""
        assert self.made.diff_id is not None
        return f"{self.made.diff_id.algorithm}-{self.made.diff_id.encoded}"


def run(node: Node) -> Ran:
    """Execute a plan into memory, one node after the other."""
    store = MemoryStore()
    heard: list[Event] = []
    with MemorySink(store, ordered=True) as sink, Workers(1) as workers:
        made = Threads(sink, workers, VerifiedCache(), heard.append, jobs=1).run([node])[0].done
    warnings = tuple(event.fact for event in heard if isinstance(event, Warned))
    return Ran(made, tuple(store.blobs.values()), warnings)
