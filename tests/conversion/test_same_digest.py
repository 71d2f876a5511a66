"""A copy keeps the digest in every store that can hold the image, also of images that no specification describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import converter
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.platform import ALL_PLATFORMS
from tests.builders import LAYERS, Dialect, add_image, add_index
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore


def with_docker_layers(store: MemoryStore) -> Descriptor:
    """What some builders write: an OCI manifest whose layers have Docker's media type."""
    return add_image(store, Dialect(types.OCI_MANIFEST, types.OCI_CONFIG, types.DOCKER_LAYER_GZIP, types.OCI_INDEX))


def of_zstd(store: MemoryStore) -> Descriptor:
    row = store.add(zstandard.compress(LAYERS[0]), types.OCI_LAYER_ZSTD)
    return add_image(store, tars=LAYERS[:1], manifest={"layers": [row.to_json()]})


def from_scratch(store: MemoryStore) -> Descriptor:
    """Go's encoder writes null for an empty list."""
    return add_image(store, tars=(), manifest={"layers": None})


def cache(store: MemoryStore) -> Descriptor:
    """BuildKit's cache: an index of layers, without an image."""
    rows = [store.add(b"layer", types.OCI_LAYER_GZIP), store.add(b"{}", "application/vnd.buildkit.cacheconfig.v0")]
    return add_index(store, [row.to_json() for row in rows])


@pytest.mark.parametrize("place", ["oci:{}/out:app:1", "docker-archive:{}/out.tar:app:1", "dir:{}/out"])
@pytest.mark.parametrize(
    "add",
    [
        pytest.param(with_docker_layers, id="Docker's layers in an OCI manifest"),
        pytest.param(of_zstd, id="zstd layers"),
        pytest.param(from_scratch, id="null for no layers"),
        pytest.param(cache, id="BuildKit's cache"),
    ],
)
def test_there_and_back(add: Callable[[MemoryStore], Descriptor], place: str, tmp_path: Path) -> None:
    store = MemoryStore()
    root = add(store)
    source, there, back = stored(store, root, tmp_path / "in"), place.format(tmp_path), f"oci:{tmp_path / 'back'}:b"
    assert converter.convert(source, there, platforms=ALL_PLATFORMS).digest == root.digest
    assert converter.convert(there, back, platforms=ALL_PLATFORMS).digest == root.digest
