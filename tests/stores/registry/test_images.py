from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from converter.errors import DigestMismatch, Invalid, LimitExceeded, NotFound, Unreachable, Unsupported
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json
from converter.model.image import Attachment
from converter.model.limits import Limits, enforce_limits
from tests.stores.registry.fake import Cut, FakeRegistry, Flip, Refuse, digest_of, first
from tests.stores.registry.pushing import CONFIG, PLAIN, data, manifest, pull, push, put, seed, sink_of, source_of

LAYERS = [data(70_000, number) for number in range(4)]


def test_an_image_comes_back_as_it_was_put(registry: FakeRegistry) -> None:
    root = push(registry, LAYERS)
    assert pull(registry) == LAYERS
    assert pull(registry, f"app@{root.digest}") == LAYERS
    with source_of(registry) as source:
        assert source.resolve("") == source.resolve("1") == source.resolve(str(root.digest)) == root
        assert source.resolve(f"{registry.host}/app:1") == root
        assert source.names() == ("1",)


def test_blobs_go_and_come_in_several_threads(registry: FakeRegistry) -> None:
    with sink_of(registry) as sink, ThreadPoolExecutor(8) as pool:
        many = [data(30_000, number) for number in range(40)]
        list(pool.map(lambda blob: put(sink, blob, types.OCI_LAYER), many))
        list(pool.map(lambda blob: put(sink, blob, types.OCI_LAYER), many))
    assert len(registry.seen("PUT", "/uploads/")) == 40
    with source_of(registry) as source, ThreadPoolExecutor(8) as pool:
        fetched = pool.map(lambda blob: b"".join(source.fetch(Descriptor.of(blob, types.OCI_LAYER)).blocks()), many)
        assert list(fetched) == many


def test_two_hundred_blobs_pass_where_every_tenth_connection_breaks(registry: FakeRegistry) -> None:
    many = [data(20_000, number) for number in range(200)]
    registry.fault = lambda request: Cut(after=10_000) if request.number % 10 == 0 else None
    push(registry, many)
    assert registry.received < sum(map(len, many)) + 30_000
    registry.requests.clear()
    assert pull(registry) == many
    asked = [one.path for one in registry.seen("GET", "/blobs/") if "range" not in one.headers]
    assert len(asked) - len(set(asked)) <= 1, "a document may be asked for anew, a layer is taken up"


def test_the_reference_itself_names_the_image(registry: FakeRegistry) -> None:
    root = push(registry, LAYERS, "app")
    assert registry["app"].tags == {"latest": str(root.digest)}
    with sink_of(registry, f"app@{root.digest}") as sink:
        put(sink, manifest(LAYERS), types.OCI_MANIFEST)
        sink.name("", root)
    with pytest.raises(DigestMismatch), sink_of(registry, f"app@{root.digest}") as sink:
        sink.name("", put(sink, manifest(LAYERS[:1]), types.OCI_MANIFEST))


def test_an_image_gets_the_tags_that_it_is_given(registry: FakeRegistry) -> None:
    with sink_of(registry) as sink:
        for blob in (CONFIG, *LAYERS):
            put(sink, blob, types.OCI_LAYER)
        root = put(sink, manifest(LAYERS), types.OCI_MANIFEST)
        assert not registry["app"].tags, "nothing is named before the end"
        for name in ("", "v2", "docker.io/library/other:v3"):
            sink.name(name, root)
    assert registry["app"].tags == dict.fromkeys(("1", "v2", "v3"), str(root.digest))


def test_a_root_that_is_there_is_only_tagged(registry: FakeRegistry) -> None:
    root = seed(registry, LAYERS)
    with sink_of(registry, "app:again") as sink:
        assert sink.has(root)
        sink.name("", root)
    assert registry["app"].tags == dict.fromkeys(("1", "again"), str(root.digest))
    assert [one.path for one in registry.seen("PUT")] == ["/v2/app/manifests/again"]


