"""Which blobs a repository has, and their bytes, however often the connection breaks (distribution-spec, Pull)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from converter.errors import Denied, NotFound
from converter.model.descriptor import Descriptor, Digest
from converter.model.limits import KIB
from converter.stores.registry.client import Client, Rejected
from converter.stores.registry.urls import display_url
from converter.stores.registry.wire import Request, connection_error
from converter.stores.retry import Interrupted
from converter.streams.blocks import Block, skip_bytes

READ = 512 * KIB
"""Bytes per read. Half of that costs 4 % more CPU time; twice that saves none, but takes 10 MB for four layers."""

_CONTENT_RANGE = r"bytes ([0-9]{1,19})-[0-9]+/([0-9]+|\*)"
"""From which byte on a part is, and of how many."""

LENGTH = re.compile(r"[0-9]{1,19}")
"""A number of bytes in a header."""


def download_blob(client: Client, url: str, size: int) -> Iterator[Block]:
    """The bytes at ``url``, unverified; a broken download resumes where it stopped. A ``size`` of -1 means unknown.

    Consecutive failures are counted since the last byte that arrived. If a host refuses to resume there (416),
    everything is requested again. Raises NotFound, Denied, Unreachable.
    """
    offset = failures = 0
    ranges = True
    while offset != size or not offset:
        try:
            headers = {"Range": f"bytes={offset}-"} if offset and ranges else {}
            with client.open(Request("GET", url, headers, expect=(200, 206))) as response:
                for block in _blocks(response, url, offset):
                    offset += len(block)
                    failures = 0
                    yield block
                # A host that sent its stated length is done, even if the digest's size differs.
                whole = response.status == 200 and "Content-Length" in response.headers
                if size < 0 or offset >= size or whole:
                    return
            raise Interrupted(f"{display_url(url)}: cut off after {offset} of {size} bytes")
        except Interrupted as error:
            failures += 1
            client.wait_to_retry(error, failures)
        except Rejected as error:
            if error.status != 416 or not ranges:
                raise
            ranges = False


def _blocks(response: BaseHTTPResponse, url: str, offset: int) -> Iterator[Block]:
    """The bytes from ``offset``, however the host treated the requested range."""
    start = first_byte(response.status, response.headers, offset)
    skip = offset - start
    if skip < 0:
        raise Interrupted(f"{display_url(url)} continued at byte {start}: expected byte {offset}")
    try:
        yield from skip_bytes(response.stream(READ, decode_content=False), skip)
    except (HTTPError, OSError) as error:
        raise connection_error(error, url) from error


def first_byte(status: int, headers: Mapping[str, str], asked: int) -> int:
    """The offset at which a response's body begins: hosts need not support ranges, and then send everything.

    A host that sends a part without saying which is assumed to send the requested one: the digest will tell.
    """
    if status != 206:
        return 0
    match = re.fullmatch(_CONTENT_RANGE, headers.get("Content-Range", ""))
    return int(match[1]) if match else asked


def has_blob(client: Client, descriptor: Descriptor) -> bool:
    """Whether the repository has a blob; False if in doubt: uploading it will then tell why."""
    size = blob_size(client, descriptor.digest)
    return size is not None and (-1 in (size, descriptor.size) or size == descriptor.size)


def blob_size(client: Client, digest: Digest) -> int | None:
    """The size in bytes of a blob in the repository, -1 if not stated; None if it is missing, or access is refused.

    HEAD may be redirected to a URL that is signed for GET only; then the first byte is requested.
    """
    url = client.url(f"blobs/{digest}")
    try:
        headers = client.call(Request("HEAD", url)).headers
    except NotFound:
        return None
    except (Denied, Rejected):
        try:
            with client.open(Request("GET", url, {"Range": "bytes=0-0"}, expect=(200, 206))) as response:
                headers = response.headers
        except (NotFound, Denied, Rejected, Interrupted):
            return None
    part = re.fullmatch(_CONTENT_RANGE, headers.get("Content-Range", ""))
    length = part[2] if part else headers.get("Content-Length", "")
    return int(length) if LENGTH.fullmatch(length) else -1
