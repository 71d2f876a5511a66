from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.stores.registry import upload
from converter.stores.registry.upload import Replay
from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Request
from tests.stores.registry.pushing import PLAIN, data, in_pieces, pull, seed, sink_of

SIZE = 300_000
LAYER = data(SIZE)
CUTS = st.lists(st.none() | st.integers(min_value=-1, max_value=SIZE), max_size=5)

# One registry for all examples of a test: each begins with a clean one.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


class Again:
    """Blocks that can be iterated over again."""

    def __init__(self, blob: bytes, size: int) -> None:
        self._blob = blob
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        return in_pieces(self._blob, self._size)


def breaks(cuts: list[int | None], methods: tuple[str, ...], path: str) -> Callable[[Request], Fault]:
    left = list(cuts)

    def rule(request: Request) -> Fault:
        if left and request.method in methods and path in request.path:
            after = left.pop()
            return None if after is None else Cut(after=after)
        return None

    return rule


@shared
@given(cuts=CUTS, ranges=st.booleans())
def test_wherever_it_breaks_a_blob_arrives_whole(registry: FakeRegistry, cuts: list[int | None], ranges: bool) -> None:
    seed(registry, [LAYER])
    registry.ranges = ranges
    registry.fault = breaks(cuts, ("GET",), "/blobs/")
    assert pull(registry) == [LAYER]


@shared
@given(
    cuts=CUTS,
    piece=st.integers(min_value=1000, max_value=SIZE),
    chunk=st.none() | st.integers(min_value=70_000, max_value=SIZE + 1),
    known=st.booleans(),
    again=st.booleans(),
    forgets=st.booleans(),
)
def test_wherever_it_breaks_a_blob_is_put_whole(
    registry: FakeRegistry,
    cuts: list[int | None],
    piece: int,
    chunk: int | None,
    known: bool,
    again: bool,
    forgets: bool,
) -> None:
    registry.repositories.clear()
    registry.forgets_uploads = forgets
    registry.fault = breaks(cuts, ("POST", "PUT", "PATCH", "GET"), "/uploads/")
    want = Descriptor.of(LAYER, types.OCI_LAYER)
    blocks = Again(LAYER, piece) if again else in_pieces(LAYER, piece)
    with sink_of(registry, options=replace(PLAIN, chunk=chunk)) as sink:
        assert sink.put(blocks, types.OCI_LAYER, want if known else None) == want
    assert registry["app"].blobs == {str(want.digest): LAYER}


@given(
    blob=st.binary(max_size=300),
    piece=st.integers(min_value=1, max_value=50),
    reads=st.lists(st.tuples(st.floats(0, 1), st.none() | st.integers(1, 100), st.booleans()), max_size=6),
    keep=st.booleans(),
    again=st.booleans(),
    memory=st.sampled_from((0, 60, 1000)),
)
def test_what_has_passed_can_be_read_again(
    blob: bytes, piece: int, reads: list[tuple[float, int | None, bool]], keep: bool, again: bool, memory: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload, "IN_MEMORY", memory)
        read_again(Again(blob, piece) if again else in_pieces(blob, piece), blob, reads, keep=keep, again=again)


def read_again(
    blocks: Blocks, blob: bytes, reads: list[tuple[float, int | None, bool]], *, keep: bool, again: bool
) -> None:
    replay = Replay(blocks, keep=keep)
    partial = keep or not again
    for where, most, stop_early in reads:
        offset = int(where * replay.size)
        blocks = replay.blocks(offset, most if partial else None)
        if stop_early:
            next(blocks, None)
            continue
        end = offset + most if partial and most is not None else len(blob)
        assert b"".join(blocks) == blob[offset:end]
    assert b"".join(replay.blocks()) == blob
    assert replay.at_end(len(blob))
    replay.close()


@pytest.mark.parametrize("keep", [True, False])
def test_a_stream_without_a_byte_is_at_its_end(keep: bool) -> None:
    replay = Replay((), keep=keep)
    assert replay.at_end(0)
    replay.close()
