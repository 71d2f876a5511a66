"""Edits of images: selected platforms, and what squashing leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from converter import formats
from converter.errors import LimitExceeded, NotFound
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json
from converter.model.image import Image, Index, Item
from converter.model.platform import Platform
from converter.transform import one_platform, read_whole_index, some_platforms, squash_layers
from tests.builders import CONFIG, OCI, add_image, add_index
from tests.builders.memory import MemorySource, MemoryStore

OTHER = Descriptor(media_type=types.OCI_MANIFEST, digest=Digest.of(b"{}"), size=2)
AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


def row(root: Descriptor, architecture: str, **more: Any) -> dict[str, Any]:
    return {**root.to_json(), "platform": {"os": "linux", "architecture": architecture}, **more}


class Shelf:
    """A store with an index for two platforms and an attestation of the first, and how often something was read."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.read_count = 0
        first = add_image(self.store, name="")
        second = add_image(self.store, config={**CONFIG, "architecture": "arm64"}, name="")
        blob = self.store.add(b"{}", "application/vnd.in-toto+json")
        config = self.store.add(b"{}", types.OCI_EMPTY)
        body = {
            "schemaVersion": 2,
            "mediaType": types.OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [blob.to_json()],
        }
        attestation = self.store.add(dump_json(body), types.OCI_MANIFEST)
        note = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(first.digest)}
        unknown = {"os": "unknown", "architecture": "unknown"}
        self.rows = [
            row(first, "amd64"),
            row(second, "arm64"),
            {**attestation.to_json(), "platform": unknown, "annotations": note},
        ]
        add_index(self.store, self.rows)
        self._source = MemorySource(self.store)

    def read(self, descriptor: Descriptor) -> Item:
        self.read_count += 1
        return formats.decode(self._source.fetch(descriptor), self._source.fetch)

    def index(self) -> Index:
        item = self.read(self._source.resolve("app:1"))
        assert isinstance(item, Index)
        self.read_count = 0
        return item


def architectures(item: Item) -> list[str]:
    assert isinstance(item, Index)
    return [entry.descriptor.platform.architecture for entry in item.entries if entry.descriptor.platform is not None]


@pytest.mark.parametrize("wanted", [AMD64, ARM64], ids=str)
def test_one_platform_of_an_index_is_read_and_no_other(wanted: Platform) -> None:
    shelf = Shelf()
    item = one_platform(shelf.index(), wanted, shelf.read)
    assert isinstance(item, Image)
    assert item.platform == wanted
    assert shelf.read_count == 1


def test_a_platform_that_is_not_there_is_told_with_those_that_are() -> None:
    shelf = Shelf()
    with pytest.raises(
        NotFound, match=r"no image for linux/s390x in the index \(available: linux/amd64, linux/arm64\)"
    ):
        one_platform(shelf.index(), Platform.parse("linux/s390x"), shelf.read)


def test_the_platform_of_an_entry_that_names_none_is_that_of_its_config() -> None:
    shelf = Shelf()
    for entry in shelf.rows:
        entry.pop("platform")
    add_index(shelf.store, shelf.rows[:2])
    item = one_platform(shelf.index(), ARM64, shelf.read)
    assert isinstance(item, Image)
    assert item.platform == ARM64


def test_an_image_that_says_nowhere_what_it_runs_on_is_taken_where_none_suits() -> None:
    shelf = Shelf()
    silent = add_image(shelf.store, config={"os": "", "architecture": ""}, name="")
    add_index(shelf.store, [shelf.rows[1], silent.to_json()])
    item = one_platform(shelf.index(), AMD64, shelf.read)
    assert isinstance(item, Image)
    assert item.original is not None
    assert item.original.manifest.descriptor.digest == silent.digest


@pytest.mark.parametrize(
    "wanted, kept",
    [
        pytest.param([AMD64], ["amd64", "unknown"], id="an attestation follows its image"),
        pytest.param([ARM64], ["arm64"], id="and stays behind without it"),
        pytest.param([ARM64, AMD64], ["amd64", "arm64", "unknown"], id="the order is that of the index"),
    ],
)
def test_some_platforms_of_an_index(wanted: Sequence[Platform], kept: list[str]) -> None:
    shelf = Shelf()
    assert architectures(some_platforms(shelf.index(), wanted, shelf.read)) == kept


def test_the_whole_index_is_read_with_what_it_nests() -> None:
    shelf = Shelf()
    outer = shelf.store.named["app:1"]
    add_index(shelf.store, [outer.to_json()])
    item = read_whole_index(shelf.index(), shelf.read)
    assert isinstance(item, Index)
    assert architectures(item.entries[0].item or item) == ["amd64", "arm64", "unknown"]


def test_indexes_nested_too_deep_are_refused() -> None:
    shelf = Shelf()
    for _ in range(9):
        add_index(shelf.store, [shelf.store.named["app:1"].to_json()])
    with pytest.raises(LimitExceeded, match="9 indexes within each other: at most 8"):
        read_whole_index(shelf.index(), shelf.read)
    with pytest.raises(LimitExceeded, match="9 indexes within each other: at most 8"):
        one_platform(shelf.index(), AMD64, shelf.read)


def test_an_index_within_another_is_read_once_however_often_it_is_named() -> None:
    shelf = Shelf()
    for _ in range(2):
        add_index(shelf.store, [shelf.store.named["app:1"].to_json()] * 50)
    item = one_platform(shelf.index(), ARM64, shelf.read)
    assert isinstance(item, Image)
    assert item.platform == ARM64
    assert shelf.read_count == 3


def test_indexes_hold_no_more_rows_together_than_one_document_may() -> None:
    shelf = Shelf()
    listed = []
    for number in range(60):
        add_index(shelf.store, [row(OTHER, f"arch{number}")] * 1_000)
        listed.append(shelf.store.named["app:1"].to_json())
    add_index(shelf.store, listed)
    with pytest.raises(LimitExceeded, match="200004 values in indexes within each other: at most 200000"):
        one_platform(shelf.index(), AMD64, shelf.read)


def plain(store: MemoryStore) -> Image:
    source = MemorySource(store)
    item = formats.decode(source.fetch(source.resolve("")), source.fetch)
    assert isinstance(item, Image)
    return item


def test_squashing_one_layer_changes_nothing() -> None:
    store = MemoryStore()
    add_image(store, OCI, tars=[b""])
    image = plain(store)
    assert squash_layers(image) is image
