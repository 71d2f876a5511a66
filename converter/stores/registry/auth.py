"""Authenticates to a registry that asks for it (RFC 9110, 11; distribution: docs/spec/auth/token.md, oauth.md)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlencode

from converter.errors import Denied, Invalid
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.stores.registry.credentials import Credentials
from converter.stores.registry.urls import display_url, redirect_target, with_query
from converter.stores.registry.wire import Request, basic_header

SHORTEST_LIFE = 60.0
"""Seconds that a token is valid if its issuer does not say (token.md, "expires_in")."""

Ask = Callable[[Request, str | None], bytes]
"""Request, authorization → the body of a successful response; raises Denied for 401 and 403."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
"""A token in the grammar of HTTP (RFC 9110, section 5.6.2)."""
_PART = rf'({_WORD})(?:\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|({_WORD})))?'
"""The name of a scheme, or a parameter of the scheme before it (RFC 9110, section 11.2)."""


@frozen(kw_only=False)
class Challenge:
    """One way to authenticate that a host offers; ``scheme`` and the parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Parse ``WWW-Authenticate`` headers, skipping what does not match the grammar."""
    found: list[Challenge] = []
    for value in values:
        parameters: dict[str, str] = {}
        for part in re.finditer(_PART, value):
            name, quoted, word = part.groups()
            if quoted is None and word is None:
                parameters = {}
                found.append(Challenge(name.lower(), parameters))
            else:
                parameters[name.lower()] = word if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return tuple(found)


@frozen(kw_only=False)
class Token:
    """A bearer token, and until when to use it (on the clock of ``Authorizer``)."""

    value: str
    until: float


class Authorizer:
    """Authenticates to one registry. Threads may share it: a token that one has obtained serves all."""

    def __init__(
        self,
        base: Callable[[], str],
        find: Callable[[], Credentials | None],
        ask: Ask,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``base`` is the registry's URL; ``find`` looks the credentials up, whenever those found before are refused:
        they may have been renewed since.
        """
        self.used: Credentials | None = None
        self._outdated = True
        self._base = base
        self._find = find
        self._ask = ask
        self._now = now
        self._challenge: Challenge | None = None
        self._tokens: dict[frozenset[str], Token] = {}
        self._lock = threading.RLock()

    def credentials(self) -> Credentials | None:
        """The credentials for the registry; None means anonymous."""
        if self._outdated:
            self.used, self._outdated = self._find(), False
        return self.used

    def header(self, scopes: frozenset[str]) -> str | None:
        """The Authorization header, with a token renewed shortly before it expires; None before the registry asks for
        one.
        """
        with self._lock:
            if self._challenge is None:
                return None
            credentials = self.credentials()
            if self._challenge.scheme == "basic":
                return None if credentials is None else basic_header(credentials.username, credentials.password)
            current = self._current(scopes)
            if current is not None:
                return current
            if credentials is not None and credentials.registry_token:
                return f"Bearer {credentials.registry_token}"
            try:
                token = self._request_token(self._challenge, scopes, credentials)
            except Denied:
                self._outdated = True
                if self.credentials() == credentials:
                    raise
                token = self._request_token(self._challenge, scopes, self.used)
            self._tokens[scopes] = token
            return f"Bearer {token.value}"

    def renew(self, offered: Iterable[Challenge], scopes: frozenset[str], refused: str | None) -> bool:
        """Learn from a refusal; True if ``header`` now returns something other than the ``refused`` one."""
        with self._lock:
            if self._current(scopes) not in (None, refused):
                # Another thread has renewed it.
                return True
            self._outdated |= refused is not None
            self._tokens.pop(scopes, None)
            self._challenge = best_challenge(offered)
            return self.header(scopes) not in (None, refused)

    def _current(self, scopes: frozenset[str]) -> str | None:
        token = self._tokens.get(scopes)
        return None if token is None or token.until <= self._now() else f"Bearer {token.value}"

    def _request_token(self, challenge: Challenge, scopes: frozenset[str], credentials: Credentials | None) -> Token:
        realm = redirect_target(self._base(), challenge.parameters.get("realm", ""))
        requested = _merged(scopes, challenge.parameters.get("scope", ""))
        asked = [("service", challenge.parameters["service"])] if "service" in challenge.parameters else []
        start = self._now()
        if credentials is not None and credentials.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                *asked,
                ("client_id", "transship"),
                ("scope", " ".join(requested)),
                ("refresh_token", credentials.identity_token),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._ask(Request("POST", realm, headers, urlencode(form).encode()), None)
        else:
            authorization = None
            if credentials is not None:
                asked.insert(0, ("account", credentials.username))
                authorization = basic_header(credentials.username, credentials.password)
            asked += [("scope", scope) for scope in requested]
            answer = self._ask(Request("GET", with_query(realm, asked)), authorization)
        return read_token(answer, start, realm)


def _merged(scopes: frozenset[str], challenged: str) -> list[str]:
    """The scopes we need, and those the challenge adds; for the same resource, ours suffice."""
    ours = {scope.rpartition(":")[0] for scope in scopes}
    return sorted(scopes | {scope for scope in challenged.split() if scope.rpartition(":")[0] not in ours})


def best_challenge(offered: Iterable[Challenge]) -> Challenge:
    """The best of the offered ways: a token if the challenge names a realm, else Basic. Raises Denied."""
    by_scheme = {challenge.scheme: challenge for challenge in reversed(list(offered))}
    for scheme, needs in (("bearer", "realm"), ("basic", "")):
        if scheme in by_scheme and (not needs or by_scheme[scheme].parameters.get(needs)):
            return by_scheme[scheme]
    names = ", ".join(sorted(by_scheme)) or "nothing"
    raise Denied(f"cannot log in: the registry offers {names}, and only Bearer with a realm and Basic are supported")


def read_token(answer: bytes, start: float, realm: str) -> Token:
    """Parse a token server's answer to a request made at ``start`` (token.md, oauth.md). Raises Invalid."""
    try:
        document = load_object(answer)
    except Invalid:
        # The original error may quote the token.
        raise Invalid(f"token server {display_url(realm)}: the answer is not a JSON object") from None
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        raise Invalid(f"token server {display_url(realm)}: the answer has no token")
    life = document.get("expires_in")
    seconds = float(life) if isinstance(life, (int, float)) and life > 0 else SHORTEST_LIFE
    # Not used to the last second: clocks differ, and requests take time.
    return Token(value, start + seconds - min(10.0, seconds / 10))
