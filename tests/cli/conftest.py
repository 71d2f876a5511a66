from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.stores import open_sink
from tests.builders import OCI, Dialect, add_image, add_index
from tests.builders.memory import MemoryStore
from tests.stores.copying import copy
from tests.trust.making import ecdsa, openpgp, public_pem


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to stand in, and a home without a past."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "SOURCE_DATE_EPOCH", "DOCKER_HOST", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def layout(here: Path) -> MemoryStore:
    """``oci:in`` holds ``app`` and ``other``; the store has what is in them."""
    store = MemoryStore()
    put(store, add_image(store, name=""), "app")
    put(store, add_image(store, config={"os": "linux", "architecture": "arm64"}, name=""), "other")
    return store


@pytest.fixture
def index(here: Path) -> Descriptor:
    """``oci:multi`` holds an index ``app`` for three platforms, and an attestation."""
    store = MemoryStore()
    rows = []
    for platform in (("amd64", ""), ("arm", "v7"), ("arm64", "")):
        architecture, variant = platform
        one = add_image(store, config={"os": "linux", "architecture": architecture, "variant": variant}, name="")
        rows.append(one.to_json() | {"platform": {"os": "linux", "architecture": architecture, "variant": variant}})
    root = add_index(store, rows)
    put(store, root, "app", where="multi")
    return root


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Keys of both kinds, secret and public."""
    secret = ecdsa().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "cosign.key").write_bytes(secret)
    (tmp_path / "cosign.pub").write_bytes(public_pem(ecdsa()))
    (tmp_path / "gpg.key").write_text(str(openpgp()))
    (tmp_path / "gpg.pub").write_text(str(openpgp().extract_certificate()))
    return tmp_path


def put(store: MemoryStore, root: Descriptor, name: str, where: str = "in", dialect: Dialect = OCI) -> None:
    """Write an image of the store into an OCI layout."""
    copy(store, root, open_sink(Location(transport="oci", path=where, name=name)), name)
