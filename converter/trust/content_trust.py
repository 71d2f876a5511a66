"""Docker Content Trust: which manifest a tag stands for, signed for one repository (TUF 1.0; notary's metadata).

``root.json`` says which keys sign targets; ``targets.json`` says which digest a tag has, or delegates that to other
keys, which sign ``targets/NAME.json``. The root is trusted because the caller knows one of its keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from converter.errors import ConverterError, Invalid, Untrusted, unless_invalid, within
from converter.model.document import (
    decode_base64,
    expect_type,
    lenient_member,
    load_object,
    object_list,
    required_member,
)
from converter.model.frozen import frozen
from converter.model.reference import TITLE
from converter.trust.keys import Key, expiry_of, jws_matches, load_key, require_unexpired, signature_matches
from converter.trust.signature import CONTENT_TRUST, Signature, SignatureVerdict, Subject, Trusted, require_at_most

DOCUMENT = "application/vnd.transship.content-trust.v1+json"
"""The media type of a document stored with an image, and the artifact type of all of them together."""

ROOT, TARGETS = "root", "targets"
ROOT_FILE = "root.json"
_METHODS = {"ecdsa": "ES256", "rsapss": "PS256", "rsapkcs1v15": "RS256"}


def verify(signature: Signature, found: Subject, trusted: Trusted) -> SignatureVerdict:
    """Verify a targets document, up to one of the caller's keys.

    These documents do not name the repository: the caller chose it by choosing the root. Raises Untrusted, Invalid.
    """
    files = signature.files
    with within("root.json"):
        role, source = _root(files.get(ROOT_FILE, b""), trusted)
    tag = found.name.tagged().tag if found.name else ""
    if not tag:
        raise Untrusted("targets are signed for tags: say which tag this image has with --identity")
    name = signature.annotations.get(TITLE, "").removesuffix(".json")
    if name != TARGETS:
        role = _delegated_role(name, tag, files, role, trusted.at)
    targets = _targets(_signed_body(load_object(signature.data), role, "targets", trusted.at))
    if tag not in targets:
        raise Untrusted(f'the tag "{tag}" is not among the signed targets')
    length, hashes = targets[tag]
    if length != len(found.manifest) or not _matches_hashes(hashes, found.manifest):
        raise Untrusted(f'the signed target of tag "{tag}" is another manifest than {found.descriptor.digest}')
    return SignatureVerdict(
        signature=signature,
        ok=True,
        signer=source.fingerprint,
        key=source.source,
        identity=f":{tag}",
        reason="the tag is signed, and no repository",
    )


@frozen
class Role:
    """The keys of a role, each once, by their DER, and how many of them have to sign: at least one."""

    keys: Mapping[bytes, Key]
    threshold: int


def stored_targets(files: Mapping[str, bytes], covers: str, location: str = "") -> Iterator[Signature]:
    """The targets among the documents, which are stored with the image whose digest is ``covers``."""
    for name, data in files.items():
        if is_targets(data):
            yield Signature(
                kind=CONTENT_TRUST,
                location=f"{location}, {name}" if location else name,
                covers=covers,
                data=data,
                annotations={TITLE: name},
                files=files,
            )


def list_manifest(files: Mapping[str, bytes], manifest: bytes) -> bool:
    """Whether there are a root and targets that list the manifest under some tag. Nothing is verified."""
    documents = [load_object(data) for data in files.values() if is_targets(data)]
    bodies = [required_member(one, "signed", dict) for one in documents]
    rows = [row for body in bodies for row in _targets(body).values()]
    return ROOT_FILE in files and any(_matches_hashes(hashes, manifest) for _, hashes in rows)


def is_targets(data: bytes) -> bool:
    """Whether bytes look like a targets document."""
    document = unless_invalid(load_object, data) or {}
    kind = lenient_member(lenient_member(document, "signed", dict), "_type", str)
    return kind in ("targets", "Targets") and isinstance(document.get("signatures"), list)


def _root(data: bytes, trusted: Trusted) -> tuple[Role, Key]:
    """The role that signs targets, and the caller's key that vouches for the root."""
    document = load_object(data)
    body = required_member(document, "signed", dict)
    rows, roles = required_member(body, "keys", dict), required_member(body, "roles", dict)
    role = _role(rows, required_member(roles, ROOT, dict))
    pinned = next((key for key in trusted.keys if key.der in role.keys), None)
    if pinned is None:
        raise Untrusted("none of the given keys is one of the root (--key)")
    _signed_body(document, role, "root", trusted.at)
    if not _has_signed(document, pinned):
        raise Untrusted(f"the root is not signed by {pinned.source or pinned.fingerprint}")
    return _role(rows, required_member(roles, TARGETS, dict)), pinned


