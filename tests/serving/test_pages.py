"""The server besides the registry: the page, metrics, images for rkt, the log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

import converter
from converter.conversion import Options
from converter.conversion.sync.sync_file import SyncEntry
from converter.errors import Usage
from converter.events import Event, Warned
from converter.model import media_types as types
from converter.model.content import ZSTD
from converter.model.reference import Location
from converter.serving.catalogue import PLACE, Catalogue
from converter.verification.proof import PROOF_LEVELS
from converter.verification.wanted import Wanted
from tests.builders import add_image, add_index
from tests.builders.acis import aci, manifest
from tests.builders.memory import MemoryStore
from tests.cli.pages.seen import check
from tests.patience import PATIENCE
from tests.serving.conftest import PLAIN_HTTP, Serve, Stalled, put
from tests.trust.origins import KEY

NAME = {"type": "exactReference", "dockerReference": "registry.example/app:1"}


def test_the_page_says_what_there_is_and_how_to_pull_it(serve: Serve, layout: str) -> None:
    client = serve(layout)
    before = client.ask("/")
    assert before.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in before.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in before.headers["content-security-policy"]
    assert "not converted yet" in check(before.body.decode()).text
    digest = client.ask("/v2/in/manifests/multi").digest
    client.ask("/v2/in/manifests/app")
    text = check(client.ask("/").body.decode()).text
    for told in (digest, "linux/amd64,linux/arm64", "nobody", "KiB"):
        assert told in text
    for line in ("docker pull", "podman pull --tls-verify=false", "ctr image pull --plain-http", "rkt fetch"):
        assert f"{line} " in text


def test_the_page_lists_no_platform_for_an_attestation(serve: Serve, tmp_path: Path) -> None:
    store = MemoryStore()
    rows = [
        add_image(store, name="").to_json() | {"platform": {"os": name, "architecture": name}}
        for name in ("linux", "unknown")
    ]
    put(store, add_index(store, rows), "app", tmp_path / "in")
    client = serve(f"oci:{tmp_path}/in")
    assert client.ask("/v2/in/manifests/app").status == 200
    text = check(client.ask("/").body.decode()).text
    assert "linux/linux" in text
    assert "unknown" not in text


def test_the_page_says_who_has_signed_and_what_proves_it(serve: Serve, layout: str, tmp_path: Path) -> None:
    from tests.signing.test_sign import COSIGN, signing

    converter.sign(f"{layout}:app", signing(COSIGN, identity="registry.example/app:1"))
    (tmp_path / "cosign.pub").write_bytes(KEY[1])
    signed = {"type": "sigstoreSigned", "keyPath": str(tmp_path / "cosign.pub"), "signedIdentity": NAME}
    policy = Wanted(policy=json.dumps({"default": [signed]}).encode(), read=lambda path: Path(path).read_bytes())
    for compress, level in ((None, "P1"), (ZSTD, "P2")):
        client = serve(layout, compress=compress, wanted=policy)
        assert client.ask("/v2/in/manifests/app").status == 200
        assert client.ask("/v2/in/manifests/other").status == 403
        text = check(client.ask("/").body.decode()).text
        assert f"{level}: {PROOF_LEVELS[level]}" in text
        assert f"{level} SHA256:" in text


def test_the_page_says_what_is_under_way(serve: Serve, stalled: Stalled) -> None:
    client = serve(stalled.repository, compress=ZSTD, store=PLAIN_HTTP)
    with ThreadPoolExecutor(1) as pool, stalled:
        asked = pool.submit(client.ask, "/v2/app/manifests/1")
        assert stalled.begun.wait(PATIENCE)
        text = check(client.ask("/").body.decode()).text
        assert "Conversions under way" in text
        assert text.count(f"{stalled.repository}:1") > 1
        stalled.go_on.set()
        assert asked.result().status == 200
    assert "Conversions under way" not in client.ask("/").body.decode()


def test_the_page_escapes_what_clients_and_images_are_called(serve: Serve, tmp_path: Path) -> None:
    store = MemoryStore()
    folder = tmp_path / "<script>alert(1)"
    put(store, add_image(store, name=""), "app", folder)
    client = serve(f"oci:{folder}", rename="name:{tag}")
    check(client.ask("/", Host='"><script>alert(1)</script>').body.decode())


def test_counts_are_for_prometheus(serve: Serve, layout: str) -> None:
    client = serve(layout)
    client.ask("/v2/in/manifests/app")
    client.ask("/v2/in/manifests/app", "PUT")
    client.ask("/v2/", "BREW")
    client.logged(3)
    lines = client.ask("/metrics").body.decode().splitlines()
    assert 'transship_requests_total{method="GET",status="200"} 1' in lines
    assert 'transship_requests_total{method="PUT",status="405"} 1' in lines
    assert 'transship_requests_total{method="other",status="405"} 1' in lines
    assert "transship_conversions_total 1" in lines


def test_each_request_is_logged(serve: Serve, layout: str) -> None:
    client = serve(layout)
    client.ask("/v2/in/manifests/app?token=secret", User_Agent="me/1", Authorization="Basic c2VjcmV0")
    (row,) = client.logged(1)
    assert (row.method, row.path, row.status, row.agent) == ("GET", "/v2/in/manifests/app", 200, "me/1")
    assert "c2VjcmV0" not in str(row)


def test_a_source_that_is_not_there_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told: list[Event] = []
    source = Location.parse(f"aci:{tmp_path}/empty")
    entry = SyncEntry(source=source, to=PLACE, options=Options())
    catalogue = Catalogue([entry], told.append, listing_age=0.0)
    catalogue.names()
    assert told == [Warned(f"not served: {source}: no *.aci file below {tmp_path}/empty")]


def test_rkt_finds_an_aci_of_any_image(serve: Serve, layout: str, tmp_path: Path) -> None:
    client = serve(layout)
    page = client.ask("/in?ac-discovery=1", Host="gateway.example").body.decode()
    assert 'content="gateway.example http://gateway.example/aci/{os}/{arch}/{version}/{name}.{ext}"' in page
    found = client.ask("/aci/linux/amd64/app/gateway.example/in.aci", Host="gateway.example")
    assert found.headers["content-type"] == types.ACI
    (tmp_path / "found.aci").write_bytes(found.body)
    assert converter.validate_image(f"aci:{tmp_path}/found.aci").valid
    image = converter.open_image(f"aci:{tmp_path}/found.aci")
    assert isinstance(image, converter.Image)
    assert image.notes.name == "gateway.example/in:app"
    assert client.ask("/aci/linux/amd64/app/gateway.example/in.aci.asc", Host="gateway.example").status == 404


@pytest.mark.parametrize(
    "path, host, status",
    [
        pytest.param("/aci/linux/amd64/nope/gw.example/in.aci", "gw.example", 404, id="a version that is not there"),
        pytest.param("/aci/linux/amd64/app/gw.example/nope.aci", "gw.example", 404, id="a name that is not there"),
        pytest.param("/aci/linux/amd64/app/other.example/in.aci", "gw.example", 404, id="a name of another host"),
        pytest.param("/aci/linux/s390x/app/gw.example/in.aci", "gw.example", 404, id="a platform it is not for"),
        pytest.param("/aci/linux/nope/app/gw.example/in.aci", "gw.example", 404, id="a platform nobody knows"),
        pytest.param("/aci/linux/amd64/app/gw.example/../in.aci", "gw.example", 404, id="a name that leads upwards"),
        pytest.param("/aci/linux/amd64/app/in.aci", "a b", 404, id="a host that is none"),
        pytest.param("/in?ac-discovery=1", "<b>", 400, id="a page for a host that is none"),
        pytest.param("/aci/linux/amd64/app/gw.example/in.aci", "gw.example:5000", 200, id="a host with its port"),
    ],
)
def test_images_of_rkt(serve: Serve, layout: str, path: str, host: str, status: int) -> None:
    assert serve(layout).ask(path, Host=host).status == status


def test_an_aci_is_served_as_it_is_with_its_signature(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "acis"
    folder.mkdir()
    original = aci(
        manifest(
            "gateway.example/app",
            labels=[
                {"name": "version", "value": "1"},
                {"name": "os", "value": "linux"},
                {"name": "arch", "value": "amd64"},
            ],
        )
    ).read()
    (folder / "app.aci").write_bytes(original)
    from tests.signing.test_sign import GPG, signing

    converter.sign(f"aci:{folder}/app.aci", signing(GPG))
    client = serve(f"aci:{folder}")
    found = client.ask("/aci/linux/amd64/1/gateway.example/app.aci", Host="gateway.example")
    assert found.body == original
    signature = client.ask("/aci/linux/amd64/1/gateway.example/app.aci.asc", Host="gateway.example")
    assert signature.body == (folder / "app.aci.asc").read_bytes()
    assert client.ask("/v2/app/manifests/1").status == 200


def test_a_server_in_a_program(layout: str, tmp_path: Path) -> None:
    with converter.serve(layout, folder=tmp_path / "store", compress="zstd") as server:
        reference = f"docker://{server.host}/in:app"
        store = converter.StoreOptions(tls_verify=False)
        assert isinstance(converter.open_image(reference, store), converter.Image)
        converter.convert(reference, f"oci:{tmp_path}/out:app", store=store)


@contextmanager
def command(*arguments: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address at which it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "converter", "serve", "--listen", "127.0.0.1:0", "--store", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "serving http://" in said, said + process.stderr.read()
        yield process, said.split("http://")[1].strip().rstrip("/")
    finally:
        process.kill()
        process.communicate()


def ask(host: str, path: str) -> bytes:
    connection = HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_the_command_serves_until_it_is_told_to_end(layout: str, tmp_path: Path) -> None:
    with command(layout, "--json", folder=tmp_path / "store") as (process, host):
        document = json.loads(ask(host, "/v2/in/manifests/app"))
        assert document["schemaVersion"] == 2
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (row,) = map(json.loads, out.splitlines())
    assert (row["method"], row["path"], row["status"]) == ("GET", "/v2/in/manifests/app", 200)


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_server_that_is_killed_leaves_nothing_that_is_wrong(tmp_path: Path, moment: float) -> None:
    store = MemoryStore()
    big = [os.urandom(200_000) for _ in range(4)]
    from tests.builders import tar

    put(store, add_image(store, tars=[tar({"data": data * 5}) for data in big], name=""), "app", tmp_path / "in")
    folder = tmp_path / "store"
    with command(f"oci:{tmp_path}/in", "--compress", "zstd", "--no-cache", folder=folder) as (process, host):
        connection = HTTPConnection(host, timeout=PATIENCE)
        connection.request("GET", "/v2/in/manifests/app")
        time.sleep(moment)
        process.kill()
        process.wait()
        connection.close()
    import hashlib

    for path in (folder / "blobs").glob("*/*/*"):
        assert hashlib.new(path.parent.parent.name, path.read_bytes()).hexdigest() == path.name
    with converter.serve(f"oci:{tmp_path}/in", folder=folder, compress=ZSTD) as server:
        assert not list((folder / "incoming").iterdir())
        document = json.loads(ask(server.host, "/v2/in/manifests/app"))
        for one in [document["config"], *document["layers"]]:
            data = ask(server.host, f"/v2/in/blobs/{one['digest']}")
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == one["digest"]


def test_images_of_the_same_name_are_refused_at_the_start(layout: str, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="rename"):
        converter.serve(layout, folder=tmp_path / "store", rename="name:tag")