def test_an_index_is_written_after_what_it_lists(registry: FakeRegistry) -> None:
    inner = push(registry, LAYERS)
    index = dump_json({"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [inner.to_json()]})
    with sink_of(registry, "app:all") as sink:
        sink.name("", put(sink, index, types.OCI_INDEX))
    with source_of(registry, "app:all") as source:
        root = source.resolve("")
        assert (root.media_type, source.fetch(root).read()) == (types.OCI_INDEX, index)


def test_a_name_that_is_not_there_says_what_is(registry: FakeRegistry) -> None:
    push(registry, LAYERS)
    with source_of(registry, "app:2") as source, pytest.raises(NotFound, match=r'no tag "2" in .*\(available: 1\)'):
        source.resolve("")


def test_a_file_that_is_not_there_is_no_name_that_is_not_there(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry, LAYERS)
    registry.basic = ("user", "password")
    options = replace(PLAIN, authfile=tmp_path / "missing")
    with source_of(registry, options=options) as source, pytest.raises(NotFound, match=r"missing: no such file"):
        source.resolve("")


def test_only_documents_are_read_before_a_layer_is_opened(registry: FakeRegistry) -> None:
    root = seed(registry, LAYERS)
    with source_of(registry) as source:
        source.fetch(source.resolve(""))
        source.fetch(root)
        for layer in LAYERS:
            source.fetch(Descriptor.of(layer, types.OCI_LAYER))
    assert [one.path for one in registry.requests] == ["/v2/app/manifests/1"]


@pytest.mark.parametrize(
    "content_type, document, found",
    [
        pytest.param(f"{types.OCI_INDEX}; charset=utf-8", {"manifests": []}, types.OCI_INDEX, id="as it is told"),
        pytest.param("text/plain", {"mediaType": types.DOCKER_LIST}, types.DOCKER_LIST, id="as the document tells"),
        pytest.param("text/plain", {"manifests": []}, types.OCI_INDEX, id="an index by its members"),
        pytest.param("text/plain", {"layers": []}, types.OCI_MANIFEST, id="a manifest by its members"),
        pytest.param("text/plain", {"schemaVersion": 1}, types.DOCKER_SCHEMA1, id="schema 1 by its version"),
        pytest.param(types.OCI_ARTIFACT, {"blobs": []}, types.OCI_ARTIFACT, id="an artifact of the release candidates"),
    ],
)
def test_the_type_of_a_document(
    registry: FakeRegistry, content_type: str, document: dict[str, object], found: str
) -> None:
    registry.add_manifest("app", content_type, dict(document), "1")
    with source_of(registry) as source:
        assert source.resolve("").media_type == found


@pytest.mark.parametrize(
    "body, headers, error, text",
    [
        pytest.param(b"<html>", {}, Invalid, "does not answer as a registry", id="a web page"),
        pytest.param(b"{}", {}, Invalid, "neither a manifest nor an index", id="another document"),
        pytest.param(b" " * 5000, {}, LimitExceeded, "limit: document", id="a document beyond its limit"),
        pytest.param(
            b'{"layers":[]}',
            {"Docker-Content-Digest": f"sha256:{'0' * 64}"},
            DigestMismatch,
            "Docker-Content-Digest",
            id="another digest than the registry says",
        ),
        pytest.param(b'{"layers":[]}', {"Docker-Content-Digest": "x"}, Invalid, "ALGORITHM:HEX", id="no digest"),
    ],
)
def test_a_document_is_refused(
    registry: FakeRegistry, body: bytes, headers: dict[str, str], error: type[Exception], text: str
) -> None:
    registry.fault = first(9, Refuse(status=200, body=body, headers=headers), path="manifests")
    with enforce_limits(Limits(document=4096)), source_of(registry) as source, pytest.raises(error, match=text):
        source.resolve("")


def test_a_digest_of_another_kind_is_checked_where_it_can_be(registry: FakeRegistry) -> None:
    body = b'{"layers":[]}'
    for told in (digest_of(body, "sha512"), "other:abc"):
        answer = Refuse(status=200, body=body, headers={"Docker-Content-Digest": told})
        registry.fault = first(1, answer, path="manifests")
        with source_of(registry) as source:
            assert source.resolve("").digest == Digest.of(body)


def test_a_wrong_byte_in_a_document_asked_for_by_digest_is_refused(registry: FakeRegistry) -> None:
    root = seed(registry, LAYERS)
    registry.fault = first(1, Flip(offset=20), path="manifests")
    with source_of(registry, f"app@{root.digest}") as source, pytest.raises(DigestMismatch):
        source.resolve("")


def test_schema_1_is_named_by_its_payload(registry: FakeRegistry) -> None:
    payload = b'{\n   "schemaVersion": 1\n}'
    protected = dump_json({"formatLength": len(payload) - 2, "formatTail": "Cn0"})
    header = __import__("base64").urlsafe_b64encode(protected).decode().rstrip("=")
    signed = payload[:-2] + b',\n   "signatures": [{"protected": "' + header.encode() + b'"}]\n}'
    registry["app"].manifests[digest_of(payload)] = (types.DOCKER_SCHEMA1_SIGNED, signed)
    registry["app"].tags["1"] = digest_of(payload)
    with source_of(registry) as source:
        root = source.resolve("")
        assert root == source.resolve(digest_of(payload)) == Descriptor.of(signed, types.DOCKER_SCHEMA1_SIGNED)
        assert source.fetch(root).read() == signed
    with sink_of(registry, "copy:1") as sink:
        put(sink, signed, types.DOCKER_SCHEMA1_SIGNED)
        sink.name("", root)
    assert registry["copy"].manifests == registry["app"].manifests


def signature(subject: Descriptor, **more: object) -> bytes:
    return manifest([LAYERS[0]], subject=subject.to_json(), artifactType="application/sig", **more)


def put_signature(registry: FakeRegistry, subject: Descriptor, tag: str = "", blob: bytes = b"") -> Descriptor:
    blob = blob or signature(subject, annotations={"a": "b"})
    with sink_of(registry, "app") as sink:
        made = put(sink, blob, types.OCI_MANIFEST)
        sink.attach(Attachment(subject=subject.digest, descriptor=made, tag=tag))
    return made


@pytest.mark.parametrize("api", [True, False], ids=["by the API", "by the fallback tag"])
def test_a_referrer_is_found_where_it_was_put(registry: FakeRegistry, api: bool) -> None:
    registry.referrers = api
    subject = push(registry, LAYERS)
    made = put_signature(registry, subject)
    put_signature(registry, subject)
    second = put_signature(registry, subject, blob=signature(subject, annotations={"c": "d"}))
    with source_of(registry) as source:
        found = list(source.attachments(subject.digest))
    assert {one.descriptor.digest for one in found} == {made.digest, second.digest}
    assert {(one.descriptor.artifact_type, one.tag) for one in found} == {("application/sig", "")}
    assert (f"sha256-{subject.digest.encoded}" in registry["app"].tags) != api


def test_a_referrer_is_found_where_the_api_always_lists_none(registry: FakeRegistry) -> None:
    none = Refuse(status=200, body=b'{"manifests":[]}', headers={"Content-Type": types.OCI_INDEX})
    registry.referrers = False
    registry.fault = first(9, none, path="/referrers/")
    subject = push(registry, LAYERS)
    made = put_signature(registry, subject)
    with source_of(registry) as source:
        assert [one.descriptor.digest for one in source.attachments(subject.digest)] == [made.digest]


def test_a_referrer_that_an_earlier_run_could_not_list_is_listed(registry: FakeRegistry) -> None:
    registry.referrers = False
    subject = push(registry, LAYERS)
    registry.add_manifest("app", types.OCI_MANIFEST, signature(subject))
    put_signature(registry, subject, blob=signature(subject))
    with source_of(registry) as source:
        assert len(list(source.attachments(subject.digest))) == 1


@pytest.mark.parametrize("api", [True, False])
def test_what_names_no_subject_stays_in_the_fallback_index(registry: FakeRegistry, api: bool) -> None:
    registry.referrers = api
    subject = push(registry, LAYERS)
    tag = f"sha256-{subject.digest.encoded}"
    put_signature(registry, subject, tag, manifest(LAYERS[:1]))
    with source_of(registry) as source:
        assert [one.tag for one in source.attachments(subject.digest)] == [tag]


def test_what_cosign_has_tagged_is_found_and_put(registry: FakeRegistry) -> None:
    subject = push(registry, LAYERS)
    for kind in ("sig", "att", "sbom"):
        put_signature(registry, subject, f"sha256-{subject.digest.encoded}.{kind}", manifest([LAYERS[1]], kind=kind))
    with source_of(registry) as source:
        found = list(source.attachments(subject.digest))
        assert [one.tag.rpartition(".")[2] for one in found] == ["sig", "att", "sbom"]
        assert json.loads(source.fetch(found[0].descriptor).read())["kind"] == "sig"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Refuse(status=404), id="not found"),
        pytest.param(Refuse(status=405), id="not allowed"),
        pytest.param(Refuse(status=403), id="forbidden"),
        pytest.param(Refuse(status=200, body=b"<html>", headers={"Content-Type": "text/html"}), id="a web page"),
    ],
)
def test_whatever_a_registry_without_referrers_says(registry: FakeRegistry, fault: Refuse) -> None:
    subject = push(registry, LAYERS)
    registry.fault = first(9, fault, path="/referrers/")
    with source_of(registry) as source:
        assert list(source.attachments(subject.digest)) == []


