"""JSON documents that contain their signatures: libtrust's "pretty" JWS, as in Docker's schema 1.

The signatures are the last member of the document they cover. Each states in its protected header how many of the
preceding bytes belong to the payload, and what the payload ends with.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from converter.errors import Invalid
from converter.model.document import dump_json, load_object, object_list, required_member


def signed_payload(data: bytes) -> bytes:
    """The bytes that are signed: ``data`` itself if it has no member ``signatures``.

    No signature is verified. Raises Invalid if the signatures do not all give the same payload, or if it differs from
    the document around them: what is signed would not be what is read.
    """
    document = load_object(data)
    if "signatures" not in document:
        return data
    found = {_extent(data, signature) for signature in object_list(document, "signatures")}
    if len(found) != 1:
        raise Invalid(f"signatures of {len(found)} different payloads in one document: exactly one is valid")
    length, tail = found.pop()
    signed = data[:length] + tail
    del document["signatures"]
    # Compare as text, since 1 == True in Python.
    if dump_json(load_object(signed)) != dump_json(document):
        raise Invalid("the document differs from its signed payload")
    return signed


def _extent(data: bytes, signature: dict[str, Any]) -> tuple[int, bytes]:
    """How many bytes of ``data`` belong to the payload, and what follows them there."""
    header = load_object(decode_base64url(required_member(signature, "protected", str)))
    length, tail = required_member(header, "formatLength", int), required_member(header, "formatTail", str)
    if not 0 <= length <= len(data):
        raise Invalid(f"formatLength is {length}: expected 0 to {len(data)}, the length of the document")
    return length, decode_base64url(tail)


def decode_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515, appendix C); raises Invalid."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("invalid base64url in a JWS") from None
