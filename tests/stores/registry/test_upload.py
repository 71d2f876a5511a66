from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from converter.cache import VerifiedCache
from converter.errors import CalledOff, ConverterError, Denied, DigestMismatch, Invalid, StorageFailed, Unreachable
from converter.model import media_types as types
from converter.model.content import Blocks, known_bytes
from converter.model.descriptor import Descriptor
from converter.ports import Sink
from converter.stores import hosts
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry import upload
from converter.streams.read_ahead import fan_out
from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Refuse, Request, first
from tests.stores.registry.pushing import PLAIN, data, in_pieces, push, sink_of

LAYER = data(900_000)
WANT = Descriptor.of(LAYER, types.OCI_LAYER)
PARTS = replace(PLAIN, chunk=200_000)


class Again:
    """Blocks that can be iterated over again."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self.opened = 0

    def __iter__(self) -> Iterator[bytes]:
        self.opened += 1
        yield from in_pieces(self._blob, 70_000)


def once() -> Blocks:
    return in_pieces(LAYER, 70_000)


@pytest.fixture(params=[once, lambda: Again(LAYER)], ids=["read once", "read again"])
def blocks(request: pytest.FixtureRequest) -> Blocks:
    made: Blocks = request.param()
    return made


def put(registry: FakeRegistry, blocks: Blocks, options: StoreOptions = PLAIN, want: Descriptor | None = WANT) -> None:
    with sink_of(registry, options=options) as sink:
        assert sink.put(blocks, types.OCI_LAYER, want) == WANT


@pytest.mark.parametrize("options", [pytest.param(PLAIN, id="whole"), pytest.param(PARTS, id="in parts")])
@pytest.mark.parametrize("want", [pytest.param(WANT, id="known"), pytest.param(None, id="unknown")])
@pytest.mark.parametrize(
    "count, fault",
    [
        pytest.param(0, None, id="nothing goes wrong"),
        pytest.param(1, Cut(after=150_000), id="one break"),
        pytest.param(4, Cut(after=150_000), id="several breaks"),
        pytest.param(3, Cut(after=0), id="breaks before the first byte"),
        pytest.param(3, Refuse(status=500), id="errors of the server's"),
        pytest.param(3, Refuse(status=429, headers={"Retry-After": "0"}), id="a registry that asks to wait"),
        pytest.param(1, Refuse(status=404), id="an upload that is forgotten"),
    ],
)
@pytest.mark.parametrize("forgets", [pytest.param(False, id="resumed"), pytest.param(True, id="begun anew")])
def test_a_blob_arrives_whole(
    registry: FakeRegistry,
    blocks: Blocks,
    options: StoreOptions,
    want: Descriptor | None,
    count: int,
    fault: Fault,
    forgets: bool,
) -> None:
    registry.forgets_uploads = forgets
    registry.fault = first(count, fault, method="P(UT|ATCH)")
    put(registry, blocks, options, want)
    assert registry["app"].blobs == {str(WANT.digest): LAYER}
    assert not registry.uploads


def test_a_blob_of_known_size_goes_in_one_request(registry: FakeRegistry) -> None:
    put(registry, once())
    assert [one.method for one in registry.requests if "/uploads/" in one.path] == ["POST", "PUT"]


def test_an_upload_goes_on_where_the_registry_says(registry: FakeRegistry) -> None:
    registry.fault = first(1, Cut(after=600_000), method="PUT")
    put(registry, once())
    assert [one.headers.get("content-range") for one in registry.seen("PATCH")] == ["600000-899999"]
    assert registry.received <= len(LAYER)


def test_parts_have_the_size_that_is_wanted(registry: FakeRegistry) -> None:
    put(registry, once(), PARTS)
    assert [one.headers["content-range"] for one in registry.seen("PATCH")] == [
        "0-199999",
        "200000-399999",
        "400000-599999",
        "600000-799999",
        "800000-899999",
    ]


def test_a_registry_that_only_reads_is_named_so(registry: FakeRegistry) -> None:
    registry.fault = lambda request: Refuse(status=405) if request.method not in ("GET", "HEAD") else None
    with pytest.raises(Unreachable, match=r"\(405\): the registry takes reads alone, as a mirror"):
        put(registry, once())


@pytest.mark.parametrize("status", [405, 411, 413, 415, 501])
def test_a_blob_that_is_not_taken_in_one_request_goes_in_parts(
    registry: FakeRegistry, blocks: Blocks, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(upload, "SMALL_PARTS", (300_000, 100_000))
    registry.largest_body, registry.too_large = 400_000, status
    put(registry, blocks)
    assert [one.headers["content-length"] for one in registry.seen("PATCH")] == ["300000"] * 3
    assert registry["app"].blobs == {str(WANT.digest): LAYER}
    assert not registry.uploads


def test_what_is_given_up_is_cancelled_although_the_registry_hangs_up_on_a_body_that_it_refuses(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "SMALL_PARTS", (300_000, 100_000))
    registry.largest_body = 400_000
    put(registry, once())
    assert len(registry.seen("DELETE")) == 1
    assert not registry.uploads


def test_parts_that_are_too_large_become_smaller(
    registry: FakeRegistry, blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "SMALL_PARTS", (300_000, 100_000))
    registry.largest_body = 200_000
    put(registry, blocks)
    assert [one.headers["content-length"] for one in registry.seen("PATCH")] == ["300000"] + ["100000"] * 9
    assert registry["app"].blobs == {str(WANT.digest): LAYER}
    assert not registry.uploads


@pytest.mark.parametrize(
    "options, largest",
    [
        pytest.param(PLAIN, 50_000, id="smaller than any that we try"),
        pytest.param(PARTS, 150_000, id="smaller than what the caller wants"),
    ],
)
def test_parts_do_not_become_too_small(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, options: StoreOptions, largest: int
) -> None:
    monkeypatch.setattr(upload, "SMALL_PARTS", (300_000, 100_000))
    registry.largest_body = largest
    with pytest.raises(Unreachable, match=r"cannot upload to .*: size invalid \(413\)"):
        put(registry, once(), options)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(lambda size: "", id="nothing"),
        pytest.param(lambda size: "0-199999", id="that it has the first part alone"),
        pytest.param(lambda size: f"0-{size}", id="one byte too many"),
    ],
)
def test_a_part_that_is_taken_is_there_whatever_the_registry_says(
    registry: FakeRegistry, told: Callable[[int], str]
) -> None:
    registry.told_range = told
    put(registry, once(), PARTS)
    assert registry["app"].blobs == {str(WANT.digest): LAYER}
    assert len(registry.seen("PATCH")) == 5


@pytest.mark.parametrize(
    "told, parts",
    [
        pytest.param(lambda size: f"bytes=0-{size - 1}", ["600000-899999"], id="how far it is"),
        pytest.param(lambda size: f"bytes=0-{size}", ["600001-899999"], id="one byte too many"),
        pytest.param(lambda size: "", [], id="nothing"),
    ],
)
def test_an_upload_goes_on_or_begins_anew_by_what_the_registry_says_of_it(
    registry: FakeRegistry, told: Callable[[int], str], parts: list[str]
) -> None:
    registry.told_range = told
    registry.tells_where_it_stands = False
    registry.fault = first(1, Cut(after=600_000), method="PUT")
    put(registry, once())
    assert registry["app"].blobs == {str(WANT.digest): LAYER}
    assert [one.headers["content-range"] for one in registry.seen("PATCH")] == parts


def test_a_lost_answer_is_no_reason_to_send_a_blob_again(registry: FakeRegistry) -> None:
    registry.fault = lambda request: Refuse(status=502) if request.method == "PUT" else None
    registry.add_blob("app", LAYER)
    registry.forgets_uploads = True
    put(registry, once())
    assert len(registry.seen("PUT")) == 1


def test_an_empty_blob_arrives(registry: FakeRegistry) -> None:
    nothing = Descriptor.of(b"", types.OCI_LAYER)
    with sink_of(registry) as sink:
        assert sink.put((), types.OCI_LAYER, nothing) == nothing
        assert sink.put(iter(()), types.OCI_LAYER) == nothing
    assert registry["app"].blobs == {str(nothing.digest): b""}


def test_what_is_there_as_a_document_is_not_there_as_a_blob(registry: FakeRegistry) -> None:
    root = push(registry, [LAYER])
    text = registry["app"].manifests[str(root.digest)][1]
    with sink_of(registry) as sink:
        assert sink.has(root)
        assert not sink.has(root.retyped("text/plain"))
        sink.put((text,), "text/plain", root.retyped("text/plain"))
    assert registry["app"].blobs[str(root.digest)] == text


def test_more_than_memory_holds_goes_through_a_file(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "IN_MEMORY", 100_000)
    registry.forgets_uploads = True
    registry.fault = first(2, Cut(after=500_000), method="PUT")
    put(registry, once())
    assert registry["app"].blobs == {str(WANT.digest): LAYER}


@pytest.mark.parametrize(
    "blob, error",
    [
        pytest.param(LAYER[:-1] + b"?", DigestMismatch, id="another byte"),
        pytest.param(LAYER[:-1], DigestMismatch, id="a byte less"),
        pytest.param(LAYER + b"?", DigestMismatch, id="a byte more"),
    ],
)
@pytest.mark.parametrize("options", [pytest.param(PLAIN, id="whole"), pytest.param(PARTS, id="in parts")])
def test_wrong_bytes_leave_nothing(
    registry: FakeRegistry, blob: bytes, error: type[Exception], options: StoreOptions
) -> None:
    lying = replace(known_bytes(LAYER, types.OCI_LAYER), raw=lambda: in_pieces(blob, 70_000))
    with pytest.raises(error):
        put(registry, lying.blocks(), options)
    assert not registry["app"].blobs
    assert not registry.uploads


def test_a_layer_that_another_reader_refuses_leaves_nothing(registry: FakeRegistry) -> None:
    def refuse(blocks: Blocks) -> None:
        next(iter(blocks))
        raise Invalid("no gzip")

    with sink_of(registry) as sink, pytest.raises(Invalid, match="no gzip"):
        fan_out(once(), (refuse, lambda blocks: put_in(sink, blocks)))
    assert registry.seen("POST")
    assert not registry.uploads


def put_in(sink: Sink, blocks: Blocks) -> None:
    sink.put(blocks, types.OCI_LAYER, WANT)


def test_a_source_that_fails_leaves_nothing(registry: FakeRegistry) -> None:
    def failing() -> Iterator[bytes]:
        yield LAYER[:100]
        raise StorageFailed("no more")

    with pytest.raises(StorageFailed):
        put(registry, failing())
    assert not registry["app"].blobs
    assert not registry.uploads


def _stopping(run: Hosts, error: type[BaseException] | None = None, busy: str = "") -> Iterator[bytes]:
    """Blocks in whose middle the run is stopped, from elsewhere or by what a person does just here."""
    yield LAYER[:500_000]
    if busy:
        run.host(busy).back_off(3600)
    if error is not None:
        raise error
    run.stop()
    yield LAYER[500_000:]


@pytest.mark.parametrize(
    "error, raised",
    [
        pytest.param(None, CalledOff, id="in another thread"),
        pytest.param(KeyboardInterrupt, KeyboardInterrupt, id="in this one"),
    ],
)
@pytest.mark.parametrize("secured", [pytest.param(False, id="open to all"), pytest.param(True, id="with a token")])
def test_a_stop_cancels_what_is_under_way(
    registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException] | None,
    raised: type[BaseException],
    secured: bool,
) -> None:
    monkeypatch.setattr(hosts, "LAST_SECONDS", 60)
    registry.token_life = 600 if secured else None
    with Hosts() as run, pytest.raises(raised):
        put(registry, _stopping(run, error), replace(PLAIN, hosts=run))
    assert len(registry.seen("DELETE")) == 1
    assert not registry.uploads
    with pytest.raises(CalledOff):
        put(registry, once(), replace(PLAIN, hosts=run))


def _look_and_stop(sink: Sink) -> None:
    assert not sink.has(WANT)
    raise KeyboardInterrupt


def test_a_stop_cancels_what_a_mount_has_begun(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "LAST_SECONDS", 60)
    with Hosts() as run:
        options = replace(PLAIN, hosts=run, mount_from=("nothing",))
        with pytest.raises(KeyboardInterrupt), sink_of(registry, options=options) as sink:
            _look_and_stop(sink)
    assert not registry.uploads


def test_a_stop_does_not_wait_for_a_registry_that_hangs(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "LAST_SECONDS", 0.2)
    over = threading.Event()
    patient: list[Request] = []

    def hang(request: Request) -> Fault:
        if request.method == "DELETE" and not over.wait(60):
            patient.append(request)
        return None

    registry.fault = hang
    with Hosts() as run, pytest.raises(CalledOff):
        put(registry, _stopping(run), replace(PLAIN, hosts=run, timeout=3600))
    over.set()
    assert not patient


def test_a_stop_does_not_wait_where_the_registry_has_asked_to(registry: FakeRegistry) -> None:
    with Hosts() as run, pytest.raises(CalledOff):
        put(registry, _stopping(run, busy=registry.host), replace(PLAIN, hosts=run))
    assert not registry.seen("DELETE")


@pytest.mark.parametrize(
    "fault, error",
    [
        pytest.param(Cut(after=0), Unreachable, id="a connection that always breaks"),
        pytest.param(Refuse(status=500), Unreachable, id="an error that stays"),
        pytest.param(Refuse(status=403), Denied, id="no right"),
        pytest.param(Refuse(status=400), Unreachable, id="a refusal"),
        pytest.param(
            Refuse(status=201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
            DigestMismatch,
            id="a registry that has read other bytes",
        ),
    ],
)
def test_an_upload_fails(registry: FakeRegistry, fault: Fault, error: type[Exception]) -> None:
    registry.fault = first(1000, fault, method="PUT")
    with pytest.raises(error):
        put(registry, once(), replace(PLAIN, retries=2))
    assert not registry["app"].blobs
    assert not registry.uploads, "each is cancelled"


def test_what_is_there_is_not_sent(registry: FakeRegistry) -> None:
    push(registry, [LAYER])
    before = registry.received
    push(registry, [LAYER], "app:2")
    assert registry.received == before + len(registry["app"].manifests[registry["app"].tags["2"]][1])


def test_a_document_does_not_stand_for_a_blob_of_the_same_bytes(registry: FakeRegistry) -> None:
    document = f'{{"schemaVersion": 2, "mediaType": "{types.OCI_INDEX}", "manifests": []}}'.encode()
    with VerifiedCache() as memory, sink_of(registry, options=replace(PLAIN, holders=memory)) as sink:
        sink.put((document,), types.OCI_INDEX)
        assert sink.has(Descriptor.of(document, types.OCI_INDEX))
        assert not sink.has(Descriptor.of(document, types.OCI_LAYER))


def test_what_another_repository_has_is_mounted(registry: FakeRegistry) -> None:
    push(registry, [LAYER])
    push(registry, [LAYER], "copy:1", replace(PLAIN, mount_from=("nothing", "app")))
    assert set(registry["copy"].blobs) == set(registry["app"].blobs)
    assert len(registry.seen("PUT", "copy/blobs")) == 0
    assert not registry.uploads


def test_a_mount_that_becomes_an_upload_is_used(registry: FakeRegistry) -> None:
    push(registry, [LAYER], options=replace(PLAIN, mount_from=("nothing",)))
    assert str(WANT.digest) in registry["app"].blobs
    assert not registry.uploads
    assert not [one for one in registry.seen("POST") if "mount" not in one.query]


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_mount_that_is_refused_is_no_failure(registry: FakeRegistry, status: int) -> None:
    registry.fault = lambda request: Refuse(status=status) if "mount" in request.query else None
    push(registry, [LAYER], options=replace(PLAIN, mount_from=("secret",), retries=0))
    assert str(WANT.digest) in registry["app"].blobs


def test_a_failure_tags_nothing(registry: FakeRegistry) -> None:
    registry.fault = first(1000, Refuse(status=400), method="PUT", path="manifests/sha256")
    with pytest.raises(ConverterError):
        push(registry, [LAYER])
    assert not registry["app"].tags
