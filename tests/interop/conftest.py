"""Real input, made once a run by the tools that others use: skopeo, umoci, mmdebstrap, a Docker Engine, a registry."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import images, services
from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.services import Dockerd
from tests.interop.signers import Cosign, Gpg, keyring, make_cosign
from tests.interop.tools import run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.interop)


@pytest.fixture(scope="session")
def small_oci(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """An OCI layout of five layers, 1 MB, by umoci. It is everybody's: read it, and write elsewhere."""
    return images.small_image(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def awkward_oci(small_oci: Layout, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The small image with hard links into lower layers and whiteouts below a file, which overlay2 cannot load."""
    return images.awkward_image(tmp_path_factory.mktemp("awkward"), small_oci)


@pytest.fixture(scope="session")
def small_archive(small_oci: Layout) -> Path:
    """The small image as skopeo's docker-archive, named ``sample:latest``."""
    return copied(small_oci, "docker-archive", "skopeo.tar", ":sample:latest")


@pytest.fixture(scope="session")
def small_oci_archive(small_oci: Layout) -> Path:
    """The small image as skopeo's oci-archive."""
    return copied(small_oci, "oci-archive", "oci.tar", ":latest")


@pytest.fixture(scope="session")
def small_dir(small_oci: Layout) -> Path:
    """The small image as skopeo's ``dir:``, in OCI format."""
    return copied(small_oci, "dir", "skopeo-dir")


@pytest.fixture(scope="session")
def small_saved(small_archive: Path, dockerd: Dockerd) -> Path:
    """The small image as a real ``docker save`` writes it, named ``sample:latest``."""
    return saved(small_archive, dockerd)


@pytest.fixture(scope="session")
def debian_saved(tmp_path_factory: pytest.TempPathFactory, dockerd: Dockerd) -> Path:
    """The same over a real Debian root, 80 MB, by ``docker save``; takes most of a minute, so one worker makes it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / "debian.tar"
        if not path.exists():
            image = images.debian_image(tmp_path_factory.mktemp("debian"))
            archive = copied(image, "docker-archive", "skopeo.tar", ":sample:latest")
            saved(archive, dockerd).rename(path)
    return path


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    """A real Docker Engine on a socket of its own; needs root."""
    with services.dockerd(tmp_path_factory.mktemp("dockerd")) as service:
        yield service


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry on the loopback, plain HTTP."""
    with services.registry(tmp_path_factory.mktemp("registry")) as service:
        yield service


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    """A keyring of a module's own."""
    with keyring() as made:
        yield made


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    """A key pair of cosign's."""
    return make_cosign(tmp_path_factory.mktemp("cosign") / "c")


def copied(image: Layout, transport: str, name: str, tag: str = "") -> Path:
    """What skopeo makes of the image, beside its layout."""
    path = image.path.parent / name
    run("skopeo", "copy", "--quiet", image.reference, f"{transport}:{path}{tag}")
    return path


def saved(archive: Path, engine: Dockerd) -> Path:
    """What the engine writes after it has read the archive."""
    path = archive.with_name("saved.tar")
    path.write_bytes(engine.save(engine.load(archive)))
    return path
