from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, strategies as st

from converter.errors import StorageFailed
from converter.streams import spool
from converter.streams.tar.listing import Records


@given(st.lists(st.binary(max_size=50) | st.integers(4000, 9000).map(bytes)), st.randoms(use_true_random=False))
def test_what_was_added_is_there_in_order_and_by_place(added: list[bytes], chance: random.Random) -> None:
    with Records() as made:
        places = [made.add(record) for record in added]
        assert list(made) == added
        wanted = list(zip(places, added, strict=True))
        chance.shuffle(wanted)
        assert [made[place] for place, _ in wanted] == [record for _, record in wanted]
        more = made.add(b"more")
        assert (made[more], list(made)) == (b"more", [*added, b"more"])


def test_what_is_too_much_for_the_memory_lies_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 1000)
    added = [b"%d" % number * 7 for number in range(5000)]
    with Records() as made:
        places = [made.add(record) for record in added]
        assert [made[place] for place in reversed(places)] == added[::-1]


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 0)
    monkeypatch.setattr(spool, "unnamed_file", lambda: os.open("/dev/full", os.O_RDWR))
    with Records() as made:
        made.add(b"record")
        with pytest.raises(StorageFailed, match=r"cannot write a temporary file .*: no space left on device"):
            made[0]
