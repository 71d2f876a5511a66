from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from converter.cache import VerifiedCache
from converter.errors import DigestMismatch, StorageFailed
from converter.model.content import Blocks, Known
from converter.model.descriptor import Descriptor, Digest
from converter.stores.blob_spool import BlobSpool, SharedSource
from converter.stores.media.file_target import OutFile
from converter.streams import spool as disk
from converter.streams.blocks import Block
from converter.streams.spool import Spool
from tests.builders.memory import MemorySource, MemoryStore
from tests.failing_disk import failing


def counted(data: bytes, asked: list[bytes], claimed: bytes | None = None) -> Known:
    def raw() -> Blocks:
        asked.append(data)
        return (data,)

    return Known(Descriptor.of(data if claimed is None else claimed, "x/y"), raw)


def test_a_blob_is_fetched_once_however_many_want_it() -> None:
    asked: list[bytes] = []
    blob = counted(b"data" * 1000, asked)

    with BlobSpool() as spool, ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: b"".join(spool.blocks(blob)), range(20)))

        assert got == [b"data" * 1000] * 20
        assert len(asked) == 1
        assert spool.fetched == 4000


def test_what_is_wrong_is_fetched_again() -> None:
    asked: list[bytes] = []
    bad, good = counted(b"evil", asked, claimed=b"good"), counted(b"good", asked)

    with BlobSpool() as spool:
        with pytest.raises(DigestMismatch):
            list(spool.blocks(bad))
        assert b"".join(spool.blocks(good)) == b"good"


def put_aside(spooled: Spool) -> Iterator[Block]:
    spooled.append(b"data")
    return spooled.blocks(0, 4)


def piped() -> OutFile:
    file = OutFile(Path("-"))
    file.begin()
    return file


@pytest.mark.parametrize(
    "begun, then",
    [
        pytest.param(list, lambda _: disk.unnamed_file(), id="a file is made"),
        pytest.param(lambda: Spool(0), lambda spooled: spooled.append(b"data"), id="bytes are put aside"),
        pytest.param(lambda: put_aside(Spool(0)), list, id="they are read"),
        pytest.param(BlobSpool, lambda spool: list(spool.blocks(counted(b"data", []))), id="a blob is fetched"),
        pytest.param(piped, lambda file: file.write(b"data"), id="an archive is made for standard output"),
    ],
)
def test_a_disk_that_fails_temporary_files_is_told_with_what_chooses_another(
    begun: Callable[[], Any], then: Callable[[Any], object]
) -> None:
    found = begun()
    with failing(ENOSPC, 0, lasting=True), pytest.raises(StorageFailed) as error:
        then(found)
    assert "a temporary file (TMPDIR sets where they are)" in str(error.value)


def test_a_source_for_several_targets_is_read_once_from_when_it_is_held() -> None:
    store = MemoryStore()
    root = store.add(b"data", "x/y")
    source = MemorySource(store)
    with BlobSpool() as spool, SharedSource(source, spool) as once:
        blob = once.fetch(root)
        for read in (1, 2):
            assert b"".join(blob.blocks()) == b"data"
            assert source.opened[root.digest] == read
        once.hold()
        for _ in range(3):
            assert b"".join(blob.blocks()) == b"data"
            assert source.opened[root.digest] == 3


def test_what_was_used_longest_ago_is_dropped_for_room() -> None:
    asked: list[bytes] = []
    blobs = [counted(bytes([number]) * 100, asked) for number in range(3)]

    with BlobSpool(most=250) as spool:
        for blob in (*blobs, blobs[2], blobs[1], blobs[0]):
            list(spool.blocks(blob))

    assert [data[0] for data in asked] == [0, 1, 2, 0]


def test_one_moves_a_blob_at_a_time() -> None:
    memory = VerifiedCache()
    digest = Digest.of(b"x")
    inside, most = [0], [0]
    lock = threading.Lock()

    def move(_: int) -> None:
        with memory.turn(digest):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, range(100)))
    assert most == [1]
