from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.cache import FILE, Cache, VerifiedCache
from converter.conversion import Options, convert
from converter.errors import DigestMismatch
from converter.events import Event, Finished, Moved
from converter.model.content import Compression
from converter.model.descriptor import Descriptor, Digest
from converter.model.reference import Location
from converter.plan import Made
from converter.stores import open_sink
from tests.builders import LAYERS, add_image, tar
from tests.builders.memory import MemoryStore
from tests.stores.copying import copy

BLOB, TAR = Digest.of(b"blob"), Digest.of(b"tar")
MADE = Made(descriptor=Descriptor(media_type="", digest=Digest.of(b"made"), size=4), diff_id=TAR)


def test_what_a_run_learned_the_next_one_knows(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        assert cache.get(BLOB) is None
        assert cache.result(BLOB, "zstd 3") is None
        cache.learn(BLOB, TAR)
        cache.learn_result(BLOB, "zstd 3", MADE)

    with Cache(tmp_path) as again:
        assert again.get(BLOB) == TAR
        assert again.result(BLOB, "zstd 3") == MADE
        assert again.result(BLOB, "zstd 4") is None


def test_it_is_written_down_before_the_end_for_those_who_are_killed(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache, Cache(tmp_path) as other:
        cache.learn_result(BLOB, "zstd 3", MADE)
        cache.save()

        assert other.result(BLOB, "zstd 3") == MADE


@pytest.mark.parametrize("content", [pytest.param(b"no database", id="no database"), pytest.param(b"", id="nothing")])
def test_a_file_that_is_none_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)

    with Cache(tmp_path) as cache:
        cache.learn_result(BLOB, "zstd 3", MADE)

        assert cache.result(BLOB, "zstd 4") is None


def layout(folder: Path) -> str:
    store = MemoryStore()
    copy(store, add_image(store, name=""), open_sink(Location.parse(f"oci:{folder / 'in'}")), "app")
    return f"oci:{folder / 'in'}:app"


def app_container(folder: Path) -> str:
    convert(layout(folder), [f"aci:{folder / 'app.aci'}"])
    return f"aci:{folder / 'app.aci'}"


def layered(folder: Path) -> str:
    convert(layout(folder), [f"aci:{folder / 'parts'}"], Options(layered=True))
    return f"aci:{folder / 'parts'}"


@pytest.mark.parametrize(
    "make, options",
    [
        pytest.param(layout, Options(compress=Compression("zstd")), id="layers of another compression"),
        pytest.param(layout, Options(squash=True), id="layers squashed into one"),
        pytest.param(app_container, Options(), id="the layer of an ACI"),
        pytest.param(app_container, Options(compress=Compression("zstd")), id="the same, compressed with zstd"),
        pytest.param(app_container, Options(squash=True), id="the same, squashed"),
        pytest.param(layered, Options(), id="the layers of several ACIs, of which each leaves files out"),
    ],
)
@pytest.mark.parametrize(
    "cached, read_again",
    [
        pytest.param(True, False, id="is not made again if it was made before, and is there"),
        pytest.param(False, True, id="is made again without a cache"),
    ],
)
def test_making_once(
    tmp_path: Path, make: Callable[[Path], str], options: Options, cached: bool, read_again: bool
) -> None:
    options = replace(options, cache=tmp_path / "cache" if cached else None)
    source, target = make(tmp_path), f"oci:{tmp_path / 'out'}:app"
    first = convert(source, [target], options)
    events: list[Event] = []

    second = convert(source, [target], options, events.append)

    assert second.digest == first.digest
    assert second.layers == first.layers
    read = [one for one in events if isinstance(one, Moved) and "layer" in one.name]
    assert bool(read) is read_again
    skipped = [one for one in events if isinstance(one, Finished) and "layer" in one.name and one.skipped]
    assert bool(skipped) is not read_again


def with_another_layer(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tars": (LAYERS[0], tar({"other": b""})), "manifest": {"layers": layers}}


def with_another_size(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"manifest": {"layers": [layers[0], layers[1] | {"size": layers[1]["size"] + 1}]}}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(squash=True), id="squashed"),
        pytest.param(Options(compress=Compression("zstd")), id="compressed anew"),
    ],
)
@pytest.mark.parametrize(
    "lie, refused",
    [
        pytest.param(with_another_layer, "digest mismatch|diff_id mismatch", id="a diff_id"),
        pytest.param(with_another_size, "size mismatch", id="a size"),
    ],
)
def test_a_wrong_claim_is_refused_although_its_layers_were_made_before(
    tmp_path: Path, options: Options, lie: Callable[[list[dict[str, Any]]], dict[str, Any]], refused: str
) -> None:
    store = MemoryStore()
    honest = add_image(store, name="honest")
    source = Location.parse(f"oci:{tmp_path / 'in'}")
    copy(store, honest, open_sink(source), "honest")
    liar = add_image(store, name="", **lie(json.loads(store.blobs[honest.digest])["layers"]))
    write_untrue(tmp_path / "in", store, liar)
    options = replace(options, cache=tmp_path / "cache")
    convert(f"{source}:honest", [f"oci:{tmp_path / 'out'}:app"], options)

    with pytest.raises(DigestMismatch, match=refused):
        convert(f"{source}:liar", [f"oci:{tmp_path / 'out'}:app"], options)


def write_untrue(layout: Path, store: MemoryStore, root: Descriptor) -> None:
    """Add an image to a layout without any check."""
    for digest, data in store.blobs.items():
        (layout / "blobs" / digest.algorithm / digest.encoded).write_bytes(data)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"].append(root.to_json() | {"annotations": {"org.opencontainers.image.ref.name": "liar"}})
    (layout / "index.json").write_text(json.dumps(index))


def test_nobody_waits_for_something_else_to_be_made_of_the_same_blob() -> None:
    memory = VerifiedCache()

    with memory.turn(BLOB, "squashed with one layer"), memory.turn(BLOB, "squashed with another"), memory.turn(BLOB):
        assert memory.result(BLOB, "squashed with another") is None
