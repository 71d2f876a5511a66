"""The small files of a ``docker save`` archive, read whatever they contain (moby, image/tarexport)."""

from __future__ import annotations

from typing import Any

from converter.errors import ConverterError, Invalid
from converter.model.document import read
from converter.model.limits import Limits
from converter.stores.docker_archive import repositories
from converter.stores.media import Medium
from converter.validate.findings import Findings


class Files:
    """Reads files, and reports what is wrong with those that cannot be read."""

    def __init__(self, medium: Medium, findings: Findings, limits: Limits) -> None:
        self.medium = medium
        self._findings = findings
        self._limits = limits

    def there(self, name: str) -> bool:
        """Whether there may be such a file: also true if that cannot be determined."""
        try:
            return self.medium.size(name) is not None
        except Invalid:
            return True

    def size(self, name: str, claim: str) -> int | None:
        """The size in bytes of a file that ``claim`` names; None if it is missing."""
        try:
            return self.medium.size(name)
        except ConverterError as error:
            self._failed(claim, error)
            return None

    def read(self, name: str, claim: str) -> bytes | None:
        """The content of a file that ``claim`` names; None if it is missing or cannot be read."""
        try:
            if self.medium.size(name) is None:
                self.missing(name, claim)
                return None
            return self.medium.read_document(name)
        except ConverterError as error:
            self._failed(claim, error)
            return None

    def missing(self, name: str, claim: str) -> None:
        """Report a file that is named and missing."""
        self._findings.add("docker/archive-file", claim, f"got no file {name[:200]!r}, want it")

    def value(self, data: bytes | None) -> Any:
        """The value of a document, as far as it is JSON."""
        return None if data is None else read(data, self._limits).value

    def repositories(self) -> dict[str, str]:
        """Name with tag → ID of the newest layer, as far as ``repositories`` can be read."""
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
        # A rule of the document may have reported it already.
        if not self._findings.told(claim):
            self._findings.failed(claim, error)
