"""Requests to one repository of one registry: authenticated, retried, and their answers checked (distribution-spec)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import responses

from urllib3 import BaseHTTPResponse, HTTPHeaderDict
from urllib3.exceptions import HTTPError

from converter.errors import ConverterError, Denied, LimitExceeded, NotFound, Unreachable
from converter.model.document import lenient_member, read_json
from converter.model.frozen import frozen
from converter.model.limits import KIB
from converter.model.reference import DEFAULT_HOST, ImageName
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry import credentials
from converter.stores.registry.auth import Authorizer, Challenge, parse_challenges
from converter.stores.registry.urls import display_url, origin_of, purpose, redirect_target
from converter.stores.registry.wire import Request, Wire, connection_error
from converter.stores.retry import RETRYABLE, Interrupted, asked_wait, retrying, wait_to_retry
from converter.streams.blocks import ClosedOnExit, read_whole

DOCKER_HUB = "registry-1.docker.io"
"""The host that serves images named ``docker.io/…``."""

_RENEWALS = 2
_MESSAGES = ("message", "details", "error_description", "error")
"""The members that hold a message: in a registry's errors, Docker Hub's token errors, OAuth's errors."""


@frozen
class Response:
    """A response with its whole body; ``url`` is where it came from, after all redirects."""

    status: int
    headers: HTTPHeaderDict
    body: bytes
    url: str

    @property
    def media_type(self) -> str:
        """The type in the Content-Type header, without parameters; empty if there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def location(self) -> str:
        """The absolute URL in the Location header; raises Unreachable if there is none, Unsupported if it must not be
        followed.
        """
        location = self.headers.get("Location")
        if not location:
            raise Unreachable(f"the answer of {display_url(self.url)} has no Location header")
        return redirect_target(self.url, location)


class Client(ClosedOnExit):
    """Speaks to ``host/repository``; without a repository, to ``host`` about which ones it has; without a host, to any,
    which gets no credentials.

    Any number of threads may share it; close it at the end. In a run of many images, ``of`` returns a shared instance,
    which already knows the credentials and the URL scheme.
    """

    @classmethod
    def of(cls, name: ImageName, options: StoreOptions, *, push: bool = False) -> Client:
        """The run's shared client for the repository; a new one if there is no run."""
        made = partial(cls, name.host, name.repository, options, push=push)
        if options.hosts is None:
            return made()
        return options.hosts.shared((cls, name.host, name.repository, options.for_hosts(), push), made)

    def __init__(self, host: str, repository: str, options: StoreOptions, *, push: bool) -> None:
        """``push`` requests write access."""
        self.host = host
        self.repository = repository
        self._push = push
        self.options = options
        self.hosts = options.hosts or Hosts(report=options.report)
        self.remembered = self.hosts.repository(host, repository)
        """What the run knows about the repository."""
        self._at = self.hosts.host(host)
        self._wire = self.hosts.shared((Wire, options.for_hosts()), partial(Wire, options, self.hosts))
        self._api_host = DOCKER_HUB if host == DEFAULT_HOST else host
        self._lock = threading.Lock()
        self._scheme = "https" if options.tls_verify else ""
        find = partial(credentials.find_credentials, host, repository, options)
        self._auth = Authorizer(self._base, find, self._ask)
        self._at_root: tuple[Challenge, ...] | None = None
        resource = f"repository:{repository}:{'pull,push' if push else 'pull'}" if repository else "registry:catalog:*"
        self.scopes = frozenset((resource,))

    def close(self) -> None:
        """Close the connections, unless the run owns them."""
        if self.options.hosts is None:
            self.hosts.close()

    def url(self, path: str) -> str:
        """The URL of a path below ``/v2/REPOSITORY/``."""
        return f"{self._base()}/v2/{self.repository and f'{self.repository}/'}{path}"

    def call(self, request: Request) -> Response:
        """Make a request, retrying transient failures, and read the answer, of at most a document's size.

        Raises NotFound for 404, Denied for 401 and 403, Unreachable for any other unexpected status.
        """
        return retrying(self._at, self.options.retries, lambda: self.once(request))

    def wait_to_retry(self, error: Interrupted, failures: int) -> None:
        """Wait before a request is made again, after so many failures in a row; raises ``error`` if it is not to be."""
        wait_to_retry(self._at, self.options.retries, error, failures)

    def once(self, request: Request) -> Response:
        """As ``call``, but tried only once, for a streamed body. Raises Interrupted if it may be tried again."""
        with self.open(request) as response:
            return Response(
                status=response.status,
                headers=response.headers,
                body=self._body(response, request.url),
                url=response.url or request.url,
            )

    @contextmanager
    def open(self, request: Request) -> Iterator[BaseHTTPResponse]:
        """As ``once``, but with the body still to be read; leaving closes the response and lets other requests in."""
        with self._at.slot(writes=self._push), self._respond(request) as response:
            yield response

    def _respond(self, request: Request) -> BaseHTTPResponse:
        scopes = self.scopes
        if request.reads:
            scopes |= {f"repository:{request.reads}:pull"}
        home = bool(self.host) and origin_of(request.url) == origin_of(self._base())
        renewals = 0
        while True:
            sent = self._auth.header(scopes) if home else None
            response = self._wire.exchange(request, sent)
            if response.status in request.expect:
                return response
            text = b""
            # What is longer than a document says nothing: the status says what matters.
            with response, suppress(LimitExceeded):
                text = self._body(response, request.url)
            offered = self._offered(response, sent) if home and renewals < _RENEWALS else ()
            if not offered or not self._auth.renew(offered, scopes, sent):
                if not home or origin_of(response.url or request.url) != origin_of(request.url):
                    raise refusal_error(request, response, text)
                with_token = sent is not None and sent.startswith("Bearer ")
                raise self._refusal(request, response, text, accepted=with_token)
            if request.streams:
                where = f"{request.method} {display_url(request.url)}"
                raise Interrupted(f"the login expired during the upload ({response.status} for {where})")
            renewals += 1

    def _offered(self, response: BaseHTTPResponse, sent: str | None) -> tuple[Challenge, ...]:
        """The ways to authenticate, after a refusal.

        Some registries offer them only at ``/v2/``, and until then hide what is not public (403, 404).
        """
        offered = _challenges_of(response)
        if offered or sent is not None or response.status not in (401, 403, 404):
            return offered
        url = f"{self._base()}/v2/"
        with self._lock:
            if self._at_root is None:
                with self._wire.exchange(Request("GET", url)) as answer:
                    self._body(answer, url)
                # The scope it names is not ours: GitHub's is that of "user/image".
                offered = _challenges_of(answer)
                self._at_root = tuple(Challenge(one.scheme, {**one.parameters, "scope": ""}) for one in offered)
        if response.status == 401 or not self._at_root:
            return self._at_root
        return self._at_root if self._auth.credentials() else ()

    def _body(self, response: BaseHTTPResponse, url: str) -> bytes:
        """The whole body; the connection is then free for others."""
        try:
            return read_whole(response.stream(64 * KIB, decode_content=False), f"from {display_url(url)}")
        except (HTTPError, OSError) as error:
            raise connection_error(error, url) from error

    def _ask(self, request: Request, authorization: str | None) -> bytes:
        def once() -> bytes:
            with self._wire.exchange(request, authorization) as response:
                text = self._body(response, request.url)
            if response.status not in request.expect:
                raise self._refusal(request, response, text)
            return text

        return retrying(self._at, self.options.retries, once)

    def _refusal(
        self, request: Request, response: BaseHTTPResponse, text: bytes, *, accepted: bool = False
    ) -> ConverterError:
        """As ``refusal_error``, for an answer of the registry or its token server: says which credentials were used.

        ``accepted``: a token server has taken them, so that it is the right to do this that is missing.
        """
        error = refusal_error(request, response, text)
        if not isinstance(error, Denied):
            return error
        used = self._auth.used
        if used is None:
            fact = f"requires a login: {self._login_hint()}"
        elif response.status == 403 or (accepted and not used.registry_token):
            what = f"push to {self.repository}" if self._push else f"pull from {self.repository}"
            fact = f"does not allow {used} to {what if self.repository else 'list repositories'}"
        elif used.username and not (used.password or used.identity_token):
            fact = f"requires a password for {used}: --creds USER:PASSWORD"
        else:
            fact = f"rejected the password of {used}" if used.username else f"rejected {used}"
        return Denied(f"{self.host} {fact} ({_error_text(response.status, text)})")

    def _login_hint(self) -> str:
        first, *others = files = credentials.auth_files(self.options)
        if self.options.delegated:
            return f"`podman login {self.host}` on this worker, which has none in {', '.join(map(str, files))}"
        missing = not others and not first.exists()
        why = f", as REGISTRY_AUTH_FILE names {first}, which does not exist" if missing else ""
        return f"--creds, --authfile, or `podman login {self.host}`{why}"

    def _base(self) -> str:
        """The URL of the registry: with https if the host speaks it, whatever its certificate; else with http, if the
        caller allows that.
        """
        with self._lock:
            if not self._scheme:
                try:
                    self._wire.exchange(Request("GET", f"https://{self._api_host}/v2/")).close()
                    self._scheme = "https"
                except Unreachable:
                    self._scheme = "http"
            return f"{self._scheme}://{self._api_host}"


