"""The tables of formats agree with the formats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converter import formats
from converter.errors import NotFound
from converter.model.image import Image, Loss, Notes
from converter.model.platform import Platform
from converter.model.settings import DEFAULTS


@pytest.mark.parametrize("name", sorted({*formats.WRITERS} - {"aci"}))
def test_a_writer_reports_what_is_lost_outside_the_format_that_was_read(name: str) -> None:
    loss = Loss(field="members", reason="only an ACI has them")
    image = Image(platform=Platform(os="linux", architecture="amd64"), notes=Notes(losses=(loss,)))
    assert loss in formats.writer(name).losses(image, frozenset(), DEFAULTS)
    waiting = replace(image, notes=Notes(depends_on=("base",)))
    with pytest.raises(NotFound, match="base"):
        list(formats.writer(name).losses(waiting, frozenset(), DEFAULTS))


@pytest.mark.parametrize("name", formats.WRITERS)
def test_a_writer_goes_by_its_name(name: str) -> None:
    assert formats.writer(name).name == name
