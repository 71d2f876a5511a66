"""Writes images into one repository of a registry (distribution-spec, Push); tags are set last, when all is there."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from converter.errors import (
    ConverterError,
    Denied,
    DigestMismatch,
    Invalid,
    NotFound,
    Unreachable,
    Unsupported,
    within,
)
from converter.model.content import Blocks, Known, blocks_of
from converter.model.descriptor import Descriptor, Digest, subject_of
from converter.model.document import load_object
from converter.model.image import Attachment
from converter.model.reference import ImageName
from converter.ports import Sink
from converter.stores.options import StoreOptions
from converter.stores.registry.client import Client, Rejected
from converter.stores.registry.download import has_blob
from converter.stores.registry.lists import add_to_fallback, fallback_tag, find_attached, referrer
from converter.stores.registry.manifests import MANIFEST_TYPES, Manifests, reference_in
from converter.stores.registry.upload import Session, cancel_upload, session_of, upload_blob
from converter.stores.registry.urls import with_query
from converter.stores.registry.wire import Request
from converter.streams.blocks import read_whole


class RegistrySink(Sink):
    """Writes to one repository. Threads may put blobs concurrently.

    After a failure, what was put without a tag stays in the registry until its garbage collection.
    """

    def __init__(self, name: ImageName, options: StoreOptions) -> None:
        """A blob that this run saw in this repository is not asked for."""
        self._name = name
        self._mount_from = options.mount_from
        self._holders = options.holders
        self._client = Client.of(name, options, push=True)
        self._manifests = Manifests(self._client)
        self._lock = threading.Lock()
        self._put_here: set[Digest] = set()
        self._sessions: dict[Digest, Session] = {}
        self._tags: dict[str, Descriptor] = {}
        self._attached: list[Attachment] = []
        self._unlisted: dict[Digest, list[Descriptor]] = {}

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._client.hosts.stop_on_interrupt(error)
        super().__exit__(kind, error, trace)

    def _abort(self) -> None:
        try:
            for session in self._sessions.values():
                cancel_upload(self._client, session)
        finally:
            self._client.close()

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has it; a blob found in another repository is mounted, and then counts as present."""
        if descriptor.media_type in MANIFEST_TYPES:
            return self._manifests.has(descriptor.digest)
        if self._holders and self._name.repository in self._holders.seen(self._name.host, descriptor.digest):
            return True
        found = has_blob(self._client, descriptor) or self._mount(descriptor.digest)
        if found:
            self._remember(descriptor.digest, sent=False)
        return found

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Upload a blob, or write a document under its digest. Raises what ``blocks`` raises, and Unreachable."""
        if media_type in MANIFEST_TYPES:
            return self._put_document(blocks, media_type, expected)
        session = sized = None
        if expected is not None:
            with self._lock:
                session = self._sessions.pop(expected.digest, None)
            sized = expected if expected.size >= 0 else None
        made = upload_blob(self._client, blocks, sized, session).retyped(media_type)
        self._remember(made.digest, sent=True)
        return made

    def name(self, name: str, root: Descriptor) -> None:
        """Tag the root when the sink commits; an empty name means that of the reference, or ``latest``."""
        reference = reference_in(name) if name else self._name.tagged()
        if reference.digest is not None:
            if reference.digest != root.digest:
                raise DigestMismatch(
                    f"digest mismatch: expected {reference.digest} (from the target's name), computed {root.digest}"
                )
            return
        self._tags[reference.tag] = root

    def tagged(self, tag: str) -> Iterable[bytes]:
        """One request, or none if the tags of the repository have been listed, without this one."""
        if not self._client.remembered.may_have(tag):
            return ()
        found = find_attached(self._manifests, tag)
        return () if found is None else (found.read(),)

    def attach(self, attachment: Attachment) -> None:
        """Tag the attachment when the sink commits; a referrer is listed by the registry, or else by us.

        Raises Unsupported for anything but a manifest or index, because nothing would say what it refers to.
        """
        if attachment.descriptor.media_type not in MANIFEST_TYPES:
            kind = attachment.descriptor.media_type
            raise Unsupported(f'a registry takes only manifests as attachments: unsupported media type "{kind}"')
        self._attached.append(attachment)

    def _remember(self, digest: Digest, *, sent: bool) -> None:
        if self._holders is not None:
            self._holders.holds(self._name.host, digest, self._name.repository, sent=sent)

    def _mount(self, digest: Digest) -> bool:
        known = self._holders.holders(self._name.host, digest) if self._holders else ()
        for other in dict.fromkeys((*known, *self._mount_from)):
            if other == self._name.repository:
                continue
            url = with_query(self._client.url("blobs/uploads/"), {"mount": str(digest), "from": other})
            try:
                answer = self._client.call(Request("POST", url, body=b"", expect=(201, 202), reads=other))
            except (Denied, NotFound, Unreachable):
                # Being refused the mount is no reason not to send the blob.
                continue
            if answer.status == 201:
                return True
            # The registry has begun an upload instead of mounting; it can be used.
            with self._lock:
                before = self._sessions.pop(digest, None)
                self._sessions[digest] = session_of(answer)
            if before is not None:
                cancel_upload(self._client, before)
        return False

    def _put_document(self, blocks: Blocks, media_type: str, expected: Descriptor | None) -> Descriptor:
        data = read_whole(blocks, "of a document")
        if not data:
            raise Invalid("the document is empty: expected a manifest or an index")
        descriptor = (expected or Descriptor.of(data, media_type)).bare().retyped(media_type).sized(len(data))
        answer = self._manifests.put(descriptor.digest, media_type, data)
        self._manifests.known[descriptor.digest] = Known(descriptor, blocks_of(data))
        document = load_object(data)
        self._put_here.add(descriptor.digest)
        subject = subject_of(document)
        if subject is not None and not answer.headers.get("OCI-Subject"):
            with self._lock:
                self._unlisted.setdefault(subject, []).append(referrer(document, descriptor))
        return descriptor

    def _commit(self) -> None:
        """Set the tags, those of attachments first."""
        with within("attachments"):
            for attachment in self._attached:
                if attachment.tag in ("", fallback_tag(attachment.subject)):
                    self._list(attachment)
                else:
                    self._tag(attachment.tag, attachment.descriptor)
            for subject, listed in self._unlisted.items():
                add_to_fallback(self._manifests, subject, listed)
        for tag, root in self._tags.items():
            self._tag(tag, root)

    def _list(self, attachment: Attachment) -> None:
        """Ensure that a referrer is listed, even one that an earlier run put there but could not list."""
        found = self._manifests.get(attachment.descriptor.digest)
        if subject_of(load_object(found.read())) is None:
            self._unlisted.setdefault(attachment.subject, []).append(attachment.descriptor)
        elif found.descriptor.digest not in self._put_here:
            self._put_document(found.blocks(), found.descriptor.media_type, found.descriptor)

    def _tag(self, tag: str, root: Descriptor) -> None:
        if root.media_type not in MANIFEST_TYPES:
            raise Unsupported(f'a registry tags only manifests and indexes: unsupported media type "{root.media_type}"')
        found = self._manifests.get(root.digest)
        try:
            self._manifests.put(tag, found.descriptor.media_type, found.read())
        except (Denied, Rejected):
            # Registries with immutable tags refuse to set them even to the same digest (ECR, Harbor, ACR).
            if not self._is_tagged(tag, root.digest):
                raise

    def _is_tagged(self, tag: str, digest: Digest) -> bool:
        try:
            return self._manifests.get(tag).descriptor.digest == digest
        except ConverterError:
            return False
