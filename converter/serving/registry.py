"""The registry: a table of routes, each with the function that answers it (distribution-spec 1.1, for pulling)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote, urlencode

from converter.errors import ConverterError, Invalid, NotFound, Untrusted
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object
from converter.model.reference import COMPONENT, is_of_attachment
from converter.serving.catalogue import Catalogue
from converter.serving.conversions import Conversions, without_policy
from converter.serving.image_store import ImageStore, ServedImage
from converter.serving.responses import Refused, Request, Response, of_error, of_json, refusal

PAGE = 1000
"""The most tags or names in one answer."""

MOST_SEARCHED = 32
"""The most tags of a repository that are searched for a digest not yet known."""

DOCUMENTS = types.MANIFESTS | types.INDEXES | {types.OCI_ARTIFACT}
"""What is served as a manifest."""

_NAME = rf"(?P<name>{COMPONENT}(?:/{COMPONENT})*)"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_KIND = re.compile(r"[A-Za-z0-9.+_-]{1,127}/[A-Za-z0-9.+_-]{1,127}")
_LONGEST = 255

T = TypeVar("T")

Handler = Callable[["Registry", Request, dict[str, str]], Response]


class Registry:
    """Answers requests below ``/v2/``. Any number of threads may ask."""

    def __init__(self, catalogue: Catalogue, conversions: Conversions, store: ImageStore) -> None:
        self.catalogue = catalogue
        self.conversions = conversions
        self.store = store
        self._hosts: set[str] = set()

    def answer(self, request: Request) -> Response:
        """The answer, which may be a refusal."""
        for pattern, handler in _ROUTES:
            if (match := pattern.fullmatch(request.path)) is not None:
                return _answered(handler, self, request, match.groupdict())
        return refusal(404, "NAME_INVALID" if request.path.startswith("/v2/") else "NOT_FOUND", "there is no such path")

    def knows(self, host: str, most: int) -> bool:
        """Whether this server has that name. The first few names that clients use are accepted as its own."""
        if len(self._hosts) < most:
            self._hosts.add(host)
        return host in self._hosts

    def version(self, _request: Request, _parts: dict[str, str]) -> Response:
        """That this is a registry."""
        return of_json({})

    def manifest(self, request: Request, parts: dict[str, str]) -> Response:
        """A manifest or an index, by tag or by digest."""
        name, reference = parts["name"], parts["reference"]
        if ":" in reference:
            return self._document(name, _digest_in_url(reference), request)
        if not _TAG.fullmatch(reference):
            raise NotFound(f'manifest unknown: "{name}:{reference[:140]}"')
        of_attachment = is_of_attachment(reference)
        if (
            of_attachment
            and (attached := self._looked_up(name, lambda: self.store.tagged(name, reference))) is not None
        ):
            return self.served(attached[0], request, name, attached[1])
        job = self.catalogue.job(name, reference, request.query.get("ns", ""))
        if of_attachment:
            job = without_policy(job)
        if request.method == "HEAD" and (forecast := self.conversions.forecast(job)) is not None:
            return _described(forecast)
        return self.served(self.conversions.image(job).root, request)

    def blob(self, request: Request, parts: dict[str, str]) -> Response:
        """A blob of a repository, of which a manifest has been served."""
        name, digest = parts["name"], _digest_in_url(parts["digest"])
        found = self._member(name, digest)
        if found is None:
            raise Refused(refusal(404, "BLOB_UNKNOWN", f"blob unknown: {digest}"))
        return self.served(Descriptor(media_type=_BYTES, digest=digest, size=found[0].size), request, name, found[1])

    def tags(self, request: Request, parts: dict[str, str]) -> Response:
        """The tags of a repository."""
        name = parts["name"]
        try:
            tags = self.catalogue.tags(name, request.query.get("ns", ""))
        except NotFound as error:
            raise Refused(refusal(404, "NAME_UNKNOWN", str(error))) from None
        page, headers = _page(request, tags)
        return of_json({"name": name, "tags": page}, headers=headers)

    def names(self, request: Request, _parts: dict[str, str]) -> Response:
        """The repositories."""
        page, headers = _page(request, self.catalogue.names())
        return of_json({"repositories": page}, headers=headers)

    def referrers(self, request: Request, parts: dict[str, str]) -> Response:
        """What refers to a manifest: signatures, attestations, the record of what it was made from."""
        name, subject = parts["name"], _digest_in_url(parts["digest"])
        if (found := self._member(name, subject)) is not None:
            with suppress(ConverterError, Refused):
                # What was attached since it was made is served with it from now on.
                self._remake(name, found[1])
        artifact_type = request.query.get("artifactType", "")
        rows = []
        for one in self.store.referrers(name, subject):
            row = self._referrer(one.descriptor)
            if not artifact_type or row.artifact_type == artifact_type:
                rows.append(row.to_json())
        index = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": rows}
        return of_json(
            index, kind=types.OCI_INDEX, headers={"OCI-Filters-Applied": "artifactType"} if artifact_type else None
        )

    def _referrer(self, described: Descriptor) -> Descriptor:
        """The descriptor of a referrer, with its type and annotations, which are in its manifest."""
        document = load_object(self.store.read(described.digest))
        config = document.get("config")
        kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
        annotations = document.get("annotations")
        return Descriptor(
            media_type=described.media_type,
            digest=described.digest,
            size=described.size,
            artifact_type=kind if isinstance(kind, str) else "",
            annotations=annotations if isinstance(annotations, dict) else {},
        )

    def _document(self, name: str, digest: Digest, request: Request) -> Response:
        """A manifest by its digest: one that was served, one that is to be, or one as the source has it."""
        found = self._member(name, digest)
        if found is not None and found[0].media_type in DOCUMENTS:
            return self.served(found[0], request, name, found[1])
        if (kept := self._with_digest(name, digest, request.query.get("ns", ""))) is not None:
            return self.served(kept.root, request)
        raise NotFound(f"manifest unknown: {digest}")

    def _member(self, name: str, digest: Digest) -> tuple[Descriptor, str] | None:
        return self._looked_up(name, lambda: self.store.member(name, digest))

    def _looked_up(self, name: str, look: Callable[[], T | None]) -> T | None:
        """What the store has; another server may have put it there just now."""
        found = look()
        if found is None:
            self.conversions.refresh(name)
            found = look()
        return found

    def _with_digest(self, name: str, digest: Digest, host: str) -> ServedImage | None:
        refused: ConverterError | None = None
        for looked, job in enumerate(self.catalogue.by_digest(name, digest, host)):
            if looked == MOST_SEARCHED:
                break
            try:
                if (kept := self.conversions.with_digest(job, digest)) is not None:
                    return kept
            except ConverterError as error:
                # If one image is refused, the others may still be served, unless that one was asked for.
                if refused is None or isinstance(error, Untrusted):
                    refused = error
        if refused is not None:
            raise refused
        return None

    def served(self, descriptor: Descriptor, request: Request, name: str = "", key: str = "") -> Response:
        """The bytes of a blob; one that was evicted is made again."""
        described = _described(descriptor)
        if request.method == "HEAD" and self.store.has(descriptor):
            return described
        try:
            body = self.store.open(descriptor.digest)
        except NotFound:
            if not name:
                raise
            self._remake(name, key)
            body = self.store.open(descriptor.digest)
        return Response(kind=described.kind, headers=described.headers, body=body)

    def _remake(self, name: str, key: str) -> None:
        kept = next(one for one in self.store.images() if one.key == key)
        tag = kept.names[name]
        jobs = self.catalogue.by_digest(name, Digest.parse(tag)) if ":" in tag else [self.catalogue.job(name, tag)]
        self.conversions.remake(next(iter(jobs)), key)


_BYTES = "application/octet-stream"

_ROUTES: tuple[tuple[re.Pattern[str], Handler], ...] = (
    (re.compile(r"/v2/?"), Registry.version),
    (re.compile(r"/v2/_catalog"), Registry.names),
    (re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"), Registry.manifest),
    (re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>[^/]+)"), Registry.blob),
    (re.compile(rf"/v2/{_NAME}/tags/list"), Registry.tags),
    (re.compile(rf"/v2/{_NAME}/referrers/(?P<digest>[^/]+)"), Registry.referrers),
)


def _answered(handler: Handler, registry: Registry, request: Request, parts: dict[str, str]) -> Response:
    if len(parts.get("name", "")) > _LONGEST:
        return refusal(404, "NAME_INVALID", f"a name of {len(parts['name'])} characters: at most 255 are allowed")
    try:
        return handler(registry, request, parts)
    except Refused as error:
        return error.answer
    except ConverterError as error:
        return of_error(error)


def _digest_in_url(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except Invalid as error:
        raise Refused(refusal(400, "DIGEST_INVALID", str(error))) from None


def _described(descriptor: Descriptor) -> Response:
    """The headers of a blob; its length says how long the body would be."""
    digest = str(descriptor.digest)
    headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Content-Length": str(descriptor.size)}
    # A source may give its blobs any media type.
    kind = descriptor.media_type if _KIND.fullmatch(descriptor.media_type) else _BYTES
    return Response(kind=kind, headers=headers)


def _page(request: Request, rows: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The part of a sorted list that is asked for, and where the next part is."""
    last, text = request.query.get("last", ""), request.query.get("n", "")
    most = min(int(text), PAGE) if text.isascii() and text.isdigit() and len(text) < 10 else PAGE
    after = [row for row in rows if row > last] if last else list(rows)
    page = after[:most]
    if len(page) == len(after) or not page:
        return page, {}
    query = urlencode({"n": most, "last": page[-1]})
    return page, {"Link": f'<{quote(request.path)}?{query}>; rel="next"'}
