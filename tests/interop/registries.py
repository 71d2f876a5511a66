"""Docker's registry in every kind of company: behind TLS, behind a password, behind a token server."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from tests.interop.services import Registry, free_port, started
from tests.interop.tools import need, run

USER, PASSWORD = "user", "pass:word"


@contextlib.contextmanager
def registry(
    folder: Path, http: dict[str, Any] | None = None, auth: dict[str, Any] | None = None
) -> Iterator[Registry]:
    """A registry that stores below `folder`, with these parts of its configuration; stopped at the end."""
    need("docker-registry")
    service = Registry(port=free_port(), folder=folder)
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": service.host, **(http or {})},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # which is YAML too
    with started("docker-registry", "serve", path, folder=folder, answers=lambda: listens(service.port)) as log:
        if log is not None:
            pytest.fail(f"docker-registry did not start:\n{log}")
        yield service


def listens(port: int) -> bool:
    """Whether somebody accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def password_file(folder: Path) -> dict[str, Any]:
    """The configuration of a registry that knows USER."""
    path = folder / "htpasswd"
    path.write_text(run("htpasswd", "-Bbn", USER, PASSWORD))
    return {"htpasswd": {"realm": "test", "path": str(path)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate and its key, on disk as PEM."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    cert_path: Path
    key_path: Path


def issue(folder: Path, name: str, issuer: Authority | None = None) -> Authority:
    """A certificate for 127.0.0.1 by `issuer`, or an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signer = issuer.key if issuer else key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    certificate = builder.sign(signer, hashes.SHA256())
    cert_path, key_path = folder / f"{name}.cert", folder / f"{name}.key"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Authority(certificate=certificate, key=key, cert_path=cert_path, key_path=key_path)


def tls(server: Authority, clients: Authority | None = None) -> dict[str, Any]:
    """The configuration of a registry behind TLS, which wants certificates of `clients` where that is given."""
    config: dict[str, Any] = {"certificate": str(server.cert_path), "key": str(server.key_path)}
    if clients is not None:
        config["clientcas"] = [str(clients.cert_path)]
    return {"tls": config}


@dataclass(slots=True)
class TokenServer:
    """Sells tokens to USER, with rights on every repository (distribution: docs/spec/auth/jwt.md)."""

    port: int
    signer: Authority
    life: float = 60
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def auth(self) -> dict[str, Any]:
        """The configuration of a registry that takes them."""
        return {
            "token": {
                "realm": f"http://127.0.0.1:{self.port}/token",
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

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
            """Say nothing."""

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            good = self.headers.get("Authorization") == f"Basic {wanted}"
            service.asked.append(query)
            body = json.dumps({"token": service.sell(query.get("scope", [])), "expires_in": service.life}).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(body) if good else 0))
            self.end_headers()
            self.wfile.write(body if good else b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = TokenServer(port=server.server_address[1], signer=signer)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        server.shutdown()


def trusts(authority: Authority) -> ssl.SSLContext:
    """What a client that knows the authority uses."""
    return ssl.create_default_context(cafile=authority.cert_path)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
