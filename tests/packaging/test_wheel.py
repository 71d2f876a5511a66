from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from distribution.completions import PLACES

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.packaging


def run(*command: str | Path, cwd: Path) -> str:
    """A program's output; fails the test with what it said."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def clean(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it depends on, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    wheel = next(built.glob("*.whl"))
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return folder


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
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/packaging/test_wheel.py", "bin/transship"} <= names


def test_the_installed_command_runs(clean: Path) -> None:
    assert "0.1.0" in run(clean / "bin/transship", "--version", cwd=clean)


def test_the_installed_package_finds_its_schemas(clean: Path) -> None:
    listed = run(clean / "bin/transship", "schema", cwd=clean).split()
    assert {"oci-manifest", "docker-schema2", "aci-image-manifest", "image"} <= set(listed)


def test_manual_pages_and_completion_are_installed(clean: Path) -> None:
    assert "Replace a file that exists" in (clean / "share/man/man1/transship-convert.1").read_text()
    assert all((clean / place).read_text() for place in PLACES.values())


def test_nothing_of_the_checkout_is_used(clean: Path) -> None:
    where = run(clean / "bin/python", "-c", "import converter; print(converter.__file__)", cwd=clean)
    assert Path(where).is_relative_to(clean)
