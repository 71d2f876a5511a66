"""Helpers to declare the rules of whole images."""

from __future__ import annotations

from converter.schema import Rule, Severity

ALL = ("oci-image", "docker-image", "aci-image")
LAYERED = ("oci-image", "docker-image")
OCI = ("oci-image",)
DOCKER = ("docker-image",)
ACI = ("aci-image",)
"""Kinds of images, by their format."""

SPEC = "image-spec 1.1.1, "
LAYER = SPEC + "layer.md, "


def image_rule(
    name: str,
    title: str,
    spec: str,
    kinds: tuple[str, ...],
    *,
    compat: Severity | None = "error",
    strict: Severity | None = "error",
    note: str = "",
) -> Rule:
    """A rule of whole images, which no single document is checked against."""
    return Rule(name=name, title=title, spec=spec, kinds=kinds, compat=compat, strict=strict, note=note)
