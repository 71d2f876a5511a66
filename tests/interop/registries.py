"""Docker's registry behind TLS, behind a password, and behind a token server."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.http_server import Handler, Server
from tests.interop.tools import run
from tests.stores.certificates import Authority, issue

USER, PASSWORD = "user", "pass:word"


def password_file(folder: Path) -> dict[str, Any]:
    """The configuration of a registry that knows USER."""
    path = folder / "htpasswd"
    path.write_text(run("htpasswd", "-Bbn", USER, PASSWORD))
    return {"htpasswd": {"realm": "test", "path": str(path)}}


def tls(server: Authority, clients: Authority | None = None) -> dict[str, Any]:
    """The configuration of a registry behind TLS, which wants certificates of `clients` where that is given."""
    config: dict[str, Any] = {"certificate": str(server.cert_path), "key": str(server.key_path)}
    if clients is not None:
        config["clientcas"] = [str(clients.cert_path)]
    return {"tls": config}


@dataclass(slots=True)
class TokenServer:
    """Sells tokens to USER, with rights on every repository (distribution: docs/spec/auth/jwt.md)."""

    host: str
    signer: Authority
    life: float = 60
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def auth(self) -> dict[str, Any]:
        """The configuration of a registry that takes them."""
        return {
            "token": {
                "realm": f"http://{self.host}/token",
                "service": "test-registry",
                "issuer": "test-issuer",
                "rootcertbundle": str(self.signer.cert_path),
            }
        }

    def sell(self, scopes: list[str]) -> str:
        """A JSON Web Token."""
        access = []
        for scope in scopes:
            kind, rest = scope.split(":", 1)
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": "test-issuer",
            "sub": USER,
            "aud": "test-registry",
            "exp": now + max(1, int(self.life)),
            "nbf": now - 10,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        der = self.signer.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        text = ".".join(_b64(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.signer.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@contextlib.contextmanager
def token_server(folder: Path) -> Iterator[TokenServer]:
    """One that runs; stopped at the end."""
    signer = issue(folder, "signer")

    class Seller(Handler):
        def serve(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            good = self.headers.get("Authorization") == f"Basic {wanted}"
            service.asked.append(query)
            body = json.dumps({"token": service.sell(query.get("scope", [])), "expires_in": service.life}).encode()
            self.answer(200 if good else 401, body if good else b"")

    with Server(Seller) as server:
        service = TokenServer(host=server.host, signer=signer)
        yield service


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
