"""Attachments go along with an image; one that cannot be read does not fail the image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.opened_reference import open_image
from converter.stores import open_source
from tests.builders import add_image, gzipped, tar
from tests.builders.disk import write_layout
from tests.builders.memory import MemoryStore


def layout(
    path: Path,
    referrer: bytes | None = None,
    *,
    blobs: bool = True,
    listed: bool = False,
    kind: str = types.OCI_MANIFEST,
) -> Descriptor:
    """An image, and something that speaks of it: an SBOM, an index that has it, or the manifest that is given."""
    store = MemoryStore()
    root = add_image(store, name="")
    sbom, config = store.add(b"sbom", "text/plain"), store.add(b"{}", types.OCI_EMPTY)
    body = {
        "schemaVersion": 2,
        "mediaType": kind,
        "artifactType": "text/plain",
        "config": config.to_json(),
        "layers": [sbom.to_json()],
        "subject": root.to_json(),
    }
    row = store.add(json.dumps(body).encode() if referrer is None else referrer, kind)
    if listed:
        body = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [row.to_json()]}
        row = store.add(json.dumps(body | {"subject": root.to_json()}).encode(), types.OCI_INDEX)
    if not blobs:
        del store.blobs[sbom.digest]
    named = root.to_json() | {"annotations": {"org.opencontainers.image.ref.name": "app"}}
    write_layout(path, store, (named, row.to_json()))
    return root


def attached(reference: str, root: Descriptor) -> list[str]:
    with open_source(Location.parse(reference)) as source:
        return [attachment.descriptor.media_type for attachment in source.attachments(root.digest)]


@pytest.mark.parametrize("target", ["oci:{}/out:app", "oci-archive:{}/out.tar:app", "docker-archive:{}/out.tar:app:1"])
def test_it_travels_where_the_digest_stays(target: str, tmp_path: Path) -> None:
    root = layout(tmp_path / "in")
    destination = target.format(tmp_path)
    result = converter.convert(f"oci:{tmp_path / 'in'}:app", destination)
    assert result.losses == ()
    assert attached(destination, root) == [types.OCI_MANIFEST]


def test_an_index_travels_with_what_it_lists(tmp_path: Path) -> None:
    root = layout(tmp_path / "in", listed=True)
    assert converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app").losses == ()
    assert attached(f"oci:{tmp_path / 'out'}:app", root) == [types.OCI_INDEX]


def test_it_stays_behind_where_the_digest_changes_and_that_is_told(tmp_path: Path) -> None:
    layout(tmp_path / "in")
    result = converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app", compress="zstd")
    assert [loss.field for loss in result.losses] == ["attachments"]


def test_it_stays_behind_when_nobody_wants_it(tmp_path: Path) -> None:
    root = layout(tmp_path / "in")
    result = converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app", attachments=False)
    assert result.losses == ()
    assert attached(f"oci:{tmp_path / 'out'}:app", root) == []


def test_what_lacks_its_blobs_is_a_loss_and_the_image_arrives(tmp_path: Path) -> None:
    root = layout(tmp_path / "in", blobs=False)
    result = converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app")
    assert [loss.reason.split(":")[0] for loss in result.losses] == ["it cannot be read"]
    assert result.digest == root.digest
    assert open_image(f"oci:{tmp_path / 'out'}:app").original is not None


def test_an_artifact_of_the_release_candidates_is_a_loss_and_the_image_arrives(tmp_path: Path) -> None:
    layout(tmp_path / "in", kind=types.OCI_ARTIFACT)
    result = converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app")
    assert [loss.reason.split(",")[0] for loss in result.losses] == [
        f'it cannot be read: unsupported media type "{types.OCI_ARTIFACT}"'
    ]


def test_what_could_not_be_kept_byte_for_byte_is_a_loss_and_the_image_arrives(tmp_path: Path) -> None:
    store = MemoryStore()
    root = add_image(store, name="")
    layer = store.add(gzipped(tar({"a": b"x"})), types.OCI_LAYER_GZIP)
    history = {"v1Compatibility": json.dumps({"id": "a" * 64, "architecture": "amd64", "os": "linux"})}
    schema1 = {"schemaVersion": 1, "name": "a", "tag": "b", "architecture": "amd64", "history": [history]}
    body = schema1 | {"fsLayers": [{"blobSum": str(layer.digest)}]}
    row = store.add(json.dumps(body).encode(), types.DOCKER_SCHEMA1)
    index = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [row.to_json()], "subject": root.to_json()}
    attached_index = store.add(json.dumps(index).encode(), types.OCI_INDEX)
    named = root.to_json() | {"annotations": {"org.opencontainers.image.ref.name": "app"}}
    write_layout(tmp_path / "in", store, (named, attached_index.to_json()))

    result = converter.convert(f"oci:{tmp_path / 'in'}:app", f"oci:{tmp_path / 'out'}:app")

    assert [loss.reason for loss in result.losses] == [
        "it cannot be read: it has an image that would have to be converted, as one of schema 1"
    ]
    assert result.digest == root.digest
