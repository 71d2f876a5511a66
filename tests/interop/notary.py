"""A server for notary that keeps what it is given: Debian has the client alone."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.http_server import Handler, Server
from tests.trust.making import ecdsa

ROLES = ("ROOT", "TARGETS", "SNAPSHOT", "DELEGATION")


class NotaryServer(Server):
    """Keeps the documents in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_Handler)
        self.folder = folder


class _Handler(Handler):
    """Gives a key for timestamps, takes documents, and has none yet."""

    server: NotaryServer

    def serve(self) -> None:
        if self.command == "POST":
            self._take()
        elif self.path == "/v2/":
            self.answer(200, b"")
        elif self.path.endswith("/timestamp.key"):
            public = base64.b64encode(ecdsa(300).public.der).decode()
            row = {"keytype": "ecdsa", "keyval": {"private": None, "public": public}}
            self.answer(200, json.dumps(row).encode())
        else:
            self.answer(404, b"")

    def _take(self) -> None:
        body = b"".join(self.chunks())
        boundary = re.search(r"boundary=(\S+)", self.headers["Content-Type"])
        assert boundary is not None
        for part in body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            name = re.search(rb'filename="(\w+)"', head)
            assert name is not None
            (self.server.folder / f"{name[1].decode()}.json").write_bytes(content.removesuffix(b"\r\n"))
        self.answer(200, b"")

    def chunks(self) -> Iterator[bytes]:
        """What was sent."""
        if self.headers["Transfer-Encoding"] != "chunked":
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()


@contextlib.contextmanager
def notary_server(folder: Path) -> Iterator[str]:
    """The URL of a server on the loopback, which ends with the context; what is published is in the folder."""
    with NotaryServer(folder) as server:
        yield f"http://{server.host}"


def root_certificate(root: bytes) -> bytes:
    """The certificate of the root's key, which people pin."""
    keys = json.loads(root)["signed"]["keys"].values()
    (text,) = (row["keyval"]["public"] for row in keys if row["keytype"] == "ecdsa-x509")
    found = base64.b64decode(text)
    assert re.match(rb"-----BEGIN CERTIFICATE-----", found)
    return found
