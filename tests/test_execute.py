"""Plans run: what arrives, what is refused, and that nothing of it depends on the number of threads."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from converter import formats
from converter.cache import VerifiedCache
from converter.errors import ConverterError, Denied, DigestMismatch, Invalid, StorageFailed, Unreachable
from converter.events import Event, Finished, Moved, Planned
from converter.execute import Threads
from converter.formats import docker, oci
from converter.model.content import GZIP, NONE, ZSTD, Blocks, Compression
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Image
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Made, Node
from converter.ports import Format
from converter.streams.tar.scan import scan_entries
from converter.streams.uncompressed import uncompressed_layer
from converter.streams.workers import Workers
from converter.transform import squash_layers
from tests.builders import LAYERS, OCI, add_image, gzipped, sha256, tar
from tests.builders.memory import MemorySink, MemorySource, MemoryStore


def read(store: MemoryStore) -> Image:
    source = MemorySource(store)
    item = formats.decode(source.fetch(source.resolve("")), source.fetch)
    assert isinstance(item, Image)
    return item


def run(
    node: Node, *, jobs: int = 2, known: VerifiedCache | None = None, report: Callable[[Event], None] = lambda _: None
) -> tuple[MemoryStore, Made]:
    """Execute into an empty store."""
    target = MemoryStore()
    with MemorySink(target) as sink, Workers(jobs) as workers:
        made = Threads(sink, workers, known or VerifiedCache(), report, jobs=jobs).run([node])[0].done
        sink.name("app:1", made.descriptor)
    return target, made


@pytest.mark.parametrize(
    "target", [pytest.param(oci, id="into its own format"), pytest.param(docker, id="into docker")]
)
def test_a_copy_has_every_blob_and_opens_each_once(target: Format) -> None:
    store = MemoryStore()
    add_image(store)
    source = MemorySource(store)
    item = formats.decode(source.fetch(source.resolve("")), source.fetch)
    copied, made = run(target.encode(item, frozenset(), DEFAULTS))
    layers = {digest for digest, data in store.blobs.items() if data[:2] == b"\x1f\x8b"}
    assert layers <= set(copied.blobs)
    assert all(source.opened[digest] == 1 for digest in layers)
    assert read(copied).config == read(store).config
    assert (made.descriptor.digest == store.named["app:1"].digest) == (target is oci)


@pytest.mark.parametrize("compression", [GZIP, NONE, ZSTD, Compression("gzip", 6)], ids=str)
def test_recompression_gives_the_same_bytes_for_any_number_of_threads(compression: Compression) -> None:
    store = MemoryStore()
    add_image(store)
    plan = oci.encode(read(store), frozenset(), Settings(compress=compression))
    results = [run(plan, jobs=jobs)[0].blobs for jobs in (1, 2, 4)]
    assert results[0] == results[1] == results[2]


def test_recompression_keeps_the_config_byte_for_byte() -> None:
    store = MemoryStore()
    add_image(store)
    copied, _ = run(oci.encode(read(store), frozenset(), Settings(compress=ZSTD)))
    before, after = read(store).original, read(copied).original
    assert before is not None
    assert after is not None
    assert before.config is not None
    assert after.config is not None
    assert after.config.read() == before.config.read()


def test_a_squashed_image_has_one_layer_and_a_config_that_says_so() -> None:
    store = MemoryStore()
    add_image(store)
    copied, _ = run(oci.encode(squash_layers(read(store)), frozenset()))
    image = read(copied)
    assert len(image.layers) == 1
    assert [step.empty_layer for step in image.history] == [False, True]


def test_a_layer_that_names_a_file_twice_is_squashed_to_the_last_one() -> None:
    store = MemoryStore()
    twice = LAYERS[0][: LAYERS[0].rindex(b"one") + 512] + tar({"etc/hosts": b"last"})
    add_image(store, tars=[twice, tar({"name": b"two"})])
    copied, _ = run(oci.encode(squash_layers(read(store)), frozenset()))
    (layer,) = read(copied).layers
    files = [(entry.name, b"".join(entry.payload)) for entry in scan_entries(uncompressed_layer(layer))]
    assert files == [(b"name", b"two"), (b"etc", b""), (b"etc/hosts", b"last")]


def broken_gzip(store: MemoryStore) -> None:
    digest = Digest.parse(sha256(gzipped(LAYERS[0])))
    store.blobs[digest] = store.blobs[digest][:4] + b"\1" + store.blobs[digest][5:]


def wrong_diff_id(store: MemoryStore) -> None:
    root = json.loads(store.blobs[store.named["app:1"].digest])
    config = json.loads(store.blobs[Digest.parse(root["config"]["digest"])])
    config["rootfs"]["diff_ids"][0] = sha256(b"other")
    root["config"] = store.add(json.dumps(config).encode(), OCI.config).to_json()
    store.named["app:1"] = store.add(json.dumps(root).encode(), OCI.manifest)


def not_a_tar(store: MemoryStore) -> None:
    root = json.loads(store.blobs[store.named["app:1"].digest])
    root["layers"][0] = store.add(b"\x1f\x8bgarbage", OCI.layer).to_json()
    store.named["app:1"] = store.add(json.dumps(root).encode(), OCI.manifest)


DAMAGE: list[Any] = [
    pytest.param(broken_gzip, DigestMismatch, r"layer\[0\]: digest mismatch", id="a flipped byte"),
    pytest.param(wrong_diff_id, DigestMismatch, r"layer\[0\]: diff_id mismatch", id="a wrong diff_id"),
    pytest.param(not_a_tar, Invalid, r"layer\[0\]: unexpected end of the gzip stream", id="a layer that is no tar"),
]


@pytest.mark.parametrize("damage, kind, message", DAMAGE)
@pytest.mark.parametrize("jobs", [1, 4])
def test_damage_is_refused_and_nothing_is_visible(
    damage: Callable[[MemoryStore], None], kind: type[Exception], message: str, jobs: int
) -> None:
    store = MemoryStore()
    add_image(store)
    damage(store)
    plan = oci.encode(read(store), frozenset())
    target = MemoryStore()
    with (
        pytest.raises(kind, match=message),
        MemorySink(target) as sink,
        Workers(jobs) as workers,
    ):
        Threads(sink, workers, VerifiedCache(), jobs=jobs).run([plan])
    assert target == MemoryStore()


@pytest.mark.parametrize(
    "error, shown",
    [
        pytest.param(Invalid("broken"), "layer[0]: broken", id="what is in a layer"),
        pytest.param(Denied("r.example requires a login"), "r.example requires a login", id="a host that refuses"),
        pytest.param(Unreachable("r.example is down"), "r.example is down", id="a host that does not answer"),
        pytest.param(StorageFailed("cannot write x"), "cannot write x", id="a disk that is full"),
    ],
)
def test_a_layer_is_named_where_it_is_to_blame(error: ConverterError, shown: str) -> None:
    store = MemoryStore()
    add_image(store, tars=LAYERS[:1])

    def fail(event: Event) -> None:
        if isinstance(event, Moved):
            raise error

    with pytest.raises(type(error)) as caught:
        run(oci.encode(read(store), frozenset()), report=fail)
    assert str(caught.value) == shown


def test_a_diff_id_that_was_verified_once_is_not_computed_again() -> None:
    store = MemoryStore()
    add_image(store)
    known = VerifiedCache()
    run(oci.encode(read(store), frozenset()), known=known)
    assert known.get(Digest.parse(sha256(gzipped(LAYERS[0])))) == Digest.parse(sha256(LAYERS[0]))
    wrong_diff_id(store)
    with pytest.raises(DigestMismatch, match="diff_id mismatch"):
        run(oci.encode(read(store), frozenset()), known=known)


def test_diff_ids_that_nobody_told_are_found() -> None:
    store = MemoryStore()
    add_image(store)
    image = read(store)
    untold = replace(image, layers=tuple(replace(layer, diff_id=None) for layer in image.layers), original=None)
    copied, _ = run(oci.encode(untold, frozenset()))
    assert [layer.diff_id for layer in read(copied).layers] == [layer.diff_id for layer in image.layers]


def test_whoever_watches_hears_of_every_byte() -> None:
    store = MemoryStore()
    add_image(store)
    heard: list[Event] = []
    run(oci.encode(read(store), frozenset()), report=heard.append)
    total = sum(len(gzipped(data)) for data in LAYERS)
    assert heard[0] == Planned(total, len(LAYERS))
    assert sum(event.size for event in heard if isinstance(event, Moved)) == total
    assert sum(isinstance(event, Finished) for event in heard) == len(LAYERS)
    assert gzip.decompress(gzipped(LAYERS[0])) == LAYERS[0]


def test_more_blobs_are_on_their_way_than_layers_are_made() -> None:
    store = MemoryStore()
    add_image(store, tars=[tar({"name": bytes([number]) * 9}) for number in range(6)])
    image = read(store)
    for compression, most in ((None, 4), (ZSTD, 2)):
        there = Crowd(MemoryStore(), most)
        plan = oci.encode(image, frozenset(), Settings(compress=compression))
        with there as sink, Workers(2) as workers:
            Threads(sink, workers, VerifiedCache(), jobs=2, copies=4).run([plan])
        assert there.most == most


class Crowd(MemorySink):
    """Counts who puts layers at the same time: nobody is done before so many have come, and more have had time to."""

    def __init__(self, store: MemoryStore, wanted: int) -> None:
        super().__init__(store)
        self._wanted = wanted
        self._changed = threading.Condition()
        self._now = self.most = 0

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self._wanted, timeout=60)
        time.sleep(0.05)
        try:
            return super().put(blocks, media_type, expected)
        finally:
            with self._changed:
                self._now -= 1
