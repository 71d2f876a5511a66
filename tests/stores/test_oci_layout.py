"""What only OCI layouts do: names in index.json, attachments, strictness."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from converter.errors import ConverterError, DigestMismatch, Invalid, NotFound, StorageFailed
from converter.events import Event, Warned
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.model.reference import REF_NAME, Location
from converter.stores import StoreOptions, open_sink, open_source
from converter.stores.oci_index import render_index
from converter.stores.oci_layout import attachments_by_subject
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.stores.copying import contents, copy, files, put_tree, sink_at, source_at

REF, FULL = "org.opencontainers.image.ref.name", "io.containerd.image.name"


def index_of(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((path / "index.json").read_text())
    return document


def names_of(path: Path) -> list[dict[str, str]]:
    return [entry.get("annotations", {}) for entry in index_of(path)["manifests"]]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def one(store: MemoryStore) -> Descriptor:
    return add_image(store)


@pytest.fixture
def two(store: MemoryStore) -> Descriptor:
    return add_image(store, manifest={"annotations": {"second": "yes"}}, name="two")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return tmp_path / "layout"


def test_a_full_name_is_written_for_both_readers(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "example.com/app:1")
    assert names_of(layout) == [{REF: "example.com/app:1", FULL: "example.com/app:1"}]
    assert (layout / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'


def test_a_tag_is_no_full_name(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "latest")
    assert names_of(layout) == [{REF: "latest"}]


def test_a_name_moves(store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "latest")
    copy(store, two, sink_at("oci", layout), "latest")
    assert names_of(layout) == [{}, {REF: "latest"}]
    with source_at("oci", layout) as source:
        assert source.resolve("latest").digest == two.digest
        assert source.names() == ("@0", "latest")


def test_a_name_moves_however_it_is_spelled(store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "docker.io/library/app:1")
    copy(store, two, sink_at("oci", layout), "app:1")
    assert names_of(layout) == [{}, {REF: "app:1", FULL: "docker.io/library/app:1"}]


@pytest.mark.parametrize(
    "before, after, mirror, told",
    [
        pytest.param("latest", "latest", False, ["the image that was {}:latest before is {}:@0 now"], id="a tag"),
        pytest.param(
            "docker.io/library/app:1",
            "app:1",
            False,
            ["the image that was {}:docker.io/library/app:1 before is {}:@0 now"],
            id="a name in another spelling",
        ),
        pytest.param("a", "b", False, [], id="another name"),
        pytest.param("", "a", False, [], id="an image without a name stays as it is"),
        pytest.param("latest", "latest", True, [], id="a mirror moves names all the time"),
    ],
)
def test_a_name_that_moves_is_told(
    before: str,
    after: str,
    mirror: bool,
    told: list[str],
    store: MemoryStore,
    one: Descriptor,
    two: Descriptor,
    layout: Path,
) -> None:
    events: list[Event] = []
    options = StoreOptions(mirror=mirror, report=events.append)
    for root, name in ((one, before), (two, after), (two, after)):
        copy(store, root, open_sink(Location(transport="oci", path=str(layout)), options), name)
    assert events == [Warned(text.replace("{}", f"oci:{layout}")) for text in told]


def test_a_name_that_an_image_has_got_and_lost_at_once_is_not_told(
    store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path
) -> None:
    copy(store, one, sink_at("oci", layout))
    events: list[Event] = []
    options = StoreOptions(report=events.append)
    with open_sink(Location(transport="oci", path=str(layout)), options) as sink:
        put_tree(store, two, sink)
        sink.name("a", one.bare())
        sink.name("a", two.bare())
    assert (names_of(layout), events) == ([{}, {REF: "a"}], [])


def test_an_image_may_have_two_names(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "a")
    copy(store, one, sink_at("oci", layout), "b")
    assert names_of(layout) == [{REF: "a"}, {REF: "b"}]


def test_an_image_without_a_name_gets_one(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout))
    copy(store, one, sink_at("oci", layout), "a")
    copy(store, one, sink_at("oci", layout))
    assert names_of(layout) == [{REF: "a"}]


def test_writing_the_same_twice_changes_nothing(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "app:1")
    # Another tool's spelling of the same document survives.
    (layout / "index.json").write_text(json.dumps(index_of(layout), indent=7))
    before = files(layout)
    copy(store, one, sink_at("oci", layout), "app:1")
    assert files(layout) == before


def test_what_others_wrote_survives(store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "a")
    index = index_of(layout)
    index["x-unknown"] = {"kept": [1, 2]}
    index["manifests"][0]["x-too"] = True
    index["manifests"][0]["annotations"]["other"] = "note"
    (layout / "index.json").write_text(json.dumps(index))
    copy(store, two, sink_at("oci", layout), "a")
    after = index_of(layout)
    assert after["x-unknown"] == {"kept": [1, 2]}
    assert after["manifests"][0]["x-too"] is True
    assert after["manifests"][0]["annotations"] == {"other": "note"}


DOCKERS = [{REF: "1", FULL: "docker.io/library/app:1"}, {REF: "1", FULL: "example.com/db:1"}]


@pytest.mark.parametrize(
    "annotations, name, want",
    [
        pytest.param([{REF: "a"}, {REF: "b"}], "b", 1, id="a reference name"),
        pytest.param([{REF: "a"}, {REF: "b"}], "@1", 1, id="a position"),
        pytest.param([{REF: "a"}, {REF: "b"}], "@2", None, id="a position beyond the last"),
        pytest.param([{REF: "a"}, {REF: "b"}], "", None, id="no name for two images"),
        pytest.param([{REF: "a"}, {REF: "a"}], "a", None, id="one name for two images"),
        pytest.param(DOCKERS, "example.com/db:1", 1, id="the full name that Docker writes"),
        pytest.param(DOCKERS, "app:1", 0, id="its familiar form"),
        pytest.param(DOCKERS, "1", None, id="a tag of two images"),
        pytest.param([{REF: "docker.io/library/app:1"}, {REF: "b"}], "app:1", 0, id="skopeo's full reference name"),
        pytest.param([{REF: "docker.io/library/app:1"}, {REF: "b"}], "1", 0, id="its tag alone"),
        pytest.param([{REF: "docker.io/library/app:1"}, {REF: "1"}], "1", 1, id="an exact name before a tag"),
        pytest.param([{}, {REF: "b"}], "c", None, id="a name that is not there"),
    ],
)
def test_names_are_found(
    store: MemoryStore,
    one: Descriptor,
    two: Descriptor,
    layout: Path,
    annotations: list[dict[str, str]],
    name: str,
    want: int | None,
) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    copy(store, two, sink_at("oci", layout), "y")
    index = index_of(layout)
    for entry, named in zip(index["manifests"], annotations, strict=True):
        entry["annotations"] = named
    (layout / "index.json").write_text(json.dumps(index))
    with source_at("oci", layout) as source:
        if want is None:
            with pytest.raises(NotFound, match=r"choose one of|available:|it holds 2"):
                source.resolve(name)
        else:
            assert source.resolve(name).digest == (one, two)[want].digest


def test_a_hostile_name_is_shown_harmlessly(store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    copy(store, two, sink_at("oci", layout), "y")
    index = index_of(layout)
    index["manifests"][0]["annotations"][REF] = "\x1b[2Jgone"
    (layout / "index.json").write_text(json.dumps(index))
    with source_at("oci", layout) as source, pytest.raises(NotFound) as caught:
        source.resolve("")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "\x1b[2J", "a\n", "-a", "$(x)", "a:"])
def test_names_a_layout_cannot_hold(store: MemoryStore, one: Descriptor, layout: Path, name: str) -> None:
    with pytest.raises(Invalid):
        copy(store, one, sink_at("oci", layout), name)
    assert not layout.exists()


def referrer(store: MemoryStore, subject: Descriptor) -> Descriptor:
    empty = store.add(b"{}", types.OCI_EMPTY)
    body = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "artifactType": "application/x",
        "config": empty.to_json(),
        "layers": [empty.to_json()],
        "subject": subject.bare().to_json(),
    }
    return store.add(json.dumps(body).encode(), types.OCI_MANIFEST)


def test_attachments_are_no_images_of_their_own(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    true_one = referrer(store, one)
    signature = add_image(store, manifest={"annotations": {"a": "signature"}}, name="")
    tag = f"sha256-{one.digest.encoded}.sig"
    with sink_at("oci", layout) as sink:
        for root in (one, true_one, signature):
            put_tree(store, root, sink)
        sink.name("", one)
        sink.attach(Attachment(subject=one.digest, descriptor=true_one))
        sink.attach(Attachment(subject=one.digest, descriptor=signature, tag=tag))
    before = files(layout)
    with source_at("oci", layout) as source:
        assert source.resolve("").digest == one.digest
        assert source.names() == ("@0",)
        found = list(source.attachments(one.digest))
        assert [(each.descriptor.digest, each.tag) for each in found] == [
            (true_one.digest, ""),
            (signature.digest, tag),
        ]
        assert not list(source.attachments(true_one.digest))
    with sink_at("oci", layout) as sink:
        for each in found:
            sink.attach(each)
    assert files(layout) == before


@pytest.mark.parametrize(
    "ending, left",
    [
        pytest.param("", 2, id="referrers share the tag of the fallback"),
        pytest.param(".sig", 1, id="signatures of cosign replace each other"),
    ],
)
def test_attachments_of_one_tag(ending: str, left: int, store: MemoryStore, one: Descriptor, layout: Path) -> None:
    tag = f"sha256-{one.digest.encoded}{ending}"
    both = [add_image(store, manifest={"annotations": {"number": number}}, name="") for number in "12"]
    for made in both:
        with sink_at("oci", layout) as sink:
            put_tree(store, made, sink)
            sink.attach(Attachment(subject=one.digest, descriptor=made, tag=tag))
    with source_at("oci", layout) as source:
        found = list(source.attachments(one.digest))
    assert [(each.descriptor.digest, each.tag) for each in found] == [(made.digest, tag) for made in both[-left:]]


def test_the_index_in_which_regclient_lists_referrers(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    true_one, other = referrer(store, one), add_image(store, manifest={"annotations": {"a": "other"}}, name="")
    body = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [true_one.to_json(), other.to_json()]}
    index = store.add(json.dumps(body).encode(), types.OCI_INDEX)
    tag = f"sha256-{one.digest.encoded}"
    with sink_at("oci", layout) as sink:
        for root in (one, true_one, other, index):
            put_tree(store, root, sink)
        sink.name("1", one)
        sink.attach(Attachment(subject=one.digest, descriptor=index, tag=tag))
    with source_at("oci", layout) as source:
        assert source.names() == ("1",)
        found = list(source.attachments(one.digest))
    assert [(each.descriptor.digest, each.tag) for each in found] == [(true_one.digest, ""), (other.digest, tag)]


@pytest.mark.parametrize(
    "kinds, ending",
    [
        pytest.param(["image", "sigs"], "sig", id="signatures"),
        pytest.param(["imageIndex", "atts"], "att", id="attestations of an index"),
        pytest.param(["image", "other"], "", id="something else"),
        pytest.param(["other", "sigs"], "", id="signatures of nothing"),
    ],
)
def test_what_cosign_saves(kinds: list[str], ending: str, store: MemoryStore, one: Descriptor, layout: Path) -> None:
    """``cosign save`` writes entries that have neither a tag nor a subject, and says in ``kind`` what they are."""
    signature = add_image(store, manifest={"annotations": {"a": "signature"}}, name="")
    with sink_at("oci", layout) as sink:
        for root in (one, signature):
            put_tree(store, root, sink)
            sink.name("", root)
    index = index_of(layout)
    for entry, kind in zip(index["manifests"], kinds, strict=True):
        entry["annotations"] = {"kind": f"dev.cosignproject.cosign/{kind}"}
    (layout / "index.json").write_text(json.dumps(index))
    with source_at("oci", layout) as source:
        tags = [attachment.tag for attachment in source.attachments(one.digest)]
        assert tags == ([f"sha256-{one.digest.encoded}.{ending}"] if ending else [])
        assert len(source.names()) == (1 if ending else 2)


def test_thousands_of_attachments_are_not_compared_with_each_other(one: Descriptor) -> None:
    """If they were, this would take half a minute of the processor."""
    entries = [
        replace(
            Descriptor.of(b"%d" % number, types.OCI_MANIFEST),
            annotations={REF_NAME: f"sha256-{one.digest.encoded}" if number == 0 else f"sha256-{number:064x}.sig"},
        )
        for number in range(3000)
    ]
    started = process_time()
    index, _ = render_index(None, entries)
    assert render_index(index, entries)[0] == index
    found = attachments_by_subject(entries, {})
    assert [each.tag for each in found[one.digest]] == [f"sha256-{one.digest.encoded}"]
    assert len(found) == len(entries)
    assert process_time() - started < 10


def change(**members: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": [], **members}).encode()


@pytest.mark.parametrize(
    "name, content",
    [
        pytest.param("oci-layout", None, id="no oci-layout"),
        pytest.param("oci-layout", b'{"imageLayoutVersion":"1.1.0"}', id="another layout version"),
        pytest.param("oci-layout", b"[]", id="an oci-layout that is no object"),
        pytest.param("index.json", change(schemaVersion=1), id="another schema version"),
        pytest.param("index.json", change(layers=[]), id="an index with layers"),
        pytest.param("index.json", change(fsLayers=[]), id="an index with fsLayers"),
        pytest.param("index.json", change(Manifests=[]), id="manifests in another case"),
        pytest.param("index.json", change(manifests={}), id="manifests that are no array"),
        pytest.param("index.json", change(manifests=[{}]), id="an entry without a digest"),
        pytest.param("index.json", change(mediaType=types.OCI_MANIFEST), id="the media type of a manifest"),
        pytest.param("index.json", b'{"schemaVersion":2,"schemaVersion":2,"manifests":[]}', id="a key twice"),
        pytest.param("index.json", b" " * (4 << 20) + b"{}", id="an index over 4 MiB"),
    ],
)
def test_what_is_no_layout_is_refused(
    store: MemoryStore, one: Descriptor, layout: Path, name: str, content: bytes | None
) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    (layout / name).unlink() if content is None else (layout / name).write_bytes(content)
    with pytest.raises((Invalid, NotFound)):
        source_at("oci", layout)
    before = files(layout)
    with pytest.raises(ConverterError):
        copy(store, one, sink_at("oci", layout), "y")
    assert files(layout) == before


def test_a_layout_without_an_index_is_mended_by_a_writer(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    before = files(layout)
    (layout / "index.json").unlink()
    with pytest.raises(NotFound):
        source_at("oci", layout)
    copy(store, one, sink_at("oci", layout), "x")
    assert files(layout) == before


def test_a_directory_of_something_else_is_left_alone(store: MemoryStore, one: Descriptor, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Invalid, match="neither empty nor an OCI layout"):
        copy(store, one, sink_at("oci", tmp_path))
    assert files(tmp_path) == {"precious": b"mine"}


def test_an_empty_directory_becomes_a_layout(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    layout.mkdir()
    copy(store, one, sink_at("oci", layout), "x")
    with source_at("oci", layout) as source:
        assert source.names() == ("x",)


def test_missing_parents_are_made_at_the_end(store: MemoryStore, one: Descriptor, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), sink_at("oci", tmp_path / "a/b/c"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    copy(store, one, sink_at("oci", tmp_path / "a/b/c"))
    assert (tmp_path / "a/b/c/index.json").is_file()


def test_a_blob_that_is_there_is_not_written_again(
    store: MemoryStore, one: Descriptor, two: Descriptor, layout: Path
) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    inodes = {path: path.stat().st_ino for path in layout.glob("blobs/*/*")}
    with sink_at("oci", layout) as sink:
        for data in store.blobs.values():
            sink.put((data,), "any")
        sink.name("y", two)
    assert {path: path.stat().st_ino for path in inodes} == inodes


def test_a_blob_of_the_wrong_size_is_replaced(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    before = files(layout)
    torn = layout / "blobs/sha256" / one.digest.encoded
    torn.write_bytes(torn.read_bytes()[:10])
    copy(store, one, sink_at("oci", layout), "x")
    assert files(layout) == before


def test_a_layout_that_vanishes_is_noticed(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    sink = sink_at("oci", layout).__enter__()
    assert sink.has(one)
    sink.name("y", one)
    layout.rename(layout.with_name("elsewhere"))
    with pytest.raises(StorageFailed, match="was removed from"):
        sink.__exit__(None, None, None)
    assert not layout.exists()


def test_modes_follow_the_umask(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    old = os.umask(0o027)
    try:
        copy(store, one, sink_at("oci", layout), "x")
    finally:
        os.umask(old)
    assert layout.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in layout.rglob("*") if path.is_file()} == {0o640}


def test_symlinked_blobs_are_read(store: MemoryStore, one: Descriptor, layout: Path, tmp_path: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    (layout / "blobs").rename(tmp_path / "shared")
    (layout / "blobs").symlink_to(tmp_path / "shared")
    with source_at("oci", layout) as source:
        assert one.digest.encoded in "".join(contents(source, "x"))


@pytest.mark.parametrize("what", ["fifo", "directory", "nothing"])
def test_a_blob_that_is_no_file_does_not_hang(store: MemoryStore, one: Descriptor, layout: Path, what: str) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    blob = layout / "blobs/sha256" / one.digest.encoded
    blob.unlink()
    if what == "fifo":
        os.mkfifo(blob)
    elif what == "directory":
        blob.mkdir()
    with source_at("oci", layout) as source, pytest.raises(NotFound):
        source.fetch(source.resolve("x"))


def test_a_wrong_size_is_refused(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    with source_at("oci", layout) as source, pytest.raises(DigestMismatch):
        source.fetch(replace(one, size=one.size + 1)).read()


def test_embedded_data_stands_for_a_blob(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    with source_at("oci", layout) as source:
        assert source.fetch(replace(Descriptor.of(b"{}", types.OCI_EMPTY), data=b"{}")).read() == b"{}"


def test_a_foreign_layer_may_be_absent(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    foreign = Descriptor.of(b"far", types.OCI_NONDISTRIBUTABLE, urls=("https://example.com/far",))
    with source_at("oci", layout) as source:
        far = source.fetch(foreign)
        assert far.absent
        with pytest.raises(NotFound):
            far.read()


def test_an_archive_is_a_layout_in_a_tar(store: MemoryStore, one: Descriptor, layout: Path, tmp_path: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    copy(store, one, sink_at("oci-archive", tmp_path / "a.tar"), "x")
    with source_at("oci", layout) as directory, source_at("oci-archive", tmp_path / "a.tar") as archive:
        assert contents(directory) == contents(archive)


def test_long_digests_fit_into_an_archive(store: MemoryStore, one: Descriptor, tmp_path: Path) -> None:
    long = Descriptor(media_type="any", digest=Digest.of(b"data", "sha512"), size=4)
    with sink_at("oci-archive", tmp_path / "a.tar") as sink:
        put_tree(store, one, sink)
        assert sink.put((b"data",), "any", long) == long
        sink.name("x", one)
    with source_at("oci-archive", tmp_path / "a.tar") as source:
        assert source.fetch(long).read() == b"data"
        assert source.resolve("x").digest == one.digest


def test_where_a_name_is_given_it_is_used(store: MemoryStore, one: Descriptor, layout: Path) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    location = Location.parse(f"oci:{layout}:x")
    with open_source(location) as source:
        assert source.resolve(location.name).digest == one.digest


@pytest.mark.parametrize(
    "name, waits",
    [
        pytest.param("x", False, id="an image that is there under its name is there already"),
        pytest.param("y", True, id="a new name is made durable, and what it names"),
    ],
)
def test_only_what_changes_is_waited_for(
    store: MemoryStore, one: Descriptor, layout: Path, monkeypatch: pytest.MonkeyPatch, name: str, waits: bool
) -> None:
    copy(store, one, sink_at("oci", layout), "x")
    synced = []
    sync = os.fsync

    def noted(fd: int) -> None:
        synced.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    copy(store, one, sink_at("oci", layout), name)
    assert bool(synced) == waits
