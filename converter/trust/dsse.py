"""Signed statements about an image: DSSE envelopes of in-toto (secure-systems-lab/dsse 1.0; in-toto Statement v1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from converter.errors import Invalid, Untrusted
from converter.model.descriptor import HEX_LENGTHS, Digest
from converter.model.document import (
    decode_base64,
    lenient_member,
    load_object,
    member_or_empty,
    object_list,
    required_member,
)
from converter.model.frozen import frozen
from converter.trust.cosign import find_maker, note_on_log
from converter.trust.keys import Key
from converter.trust.signature import PROFILE, Signature, SignatureVerdict
from converter.trust.trusted import Subject, Trusted, join_notes, require_at_most

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
STATEMENT = "application/vnd.in-toto+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate that approves an image; all others state something about it."""

_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@frozen(kw_only=False)
class Payload:
    """Bytes whose signature is verified: their type, the trusted key that signed them, and the signer's name."""

    kind: str
    data: bytes
    key: Key
    signer: str


def pae(kind: str, payload: bytes) -> bytes:
    """The bytes that are signed: type and payload, each with its length, so that neither can pass for the other."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify an envelope, and only then parse its statement. Raises Untrusted, Invalid."""
    payload = signed_payload(signature, trusted)
    verdict = judge_statement(signature, payload, found, trusted)
    return replace(verdict, reason=join_notes(verdict.reason, note_on_log(signature, trusted)))


def signed_payload(signature: Signature, trusted: Trusted) -> Payload:
    """What is in an envelope that a trusted key signed. Raises Untrusted if none did, Invalid."""
    kind, payload, signatures = open_envelope(load_object(signature.data))
    problem: Untrusted | None = None
    for raw in signatures:
        try:
            key, signer = find_maker(signature, raw, pae(kind, payload), trusted, payload)
        except Untrusted as error:
            problem = error
            continue
        return Payload(kind, payload, key, signer)
    raise problem or Untrusted("the envelope has no signature")


def open_envelope(envelope: dict[str, Any]) -> tuple[str, bytes, list[bytes]]:
    """The payload's type, its bytes, and the signatures; raises Invalid."""
    kind = required_member(envelope, "payloadType", str)
    payload = decode_base64(required_member(envelope, "payload", str), "the payload")
    rows = require_at_most(object_list(envelope, "signatures"), "signers", "signatures in an envelope")
    return kind, payload, [decode_base64(required_member(row, "sig", str), "a signature") for row in rows]


def judge_statement(signature: Signature, payload: Payload, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """The verdict on a statement whose signature is verified; raises Untrusted, Invalid."""
    if payload.kind != STATEMENT:
        raise Invalid(f'payload of type "{payload.kind[:80]}": expected {STATEMENT}')
    statement = load_object(payload.data)
    if required_member(statement, "_type", str) not in _STATEMENTS:
        raise Invalid(f'statement of type "{statement["_type"][:80]}": expected {" or ".join(_STATEMENTS)}')
    predicate = required_member(statement, "predicateType", str)
    subjects = require_at_most(object_list(statement, "subject"), "signatures", "subjects of a statement")
    name = next((name for name, digests in map(_subject, subjects) if _matches_image(digests, found)), None)
    by_content = name is None and predicate == PROFILE and found.content is not None
    if name is None and not by_content:
        raise Untrusted(f"the statement is about other images than {found.descriptor.digest}")
    if predicate == PROFILE:
        # It names its subjects by what they are: content, manifest.
        name = ""
    note = _checked_name(name or "", found, trusted)
    if by_content and found.content is not None:
        note = join_notes(found.content(statement), note)
    if predicate != SIGN:
        note = join_notes(f"states {predicate}", note)
    return SignatureVerdict(
        signature=signature,
        ok=True,
        signer=payload.signer,
        key=payload.key.source,
        identity=name or "",
        reason=note,
        by_content=by_content,
    )


def predicate_of(payload: bytes) -> str:
    """The statement's predicate type, unverified; empty if it has none."""
    try:
        return lenient_member(load_object(payload), "predicateType", str)
    except Invalid:
        return ""


def _checked_name(name: str, found: Subject, trusted: Trusted) -> str:
    if not name:
        return trusted.check_nameless()
    return trusted.check_name(found, name)


def _subject(row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return member_or_empty(row, "name", str), required_member(row, "digest", dict)


def _matches_image(digests: dict[str, Any], found: Subject) -> bool:
    """Whether the subject has a digest of a known algorithm, and all of those match the image."""
    known: Iterator[Digest] = (
        Digest.parse(f"{algorithm}:{text}") for algorithm, text in digests.items() if algorithm in HEX_LENGTHS
    )
    results = [Digest.of(found.manifest, digest.algorithm) == digest for digest in known]
    return bool(results) and all(results)
