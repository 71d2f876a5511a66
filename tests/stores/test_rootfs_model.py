"""An unpacked tree agrees with a model that uses no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given

from converter.errors import ConverterError
from converter.model import media_types as types
from converter.streams.squash import find_superseded, squash
from converter.streams.tar.fields import CHAR, DIR, FILE, SYMLINK
from tests.stores.unpacking import Seen, left, listed, sink_at
from tests.strategies.tar import File, archive, dialects, files
from tests.trees import Named, tree


@given(files, dialects)
def test_what_lies_on_the_disk_agrees_with_the_model(
    tmp_path_factory: pytest.TempPathFactory, entries: Sequence[File], dialect: str
) -> None:
    folder = tmp_path_factory.mktemp("model")
    data = _archive(entries, dialect)
    opened = [lambda: (data,)]
    try:
        wanted = tree(opened)
        replaced = find_superseded(opened)
    except ConverterError:
        return
    with sink_at(folder / "target") as sink:
        sink.put(squash(opened, replaced=replaced), types.ROOTFS)
    found = listed(folder / "target")
    assert {path: found[path] for path in wanted} == {path: _seen(file) for path, file in wanted.items()}
    undescribed = set(found) - set(wanted)
    assert all(found[path][0] == DIR for path in undescribed)
    assert left(folder) == ["target"]


def _archive(entries: Sequence[File], dialect: str) -> bytes:
    """Names that do not fit the dialect are left out."""
    with suppress(ValueError):
        return archive(entries, dialect)
    return archive(entries, "pax")


def _seen(file: Named) -> Seen:
    """What the model's file looks like on a disk."""
    node, names = file
    kind = FILE if node.type == CHAR else node.type
    mode = 0o777 if kind == SYMLINK else node.mode
    digest = hashlib.sha256().digest() if node.type == CHAR else node.sha256
    return kind, mode, node.size, digest or node.linkname, max(1, len(names))
