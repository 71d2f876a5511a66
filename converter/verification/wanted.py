"""What is required of an image, and the trusted keys: the bytes of files, each with a name for messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from converter.errors import Usage, within
from converter.model.frozen import frozen
from converter.trust.identity import ANY, IdentityRule
from converter.trust.keys import Roots, load_key
from converter.trust.signature import Trusted

if TYPE_CHECKING:
    from converter.ports import Finder
    from converter.trust.policy import Policy, Read

File = tuple[str, bytes]
"""A file's name for messages, and its content."""

SIGNATURE, ATTESTATION, ORIGIN = "signature", "attestation", "origin"
REQUIREMENTS = (SIGNATURE, ATTESTATION, ORIGIN)
"""What ``require`` may name. A signature is always wanted, unless an attestation alone suffices: of the image itself
(``signature``), by way of its origin record (``origin``), or of either."""


@frozen
class Wanted:
    """What is required of an image; everything that is given has to hold.

    Each of ``keys`` (PEM), of ``keyrings`` (OpenPGP) and of ``chains`` (PEM certificates) must have made a signature,
    except those in ``signed``, which signed what the image was converted into. ``trust_stores`` are folders in rkt's
    layout, as files by path; any key in them that may sign the image's name suffices. With ``rekor_keys`` (PEM), one of
    these logs has to have logged what cosign or Sigstore signed. ``lookasides`` are folders with more simple
    signatures. ``policy`` is skopeo's, and ``read`` returns the files that it names. ``identity`` is the name that has
    to be signed, in place of the image's; with ``map_identity`` any name is accepted. ``platform`` selects one image of
    an index, empty for all of it. ``at`` is None for now. ``find`` finds the ACIs that an image depends on, which are
    trusted only as parts of a content that somebody signed.
    """

    keys: tuple[File, ...] = ()
    keyrings: tuple[File, ...] = ()
    chains: tuple[File, ...] = ()
    certificate_identity: str = ""
    rekor_keys: tuple[File, ...] = ()
    trust_stores: tuple[tuple[str, Mapping[str, bytes]], ...] = ()
    content_trust: Mapping[str, bytes] = field(default_factory=dict)
    lookasides: tuple[Path, ...] = ()
    policy: bytes | None = None
    read: Read | None = None
    identity: str = ""
    map_identity: bool = False
    platform: str = ""
    at: datetime | None = None
    allow_weak_digest: bool = False
    require: frozenset[str] = frozenset()
    signed: frozenset[str] = frozenset()
    find: Finder | None = None

    def trusted(self, name: str) -> Trusted:
        """The parsed keys and rules; ``name`` is an ACI's, for rkt's stores. Raises Invalid for a malformed key."""
        from converter.trust.openpgp_keys import Keyring, keyrings_for

        keys = [load_key(data, source) for source, data in self.keys]
        keyrings = [Keyring.load(data, source) for source, data in self.keyrings]
        keyrings += [Keyring(one.certificates, self._store_source) for one in keyrings_for(name, self.trust_stores)]
        return Trusted(
            at=self.at or datetime.now(UTC),
            keys=keys,
            keyrings=keyrings,
            roots=[Roots.load(data, self.certificate_identity, source) for source, data in self.chains],
            logs=[load_key(data, source) for source, data in self.rekor_keys],
            rule=IdentityRule(kind=ANY) if self.map_identity else IdentityRule(),
            strict_name=bool(self.identity),
            weak=self.allow_weak_digest,
        )

    def each(self) -> Iterator[Trusted]:
        """What each source of keys trusts by itself, for statements that all of them have to have signed."""
        alone = replace(self, keys=(), keyrings=(), chains=(), trust_stores=())
        yield from (replace(alone, keys=(one,)).trusted("") for one in self.keys)
        yield from (replace(alone, keyrings=(one,)).trusted("") for one in self.keyrings)
        yield from (replace(alone, chains=(one,)).trusted("") for one in self.chains)
        if self.trust_stores:
            yield replace(alone, trust_stores=self.trust_stores).trusted("")

    def sources(self) -> tuple[str, ...]:
        """The names of all key sources that have to have signed."""
        stores = (self._store_source,) if self.trust_stores else ()
        return (*(source for source, _ in (*self.keys, *self.keyrings, *self.chains)), *stores)

    @property
    def _store_source(self) -> str:
        return ", ".join(source for source, _ in self.trust_stores)

    def read_policy(self) -> Policy | None:
        """The parsed policy, None if there is none; raises Invalid."""
        if self.policy is None:
            return None
        from converter.trust.policy import Policy

        with within("policy"):
            return Policy.parse(self.policy)

    def check(self) -> None:
        """Raises Usage if no key or policy was given, a requirement is unknown, or the time has no zone."""
        if not self.sources() and self.policy is None:
            raise Usage("no key: add --key, --keyring, --certificate-chain, --trust-store or --policy")
        if self.at is not None and self.at.tzinfo is None:
            raise Usage(f"the time {self.at} is without a zone: add one, such as Z")
        unknown = self.require - set(REQUIREMENTS)
        if unknown:
            raise Usage(f"unknown --require {', '.join(sorted(unknown))} (one of: {', '.join(REQUIREMENTS)})")
