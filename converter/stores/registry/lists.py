"""What a registry lists: tags, repositories, what refers to an image (distribution-spec 1.1, Content Discovery).

Lists come in pages (RFC 8288); how repositories are listed is in distribution's docs/spec/api.md. For a registry
without the referrers API, referrers are in an index under a tag made from the subject's digest, which their writers
maintain. cosign's older signatures, attestations and SBOMs are under similar tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from converter.errors import ConverterError, Denied, Invalid, NotFound, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest, descriptors, subject_of
from converter.model.document import dump_json, lenient_member, load_object, member_or_empty, text_list
from converter.model.image import Attachment
from converter.stores.registry.client import Client, Missing, Rejected, Response
from converter.stores.registry.manifests import Manifests
from converter.stores.registry.urls import display_url
from converter.stores.registry.wire import Request
from converter.streams.workers import run_each

PAGE = 1000
_LINK = r"<([^<>]*)>([^<]*)"
_REL = re.compile(r"\brel\s*=", re.IGNORECASE)
_NEXT = re.compile(_REL.pattern + r'\s*"?next\b', re.IGNORECASE)


def list_tags(client: Client) -> Iterator[str]:
    """Every tag of the repository, in the registry's order, page by page. Raises NotFound if there is no such
    repository.
    """
    # A tag has no colon: Artifactory lists digests as well.
    try:
        yield from (tag for tag in list_names(client, "tags/list", "tags") if ":" not in tag)
    except Missing as error:
        raise NotFound(f'no repository "{client.repository}" in {client.host}') from error


def list_names(client: Client, path: str, member: str) -> Iterator[str]:
    """Every name in a list of the registry, which has them in a member of each page.

    For a client without a repository, ``_catalog`` lists the ``repositories``. Raises NotFound or Denied if the
    registry, as Docker Hub's, lists none.
    """
    for page in list_pages(client, client.url(f"{path}?n={PAGE}")):
        with within(display_url(page.url)):
            names = text_list(load_object(page.body), member)
        yield from names


def list_pages(client: Client, url: str, accept: str = "application/json") -> Iterator[Response]:
    """The pages of a list, as long as each links to the next.

    Only the query of a link is followed: behind a proxy, registries state other hosts and paths.
    """
    seen = set()
    while url not in seen:
        seen.add(url)
        page = client.call(Request("GET", url, {"Accept": accept}))
        yield page
        link = next_link(page.headers.get("Link", ""))
        if link is None:
            return
        url = f"{url.partition('?')[0]}?{link.partition('?')[2]}"
    raise Invalid(f"{display_url(url)}: the pages of the list link to each other in a circle")


def next_link(header: str) -> str | None:
    """The URL of the next page in a ``Link`` header: of the link with ``rel=next``, or without ``rel``; None without
    either.
    """
    for url, parameters in re.findall(_LINK, header):
        if _NEXT.search(parameters) or not _REL.search(parameters):
            return str(url)
    return None


def fallback_tag(subject: Digest) -> str:
    """The tag of the index of referrers, if the registry keeps none itself (Referrers Tag Schema).

    GitLab reads it as the digest that it is made from, and returns the subject.
    """
    return f"{subject.algorithm[:32]}-{subject.encoded[:64]}"


def attachments(client: Client, manifests: Manifests, subject: Digest) -> Iterator[Attachment]:
    """Everything that refers to the subject: referrers first, then what cosign tagged."""
    found = _from_api(client, subject) if client.remembered.knows_referrers else None
    if found is None:
        client.remembered.knows_referrers = False
    fallback = fallback_tag(subject)
    tags = [f"{subject.dashed}.{kind}" for kind in ("sig", "att", "sbom")]
    if not found:
        # Some registries without the API answer with an empty list.
        tags.insert(0, fallback)
    # Concurrently: most images have none of these, and each answer takes a round trip.
    possible = list(filter(client.remembered.may_have, tags))
    answers = run_each(partial(find_attached, manifests), possible, len(possible), client.hosts.stop_on_interrupt)
    yield from found or ()
    for tag, document in zip(possible, answers, strict=True):
        if document is None:
            continue
        if tag == fallback:
            yield from _from_fallback(manifests, subject, document)
        else:
            yield Attachment(subject=subject, descriptor=document.descriptor, tag=tag)


def _from_fallback(manifests: Manifests, subject: Digest, index: Known) -> Iterator[Attachment]:
    """What an index of referrers lists; without a tag what names its subject itself, so that it needs none anywhere."""
    if index.descriptor.digest == subject:
        return
    for one in descriptors(load_object(index.read()), "manifests"):
        tag = fallback_tag(subject)
        # Copying what cannot be read will report why.
        with suppress(Invalid, NotFound):
            if subject_of(load_object(manifests.get(one.digest).read())) is not None:
                tag = ""
        yield Attachment(subject=subject, descriptor=one, tag=tag)


def add_to_fallback(manifests: Manifests, subject: Digest, new: list[Descriptor]) -> None:
    """List manifests in the index of their subject's referrers; existing entries stay unchanged."""
    tag = fallback_tag(subject)
    found = find_attached(manifests, tag, (NotFound,))
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": []}
    if found is not None and found.descriptor.digest != subject:
        index = load_object(found.read())
    listed = member_or_empty(index, "manifests", list)
    added = {str(one.digest): one.to_json() for one in new}
    for entry in listed:
        added.pop(lenient_member(entry, "digest", str), None)
    if added:
        index["manifests"] = [*listed, *added.values()]
        manifests.put(tag, types.OCI_INDEX, dump_json(index))


def referrer(document: dict[str, Any], descriptor: Descriptor) -> Descriptor:
    """A manifest's descriptor in a list of referrers: with its annotations and artifact type."""
    kind = document.get("artifactType") or lenient_member(document.get("config"), "mediaType", str)
    return replace(descriptor, annotations=document.get("annotations") or {}, artifact_type=kind)


def _from_api(client: Client, subject: Digest) -> list[Attachment] | None:
    """The referrers that the registry itself lists; None if it does not support that."""
    found = []
    try:
        for page in list_pages(client, client.url(f"referrers/{subject}"), types.OCI_INDEX):
            if page.media_type != types.OCI_INDEX:
                return None
            listed = descriptors(load_object(page.body), "manifests")
            found += [Attachment(subject=subject, descriptor=one) for one in listed]
    except (NotFound, Denied, Rejected):
        # Registries answer an unknown path in various ways.
        return None
    return found


def find_attached(
    manifests: Manifests, tag: str, absent: tuple[type[ConverterError], ...] = (NotFound, Denied, Rejected)
) -> Known | None:
    """The document with an attachment's tag; None without one, which an ``absent`` error says.

    File stores answer 403 for missing objects, and whoever reads the image may read these.
    """
    try:
        with within(tag):
            return manifests.get(tag)
    except absent:
        return None
