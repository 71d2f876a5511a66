"""The name of an image at its destination: from a template for its repository, and its tag at the source."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Self

from converter.errors import Invalid, Usage
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location, is_name
from converter.stores import require_writable

DEFAULT = "{name}"
"""As skopeo: the last component of the repository. ``{host}/{repository}`` is what it does with ``--scoped``."""
FROM_REGISTRY = "{repository}"
"""Where all repositories of a registry are meant, of which several may end alike."""

FIELDS = ("host", "repository", "name", "tag", "digest")
_FIELD = re.compile(r"\{([^{}]*)\}")
_OWN_TAG = re.compile(r"[:@][^/]*\Z")
_DIRECTORY = re.compile(r"([^:@]+)(?::([^:@/]+)|@([^@/]+))")
"""The name that ``skopeo sync``, and this program, give to the directory of an image."""


@frozen
class SourceName:
    """The name of an image at its source; ``name`` is the last component of ``repository``."""

    host: str = ""
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def of(cls, source: Location, name: str, place: str = "") -> Self:
        """Of a reference, and a name within it; a directory is named by its path below ``place``. Raises Invalid."""
        if source.kind.access == "registry" or (source.kind.access == "engine" and is_name(source.path)):
            full = ImageName.parse(source.path).tagged()
            return cls(host=full.host, repository=full.repository, tag=full.tag, digest=str(full.digest or ""))
        if source.kind.attached == "directory" and (found := _DIRECTORY.fullmatch(_path_below(source.path, place))):
            return cls(repository=found[1], tag=found[2] or "", digest=found[3] or "")
        stem = Path(source.path).name.partition(".")[0].lower() or "image"
        if not name or name.startswith("@"):
            return cls(repository=stem, tag=name.removeprefix("@") or "latest")
        if ":" not in name and "/" not in name:
            return cls(repository=stem, tag=name)
        host, slash, rest = name.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, rest = "", name
        repository, _, tag = rest.partition(":")
        return cls(host=host, repository=repository, tag=tag or "latest")

    @property
    def name(self) -> str:
        """The last component of the repository."""
        return self.repository.rpartition("/")[2]

    def rendered(self, template: str) -> str:
        """Render a template; tag or digest is appended if the template has no field for them and no tag of its own."""
        text = _FIELD.sub(lambda match: str(getattr(self, match[1])), template)
        if "{tag}" in template or "{digest}" in template or _OWN_TAG.search(template):
            return text
        return f"{text}@{self.digest}" if self.digest else f"{text}:{self.tag}"


def _path_below(path: str, place: str) -> str:
    """The path relative to a place; for the place itself, its last component."""
    below = os.path.relpath(path, place or path)
    return Path(path).absolute().name if below == "." else below


def check_template(template: str) -> str:
    """The template itself; raises Usage for an unknown field."""
    for found in _FIELD.findall(template):
        if found not in FIELDS:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise Usage(f'unknown field {{{found[:60]}}} in the name "{template[:200]}" (one of: {known})')
    return template


def destination_of(to: Location, called: SourceName, template: str) -> Location:
    """The destination of an image below ``to``: a repository, a name in a layout, a file. Raises Invalid, Usage."""
    require_writable(to)
    if to.name:
        raise Usage(f"destination {to} has the name of an image: leave it out")
    if "{host}" in template and not called.host:
        raise Invalid(f'the image names no host for "{template}": leave out {{host}}')
    name = called.rendered(template)
    if any(part in ("", ".", "..") for part in name.split("/")) or not name.isprintable():
        raise Invalid(f'invalid name "{name[:200]}": expected parts between slashes, none of them empty, "." or ".."')
    path = to.path.rstrip("/") if to.path.strip("/") else to.path
    if to.kind.access == "registry":
        ImageName.parse(f"{path}/{name}")
    if to.kind.holds == "name":
        return replace(to, path=f"{path}/{name}" if path else name)
    ending = to.kind.ending
    if ending is None and to.kind.holds == "several":
        return replace(to, name=name)
    return replace(to, path=f"{path}/{re.sub('[:@]', '-', name)}{ending}" if ending else f"{path}/{name}")
