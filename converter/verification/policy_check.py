"""Whether an image meets skopeo's policy.json (containers-policy.json(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from converter.errors import Untrusted, within
from converter.model.reference import ImageName, Location
from converter.trust import openpgp, signature as kinds
from converter.trust.identity import ANY, IdentityRule
from converter.trust.keys import Roots, load_key, load_pem
from converter.trust.openpgp_keys import Keyring
from converter.trust.policy import (
    ACCEPT,
    PATHS,
    REJECT,
    SIGNED_BY,
    SIGSTORE,
    Policy,
    Requirement,
    path_scopes,
    scopes_of,
)
from converter.trust.signature import SignatureVerdict, Trusted
from converter.trust.verify_signatures import verify_signatures
from converter.verification.unverified import Unverified
from converter.verification.wanted import ATTESTATION, Wanted

_MEETING = {SIGNED_BY: (kinds.SIMPLE_SIGNING,), SIGSTORE: (kinds.COSIGN, kinds.BUNDLE)}
"""The kinds of signatures that can meet a requirement."""


def judge_policy(
    image: Unverified, policy: Policy, wanted: Wanted, trusted: Trusted
) -> tuple[list[SignatureVerdict], list[str]]:
    """The verdicts under every requirement that applies, and a fact for each that is not met."""
    applied, requirements = _applying(image.location, image.subject.name, policy, wanted)
    verdicts: list[SignatureVerdict] = []
    unmet: list[str] = []
    for requirement in requirements:
        where = requirement.where
        if requirement.kind == REJECT:
            unmet.append(f"{where} rejects the image ({applied})")
        elif requirement.unmet:
            unmet.append(f"nothing can meet {where}: {requirement.unmet}")
        elif requirement.kind != ACCEPT:
            found = _checked(requirement, image, wanted, trusted)
            verdicts += found
            if not found and image.signatures:
                others = ", ".join(sorted({one.kind for one in image.signatures}))
                unmet.append(f"no signature meets {where} ({applied}; {others} does not count for it)")
            elif not any(one.ok for one in found):
                unmet.append(f"no signature meets {where} ({applied})")
    return verdicts, unmet


def trusted_by_requirement(
    location: Location, name: ImageName | None, policy: Policy, wanted: Wanted, trusted: Trusted
) -> Iterator[Trusted]:
    """What each requirement trusts that applies to a place: all have to have signed a statement about it.

    Raises Untrusted for a requirement that no statement meets.
    """
    _, requirements = _applying(location, name, policy, wanted)
    for requirement in requirements:
        if requirement.kind == SIGSTORE and not requirement.unmet:
            yield _trusted_by(requirement, trusted)
        elif requirement.kind != ACCEPT:
            raise Untrusted(f"no statement meets {requirement.where}")


def _applying(
    location: Location, name: ImageName | None, policy: Policy, wanted: Wanted
) -> tuple[str, tuple[Requirement, ...]]:
    """The requirements that apply to a place, and where in the policy they are, which otherwise is a guess."""
    if not location.transport:
        raise Untrusted(f"{location}: a policy applies to images whose transport is known")
    scope = policy.scope(location.transport, _scopes(location, name))
    where = f"default: no scope for {location}" if scope is None else f'scope "{scope}" of {location.transport}'
    with within("policy"):
        return where, policy.requirements(location.transport, scope, wanted.read or _none)


def _checked(requirement: Requirement, image: Unverified, wanted: Wanted, trusted: Trusted) -> list[SignatureVerdict]:
    """The verdicts on the signatures that can meet a requirement."""
    # Only of cosign's, an entry in a log is checked.
    meeting = [kinds.COSIGN] if requirement.logs else [*_MEETING[requirement.kind]]
    if requirement.kind == SIGSTORE and ATTESTATION in wanted.require:
        meeting.append(kinds.ATTESTATION)
    signatures = [one for one in image.signatures if one.kind in meeting]
    subject = image.subject
    if subject.name is not None:
        subject = replace(subject, name=subject.name.tagged())
    verdicts = verify_signatures(signatures, subject, _trusted_by(requirement, trusted))
    return [_require_one_signature(one) for one in verdicts]


def _require_one_signature(verdict: SignatureVerdict) -> SignatureVerdict:
    """Refuse a message with more than one signature, as the tools that define the policy do."""
    if verdict.ok and verdict.signature.kind == kinds.SIMPLE_SIGNING:
        count = openpgp.signatures_in(verdict.signature.data)
        if count > 1:
            return replace(verdict, ok=False, reason=f"message has {count} signatures: policy.json allows one")
    return verdict


def _trusted_by(requirement: Requirement, trusted: Trusted) -> Trusted:
    """What a requirement trusts, and nothing more: not the keys that the caller gave."""
    rule = IdentityRule(kind=ANY) if trusted.rule.kind == ANY else requirement.rule
    logs = [load_key(data, requirement.where) for data in requirement.logs]
    plain = replace(trusted, keys=(), keyrings=(), roots=(), logs=logs, rule=rule)
    if requirement.kind == SIGNED_BY:
        # An empty file is a keyring without keys: nobody can sign.
        rings = [Keyring.load(data, requirement.where) for data in requirement.keys if data.strip()]
        return replace(plain, keyrings=rings)
    if requirement.email or requirement.hostname:
        roots = Roots(
            roots=load_pem(requirement.roots),
            intermediates=load_pem(requirement.intermediates) if requirement.intermediates else (),
            identity=requirement.email,
            hostname=requirement.hostname,
            issuer=requirement.issuer,
            source=requirement.where,
        )
        return replace(plain, roots=(roots,))
    return replace(plain, keys=[load_key(data, requirement.where) for data in requirement.keys])


def _scopes(location: Location, name: ImageName | None) -> Iterator[str]:
    if location.kind.holds == "name" and name is not None:
        return scopes_of(name.tagged())
    if location.transport in PATHS:
        return path_scopes(os.path.realpath(location.path), location.name if location.kind.holds == "several" else "")
    return iter(())


def _none(path: str) -> bytes:
    raise Untrusted(f'the policy names the key file "{path}": it must hold its keys itself')
