"""That a signature was logged, and when: the entry of Rekor that cosign keeps beside it (cosign's SIGNATURE_SPEC.md).

The log has signed what it was given and the time at which that came. Nobody is asked over the network.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from converter.errors import Invalid, Untrusted, within
from converter.model.document import load_object
from converter.trust.keys import signed
from converter.trust.members import decoded, member, only
from converter.trust.trusted import Trusted

ENTRY = "dev.sigstore.cosign/bundle"
"""The annotation of the signature that has the entry."""

_KIND, _VERSION = "hashedrekord", "0.0.1"
_MEMBERS: dict[str, type] = {"body": str, "integratedTime": int, "logIndex": int, "logID": str}
_EXACT = 2**53
"""Below this, JSON's numbers are whole (RFC 8785, section 3.2.2.3)."""

_PEM = re.compile(rb"\s*-----BEGIN ([A-Z ]+)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----\s*")


def logged(annotations: Mapping[str, str], maker: bytes, raw: bytes, data: bytes, trusted: Trusted) -> datetime:
    """When a trusted log was given the signature ``raw`` over ``data``, made by a key or a certificate (DER).

    Raises Untrusted where none says so, or says so of a later time than the one asked about; Invalid.
    """
    if ENTRY not in annotations:
        raise Untrusted(f"got a signature without the annotation {ENTRY}, want an entry of Rekor")
    with within("entry of Rekor"):
        payload = _signed(annotations[ENTRY].encode(), trusted)
        _check(load_object(decoded(payload["body"], "the body")), maker, raw, data)
        time = payload["integratedTime"]
        if time > trusted.at.timestamp():
            raise Untrusted(f"got one made {time} seconds after 1970, want one by {trusted.at:%Y-%m-%dT%H:%M:%SZ}")
        return datetime.fromtimestamp(time, UTC)


def _signed(entry: bytes, trusted: Trusted) -> dict[str, Any]:
    """What the log has signed, with the types that it has."""
    document = load_object(entry)
    only(document, ("SignedEntryTimestamp", "Payload"), "it")
    payload = member(document, "Payload", dict)
    only(payload, _MEMBERS, "Payload")
    for name, kind in _MEMBERS.items():
        found: Any = member(payload, name, kind)
        if kind is int and not 0 <= found < _EXACT:
            raise Invalid(f"got {found} for {name}, want a number from 0 to 2^53")
    raw = decoded(member(document, "SignedEntryTimestamp", str), "SignedEntryTimestamp")
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if not any(signed(key, raw, canonical) for key in trusted.logs):
        raise Untrusted("got one that no trusted log has signed, want it signed")
    return payload


def _check(body: dict[str, Any], maker: bytes, raw: bytes, data: bytes) -> None:
    """Raises Untrusted where an entry is about another signature."""
    if (member(body, "kind", str), member(body, "apiVersion", str)) != (_KIND, _VERSION):
        raise Invalid(f"got one of the kind {body['kind'][:40]!r} {body['apiVersion'][:20]!r}, want {_KIND} {_VERSION}")
    spec = member(body, "spec", dict)
    signature, digest = member(spec, "signature", dict), member(member(spec, "data", dict), "hash", dict)
    key = decoded(member(member(signature, "publicKey", dict), "content", str), "the key")
    if _der(key) != maker:
        raise Untrusted("got one of another key or certificate, want that of the signature")
    if decoded(member(signature, "content", str), "the signature") != raw:
        raise Untrusted("got one of another signature, want this one's")
    if member(digest, "algorithm", str) != "sha256":
        raise Invalid(f"got the algorithm {digest['algorithm'][:20]!r}, want sha256")
    if member(digest, "value", str) != hashlib.sha256(data).hexdigest():
        raise Untrusted("got one over another payload, want this signature's")


def _der(pem: bytes) -> bytes:
    found = _PEM.fullmatch(pem)
    if found is None:
        raise Invalid("got no single PEM block for the key, want one")
    return decoded(b"".join(found[2].split()).decode(), "the key")
