"""A signature that was found, and the verdict once it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from converter.model.frozen import frozen

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
    of the bytes that it is attached to. ``data`` is the signature, byte for byte; ``payload`` the signed bytes if they
    are stored apart from it; ``files`` are documents that it needs, by name.
    """

    kind: str
    location: str
    covers: str
    data: bytes
    payload: bytes = b""
    media_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``inspect --json`` and ``convert --json``."""
        return {"kind": self.kind, "location": self.location, "covers": self.covers}


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
