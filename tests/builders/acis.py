"""ACIs in memory, what is in them, and images to be made into them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from converter.model import media_types as types
from converter.model.content import Known, Layer, known_bytes
from converter.model.image import History, Image, Notes, Original, RunConfig
from converter.model.platform import Platform
from converter.streams.uncompressed import uncompressed_layer
from tests.strategies.tar import File, archive

ROOTFS = File("rootfs", "dir", mode=0o755)


def manifest(name: str = "example.com/app", **members: Any) -> dict[str, Any]:
    """A manifest for linux/amd64 without an app."""
    labels = [{"name": "arch", "value": "amd64"}, {"name": "os", "value": "linux"}]
    return {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name, "labels": labels} | members


def aci_tar(document: Mapping[str, Any], files: Sequence[File] = (), last: bool = False) -> bytes:
    """The tar of an ACI; the manifest comes first, or last."""
    entry = File("manifest", data=json.dumps(document, indent=2).encode())
    rooted = [ROOTFS, *files]
    return archive([*rooted, entry] if last else [entry, *rooted], "ustar")


def aci(document: Mapping[str, Any], files: Sequence[File] = (), last: bool = False) -> Known:
    """An ACI as it lies in a file."""
    return known_bytes(gzip.compress(aci_tar(document, files, last), mtime=0), types.ACI)


def layer(*files: File) -> Layer:
    """A layer as most registries hold it."""
    return Layer(content=known_bytes(gzip.compress(archive(files), mtime=0), types.OCI_LAYER_GZIP))


def docker_image(*layers: Layer, config: RunConfig | None = None, **more: Any) -> Image:
    """A Docker image called app:1, with a step of history a layer."""
    return Image(
        platform=Platform(os="linux", architecture="amd64"),
        config=config or RunConfig(entrypoint=("/bin/app",)),
        layers=layers,
        history=tuple(History(created_by=f"step {number}") for number in range(len(layers))),
        notes=Notes(name="docker.io/library/app:1"),
        original=Original(format="docker", manifest=known_bytes(b"{}", "m"), config=known_bytes(b"{}", "c")),
        **more,
    )


def tar_of(content: Layer) -> bytes:
    """The uncompressed bytes of a layer."""
    return b"".join(uncompressed_layer(content))


def names_of(data: bytes) -> list[str]:
    """The names in an archive, packed or not."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def files_of(data: bytes) -> dict[str, bytes | str | None]:
    """The files in an archive: what is in them, what links name, None for a directory."""
    found: dict[str, bytes | str | None] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            found[member.name] = stream.read() if stream else (member.linkname or None)
    return found


def manifest_of(root: Known) -> dict[str, Any]:
    """The manifest in an ACI."""
    found = files_of(root.read())["manifest"]
    assert isinstance(found, bytes)
    document = json.loads(found)
    assert isinstance(document, dict)
    return document
