"""The results of validation: findings, the rules behind them, and which findings readers tolerate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from converter.model import media_types as types
from converter.model.frozen import frozen

Severity = Literal["error", "warning"]
Strictness = Literal["compat", "strict"]
STRICTNESS_LEVELS: tuple[Strictness, ...] = ("compat", "strict")

Hit = tuple[str, str]
"""A JSON pointer (RFC 6901), and a message that says what is wrong there."""


@frozen(kw_only=False)
class Finding:
    """One thing wrong with a document or an image; only an ``error`` makes it invalid.

    ``path`` is a JSON pointer (RFC 6901) into the document, empty for the whole document. For an image it begins with
    the part of the image concerned (docs/validation.md).
    """

    path: str
    rule: str
    message: str
    spec: str
    severity: Severity = "error"


@frozen(kw_only=False)
class Rule:
    """One thing that a document must or should comply with.

    ``compat`` and ``strict`` are its severities at the two levels of strictness; None if a level lacks the rule.
    ``note`` says where the reference and the text differ. ``check`` finds the violations in a document; it is None for
    rules that the JSON reader or a schema checks. It must also cope with documents that violate their schema.
    ``in_schema`` is true of what a schema states, so that any validator finds it.
    """

    name: str
    title: str
    spec: str
    kinds: tuple[str, ...]
    check: Callable[[Any], Iterable[Hit]] | None = None
    compat: Severity | None = "error"
    strict: Severity | None = "error"
    note: str = ""
    in_schema: bool = False

    def severity(self, strictness: Strictness) -> Severity | None:
        """The severity of a violation; None if that level lacks the rule."""
        return self.compat if strictness == "compat" else self.strict


@frozen(kw_only=False)
class Tolerated(Finding):
    """A fault that readers accept, since real tools write it. A validator reports it like any other."""


def blocking_findings(findings: Iterable[Finding], kind: str) -> tuple[Finding, ...]:
    """The findings that forbid reading a document or passing it on. Not for a validator, which reports all errors.

    A member in different case is known to Go and unknown to others: a manifest with one would be two images.
    Configurations and ACIs are read as Go reads them.
    """
    unseen = () if kind.startswith("aci-") or kind.endswith("-config") else ("json/key-case", "docker/v1-key-case")
    return tuple(
        finding
        for finding in findings
        if finding.rule in unseen or (finding.severity == "error" and not isinstance(finding, Tolerated))
    )


def is_tolerated(rule: str, path: str, value: Any) -> bool:
    """Whether readers accept a violation; ``value`` is what is at the path, or the name of a member missing there."""
    match rule:
        case "schema/oci-config/type":
            # The Docker Engine writes null for an empty list or map, and Go reads it as one.
            return value is None
        case "schema/oci-manifest/minItems":
            # An image from scratch has no layers; manifest.md says SHOULD, the official schema requires one.
            return path == "/layers"
        case "schema/oci-manifest/type" | "schema/oci-index/type":
            # docker save writes "manifests": null, and Go's encoder writes null for an empty list.
            return value is None and path in {"/layers", "/manifests"}
        case "schema/docker-schema2/required":
            # Whoever fetched the document knows its type from elsewhere.
            return (path, value) == ("", "mediaType")
        case "docker/layer-media-type":
            # BuildKit's, which no specification has.
            return bool(value == types.DOCKER_LAYER_ZSTD)
        case "oci/environment":
            # The Docker Engine runs images with such a line and drops it; the image's ID covers all its bytes.
            return True
    return False
