from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.cache import Cache, edition
from converter.model.descriptor import Descriptor, Digest
from converter.plan import Made

BLOB, DIFF_ID, OTHER = (Digest.of(data) for data in (b"blob", b"diff_id", b"other"))
MADE = Made(descriptor=Descriptor(media_type="", digest=OTHER, size=5), diff_id=DIFF_ID)


def test_what_was_learned_is_known_to_the_next_run(tmp_path: Path) -> None:
    with Cache(tmp_path / "new") as cache:
        assert cache.get(BLOB) is None
        cache.learn(BLOB, DIFF_ID)
        cache.learn_result(BLOB, "gzip level 2", MADE)
        cache.holds("host", BLOB, "old", sent=True)
        cache.holds("host", BLOB, "new", sent=True)
        cache.learn_valid(BLOB, "oci-manifest")
        assert (cache.get(BLOB), cache.result(BLOB, "gzip level 2")) == (DIFF_ID, MADE)
    with Cache(tmp_path / "new") as cache:
        assert (cache.get(BLOB), cache.result(BLOB, "gzip level 2")) == (DIFF_ID, MADE)
        assert cache.result(BLOB, "gzip level 1") is None
        assert (cache.holders("host", BLOB), cache.holders("other", BLOB)) == (("new",), ())
        assert (cache.is_valid_document(BLOB, "oci-manifest"), cache.is_valid_document(BLOB, "oci-config")) == (
            True,
            False,
        )
        assert cache.counts() == {"diff_ids": 1, "made": 1, "holders": 1, "sound": 1}


def test_it_can_forget(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.learn(BLOB, DIFF_ID)
    Cache(tmp_path).forget()
    with Cache(tmp_path) as cache:
        assert cache.counts() == {"diff_ids": 0, "made": 0, "holders": 0, "sound": 0}


def test_what_other_rules_found_sound_is_checked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cache(tmp_path) as cache:
        cache.learn_valid(BLOB, "oci-manifest")
    monkeypatch.setattr("converter.cache.edition", lambda _folders: "another")
    with Cache(tmp_path) as cache:
        assert not cache.is_valid_document(BLOB, "oci-manifest")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rule: rule.write_text("other"), id="written anew"),
        pytest.param(lambda rule: os.utime(rule, (1, 1)), id="put back, older than the others"),
        pytest.param(lambda rule: rule.unlink(), id="removed"),
        pytest.param(lambda rule: rule.with_name("more.py").write_text("rule"), id="added"),
    ],
)
def test_rules_are_others_when_any_file_of_theirs_is(change: Callable[[Path], object], tmp_path: Path) -> None:
    folders = (tmp_path, tmp_path / "not there")
    for name in ("rule.py", "newest.py"):
        (tmp_path / name).write_text("rule")
    os.utime(tmp_path / "newest.py", (2**33, 2**33))
    before = edition.__wrapped__(folders)
    assert edition.__wrapped__(folders) == before
    change(tmp_path / "rule.py")
    assert edition.__wrapped__(folders) != before


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100], ids=["empty", "damaged"])
def test_a_file_that_is_no_database_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "blobs.sqlite3").write_bytes(content)
    with Cache(tmp_path) as cache:
        assert cache.get(BLOB) is None
        cache.learn(BLOB, DIFF_ID)
        assert cache.get(BLOB) == DIFF_ID


def test_a_folder_that_cannot_be_written_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with Cache(tmp_path / "file" / "folder") as cache:
        cache.learn(BLOB, DIFF_ID)
        assert cache.get(BLOB) == DIFF_ID


def test_many_threads_may_ask_and_learn(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.learn(BLOB, DIFF_ID)
    digests = [Digest.of(bytes([number])) for number in range(40)]
    with Cache(tmp_path) as cache:

        def work() -> None:
            for digest in digests:
                assert cache.get(BLOB) == DIFF_ID
                cache.learn(digest, DIFF_ID)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Cache(tmp_path) as cache:
        assert cache.counts()["diff_ids"] == 41
