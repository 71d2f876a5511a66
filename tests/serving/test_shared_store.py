"""Servers that share nothing but a repository of a registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import converter
from converter.errors import Usage
from converter.model.content import ZSTD
from converter.model.reference import Location
from converter.stores import retry
from tests.serving.conftest import Client, Serve
from tests.serving.test_registry import pull
from tests.stores.registry.fake import FakeRegistry, Fault, Flip, Refuse

PLAIN = converter.StoreOptions(tls_verify=False, retries=0)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    with FakeRegistry() as fake:
        yield fake


def gateway(serve: Serve, layout: str, registry: FakeRegistry, folder: Path) -> Client:
    shared = Location.parse(f"docker://{registry.host}/gate")
    return serve(layout, settings={"store": folder, "shared": shared}, compress=ZSTD, store=PLAIN)


@pytest.mark.parametrize("tag", ["app", "multi"])
def test_what_one_has_made_the_other_serves(
    serve: Serve, layout: str, registry: FakeRegistry, tmp_path: Path, tag: str
) -> None:
    one = gateway(serve, layout, registry, tmp_path / "one")
    made = pull(one, "in", tag)
    one.server.stop()
    other = gateway(serve, layout, registry, tmp_path / "other")
    assert pull(other, "in", tag) == made
    assert other.metric("conversions_total") == 0


def test_a_client_may_ask_one_for_the_manifest_and_the_other_for_a_blob(
    serve: Serve, layout: str, registry: FakeRegistry, tmp_path: Path
) -> None:
    one, other = (gateway(serve, layout, registry, tmp_path / name) for name in ("one", "other"))
    manifest = one.ask("/v2/in/manifests/app")
    for layer in manifest.json["layers"]:
        assert other.ask(f"/v2/in/blobs/{layer['digest']}").status == 200
    assert other.ask(f"/v2/in/manifests/{manifest.digest}").body == manifest.body
    assert other.metric("conversions_total") == 0


def test_what_was_evicted_is_fetched_again(serve: Serve, layout: str, registry: FakeRegistry, tmp_path: Path) -> None:
    client = gateway(serve, layout, registry, tmp_path / "one")
    made = pull(client, "in", "app")
    for path in (tmp_path / "one/blobs").glob("*/*/*"):
        path.unlink()
    assert pull(client, "in", "app") == made
    assert client.metric("conversions_total") == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Refuse(status=500), id="a registry that fails"),
        pytest.param(Refuse(status=403), id="a registry that refuses"),
        pytest.param(Flip(), id="a registry that answers with other bytes"),
    ],
)
def test_an_image_is_served_whatever_the_shared_store_does(
    serve: Serve, layout: str, registry: FakeRegistry, tmp_path: Path, fault: Fault
) -> None:
    made = pull(gateway(serve, layout, registry, tmp_path / "one"), "in", "app")
    registry.fault = lambda _: fault
    other = gateway(serve, layout, registry, tmp_path / "other")
    assert pull(other, "in", "app") == made
    assert other.metric("conversions_total") == 1


@pytest.mark.parametrize("place", ["docker://registry.example/", "docker://registry.example/gate:1", "oci:folder"])
def test_only_a_repository_is_shared(serve: Serve, layout: str, place: str) -> None:
    with pytest.raises(Usage, match="invalid store"):
        serve(layout, settings={"shared": Location.parse(place)})
