"""The two forms of a signature that signs a name: a manifest for registries and layouts, a file for ``dir:``."""

from __future__ import annotations

from collections.abc import Sequence

from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Artifact
from converter.model.reference import ImageName
from converter.trust import artifact
from converter.trust.claim import Claim
from converter.trust.makers import CosignKey, Maker


@frozen
class Subject:
    """What is to be signed: an image's root and its name. ``time`` of signing is in seconds since 1970."""

    root: Descriptor
    name: ImageName
    time: int

    @property
    def claim(self) -> Claim:
        """The claim to sign: this digest has that name."""
        return Claim(digest=self.root.digest, identity=str(self.name))


def as_artifact(maker: Maker, subject: Subject, before: Sequence[Descriptor]) -> tuple[Artifact, str]:
    """Sign an image; returns the signature as a manifest, and its tag, empty for a referrer.

    ``before`` are the layers of existing cosign signatures: all share one manifest.
    """
    if isinstance(maker, CosignKey):
        made = artifact.cosign_image([maker.sign(subject.claim, subject.time)], before)
        return made, artifact.tag_of(subject.root.digest)
    return artifact.simple_signing(maker.message(subject.claim, subject.time), subject.root), ""


def as_file(maker: Maker, subject: Subject) -> bytes:
    """Sign an image; returns the signature as the content of a file ``signature-N``."""
    if isinstance(maker, CosignKey):
        return artifact.sigstore_file(*maker.sign(subject.claim, subject.time))
    return maker.message(subject.claim, subject.time)
