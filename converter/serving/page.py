"""The page for people at ``/``: what there is, and how to pull it; no script, no network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from converter.conversion.job import Job
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.document import load_object
from converter.serving.image_store import ImageStore, StoredImage
from converter.serving.registry import Registry
from converter.serving.responses import HTML, Request, Response

if TYPE_CHECKING:
    from jinja2 import Template

MOST = 500
"""The most repositories on the page."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def page(request: Request, registry: Registry) -> Response:
    """The whole page. Texts from images are escaped, and nothing on it is a link."""
    listed = sorted(registry.catalogue.listed().items())
    kept = _by_name(registry.store)
    secure = request.scheme == "https"
    body = _template().render(
        host=request.host or "this registry",
        images=[{"name": name, "tags": list(_tags(name, jobs, kept, registry.store))} for name, jobs in listed[:MOST]],
        more=max(0, len(listed) - MOST),
        under_way=registry.conversions.under_way,
        failures=registry.catalogue.failures,
        flag="" if secure else "--tls-verify=false ",
        plain="" if secure else "--plain-http ",
        insecure="--insecure-options=image " if secure else "--insecure-options=image,http ",
    )
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(kind=HTML, body=body.encode(), headers=headers)


@cache
def _template() -> Template:
    from jinja2 import Environment

    text = files("converter.serving").joinpath("page.html").read_text("utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _by_name(store: ImageStore) -> dict[tuple[str, str], StoredImage]:
    whole = types.WHOLE
    return {
        (name, tag): image
        for image in store.images()
        if image.root.media_type not in whole
        for name, tag in image.names.items()
    }


def _tags(
    name: str, jobs: dict[str, Job], kept: dict[tuple[str, str], StoredImage], store: ImageStore
) -> Iterator[dict[str, Any]]:
    for tag, job in sorted(jobs.items()):
        image = kept.get((name, tag))
        yield {
            "tag": tag,
            "source": str(job.source),
            "digest": "" if image is None else str(image.root.digest),
            "what": "not asked for yet" if image is None else _what(image, store),
            "signatures": [] if image is None else _attached(image),
        }


def _what(image: StoredImage, store: ImageStore) -> str:
    size = sum(one.size for one in image.blobs)
    return ", ".join([*_platforms(image.root, store), f"{size / 1e6:.1f} MB"])


def _platforms(root: Descriptor, store: ImageStore) -> Iterator[str]:
    if root.media_type not in types.INDEXES or not store.has(root):
        return
    for row in load_object(store.read(root.digest)).get("manifests") or ():
        platform = Descriptor.from_json(row).platform
        if platform is not None:
            yield str(platform)


def _attached(image: StoredImage) -> list[str]:
    number = len(image.attached)
    return [f"{number} signed or stated about it (see its referrers)"] if number else []