def _challenges_of(response: BaseHTTPResponse) -> tuple[Challenge, ...]:
    return parse_challenges(response.headers.getlist("WWW-Authenticate")) if response.status == 401 else ()


def refusal_error(request: Request, response: BaseHTTPResponse, body: bytes) -> ConverterError:
    """The error for an unexpected status, with what the body says (distribution-spec, "Error Codes")."""
    status = response.status
    text = _error_text(status, body)
    fact = f"cannot {purpose(request.method, request.url)}: {text} ({status})"
    if status == 405 and request.method == "POST":  # not PUT: some answer so for a tag that may not change
        fact += ": the registry takes reads alone, as a mirror or one in maintenance does"
    if status in RETRYABLE:
        wait = asked_wait(response.headers.get("Retry-After"), response.headers.get("Date"))
        asked = "" if wait is None else f" (Retry-After: {wait:.0f} s)"
        return Interrupted(f"{fact}{asked}", wait, busy=status == 429, brief=text)
    if status == 404:
        return Missing(fact)
    if status in (401, 403):
        return Denied(fact)
    return Rejected(fact, status)


class Missing(NotFound):
    """The registry has answered that it has no such thing."""


class Rejected(Unreachable):
    """The registry refuses, and would again; ``status`` is its status code."""

    def __init__(self, fact: str, status: int) -> None:
        super().__init__(fact)
        self.status = status


def _error_text(status: int, body: bytes) -> str:
    """The name of a refusal, and the message of the registry, a token server or a proxy in its own format.

    ``MANIFEST_UNKNOWN`` is said as ``manifest unknown``; without a code, the status has a name.
    """
    # Of a web page, or another format, the status says enough. Servers on Windows may begin with a byte order mark.
    document = read_json(body.removeprefix(b"\xef\xbb\xbf")).value
    error = next(iter(lenient_member(document, "errors", list)), document)
    words = lenient_member(error, "code", str) or str(lenient_member(error, "code", int) or "")
    code = " ".join(words[:60].lower().replace("toomanyrequests", "too many requests").replace("_", " ").split())
    if code in ("", str(status)):
        code = responses.get(status, "unexpected answer").lower()
    messages = filter(None, (lenient_member(error, key, str)[:200] for key in _MESSAGES))
    message = " ".join(next(messages, "").split())
    if message.lower().replace("_", " ") in ("", code):
        return code
    return f"{code}: {message}"
