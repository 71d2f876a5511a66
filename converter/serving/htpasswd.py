"""Authenticates clients by an htpasswd file with bcrypt passwords (basic authentication)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
from pathlib import Path

from converter.errors import Invalid, NotFound, Unsupported
from converter.serving.responses import Request, Response, refusal

UNAUTHORIZED = refusal(
    401, "UNAUTHORIZED", "a login is required", {"WWW-Authenticate": 'Basic realm="transship", charset="UTF-8"'}
)
_REMEMBERED = 1000


class Htpasswd:
    """The users of a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Raises NotFound, Invalid for a line that is not NAME:BCRYPT, Unsupported without the package for it."""
        try:
            import bcrypt
        except ModuleNotFoundError:
            raise Unsupported("--htpasswd needs the package bcrypt: pip install 'transship[serve]'") from None
        self._check = bcrypt.checkpw
        self._path = path
        self._lock = threading.Lock()
        self._secret = os.urandom(32)
        self._good: dict[bytes, None] = {}
        self._seen: tuple[int, ...] = ()
        self._users: dict[str, bytes] = {}
        self._read()

    def refuse(self, request: Request) -> Response | None:
        """The refusal of a request without valid credentials; None if they are valid."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return UNAUTHORIZED
        self._read()
        # bcrypt is slow on purpose; a client sends the same header with every request.
        known = hmac.digest(self._secret, text.encode(), hashlib.sha256)
        if known in self._good:
            return None
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return UNAUTHORIZED
        # An unknown user takes as long as a known one.
        hashed = self._users.get(user, next(iter(self._users.values()), b""))
        if not hashed or b"\0" in password.encode() or not self._check(password.encode()[:72], hashed):
            return UNAUTHORIZED
        if user not in self._users:
            return UNAUTHORIZED
        with self._lock:
            if len(self._good) >= _REMEMBERED:
                self._good.clear()
            self._good[known] = None
        return None

    def _read(self) -> None:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return
            text = self._path.read_text()
        except FileNotFoundError:
            raise NotFound(f"{self._path}: no such file or directory") from None
        users = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            user, colon, hashed = line.strip().partition(":")
            if not user or not colon or not hashed.startswith(("$2y$", "$2b$", "$2a$")):
                raise Invalid(f"{self._path}: line {number} is not NAME:BCRYPT (`htpasswd -B` writes it)")
            users[user] = hashed.encode()
        with self._lock:
            self._users, self._seen = users, seen
            self._good.clear()
