"""The bytes of a blob, in one piece for whoever reads them, however often the connection breaks (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from converter.stores.patience import Interrupted, Patience
from converter.stores.registry.client import Rejected
from converter.stores.registry.urls import plain
from converter.stores.registry.wire import broken
from converter.streams import Block
from converter.streams.blocks import skipped

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

READ = 512 * 1024
"""Bytes a read. Half of that costs 4 % more of the processor, twice that nothing less, but 10 MB for four layers."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]+/(?:[0-9]+|\*)")


class Opens(Protocol):
    """What a download needs of whoever speaks to a host."""

    patience: Patience

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, expect: Container[int] = (200,)
    ) -> AbstractContextManager[BaseHTTPResponse]:
        """A response whose body is still to be read. Raises Interrupted where the request may be made again."""
        ...


def download(client: Opens, url: str, size: int) -> Iterator[Block]:
    """The bytes at ``url``, unchecked; a broken connection is taken up where it broke. ``size`` -1 is not known.

    Failures in a row are counted since the last byte that arrived. A host that refuses to begin there (416) is asked
    for everything again. Raises NotFound, Denied, Unreachable.
    """
    offset = failures = 0
    ranges = True
    while offset != size or not offset:
        try:
            headers = {"Range": f"bytes={offset}-"} if offset and ranges else {}
            with client.open("GET", url, headers=headers, expect=(200, 206)) as response:
                for block in _blocks(response, url, offset):
                    offset += len(block)
                    failures = 0
                    yield block
                # A host that has sent the length it told is done, even where that is not what a digest wants.
                whole = response.status == 200 and "Content-Length" in response.headers
                if size < 0 or offset >= size or whole:
                    response.release_conn()
                    return
            raise Interrupted(f"got {offset} bytes from {plain(url)}, want {size}")
        except Interrupted as error:
            failures += 1
            client.patience.retry(error, failures)
        except Rejected as error:
            if error.status != 416 or not ranges:
                raise
            ranges = False


def _blocks(response: BaseHTTPResponse, url: str, offset: int) -> Iterator[Block]:
    """The bytes from ``offset``, whatever the host made of the range that it was asked for."""
    from urllib3.exceptions import HTTPError

    start = first_byte(response.status, response.headers, offset)
    skip = offset - start
    if skip < 0:
        raise Interrupted(f"got bytes from {start} on from {plain(url)}, want them from {offset} on")
    try:
        yield from skipped(response.stream(READ, decode_content=False), skip)
    except (HTTPError, OSError) as error:
        raise broken(error, url) from error


def first_byte(status: int, headers: Mapping[str, str], asked: int = 0) -> int:
    """Where the body of a response begins in what was asked for: a host need not know ranges, and then sends all.

    One that sends a part, and does not say which, has sent the one that was asked for: the digest will tell.
    """
    if status != 206:
        return 0
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range") or "")
    return int(match[1]) if match else asked