@pytest.mark.parametrize(
    "body, headers, found",
    [
        pytest.param(b"<html>", {"Content-Type": "text/html; charset=utf-8"}, "text/html", id="a page to log in"),
        pytest.param(b"", {"Content-Type": types.OCI_MANIFEST}, "an empty answer", id="nothing"),
        pytest.param(b"hello", {}, "data without a Content-Type", id="a text"),
    ],
)
def test_an_answer_that_is_no_manifest(
    registry: FakeRegistry, body: bytes, headers: dict[str, str], found: str
) -> None:
    registry.fault = first(9, Refuse(status=200, body=body, headers=headers), path="/manifests/")
    with (
        source_of(registry) as source,
        pytest.raises(
            Invalid, match=f"{registry.host} does not answer as a registry: expected a manifest, found {found}$"
        ),
    ):
        source.resolve("1")


def test_the_tags_that_are_offered_are_those_of_images(registry: FakeRegistry) -> None:
    subject = push(registry, LAYERS)
    tag = f"sha256-{subject.digest.encoded}.sig"
    put_signature(registry, subject, tag, manifest([LAYERS[1]], kind="sig"))
    with source_of(registry) as source, pytest.raises(NotFound) as caught:
        source.resolve("nosuch")
    assert tag not in str(caught.value)
    assert "(available: " in str(caught.value)


