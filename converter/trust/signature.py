"""The nouns of trust: a signature that was found, and what became of it when it was checked."""

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
"""Says something about an image, and does not approve it."""
NOTATION = "notation"
CONTENT_TRUST = "content-trust"
DETACHED = "openpgp"


@frozen
class Signature:
    """A signature as it was found: nothing in it is verified.

    ``location`` is where it lies, for people: a tag, a file, a member of the manifest. ``covers`` is the digest of the
    bytes that it is kept with. ``data`` is the evidence, byte for byte; ``payload`` the signed bytes where they stand
    apart from it; ``files`` are documents that it needs, by name.
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
        """What ``inspect --json`` and ``convert --json`` say of it."""
        return {"kind": self.kind, "location": self.location, "covers": self.covers}


@frozen
class Verdict:
    """What one signer's part in a signature is worth.

    ``key`` is the source of the key that the caller trusts (``--key cosign.pub``), empty where none fits. ``signer`` is
    the fingerprint of the key that made it, or the subject of its certificate; ``identity`` the name that was signed,
    empty where the kind has none. ``reason`` says why it does not hold, or, where it does, what it leaves open.
    ``broken``: the signature lies within the image and shows that this was changed, so that nobody can vouch for it.
    """

    signature: Signature
    ok: bool
    signer: str = ""
    key: str = ""
    identity: str = ""
    reason: str = ""
    broken: bool = False

    def to_json(self) -> dict[str, Any]:
        """What ``verify --json`` says of it."""
        return self.signature.to_json() | {
            "ok": self.ok,
            "signer": self.signer,
            "key": self.key,
            "identity": self.identity,
            "reason": self.reason,
        }
