"""The page at ``/``, for people: which images there are, who signed them, and how to pull them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from converter.conversion.job import Job
from converter.errors import ConverterError
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import load_object
from converter.serving.image_store import ImageStore, ServedImage
from converter.serving.registry import Registry
from converter.serving.responses import HTML, Request, Response
from converter.verification.proof import PROOF_LEVELS

MOST_IMAGES = 1000
"""The most images on the page."""


def page(request: Request, registry: Registry) -> Response:
    """The whole page. Texts from images are escaped, and nothing on it is a link."""
    from converter import pages

    listed = [(name, tag, job) for name, jobs in registry.catalogue.listed().items() for tag, job in jobs.items()]
    kept = {
        (name, tag): image
        for image in registry.store.images()
        if image.root.media_type not in types.SINGLE_FILE_TYPES
        for name, tag in image.names.items()
    }
    body = pages.render(
        "registry.html.j2",
        host=request.host or "this registry",
        secure=request.scheme == "https",
        images=[
            _image_row(name, tag, job, kept.get((name, tag)), registry.store)
            for name, tag, job in islice(sorted(listed, key=lambda one: one[:2]), MOST_IMAGES)
        ],
        total=len(listed),
        made=len(kept),
        stored=registry.store.size,
        under_way=registry.conversions.under_way,
        failures=registry.catalogue.failures,
        levels=PROOF_LEVELS,
    )
    security = f"{pages.policy()}; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": security, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(kind=HTML, body=body.encode(), headers=headers)


def _image_row(name: str, tag: str, job: Job, image: ServedImage | None, store: ImageStore) -> dict[str, Any]:
    row = {"name": name, "tag": tag, "source": str(job.source)}
    if image is None:
        return row | {"digest": "", "size": 0, "level": "", "signers": (), "platforms": ()}
    platforms: list[str] = []
    with suppress(ConverterError):  # a document may have been evicted meanwhile
        platforms += _platforms_of(image.root, store)
    return row | {
        "digest": str(image.root.digest),
        "format": image.root.media_type,
        "size": sum(one.size for one in image.blobs),
        "platforms": platforms,
        "attached": len(image.attached),
        "signers": image.signers,
        "level": image.level,
    }


def _platforms_of(root: Descriptor, store: ImageStore) -> Iterator[str]:
    """Of an index, those that it lists; of an image, that of its configuration."""
    if not store.has(root):
        return
    document = load_object(store.read(root.digest))
    if root.media_type in types.INDEXES:
        rows = [Descriptor.from_json(row).platform for row in document.get("manifests") or ()]
        yield from (str(platform) for platform in rows if platform is not None and platform.known)
    elif isinstance(document.get("config"), dict):
        config = Descriptor.from_json(document["config"])
        if store.has(config) and config.media_type in types.CONFIGS:
            platform = load_object(store.read(config.digest))
            yield "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key))
