"""Each way in which others get transship, in an environment that has nothing else of it: wheel, sdist, .deb, image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import converter
from distribution.completions import PLACES
from distribution.image import SPDX
from tests.interop.tools import give_up, need, need_network, need_root
from tests.test_readme import saved

ROOT = Path(__file__).parent.parent.parent
MIRROR = "http://deb.debian.org/debian/dists/stable/InRelease"
pytestmark = pytest.mark.packaging


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """A program's output; fails the test with what it said. Programs of the tests' own environment come first."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    clean["PATH"] = f"{Path(sys.executable).parent}:{clean['PATH']}"
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(name: str) -> Path:
    """A program of the extra `release`, which `bin/test` gives the first environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        give_up(f"needs the program {name} (pip install -e .[release])")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("built")
    faster = ["--installer", "uv"] if find_spec("uv") else []
    run(sys.executable, "-m", "build", *faster, "--outdir", folder, ROOT, cwd=folder)
    return folder


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, with what it depends on and nothing else."""

    folder: Path
    command: Path


@pytest.fixture(scope="module", params=["uv", "pipx"])
def clean(built: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Installed:
    """The wheel as `uv tool install` or `pipx install` installs it."""
    folder = tmp_path_factory.mktemp(request.param)
    wheel = next(built.glob("*.whl"))
    if request.param == "uv":
        places = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
        run(program("uv"), "tool", "install", "--quiet", "--python", sys.executable, wheel, cwd=folder, **places)
        return Installed(folder / "tools/transship", folder / "bin/transship")
    places = {"PIPX_HOME": str(folder), "PIPX_BIN_DIR": str(folder / "bin"), "PIPX_MAN_DIR": str(folder / "man")}
    run(program("pipx"), "install", "--quiet", "--python", sys.executable, wheel, cwd=folder, **places)
    assert (folder / "man/man1/transship-convert.1").exists()
    return Installed(folder / "venvs/transship", folder / "bin/transship")


def test_what_is_uploaded_is_in_order(built: Path) -> None:
    run(program("twine"), "check", "--strict", *built.iterdir(), cwd=built)
    run(program("check-wheel-contents"), *built.glob("*.whl"), cwd=built)


def test_the_wheel_carries_every_schema_and_its_types(built: Path) -> None:
    schemas = {f"converter/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    assert schemas
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert schemas | {"converter/py.typed"} <= names
    folders = {name.split("/")[0] for name in names}
    assert folders == {"converter", "transship-0.1.0.dist-info", "transship-0.1.0.data"}


def test_the_wheel_tells_pytest_of_its_plugin(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
        told = wheel.read(name).decode()
    assert "[pytest11]\ntransship = converter.pytest_plugin" in told


def test_the_sdist_carries_tests_and_licence(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/packaging/test_packages.py", "bin/transship"} <= names


def test_the_installed_command_runs(clean: Installed) -> None:
    assert "0.1.0" in run(clean.command, "--version", cwd=clean.folder)


def test_the_installed_package_finds_its_schemas(clean: Installed) -> None:
    listed = run(clean.command, "schema", cwd=clean.folder).split()
    assert {"oci-manifest", "docker-schema2", "aci-image-manifest", "image"} <= set(listed)


def test_manual_pages_and_completion_are_installed(clean: Installed) -> None:
    assert "Replace a file that exists" in (clean.folder / "share/man/man1/transship-convert.1").read_text()
    assert all((clean.folder / place).read_text() for place in PLACES.values())


def test_nothing_of_the_checkout_is_used(clean: Installed) -> None:
    where = run(clean.folder / "bin/python", "-c", "import converter; print(converter.__file__)", cwd=clean.folder)
    assert Path(where).is_relative_to(clean.folder)


@pytest.fixture(scope="module")
def deb(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of the wheel."""
    need_root()
    need("mmdebstrap")
    folder = tmp_path_factory.mktemp("deb")
    run(ROOT / "bin/deb", folder, next(built.glob("*.whl")), cwd=folder)
    return next(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def image(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image that `bin/image` makes: apt installs the package, and what it depends on, in a bare Debian."""
    need_network(MIRROR)
    folder = tmp_path_factory.mktemp("image")
    reference = f"oci:{folder}/layout:transship"
    run(ROOT / "bin/image", reference, deb, sys.executable, cwd=folder, XDG_CACHE_HOME=str(folder / "cache"))
    return reference


def test_the_debian_package_has_manual_pages_and_completion(deb: Path) -> None:
    listed = run("dpkg-deb", "--contents", deb, cwd=deb.parent)
    assert "./usr/share/man/man1/transship-convert.1.gz" in listed
    assert "./usr/share/bash-completion/completions/transship" in listed
    assert "./usr/share/zsh/vendor-completions/_transship" in listed


def test_the_image_converts_a_mounted_archive_without_a_network(image: str, tmp_path: Path) -> None:
    need("podman", "runc")
    (tmp_path / "work").mkdir()
    saved(tmp_path / "work/app.tar")
    # runc, since crun refuses to run where there are cgroups of both versions, as in some sandboxes.
    podman: list[str | Path] = [
        "podman",
        "--root",
        tmp_path / "root",
        "--runroot",
        tmp_path / "run",
        "--storage-driver",
        "vfs",
    ]
    bare = ["--runtime", "runc", "run", "--rm", "--network=none", "--volume", f"{tmp_path}/work:/work"]

    run(*podman, *bare, image, "convert", "app.tar", "oci:layout:app", "aci:app.aci", cwd=tmp_path)

    findings = converter.validate_image(f"oci:{tmp_path}/work/layout:app").findings
    assert findings == ()
    assert (tmp_path / "work/app.aci").is_file()


def test_the_image_carries_its_packages_and_its_profile(image: str) -> None:
    layout = Path(image.split(":")[1])
    need("oras")
    found = run("oras", "discover", "--format", "json", "--oci-layout", f"{layout}:transship", cwd=layout)
    kinds = {one["artifactType"]: one["digest"] for one in json.loads(found)["manifests"]}
    documents = {kind: json.loads(blob(layout, layer_of(layout, digest))) for kind, digest in kinds.items()}
    listed = {row["name"]: row["versionInfo"] for row in documents[SPDX]["packages"]}
    assert listed["transship"] == "0.1.0"
    assert {"libc6", "python3", "ca-certificates", "click", "cryptography"} <= set(listed)
    profile = documents["application/vnd.in-toto+json"]
    assert profile["subject"][0]["name"] == "content"


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def layer_of(layout: Path, manifest: str) -> str:
    (layer,) = json.loads(blob(layout, manifest))["layers"]
    return str(layer["digest"])
