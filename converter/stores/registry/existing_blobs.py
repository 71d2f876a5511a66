"""Whether a repository has a blob, and how large it is (distribution-spec, Pull)."""

from __future__ import annotations

import re

from converter.errors import Denied, NotFound
from converter.model.descriptor import Descriptor, Digest
from converter.stores.registry.client import Client, Rejected
from converter.stores.registry.wire import Request
from converter.stores.retry import Interrupted

LENGTH = re.compile(r"[0-9]{1,19}")
"""A number of bytes in a header."""

_WHOLE = re.compile(r"bytes 0-0/([0-9]{1,19})")


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
    whole = _WHOLE.fullmatch(headers.get("Content-Range") or "")
    length = whole[1] if whole else headers.get("Content-Length") or ""
    return int(length) if LENGTH.fullmatch(length) else -1
