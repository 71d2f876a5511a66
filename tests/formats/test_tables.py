"""The tables of formats say what the formats say of themselves."""

from __future__ import annotations

from importlib import import_module

import pytest

from converter import formats


@pytest.mark.parametrize("name", sorted({*formats.READERS.values()}))
def test_a_format_reads_the_media_types_that_it_is_listed_with(name: str) -> None:
    listed = {media_type for media_type, reader in formats.READERS.items() if reader == name}
    assert import_module(f"converter.formats.{name}").media_types == listed


@pytest.mark.parametrize("name", formats.WRITERS)
def test_a_writer_goes_by_its_name(name: str) -> None:
    assert formats.writer(name).name == name
