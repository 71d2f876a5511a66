"""A sample of the zoo behaves; all of it is for ``python -m tests.zoo.run``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.exhaustive

PATIENT = {**os.environ, "ZOO_SECONDS": "600"}
"""Time enough for each command, on a busy machine too."""


@pytest.mark.parametrize("offset", [0, 307])
def test_nothing_in_the_zoo_escapes_or_breaks_anything(offset: int) -> None:
    command = [sys.executable, "-m", "tests.zoo.run", "--every", "601", "--offset", str(offset)]
    done = subprocess.run(command, env=PATIENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    animals, commands = done.stdout.split()[0:3:2]
    assert int(animals) > 10
    assert int(commands) > 40


def test_a_killed_conversion_leaves_its_target_as_before_or_complete() -> None:
    command = [sys.executable, "-m", "tests.zoo.kill", "--times", "3"]
    done = subprocess.run(command, env=PATIENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "36 kills, 0 faults\n"), done.stdout + done.stderr
