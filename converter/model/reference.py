"""How images are named: Docker references (distribution/reference), TRANSPORT:LOCATION as containers/image spells it,
standard input and output, and the annotations in which a name is stored.

An image has its name where it is stored in annotations (image-spec 1.1.1, annotations.md; containerd's own one).
"""

from __future__ import annotations

import re
from os import PathLike, fspath
from typing import Self

from converter.errors import Invalid, Usage, unless_invalid
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.transport import TRANSPORTS, Transport, reference_start

Reference = str | PathLike[str]
"""What callers pass: TRANSPORT:LOCATION or a bare path as str, or a path object, which may contain any colons."""

STDIN, STDOUT = ("-", "/dev/stdin"), ("-", "/dev/stdout")
"""The paths of standard input and of standard output."""

DEFAULT_HOST = "docker.io"

# Compiled on first use: an image in a file has no registry name.
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
"""What is between the slashes of a repository's name."""
_REPOSITORY = rf"{COMPONENT}(?:/{COMPONENT})*"
_HOST = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_AT_DIGEST = r"(?P<path>[^:@]+):?(?P<name>@[a-z0-9]+:[0-9a-f]{64,128})"
"""A path with a digest in place of a name."""
_AT_ALGORITHM = r"@((?:sha256|sha384|sha512):[^:/]*)$"
_DRIVE = r"[A-Za-z]:[\\/]"
_NAME_LENGTH = 255


@frozen
class ImageName:
    """A repository on a host, with a tag or a digest; ``str`` gives the full name."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``[HOST[:PORT]/]REPO[:TAG|@DIGEST]``; raises Invalid.

        The first part is a host only if it has a dot or a colon, or is ``localhost``. A name without a slash is in
        ``docker.io/library``.
        """
        if text.find("/") == len(text) - 1:  # nothing at all, or a host alone
            raise Invalid(f'no repository in "{text}": expected [HOST[:PORT]/]REPO[:TAG|@DIGEST]')
        found = cls.parse_signed(text)
        if found.tag and found.digest:
            raise Invalid(f'reference "{text}" has a tag and a digest: only one of them is allowed')
        return found

    @classmethod
    def parse_signed(cls, text: str) -> Self:
        """Like ``parse``, but for names in signatures, which may have both a tag and a digest."""
        if re.fullmatch("[0-9a-f]{64}", text):
            raise Invalid(f"{text} cannot be a name: to Docker, 64 hex digits are the ID of an image")
        rest, at, encoded = text.partition("@")
        if at and "/" in encoded:  # a digest has no slash; nothing is quoted, as it may be a password
            raise Invalid("credentials cannot be part of a reference: use --creds USER:PASSWORD")
        digest = Digest.parse(encoded) if at else None
        head, colon, tail = rest.rpartition(":")
        rest, tag = (head, tail) if tail and colon and "/" not in tail else (rest, "")
        host, repository = split_host(rest)
        if host in ("", "index.docker.io", DEFAULT_HOST):
            host = DEFAULT_HOST
            repository = repository if "/" in repository else f"library/{repository}"
        if len(host) + 1 + len(repository) > _NAME_LENGTH:
            length = len(host) + 1 + len(repository)
            raise Invalid(f"repository name of {length} characters: at most {_NAME_LENGTH} are allowed")
        if not re.fullmatch(_HOST, host) or not re.fullmatch(_REPOSITORY, repository):
            raise Invalid(f'invalid reference "{text[:300]}": expected [HOST[:PORT]/]REPO[:TAG|@DIGEST] in lower case')
        if tag and not re.fullmatch(_TAG, tag):
            raise Invalid(f'invalid tag "{tag[:140]}": expected at most 128 letters, digits, "_", "." and "-"')
        return cls(host=host, repository=repository, tag=tag, digest=digest)

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The name as Docker shows it: without its own host, and without ``library/``."""
        if self.host != DEFAULT_HOST:
            return self.name
        return self.repository.removeprefix("library/")

    @property
    def bare(self) -> bool:
        """Whether the name has neither tag nor digest."""
        return not (self.tag or self.digest)

    def tagged(self) -> ImageName:
        """The same name, with the tag ``latest`` if it is bare."""
        if not self.bare:
            return self
        return ImageName(host=self.host, repository=self.repository, tag="latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


@frozen
class Location:
    """Where an image is stored; ``transport`` is empty for a bare path, whose content decides the format."""

    transport: str
    path: str
    name: str = ""

    @classmethod
    def parse(cls, text: Reference) -> Self:
        """Read ``TRANSPORT:PATH[:NAME]`` or a bare path; raises Usage, or TypeError for anything but a str or a path.

        Where there may be several images, the path ends at its first colon, not counting that of a Windows drive
        letter.
        """
        if isinstance(text, PathLike):
            return cls(transport="", path=fspath(text))
        if not isinstance(text, str):
            raise TypeError(f"reference of type {type(text).__name__}: expected TRANSPORT:LOCATION as a str, or a path")
        transport, colon, rest = text.partition(":")
        if not text:
            raise Usage("the reference is empty: expected TRANSPORT:LOCATION, as in oci:app:latest")
        kind = TRANSPORTS.get(transport) if colon else None
        if kind is None:
            if colon and (re.fullmatch(r"[a-z][a-z_-]+", transport) or transport.lower() in TRANSPORTS):
                raise _no_transport(transport, text)
            return cls(transport="", path=text)
        if kind.access == "registry":
            if rest.startswith("//"):
                return cls(transport=transport, path=rest[2:])
            file = f"docker-archive:{rest or 'PATH'} for a file"
            raise Usage(f'"{text}" lacks its slashes: docker://HOST/REPO[:TAG], or {file}')
        path, name = _split_path(rest) if kind.holds == "several" else (rest, "")
        if not path and kind.on_disk:
            raise Usage(f'"{text}" has no path: expected {transport}:PATH')
        return cls(transport=transport, path=path, name=name)

    @property
    def is_registry(self) -> bool:
        """Whether it is a registry, ``docker://HOST/``, or the part of one below a prefix, ``docker://HOST/TEAM/``."""
        return self.kind.access == "registry" and self.path.endswith("/")

    @property
    def image_name(self) -> ImageName | None:
        """The name of an image, or of its repository, in a registry; None for any other place. Raises Invalid."""
        return ImageName.parse(self.path) if self.kind.access == "registry" else None

    @property
    def kind(self) -> Transport:
        """The properties of the transport; the defaults for a bare path."""
        return TRANSPORTS.get(self.transport) or Transport()

    @property
    def piped(self) -> bool:
        """Whether what refers to the image would lie beside a file that is piped, and so has no place."""
        return self.kind.attached == "beside" and self.path in STDOUT

    @property
    def attached(self) -> str:
        """How what refers to an image is stored there (``Transport.attached``); empty if it has no place."""
        return "" if self.piped else self.kind.attached

    def __str__(self) -> str:
        start = reference_start(self.transport)
        by_digest = self.name.startswith("@") and ":" in self.name
        return f"{start}{self.path}{':' if self.name and not by_digest else ''}{self.name}"


