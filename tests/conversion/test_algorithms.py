"""Images whose digests are not of sha256 (image-spec 1.1.1, descriptor.md, Registered Algorithms)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import converter
from converter.cli.main import main
from converter.errors import DigestMismatch
from converter.model import media_types as types
from converter.model.descriptor import Digest
from tests.builders import LAYERS, add_image
from tests.builders.memory import MemoryStore
from tests.stores.copying import copy, sink_at


def layout(folder: Path, algorithm: str, tars: tuple[bytes, ...] = LAYERS) -> str:
    """An image of the usual layers, whose configuration says that they are `tars`."""
    store = MemoryStore()
    manifest = json.loads(store.blobs[add_image(store).digest])
    config = json.loads(store.blobs[Digest.parse(manifest["config"]["digest"])])
    config["rootfs"]["diff_ids"] = [str(Digest.of(data, algorithm)) for data in tars]
    manifest["config"] = store.add(json.dumps(config).encode(), types.OCI_CONFIG).to_json()
    root = store.add(json.dumps(manifest).encode(), types.OCI_MANIFEST)
    copy(store, root, sink_at("oci", folder / algorithm), "app")
    return f"oci:{folder / algorithm}:app"


def known_by(folder: Path, algorithm: str) -> tuple[str, Digest]:
    """A layout whose blobs all go by digests of that algorithm, and that of its index."""
    store = MemoryStore()
    manifest = json.loads(store.blobs[add_image(store).digest])
    path = folder / "by"
    (path / "blobs" / algorithm).mkdir(parents=True)

    def put(data: bytes, row: dict[str, object]) -> dict[str, object]:
        digest = Digest.of(data, algorithm)
        (path / "blobs" / algorithm / digest.encoded).write_bytes(data)
        return row | {"digest": str(digest), "size": len(data)}

    for row in (manifest["config"], *manifest["layers"]):
        row |= put(store.blobs[Digest.parse(row["digest"])], row)
    top = put(json.dumps(manifest).encode(), {"mediaType": types.OCI_MANIFEST})
    index = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [top]}
    root = put(json.dumps(index).encode(), {"mediaType": types.OCI_INDEX})
    named = {"schemaVersion": 2, "manifests": [root | {"annotations": {"org.opencontainers.image.ref.name": "app"}}]}
    (path / "index.json").write_text(json.dumps(named))
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return f"oci:{path}:app", Digest.parse(str(root["digest"]))


@pytest.mark.parametrize("target", ["oci:{}/out:app", "oci-archive:{}/out.tar:app"])
@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_copy_keeps_the_digests_of_documents_too(tmp_path: Path, algorithm: str, target: str) -> None:
    source, digest = known_by(tmp_path, algorithm)
    (made,) = converter.convert(source, target.format(tmp_path), platforms=["all"], preserve_digests=True).targets
    assert (made.digest, made.preserved) == (digest, True)
    assert main(["validate", target.format(tmp_path)]) == 0


@pytest.mark.parametrize("target", ["dir:{}/out", "docker-archive:{}/out.tar", "aci:{}/out.aci"])
def test_an_image_of_long_digests_goes_anywhere(tmp_path: Path, target: str) -> None:
    source, _ = known_by(tmp_path, "sha512")
    converter.convert(source, target.format(tmp_path))
    assert main(["diff", source, target.format(tmp_path)]) == 0


@pytest.mark.parametrize("compress", ["keep", "zstd", "none"])
@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_it_is_converted_whatever_was_learned_of_its_layers(tmp_path: Path, algorithm: str, compress: str) -> None:
    sources = layout(tmp_path, "sha256"), layout(tmp_path, algorithm)
    results = [
        converter.convert(
            source, f"{target}:{tmp_path}/{target}-{number}.tar", compress=compress, cache=tmp_path / "cache"
        )
        for target in ("oci-archive", "docker-archive")
        for number, source in enumerate(sources * 2)
    ]
    assert [str(layer.diff_id).partition(":")[0] for layer in results[1].layers] == [algorithm] * len(LAYERS)
    assert [result.digest for result in results[:2]] == [result.digest for result in results[2:4]]


@pytest.mark.parametrize("compress", ["keep", "zstd", "none"])
def test_one_that_is_wrong_is_refused(tmp_path: Path, compress: str) -> None:
    cache = tmp_path / "cache"
    converter.convert(layout(tmp_path, "sha256"), f"oci:{tmp_path}/first", compress=compress, cache=cache)
    wrong = layout(tmp_path, "sha512", tuple(reversed(LAYERS)))
    with pytest.raises(DigestMismatch, match="sha512:"):
        converter.convert(wrong, f"oci:{tmp_path}/second", compress=compress, cache=cache)
