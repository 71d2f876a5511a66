"""Puts manual pages and completion scripts, made from the commands, into the wheel."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Made(BuildHookInterface):  # type: ignore[type-arg]  # it is generic only to itself
    """Hatch's hook: an editable install needs neither, and does without."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files and tell hatch where each belongs below the prefix."""
        if version == "editable":
            return
        self.folder = TemporaryDirectory()
        sys.path.insert(0, self.root)
        from distribution.completions import scripts
        from distribution.manual import pages, roff

        files = {f"share/man/man1/{page.file}.1": roff(page) for page in pages()} | scripts()
        for number, (place, text) in enumerate(files.items()):
            source = Path(self.folder.name, str(number))
            source.write_text(text)
            build_data["shared_data"][str(source)] = place

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove the files."""
        if version != "editable":
            self.folder.cleanup()
