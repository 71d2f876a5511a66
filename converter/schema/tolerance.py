"""What a reader of images forgives in an invalid document: faults that well-known tools make, and that harm nobody."""

from __future__ import annotations

from collections.abc import Iterable

from converter.schema.finding import Finding


def blocking(findings: Iterable[Finding], kind: str) -> tuple[Finding, ...]:
    """What forbids to read, or to pass on, a document. A validator must not ask this: it names all errors.

    A member in another case is one to Go and none to others: a manifest with one is two images. Configurations and
    ACIs are read as Go does it.
    """
    unseen = () if kind.startswith("aci-") or kind.endswith("-config") else ("json/key-case",)
    return tuple(
        finding
        for finding in findings
        if finding.rule in unseen or (finding.severity == "error" and not _forgiven(finding))
    )


def _forgiven(finding: Finding) -> bool:
    match finding.rule:
        case "schema/oci-config/type":
            # The Docker Engine writes null for a list or a map that is empty, and Go reads it so.
            return finding.message.startswith("got a JSON null,")
        case "schema/oci-manifest/minItems":
            # An image from scratch has no layers; manifest.md says SHOULD, the official schema demands one.
            return finding.path == "/layers"
        case "schema/oci-manifest/type" | "schema/oci-index/type":
            # docker save writes "manifests": null, and Go's encoder writes null for an empty list.
            return finding.message.startswith("got a JSON null,") and finding.path in {"/layers", "/manifests"}
        case "schema/docker-schema2/required":
            # Whoever fetched it knows its type from elsewhere.
            return finding.message.startswith("got no member 'mediaType',") and finding.path == ""
        case "oci/environment":
            # The Docker Engine runs images with such a line, and drops it; the image's ID is that of all its bytes.
            return True
    return False
