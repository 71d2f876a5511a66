"""A conversion that is killed: the target is as before or complete, and the next one finds nothing in its way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.disk_targets import CASES, Target


@pytest.mark.exhaustive
@pytest.mark.parametrize("target, there", CASES)
def test_a_run_that_is_killed_at_any_call(target: Target, there: bool, in_memory: Path) -> None:
    command = [sys.executable, "-m", "tests.stores.crashing_targets", str(target), str(in_memory), str(int(there))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) > 10, "there were moments to be killed at"
