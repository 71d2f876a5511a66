"""Proves that a served image is what was signed, as ``verify`` would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from converter.conversion.job import Job
from converter.errors import ConverterError, NotFound
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.ports import Source
from converter.serving.image_store import ImageStore, ServedImage
from converter.verification.proof import IDENTICAL
from converter.verification.unverified import StoredImage
from converter.verification.verify_image import judge_with_records
from converter.verification.wanted import Wanted


class ServedSource(Source):
    """An image of the store, as verification reads it."""

    def __init__(self, store: ImageStore, image: ServedImage) -> None:
        self._store = store
        self._image = image

    def names(self) -> tuple[str, ...]:
        return tuple(self._image.names.values())

    def resolve(self, name: str) -> Descriptor:
        del name  # there is one
        return self._image.root

    def fetch(self, descriptor: Descriptor) -> Known:
        if not self._store.has(descriptor):
            raise NotFound(f"blob unknown: {descriptor.digest}")
        sized = descriptor.sized(self._store.path(descriptor.digest).stat().st_size)
        return Known(sized, partial(self._store.blocks, sized.digest))

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        return [one for one in self._image.attached if one.subject == subject]


def with_proof(store: ImageStore, image: ServedImage, job: Job, root: Descriptor, wanted: Wanted) -> ServedImage:
    """An image with those who signed it, or what it was converted from, and the level of the proof.

    ``root`` is what the source has, and was found to be signed as ``wanted``.
    """
    try:
        judgement = judge_with_records(StoredImage(ServedSource(store, image), job.source, image.root), wanted)
    except ConverterError:
        return image
    signers = dict.fromkeys(one.signer for one in judgement.all_verdicts if one.ok and one.signer)
    level = IDENTICAL if judgement.ok and image.root.digest == root.digest else judgement.level
    return replace(image, signers=tuple(signers), level=level)
