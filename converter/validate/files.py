"""The small files of an archive of ``docker save``, read whatever they hold (moby, image/tarexport)."""

from __future__ import annotations

from typing import Any

from converter.errors import ConverterError, Invalid
from converter.model.document import read
from converter.model.limits import Limits
from converter.stores.docker_archive import repositories
from converter.stores.media import Medium
from converter.validate.findings import Findings


class Files:
    """What files say, and what is wrong where they say nothing."""

    def __init__(self, medium: Medium, findings: Findings, limits: Limits) -> None:
        self.medium = medium
        self._findings = findings
        self._limits = limits

    def there(self, name: str) -> bool:
        """Whether there is such a file, or what cannot be told from one."""
        try:
            return self.medium.size(name) is not None
        except Invalid:
            return True

    def size(self, name: str, claim: str) -> int | None:
        """The size in bytes of a file that ``claim`` names; None where it is not there."""
        try:
            return self.medium.size(name)
        except ConverterError as error:
            self._failed(claim, error)
            return None

    def read(self, name: str, claim: str) -> bytes | None:
        """A file that ``claim`` names; None where it is not there, or not to be read."""
        try:
            if self.medium.size(name) is None:
                self.missing(name, claim)
                return None
            return self.medium.read_document(name)
        except ConverterError as error:
            self._failed(claim, error)
            return None

    def missing(self, name: str, claim: str) -> None:
        """A file is named and not there."""
        self._findings.add("docker/archive-file", claim, f"got no file {name[:200]!r}, want it")

    def value(self, data: bytes | None) -> Any:
        """What a document says, as far as it is JSON."""
        return None if data is None else read(data, self._limits).value

    def repositories(self) -> dict[str, str]:
        """Name with tag → the ID of the newest layer, as far as ``repositories`` can be read."""
        name = repositories.NAME
        data = self.read(name, name)
        value = self.value(data)
        if data is not None and not isinstance(value, dict):
            self._findings.add("docker/archive-repositories", name, "got no JSON object, want one of names")
        found = {}
        for repository, tags in (value if isinstance(value, dict) else {}).items():
            for tag, top in (tags if isinstance(tags, dict) else {}).items():
                if isinstance(top, str):
                    found[f"{repository}:{tag}"] = top
        return found

    def _failed(self, claim: str, error: ConverterError) -> None:
        # A rule of the document may have said so already.
        if not self._findings.told(claim):
            self._findings.failed(claim, error)
