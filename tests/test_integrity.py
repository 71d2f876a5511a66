"""Broken images that other tools accept, and this one refuses before anything is visible at the target."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from tests.builders import OCI, add_image, sha256
from tests.builders.disk import write_layout
from tests.builders.memory import MemoryStore

TARGETS = {
    "oci": "oci:{}/out:x",
    "docker-archive": "docker-archive:{}/out.tar:a:1",
    "dir": "dir:{}/out",
    "aci": "aci:{}/out.aci",
}


class LayoutOnDisk:
    """An OCI layout whose documents a test may break; digests follow, so that only what is broken is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = MemoryStore()
        add_image(self.store)
        self.index: dict[str, Any] = {"schemaVersion": 2, "manifests": []}
        self.layout = b'{"imageLayoutVersion":"1.0.0"}'

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it is now."""
        return self._document(self.store.named["app:1"])

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as it is now."""
        return self._document(Descriptor.from_json(self.manifest["config"]))

    def change_manifest(self, **members: Any) -> None:
        """Write another manifest, and name it."""
        self.name(json.dumps(self.manifest | members).encode())

    def change_config(self, **members: Any) -> None:
        """Write another configuration, and a manifest that names it."""
        self.change_manifest(config=self.store.add(json.dumps(self.config | members).encode(), OCI.config).to_json())

    def name(self, data: bytes) -> None:
        """Let the image be this manifest."""
        self.store.named["app:1"] = self.store.add(data, types.OCI_MANIFEST)

    def tamper(self, digest: str) -> None:
        """Change a blob and not its name."""
        self.store.blobs[Digest.parse(digest)] = self.store.blobs[Digest.parse(digest)].replace(b"1", b"2", 1)

    def write(self) -> None:
        """Put the layout on the disk."""
        rows = self.index.pop("manifests") or [self.store.named["app:1"].to_json()]
        write_layout(self.path, self.store, rows, **self.index)
        if self.layout:
            (self.path / "oci-layout").write_bytes(self.layout)
        else:
            (self.path / "oci-layout").unlink()

    def _document(self, descriptor: Descriptor) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.store.blobs[descriptor.digest])
        return document


Break = Callable[[LayoutOnDisk], None]


def wrong_size(layout: LayoutOnDisk) -> None:
    layers = layout.manifest["layers"]
    layers[0]["size"] += 1
    layout.change_manifest(layers=layers)


def duplicate_key(layout: LayoutOnDisk) -> None:
    text = json.dumps(layout.manifest)
    layout.name(text.replace('"layers"', '"layers": [], "layers"').encode())


def diff_ids(change: Callable[[list[str]], list[str]]) -> Break:
    def apply(layout: LayoutOnDisk) -> None:
        rootfs = layout.config["rootfs"]
        layout.change_config(rootfs={**rootfs, "diff_ids": change(rootfs["diff_ids"])})

    return apply


def other_case(layout: LayoutOnDisk) -> None:
    layout.change_manifest(Manifests=[])


BROKEN: list[Any] = [
    pytest.param(lambda layout: layout.tamper(str(layout.store.named["app:1"].digest)), id="a tampered manifest"),
    pytest.param(lambda layout: layout.tamper(layout.manifest["config"]["digest"]), id="a tampered config"),
    pytest.param(wrong_size, id="a wrong size"),
    pytest.param(
        lambda layout: setattr(layout, "layout", b'{"imageLayoutVersion":"1.1.0"}'), id="another layout version"
    ),
    pytest.param(lambda layout: setattr(layout, "layout", b""), id="no oci-layout"),
    pytest.param(diff_ids(lambda ids: [sha256(b"other"), *ids[1:]]), id="a wrong diff_id"),
    pytest.param(diff_ids(lambda ids: ids[1:]), id="too few diff_ids"),
    pytest.param(diff_ids(lambda ids: [*ids, ids[0]]), id="too many diff_ids"),
    pytest.param(lambda layout: layout.change_config(history=[{"created_by": "one"}]), id="history that lacks a layer"),
    pytest.param(lambda layout: layout.change_manifest(manifests=[]), id="a manifest that is an index too"),
    pytest.param(
        lambda layout: layout.change_manifest(mediaType=types.OCI_INDEX), id="a manifest that calls itself an index"
    ),
    pytest.param(lambda layout: layout.change_manifest(fsLayers=[]), id="a manifest that is schema 1 too"),
    pytest.param(other_case, id="the same in another case"),
    pytest.param(duplicate_key, id="a key twice"),
    pytest.param(lambda layout: layout.change_manifest(padding=" " * 2**22), id="a manifest over 4 MiB"),
]


@pytest.mark.parametrize("damage", BROKEN)
@pytest.mark.parametrize("target", TARGETS)
def test_a_broken_image_is_refused_and_nothing_is_written(damage: Break, target: str, tmp_path: Path) -> None:
    layout = LayoutOnDisk(tmp_path / "in")
    damage(layout)
    layout.write()
    with pytest.raises((converter.Invalid, converter.NotFound)):
        converter.convert(f"oci:{tmp_path / 'in'}", TARGETS[target].format(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_image_unbroken_is_converted(target: str, tmp_path: Path) -> None:
    layout = LayoutOnDisk(tmp_path / "in")
    layout.write()
    converter.convert(f"oci:{tmp_path / 'in'}", TARGETS[target].format(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        TARGETS[target].format("").split(":")[1].strip("/"),
    ]
