"""Everything wrong with a document, at once."""

from __future__ import annotations

from converter.schema import Finding, Profile, check


def validate_document(data: bytes, kind: str, profile: Profile = "compat") -> tuple[Finding, ...]:
    """Everything wrong with one JSON document of a kind (``converter.schema.KINDS``); () where there is nothing.

    ``compat`` agrees with the reference implementations, ``strict`` with the text of the specifications. A finding that
    is only a warning leaves the document valid. Raises Usage for an unknown kind. That a document is valid says nothing
    about the blobs that it names.
    """
    return check(data, kind, profile)