def test_what_is_no_document_is_not_attached(registry: FakeRegistry) -> None:
    subject = push(registry, LAYERS)
    signature = Attachment(subject=subject.digest, descriptor=Descriptor.of(b"x", types.PGP_SIGNATURE))
    with sink_of(registry) as sink, pytest.raises(Unsupported):
        sink.attach(signature)


def test_a_root_that_is_no_document_gets_no_tag(registry: FakeRegistry) -> None:
    sink = sink_of(registry).__enter__()
    sink.name("", Descriptor.of(CONFIG, types.OCI_CONFIG))
    with pytest.raises(Unsupported):
        sink.__exit__(None, None, None)
    assert not registry["app"].tags


@pytest.mark.parametrize(
    "blob, error",
    [
        pytest.param(b"", Invalid, id="nothing"),
        pytest.param(b" " * 5_000_000, LimitExceeded, id="more than a document may have"),
        pytest.param(b"[]", Invalid, id="no object"),
    ],
)
def test_a_document_is_not_put(registry: FakeRegistry, blob: bytes, error: type[Exception]) -> None:
    registry.fault = first(9, Refuse(status=201), method="PUT")
    with sink_of(registry) as sink, pytest.raises(error):
        sink.put((blob,), types.OCI_MANIFEST, Descriptor.of(blob, types.OCI_MANIFEST))


