"""Documents that are read or written: checked against their digest, their schema and their rules."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Protocol

from converter.errors import Invalid, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Digest
from converter.model.document import load_object
from converter.model.limits import in_force


class SoundDocuments(Protocol):
    """The documents already found to be sound, in earlier runs or in this one."""

    def is_valid_document(self, digest: Digest, kind: str) -> bool:
        """Whether a document was found to be valid as one of its kind."""

    def learn_valid(self, digest: Digest, kind: str) -> None:
        """Remember that it is."""


_REMEMBERED: ContextVar[SoundDocuments | None] = ContextVar("sound documents", default=None)


def remember_sound(sound: SoundDocuments) -> AbstractContextManager[None]:
    """Skip the check of documents known to be sound, and record new ones: a schema's validator is slow to start."""
    return in_force(_REMEMBERED, sound)


def read_document(known: Known, media_type: str = "") -> dict[str, Any]:
    """The document as JSON; raises Invalid with what is wrong with it as one of its media type, or of the one given.

    An index is not accepted as a manifest, nor a manifest as an index (GHSA-77vh-xpmg-72qh); one that states the other
    dialect's media type is, as in all readers.
    """
    data = known.read()
    require_valid(data, types.KINDS[media_type or known.descriptor.media_type])
    document = load_object(data)
    stated, listed = document.get("mediaType"), known.descriptor.media_type
    # In this order: a configuration may have a member of that name, of any type.
    if (listed in types.MANIFESTS and stated in types.INDEXES) or (
        listed in types.INDEXES and stated in types.MANIFESTS
    ):
        raise Invalid(f"mediaType is {stated}: the descriptor says {listed}")
    return document


def require_written(data: bytes, media_type: str) -> None:
    """Raise Invalid if a document about to be written violates its specification."""
    kind = types.KINDS.get(media_type)
    if kind is not None:
        with within(f"written {kind}"):
            require_valid(data, kind)


def require_valid(data: bytes, kind: str) -> None:
    """Raise Invalid with a document's first error and the number of further ones."""
    remembered, digest = _REMEMBERED.get(), Digest.of(data)
    if remembered is not None and remembered.is_valid_document(digest, kind):
        return
    from converter.schema import blocking_findings, check_document

    errors = blocking_findings(check_document(data, kind), kind)
    if errors:
        first, more = errors[0], len(errors) - 1
        rest = f" (and {more} more: transship validate --kind {kind})" if more else ""
        place = f"{first.path}: " if first.path else ""
        raise Invalid(f"{place}{first.message}{rest}")
    if remembered is not None:
        remembered.learn_valid(digest, kind)
