"""Validates a document or a whole image, and reports everything wrong with it at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converter.errors import ConverterError
from converter.events import Report, silent
from converter.model.frozen import frozen
from converter.model.limits import enforce_limits
from converter.schema import Finding, Strictness, check_document, is_valid
from converter.validate.rules import IMAGE_KINDS, all_rules

if TYPE_CHECKING:
    from converter.model.reference import Reference
    from converter.stores import StoreOptions

__all__ = [
    "IMAGE_KINDS",
    "UNKNOWN",
    "Verdict",
    "all_rules",
    "unreadable_target",
    "validate_document",
    "validate_image",
]

UNKNOWN = "unknown"
"""The kind of what is not an image, or cannot be examined."""


@frozen
class Verdict:
    """The kind of an image (one of ``IMAGE_KINDS``, or ``UNKNOWN``), and everything wrong with it."""

    kind: str
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        """Whether the findings are warnings at most."""
        return is_valid(self.findings)


def validate_document(
    data: bytes | bytearray | memoryview, kind: str, profile: Strictness = "compat"
) -> tuple[Finding, ...]:
    """Everything wrong with one JSON document of a kind (``converter.schema.KINDS``); () if nothing is.

    ``profile`` is the strictness: ``compat`` agrees with the reference implementations, ``strict`` with the text of the
    specifications. A document with only warnings is valid. Raises Usage for an unknown kind, and TypeError for anything
    but bytes: a decoded text has lost some of what is to be checked. A valid document says nothing about the blobs that
    it names.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"the document is of type {type(data).__name__}: expected bytes")
    return check_document(bytes(data), kind, profile)


def validate_image(
    reference: Reference, profile: Strictness = "compat", *, store: StoreOptions | None = None, report: Report = silent
) -> Verdict:
    """Everything wrong with the image that a reference names or, without a name, with all images in its store.

    Every blob is read, and every claim is recomputed: digests, sizes, diff_ids, the format of archives and layers.
    Anything wrong with the image is a finding; an exception means that it could not be examined: NotFound if there is
    nothing of that name, Unreachable, Denied, StorageFailed, Usage. No signature is verified.
    """
    # Imported here, since documents need no stores.
    from converter.model.reference import Location
    from converter.stores import StoreOptions
    from converter.validate.blobs import BlobReader
    from converter.validate.examination import examine
    from converter.validate.findings import Findings

    location, options = Location.parse(reference), store or StoreOptions()
    findings = Findings(profile)
    blobs = BlobReader(findings, report, local=location.kind.access != "registry")
    with enforce_limits(options.limits):
        kind = examine(location, replace(options, problems=findings), blobs)
    return Verdict(kind=kind, findings=findings.all())


def unreadable_target(error: ConverterError, profile: Strictness = "compat") -> Finding:
    """The error that stopped the validation of one target, as a finding to report with those of others."""
    from converter.validate.findings import Findings

    findings = Findings(profile)
    findings.add("image/unreadable", "", str(error))
    return findings.all()[0]
