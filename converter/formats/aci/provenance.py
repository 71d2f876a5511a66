"""The name of an ACI, and what it records about the image it was made from, in docker2aci's terms."""

from __future__ import annotations

import re

from converter.errors import unless_invalid
from converter.formats.aci import annotation_names as keys
from converter.formats.container_config import Schema1
from converter.model.appc import identifier_and_version, sanitised_identifier
from converter.model.image import Image
from converter.model.reference import FULL_NAME, REF_NAME, TITLE, ImageName

UNNAMED = "image"
_VERSION = re.compile(r"v?[0-9].*|latest")


def provenance_of(image: Image) -> tuple[str, str, dict[str, str]]:
    """The name and version of an image, which may have a name outside its own documents, and what it says of itself.

    That is in annotations, which are empty where it is unknown.
    """
    listed_name = image.notes.name
    reference = listed_name if _names_a_repository(listed_name) else _reference(image)
    name, version = identifier_and_version(reference) if reference else _of_layout(image, listed_name)
    parsed = unless_invalid(ImageName.parse, reference)
    original, schema1 = image.original, image.kept(Schema1)
    config = original.config.descriptor.digest if original is not None and original.config is not None else None
    return (
        name or UNNAMED,
        version,
        {
            keys.ORIGINAL_NAME: reference,
            keys.REGISTRY: parsed.host if parsed else "",
            keys.REPOSITORY: parsed.repository if parsed else name or UNNAMED,
            keys.IMAGE_ID: str(config) if config else schema1.id if schema1 else "",
            keys.MANIFEST_HASH: str(original.manifest.descriptor.digest) if original else "",
        },
    )


def _of_layout(image: Image, name: str) -> tuple[str, str]:
    """The name and version of an image known only by a layout's short name, which is a tag, as most are, or a name.

    If it has a title as well, it is a tag.
    """
    short = name or image.annotations.get(REF_NAME, "")
    title = sanitised_identifier(image.annotations.get(TITLE, ""))
    return (title, short) if title or _VERSION.fullmatch(short) else (sanitised_identifier(short), "")


def _names_a_repository(text: str) -> bool:
    return ":" in text or "/" in text


def _reference(image: Image) -> str:
    schema1 = image.kept(Schema1)
    if schema1 and schema1.name:
        return f"{schema1.name}:{schema1.tag}" if schema1.tag else schema1.name
    full = image.annotations.get(FULL_NAME, "")
    name = image.annotations.get(REF_NAME, "")
    return full or (name if _names_a_repository(name) else "")
