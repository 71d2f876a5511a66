"""Requests and responses of the registry, independent of the HTTP server; errors as the distribution-spec has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, BinaryIO

from converter.errors import (
    CalledOff,
    ConverterError,
    Denied,
    Invalid,
    LimitExceeded,
    NotFound,
    StorageFailed,
    Unreachable,
    Untrusted,
)
from converter.model.frozen import frozen

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@frozen
class Request:
    """What a client asks for. ``path`` is decoded but for encoded slashes; names of ``headers`` are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str = ""
    scheme: str = "http"

    @property
    def host(self) -> str:
        """The name under which the client knows this server, with its port."""
        return self.headers.get("host", "")


@frozen
class FileBody:
    """The body of an answer that is an open file of so many bytes; whoever sends it closes it."""

    file: BinaryIO
    size: int


@frozen
class Response:
    """The answer to a GET; to a HEAD, its body is left out. ``reason``, for the log, is why there is no better one."""

    status: int = 200
    kind: str = JSON
    body: bytes | FileBody = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        return self.body.size if isinstance(self.body, FileBody) else len(self.body)


def of_json(value: Any, *, status: int = 200, kind: str = JSON, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is a JSON document."""
    return Response(status=status, kind=kind, body=json.dumps(value).encode(), headers=headers or {})


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the distribution-spec has it (Error Codes)."""
    rows = [{"code": code, "message": message, "detail": None}]
    answer = of_json({"errors": rows}, status=status, headers=headers)
    return replace(answer, reason=message) if status >= 500 else answer


class Refused(Exception):
    """Ends the handling of a request with an answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


_REFUSALS: tuple[tuple[type[ConverterError], int, str], ...] = (
    (Untrusted, 403, "DENIED"),
    (NotFound, 404, "MANIFEST_UNKNOWN"),
    (Unreachable, 502, "UNAVAILABLE"),
    (Denied, 502, "UNAVAILABLE"),
    (CalledOff, 503, "UNAVAILABLE"),
    (StorageFailed, 503, "UNAVAILABLE"),
    (LimitExceeded, 502, "SIZE_INVALID"),
    (Invalid, 502, "MANIFEST_INVALID"),
)
"""How an error is reported to a client. It is not asked to log in if it is the source that requires a login."""


def of_error(error: ConverterError) -> Response:
    """The refusal for an error; what this image cannot become is an image that is not there."""
    for kind, status, code in _REFUSALS:
        if isinstance(error, kind):
            return refusal(status, code, str(error))
    return refusal(404, "MANIFEST_UNKNOWN", str(error))
