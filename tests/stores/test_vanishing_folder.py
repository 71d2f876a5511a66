"""A folder that vanishes while an image is converted: the target is as before or complete, and one line says why."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from converter.errors import ConverterError
from converter.stores.media.temporary import remove_leftovers
from tests.failing_disk import vanishing
from tests.stores.disk_targets import CASES, Target, Tree, is_whole
from tests.stores.unpacking import listed

pytestmark = pytest.mark.exhaustive

EVERY = 7
"""Of the moments at which a folder may vanish, one of so many is tried."""


@dataclass(frozen=True, slots=True)
class Stand:
    """The folders of a run, below ``root``: of each kind one, any of which may vanish."""

    root: Path
    target: Target
    source: Path
    initial: Path

    def set_up(self, *names: str) -> None:
        """Make folders what they are at the start."""
        for name in names:
            shutil.rmtree(self.root / name, ignore_errors=True)
            if name in {"source", "out"}:
                shutil.copytree(self.source if name == "source" else self.initial, self.root / name, symlinks=True)
            else:
                (self.root / name).mkdir()

    def write(self) -> None:
        self.target.write(self.root / "source", self.root / "out", self.root / "cache")

    def found(self) -> Tree:
        return listed(self.root / "out") if (self.root / "out").exists() else {}

    def made(self) -> Tree:
        """What comes of an undisturbed run, beside nothing else."""
        self.set_up("source", "cache", "temporary")
        if not (self.root / "out").exists():
            (self.root / "out").mkdir()
        self.write()
        return self.found()


@pytest.mark.parametrize("victim", ["source", "out", "cache", "temporary"])
@pytest.mark.parametrize("target, there", CASES)
def test_a_folder_that_vanishes(
    target: Target,
    there: bool,
    victim: str,
    images: tuple[Path, Path],
    in_memory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(in_memory, target, images[1], in_memory / "initial")
    monkeypatch.setattr(tempfile, "tempdir", str(in_memory / "temporary"))
    fresh = stand.made()
    stand.initial.mkdir()
    if there:
        target.write(images[0], stand.initial)
    stand.set_up("out")
    before = stand.found()
    complete = stand.made()
    whole = [fresh, complete]
    for moment in itertools.count(len(target.transport) % EVERY, EVERY):
        stand.set_up("source", "out", "cache", "temporary")
        with vanishing(in_memory / victim, moment) as disk:
            error = None
            try:
                stand.write()
            except ConverterError as raised:
                error = raised
        remove_leftovers()
        found = stand.found()
        if victim == "out" and disk.gone:
            # What was there has gone with it, and what was made, unless that was later.
            assert found.keys() <= {b""} or found in whole
        else:
            assert found in whole if error is None else is_whole(found, before, complete), (found, before, complete)
        assert victim != "cache" or error is None, "a cache only saves time"
        if not disk.gone:
            assert error is None
            break
        if found not in (before, *whole):
            assert stand.made() in whole
