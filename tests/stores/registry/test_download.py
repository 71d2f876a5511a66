from __future__ import annotations

from dataclasses import replace

import pytest

from converter.errors import Denied, DigestMismatch, LimitExceeded, NotFound, Unreachable, Unsupported
from converter.events import Event, Warned
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.stores import hosts
from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Flip, Refuse, Stall, first
from tests.stores.registry.pushing import PLAIN, data, manifest_of, pull, seed, source_of

LAYER = data(900_000)


@pytest.mark.parametrize(
    "count, fault",
    [
        pytest.param(0, None, id="nothing goes wrong"),
        pytest.param(3, Cut(after=300_000), id="a connection that breaks three times is taken up where it broke"),
        pytest.param(5, Cut(after=0), id="a connection that breaks before the first byte is made again"),
        pytest.param(5, Cut(after=-1), id="a connection that breaks before the answer is made again"),
        pytest.param(5, Refuse(status=500), id="an error of the server's is not the end"),
        pytest.param(5, Refuse(status=503), id="a server that is away is waited for"),
        pytest.param(5, Refuse(status=429, headers={"Retry-After": "0"}), id="a registry that asks to wait is obeyed"),
    ],
)
def test_a_blob_arrives_whole(registry: FakeRegistry, count: int, fault: Fault) -> None:
    seed(registry, [LAYER])
    registry.fault = first(count, fault, path="/blobs/")
    assert pull(registry) == [LAYER]


def test_what_has_arrived_is_not_asked_for_again(registry: FakeRegistry) -> None:
    seed(registry, [LAYER])
    registry.fault = first(2, Cut(after=400_000), path="/blobs/")
    assert pull(registry) == [LAYER]
    ranges = [one.headers.get("range") for one in registry.seen("GET", "/blobs/")]
    assert ranges == [None, "bytes=400000-", "bytes=800000-"]


def test_a_registry_without_ranges_sends_all_again(registry: FakeRegistry) -> None:
    seed(registry, [LAYER])
    registry.ranges = False
    registry.fault = first(2, Cut(after=400_000), path="/blobs/")
    assert pull(registry) == [LAYER]


@pytest.mark.parametrize(
    "fault, error, text",
    [
        pytest.param(
            Refuse(status=500),
            Unreachable,
            r"cannot get blob .*: internal server error \(500\)",
            id="an error",
        ),
        pytest.param(Cut(after=0), Unreachable, "broke off: after 0 bytes", id="a connection that always breaks"),
        pytest.param(Stall(seconds=3600), Unreachable, "timeout", id="silence"),
        pytest.param(Refuse(status=404), NotFound, r"cannot get blob .*: not found \(404\)", id="nothing there"),
        pytest.param(Refuse(status=403), Denied, r"requires a login: .* \(forbidden\)", id="no right"),
        pytest.param(Refuse(status=418), Unreachable, "teapot", id="a status that nobody knows"),
        pytest.param(
            Refuse(status=429, headers={"Retry-After": "86400"}), Unreachable, "86400 s", id="a wait beyond reason"
        ),
        pytest.param(Flip(), DigestMismatch, "digest mismatch", id="a wrong byte"),
        pytest.param(Flip(offset=899_999), DigestMismatch, "digest mismatch", id="a wrong byte at the end"),
        pytest.param(
            Refuse(status=200, body=LAYER[:-1]), DigestMismatch, "read 899999", id="a byte less, honestly told"
        ),
        pytest.param(Refuse(status=200, body=LAYER + b"x"), DigestMismatch, "read more", id="a byte more"),
        pytest.param(
            Refuse(status=307, headers={"Location": "http://169.254.169.254/latest"}),
            Unsupported,
            "link-local",
            id="a redirect to where clouds keep secrets",
        ),
        pytest.param(
            Refuse(status=307, headers={"Location": "file:///etc/passwd"}),
            Exception,
            "file:",
            id="a redirect to a file",
        ),
        pytest.param(
            Refuse(status=302, headers={"Location": "?again"}), LimitExceeded, "redirects", id="a redirect to itself"
        ),
        pytest.param(
            Refuse(status=200, headers={f"X-{number}": "x" * 4000 for number in range(20)}),
            LimitExceeded,
            "limit: headers",
            id="headers without end",
        ),
        pytest.param(
            Refuse(status=200, headers={"X": "x" * 70_000}),
            LimitExceeded,
            "limit: headers",
            id="a header line too long",
        ),
        pytest.param(
            Refuse(status=200, headers={f"X-{number}": "" for number in range(200)}),
            LimitExceeded,
            "limit: headers",
            id="headers beyond count",
        ),
    ],
)
def test_a_blob_is_refused(registry: FakeRegistry, fault: Fault, error: type[Exception], text: str) -> None:
    seed(registry, [LAYER])
    registry.fault = first(1000, fault, path="/blobs/")
    with pytest.raises(error, match=text):
        pull(registry, options=replace(PLAIN, timeout=0.2 if isinstance(fault, Stall) else 60, retries=2))


