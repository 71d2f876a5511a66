"""What is left behind where one image of an index is taken alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.model import media_types as types
from converter.model.image import REFERENCE
from converter.stores.memory import MemoryStore
from tests.builders import add_image, add_index


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
    root = add_index(store, rows)
    (path / "blobs" / "sha256").mkdir(parents=True)
    for digest, data in store.blobs.items():
        (path / "blobs" / "sha256" / digest.encoded).write_bytes(data)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root.to_json()]}))


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
