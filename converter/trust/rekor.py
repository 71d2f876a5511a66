"""Whether and when a signature was logged: the Rekor entry that cosign stores with it (cosign's SIGNATURE_SPEC.md).

The log has signed the entry and the time at which it was added. The network is not used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from converter.errors import Invalid, Untrusted, within
from converter.model.document import decode_base64, load_object, object_list, require_only, required_member
from converter.model.frozen import frozen
from converter.trust.keys import format_time, signature_matches
from converter.trust.signature import Trusted, require_at_most

ENTRY = "dev.sigstore.cosign/bundle"
"""The signature's annotation that holds the entry."""

_MEMBERS: dict[str, type] = {"body": str, "integratedTime": int, "logIndex": int, "logID": str}
_EXACT = 2**53
"""Below this, JSON numbers represent integers exactly (RFC 8785, section 3.2.2.3)."""

_PEM = re.compile(rb"\s*-----BEGIN ([A-Z ]+)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----\s*")


@frozen(kw_only=False)
class Logged:
    """What an entry has to be about: a signature, and the bytes that it signs.

    ``envelope`` is the payload of a DSSE envelope if those bytes are its encoding.
    """

    raw: bytes
    data: bytes
    envelope: bytes | None = None


def time_logged(annotations: Mapping[str, str], what: Logged, maker: bytes, trusted: Trusted) -> datetime:
    """The time at which a trusted log added a signature by ``maker``, a key or a certificate (DER).

    Raises Untrusted if no trusted log did, or only after the time in question; and Invalid.
    """
    if ENTRY not in annotations:
        raise Untrusted(f"the signature has no entry of Rekor: the annotation {ENTRY} is missing")
    with within("entry of Rekor"):
        document = load_object(annotations[ENTRY].encode())
        require_only(document, ("SignedEntryTimestamp", "Payload"), "it")
        payload = required_member(document, "Payload", dict)
        promise = required_member(document, "SignedEntryTimestamp", str)
        return _checked_time(payload, promise, what, maker, trusted)


def time_logged_in_bundle(bundle: Mapping[str, Any], what: Logged, maker: bytes, trusted: Trusted) -> datetime:
    """The same for the entries of a Sigstore bundle, at least one of which has to be good."""
    material = required_member(bundle, "verificationMaterial", dict)
    problem: Untrusted | Invalid | None = None
    rows = object_list(material, "tlogEntries") if "tlogEntries" in material else []
    for row in require_at_most(rows, "signers", "entries of logs"):
        try:
            with within("entry of Rekor"):
                payload, promise = _of_bundle(row)
                return _checked_time(payload, promise, what, maker, trusted)
        except (Untrusted, Invalid) as error:
            problem = error
    raise problem or Untrusted("the bundle has no entry of Rekor")


def note_without_log(found: bool, trusted: Trusted) -> str:
    """The note on a good verdict if there is a log entry and no trusted log."""
    return "the entry of Rekor is not checked (--rekor-key)" if found and not trusted.logs else ""


def _of_bundle(row: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The payload of a row, in which numbers are strings (protobuf's JSON), and the log's signature."""
    promise = required_member(required_member(row, "inclusionPromise", dict), "signedEntryTimestamp", str)
    payload = {
        "body": required_member(row, "canonicalizedBody", str),
        "integratedTime": _whole_number(row, "integratedTime"),
        "logIndex": _whole_number(row, "logIndex"),
    }
    log = required_member(row, "logId", dict)
    payload["logID"] = decode_base64(required_member(log, "keyId", str), "the log's ID").hex()
    return payload, promise


def _whole_number(row: dict[str, Any], name: str) -> int:
    text = required_member(row, name, str)
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Invalid(f'{name} is "{text[:20]}": expected a number from 0 to 2^53')
    return int(text)


def _checked_time(payload: dict[str, Any], promise: str, what: Logged, maker: bytes, trusted: Trusted) -> datetime:
    """The time of an entry whose types and log's signature are good, and which is about the signature."""
    require_only(payload, _MEMBERS, "Payload")
    for name, kind in _MEMBERS.items():
        found: Any = required_member(payload, name, kind)
        if kind is int and not 0 <= found < _EXACT:
            raise Invalid(f"{name} is {found}: expected a number from 0 to 2^53")
    raw = decode_base64(promise, "SignedEntryTimestamp")
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if not any(signature_matches(key, raw, canonical) for key in trusted.logs):
        raise Untrusted("is not signed by a trusted log")
    _check_entry(load_object(decode_base64(payload["body"], "the body")), what, maker)
    time = payload["integratedTime"]
    if time > trusted.at.timestamp():
        raise Untrusted(f"was made {time} seconds after 1970, which is after {format_time(trusted.at)}")
    return datetime.fromtimestamp(time, UTC)


def _check_entry(body: dict[str, Any], what: Logged, maker: bytes) -> None:
    """Raises Untrusted if an entry is about another signature, or one by another maker."""
    kind, version = required_member(body, "kind", str), required_member(body, "apiVersion", str)
    expected = "hashedrekord" if what.envelope is None else "dsse"
    if (kind, version) != (expected, "0.0.1"):
        raise Invalid(f'is of kind "{kind[:40]}" "{version[:20]}": expected {expected} 0.0.1')
    spec = required_member(body, "spec", dict)
    if what.envelope is None:
        signature = required_member(spec, "signature", dict)
        key = required_member(required_member(signature, "publicKey", dict), "content", str)
        raw = required_member(signature, "content", str)
        logged = what.data
        hashed = required_member(required_member(spec, "data", dict), "hash", dict)
    else:
        rows = object_list(spec, "signatures")
        if len(rows) != 1:
            raise Invalid(f"covers {len(rows)} signatures: expected one")
        key = required_member(rows[0], "verifier", str)
        raw = required_member(rows[0], "signature", str)
        logged = what.envelope
        hashed = required_member(spec, "payloadHash", dict)
    if required_member(hashed, "algorithm", str) != "sha256":
        raise Invalid(f'unsupported digest algorithm "{hashed["algorithm"][:20]}": expected sha256')
    if required_member(hashed, "value", str) != hashlib.sha256(logged).hexdigest():
        raise Untrusted("is for another payload")
    if _der(decode_base64(key, "the key")) != maker:
        raise Untrusted("is for another key or certificate than the signature's")
    if decode_base64(raw, "the signature") != what.raw:
        raise Untrusted("is for another signature")


def _der(pem: bytes) -> bytes:
    found = _PEM.fullmatch(pem)
    if found is None:
        raise Invalid("the key is not a single block of PEM")
    return decode_base64(b"".join(found[2].split()).decode(), "the key")
