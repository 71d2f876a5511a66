"""Every command of the tutorial is run, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.tools import need

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = (ROOT / "docs/tutorial.md").read_text()


def test_the_tutorial_runs(tmp_path: Path) -> None:
    need("openssl")
    folder = tmp_path / "here"
    folder.mkdir()
    program = tmp_path / "transship"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m converter "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    told = ""
    for line in "".join(re.findall(r"```sh\n(.*?)```", TUTORIAL, re.DOTALL)).splitlines():
        command = ["bash", "-c", line]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == ("# exit status 1" in line), f"{line}\n{done.stdout}{done.stderr}"
        told += done.stdout
    assert "hello from a container" in told
    assert "\nequal: " in told
    assert "/etc/motd: content" in told
