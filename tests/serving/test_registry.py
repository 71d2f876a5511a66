"""What a client of the registry sees: manifests, blobs, lists, and refusals."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import converter
from converter.model import media_types as types
from converter.model.content import ZSTD
from converter.serving import image_store
from converter.verification.wanted import Wanted
from tests.patience import PATIENCE
from tests.serving.conftest import PLAIN_HTTP, Client, Serve, Stalled
from tests.stores.copying import source_at
from tests.trust.origins import KEY

NOTHING = f"sha256:{'0' * 64}"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def pull(client: Client, name: str, reference: str) -> dict[str, bytes]:
    """Every document and blob of an image, by digest, checked."""
    found = {}
    manifest = client.ask(f"/v2/{name}/manifests/{reference}")
    assert manifest.status == 200, manifest.body
    assert manifest.digest == digest_of(manifest.body)
    found[manifest.digest] = manifest.body
    document = manifest.json
    for one in document.get("manifests", ()):
        found |= pull(client, name, one["digest"])
    for one in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
        blob = client.ask(f"/v2/{name}/blobs/{one['digest']}")
        assert blob.status == 200
        assert digest_of(blob.body) == one["digest"]
        found[one["digest"]] = blob.body
    return found


def test_an_image_that_need_not_change_is_served_byte_for_byte(serve: Serve, layout: str, tmp_path: Path) -> None:
    client = serve(layout)
    with source_at("oci", tmp_path / "in") as source:
        root = source.resolve("multi")
    served = pull(client, "in", "multi")
    assert str(root.digest) in served
    for digest, data in served.items():
        algorithm, encoded = digest.split(":")
        assert (tmp_path / "in/blobs" / algorithm / encoded).read_bytes() == data


def test_an_image_is_converted_as_is_asked_for(serve: Serve, layout: str) -> None:
    client = serve(layout, compress=ZSTD, to="oci")
    layers = client.ask("/v2/in/manifests/app").json["layers"]
    assert {one["mediaType"] for one in layers} == {types.OCI_LAYER_ZSTD}
    assert pull(client, "in", "app")
    docker = serve(layout, to="docker")
    assert docker.ask("/v2/in/manifests/app").headers["content-type"] == types.DOCKER_MANIFEST
    assert pull(docker, "in", "multi")


def test_a_digest_of_the_source_names_what_the_source_has(serve: Serve, layout: str, tmp_path: Path) -> None:
    client = serve(layout, compress=ZSTD)
    with source_at("oci", tmp_path / "in") as source:
        root = source.resolve("app")
    assert client.ask("/v2/in/manifests/app").digest != str(root.digest)
    as_it_was = pull(client, "in", str(root.digest))
    assert digest_of(as_it_was[str(root.digest)]) == str(root.digest)


def test_a_tag_is_forecast_without_a_conversion_where_nothing_has_to_be_made(serve: Serve, layout: str) -> None:
    client = serve(layout)
    head = client.ask("/v2/in/manifests/app", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert client.metric("conversions_total") == 0
    whole = client.ask(f"/v2/in/manifests/{head.digest}")
    assert (whole.digest, whole.headers["content-length"]) == (head.digest, head.headers["content-length"])


def test_a_tag_whose_image_must_be_made_is_converted_for_a_head(serve: Serve, layout: str) -> None:
    client = serve(layout, compress=ZSTD)
    head = client.ask("/v2/in/manifests/app", "HEAD")
    assert client.ask("/v2/in/manifests/app").digest == head.digest
    assert client.metric("conversions_total") == 1


def test_fifty_pulls_at_a_time_convert_once(serve: Serve, layout: str) -> None:
    client = serve(layout, settings={"threads": 80}, compress=ZSTD)
    together = threading.Barrier(50)

    def one(_: int) -> str:
        together.wait(PATIENCE)
        return client.ask("/v2/in/manifests/app").digest

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(one, range(50)))) == 1
    assert client.metric("conversions_total") == 1


def test_a_server_started_again_serves_what_is_there(serve: Serve, layout: str) -> None:
    first = serve(layout, compress=ZSTD)
    before = pull(first, "in", "app")
    first.server.stop()
    second = serve(layout, compress=ZSTD)
    manifest = next(iter(before))
    assert second.ask(f"/v2/in/manifests/{manifest}").body == before[manifest]
    assert pull(second, "in", "app") == before
    assert second.metric("conversions_total") == 0


def test_what_was_evicted_is_made_again(serve: Serve, layout: str, tmp_path: Path) -> None:
    client = serve(layout, compress=ZSTD)
    before = pull(client, "in", "app")
    for path in (tmp_path / "store/blobs").glob("*/*/*"):
        path.unlink()
    blob = client.ask(f"/v2/in/blobs/{list(before)[-1]}")
    assert blob.body == list(before.values())[-1]
    assert pull(client, "in", "app") == before
    assert client.metric("conversions_total") == 2


def test_what_was_not_asked_for_longest_goes_when_the_store_is_full(
    serve: Serve, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "RECENT", 3600.0)
    client = serve(layout, compress=ZSTD, settings={"store_size": 1500})
    app = pull(client, "in", "app")
    for path in (tmp_path / "store/blobs").glob("*/*/*"):
        os.utime(path, (1, 1))
    used = next(iter(app))
    client.ask(f"/v2/in/manifests/{used}")
    other = pull(client, "in", "other")
    assert client.metric("evicted_blobs_total") > 0
    there = {f"sha256:{path.name}" for path in (tmp_path / "store/blobs").glob("*/*/*")}
    assert {used, *other} <= there
    assert there != {*app, *other}
    assert pull(client, "in", "app") == app


def test_a_tag_that_moves_is_served_anew(serve: Serve, layout: str, tmp_path: Path) -> None:
    client = serve(layout)
    before = client.ask("/v2/in/manifests/app").digest
    converter.convert(f"{layout}:other", f"{layout}:app", platforms="all")
    os.utime(tmp_path / "in/index.json")
    after = client.ask("/v2/in/manifests/app").digest
    assert after != before
    assert after == client.ask("/v2/in/manifests/other").digest


@pytest.mark.parametrize(
    "path, method, status, code",
    [
        pytest.param("/v2/in/manifests/nope", "GET", 404, "MANIFEST_UNKNOWN", id="a tag that is not there"),
        pytest.param("/v2/nope/manifests/app", "GET", 404, "MANIFEST_UNKNOWN", id="a name that is not there"),
        pytest.param(f"/v2/in/manifests/{NOTHING}", "GET", 404, "MANIFEST_UNKNOWN", id="a digest that is not there"),
        pytest.param("/v2/in/manifests/sha256:12", "GET", 400, "DIGEST_INVALID", id="half a digest"),
        pytest.param("/v2/in/manifests/a%2Fb", "GET", 404, "MANIFEST_UNKNOWN", id="an encoded slash in a tag"),
        pytest.param(f"/v2/in/blobs/{NOTHING}", "GET", 404, "BLOB_UNKNOWN", id="a blob that is not there"),
        pytest.param("/v2/in/blobs/sha256:..%2f..", "GET", 400, "DIGEST_INVALID", id="a path for a digest"),
        pytest.param("/v2/in/blobs/app", "GET", 400, "DIGEST_INVALID", id="no digest"),
        pytest.param("/v2/nope/tags/list", "GET", 404, "NAME_UNKNOWN", id="tags of a name that is not there"),
        pytest.param("/v2/IN/tags/list", "GET", 404, "NAME_INVALID", id="a name in upper case"),
        pytest.param("/v2/../tags/list", "GET", 404, "NAME_INVALID", id="a name that leads upwards"),
        pytest.param("/v2/%2e%2e/%2e%2e/tags/list", "GET", 404, "NAME_INVALID", id="the same, encoded"),
        pytest.param(f"/v2/{'a' * 256}/tags/list", "GET", 404, "NAME_INVALID", id="a name that is too long"),
        pytest.param("/v2/in/blobs/uploads/", "POST", 405, "UNSUPPORTED", id="an upload"),
        pytest.param("/v2/in/manifests/app", "PUT", 405, "UNSUPPORTED", id="a manifest put"),
        pytest.param("/v2/in/manifests/app", "DELETE", 405, "UNSUPPORTED", id="a manifest deleted"),
        pytest.param("/v2/in/blobs/uploads/1", "PATCH", 405, "UNSUPPORTED", id="a part of an upload"),
        pytest.param("/metrics", "DELETE", 405, "UNSUPPORTED", id="the counters deleted"),
        pytest.param("/etc/passwd", "GET", 404, "NOT_FOUND", id="a path of no registry"),
    ],
)
def test_refusals(serve: Serve, layout: str, path: str, method: str, status: int, code: str) -> None:
    answer = serve(layout).ask(path, method)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "asked, status, part, told",
    [
        pytest.param("bytes=0-9", 206, (0, 10), "bytes 0-9/{size}", id="the start"),
        pytest.param("bytes=10-", 206, (10, None), "bytes 10-{last}/{size}", id="all from a place on"),
        pytest.param("bytes=-5", 206, (-5, None), "bytes {five}-{last}/{size}", id="the end"),
        pytest.param("bytes=0-999999999999", 206, (0, None), "bytes 0-{last}/{size}", id="more than there is"),
        pytest.param("bytes=-999999", 206, (0, None), "bytes 0-{last}/{size}", id="an end longer than all"),
        pytest.param("bytes=999999-", 416, (0, 0), "bytes */{size}", id="beyond the end"),
        pytest.param("bytes=-0", 416, (0, 0), "bytes */{size}", id="nothing of the end"),
        pytest.param("bytes=5-2", 200, (0, None), "", id="the wrong way round"),
        pytest.param("bytes=0-1,4-5", 200, (0, None), "", id="several"),
        pytest.param("lines=1-2", 200, (0, None), "", id="no bytes"),
        pytest.param("bytes=-", 200, (0, None), "", id="no numbers"),
        pytest.param(f"bytes={'9' * 40}-", 200, (0, None), "", id="a number that is too long"),
    ],
)
def test_ranges(serve: Serve, layout: str, asked: str, status: int, part: tuple[int, int | None], told: str) -> None:
    client = serve(layout)
    config = client.ask("/v2/in/manifests/app").json["config"]["digest"]
    whole = client.ask(f"/v2/in/blobs/{config}").body
    answer = client.ask(f"/v2/in/blobs/{config}", Range=asked)
    size = len(whole)
    assert (answer.status, answer.body) == (status, whole[slice(*part)])
    assert answer.headers.get("content-range", "") == told.format(size=size, last=size - 1, five=size - 5)


def test_a_client_that_has_a_blob_is_told_so(serve: Serve, layout: str) -> None:
    client = serve(layout)
    manifest = client.ask("/v2/in/manifests/app")
    again = client.ask("/v2/in/manifests/app", If_None_Match=manifest.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    other = client.ask("/v2/in/manifests/app", If_None_Match='"sha256:other"')
    assert other.status == 200
    part = client.ask("/v2/in/manifests/app", Range="bytes=0-1", If_Range='"sha256:other"')
    assert (part.status, part.body) == (200, manifest.body)


def test_lists_come_in_pages(serve: Serve, layout: str) -> None:
    client = serve(layout)
    assert client.ask("/v2/_catalog").json == {"repositories": ["in"]}
    first = client.ask("/v2/in/tags/list?n=2")
    assert first.json == {"name": "in", "tags": ["app", "multi"]}
    assert first.headers["link"] == '</v2/in/tags/list?n=2&last=multi>; rel="next"'
    second = client.ask("/v2/in/tags/list?n=2&last=multi")
    assert second.json["tags"] == ["other"]
    assert "link" not in second.headers
    assert client.ask("/v2/in/tags/list?n=nonsense").json["tags"] == ["app", "multi", "other"]


def test_an_image_that_nobody_vouches_for_is_denied(serve: Serve, layout: str, tmp_path: Path) -> None:
    policy = Wanted(policy=json.dumps({"default": [{"type": "reject"}]}).encode())
    client = serve(layout, wanted=policy)
    with source_at("oci", tmp_path / "in") as source:
        root = str(source.resolve("app").digest)
    for path in ("manifests/app", f"manifests/{root}"):
        for method in ("GET", "HEAD"):
            assert client.ask(f"/v2/in/{path}", method).status == 403, path
    assert client.ask("/v2/in/manifests/app").code == "DENIED"
    assert client.ask(f"/v2/in/blobs/{root}").status == 404
    assert not list((tmp_path / "store/blobs").iterdir())


def test_a_signed_image_is_served_with_its_record(serve: Serve, layout: str, tmp_path: Path) -> None:
    from tests.signing.test_sign import COSIGN, signing

    converter.sign(f"{layout}:app", signing(COSIGN, identity="registry.example/app:1"))
    client = serve(layout, compress=ZSTD)
    served = client.ask("/v2/in/manifests/app").digest
    listed = client.ask(f"/v2/in/referrers/{served}")
    assert listed.headers["content-type"] == types.OCI_INDEX
    (record,) = listed.json["manifests"]
    none = client.ask(f"/v2/in/referrers/{served}?artifactType=application/other")
    assert (none.json["manifests"], none.headers["oci-filters-applied"]) == ([], "artifactType")
    assert pull(client, "in", record["digest"])
    store = converter.StoreOptions(tls_verify=False)
    wanted = Wanted(keys=(KEY,), identity="registry.example/app:1", require=frozenset(["origin"]))
    assert converter.verify(f"docker://{client.server.host}/in:app", wanted, store=store).ok


@pytest.mark.parametrize("compress", [None, ZSTD], ids=["an image as it is", "an image that was converted"])
def test_what_is_signed_later_is_listed_later(
    serve: Serve, layout: str, compress: converter.Compression | None
) -> None:
    from tests.signing.test_sign import COSIGN, signing

    client = serve(layout, compress=compress)
    served = pull(client, "in", "app")
    digest = next(iter(served))
    assert client.ask(f"/v2/in/referrers/{digest}").json["manifests"] == []
    converter.sign(f"{layout}:app", signing(COSIGN, identity="registry.example/app:1"))
    (listed,) = client.ask(f"/v2/in/referrers/{digest}").json["manifests"]
    assert pull(client, "in", listed["digest"])
    assert pull(client, "in", "app") == served


def test_servers_that_share_a_store_serve_what_each_of_them_has_made(serve: Serve, layout: str) -> None:
    one, other = serve(layout, compress=ZSTD), serve(layout, compress=ZSTD)
    manifest = one.ask("/v2/in/manifests/app")
    assert other.ask(f"/v2/in/blobs/{manifest.json['config']['digest']}").status == 200
    assert other.ask(f"/v2/in/manifests/{manifest.digest}").body == manifest.body
    assert other.metric("conversions_total") == 0


def test_what_one_server_is_making_others_wait_for(serve: Serve, stalled: Stalled) -> None:
    servers = [serve(stalled.repository, compress=ZSTD, store=PLAIN_HTTP) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool, stalled:
        first = pool.submit(servers[0].ask, "/v2/app/manifests/1")
        assert stalled.begun.wait(PATIENCE)
        second = pool.submit(servers[1].ask, "/v2/app/manifests/1")
        time.sleep(1)
        under_way = [one.metric("conversions_under_way") for one in servers]
        stalled.go_on.set()
        assert first.result().body == second.result().body
    made = [one.metric("conversions_total") for one in servers]
    assert under_way == [1, 0]
    assert made == [1, 0]


def test_what_a_killed_server_was_writing_is_removed_while_another_is_at_work(
    serve: Serve, layout: str, tmp_path: Path
) -> None:
    serve(layout)
    left = tmp_path / "store/incoming/.transship-0123456789abcdef"
    left.write_bytes(b"half")
    serve(layout)
    assert not left.exists()


def test_what_was_kept_without_a_policy_is_not_served_under_one(serve: Serve, layout: str) -> None:
    before = pull(serve(layout, compress=ZSTD), "in", "app")
    strict = serve(layout, compress=ZSTD, wanted=Wanted(policy=json.dumps({"default": [{"type": "reject"}]}).encode()))
    for digest in before:
        assert strict.ask(f"/v2/in/manifests/{digest}").status in (403, 404)
        assert strict.ask(f"/v2/in/blobs/{digest}").status == 404


def test_an_image_without_referrers_has_an_empty_list(serve: Serve, layout: str) -> None:
    listed = serve(layout).ask(f"/v2/in/referrers/{NOTHING}")
    assert (listed.status, listed.json["manifests"]) == (200, [])


def test_a_whole_registry_is_passed_on_without_being_listed(serve: Serve, layout: str, tmp_path: Path) -> None:
    behind = serve(layout, rename="team/{name}")
    store = converter.StoreOptions(tls_verify=False)
    client = serve(
        f"docker://{behind.server.host}/", settings={"store": tmp_path / "other"}, store=store, compress=ZSTD
    )
    assert behind.log == []
    tags = client.ask("/v2/team/in/tags/list?ns=registry.example")
    assert tags.json["tags"] == ["app", "multi", "other"]
    assert pull(client, "team/in", "multi")
    assert client.ask("/v2/_catalog").json == {"repositories": ["team/in"]}
    original = behind.ask("/v2/team/in/manifests/app").digest
    assert client.ask("/v2/team/in/manifests/app").digest != original
    assert pull(client, "team/in", original)
    assert client.ask("/v2/team/other/manifests/app").status == 404


def test_a_source_that_fails_is_named_and_serves_again_later(serve: Serve, layout: str, tmp_path: Path) -> None:
    behind = serve(layout)
    store = converter.StoreOptions(tls_verify=False, retries=0)
    client = serve(f"docker://{behind.server.host}/", settings={"store": tmp_path / "other"}, store=store)
    behind.server.stop()
    answer = client.ask("/v2/in/manifests/app")
    assert (answer.status, answer.code) == (502, "UNAVAILABLE")
    assert "refused" in answer.json["errors"][0]["message"]
    (logged,) = client.logged(1)
    assert logged.reason == answer.json["errors"][0]["message"]


@pytest.mark.parametrize("path", ["manifests/1", f"manifests/{NOTHING}", "tags/list"])
def test_what_a_source_may_have_that_could_not_be_listed_is_not_called_unknown(serve: Serve, path: str) -> None:
    store = converter.StoreOptions(tls_verify=False, retries=0)
    client = serve("docker://127.0.0.1:1/app", store=store)
    answer = client.ask(f"/v2/app/{path}")
    assert (answer.status, answer.code) == (502, "UNAVAILABLE")
    assert "refused" in answer.json["errors"][0]["message"]
