"""Attestations that are lost if one image of an index is taken alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.model import media_types as types
from converter.model.image import REFERENCE
from tests.builders import add_image, add_index
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore


def layout(path: Path) -> None:
    """An index of one image and the attestation of it."""
    store = MemoryStore()
    image = add_image(store, name="")
    blob, config = store.add(b"{}", "application/vnd.in-toto+json"), store.add(b"{}", types.OCI_EMPTY)
    body = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [blob.to_json()],
    }
    said = store.add(json.dumps(body).encode(), types.OCI_MANIFEST)
    unknown = {"os": "unknown", "architecture": "unknown"}
    rows = [
        image.to_json() | {"platform": {"os": "linux", "architecture": "amd64"}},
        said.to_json() | {"platform": unknown, "annotations": {REFERENCE: str(image.digest)}},
    ]
    stored(store, add_index(store, rows), path, "")


@pytest.mark.parametrize(
    "platform, lost",
    [
        pytest.param("linux/amd64", ["attestations"], id="an image alone has no attestation, and that is told"),
        pytest.param("all", [], id="a whole index keeps it"),
    ],
)
def test_an_attestation_in_an_index(platform: str, lost: list[str], tmp_path: Path) -> None:
    layout(tmp_path / "in")
    result = converter.convert(f"oci:{tmp_path / 'in'}", f"oci:{tmp_path / 'out'}:x", platforms=[platform])
    assert [loss.field for loss in result.losses] == lost
