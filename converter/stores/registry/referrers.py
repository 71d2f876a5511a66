"""What refers to an image in its repository (distribution-spec 1.1, Listing Referrers; cosign's tags).

A registry that knows no referrers keeps them in an index under a tag made of the subject's digest; whoever writes one
keeps that index. cosign's older signatures, attestations and SBOMs lie under tags of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.errors import Denied, Invalid, NotFound, within
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.digest import Digest
from converter.model.document import dump, load_object
from converter.model.image import Attachment
from converter.stores.registry.client import Client, Rejected
from converter.stores.registry.documents import Documents
from converter.stores.registry.tags import pages
from converter.streams.crew import each

COSIGN = ("sig", "att", "sbom")


def fallback_tag(subject: Digest) -> str:
    """The tag of the index of referrers, where the registry keeps none itself (Referrers Tag Schema).

    GitLab takes it for the digest that it is made of, and gives the subject.
    """
    return f"{subject.algorithm[:32]}-{subject.encoded[:64]}"


def attachments(client: Client, documents: Documents, subject: Digest) -> Iterator[Attachment]:
    """Everything that refers to the subject: referrers first, then what cosign has tagged."""
    by_tag = [f"{subject.dashed}.{kind}" for kind in COSIGN]
    repository = client.hosts.repository(client.host, client.repository)
    found = _from_api(client, subject) if repository.knows_referrers else None
    if found is None:
        repository.knows_referrers = False
    # Some answer with an empty list what they do not know.
    fallback = [] if found else [fallback_tag(subject)]
    # At once: most images have none of these, and each answer is a round trip away.
    tags = list(filter(repository.may_have, [*fallback, *by_tag]))
    answers = each(lambda tag: _shown(documents, tag), tags, len(tags), client.hosts.heed)
    held = dict(zip(tags, answers, strict=True))
    yield from found or ()
    for tag in fallback:
        if (index := held.get(tag)) is not None and index[0].digest != subject:
            yield from (Attachment(subject=subject, descriptor=one, tag=tag) for one in _listed(index[1]))
    for tag in by_tag:
        if (document := held.get(tag)) is not None:
            yield Attachment(subject=subject, descriptor=document[0], tag=tag)


def add_to_fallback(documents: Documents, subject: Digest, new: list[Descriptor]) -> None:
    """List manifests in the index of their subject's referrers; what is listed there stays as it is."""
    tag = fallback_tag(subject)
    held = _get(documents, tag)
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": []}
    if held is not None and held[0].digest != subject:
        index = load_object(held[1])
    listed = index.get("manifests") or []
    known = {str(entry.get("digest")) for entry in listed if isinstance(entry, dict)}
    added = {str(one.digest): one.to_json() for one in new if str(one.digest) not in known}
    if added:
        documents.put(tag, types.OCI_INDEX, dump(index | {"manifests": [*listed, *added.values()]}))


def subject_of(document: dict[str, Any]) -> Digest | None:
    """The digest of the manifest that a document refers to."""
    subject = document.get("subject")
    return Descriptor.from_json(subject).digest if subject else None


def referrer(document: dict[str, Any], descriptor: Descriptor) -> Descriptor:
    """How a list of referrers shows a manifest: with its annotations, and what kind of artifact it is."""
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
    return Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=document.get("annotations") or {},
        artifact_type=kind or "",
    )


def _from_api(client: Client, subject: Digest) -> list[Attachment] | None:
    """What the registry itself lists; None where it does not know how."""
    found = []
    try:
        for page in pages(client, client.url(f"referrers/{subject}"), types.OCI_INDEX):
            told = (page.headers.get("Content-Type") or "").partition(";")[0].strip()
            if told != types.OCI_INDEX:
                return None
            found += [Attachment(subject=subject, descriptor=one) for one in _listed(page.body)]
    except (NotFound, Denied, Rejected):
        # Whatever a registry says to a path that it does not know.
        return None
    return found


def _listed(data: bytes) -> list[Descriptor]:
    entries = load_object(data).get("manifests") or []
    if not isinstance(entries, list):
        raise Invalid("got referrers that are no list, want an index of them")
    return [Descriptor.from_json(entry) for entry in entries]


def _shown(documents: Documents, tag: str) -> tuple[Descriptor, bytes] | None:
    """The same for who only reads: a store of files answers 403 for what is not there, and who could read the image
    may read this.
    """
    try:
        return _get(documents, tag)
    except (Denied, Rejected):
        return None


def _get(documents: Documents, tag: str) -> tuple[Descriptor, bytes] | None:
    try:
        with within(tag):
            return documents.get(tag)
    except NotFound:
        return None
