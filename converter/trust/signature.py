"""A signature that was found, what it is checked with, and the verdict once it is verified.

It is checked with the keys and rules that the caller trusts, and the image that it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from converter.errors import Untrusted
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import signed_payload
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.model.reference import ImageName
from converter.trust.identity import ANY, IdentityRule
from converter.trust.keys import Key, Roots, subject_name
from converter.trust.libraries import x509

if TYPE_CHECKING:
    from converter.trust.openpgp_keys import Keyring

T = TypeVar("T")

LIBTRUST = "libtrust"
SIMPLE_SIGNING = "simple-signing"
COSIGN = "cosign"
BUNDLE = "cosign-bundle"
ATTESTATION = "attestation"
"""States something about an image, and does not approve it."""
PROFILE = "https://schemas.transship.invalid/1/profile.json"
"""The predicate of an attestation that states the content of an image, which has the same digest in any format."""
NOTATION = "notation"
CONTENT_TRUST = "content-trust"
DETACHED = "openpgp"


@frozen
class Signature:
    """A signature as found: nothing in it is verified.

    ``location`` says where it was found, for display: a tag, a file, a member of the manifest. ``covers`` is the digest
    of the bytes that it is attached to. ``data`` is the signature, byte for byte; that of cosign is an annotation, and
    ``data`` is what it signs. ``files`` are documents that it needs, by name.
    """

    kind: str
    location: str
    covers: str
    data: bytes
    media_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``inspect --json`` and ``convert --json``."""
        return {"kind": self.kind, "location": self.location, "covers": self.covers}


class Unchecked(Untrusted):
    """Nothing was given that could check a signature: it may be good."""


@frozen
class Subject:
    """The image that signatures are about: its root document as bytes, unparsed.

    ``name`` is the image's name, None if unknown. ``file`` returns the path of the whole image as one file, for
    signatures over files: those of ACIs. ``content`` compares the image with a verified statement of its content: it
    returns a note, and raises Untrusted if they differ.
    """

    manifest: bytes
    descriptor: Descriptor
    name: ImageName | None = None
    file: Callable[[], str] | None = None
    content: Callable[[Mapping[str, Any]], str] | None = None


@frozen
class Trusted:
    """Keys, certificates and keyrings, the rule for names, and the time at which everything has to be valid.

    ``strict_name``: a signature of a kind that signs no name is refused, since the caller asked for a name. ``weak``:
    digests that can be forged (SHA-1, MD5) are accepted, with ``gpg``. With ``logs``, keys of Rekor, one of those logs
    has to have logged a signature, and a certificate has to be valid at the time it did.
    """

    at: datetime
    keys: Sequence[Key] = ()
    keyrings: Sequence[Keyring] = ()
    roots: Sequence[Roots] = ()
    logs: Sequence[Key] = ()
    rule: IdentityRule = field(default_factory=IdentityRule)
    strict_name: bool = False
    weak: bool = False

    def certified(self, chain: Sequence[x509.Certificate]) -> Key:
        """The key of the first certificate, if a trusted root vouches for it; raises Untrusted."""
        leaf, *sent = chain
        name = subject_name(leaf)
        problem: Untrusted = Unchecked(f'no root was given for the certificate of "{name}" (--certificate-chain)')
        for one in self.roots:
            try:
                return Key(one.check(leaf, sent, self.at), one.source, owner=name)
            except Untrusted as error:
                problem = error
        raise problem

    def check_digest(self, found: Subject, digest: Digest) -> None:
        """Raises Untrusted if the manifest, without signatures that it embeds, is not the one that was signed.

        Raises Unsupported for an algorithm that cannot be computed here, Invalid for a broken embedded JWS.
        """
        if Digest.of(signed_payload(found.manifest), digest.algorithm) != digest:
            raise Untrusted(f"signature of another manifest: expected {found.descriptor.digest}, found {digest}")

    def check_name(self, found: Subject, signed: str) -> str:
        """The note on a good verdict about the name; raises Untrusted if the signed name does not match."""
        if not self.rule.matches(signed, found.name):
            expected = self.rule.reference or found.name
            if expected is None:
                raise Untrusted(f'signature is for the name "{signed}": say which name the image has with --identity')
            raise Untrusted(f'signature is for the name "{signed}": expected "{expected}" (--identity)')
        if self.rule.kind == ANY:
            return "the name is not compared"
        return "the name without a tag is signed" if ImageName.parse_signed(signed).bare else ""

    def check_nameless(self) -> str:
        """The note on a good verdict on a signature without a name; raises Untrusted if a name is required."""
        if self.strict_name and self.rule.kind != ANY:
            raise Untrusted("signature names no image (--identity requires one that does)")
        return "no name is signed"


@frozen
class SignatureVerdict:
    """The result of verifying one signer's signature.

    ``key`` is the source of the trusted key that made it (``--key cosign.pub``), empty if none did. ``signer`` is the
    fingerprint of that key or the subject of its certificate; ``identity`` the name that was signed, empty if the kind
    has none. ``reason`` says why the signature is not accepted or, if it is, adds a note. ``broken``: the signature is
    embedded in the image and shows that the image was changed, so that no other signature can vouch for it.
    ``by_content``: what was signed is the image's content, not its bytes. ``unchecked``: no key was given for its kind.
    """

    signature: Signature
    ok: bool
    signer: str = ""
    key: str = ""
    identity: str = ""
    reason: str = ""
    broken: bool = False
    by_content: bool = False
    unchecked: bool = False

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        return "good" if self.ok else "not checked" if self.unchecked else "not good"

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``verify --json``."""
        return self.signature.to_json() | {
            "ok": self.ok,
            "signer": self.signer,
            "key": self.key,
            "identity": self.identity,
            "reason": self.reason,
        }


def join_notes(*notes: str) -> str:
    """Join the notes that are not empty into one text."""
    return "; ".join(filter(None, notes))


def require_at_most(items: Sequence[T], limit: str, what: str) -> Sequence[T]:
    """The items; raises LimitExceeded if there are more than the limit of that name allows."""
    current_limits().require(limit, len(items), what)
    return items
