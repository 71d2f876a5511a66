"""The contract of every store: all or nothing, the same bytes each time, everything verified."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from converter.errors import ConverterError, DigestMismatch, Invalid, NotFound, Unsupported
from converter.model.content import Blocks
from converter.model.descriptor import Digest
from converter.ports import Sink
from tests.builders.memory import MemorySource, MemoryStore
from tests.stores.copying import contents, copy, files, put_tree, tree
from tests.stores.kinds import ALL, ON_DISK, Kind

every = pytest.mark.parametrize("kind", ALL, ids=str)
on_disk = pytest.mark.parametrize("kind", ON_DISK, ids=str)

NAME = "app:1"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def wanted(kind: Kind, number: int = 0) -> dict[str, bytes]:
    store = MemoryStore()
    root = kind.add(store, number)
    return {str(one.digest): store.blobs[one.digest] for one in tree(MemorySource(store), root)}


def write(kind: Kind, target: Path, number: int = 0, name: str = NAME) -> None:
    store = MemoryStore()
    copy(store, kind.add(store, number), kind.sink(target), name if kind.named else "")


def read(kind: Kind, target: Path, name: str = "") -> dict[str, bytes]:
    with kind.source(target) as source:
        return contents(source, name if kind.named else "")


@every
def test_what_is_put_is_what_is_got(kind: Kind, target: Path) -> None:
    write(kind, target)
    assert read(kind, target) == wanted(kind)
    with kind.source(target) as source:
        store = MemoryStore()
        root = source.resolve("")
        assert root.bare() == kind.add(store, 0)
        assert source.fetch(replace(root, size=-1)).descriptor.size == root.size
        with pytest.raises(NotFound):
            source.fetch(replace(root, digest=Digest.of(b"something else")))


@every
def test_names_are_listed_and_resolve(kind: Kind, target: Path) -> None:
    write(kind, target)
    with kind.source(target) as source:
        assert source.names() == ((NAME,) if kind.named else ("@0",))
        assert {source.resolve(name).digest for name in (*source.names(), "@0")} == {source.resolve("").digest}
        with pytest.raises(NotFound):
            source.resolve("another:2")


@every
def test_several_images_need_a_name(kind: Kind, target: Path) -> None:
    if not kind.several:
        with pytest.raises(Unsupported):
            write_both(kind, target)
        assert not target.exists()
        return
    write_both(kind, target)
    with kind.source(target) as source:
        assert source.names() == ("app:1", "app:2")
        with pytest.raises(NotFound, match="app:1, app:2"):
            source.resolve("")
    assert [read(kind, target, name) for name in ("app:1", "app:2")] == [wanted(kind, 0), wanted(kind, 1)]


def write_both(kind: Kind, target: Path) -> None:
    store = MemoryStore()
    with kind.sink(target) as sink:
        for number, name in enumerate(("app:1", "app:2")):
            root = kind.add(store, number)
            put_tree(store, root, sink)
            sink.name(name, root)


@on_disk
def test_two_runs_give_the_same_bytes(kind: Kind, target: Path, tmp_path: Path) -> None:
    write(kind, target)
    first = files(target)
    write(kind, tmp_path / "other")
    assert files(tmp_path / "other") == first
    write(kind, target)
    assert files(target) == first


@on_disk
def test_blobs_need_no_promise(kind: Kind, target: Path, tmp_path: Path) -> None:
    write(kind, target)
    store = MemoryStore()
    root = kind.add(store, 0)
    with kind.sink(tmp_path / "other") as sink:
        for one in tree(MemorySource(store), root):
            if not sink.has(one):
                assert sink.put(iter([store.blobs[one.digest]]), one.media_type) == one
            assert sink.has(one)
            assert not sink.has(replace(one, digest=Digest.of(b"something else")))
        sink.name(NAME if kind.named else "", root)
    assert files(tmp_path / "other") == files(target)


def torn() -> Iterator[bytes]:
    yield b"the beginning"
    raise DigestMismatch("the end differs")


@every
def test_a_torn_blob_leaves_nothing(kind: Kind, target: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    root = kind.add(store, 0)
    sink = kind.sink(target)
    with pytest.raises(DigestMismatch), sink:
        sink.put(torn(), root.media_type, root)
    assert not list(tmp_path.iterdir())


@every
def test_a_blob_may_be_put_again_after_it_was_torn(kind: Kind, target: Path, tmp_path: Path) -> None:
    write(kind, tmp_path / "smooth")
    store = MemoryStore()
    root = kind.add(store, 0)
    with kind.sink(target) as sink:
        for promise in (root, None):
            with pytest.raises(DigestMismatch):
                sink.put(torn(), root.media_type, promise)
        with pytest.raises(DigestMismatch):
            sink.put((b"short",), root.media_type, root)
        assert not sink.has(root)
        put_tree(store, root, sink)
        sink.name(NAME if kind.named else "", root)
    assert read(kind, target) == wanted(kind)
    if kind in ON_DISK:
        assert files(target) == files(tmp_path / "smooth")


@every
def test_a_blob_put_twice_is_there_once(kind: Kind, target: Path) -> None:
    store = MemoryStore()
    root = kind.add(store, 0)
    with kind.sink(target) as sink:
        put_tree(store, root, sink)
        assert sink.put((store.blobs[root.digest],), root.media_type) == root
        sink.name(NAME if kind.named else "", root)
    assert read(kind, target) == wanted(kind)


@on_disk
@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), DigestMismatch("x")])
def test_an_error_at_the_end_leaves_the_target_as_it_was(
    kind: Kind, target: Path, error: BaseException, tmp_path: Path
) -> None:
    write(kind, target)
    before = files(tmp_path)
    with pytest.raises(type(error)):
        write_and_raise(kind, target, error)
    assert files(tmp_path) == before


def write_and_raise(kind: Kind, target: Path, error: BaseException) -> None:
    store = MemoryStore()
    root = kind.add(store, 1)
    with kind.sink(target) as sink:
        put_tree(store, root, sink)
        sink.name(NAME if kind.named else "", root)
        raise error


@on_disk
def test_a_new_image_takes_the_place_of_an_old_one(kind: Kind, target: Path, tmp_path: Path) -> None:
    write(kind, target)
    write(kind, target, 1)
    assert read(kind, target, NAME) == wanted(kind, 1)
    assert list(tmp_path.iterdir()) == [target]


@on_disk
def test_a_flipped_byte_is_refused(kind: Kind, target: Path) -> None:
    write(kind, target)
    blobs = wanted(kind)
    for data in blobs.values():
        place = target if target.is_file() else next(path for path in target.rglob("*") if _holds(path, data))
        whole = place.read_bytes()
        at = whole.index(data) + len(data) // 2
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if kind.name in ("dir", "aci") and place.name in ("manifest.json", "target"):
            # The root is told by its content: it is another image then, and nobody is deceived.
            changed: dict[str, bytes] | None = None
            with suppress(ConverterError):
                changed = read(kind, target)
            assert changed is None or set(changed) != set(blobs)
        else:
            with pytest.raises(Invalid):
                read(kind, target)
        place.write_bytes(whole)
    assert read(kind, target) == blobs


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and data in path.read_bytes()


@on_disk
def test_what_is_missing_is_not_found(kind: Kind, target: Path) -> None:
    with pytest.raises(NotFound, match="target"):
        kind.source(target)


CHANGING = ("write", "pwrite", "rename", "fsync", "mkdir", "open", "ftruncate")


def is_whole(kind: Kind, target: Path, there: bool) -> bool:
    """Whether the target is as it was, or holds the image that somebody tried to write as ``b:2``."""
    if not target.exists():
        return not there
    old, new = wanted(kind), wanted(kind, 1)
    if kind.name != "oci":
        return read(kind, target) in ((old, new) if there else (new,))
    with kind.source(target) as source:
        names = source.names()
        return all(contents(source, name) == {NAME: old, "b:2": new}[name] for name in names) and (
            set(names) >= {NAME if there else "b:2"}
        )


@pytest.mark.exhaustive
@on_disk
@pytest.mark.parametrize("there", [False, True], ids=["a new target", "a target that is there"])
def test_a_killed_writer_leaves_the_target_as_it_was(kind: Kind, target: Path, there: bool) -> None:
    if there:
        write(kind, target)
    run = subprocess.run(
        [sys.executable, "-m", "tests.stores.crashing", kind.name, target, str(int(there))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) > 5, "there were moments to be killed at"


@pytest.mark.parametrize("there", [False, True], ids=["a new layout", "a layout that is there"])
def test_threads_write_one_layout_at_once(target: Path, there: bool) -> None:
    kind = ON_DISK[0]
    if there:
        write(kind, target, 99, "first:1")
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store = MemoryStore()
            root = kind.add(store, number)
            with kind.sink(target) as sink:
                put_tree(store, root, sink)
                sink.name(f"app:{number}", root)
                barrier.wait()
        except BaseException as error:  # noqa: BLE001 - told to the thread that asserts
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for number in range(8):
        assert read(kind, target, f"app:{number}") == wanted(kind, number)
    assert list(target.parent.iterdir()) == [target]


@on_disk
def test_processes_write_one_target_at_once(kind: Kind, target: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.stores.writing", kind.name, target, "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert list(target.parent.iterdir()) == [target]
    if kind.name == "oci":
        for number in range(3):
            assert read(kind, target, f"app:{number}") == wanted(kind, number)
    else:
        assert read(kind, target) in [wanted(kind, number) for number in range(3)]


@on_disk
def test_many_threads_may_put_where_order_does_not_matter(kind: Kind, target: Path) -> None:
    store = MemoryStore()
    root = kind.add(store, 0)
    sink: Sink = kind.sink(target)
    if sink.ordered:
        return
    with sink:
        todo = list(tree(MemorySource(store), root))
        threads = [
            threading.Thread(target=sink.put, args=(_slowly(store.blobs[one.digest]), one.media_type, one))
            for one in todo
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.name(NAME if kind.named else "", root)
    assert read(kind, target) == wanted(kind)


def _slowly(data: bytes) -> Blocks:
    for start in range(0, len(data), 16):
        yield data[start : start + 16]
