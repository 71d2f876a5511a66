from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.cache import FOLDER, Cache
from converter.cache.blob_folder import BlobFolder
from converter.cli.main import main
from converter.model.descriptor import Digest

DATA = b"a layer" * 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one diff_id and one blob."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "transship"
    with Cache(folder) as cache:
        cache.learn(Digest.of(b"blob"), Digest.of(b"diff_id"))
    with BlobFolder(folder / FOLDER).keeping([DATA]) as (passing, keep):
        list(passing)
        keep(Digest.of(DATA))
    return folder


def test_ls_says_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "ls"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{folder}: 1 diff_id, 0 converted layers, 0 registry blobs, 0 sound documents, 1 blob"
    assert second.startswith(f"{Digest.of(DATA)}     6.8 KiB  ")


def test_ls_says_it_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "ls", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["folder"], told["diff_ids"], told["made"]) == (str(folder), 1, 0)
    assert [(blob["digest"], blob["size"]) for blob in told["blobs"]] == [(str(Digest.of(DATA)), len(DATA))]


@pytest.mark.parametrize(
    "options, left",
    [
        pytest.param([], (0, 0), id="all of it"),
        pytest.param(["--keep", "1K"], (1, 0), id="the blobs that do not fit"),
        pytest.param(["--keep", "1G"], (1, 1), id="none that fit"),
    ],
)
def test_prune_removes(folder: Path, options: list[str], left: tuple[int, int]) -> None:
    assert main(["cache", "prune", *options]) == 0
    with Cache(folder) as cache:
        assert (cache.counts()["diff_ids"], len(BlobFolder(folder / FOLDER).kept())) == left


def test_prune_says_what_it_removed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "prune"]) == 0
    assert capsys.readouterr().out == "removed all digests and 1 blob, 6.8 KiB\n"


def test_a_size_that_is_none_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "prune", "--keep", "much"]) == 2
    assert 'invalid size "much": expected a number' in capsys.readouterr().err
