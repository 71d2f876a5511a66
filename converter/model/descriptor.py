"""Digests and descriptors: what identifies content (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Self

from converter.errors import (
    Invalid,
    Unsupported,
    within,
)
from converter.model.document import (
    decode_base64,
    expect_type,
    member_or_empty,
    optional_member,
    required_member,
    text_list,
    text_map,
)
from converter.model.frozen import frozen
from converter.model.platform import Platform

GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@frozen(kw_only=False)
class Digest:
    """An algorithm and the encoded hash of some bytes; ``str`` gives ``sha256:…``."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:encoded``; raises Invalid for wrong syntax, or a wrong length for a known algorithm."""
        match = GRAMMAR.fullmatch(text)
        if match is None:
            raise Invalid(f'invalid digest "{text[:100]}": expected ALGORITHM:HEX, as in sha256:…')
        algorithm, encoded = match.groups()
        length = HEX_LENGTHS.get(algorithm)
        if length is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", encoded):
            raise Invalid(f'invalid {algorithm} digest "{encoded[:140]}": expected {length} lower-case hex digits')
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """The digest of bytes in memory; raises Unsupported if it cannot be computed."""
        return cls(algorithm, new_hasher(algorithm, data).hexdigest())

    @property
    def dashed(self) -> str:
        """``sha512-…``: the image ID of an ACI, and the prefix of tags that refer to an image."""
        return f"{self.algorithm}-{self.encoded}"

    def __lt__(self, other: Digest) -> bool:
        return (self.algorithm, self.encoded) < (other.algorithm, other.encoded)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def new_hasher(algorithm: str, data: bytes = b"") -> hashlib._Hash:
    """A hash that has seen ``data``; raises Unsupported for an algorithm that image specifications do not register."""
    if algorithm not in HEX_LENGTHS:
        raise Unsupported(f'unsupported digest algorithm "{algorithm}" (one of: {", ".join(HEX_LENGTHS)})')
    return hashlib.new(algorithm, data)


_KNOWN = frozenset(
    ("mediaType", "digest", "size", "urls", "annotations", "platform", "artifactType", "data"),
)


@frozen
class Descriptor:
    """A claim about bytes that are stored elsewhere.

    ``size`` is in bytes, -1 if unknown (schema1); ``other`` holds the members that no specification names.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str = ""
    data: bytes | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> Self:
        """Describe bytes in memory."""
        return cls(media_type=media_type, digest=Digest.of(data, algorithm), size=len(data), **more)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a descriptor from a document; raises Invalid with the member that is wrong."""
        value = expect_type(value, dict)
        size = required_member(value, "size", int)
        if size < 0:
            raise Invalid(f"expected a number of bytes, found {size}", "size")
        with within("platform"):
            platform = platform_from_json(value["platform"]) if value.get("platform") else None
        return cls(
            media_type=optional_member(value, "mediaType", str) or "",
            digest=Digest.parse(required_member(value, "digest", str)),
            size=size,
            urls=text_list(value, "urls"),
            annotations=text_map(value, "annotations"),
            platform=platform,
            artifact_type=member_or_empty(value, "artifactType", str),
            data=None if value.get("data") is None else decode_base64(required_member(value, "data", str), "data"),
            other={key: found for key, found in value.items() if key not in _KNOWN},
        )

    def to_json(self) -> dict[str, Any]:
        """The members in the order in which Go writes them; empty ones are left out."""
        optional = {
            "urls": list(self.urls) or None,
            "annotations": dict(self.annotations) or None,
            "data": None if self.data is None else base64.b64encode(self.data).decode(),
            "platform": None if self.platform is None else platform_to_json(self.platform),
            "artifactType": self.artifact_type or None,
        }
        return {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **{name: value for name, value in optional.items() if value is not None},
            **self.other,
        }

    def bare(self) -> Descriptor:
        """Only what identifies the bytes: media type, digest, size."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)

    def retyped(self, media_type: str) -> Descriptor:
        """The same bytes under another media type."""
        return replace(self, media_type=media_type)

    def sized(self, size: int) -> Descriptor:
        """The same blob with its size in bytes filled in if it was unknown; a known size stays."""
        return replace(self, size=size) if self.size == -1 else self


def descriptors(document: Mapping[str, Any], name: str) -> tuple[Descriptor, ...]:
    """The descriptors of a list, which may be missing or null; raises Invalid with the place of a wrong one."""
    found = []
    for place, row in enumerate(member_or_empty(document, name, list)):
        with within(f"{name}[{place}]"):
            found.append(Descriptor.from_json(row))
    return tuple(found)


def subject_of(document: Mapping[str, Any]) -> Digest | None:
    """The digest of the manifest that a document refers to; None without a subject. Raises Invalid."""
    subject = document.get("subject")
    return Descriptor.from_json(subject).digest if subject else None


def platform_from_json(value: Any) -> Platform:
    """Read the ``platform`` object of a descriptor, or the same members of a configuration; raises Invalid."""
    value = expect_type(value, dict)
    return Platform(
        os=member_or_empty(value, "os", str),
        architecture=member_or_empty(value, "architecture", str),
        variant=member_or_empty(value, "variant", str),
        os_version=member_or_empty(value, "os.version", str),
        os_features=text_list(value, "os.features"),
    )


def platform_to_json(platform: Platform) -> dict[str, Any]:
    """The members in the order in which Go writes them."""
    optional = {
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    stated = {name: value for name, value in optional.items() if value}
    return {"architecture": platform.architecture, "os": platform.os, **stated}
