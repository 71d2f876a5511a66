"""Finds images of rkt by name: ``appc:NAME[:VERSION][,LABEL=VALUE…]`` (appc spec 0.8.11, discovery.md)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Self
from urllib.parse import quote

from converter.errors import ConverterError, Invalid, NotFound, Unsupported, within
from converter.model.appc import IDENTIFIER, platform_labels
from converter.model.document import lenient_member, load_object
from converter.model.frozen import frozen
from converter.model.image import Dependency
from converter.model.platform import host_platform
from converter.model.reference import Location, with_namespaces
from converter.stores.aci_file import AciFile, signature_path
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry.client import Client
from converter.stores.registry.download import download_blob
from converter.stores.registry.urls import display_url, refuse_link_local
from converter.streams import spool
from converter.streams.blocks import closing, file_blocks, on_error, read_whole
from converter.streams.tar.aci import manifest_in

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_BRACES = re.compile(r"\{.*\}", re.DOTALL)
_MOST_TAGS = 1000
_SPACES = re.compile(r"[\0- \x7f]")
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|title|textarea)\b.*?(?:</\1\b|\Z)"
    r"""|<meta(?=[\s/])(?P<attributes>(?:[^>"']++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+)""",
    re.DOTALL | re.IGNORECASE,
)
"""A ``meta`` tag, or a construct that may contain text that only looks like one. An unterminated construct extends to
the end of the page, so that matching takes linear time; the standard library's parser takes minutes for a page of
``<!--``.
"""

_ATTRIBUTE = re.compile(r"""([^\s"'=/]++)(?:\s*+=\s*+(?:"([^"]*)"?|'([^']*)'?|([^\s"']+)))?""")


def open_source(location: Location, options: StoreOptions) -> AciFile:
    """Find an image and download it with its signature; over https only, unless the caller waives TLS. Both are in a
    temporary folder, which is removed when the source is closed.

    Raises NotFound if no host knows the name, Invalid if the image has another name or other labels.
    """
    app = AppName.parse(location.path)
    folder = tempfile.TemporaryDirectory(prefix="transship-")
    path = Path(folder.name, "image.aci")
    with on_error(folder.cleanup), Hosts() as hosts, within(str(app)):
        client = Client("", "", replace(options, hosts=hosts), push=False)
        _download_first(client, _discover(client, app.completed()), path)
        _check_labels(path, app)
        return AciFile(path, closed=folder.cleanup)


def _download_first(client: Client, endpoints: Iterable[Endpoint], path: Path) -> None:
    """Download the image from the first endpoint that has it, and its signature if there is one."""
    failures: list[ConverterError] = []
    for endpoint in endpoints:
        try:
            _download(client, endpoint.image, path)
        except ConverterError as error:
            failures.append(error)
            continue
        try:
            _download(client, endpoint.signature, signature_path(path))
        except NotFound:
            signature_path(path).unlink(missing_ok=True)
        return
    raise failures[0]


def _download(client: Client, url: str, path: Path) -> None:
    if url.partition("://")[0] not in _schemes(client):
        raise Unsupported(f"refused to download {url[:200]}: not https (--tls-verify=false allows http)")
    refuse_link_local(url)
    with (
        spool.disk_errors("write"),
        path.open("wb") as file,
        closing(download_blob(client, url, -1)) as blocks,
    ):
        file.writelines(blocks)


def _check_labels(path: Path, app: AppName) -> None:
    """Raise Invalid if the image is not the requested one (discovery.md, "Validation").

    It must have every requested label; its platform, if not requested, may be absent but must not differ from the
    machine's.
    """
    with path.open("rb") as file:
        manifest = load_object(manifest_in(file_blocks(file.fileno(), 0, path.stat().st_size)))
    if manifest.get("name") != app.name:
        raise Invalid(f'the image found is named "{str(manifest.get("name"))[:200]}": expected "{app.name}"')
    rows = lenient_member(manifest, "labels", list)
    labels = {str(row.get("name")): row.get("value") for row in rows if isinstance(row, dict)}
    for name, expected in app.labels.items():
        if name not in labels:
            raise Invalid(f'the image found has no label "{name}": expected "{expected}"')
        if labels[name] != expected:
            raise Invalid(f'the image found has the label {name}="{str(labels[name])[:200]}": expected "{expected}"')
    completed = app.completed().labels
    for name in ("os", "arch"):
        if labels.get(name, completed[name]) != completed[name]:
            raise Invalid(f'the image found is for {name} "{str(labels[name])[:200]}": expected "{completed[name]}"')


def _discover(client: Client, app: AppName) -> tuple[Endpoint, ...]:
    """The endpoints on the name's own page, or else on the page of a parent path.

    Raises NotFound with the failure of each page if no page has an endpoint.
    """
    failures = []
    for place in with_namespaces(app.name):
        for scheme in _schemes(client):
            url = f"{scheme}://{place}?ac-discovery=1"
            try:
                page = read_whole(download_blob(client, url, -1), f"from {display_url(url)}")
            except ConverterError as error:
                failures.append(error.fact)
                continue
            if found := read_page(page.decode("utf-8", "replace"), app):
                return found
            failures.append(f"{display_url(url)} has no ac-discovery tag that fits")
    how = " over HTTPS (--tls-verify=false allows HTTP)" if client.options.tls_verify else ""
    why = "; ".join(dict.fromkeys(failures))
    raise NotFound(f'no host serves "{str(app)[:200]}"{how}: {why[:1000]}')


def _schemes(client: Client) -> tuple[str, ...]:
    return ("https",) if client.options.tls_verify else ("https", "http")


@frozen
class AppName(Dependency):
    """An image that is asked for as one that others depend on; its name also says where to look."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``NAME[:VERSION][,LABEL=VALUE…]``; raises Invalid."""
        shown = text[:200]
        start, *rest = text.split(",")
        name, colon, version = start.partition(":")
        labels = {"version": version} if colon else {}
        for part in rest:
            label, equals, value = part.partition("=")
            if not equals or not value or label == "name" or label in labels or not IDENTIFIER.fullmatch(label):
                raise Invalid(f'invalid label "{part[:100]}" in "{shown}": expected LABEL=VALUE, each label once')
            labels[label] = value
        if not IDENTIFIER.fullmatch(name) or "//" in name or (colon and not version):
            raise Invalid(f'invalid name "{shown}": expected NAME[:VERSION][,LABEL=VALUE…] in lower case')
        if "/" in version:
            raise Invalid(
                f'invalid version "{version[:100]}" in "{shown}": it must not contain "/" (names have no port)'
            )
        if any(map(_SPACES.search, labels.values())):
            raise Invalid(f'invalid name "{shown}": spaces and control characters are not allowed')
        return cls(name=name, labels=labels)

    def completed(self) -> AppName:
        """The same with what templates need and the user omitted: version ``latest``, and this machine's platform.

        As with an index of several platforms, the image then depends on the machine.
        """
        here = host_platform()
        labels = {"version": "latest", "os": here.os, "arch": here.architecture, **platform_labels(here)}
        return AppName(name=self.name, labels={**labels, **self.labels})


@frozen
class Endpoint:
    """The URLs of an image and of its signature."""

    image: str
    signature: str


def read_page(page: str, app: AppName) -> tuple[Endpoint, ...]:
    """The page's best templates for the name, filled in: those with no unknown variable, and with the most labels."""
    rendered = []
    for content in islice(_discovery_tags(page), _MOST_TAGS):
        prefix, *rest = content.split()
        # A prefix ends at a slash: example.com/foo does not cover example.com/foobar.
        covers = app.name == prefix or app.name.startswith(f"{prefix.rstrip('/')}/")
        if rest and covers and (made := _fill_in(rest[0], app)) is not None:
            rendered.append(made)
    most = max((labels for labels, _ in rendered), default=0)
    return tuple(endpoint for labels, endpoint in rendered if labels == most)


def _fill_in(template: str, app: AppName) -> tuple[int, Endpoint] | None:
    """The number of labels in a template, and its URLs; None if it has an unknown variable, or lacks ``ext``."""
    variables = set(_VARIABLE.findall(template))
    if not variables <= {"name", "ext", *app.labels} or "ext" not in variables:
        return None
    if _BRACES.search(_VARIABLE.sub("", template)):
        return None

    def filled(ext: str) -> str:
        values = {**app.labels, "name": app.name, "ext": ext}
        return _VARIABLE.sub(lambda match: quote(values[match[1]], safe="/:+~,=@"), template)

    return len(variables & app.labels.keys()), Endpoint(image=filled("aci"), signature=filled("aci.asc"))


def _discovery_tags(page: str) -> Iterator[str]:
    """The content of the discovery tags that have any."""
    for tag in _TAG.finditer(page):
        values: dict[str, str] = {}
        for key, *forms in _ATTRIBUTE.findall(tag["attributes"] or ""):
            values.setdefault(key.lower(), unescape("".join(forms)))
        if values.get("name") == "ac-discovery" and values.get("content", "").split():
            yield values["content"]
