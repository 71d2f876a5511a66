"""Uploads a blob in one part or several, however often the connection breaks (distribution-spec, Push).

A blob of known size goes in one PUT, or in parts of a size that the caller or the registry requires; one of unknown
size goes in one PATCH without a length. After a break, the registry is asked how much it has; if it does not know, the
upload starts again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress

from converter.errors import ConverterError, DigestMismatch, NotFound
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.limits import MIB
from converter.stores.registry.client import Client, Rejected, Response
from converter.stores.registry.download import LENGTH, has_blob
from converter.stores.registry.urls import with_query
from converter.stores.registry.wire import Body, Request
from converter.stores.retry import Interrupted
from converter.streams.blocks import COPY_BLOCK, Block, ClosedOnExit, Meter, closing, metered, skip_bytes
from converter.streams.spool import Spool

IN_MEMORY = 4 * MIB
"""Bytes held in memory; more go to an unnamed temporary file."""

SMALL_PARTS = (10 * MIB, 1 * MIB)
"""Part sizes in bytes for a registry, or a proxy in front of it, that does not accept a blob in one request: the
second, which is nginx's default limit, is used if the first is too large as well.
"""

_TOO_LARGE = 413
_WHOLE_REFUSED = frozenset((405, 411, _TOO_LARGE, 415, 501))
"""The statuses by which a registry says that it does not accept a whole blob."""


_RANGE = r"(?:bytes=)?0-([0-9]{1,19})"
_OCTETS = {"Content-Type": "application/octet-stream"}


@frozen(kw_only=False)
class Session:
    """An upload in progress: its next URL, how many bytes the registry has, and the smallest part that it accepts."""

    location: str
    offset: int = 0
    least: int = 0


def upload_blob(
    client: Client, blocks: Blocks, expected: Descriptor | None, open_session: Session | None
) -> Descriptor:
    """Upload a blob; returns its descriptor (the media type is that of ``expected``).

    If the upload must start again, ``blocks`` are iterated over again; those of an iterator are kept in a temporary
    file. Raises what they raise, and then leaves nothing in the registry.
    """
    meter = Meter()
    # Those of a blob that is expected verify themselves.
    with Replay(blocks if expected else metered(blocks, meter), keep=client.options.chunk is not None) as replay:
        job = _Job(client, replay, expected, open_session, meter)
        try:
            job.run()
        except BaseException as error:
            # BaseException includes Abandoned: another reader of the same blocks has failed, such as the one that
            # inflates them.
            client.hosts.stop_on_interrupt(error)
            # A host that did not answer would be waited for again. It removes incomplete uploads itself.
            if not isinstance(error, Interrupted) or not error.silent:
                job.abandon()
            raise
    if expected is not None:
        return expected.bare()
    return Descriptor(media_type="application/octet-stream", digest=meter.digest(), size=meter.size)


def session_of(answer: Response) -> Session:
    """The session of the upload that the registry has started."""
    return Session(answer.location, least=least_part(answer.headers))


def cancel_upload(client: Client, session: Session) -> None:
    """Tell the registry that an upload is cancelled, even after a stop; errors are ignored."""
    with client.hosts.last_requests(), suppress(ConverterError):
        client.once(Request("DELETE", session.location, expect=(200, 202, 204)))


class Replay(ClosedOnExit):
    """A stream of blocks that can be read again from any offset it has reached.

    If ``blocks`` can be iterated over again (it is no iterator), it is, unless ``keep``; otherwise what has passed is
    kept. ``size`` is known once all has been read. Close it at the end.
    """

    def __init__(self, blocks: Blocks, *, keep: bool) -> None:
        self._blocks = blocks
        self._opened = ExitStack()
        self._source = self._opened.enter_context(closing(blocks))
        self._kept: Spool | None = None
        self.size = 0
        if keep or self._source is blocks:
            self.keep()

    def keep(self) -> None:
        """Keep what passes from now on, so that it can be read in parts."""
        if self._kept is None:
            self._kept = Spool(IN_MEMORY)
            self._restart()

    def close(self) -> None:
        """Release what is kept, and close the source."""
        if self._kept is not None:
            self._kept.close()
        self._opened.close()

    def blocks(self, offset: int = 0, most: int | None = None) -> Iterator[Block]:
        """The bytes from ``offset``, at most ``most``; ``offset`` must not exceed what has been read before."""
        if self._kept is None:
            self._restart()
            yield from skip_bytes(iter(self._next, None), offset)
            return
        end = None if most is None else offset + most
        while end is None or offset < end:
            block = self._kept.read(offset, COPY_BLOCK) if offset < self.size else self._next()
            if block is None:
                return
            piece = block if end is None else memoryview(block)[: end - offset]
            offset += len(piece)
            yield piece

    def at_end(self, offset: int) -> bool:
        """Whether nothing follows ``offset``; reads one block further to find out."""
        return offset >= self.size and self._next() is None

    def _next(self) -> Block | None:
        for block in self._source:
            if self._kept is not None:
                self._kept.append(block)
            self.size += len(block)
            return block
        return None

    def _restart(self) -> None:
        if self.size:
            self._opened.close()
            self._source = self._opened.enter_context(closing(self._blocks))
            self.size = 0


class _Job:
    def __init__(
        self, client: Client, replay: Replay, expected: Descriptor | None, session: Session | None, meter: Meter
    ) -> None:
        self._client = client
        self._replay = replay
        self._expected = expected
        self._session = session
        self._meter = meter
        self._chunk = client.options.chunk
        # A part size chosen by the caller stays.
        self._smaller = iter(SMALL_PARTS if self._chunk is None else ())

    def run(self) -> None:
        failures = best = 0
        while True:
            try:
                return self._proceed()
            except Interrupted as error:
                failures += 1
                self._client.wait_to_retry(error, failures)
            if self._is_complete():
                return None
            if self._session is not None and self._session.offset > best:
                failures, best = 0, self._session.offset

    def abandon(self) -> None:
        if self._session is not None:
            cancel_upload(self._client, self._session)
            self._session = None

    def _proceed(self) -> None:
        if self._session is None:
            begin = Request("POST", self._client.url("blobs/uploads/"), body=b"", expect=(202,))
            self._session = session_of(self._client.call(begin))
        session, expected = self._session, self._expected
        try:
            if expected is not None and self._chunk is None and session.offset == 0:
                return self._put(session, expected.digest, self._replay.blocks(), expected.size)
            while not self._replay.at_end(session.offset):
                session = self._session = self._patch(session)
            digest = self._meter.digest() if expected is None else expected.digest
            return self._put(session, digest, (), 0)
        except Rejected as error:
            too_large = error.status in (_WHOLE_REFUSED if self._chunk is None else (_TOO_LARGE,))
            smaller = next(self._smaller, None) if too_large else None
            if smaller is None:
                raise
        self.abandon()
        self._chunk = smaller
        self._replay.keep()
        return self._proceed()

    def _patch(self, session: Session) -> Session:
        start, expected = session.offset, self._expected
        headers = dict(_OCTETS)
        body: Body
        if self._chunk is not None and expected is not None:
            size = min(max(self._chunk, session.least), expected.size - start)
            body = self._replay.blocks(start, size)
        elif self._chunk is not None:
            body = b"".join(self._replay.blocks(start, max(self._chunk, session.least)))
            size = len(body)
        else:
            body = self._replay.blocks(start)
            size = expected.size - start if expected is not None else 0
        if size:
            headers |= {"Content-Length": str(size), "Content-Range": f"{start}-{start + size - 1}"}
        answer = self._send(Request("PATCH", session.location, headers, body, expect=(200, 201, 202, 204)))
        # The Range of the response is ignored: ECR's does not advance, zot's covers only this part.
        offset = start + size if size else self._replay.size
        return Session(answer.location, offset, max(least_part(answer.headers), session.least))

    def _put(self, session: Session, digest: Digest, blocks: Blocks, size: int) -> None:
        url = with_query(session.location, {"digest": str(digest)})
        headers = {**_OCTETS, "Content-Length": str(size)}
        body = blocks if size else b"".join(blocks)
        answer = self._send(Request("PUT", url, headers, body, expect=(200, 201, 204)))
        stated = answer.headers.get("Docker-Content-Digest")
        if stated and stated.startswith(f"{digest.algorithm}:") and stated != str(digest):
            raise DigestMismatch(f"digest mismatch: expected {digest}, stored by the registry as {stated[:140]}")
        self._session = None

    def _send(self, request: Request) -> Response:
        try:
            return self._client.once(request)
        except NotFound as error:
            # The registry no longer knows the upload, which "MUST be restarted" (distribution-spec, Push, "Errors").
            raise Interrupted(error.fact) from error
        except Rejected as error:
            if error.status == 416:
                # The registry's own offset is wrong, and would be wrong again: Quay's is off by one.
                self.abandon()
                raise Interrupted(error.fact) from error
            raise

    def _is_complete(self) -> bool:
        """Ask how far the upload has come after a break: it may prove complete."""
        session = self._session
        if session is None:
            return False
        try:
            answer = self._client.call(Request("GET", session.location, expect=(200, 202, 204)))
        except (NotFound, Rejected):
            self._session = None
            return self._expected is not None and has_blob(self._client, self._expected)
        offset = offset_of(answer.headers)
        if offset is None or offset > self._replay.size:
            # The registry may have any part of the blob.
            self._session = None
        else:
            location = answer.location if "Location" in answer.headers else session.location
            self._session = Session(location, offset, session.least)
        return False


def least_part(headers: Mapping[str, str]) -> int:
    """The smallest part in bytes that the registry accepts; 0 if not stated."""
    stated = headers.get("OCI-Chunk-Min-Length", "")
    return int(stated) if LENGTH.fullmatch(stated) else 0


def offset_of(headers: Mapping[str, str]) -> int | None:
    """How many bytes of an upload the registry has, according to its Range; None if not stated."""
    match = re.fullmatch(_RANGE, headers.get("Range", ""))
    if match is None:
        return None
    # The range ends with the last byte, but registries state 0-0 for nothing at all.
    return int(match[1]) + 1 if match[1] != "0" else 0
