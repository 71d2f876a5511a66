"""A registry in this process: the distribution API as its specification has it, and faults where a test wants them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from converter.model.document import signed_payload
from tests.http_server import Handler, Server
from tests.patience import PATIENCE

OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in; ``number`` counts from 1."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection breaks after so many bytes of the body, whichever way that goes; -1: before any answer."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Another status than the honest one, before anything is done."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One bit of the answer's body is wrong."""

    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Nothing is said for so many seconds, or until the registry ends."""

    seconds: float


Fault = Cut | Refuse | Flip | Stall | None


def first(count: int, fault: Fault, *, method: str = "", path: str = "") -> Callable[[Request], Fault]:
    """The first so many requests with that method and a path like that go wrong."""
    left = [count]

    def rule(request: Request) -> Fault:
        if left[0] and method in ("", request.method) and re.search(path, request.path):
            left[0] -= 1
            return fault
        return None

    return rule


@dataclass(slots=True)
class Repository:
    """What one repository holds."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class FakeRegistry(Server):
    """Serves while it is a context; what is set on it holds from the next request on."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.received = 0
        self.fault: Callable[[Request], Fault] = lambda request: None
        self.basic: tuple[str, str] | None = None
        self.token_life: float | None = None
        """The seconds for which a token is said to be good; None where nobody needs one."""
        self.ends_tokens = True
        """Whether one that has lived as long is refused: on a busy machine, it may be over before it is used."""
        self.tokens: dict[str, float] = {}
        self.scope = ""
        """What it says that one should ask for, where it refuses."""
        self.forbidden_scopes: set[str] = set()
        """Whoever asks for one of these gets no token at all, as from GitHub."""
        self.referrers = True
        self.ranges = True
        self.told_range: Callable[[int], str] = lambda size: f"0-{max(0, size - 1)}"
        """What is said of an upload that has so many bytes; an empty text for nothing."""
        self.tells_where_it_stands = True
        """Whether the state of an upload has a Location, which in Quay it has not."""
        self.patched = 202
        self.forgets_uploads = False
        self.largest_body: int | None = None
        self.too_large = 413
        self.page = 1000
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __exit__(self, *details: object) -> None:
        self.over.set()
        super().__exit__(*details)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __getitem__(self, name: str) -> Repository:
        with self.lock:
            return self.repositories.setdefault(name, Repository())

    def seen(self, method: str, pattern: str = "") -> list[Request]:
        """The requests of that method whose path has the pattern."""
        return [one for one in self.requests if one.method == method and re.search(pattern, one.path)]

    def add_blob(self, repository: str, data: bytes) -> str:
        digest = digest_of(data)
        self[repository].blobs[digest] = data
        return digest

    def add_manifest(self, repository: str, media_type: str, document: dict[str, Any] | bytes, tag: str = "") -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = digest_of(data)
        self[repository].manifests[digest] = (media_type, data)
        if tag:
            self[repository].tags[tag] = digest
        return digest


class Busy:
    """Refuses one request in ``every`` with 429; ``most`` is how many were there at a time."""

    def __init__(self, every: int, seconds: float, headers: dict[str, str], together: int = 1) -> None:
        """Each request takes so many ``seconds``; the first ones for blobs, until so many are there ``together``."""
        self._together = together
        self._every = every
        self._seconds = seconds
        self._headers = headers
        self._changed = threading.Condition()
        self._now = self._served = self.most = 0

    def __call__(self, request: Request) -> Fault:
        with self._changed:
            self._now += 1
            self._served += 1
            self.most = max(self.most, self._now)
            refused = self._served % self._every == 0
            self._changed.notify_all()
            if "/blobs/" in request.path:
                self._changed.wait_for(lambda: self.most >= self._together, PATIENCE)
        time.sleep(self._seconds)
        with self._changed:
            self._now -= 1
        return Refuse(status=429, headers=self._headers) if refused else None


class _Broken(Exception):
    pass


class _Handler(Handler):
    server: FakeRegistry
    fault: Fault

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def serve(self) -> None:
        registry = self.server
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        with registry.lock:
            request = Request(
                number=len(registry.requests) + 1,
                method=self.command,
                path=parts.path,
                query=query,
                headers={key.lower(): value for key, value in self.headers.items()},
            )
            registry.requests.append(request)
        self.fault = registry.fault(request)
        try:
            if isinstance(self.fault, Cut) and self.fault.after < 0:
                raise _Broken
            if isinstance(self.fault, Stall):
                registry.over.wait(self.fault.seconds)
            if isinstance(self.fault, Refuse):
                self._body()
                self._answer(self.fault.status, self.fault.body, self.fault.headers)
            elif parts.path == "/token":
                self._token(parse_qs(parts.query), self._body())
            elif self._may(request):
                self._route(request)
        except _Broken:
            self.close_connection = True

    def _may(self, request: Request) -> bool:
        registry = self.server
        sent = self.headers.get("Authorization", "")
        if registry.token_life is not None:
            until = registry.tokens.get(sent.removeprefix("Bearer "), 0)
            if until > (time.monotonic() if registry.ends_tokens else 0):
                return True
            challenge = f'Bearer realm="{registry.url}/token",service="fake",scope="{registry.scope}"'
        elif registry.basic is not None:
            if sent == _basic(registry.basic):
                return True
            challenge = 'Basic realm="fake"'
        else:
            return True
        self._body()
        self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
        return False

    def _token(self, query: dict[str, list[str]], body: bytes) -> None:
        registry = self.server
        form = parse_qs(body.decode())
        refreshed = form.get("refresh_token") == ["identity"]
        if registry.basic is not None and not refreshed and self.headers.get("Authorization") != _basic(registry.basic):
            self._error(401, "UNAUTHORIZED", {})
            return
        if registry.forbidden_scopes.intersection(query.get("scope", ())):
            self._error(403, "DENIED", {})
            return
        token = uuid.uuid4().hex
        life = registry.token_life or 0.0
        with registry.lock:
            registry.tokens[token] = time.monotonic() + life
        self._answer(200, json.dumps({"token": token, "expires_in": life}).encode(), {})

    def _route(self, request: Request) -> None:
        if request.path == "/v2/":
            self._answer(200, b"{}", {})
            return
        if request.path == "/v2/_catalog":
            self._catalog(request)
            return
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs/uploads|blobs|tags|referrers)/(.*)", request.path)
        if match is None:
            self._error(404, "NAME_UNKNOWN", {})
            return
        name, kind, rest = match.groups()
        repository = self.server[name]
        if kind == "manifests":
            self._manifest(request, repository, rest)
        elif kind == "blobs":
            self._blob(repository, rest)
        elif kind == "blobs/uploads":
            self._upload(request, repository, name, rest)
        elif kind == "tags":
            self._tags(request, repository, name)
        elif self.server.referrers:
            self._referrers(repository, rest)
        else:
            self._error(404, "UNSUPPORTED", {})

    def _manifest(self, request: Request, repository: Repository, reference: str) -> None:
        if request.method == "PUT":
            self._put_manifest(repository, reference)
            return
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            self._error(404, "MANIFEST_UNKNOWN", {})
            return
        media_type, data = repository.manifests[digest]
        self._answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _put_manifest(self, repository: Repository, reference: str) -> None:
        data = self._body()
        document = json.loads(data)
        named = [document.get("config"), *document.get("layers", ()), *document.get("blobs", ())]
        for one in filter(None, named):
            if one["digest"] not in repository.blobs and not one.get("urls"):
                self._error(400, "MANIFEST_BLOB_UNKNOWN", {})
                return
        if any(one["digest"] not in repository.manifests for one in document.get("manifests", ())):
            self._error(400, "MANIFEST_UNKNOWN", {})
            return
        media_type = self.headers["Content-Type"]
        digest = digest_of(signed_payload(data) if media_type.endswith("+prettyjws") else data)
        repository.manifests[digest] = (media_type, data)
        if ":" not in reference:
            repository.tags[reference] = digest
        elif reference != digest:
            self._error(400, "DIGEST_INVALID", {})
            return
        headers = {"Docker-Content-Digest": digest, "Location": f"/v2/x/manifests/{digest}"}
        if document.get("subject") and self.server.referrers:
            headers["OCI-Subject"] = document["subject"]["digest"]
        self._answer(201, b"", headers)

    def _blob(self, repository: Repository, digest: str) -> None:
        data = repository.blobs.get(digest)
        if data is None:
            self._error(404, "BLOB_UNKNOWN", {})
            return
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.server.ranges:
            start = int(wanted[1])
            if start >= len(data):
                self._error(416, "RANGE_INVALID", {})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._answer(206, data[start:], headers)
            return
        self._answer(200, data, headers)

    def _upload(self, request: Request, repository: Repository, name: str, session: str) -> None:
        registry = self.server
        if request.method == "POST":
            self._body()
            source = registry[request.query.get("from", "-")].blobs.get(request.query.get("mount", ""))
            if source is not None:
                repository.blobs[request.query["mount"]] = source
                self._answer(201, b"", {"Location": "/v2/x"})
                return
            session = uuid.uuid4().hex
            with registry.lock:
                registry.uploads[session] = bytearray()
            self._session(202, name, session)
            return
        if session not in registry.uploads:
            self._body()
            self._error(404, "BLOB_UPLOAD_UNKNOWN", {})
            return
        if request.method == "DELETE":
            del registry.uploads[session]
            self._answer(204, b"", {})
            return
        if request.method == "GET":
            if registry.forgets_uploads:
                del registry.uploads[session]
                self._error(404, "BLOB_UPLOAD_UNKNOWN", {})
                return
            self._session(204, name, session)
            return
        self._receive(request, repository, name, session)

    def _receive(self, request: Request, repository: Repository, name: str, session: str) -> None:
        registry = self.server
        held = registry.uploads[session]
        if registry.largest_body is not None and int(self.headers.get("Content-Length", 0)) > registry.largest_body:
            self.close_connection = True
            self._error(registry.too_large, "SIZE_INVALID", {})
            return
        start = re.match(r"(\d+)-", self.headers.get("Content-Range", ""))
        if start and int(start[1]) != len(held):
            self._body()
            self._session(416, name, session)
            return
        self._body(held)
        if request.method == "PATCH":
            self._session(registry.patched, name, session)
            return
        digest = request.query["digest"]
        del registry.uploads[session]
        if digest_of(bytes(held), digest.partition(":")[0]) != digest:
            self._error(400, "DIGEST_INVALID", {})
            return
        repository.blobs[digest] = bytes(held)
        self._answer(201, b"", {"Docker-Content-Digest": digest, "Location": f"/v2/{name}/blobs/{digest}"})

    def _session(self, status: int, name: str, session: str) -> None:
        size = len(self.server.uploads[session])
        told = {"Location": f"/v2/{name}/blobs/uploads/{session}?state={size}"}
        if self.command == "GET" and not self.server.tells_where_it_stands:
            told = {}
        told["Range"] = self.server.told_range(size)
        self._answer(status, b"", {key: value for key, value in told.items() if value})

    def _tags(self, request: Request, repository: Repository, name: str) -> None:
        self._page(request, repository.tags, lambda page: {"name": name, "tags": page or None})

    def _catalog(self, request: Request) -> None:
        self._page(request, self.server.repositories, lambda page: {"repositories": page})

    def _page(self, request: Request, names: Iterable[str], document: Callable[[list[str]], object]) -> None:
        every = sorted(name for name in names if name > request.query.get("last", ""))
        page = every[: min(self.server.page, int(request.query.get("n", 1000)))]
        headers = {"Content-Type": "application/json"}
        if len(page) < len(every):
            headers["Link"] = f'<{request.path}?n={len(page)}&last={page[-1]}>; rel="next"'
        self._answer(200, json.dumps(document(page)).encode(), headers)

    def _referrers(self, repository: Repository, subject: str) -> None:
        found = []
        for digest, (media_type, data) in repository.manifests.items():
            document = json.loads(data)
            if document.get("subject", {}).get("digest") == subject:
                entry = {"mediaType": media_type, "digest": digest, "size": len(data)}
                kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
                found.append(entry | ({"artifactType": kind} if kind else {}))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        self._answer(200, json.dumps(index).encode(), {"Content-Type": OCI_INDEX})

    def _body(self, into: bytearray | None = None) -> bytes:
        """Read the request's body; what has arrived before a cut stays in ``into``."""
        held = bytearray() if into is None else into
        most = self.fault.after if isinstance(self.fault, Cut) and self.command in ("PUT", "PATCH") else None
        taken = 0
        for part in self._parts():
            if most is not None and taken + len(part) >= most:
                held += part[: most - taken]
                raise _Broken
            held += part
            taken += len(part)
            self.server.received += len(part)
        return bytes(held) if into is None else b""

    def _parts(self) -> Any:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.rfile.read(min(left, 64 * 1024))
            if not part:
                raise _Broken
            left -= len(part)
            yield part

    def _error(self, status: int, code: str, headers: dict[str, str]) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self._answer(status, body, {"Content-Type": "application/json", **headers})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if isinstance(self.fault, Flip) and body:
            body = body[: self.fault.offset] + bytes((body[self.fault.offset] ^ 1,)) + body[self.fault.offset + 1 :]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(self.fault, Cut):
            self.wfile.write(body[: self.fault.after])
            raise _Broken
        self.wfile.write(body)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def _basic(pair: tuple[str, str]) -> str:
    return f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}"
