"""Nothing is done twice: blobs at the target, cached blobs, shared files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.cache import FOLDER
from converter.cache.blob_folder import BlobFolder
from converter.conversion import convert
from converter.conversion.job import Options
from converter.errors import DigestMismatch
from converter.model.descriptor import Digest
from converter.stores.base_source import WrappedSource
from tests.builders import LAYERS, add_image, gzipped
from tests.builders.memory import MemorySource, MemoryStore
from tests.builders.saved import classic, write_tar
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import PLAIN


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in layout.glob("blobs/sha256/*")}


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """An archive of plain layers."""
    write_tar(tmp_path / "in.tar", classic())
    return f"docker-archive:{tmp_path}/in.tar"


@pytest.fixture
def layout(tmp_path: Path, archive: str) -> Path:
    converter.convert(archive, f"oci:{tmp_path}/layout:x")
    return tmp_path / "layout"


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a layer was packed again")

    monkeypatch.setattr("converter.execute.making.make_layer", fail)


def test_a_layer_that_the_target_has_is_not_packed_again(
    tmp_path: Path, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(cache=tmp_path / "cache")
    first = convert(archive, [f"oci:{tmp_path}/out:x"], options)
    forbid(monkeypatch)
    assert convert(archive, [f"oci:{tmp_path}/out:y"], options).digest == first.digest


def test_a_layer_that_was_kept_is_not_packed_again(
    tmp_path: Path, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(cache=tmp_path / "cache", cache_blobs=1_000_000)
    first = convert(archive, [f"oci:{tmp_path}/one:x"], options)
    forbid(monkeypatch)
    assert convert(archive, [f"oci:{tmp_path}/two:x"], options).digest == first.digest
    assert blobs(tmp_path / "one") == blobs(tmp_path / "two")


def test_damage_to_what_was_kept_costs_time_alone(tmp_path: Path, archive: str) -> None:
    options = Options(cache=tmp_path / "cache", cache_blobs=1_000_000)
    first = convert(archive, [f"oci:{tmp_path}/one:x"], options)
    for kept in BlobFolder(tmp_path / "cache" / FOLDER).kept():
        kept.path.write_bytes(b"damaged".ljust(kept.size))
    assert convert(archive, [f"oci:{tmp_path}/two:x"], options).digest == first.digest
    assert blobs(tmp_path / "one") == blobs(tmp_path / "two")


def test_what_was_fetched_is_fetched_once(tmp_path: Path) -> None:
    store = MemoryStore()
    add_image(store)
    source = MemorySource(store)
    cached = WrappedSource(source, BlobFolder(tmp_path).blocks)
    for digest, data in store.blobs.items():
        root = store.named["app:1"]
        for _ in range(3):
            assert cached.fetch(root.sized(-1) if digest == root.digest else of(store, digest)).read() == data
    assert set(source.opened.values()) == {1}


def of(store: MemoryStore, digest: object) -> converter.Descriptor:
    return next(
        converter.Descriptor(media_type="application/octet-stream", digest=one, size=len(data))
        for one, data in store.blobs.items()
        if one == digest
    )


class Remote(MemorySource):
    """A source that is costly to read."""

    local = False


@pytest.mark.parametrize(
    "destinations, origin",
    [
        pytest.param(["aci:{}/out.aci"], "signed", id="an ACI in one pass"),
        pytest.param(["aci:{}/out.aci"], "always", id="an ACI with a record, which needs the layers again"),
        pytest.param(["oci:{}/one:x", "oci:{}/two:x"], "signed", id="two destinations"),
    ],
)
def test_each_layer_is_fetched_once(
    destinations: list[str], origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    add_image(store)
    source = Remote(store)
    monkeypatch.setattr("converter.conversion.job.open_source", lambda *_: source)
    convert("docker://x/app:1", [one.format(tmp_path) for one in destinations], Options(origin=origin))
    assert [source.opened[Digest.of(gzipped(layer))] for layer in LAYERS] == [1, 1]


@pytest.mark.parametrize("target", ["oci:{}/out:x", "dir:{}/out"])
@pytest.mark.parametrize("cached", [False, True], ids=["diff_ids to be found", "diff_ids known"])
def test_layers_share_their_files_where_that_is_allowed(
    tmp_path: Path, layout: Path, target: str, cached: bool
) -> None:
    options = Options(link=True, cache=tmp_path / "cache")
    if cached:
        convert(f"oci:{layout}:x", [f"oci:{tmp_path}/other:x"], options)
    convert(f"oci:{layout}:x", [target.format(tmp_path)], options)
    shared = {path.stat().st_ino for path in layout.glob("blobs/sha256/*")}
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_ino in shared]
    assert len(files) >= len(LAYERS)


def test_files_are_their_own_where_nobody_allows_that(tmp_path: Path, layout: Path) -> None:
    converter.convert(f"oci:{layout}:x", f"oci:{tmp_path}/out:x")
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_shared_file_is_checked_like_any_other(tmp_path: Path, layout: Path) -> None:
    largest = max(layout.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")
    with pytest.raises(DigestMismatch):
        convert(f"oci:{layout}:x", [f"oci:{tmp_path}/out:x"], Options(link=True))
    assert not (tmp_path / "out").exists()


def test_what_another_repository_of_a_registry_got_earlier_is_not_sent_again(tmp_path: Path, layout: Path) -> None:
    options = Options(cache=tmp_path / "cache", store=PLAIN)
    with FakeRegistry() as registry:

        def sent(name: str, told: Options = options) -> int:
            before = len(registry.seen("PUT", "/uploads/"))
            convert(f"oci:{layout}:x", [f"docker://{registry.host}/{name}:1"], told)
            return len(registry.seen("PUT", "/uploads/")) - before

        everything = sent("one")
        assert everything == len(LAYERS) + 1
        assert sent("two") == 0
        assert registry["two"].blobs == registry["one"].blobs
        assert sent("three", replace(options, cache=None)) == everything, "--no-cache remembers nothing"
        registry["one"].blobs.clear()
        assert sent("four") == everything, "what is gone is sent"
        assert sent("five") == 0, "and had from where it went"
        assert not registry.uploads


def test_two_repositories_of_a_registry_get_a_layer_once(layout: Path) -> None:
    with FakeRegistry() as registry:
        there = [f"docker://{registry.host}/{name}:1" for name in ("one", "two")]
        convert(f"oci:{layout}:x", there, Options(store=PLAIN))
        assert len(registry.seen("PUT", "/uploads/")) == len(LAYERS) + 1
