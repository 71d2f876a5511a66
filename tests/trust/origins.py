"""Signed images of every format, small and whole, to be converted and then verified."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from converter.formats import docker_v1
from converter.model import media_types as types
from converter.signing import Signing, sign
from converter.trust.makers import GpgFile
from converter.verification.judgement import Judgement
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders import CONFIG, DOCKER, OCI, Dialect, add_image, add_index, gzipped, sha256
from tests.builders.acis import aci_tar, manifest
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore
from tests.strategies.tar import File, archive
from tests.trust.making import NAME, ecdsa, openpgp, public_pem
from tests.trust.test_libtrust import signed as signed_v1

Make = Callable[[Path], str]
"""Makes a signed image at a path; gives its reference."""

KEY = ("--key k", public_pem(ecdsa()))
RING = ("keyring r", bytes(openpgp().extract_certificate()))
BOTH = Wanted(keys=(KEY,))
OPENPGP = Wanted(keyrings=(RING,))

SHELL = bytes(range(256)) * 300
BASE = (
    File("etc", "dir", mode=0o755),
    File("etc/passwd", data=b"root:x:0:0::/:/bin/sh\n"),
    File("bin", "dir", mode=0o755),
    File("bin/sh", data=SHELL, mode=0o755),
    File("bin/su", data=b"set me" * 50, mode=0o4755),
    File("bin/secret", data=b"secret" * 100),
)
TOP = (
    File("bin", "dir", mode=0o755),
    File("bin/.wh.secret"),
    File("etc/passwd", data=b"app:x:1:1::/:/bin/sh\n", uid=1, gid=1),
    File("srv", "dir", mode=0o700, uid=7, gid=7),
)
TARS = (archive(BASE), archive(TOP))


def layout(path: Path, dialect: Dialect = OCI, config: Mapping[str, Any] = CONFIG, name: str = NAME) -> str:
    """An image of two layers, signed by cosign's kind of key."""
    store = MemoryStore()
    reference = stored(store, add_image(store, dialect, TARS, config, name=""), path, name)
    sign(reference, Signing(makers=(ecdsa(),), identity=NAME))
    return reference


def oci(path: Path) -> str:
    """An OCI image."""
    return layout(path)


def docker(path: Path) -> str:
    """A Docker image."""
    return layout(path, DOCKER)


def index(path: Path, dialect: Dialect = OCI, *, signed: bool = True, nested: int = 0) -> str:
    """Images for two platforms, whose list is signed; ``nested`` indexes around it each name the next 50 times."""
    store = MemoryStore()
    rows = []
    for architecture in ("amd64", "arm64"):
        config = {**CONFIG, "architecture": architecture}
        row = add_image(store, dialect, (*TARS, archive([File(architecture)])), config, name="").to_json()
        rows.append({**row, "platform": {"architecture": architecture, "os": "linux"}})
    root = add_index(store, rows, dialect)
    for _ in range(nested):
        root = add_index(store, [root.to_json()] * 50, dialect)
    reference = stored(store, root, path)
    if signed:
        sign(reference, Signing(makers=(ecdsa(),)))
    return reference


def v1(path: Path) -> str:
    """A schema 1 image in a ``dir:``, with the Engine's kind of signature within."""
    path.mkdir()
    blobs = [gzipped(data) for data in TARS]
    for data in (*blobs, docker_v1.EMPTY_LAYER_BYTES):
        (path / sha256(data).removeprefix("sha256:")).write_bytes(data)
    top = {"architecture": "amd64", "os": "linux", "created": "2016-09-23T23:20:45Z", "config": {"Cmd": ["run"]}}
    steps = [
        (str(docker_v1.EMPTY_LAYER), {"id": "c" * 64, "parent": "b" * 64, "throwaway": True, **top}),
        (sha256(blobs[1]), {"id": "b" * 64, "parent": "a" * 64}),
        (sha256(blobs[0]), {"id": "a" * 64, "created": "2016-01-01T00:00:00Z"}),
    ]
    document = {
        "schemaVersion": 1,
        "name": "library/app",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest} for digest, _ in steps],
        "history": [{"v1Compatibility": json.dumps(step)} for _, step in steps],
    }
    (path / "manifest.json").write_bytes(signed_v1(ecdsa(), json.dumps(document, indent=3).encode()))
    return f"dir:{path}"


ACI_MANIFEST = manifest(
    name="registry.example/app",
    labels=[{"name": key, "value": text} for key, text in (("arch", "amd64"), ("os", "linux"), ("version", "1"))],
    app={"exec": ["/bin/sh"], "user": "0", "group": "0", "environment": [{"name": "A", "value": "b"}]},
)
ACI_TAR = aci_tar(
    ACI_MANIFEST, [File(f"rootfs/{file.name}", file.type, file.data, mode=file.mode, uid=file.uid) for file in BASE]
)


def aci(path: Path, packed: Callable[[bytes], bytes] = gzip.compress, tar: bytes = ACI_TAR) -> str:
    """An ACI with its ``.asc``."""
    path.write_bytes(packed(tar))
    sign(f"aci:{path}", Signing(makers=(GpgFile(bytes(openpgp())),)))
    return f"aci:{path}"


def in_two_members(data: bytes) -> bytes:
    """Packed as no compressor does it at once."""
    return gzip.compress(data[:5000]) + gzip.compress(data[5000:])


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "zlib 9": gzip.compress,
    "zlib 6": lambda data: gzip.compress(data, 6, mtime=0),
    "zlib 1": lambda data: gzip.compress(data, 1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "nothing": lambda data: data,
    "a header with a name": lambda data: (
        b"\x1f\x8b\x08\x08\0\0\0\0\0\x03app.aci\0" + gzip.compress(data, 9, mtime=0)[10:]
    ),
    "zeros behind it": lambda data: gzip.compress(data) + bytes(700),
}


def raw_deflate(data: bytes, level: int, memory: int) -> bytes:
    """A gzip stream of zlib's with a memory level that nobody has."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, memory)
    return packer.compress(data) + packer.flush()


def asked(reference: str, wanted: Wanted = BOTH) -> Judgement:
    """What ``verify`` says."""
    return verify(reference, wanted)


__all__ = ["BOTH", "NAME", "OPENPGP", "PACKINGS", "Make", "aci", "asked", "docker", "index", "layout", "oci", "v1"]

OCI_MANIFEST = types.OCI_MANIFEST
