"""A profile as an in-toto statement, which can be signed (in-toto Statement v1).

The first subject is the content digest, which survives every conversion; the others are the image's current names. The
predicate says how the content was written down, and what a file's line cannot: extended attributes, and how a container
is started. A file holds the text alone, the statement, or a signed envelope of it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, Unsupported, Untrusted, within
from converter.model.descriptor import Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.limits import MIB, current_limits, enforce_limits
from converter.profile.contents import Contents, Scope
from converter.profile.mtree import check_start
from converter.stores.disk import disk_errors, open_regular
from converter.streams.blocks import Block, digest_and_size
from converter.trust.signature import ATTESTATION, PROFILE, Signature
from converter.version import __version__

if TYPE_CHECKING:
    from converter.trust.signature import Trusted

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = PROFILE
METHOD = "mtree"
CONTENT = "content"
"""The name of the first subject."""

MOST_ATTACHED = MIB
"""The most bytes of the text in a statement that is stored with an image; a longer one is left out."""

Attributes = Mapping[bytes, Mapping[bytes, bytes]]
"""Extended attributes by path."""


@frozen
class Profile:
    """What an image contains. ``lines`` is the canonical text, None if only its digest is stated. ``attributes`` and
    ``config`` are None if they are not stated, and then not compared. ``where`` is the file with the text, for
    messages.
    """

    digest: Digest
    lines: Iterable[bytes] | None
    scope: Scope
    attributes: Attributes | None = None
    config: Mapping[str, Any] | None = None
    where: str = ""


def make_statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]]
) -> dict[str, Any]:
    """The statement about a tree and its ``config``; ``subjects`` are the names and digests of the image itself."""
    return _statement(contents, config, subjects, b"".join(contents.blocks()).decode())


def write_statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]]
) -> Iterator[Block]:
    """The same statement in JSON, of which memory holds one block at a time."""
    document = json.dumps(_statement(contents, config, subjects, ""), indent=2)
    before, _, after = document.rpartition('""')  # the text is the last member of the last member
    yield f'{before}"'.encode()
    for block in contents.blocks():
        yield json.dumps(bytes(block).decode("ascii"))[1:-1].encode()
    yield f'"{after}\n'.encode()


def _statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]], text: str
) -> dict[str, Any]:
    named = [(CONTENT, contents.digest), *subjects]
    attributes = {
        _escaped(b"/" + path): {
            _escaped(name): base64.b64encode(value).decode() for name, value in sorted(rows.items())
        }
        for path, rows in contents.attributes.items()
    }
    return {
        "_type": TYPE,
        "subject": [{"name": name, "digest": {one.algorithm: one.encoded}} for name, one in named],
        "predicateType": PREDICATE,
        "predicate": {
            "creator": f"transship {__version__}",
            "serialization": {
                "method": METHOD,
                "hash_type": "sha256",
                "times": contents.scope.times,
                "ignore_paths": list(contents.scope.ignored),
            },
            "config": dict(config),
            "attributes": attributes,
            "content": text,
        },
    }


def without_text(statement: Mapping[str, Any]) -> dict[str, Any]:
    """The same statement without a long text: the digest alone says then which content is meant."""
    predicate = statement["predicate"]
    if len(predicate["content"]) <= MOST_ATTACHED:
        return dict(statement)
    return {**statement, "predicate": {name: value for name, value in predicate.items() if name != "content"}}


def read(document: Mapping[str, Any]) -> Profile:
    """The profile in a statement. Raises Invalid if it is another statement, or if its parts contradict each other."""
    if document.get("_type") != TYPE or document.get("predicateType") != PREDICATE:
        kind = document.get("predicateType")
        other = f"a statement of the type {kind}" if isinstance(kind, str) else "JSON, but no statement"
        raise Invalid(f"not a profile: {other} (`transship profile --json` makes one)")
    try:
        predicate = document["predicate"]
        form = predicate["serialization"]
        if form["method"] != METHOD or form["hash_type"] != "sha256":
            raise Invalid(f"unknown serialization {form['method']!r} with {form['hash_type']!r}")
        (stated,) = (one["digest"] for one in document["subject"] if one["name"] == CONTENT)
        digest = Digest.parse(f"sha256:{stated['sha256']}")
        content = predicate.get("content")
        scope = Scope(ignored=tuple(sorted({*form["ignore_paths"]})), times=bool(form["times"]))
        lines = None if content is None else tuple(content.encode().splitlines(keepends=True))
        found = Profile(
            digest=digest,
            lines=lines,
            scope=scope,
            attributes={
                _bytes(path).removeprefix(b"/"): {
                    _bytes(name): base64.b64decode(value, validate=True) for name, value in rows.items()
                }
                for path, rows in predicate["attributes"].items()
            },
            config=predicate["config"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"malformed profile: {error}") from None
    if lines is not None and (computed := digest_and_size(lines).digest()) != digest:
        raise Invalid(f"digest mismatch: the profile states {digest}, its content has {computed}")
    return found


def _escaped(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


@frozen(kw_only=False)
class Lines:
    """The lines of a text file, read anew each time; the file is not kept in memory."""

    path: Path

    def __iter__(self) -> Iterator[bytes]:
        with disk_errors(self.path, "read"), self.path.open("rb") as file:
            yield from file


@frozen
class Found:
    """A profile, and who signed it: the sources of trusted keys and their names; empty if nobody did."""

    profile: Profile
    signers: tuple[tuple[str, str], ...] = ()


def load_profile(path: Path, scope: Scope, trusted: Trusted | None = None) -> Found:
    """Read a profile. ``scope`` is that of a text, which says nothing of it; a statement has its own.

    With ``trusted``, it must be an envelope that one of the trusted keys signed: raises Untrusted if it is not. Raises
    Invalid for what is no profile, NotFound, StorageFailed, LimitExceeded.
    """
    with within(str(path)):
        if not _is_json(path):
            if trusted is not None:
                raise Untrusted("an mtree text carries no signature: sign it with `profile --sign-by`")
            lines = Lines(path)
            check_start(lines)
            return Found(
                profile=Profile(digest=digest_and_size(lines).digest(), lines=lines, scope=scope, where=str(path))
            )
        data = _read_file(path)
        document = _parse_json(data)
        if "payload" not in document:
            if trusted is not None:
                raise Untrusted("the statement is not signed: sign it with `profile --sign-by`")
            return Found(profile=read(document))
        return open_profile(Signature(kind=ATTESTATION, location=str(path), covers="", data=data), trusted)


def attached_profiles(signatures: Iterable[Signature], trusted: Trusted | None) -> tuple[list[Found], list[str]]:
    """The profiles among what is attached to an image, the newest first, and why others do not count.

    With ``trusted``, only those that one of its keys signed; the content of a signature never makes it raise.
    """
    found: list[Found] = []
    problems: list[str] = []
    for one in signatures:
        if one.kind != ATTESTATION:
            continue
        try:
            found.append(open_profile(one, trusted))
        except (Invalid, Untrusted, Unsupported) as error:
            problems.append(f"{one.location}: {error}")
    return found[::-1], problems


def stated_digest(signature: Signature) -> Digest | None:
    """The content digest that an attestation states, unverified; None if it states none that can be read."""
    if signature.kind != ATTESTATION:
        return None
    try:
        return open_profile(signature, None).profile.digest
    except (Invalid, Unsupported):
        return None


def open_profile(signature: Signature, trusted: Trusted | None) -> Found:
    """The profile in an envelope; with ``trusted``, only if one of its keys signed it. Raises Untrusted, Invalid."""
    from converter.trust import cosign

    if trusted is None:
        return Found(profile=read(_parse_json(cosign.open_envelope(_parse_json(signature.data))[1])))
    with enforce_limits(replace(current_limits(), document=len(signature.data))):
        signed = cosign.signed_payload(signature, trusted)
    if signed.kind != cosign.STATEMENT:
        raise Invalid(f'unsupported payload type "{signed.kind[:80]}": expected {cosign.STATEMENT}')
    return Found(profile=read(_parse_json(signed.data)), signers=((signed.key.source, signed.key.signer),))


def _parse_json(data: bytes) -> dict[str, Any]:
    with enforce_limits(replace(current_limits(), document=len(data))):
        return load_object(data)


def _is_json(path: Path) -> bool:
    with disk_errors(path, "read"), path.open("rb") as file:
        return file.read(64).lstrip()[:1] == b"{"


def _read_file(path: Path) -> bytes:
    fd = open_regular(path)
    with disk_errors(path, "read"), os.fdopen(fd, "rb") as file:
        most = current_limits().profile
        data = file.read(most + 1)
    current_limits().require("profile", len(data), "bytes")
    return data
