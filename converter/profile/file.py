"""A profile in a file: mtree text, a statement, or a signed envelope of one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import Invalid, Unsupported, Untrusted, within
from converter.model.descriptor import Digest
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.limits import current_limits, enforce_limits
from converter.profile import statement
from converter.profile.contents import Scope, digest_of
from converter.profile.mtree import check_start
from converter.profile.statement import Profile
from converter.stores.disk import disk_errors, open_regular
from converter.trust.signature import ATTESTATION, Signature

if TYPE_CHECKING:
    from converter.trust.trusted import Trusted


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
            return Found(profile=Profile(digest=digest_of(lines), lines=lines, scope=scope, where=str(path)))
        data = _read_file(path)
        document = _parse_json(data)
        if "payload" not in document:
            if trusted is not None:
                raise Untrusted("the statement is not signed: sign it with `profile --sign-by`")
            return Found(profile=statement.read(document))
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
        return Found(profile=statement.read(_parse_json(cosign.open_envelope(_parse_json(signature.data))[1])))
    with enforce_limits(replace(current_limits(), document=len(signature.data))):
        signed = cosign.signed_payload(signature, trusted)
    if signed.kind != cosign.STATEMENT:
        raise Invalid(f'unsupported payload type "{signed.kind[:80]}": expected {cosign.STATEMENT}')
    return Found(profile=statement.read(_parse_json(signed.data)), signers=((signed.key.source, signed.signer),))


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
