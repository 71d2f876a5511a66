from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.packaging
#: What a checkout needs for `bin/transship` to run.
CHECKOUT = ("bin", "converter", "schemas", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE")
CACHES = shutil.ignore_patterns("__pycache__", ".*")
#: Runs the program named first as if Debian's package with ensurepip were not there.
WITHOUT_ENSUREPIP = """
import runpy, sys
sys.modules["ensurepip"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def checked_out(folder: Path) -> Path:
    """A fresh checkout, in a new folder."""
    folder.mkdir(exist_ok=True)
    for name in CHECKOUT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=CACHES)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


def start(program: Path, cwd: Path, path: str = os.environ["PATH"]) -> subprocess.Popen[str]:
    """Ask for the version, with both outputs to be read."""
    return subprocess.Popen(
        [program, "--version"],
        cwd=cwd,
        env={"PATH": path, **{key: value for key, value in os.environ.items() if key.startswith(("PIP_", "HOME"))}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A checkout, and two programs that were started at once and set it up: it takes seconds, so all tests share it."""
    folder = tmp_path_factory.mktemp("set up")
    checkout, link = checked_out(folder / "a checkout"), folder / "transship"
    link.symlink_to(checkout / "bin/transship")
    both = [start(checkout / "bin/transship", checkout), start(link, folder)]
    ended = [(process, *process.communicate()) for process in both]
    return checkout, [subprocess.CompletedProcess([], one.returncode, output, said) for one, output, said in ended]


@pytest.fixture(scope="module")
def checkout(set_up: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> Path:
    """The checkout that was set up."""
    return set_up[0]


def test_two_that_start_at_once_set_up_once_and_both_run(
    set_up: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    both = set_up[1]
    assert [(one.returncode, one.stdout) for one in both] == [(0, "transship 0.1.0\n")] * 2, both
    assert "".join(one.stderr for one in both).count("setting up") == 1, both


def test_it_runs_through_a_link_beside_a_folder_of_the_same_name(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "converter").mkdir()
    (tmp_path / "converter/__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "link").symlink_to(checkout)
    (tmp_path / "transship").symlink_to("link/bin/transship")
    process = start(tmp_path / "transship", tmp_path)
    assert process.communicate() == ("transship 0.1.0\n", "")


def test_a_changed_pyproject_is_installed_again(checkout: Path) -> None:
    stamp = checkout / ".venv/set-up-for"
    later = stamp.stat().st_mtime + 1
    os.utime(checkout / "pyproject.toml", (later, later))
    # As if it had been changed by now: the stamp gets the time of the set-up.
    os.utime(stamp, (later - 10, later - 10))
    output, said = start(checkout / "bin/transship", checkout).communicate()
    assert (output, "setting up" in said) == ("transship 0.1.0\n", True)


def test_a_pyproject_of_tomorrow_is_installed_once(checkout: Path) -> None:
    tomorrow = (checkout / ".venv/set-up-for").stat().st_mtime + 86400
    os.utime(checkout / "pyproject.toml", (tomorrow, tomorrow))
    said = [start(checkout / "bin/transship", checkout).communicate()[1] for _ in range(2)]
    assert ["setting up" in one for one in said] == [True, False], said


def test_one_that_was_killed_halfway_is_made_anew(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    # The version needs no more than this.
    project.write_text(
        re.sub(r"(?s)^dependencies = \[.*?^\]", 'dependencies = ["click"]', project.read_text(), flags=re.MULTILINE)
    )
    (checkout / ".venv/set-up-for").write_text("unfinished")
    broken = checkout / ".venv/lib"
    shutil.rmtree(broken)
    output, said = start(checkout / "bin/transship", checkout).communicate()
    assert output == "transship 0.1.0\n", said


def test_without_a_python_it_says_which_it_wants(checkout: Path, tmp_path: Path) -> None:
    for name in ("sh", "readlink"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    (checkout / ".venv/set-up-for").unlink(missing_ok=True)
    process = start(checkout / "bin/transship", checkout, path=str(tmp_path))
    _, said = process.communicate()
    assert process.returncode == 1
    assert said == (
        "transship: no Python 3.11 or newer found on PATH (Debian, Ubuntu: apt-get install python3 python3-venv)\n"
    )


def test_without_the_means_to_make_environments_it_says_what_to_install(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ENSUREPIP, str(ROOT / "bin/make-venv"), str(tmp_path / "venv")]
    # No apt-get on this PATH: it must not be called here.
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False)
    assert done.returncode == 1
    assert "the module ensurepip is missing (Debian, Ubuntu: sudo apt-get install python3." in done.stderr
