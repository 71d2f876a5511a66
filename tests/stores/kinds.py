"""Every store that a test of the contract runs over: how to fill it, how to open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.ports import Sink, Source
from tests.builders import DOCKER, add_image
from tests.builders.memory import MemorySink, MemorySource, MemoryStore
from tests.stores.copying import sink_at, source_at


@dataclass(frozen=True, slots=True)
class Kind:
    """A store; ``several`` when it holds more than one image, ``named`` when it keeps their names."""

    name: str
    sink: Callable[[Path], Sink]
    source: Callable[[Path], Source]
    add: Callable[[MemoryStore, int], Descriptor]
    several: bool
    named: bool

    def __str__(self) -> str:
        return self.name


def _image(store: MemoryStore, number: int) -> Descriptor:
    more: dict[str, Any] = {"manifest": {"annotations": {"number": str(number)}}} if number else {}
    return add_image(store, **more, name="")


def _docker_image(store: MemoryStore, number: int) -> Descriptor:
    return add_image(store, DOCKER, manifest={"x-number": number}, name="")


def _aci(store: MemoryStore, number: int) -> Descriptor:
    return store.add(b"an image %d, " % number * 1000, types.ACI)


def _on_disk(transport: str, add: Callable[[MemoryStore, int], Descriptor], several: bool, named: bool) -> Kind:
    return Kind(
        transport,
        lambda path: sink_at(transport, path),
        lambda path: source_at(transport, path),
        add,
        several,
        named,
    )


ON_DISK = (
    _on_disk("oci", _image, several=True, named=True),
    _on_disk("oci-archive", _image, several=True, named=True),
    _on_disk("docker-archive", _image, several=True, named=True),
    _on_disk("dir", _docker_image, several=False, named=False),
    _on_disk("aci", _aci, several=False, named=False),
)

_MEMORIES: dict[Path, MemoryStore] = {}


def _memory(path: Path) -> MemoryStore:
    return _MEMORIES.setdefault(path, MemoryStore())


IN_MEMORY = Kind(
    "memory",
    lambda path: MemorySink(_memory(path)),
    lambda path: MemorySource(_memory(path)),
    _image,
    several=True,
    named=True,
)

ALL = (*ON_DISK, IN_MEMORY)
