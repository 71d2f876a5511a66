"""The name and platform of an image in appc's terms (spec 0.8.11, types.md and aci.md, "labels")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from converter.errors import unless_invalid
from converter.model.platform import Platform
from converter.model.reference import ImageName

IDENTIFIER = re.compile(r"[a-z0-9]([a-z0-9\-._~/]*[a-z0-9])?")
"""An AC Identifier as the reference library reads it: runs of separators, which Docker names have, are allowed."""

ASSUMED = Platform(os="linux", architecture="amd64")
"""The platform of an image that names none, where one is required; never the converting machine's."""

ARCHITECTURES: Mapping[str, Mapping[str, tuple[str, str] | None]] = {
    "linux": {
        "amd64": ("amd64", ""),
        "i386": ("386", ""),
        "aarch64": ("arm64", ""),
        "aarch64_be": None,
        "armv6l": ("arm", "v6"),
        "armv7l": ("arm", "v7"),
        "armv7b": None,
        "ppc64": ("ppc64", ""),
        "ppc64le": ("ppc64le", ""),
        "s390x": ("s390x", ""),
    },
    "freebsd": {"amd64": ("amd64", ""), "i386": ("386", ""), "arm": ("arm", "")},
    "darwin": {"x86_64": ("amd64", ""), "i386": ("386", "")},
}
"""By operating system and appc architecture (types.ValidOSArch of appc/spec): Go's architecture and variant; None if it
has no name for it.
"""


def sanitised_identifier(text: str) -> str:
    """``text`` as an AC Identifier, by docker2aci's rule; empty if nothing is left."""
    return re.sub(r"[^a-z0-9\-._~/]", "_", text.lower()).strip("-._~/")


def sanitised_name(text: str) -> str:
    """``text`` as an AC Name, by docker2aci's rule; empty if nothing is left."""
    return re.sub(r"[^a-z0-9-]", "-", text.lower()).strip("-")


def platform_labels(platform: Platform) -> dict[str, str]:
    """The labels ``arch`` and ``os`` of a platform; none if appc does not know the pair.

    An arm without a variant gets the lowest one, as in the reference; elsewhere it is v7.
    """
    normal = platform.normalised()
    known = ARCHITECTURES.get(normal.os, {})
    bare = (platform.architecture, platform.variant) == ("arm", "")
    for arch, named in known.items():
        if named is None:
            same = arch == platform.architecture
        else:
            same = normal.architecture == named[0] and (bare or named[1] in ("", normal.variant))
        if same:
            return {"arch": arch, "os": normal.os}
    return {}


def platform_of(labels: Mapping[str, str]) -> tuple[Platform, Literal["", "assumed", "nameless"]]:
    """The platform that labels name, and how: "" if stated in full, "assumed" if a part had to be assumed.

    "nameless" is a pair that Go has no name for; the platform then has appc's names.
    """
    os, arch = labels.get("os", ""), labels.get("arch", "")
    known = ARCHITECTURES.get(os or ASSUMED.os, {}).get(arch)
    if known is not None:
        architecture, variant = known
        return Platform(os=os or ASSUMED.os, architecture=architecture, variant=variant), "" if os else "assumed"
    if os and arch:
        return Platform(os=os, architecture=arch), "nameless"
    return Platform(os=os or ASSUMED.os, architecture=arch or ASSUMED.architecture), "assumed"


def identifier_and_version(reference: str) -> tuple[str, str]:
    """The AC Identifier and the version for a Docker reference; the version is empty if there is no tag."""
    parsed = unless_invalid(ImageName.parse, reference)
    return (sanitised_identifier(parsed.name), parsed.tag) if parsed else (sanitised_identifier(reference), "")


def reference_of(name: str, version: str) -> str:
    """A Docker reference for an ACI; characters not allowed become ``-`` in its name and ``_`` in its tag."""
    parts = [re.sub(r"[^a-z0-9._-]|[._-]{2,}", "-", part).strip("._-") for part in name.split("/")]
    repository = "/".join(part for part in parts if part) or "image"
    tag = re.sub(r"[^A-Za-z0-9_.-]", "_", version)[:128].lstrip(".-") or "latest"
    return f"{repository}:{tag}"
