"""Lists what refers to an image in its repository (distribution-spec 1.1, Listing Referrers; cosign's tags).

For a registry without the referrers API, they are in an index under a tag made from the subject's digest, which the
writers of referrers maintain. cosign's older signatures, attestations and SBOMs are under similar tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.errors import Denied, Invalid, NotFound, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import dump_json, lenient_member, load_object, member_or_empty
from converter.model.image import Attachment
from converter.stores.registry.client import Client, Rejected
from converter.stores.registry.manifests import Manifests
from converter.stores.registry.paged_lists import list_pages
from converter.streams.workers import run_each

COSIGN = ("sig", "att", "sbom")


def fallback_tag(subject: Digest) -> str:
    """The tag of the index of referrers, if the registry keeps none itself (Referrers Tag Schema).

    GitLab reads it as the digest that it is made from, and returns the subject.
    """
    return f"{subject.algorithm[:32]}-{subject.encoded[:64]}"


def attachments(client: Client, manifests: Manifests, subject: Digest) -> Iterator[Attachment]:
    """Everything that refers to the subject: referrers first, then what cosign tagged."""
    by_tag = [f"{subject.dashed}.{kind}" for kind in COSIGN]
    repository = client.hosts.repository(client.host, client.repository)
    found = _from_api(client, subject) if repository.knows_referrers else None
    if found is None:
        repository.knows_referrers = False
    # Some registries without the API answer with an empty list.
    fallback = [] if found else [fallback_tag(subject)]
    # Concurrently: most images have none of these, and each answer takes a round trip.
    tags = list(filter(repository.may_have, [*fallback, *by_tag]))
    answers = run_each(lambda tag: _find_readable(manifests, tag), tags, len(tags), client.hosts.stop_on_interrupt)
    answered = dict(zip(tags, answers, strict=True))
    yield from found or ()
    for tag in fallback:
        if (index := answered.get(tag)) is not None and index[0].digest != subject:
            for one in descriptors(load_object(index[1]), "manifests"):
                yield Attachment(subject=subject, descriptor=one, tag="" if _names_one(manifests, one) else tag)
    for tag in by_tag:
        if (document := answered.get(tag)) is not None:
            yield Attachment(subject=subject, descriptor=document[0], tag=tag)


def add_to_fallback(manifests: Manifests, subject: Digest, new: list[Descriptor]) -> None:
    """List manifests in the index of their subject's referrers; existing entries stay unchanged."""
    tag = fallback_tag(subject)
    found = _find_manifest(manifests, tag)
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": []}
    if found is not None and found[0].digest != subject:
        index = load_object(found[1])
    listed = member_or_empty(index, "manifests", list)
    known = {lenient_member(entry, "digest", str) for entry in listed}
    added = {str(one.digest): one.to_json() for one in new if str(one.digest) not in known}
    if added:
        manifests.put(tag, types.OCI_INDEX, dump_json(index | {"manifests": [*listed, *added.values()]}))


def subject_of(document: dict[str, Any]) -> Digest | None:
    """The digest of the manifest that a document refers to; None without a subject."""
    subject = document.get("subject")
    return Descriptor.from_json(subject).digest if subject else None


def _names_one(manifests: Manifests, descriptor: Descriptor) -> bool:
    """Whether a manifest in a fallback index names its subject itself, so that it needs no tag anywhere else."""
    try:
        return subject_of(load_object(manifests.get(descriptor.digest)[1])) is not None
    except (Invalid, NotFound):
        # Copying it will report why it cannot be read.
        return False


def referrer(document: dict[str, Any], descriptor: Descriptor) -> Descriptor:
    """A manifest's descriptor in a list of referrers: with its annotations and artifact type."""
    kind = document.get("artifactType") or lenient_member(document, "config", dict).get("mediaType")
    return Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=document.get("annotations") or {},
        artifact_type=kind or "",
    )


def _from_api(client: Client, subject: Digest) -> list[Attachment] | None:
    """The referrers that the registry itself lists; None if it does not support that."""
    found = []
    try:
        for page in list_pages(client, client.url(f"referrers/{subject}"), types.OCI_INDEX):
            media_type = (page.headers.get("Content-Type") or "").partition(";")[0].strip()
            if media_type != types.OCI_INDEX:
                return None
            listed = descriptors(load_object(page.body), "manifests")
            found += [Attachment(subject=subject, descriptor=one) for one in listed]
    except (NotFound, Denied, Rejected):
        # Registries answer an unknown path in various ways.
        return None
    return found


def _find_readable(manifests: Manifests, tag: str) -> tuple[Descriptor, bytes] | None:
    """As ``_find_manifest``, for reading only: file stores answer 403 for missing objects, and whoever reads the image
    may read these.
    """
    try:
        return _find_manifest(manifests, tag)
    except (Denied, Rejected):
        return None


def _find_manifest(manifests: Manifests, tag: str) -> tuple[Descriptor, bytes] | None:
    try:
        with within(tag):
            return manifests.get(tag)
    except NotFound:
        return None
