"""The image that was resolved is verified, even if the file changes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.errors import DigestMismatch
from converter.model.reference import Location
from converter.stores import StoreOptions, open_source
from converter.verification.unverified import StoredImage, open_unverified
from converter.verification.wanted import Wanted
from tests.trust import origins


def test_a_file_that_has_become_another_is_not_taken_at_the_second_signature_either(tmp_path: Path) -> None:
    path = tmp_path / "app.aci"
    origins.aci(path)
    location = Location.parse(f"aci:{path}")
    with (
        open_source(location, StoreOptions()) as source,
        open_unverified(StoredImage(source, location, source.resolve("")), Wanted()) as image,
        path.open("r+b") as file,
    ):
        file.seek(4)
        file.write(b"race")  # the time in the header of gzip: the archive stays whole
        file.flush()
        assert image.subject.file is not None
        for _ in range(2):
            with pytest.raises(DigestMismatch):
                image.subject.file()