def test_a_blob_that_stands_in_its_descriptor_is_not_asked_for(registry: FakeRegistry) -> None:
    with source_of(registry) as source:
        assert source.fetch(replace(Descriptor.of(b"{}", types.OCI_EMPTY), data=b"{}")).read() == b"{}"
        with pytest.raises(DigestMismatch):
            source.fetch(replace(Descriptor.of(b"{}", types.OCI_EMPTY), data=b"[]")).read()
    assert not registry.requests


def test_a_size_that_nobody_tells_is_missed(registry: FakeRegistry) -> None:
    registry.fault = first(9, Refuse(status=404), method="HEAD")
    with source_of(registry) as source, pytest.raises(NotFound):
        source.fetch(Descriptor(media_type="", digest=Digest.of(b"x"), size=-1))


def test_a_registry_without_a_list_of_tags_says_so(registry: FakeRegistry) -> None:
    registry.fault = first(9, Refuse(status=501), path="tags")
    with source_of(registry, "app:2") as source, pytest.raises(NotFound, match="its tags cannot be listed"):
        source.resolve("")


def test_tags_come_in_pages(registry: FakeRegistry) -> None:
    root = seed(registry, LAYERS)
    names = [f"v{number:03}" for number in range(250)]
    registry["app"].tags.update(dict.fromkeys(names, str(root.digest)))
    registry.page = 100
    with source_of(registry, "app") as source:
        assert source.names() == ("1", *names)
    assert len(registry.seen("GET", "tags")) == 3


@pytest.mark.parametrize(
    "fault, error",
    [
        pytest.param(
            Refuse(status=200, body=b'{"tags":[]}', headers={"Link": '<?n=1>; rel="next"'}),
            Invalid,
            id="pages in a ring",
        ),
        pytest.param(Refuse(status=200, body=b'{"tags":[1]}'), Invalid, id="what is no name"),
        pytest.param(Refuse(status=404), NotFound, id="no repository"),
        pytest.param(Refuse(status=501), Unreachable, id="no list"),
    ],
)
def test_tags_cannot_be_listed(registry: FakeRegistry, fault: Refuse, error: type[Exception]) -> None:
    registry.fault = first(99, fault, path="tags")
    with source_of(registry, "app") as source, pytest.raises(error):
        source.names()


@pytest.mark.parametrize(
    "path, found",
    [
        pytest.param("", ["other", "team", "team/a", "team/b"], id="all of a registry"),
        pytest.param("team/", ["team/a", "team/b"], id="those below a prefix"),
        pytest.param("none/", [], id="none"),
    ],
)
def test_the_repositories_of_a_registry_are_listed(registry: FakeRegistry, path: str, found: list[str]) -> None:
    registry.page = 3
    for name in ("team/b", "team", "other", "team/a"):
        registry[name].tags["1"] = ""
    digest = Digest.parse(digest_of(CONFIG))
    with source_of(registry, path) as source:
        assert list(source.names()) == [f"{registry.host}/{name}" for name in found]
        assert not list(source.attachments(digest))
        with pytest.raises(NotFound, match=f"choose one, as docker://{registry.host}/{path}NAME"):
            source.resolve("")
        with pytest.raises(NotFound, match="blob unknown"):
            source.fetch(Descriptor(media_type="", digest=digest, size=-1))
