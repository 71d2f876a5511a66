"""Images of rkt: found by their names on the same port, as ACIs that are made of any image (appc spec 0.8.11,
discovery.md).
"""

from __future__ import annotations

import re
from html import escape

from converter.errors import ConverterError, NotFound
from converter.model import media_types as types
from converter.model.appc import IDENTIFIER, platform_of
from converter.serving.conversions import as_aci
from converter.serving.registry import Registry
from converter.serving.responses import HTML, Refused, Request, Response, of_error, refusal

TEMPLATE = "/aci/{os}/{arch}/{version}/{name}.{ext}"
"""The path of an image, with the labels that a client fills in."""

_ACI_PATH = re.compile(
    r"/aci/(?P<os>[a-z0-9_]{1,32})/(?P<arch>[a-z0-9_]{1,32})/(?P<version>[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127})"
    r"/(?P<called>.{1,255})\.aci(?P<signature>\.asc)?"
)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


MOST_HOSTS = 16
"""The most names of this host under which images are made: an image has its name in it."""


def discovery_page(request: Request) -> Response:
    """The page that says where the images of this host are; it is the same for all of them."""
    host = hostname(request)
    if not host:
        return refusal(400, "NAME_INVALID", "the Host header is no name of a host")
    where = f"{request.scheme}://{request.host}{TEMPLATE}"
    tag = f'<meta name="ac-discovery" content="{escape(f"{host} {where}")}">'
    return Response(kind=HTML, body=f"<!DOCTYPE html>\n<html><head>\n{tag}\n</head></html>\n".encode())


def serve_aci(request: Request, registry: Registry) -> Response | None:
    """An ACI, or its signature; None for a path that is neither."""
    match = _ACI_PATH.fullmatch(request.path)
    if match is None:
        return None
    try:
        return _image(request, registry, **match.groupdict())
    except Refused as error:
        return error.answer
    except ConverterError as error:
        return of_error(error)


def _image(
    request: Request, registry: Registry, *, os: str, arch: str, version: str, called: str, signature: str | None
) -> Response:
    host = hostname(request)
    name = called.removeprefix(f"{host}/")
    platform, doubt = platform_of({"os": os, "arch": arch})
    if not host or name == called or not IDENTIFIER.fullmatch(called) or doubt:
        raise NotFound(f'name unknown: "{called}"')
    if not registry.knows(host, MOST_HOSTS):
        raise NotFound(f'name unknown: "{called}"')
    job = as_aci(registry.catalogue.job(name, version), f"{called}:{version}", str(platform))
    kept = registry.conversions.image(job)
    if not signature:
        return registry.served(kept.root, request)
    for one in kept.attached:
        if one.descriptor.media_type == types.PGP_SIGNATURE and one.subject == kept.root.digest:
            return registry.served(one.descriptor, request)
    raise NotFound(f'"{called}:{version}" has no signature')


def hostname(request: Request) -> str:
    """The name of this host, as the names of its images begin: without a port, which they cannot have."""
    host = request.host.rpartition(":")[0] if re.search(r":[0-9]+\Z", request.host) else request.host
    return host if _HOST.fullmatch(host) and len(host) < 256 else ""
