"""The manifest that an image was originally read from, and whether the image still matches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from converter.errors import unless_invalid
from converter.formats.aci import annotation_names as keys
from converter.formats.aci.image_manifest import Manifest, parse_manifest
from converter.formats.aci.kept_annotations import KeptAnnotations, members
from converter.formats.aci.reading import AciFacts, Owners, to_image
from converter.formats.container_config import unknown_members
from converter.model.frozen import frozen
from converter.model.image import Image
from converter.model.reference import NAMES


@frozen
class Baseline:
    """A manifest and the image it describes, without layers."""

    manifest: Manifest
    image: Image


def baseline_of(image: Image) -> Baseline | None:
    """The manifest the image was read from; None if it was not an ACI, or if the manifest it carries is invalid."""
    own = image.kept(AciFacts)
    text = own.manifest if own else image.annotations.get(keys.MANIFEST)
    manifest = unless_invalid(parse_manifest, text.encode()) if text else None
    if manifest is None:
        return None
    return Baseline(manifest=manifest, image=comparable_image(to_image(manifest, _owners_kept(image.annotations))))


def comparable_image(image: Image) -> Image:
    """The image with its unordered parts sorted, and without the names it has where it is stored."""
    config = replace(
        image.config,
        exposed_ports=tuple(sorted(image.config.exposed_ports)),
        volumes=tuple(sorted(image.config.volumes)),
    )
    annotations = {key: value for key, value in image.annotations.items() if key not in NAMES}
    return replace(image, config=config, annotations=annotations)


def is_unchanged(before: Image, image: Image) -> bool:
    """Whether an image, made comparable, still equals ``before``; layers are not compared."""
    return replace(
        image,
        layers=before.layers,
        original=before.original,
        foreign=before.foreign,
        notes=before.notes,
    ) == before and unknown_members(image) == unknown_members(before)


def _owners_kept(annotations: Mapping[str, str]) -> Owners:
    found = KeptAnnotations(annotations).get(keys.OWNERS, members) or {}
    return {
        path: (pair[0], pair[1])
        for path, pair in found.items()
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, int) for number in pair)
    }