def test_the_second_host_sees_no_authorization(registry: FakeRegistry) -> None:
    seed(registry, [LAYER])
    registry.basic = ("user", "password")
    with FakeRegistry() as other:
        other.add_blob("app", LAYER)
        registry.fault = lambda request: (
            Refuse(status=307, headers={"Location": other.url + request.path}) if "/blobs/" in request.path else None
        )
        assert pull(registry, options=replace(PLAIN, credentials=registry.basic)) == [LAYER]
        assert [one.headers.get("authorization") for one in other.requests] == [None]
    assert registry.seen("GET", "/blobs/")[0].headers["authorization"].startswith("Basic ")


def foreign(urls: list[str]) -> bytes:
    return manifest_of([Descriptor.of(LAYER, types.OCI_NONDISTRIBUTABLE, urls=tuple(urls))])


def test_a_foreign_layer_is_fetched_only_when_asked(registry: FakeRegistry) -> None:
    registry.add_blob("elsewhere", LAYER)
    url = f"{registry.url}/v2/elsewhere/blobs/{Descriptor.of(LAYER, '').digest}"
    registry.add_manifest("app", types.OCI_MANIFEST, foreign([f"{url}0", url]), "1")
    with pytest.raises(NotFound, match="--download-foreign"):
        pull(registry)
    assert not registry.seen("GET", "elsewhere")
    assert pull(registry, options=replace(PLAIN, download_foreign=True)) == [LAYER]


def test_a_foreign_layer_that_is_there_is_taken_from_there(registry: FakeRegistry) -> None:
    registry.add_blob("app", LAYER)
    registry.add_manifest("app", types.OCI_MANIFEST, foreign(["http://127.0.0.1:1/"]), "1")
    assert pull(registry, options=replace(PLAIN, download_foreign=True)) == [LAYER]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("ftp://example.com/x", id="another protocol"),
        pytest.param("http://169.254.169.254/latest/meta-data", id="a link-local address"),
        pytest.param("http://[fe80::1]/x", id="a link-local address of IPv6"),
        pytest.param("http://[::ffff:169.254.1.1]/x", id="a link-local address within IPv6"),
        pytest.param("http://2852039166/x", id="a link-local address as one number"),
        pytest.param("http:///x", id="no host"),
        pytest.param("http://[::1/x", id="no URL"),
    ],
)
def test_a_foreign_layer_is_not_fetched_from(registry: FakeRegistry, url: str) -> None:
    registry.add_manifest("app", types.OCI_MANIFEST, foreign([url]), "1")
    with pytest.raises(Exception, match=r"expected http://|link-local"):
        pull(registry, options=replace(PLAIN, download_foreign=True))


def test_a_blob_whose_size_nobody_told_gets_it(registry: FakeRegistry) -> None:
    seed(registry, [LAYER])
    with source_of(registry) as source:
        told = Descriptor.of(LAYER, types.DOCKER_LAYER_GZIP)
        fetched = source.fetch(replace(told, size=-1))
        assert fetched.descriptor == told
        assert b"".join(fetched.blocks()) == LAYER


def test_a_retry_is_told_while_it_is_waited_for(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "LEAST_REPORTED", 0.0)
    seed(registry, [LAYER])
    registry.fault = first(1, Refuse(status=503), path="/blobs/")
    told: list[Event] = []
    assert pull(registry, options=replace(PLAIN, report=told.append)) == [LAYER]
    assert told == [Warned(f"{registry.host}: service unavailable, retrying in 0 s (1 of 5)")]