def split_host(name: str) -> tuple[str, str]:
    """The host that a name begins with, empty if it begins with none, and the rest."""
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return host, rest
    return "", name


def with_namespaces(path: str) -> list[str]:
    """Names between slashes, and what is above the last ones: ``a/b/c``, ``a/b``, ``a``."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def is_name(text: str) -> bool:
    """Whether the text is a valid image name for a registry."""
    return unless_invalid(ImageName.parse, text) is not None


def _no_transport(transport: str, text: str) -> Usage:
    from difflib import get_close_matches

    if transport in ("http", "https"):
        rest = text.partition(":")[2].strip("/")
        way = " --tls-verify=false" if transport == "http" else ""
        return Usage(f'"{text}" is a URL; an image in a registry: docker://{rest or "HOST/REPO"}{way}')
    if transport == "containers-storage":
        ways = "`podman save -o x.tar IMAGE` writes docker-archive:x.tar, `podman load -i x.tar` reads it"
        return Usage(f"containers-storage: is not supported: {ways}")
    # Many images are called "app".
    others = [one for one in TRANSPORTS if one != "appc"]
    if close := get_close_matches(transport.lower(), others, n=1, cutoff=0.8):
        return Usage(f'unknown transport "{transport}": did you mean {close[0]}?')
    if is_name(text):
        places = f"docker://{text} (a registry), docker-daemon:{text} (the Docker Engine) or oci:{text} (a layout)"
        return Usage(f'unknown transport "{transport}": say {places}')
    known = f"one of: {', '.join(TRANSPORTS)}"
    return Usage(f'unknown transport "{transport}" ({known})')


def _split_path(text: str) -> tuple[str, str]:
    if found := re.fullmatch(_AT_DIGEST, text):
        return found["path"], found["name"]
    if found := re.search(_AT_ALGORITHM, text):
        Digest.parse(found[1])  # raises Invalid: it has the wrong length, or other letters
    start = 2 if re.match(_DRIVE, text) else 0
    path, _, name = text[start:].partition(":")
    return text[:start] + path, name


REF_NAME = "org.opencontainers.image.ref.name"
"""Where layouts keep a name; only the tag if FULL_NAME is there too."""
FULL_NAME = "io.containerd.image.name"
"""Where Docker and containerd keep the full name."""
NAMES = frozenset((REF_NAME, FULL_NAME))
"""Annotations that say what an image is called where it is stored, not what it is."""
TITLE = "org.opencontainers.image.title"
"""The annotation with a display name of a blob or an image."""

RECIPE = "appc.io/aci/recipe"
"""On a layer of a manifest: how the image that it was made from is made of it again, bit for bit."""

_ATTACHMENT_TAG = r"(sha256|sha384|sha512)-[0-9a-f]{64,128}(\..+)?"


def name_at_source(location: Location, name: str, root: Descriptor) -> str:
    """The name of an image at its source: its full name, else a layout's short one; empty if it has none.

    ``name`` is its name within the location.
    """
    if repository := location.image_name:
        return f"{repository.name}:{name}" if name else str(repository.tagged())
    asked = location.path if location.kind.access == "engine" else name
    short = root.annotations.get(REF_NAME, "")
    return next((text for text in (root.annotations.get(FULL_NAME, ""), asked, short) if is_full(text)), short)


def is_full(name: str) -> bool:
    """Whether a name is more than a tag: Docker loads names of the form REPO:TAG."""
    parsed = None if name.startswith("sha256:") else unless_invalid(ImageName.parse, name)
    return parsed is not None and bool(parsed.tag)


def is_of_attachment(tag: str) -> bool:
    """Whether a tag belongs to an image's referrer (cosign, the referrers fallback), which is moved with the image."""
    return bool(re.fullmatch(_ATTACHMENT_TAG, tag))
