"""Descriptors: what identifies a blob, by digest (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Self

from converter.errors import Invalid
from converter.model.digest import Digest
from converter.model.document import type_name
from converter.model.frozen import frozen
from converter.model.platform import Platform

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
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    artifact_type: str = ""
    data: bytes | None = None
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, data: bytes, media_type: str, algorithm: str = "sha256", **more: Any) -> Self:
        """Describe bytes in memory."""
        return cls(media_type=media_type, digest=Digest.of(data, algorithm), size=len(data), **more)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read a descriptor from a document; raises Invalid with the member that is wrong."""
        if not isinstance(value, dict):
            raise Invalid(f"got a JSON {type_name(value)} for a descriptor, want an object")
        media_type, digest, size = value.get("mediaType", ""), value.get("digest"), value.get("size")
        if not isinstance(media_type, str):
            raise Invalid(f"got a JSON {type_name(media_type)} for mediaType, want a string")
        if not isinstance(digest, str):
            raise Invalid(f"got a JSON {type_name(digest)} for digest, want a string")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise Invalid(f"got {size!r} for size, want a number of bytes")
        artifact_type = value.get("artifactType") or ""
        if not isinstance(artifact_type, str):
            raise Invalid(f"got a JSON {type_name(artifact_type)} for artifactType, want a string")
        return cls(
            media_type=media_type,
            digest=Digest.parse(digest),
            size=size,
            urls=_texts(value, "urls"),
            annotations=_text_map(value, "annotations"),
            platform=platform_from_json(value["platform"]) if value.get("platform") else None,
            artifact_type=artifact_type,
            data=_data(value.get("data")),
            other={key: member for key, member in value.items() if key not in _KNOWN},
        )

    def to_json(self) -> dict[str, Any]:
        """The members in the order in which Go writes them; empty ones are left out."""
        members: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            members["urls"] = list(self.urls)
        if self.annotations:
            members["annotations"] = dict(self.annotations)
        if self.data is not None:
            members["data"] = base64.b64encode(self.data).decode()
        if self.platform is not None:
            members["platform"] = platform_to_json(self.platform)
        if self.artifact_type:
            members["artifactType"] = self.artifact_type
        return members | dict(self.other)

    def bare(self) -> Descriptor:
        """Only what identifies the bytes: media type, digest, size."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)

    def retyped(self, media_type: str) -> Descriptor:
        """The same bytes under another media type."""
        return replace(self, media_type=media_type)

    def sized(self, size: int) -> Descriptor:
        """The same blob with its size in bytes filled in if it was unknown; a known size stays."""
        return replace(self, size=size) if self.size == -1 else self


def platform_from_json(value: Any) -> Platform:
    """Read the ``platform`` object of a descriptor, or the same members of a configuration; raises Invalid."""
    if not isinstance(value, dict):
        raise Invalid(f"got a JSON {type_name(value)} for a platform, want an object")
    texts = {key: value.get(key) or "" for key in ("os", "architecture", "variant", "os.version")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise Invalid(f"got a JSON {type_name(text)} for {key}, want a string")
    return Platform(
        os=texts["os"],
        architecture=texts["architecture"],
        variant=texts["variant"],
        os_version=texts["os.version"],
        os_features=_texts(value, "os.features"),
    )


def platform_to_json(platform: Platform) -> dict[str, Any]:
    """The members in the order in which Go writes them."""
    members: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        members["os.version"] = platform.os_version
    if platform.os_features:
        members["os.features"] = list(platform.os_features)
    if platform.variant:
        members["variant"] = platform.variant
    return members


def _texts(value: Mapping[str, Any], member: str) -> tuple[str, ...]:
    """An array of strings; empty if null or absent, as in Go."""
    texts = value.get(member) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Invalid(f"got {member} that is no array of strings, want one")
    return tuple(texts)


def _text_map(value: Mapping[str, Any], member: str) -> Mapping[str, str]:
    texts = value.get(member) or {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise Invalid(f"got {member} that are no object of strings, want one")
    return texts


def _data(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Invalid("got data that is not base64, want the blob's bytes (descriptor.md, data)") from None