def _delegated_role(name: str, tag: str, files: Mapping[str, bytes], role: Role, at: datetime) -> Role:
    """The delegated role of that name in targets.json; raises Untrusted if it does not cover the tag."""
    targets = _signed_body(load_object(files.get(f"{TARGETS}.json", b"")), role, "targets", at)
    delegations = required_member(targets, "delegations", dict)
    for row in require_at_most(object_list(delegations, "roles"), "signers", "delegations"):
        paths = tuple(map(str, required_member(row, "paths", list)))
        if required_member(row, "name", str) == name and tag.startswith(paths):
            return _role(required_member(delegations, "keys", dict), row)
    raise Untrusted(f'targets.json does not delegate the tag "{tag}" to "{name}"')


def _signed_body(document: dict[str, Any], role: Role, kind: str, at: datetime) -> dict[str, Any]:
    """What enough keys of a role have signed; raises Untrusted, Invalid."""
    body = required_member(document, "signed", dict)
    good = sum(_has_signed(document, key) for key in role.keys.values())
    if good < role.threshold:
        raise Untrusted(f"{kind} has {good} good signatures: at least {role.threshold} are required")
    if required_member(body, "_type", str).lower() != kind:
        raise Invalid(f'document of type "{body["_type"][:40]}": expected "{kind}"')
    require_unexpired(kind, expiry_of(required_member(body, "expires", str)), at)
    return body


def _has_signed(document: dict[str, Any], key: Key) -> bool:
    """Whether the key made one of the document's signatures."""
    data = canonical_json(document["signed"]).encode()
    for row in require_at_most(object_list(document, "signatures"), "signers", "signatures"):
        raw = decode_base64(required_member(row, "sig", str), "a signature")
        method = required_member(row, "method", str)
        try:
            if method == "eddsa" and signature_matches(key, raw, data):
                return True
            if method in _METHODS and jws_matches(key, _METHODS[method], raw, data):
                return True
        except ConverterError:
            # The method does not fit this key, so another key made the signature.
            continue
    return False


def _role(keys: dict[str, Any], role: dict[str, Any]) -> Role:
    """A role with those of the keys that it lists by ID, which has to be the hash of the key's content."""
    found = {}
    for name in map(str, require_at_most(required_member(role, "keyids", list), "signers", "keys")):
        row = expect_type(keys.get(name), dict, "keys")
        kind = required_member(row, "keytype", str)
        public = required_member(required_member(row, "keyval", dict), "public", str)
        content = {"keytype": kind, "keyval": {"private": None, "public": public}}
        if hashlib.sha256(canonical_json(content).encode()).hexdigest() != name:
            raise Invalid(f'key ID "{name[:80]}" is not the hash of its key')
        key = load_key(decode_base64(public, "a key"))
        found[key.der] = key
    return Role(keys=found, threshold=max(required_member(role, "threshold", int), 1))


def _targets(body: dict[str, Any]) -> dict[str, tuple[int, dict[str, str]]]:
    """What each tag stands for: the length of a manifest in bytes, and its digests by algorithm."""
    found = {}
    for name, row in required_member(body, "targets", dict).items():
        hashes = required_member(expect_type(row, dict, "targets"), "hashes", dict)
        texts = {algorithm: text for algorithm, text in hashes.items() if isinstance(text, str)}
        found[name] = required_member(row, "length", int), texts
    return found


def _matches_hashes(hashes: Mapping[str, str], manifest: bytes) -> bool:
    """Whether there is a hash of a known algorithm, and all of those are the manifest's."""
    known = {name: text for name, text in hashes.items() if name in ("sha256", "sha512")}
    computed = {name: base64.b64encode(hashlib.new(name, manifest).digest()).decode() for name in known}
    return bool(known) and computed == known


def canonical_json(value: Any) -> str:
    r"""The text of a value as TUF signs it, in UTF-8 (docker/go, canonical/json; OLPC's Canonical JSON).

    Keys are sorted, nothing but ``\`` and ``"`` is escaped, and there are no spaces. Raises Invalid for fractions.
    """
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return "[" + ",".join(map(canonical_json, value)) + "]"
        case dict():
            members = [f"{canonical_json(key)}:{canonical_json(value[key])}" for key in sorted(value)]
            return "{" + ",".join(members) + "}"
    raise Invalid("number with a fraction: canonical JSON has only whole numbers")
