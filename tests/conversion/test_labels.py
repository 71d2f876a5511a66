"""A rewritten manifest states the compression that a layer's bytes have, not a false media type."""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

import converter
from converter.conversion import convert
from converter.conversion.job import Options
from converter.model import media_types as types
from converter.model.content import Compression, Layer, known_bytes
from converter.model.reference import Location
from converter.signing import Signing, sign
from converter.stores import open_source
from converter.transform import relabel_layer
from converter.verification.verify_image import verify
from tests.builders import CONFIG, LAYERS, gzipped, sha256
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore
from tests.trust.making import NAME, ecdsa
from tests.trust.origins import BOTH

PACK: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzipped,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def labelled(path: Path, *rows: tuple[str, str]) -> str:
    """A layout of an image whose layers are packed in one way and labelled as another."""
    store = MemoryStore()
    tars = LAYERS[: len(rows)]
    config = {**CONFIG, "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in tars]}}
    oci = "oci" in rows[0][1]
    manifest_type = types.OCI_MANIFEST if oci else types.DOCKER_MANIFEST
    config_row = store.add(json.dumps(config).encode(), types.OCI_CONFIG if oci else types.DOCKER_CONFIG)
    layers = [store.add(PACK[packed](data), label) for data, (packed, label) in zip(tars, rows, strict=True)]
    body = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": config_row.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return stored(store, store.add(json.dumps(body).encode(), manifest_type), path)


def layer_of(reference: str) -> tuple[str, str]:
    """What the manifest says of its layer, and what that is."""
    location = Location.parse(reference)
    with open_source(location) as source:
        row: dict[str, Any] = json.loads(source.fetch(source.resolve(location.name)).read())["layers"][0]
        data = source.fetch(converter.Descriptor.from_json(row)).read()
    return row["mediaType"], next(name for name, pack in PACK.items() if name != "none" and data[:4] == pack(b"")[:4])


OCI_GZIP, OCI_ZSTD, OCI_PLAIN = types.OCI_LAYER_GZIP, types.OCI_LAYER_ZSTD, types.OCI_LAYER
GZIP, ZSTD, PLAIN = types.DOCKER_LAYER_GZIP, types.DOCKER_LAYER_ZSTD, types.DOCKER_LAYER


@pytest.mark.parametrize(
    "packed, label, options, want",
    [
        pytest.param("gzip", OCI_ZSTD, {"to": "docker"}, (GZIP, "gzip"), id="gzip that says zstd, to Docker"),
        pytest.param("gzip", OCI_PLAIN, {"to": "docker"}, (GZIP, "gzip"), id="gzip that says none, to Docker"),
        pytest.param("zstd", OCI_GZIP, {"to": "docker"}, (GZIP, "gzip"), id="zstd that says gzip, packed for Docker"),
        pytest.param("zstd", OCI_PLAIN, {"to": "docker"}, (GZIP, "gzip"), id="zstd that says none, packed for Docker"),
        pytest.param("xz", OCI_GZIP, {"to": "docker"}, (GZIP, "gzip"), id="xz, which no manifest can say"),
        pytest.param("bzip2", OCI_PLAIN, {"to": "docker"}, (GZIP, "gzip"), id="bzip2, which no manifest can say"),
        pytest.param("zstd", OCI_GZIP, {}, (OCI_GZIP, "zstd"), id="the same format keeps its bytes, and what they say"),
        pytest.param("zstd", OCI_GZIP, {"compress": "gzip"}, (OCI_GZIP, "gzip"), id="gzip that is asked for is made"),
        pytest.param("gzip", OCI_ZSTD, {"compress": "gzip"}, (OCI_GZIP, "gzip"), id="gzip that is asked for is there"),
        pytest.param("zstd", OCI_GZIP, {"compress": "zstd"}, (OCI_ZSTD, "zstd"), id="zstd that is asked for is there"),
        pytest.param("zstd", OCI_GZIP, {"compress": "zstd:3"}, (OCI_ZSTD, "zstd"), id="zstd of a level"),
        pytest.param("zstd", GZIP, {"to": "oci"}, (OCI_ZSTD, "zstd"), id="zstd that says gzip, from Docker"),
        pytest.param("gzip", PLAIN, {"to": "oci"}, (OCI_GZIP, "gzip"), id="gzip that says none, from Docker"),
        pytest.param("zstd", GZIP, {}, (GZIP, "zstd"), id="Docker to Docker keeps its bytes, and what they say"),
        pytest.param("zstd", ZSTD, {"to": "oci"}, (OCI_ZSTD, "zstd"), id="BuildKit's zstd says what it is"),
    ],
)
def test_what_the_target_says_of_a_layer(
    packed: str, label: str, options: dict[str, str], want: tuple[str, str], tmp_path: Path
) -> None:
    source = labelled(tmp_path / "in", (packed, label))
    asked = Options(
        to=options.get("to", ""),
        compress=Compression.parse(options["compress"]) if "compress" in options else None,
    )
    destination = f"dir:{tmp_path / 'out'}"
    foreseen = convert(source, [destination], Options(to=asked.to, compress=asked.compress, dry_run=True))
    done = convert(source, [destination], asked)
    assert layer_of(destination) == want
    assert foreseen.digest in (done.digest, None)
    if want[1] == packed and not options.get("compress", "").endswith("3"):
        assert foreseen.digest == done.digest


def test_a_type_that_nobody_knows_says_nothing_of_compression() -> None:
    layer = Layer(content=known_bytes(gzipped(LAYERS[0]), "application/vnd.example"))
    assert relabel_layer(layer).media_type == OCI_GZIP


def test_a_label_that_was_mended_is_proven(tmp_path: Path) -> None:
    source = labelled(tmp_path / "in", ("gzip", OCI_PLAIN), ("none", OCI_PLAIN))
    sign(source, Signing(makers=(ecdsa(),)))
    converter.convert(source, f"dir:{tmp_path / 'docker'}", to="docker")
    converter.convert(f"dir:{tmp_path / 'docker'}", f"oci:{tmp_path / 'back'}:app:1", to="oci")
    wanted = replace(BOTH, identity=NAME)
    verify(f"dir:{tmp_path / 'docker'}", wanted).require()
    verify(f"oci:{tmp_path / 'back'}:app:1", wanted).require()
