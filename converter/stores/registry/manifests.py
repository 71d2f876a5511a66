"""Manifests and indexes of a repository, fetched by tag or digest, and verified (distribution-spec, Pull)."""

from __future__ import annotations

from dataclasses import field

from converter.errors import Denied, DigestMismatch, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Known, blocks_of
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest
from converter.model.document import load_object, signed_payload
from converter.model.frozen import frozen
from converter.model.reference import ImageName
from converter.stores.registry.client import Client, Rejected, Response
from converter.stores.registry.wire import Request

SCHEMA1 = (types.DOCKER_SCHEMA1_SIGNED, types.DOCKER_SCHEMA1)

MANIFEST_TYPES = (
    types.OCI_INDEX,
    types.OCI_MANIFEST,
    types.DOCKER_LIST,
    types.DOCKER_MANIFEST,
    types.OCI_ARTIFACT,
    *SCHEMA1,
)
"""Best first. A registry converts documents of types not listed here, and the result is no longer what was signed."""

_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}


@frozen(kw_only=False)
class Manifests:
    """The documents of one repository. Each is fetched once: ``known`` keeps those fetched or written, by digest."""

    client: Client
    known: dict[Digest, Known] = field(default_factory=dict)

    def get(self, reference: str | Digest) -> Known:
        """A document by its tag or digest.

        The digest is that of the bytes, even for schema 1, which registries name by the digest of its payload. Raises
        NotFound, and DigestMismatch if the bytes are not those requested or those that the registry states.
        """
        if isinstance(reference, Digest) and reference in self.known:
            return self.known[reference]
        url = self.client.url(f"manifests/{reference}")
        answer = self.client.call(Request("GET", url, _ACCEPT))
        if not answer.body.lstrip().startswith((b"{", b"[")):
            # Such as the page of a proxy that asks for a login.
            found = answer.media_type or "data without a Content-Type"
            if not answer.body:
                found = "an empty answer"
            raise Invalid(f"{self.client.host} does not answer as a registry: expected a manifest, found {found}")
        # Some registries state none, or that of any JSON.
        stated = answer.media_type
        media_type = stated if stated in MANIFEST_TYPES else types.identify(load_object(answer.body))
        digest = Digest.of(answer.body)
        if isinstance(reference, Digest):
            computed = _computed_digest(answer.body, media_type, reference.algorithm)
            if computed != reference:
                raise DigestMismatch(f"digest mismatch: expected {reference}, computed {computed}")
            if media_type not in SCHEMA1:
                digest = reference
        _check_stated(answer, answer.body, media_type)
        descriptor = Descriptor(media_type=media_type, digest=digest, size=len(answer.body))
        self.known[digest] = Known(descriptor, blocks_of(answer.body))
        return self.known[digest]

    def has(self, digest: Digest) -> bool:
        """Whether the repository has a document; False if access is refused: writing it will then tell."""
        url = self.client.url(f"manifests/{digest}")
        try:
            self.client.call(Request("HEAD", url, _ACCEPT))
        except (NotFound, Denied, Rejected):
            return False
        return True

    def put(self, reference: str | Digest, media_type: str, data: bytes) -> Response:
        """Write a document under a tag or its digest; for schema 1, under that of its payload. Raises DigestMismatch if
        the registry received other bytes.
        """
        name = reference if isinstance(reference, str) else _computed_digest(data, media_type, reference.algorithm)
        url = self.client.url(f"manifests/{name}")
        answer = self.client.call(Request("PUT", url, {"Content-Type": media_type}, data, expect=(200, 201, 202)))
        _check_stated(answer, data, media_type)
        if isinstance(reference, str):
            self.client.remembered.add(reference)
        return answer


def reference_in(name: str) -> ImageName:
    """A tag, a digest or a whole reference as an ImageName; tag and digest get a placeholder repository, and what has
    neither gets the tag ``latest``. Raises Invalid.
    """
    digest = name.removeprefix("@")
    if digest.partition(":")[0] in HEX_LENGTHS:
        return ImageName.parse(f"repository@{digest}")
    if "/" in name or ":" in name:
        return ImageName.parse(name).tagged()
    return ImageName.parse(f"repository:{name}")


def _check_stated(answer: Response, data: bytes, media_type: str) -> None:
    header = answer.headers.get("Docker-Content-Digest")
    if not header:
        return
    stated = Digest.parse(header.strip())
    try:
        found = _computed_digest(data, media_type, stated.algorithm)
    except Unsupported:
        # By another algorithm than ours, which clients may ignore (distribution-spec, "Digest Header").
        return
    if found != stated:
        raise DigestMismatch(f"digest mismatch: expected {stated} (Docker-Content-Digest), computed {found}")


def _computed_digest(data: bytes, media_type: str, algorithm: str) -> Digest:
    signed = signed_payload(data) if media_type in SCHEMA1 else data
    return Digest.of(signed, algorithm)
