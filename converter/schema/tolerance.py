"""What readers tolerate in an invalid document: harmless faults that well-known tools make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from converter.model import media_types as types
from converter.schema.finding import Finding


def blocking(findings: Iterable[Finding], kind: str) -> tuple[Finding, ...]:
    """The findings that forbid reading a document or passing it on. Not for a validator, which reports all errors.

    A member in different case is known to Go and unknown to others: a manifest with one would be two images.
    Configurations and ACIs are read as Go reads them.
    """
    unseen = () if kind.startswith("aci-") or kind.endswith("-config") else ("json/key-case",)
    return tuple(
        finding
        for finding in findings
        if finding.rule in unseen or (finding.severity == "error" and not _forgiven(finding))
    )


def in_an_image(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings about a document as part of an image, under ``compat``: a null in a configuration is a warning.

    A configuration passes from Docker to OCI byte for byte, and whatever runs or unpacks the image reads the null. The
    official schema refuses it in a document alone.
    """
    for one in findings:
        yield replace(one, severity="warning") if _null_in_config(one) else one


def _null_in_config(finding: Finding) -> bool:
    """The Docker Engine writes null for an empty list or map, and Go reads it as one."""
    return finding.rule == "schema/oci-config/type" and finding.message.startswith("got a JSON null,")


def _forgiven(finding: Finding) -> bool:
    if _null_in_config(finding):
        return True
    match finding.rule:
        case "schema/oci-manifest/minItems":
            # An image from scratch has no layers; manifest.md says SHOULD, the official schema requires one.
            return finding.path == "/layers"
        case "schema/oci-manifest/type" | "schema/oci-index/type":
            # docker save writes "manifests": null, and Go's encoder writes null for an empty list.
            return finding.message.startswith("got a JSON null,") and finding.path in {"/layers", "/manifests"}
        case "schema/docker-schema2/required":
            # Whoever fetched the document knows its type from elsewhere.
            return finding.message.startswith("got no member 'mediaType',") and finding.path == ""
        case "docker/layer-media-type":
            # BuildKit's, which no specification has.
            return finding.message.startswith(f"got {types.DOCKER_LAYER_ZSTD!r},")
        case "oci/environment":
            # The Docker Engine runs images with such a line and drops it; the image's ID covers all its bytes.
            return True
    return False
