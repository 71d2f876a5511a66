"""The process exits at once, and loses no output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from converter.version import __version__

START = "from converter.__main__ import start; sys.argv[1:] = ['--version']; sys.exit(start())"
TOLD = f"transship {__version__}\n"


@pytest.mark.parametrize(
    "before, said",
    [
        pytest.param("", TOLD, id="what was printed is written"),
        pytest.param("atexit.register(print, 'goodbye')", f"{TOLD}goodbye\n", id="what was to be done last is done"),
        pytest.param(
            "threading.Thread(target=lambda: (threading.main_thread().join(), print('thread'))).start()",
            f"{TOLD}thread\n",
            id="a thread that is left may finish",
        ),
        pytest.param("sys.stdout = sys.stderr = None", "", id="there may be nowhere to print"),
    ],
)
def test_nothing_is_lost(before: str, said: str) -> None:
    source = f"import atexit, sys, threading; {before}\n{START}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_the_interpreter_is_not_taken_apart() -> None:
    source = f"import sys\nclass Last:\n    def __del__(self): print('taken apart')\nlast = Last()\n{START}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == TOLD


def test_a_full_disk_is_told_as_the_interpreter_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with Path("/dev/full").open("w") as full:
        call = [sys.executable, "-c", "from converter.__main__ import leave; print('last words'); leave(0)"]
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 120
    assert "No space left on device" in done.stderr
