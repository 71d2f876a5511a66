"""Whole images: where findings are said to be, what is read, and what is raised."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from converter.errors import ConverterError, Invalid, NotFound, Unreachable
from converter.events import Event, Finished, Moved, Planned, Report, Started, silent
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.model.limits import DEFAULT, Limits, enforce_limits
from converter.ports import Source
from converter.schema import Strictness
from converter.stores import StoreOptions
from converter.validate import Verdict, validate_image
from converter.validate.blobs import BlobReader
from converter.validate.examination import examine_source
from converter.validate.findings import Findings
from tests.builders import DOCKER, LAYERS, OCI, Dialect, add_image, add_index, gzipped, tar
from tests.builders.memory import MemorySource, MemoryStore
from tests.zoo.heads import entry, folder as directory, hardlink

FIXTURES = Path(__file__).parent.parent.parent / "fixtures/images"


def validate_source(
    source: Source, name: str = "", profile: Strictness = "compat", *, limits: Limits = DEFAULT, report: Report = silent
) -> Verdict:
    """What is wrong with an image in an open source."""
    findings = Findings(profile)
    with enforce_limits(limits):
        kind = examine_source(source, name, BlobReader(findings, report, local=source.local))
    return Verdict(kind=kind, findings=findings.all())


def rules(verdict: Verdict) -> list[str]:
    return [one.rule for one in verdict.findings]


@pytest.mark.parametrize(
    "image, paths",
    [
        pytest.param("oci/layer-is-shorter.tar", ["manifests/0/manifest#/layers/0/size"], id="a size"),
        pytest.param("oci/config-is-another.tar", ["manifests/0/manifest#/config/digest"], id="a digest"),
        pytest.param("oci/diff-id-of-another.tar", ["manifests/0/config#/rootfs/diff_ids/1"], id="a diff_id"),
        pytest.param("oci/tar-name-twice.tar", ["manifests/0/layers/1!/name"], id="an entry"),
        pytest.param("oci/tar-without-an-end.tar", ["manifests/0/layers/1"], id="a layer"),
        pytest.param("oci/no-oci-layout.tar", ["oci-layout"], id="a file that is missing"),
        pytest.param("oci/index-says-arm64.tar", ["manifests/0/manifests/0/config"], id="an image of an index"),
        pytest.param("oci/blob-called-otherwise.tar", ["blobs/sha256/notes.txt"], id="a blob"),
        pytest.param("docker/layer-is-missing.tar", ["manifest.json#/0/Layers/1"], id="a saved file"),
        pytest.param("docker/id-of-another.tar", ["1" * 64 + "/json"], id="an old layer"),
        pytest.param("aci/name-twice.aci", ["archive!/rootfs/name"], id="an entry of an ACI"),
        pytest.param("aci/manifest-version-zero.aci", ["manifest#/acVersion"], id="the manifest of an ACI"),
    ],
)
def test_a_finding_says_where(image: str, paths: list[str]) -> None:
    kind, _, name = image.partition("/")
    transport = {"oci": "oci-archive", "docker": "docker-archive", "aci": "aci"}[kind]

    verdict = validate_image(f"{transport}:{FIXTURES / f'{kind}-image' / name}")

    assert [one.path for one in verdict.findings] == paths


def test_all_that_is_wrong_is_found_at_once() -> None:
    store = MemoryStore()
    broken = tar({"a": b"1"}) + b"more"
    root = add_image(store, tars=[broken, tar({"../b": b"2"})], config={"os": 5})
    document = json.loads(store.blobs[root.digest])
    document["layers"][0]["size"] += 1
    document["layers"][1]["digest"] = "sha256:" + "0" * 64
    store.named["app:1"] = store.add(json.dumps(document).encode(), types.OCI_MANIFEST)

    verdict = validate_source(MemorySource(store))

    assert set(rules(verdict)) == {
        "image/blob-missing",
        "image/blob-size",
        "tar/trailing-data",
        "schema/oci-config/required",
        "schema/oci-config/type",
    }
    assert not verdict.valid


@pytest.mark.parametrize("dialect", [OCI, DOCKER])
def test_what_is_built_in_tests_is_valid(dialect: object) -> None:
    store = MemoryStore()
    add_image(store, DOCKER if dialect is DOCKER else OCI)

    verdict = validate_source(MemorySource(store), profile="strict")

    assert verdict.findings == ()
    assert verdict.kind == ("docker-image" if dialect is DOCKER else "oci-image")


@pytest.mark.parametrize("dialect", [pytest.param(OCI, id="OCI"), pytest.param(DOCKER, id="Docker")])
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"{}", id="an object of nothing"),
        pytest.param(b"1", id="a number"),
        pytest.param(b"", id="no document"),
    ],
)
def test_an_image_with_a_configuration_that_no_conversion_reads_is_invalid(dialect: Dialect, config: bytes) -> None:
    store = MemoryStore()
    add_image(store, dialect, manifest={"config": store.add(config, dialect.config).to_json()})

    assert not validate_source(MemorySource(store)).valid


def test_each_blob_is_read_once_whoever_names_it() -> None:
    store = MemoryStore()
    images = [
        add_image(store, config={"os": "linux", "architecture": architecture}, name="")
        for architecture in ("amd64", "386")
    ]
    add_index(store, [image.to_json() for image in (*images, images[0])])
    source = MemorySource(store)

    assert validate_source(source).findings == ()
    layers = {Descriptor.of(gzipped(data), "").digest for data in LAYERS}
    assert {source.opened[digest] for digest in layers} == {1}


def test_every_finding_of_a_rule_beyond_a_hundred_is_counted() -> None:
    store = MemoryStore()
    entries = tar({str(number): b"" for number in range(150)})[: 150 * 512]
    add_image(store, tars=[entries + entries + bytes(1024)])

    verdict = validate_source(MemorySource(store))

    assert len(verdict.findings) == 101
    assert verdict.findings[-1].message == "50 more findings of this rule"


class Remote(MemorySource):
    """A registry in memory, whose blobs may be any length."""

    local = False

    def fetch(self, descriptor: Descriptor) -> Known:
        known = super().fetch(descriptor)
        return replace(known, raw=lambda: self._endless(known)) if descriptor.size == 3 else known

    def _endless(self, known: Known) -> Iterator[bytes | memoryview]:
        yield from known.raw()
        for _ in range(1000):
            yield b"more"
        raise AssertionError("somebody reads on and on")


def test_no_more_is_got_from_afar_than_was_promised() -> None:
    store = MemoryStore()
    root = add_image(store)
    document = json.loads(store.blobs[root.digest])
    document["layers"][0]["size"] = 3
    store.named["app:1"] = store.add(json.dumps(document).encode(), types.OCI_MANIFEST)

    verdict = validate_source(Remote(store))

    assert "image/blob-size" in rules(verdict)
    assert "image/blob-digest" not in rules(verdict)


class Breaking(MemorySource):
    """A registry that goes away."""

    def fetch(self, descriptor: Descriptor) -> Known:
        if descriptor.media_type == types.OCI_LAYER_GZIP:
            raise Unreachable("no answer")
        return super().fetch(descriptor)


def test_what_could_not_be_looked_at_is_no_finding() -> None:
    store = MemoryStore()
    add_image(store)

    with pytest.raises(Unreachable):
        validate_source(Breaking(store))


class Torn(MemorySource):
    """A store that cannot read a layer to its end."""

    def fetch(self, descriptor: Descriptor) -> Known:
        known = super().fetch(descriptor)
        return replace(known, raw=lambda: self._half(known)) if descriptor.media_type in types.OCI_LAYERS else known

    def _half(self, known: Known) -> Iterator[bytes | memoryview]:
        for block in known.raw():
            yield block[: len(block) // 2]
        raise Invalid("unexpected end of file")


@pytest.mark.parametrize(
    "media_type, packed",
    [
        pytest.param(types.OCI_LAYER_GZIP, gzipped, id="that is packed"),
        pytest.param(types.OCI_LAYER, bytes, id="that is plain"),
    ],
)
def test_of_a_layer_that_ends_too_soon_no_diff_id_is_computed(
    media_type: str, packed: Callable[[bytes], bytes]
) -> None:
    store = MemoryStore()
    layer = tar({"a": random.Random(18).randbytes(100_000)})
    document = json.loads(store.blobs[add_image(store, tars=[layer]).digest])
    document["layers"] = [store.add(packed(layer), media_type).to_json()]
    store.named["app:1"] = store.add(json.dumps(document).encode(), types.OCI_MANIFEST)

    assert rules(validate_source(Torn(store))) == ["image/layer-format", "image/blob-size", "image/blob-digest"]


def test_what_is_attached_must_speak_of_the_image() -> None:
    store = MemoryStore()
    root = add_image(store)
    for subject in (root, replace(root, digest=Descriptor.of(b"other", "").digest)):
        body = {"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "artifactType": "text/plain", "layers": []}
        empty = store.add(b"{}", types.OCI_EMPTY)
        body |= {"config": empty.to_json(), "layers": [empty.to_json()], "subject": subject.to_json()}
        attached = store.add(json.dumps(body).encode(), types.OCI_MANIFEST)
        store.attached.append(Attachment(subject=root.digest, descriptor=attached))

    verdict = validate_source(MemorySource(store), "app:1")

    assert [(one.rule, one.path) for one in verdict.findings] == [("image/referrer", "referrers/1/manifest")]


@pytest.mark.parametrize(
    "behind, found",
    [
        pytest.param(bytes(10), ["image/layer-format"], id="zeros, which Go does not take for padding"),
        pytest.param(gzipped(b""), [], id="another stream of nothing, which ends with zeros"),
    ],
)
def test_what_follows_a_gzip_stream(behind: bytes, found: list[str]) -> None:
    store = MemoryStore()
    layer = store.add(gzipped(LAYERS[0]) + behind, types.OCI_LAYER_GZIP)
    add_image(store, tars=LAYERS[:1], manifest={"layers": [layer.to_json()]})

    assert [one.rule for one in validate_source(MemorySource(store)).findings] == found


@pytest.mark.parametrize(
    "data, message",
    [
        pytest.param(b"text" * 200, 'data that starts with "texttext" is not a tar, nor a compressed one', id="a text"),
        pytest.param(
            b"-----BEGIN PGP MESSAGE-----" + bytes(600),
            "the image is encrypted with OpenPGP: decrypt it first with `gpg --decrypt`",
            id="an encrypted one",
        ),
    ],
)
def test_what_is_no_layer(data: bytes, message: str) -> None:
    store = MemoryStore()
    layer = store.add(data, types.OCI_LAYER)
    add_image(store, tars=LAYERS[:1], manifest={"layers": [layer.to_json()]})

    found = validate_source(MemorySource(store)).findings
    assert [one.message for one in found if one.rule == "image/layer-format"] == [message]


def test_an_image_of_schema_1_is_read_layer_by_layer() -> None:
    store = MemoryStore()
    layers = [store.add(gzipped(data), types.DOCKER_LAYER_GZIP) for data in (*LAYERS, tar({"../a": b""}))]
    ids = [f"{number:064x}" for number in range(len(layers))]
    history = [{"id": one, **({"parent": below} if below else {})} for one, below in zip(ids, ["", *ids])]
    document = {
        "schemaVersion": 1,
        "name": "app",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": str(layer.digest)} for layer in reversed(layers)],
        "history": [{"v1Compatibility": json.dumps(step)} for step in reversed(history)],
    }
    store.named["app:1"] = store.add(json.dumps(document).encode(), types.DOCKER_SCHEMA1)

    verdict = validate_source(MemorySource(store))

    assert [(one.rule, one.path) for one in verdict.findings] == [("tar/name-outside", "layers/0!/../a")]
    assert verdict.kind == "docker-image"


def test_a_limit_is_told_as_such() -> None:
    store = MemoryStore()
    add_image(store, tars=[tar({f"{number}": b"" for number in range(20)})])

    verdict = validate_source(MemorySource(store), limits=Limits(entries=10))

    assert rules(verdict) == ["image/limit"]


@pytest.mark.parametrize(
    "images, rules_broken",
    [
        pytest.param([[6, 4]], [], id="as many as may be"),
        pytest.param([[6, 6, 6]], ["image/limit"] * 2, id="too many in all layers together"),
        pytest.param([[3, -3, 6]], ["image/limit", "tar/readable"], id="those of a damaged layer count"),
        pytest.param([[6], [7]], [], id="each image has its own"),
    ],
)
def test_entries_are_counted_over_the_layers_of_an_image(images: list[list[int]], rules_broken: list[str]) -> None:
    """A negative number: so many, and then what is no header."""
    store = MemoryStore()
    for image, layers in enumerate(images):
        tars = []
        for number, count in enumerate(layers):
            whole = tar({f"{image}-{number}-{name}": b"" for name in range(abs(count))})
            tars.append(whole if count > 0 else whole[: 512 * -count] + b"x" * 512)
        add_image(store, name=f"app:{image}", tars=tars)

    found = [
        rule
        for image in range(len(images))
        for rule in rules(validate_source(MemorySource(store), f"app:{image}", limits=Limits(entries=10)))
    ]

    assert sorted(found) == rules_broken


@pytest.mark.parametrize(
    "layers, limits, rules_broken",
    [
        pytest.param([["f"], ["h>f"]], Limits(), [], id="to a file of the layer below"),
        pytest.param([["f"], ["f/"], ["h>f"]], Limits(), ["tar/link-target"], id="to what is a directory meanwhile"),
        pytest.param([["d/f"], ["d"], ["h>d/f"]], Limits(), ["tar/link-target"], id="below what is a file meanwhile"),
        pytest.param([["d/f"], ["d/.wh..wh..opq"], ["h>d/f"]], Limits(), ["tar/link-target"], id="in what is emptied"),
        pytest.param([["d/f"], [".wh.d"], ["d/f"], ["h>d/f"]], Limits(), [], id="to what came again"),
        pytest.param([["f"], ["h>f", "i>f"]], Limits(names=15), ["image/limit"], id="more than there is room for"),
        pytest.param(
            [["f"], ["g"]], Limits(names=15), ["image/limit"], id="names alone, of which each takes eight bytes"
        ),
        pytest.param([["d/f"], [".wh.d", "d/f"], ["h>d/f"]], Limits(), [], id="to what took the place of the removed"),
        pytest.param(
            [["d/f"], [".wh.d/f"], ["h>d/f"]], Limits(), ["tar/whiteout-name"], id="beside a whiteout that is none"
        ),
        pytest.param([["d/f"], ["d/.wh.f"], ["h>d/f"]], Limits(), ["tar/link-target"], id="to what is removed"),
        pytest.param([["f"], ["h>f"], [".wh.f"], ["i>f"]], Limits(), ["tar/link-target"], id="once it is removed"),
        pytest.param([["h>f"], ["f"]], Limits(), ["tar/link-target"], id="to a file that a higher layer brings"),
        pytest.param(
            [["a"], ["h>a", "i>b"], ["b"], ["j>b", "k>h", "l>i"]], Limits(), ["tar/link-target"], id="in turn"
        ),
    ],
)
@pytest.mark.parametrize("at_once", [pytest.param(1, id="one by one"), pytest.param(1000, id="together")])
def test_hard_links_lead_to_the_layers_below(
    layers: list[list[str]], limits: Limits, rules_broken: list[str], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converter.validate.entries.PATHS_AT_ONCE", at_once)
    store = MemoryStore()
    tars = [b"".join(_entry(text) for text in layer) + bytes(1024) for layer in layers]
    add_image(store, tars=tars)

    assert rules(validate_source(MemorySource(store), limits=limits)) == rules_broken


def _entry(text: str) -> bytes:
    """A file, a directory where a slash ends it, a hard link where an arrow is in it."""
    name, _, target = text.partition(">")
    return (
        hardlink(name, target.encode()) if target else directory(name.rstrip("/")) if name[-1] == "/" else entry(name)
    )


def unpacked(name: str, folder: Path) -> Path:
    """A layout of the corpus as a directory."""
    with tarfile.open(FIXTURES / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_a_name_chooses_one_image_of_a_layout(tmp_path: Path) -> None:
    layout = unpacked("oci-image/valid-two-layers.tar", tmp_path)
    index = json.loads((layout / "index.json").read_bytes())
    missing = {**index["manifests"][0], "digest": "sha256:" + "1" * 64}
    missing["annotations"] = {"org.opencontainers.image.ref.name": "gone"}
    index["manifests"].append(missing)
    (layout / "index.json").write_text(json.dumps(index))

    assert validate_image(f"oci:{layout}:latest").valid
    assert rules(validate_image(f"oci:{layout}:gone")) == ["image/blob-missing"]
    assert rules(validate_image(f"oci:{layout}:@1")) == ["image/blob-missing"]
    assert rules(validate_image(f"oci:{layout}")) == ["image/blob-missing"]
    with pytest.raises(NotFound):
        validate_image(f"oci:{layout}:other")


def test_a_name_chooses_one_image_of_an_archive() -> None:
    archive = f"docker-archive:{FIXTURES / 'docker-image/valid-classic.tar'}"

    assert validate_image(f"{archive}:app:1").valid
    assert validate_image(f"{archive}:@0").valid
    with pytest.raises(NotFound):
        validate_image(f"{archive}:other")


def test_a_saved_layout_knows_the_names_of_both_its_tables() -> None:
    archive = f"docker-archive:{FIXTURES / 'docker-image/valid-newest.tar'}"

    for name in ("", ":app:1", ":latest", ":@0"):
        assert validate_image(archive + name) == Verdict(kind="docker-image", findings=())
    with pytest.raises(NotFound):
        validate_image(f"{archive}:other")


@pytest.mark.parametrize(
    "files, found",
    [
        pytest.param(
            {"manifest.json": b'["row"]'}, ["schema/docker-archive-manifest/type"], id="a row of another type"
        ),
        pytest.param({"repositories": b'{"app": 5}'}, ["image/unreadable"], id="names that are no object"),
        pytest.param({"repositories": b'{"app": {"1": 5}}'}, ["image/unreadable"], id="a layer ID of another type"),
    ],
)
def test_what_an_archive_cannot_be_opened_for_is_invalid(
    files: dict[str, bytes], found: list[str], tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    assert rules(validate_image(f"docker-archive:{tmp_path}")) == found


def test_an_index_that_was_saved_by_its_id_has_the_position_after_the_rows(tmp_path: Path) -> None:
    archive = unpacked("docker-image/valid-newest.tar", tmp_path)
    image = json.loads((archive / "index.json").read_bytes())["manifests"][0]
    broken = {"mediaType": types.OCI_LAYER, "digest": f"sha256:{'0' * 64}", "size": 1}
    data = json.dumps({"schemaVersion": 2, "manifests": [image, broken]}).encode()
    made = Descriptor.of(data, types.OCI_INDEX)
    (archive / "blobs/sha256" / made.digest.encoded).write_bytes(data)
    (archive / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [made.to_json(), image]}))

    assert validate_image(f"docker-archive:{archive}:@0").valid
    assert rules(validate_image(f"docker-archive:{archive}:@1")) == ["image/blob-missing"]
    with pytest.raises(NotFound):
        validate_image(f"docker-archive:{archive}:@2")


def test_a_name_that_may_stand_in_what_cannot_be_read_is_not_missed(tmp_path: Path) -> None:
    layout = unpacked("oci-image/valid-two-layers.tar", tmp_path)
    (layout / "index.json").write_text('{"schemaVersion": 2, "manifests": [5]}')

    assert not validate_image(f"oci:{layout}:latest").valid


def test_an_aci_of_a_source_is_looked_into() -> None:
    store = MemoryStore()
    store.named["app"] = store.add((FIXTURES / "aci-image/name-twice.aci").read_bytes(), types.ACI)

    verdict = validate_source(MemorySource(store))

    assert (verdict.kind, rules(verdict)) == ("aci-image", ["aci/archive-duplicate"])


class Odd(MemorySource):
    """A source that cannot say what is there, or what is attached."""

    def __init__(self, store: MemoryStore, error: ConverterError, *, root: bool) -> None:
        super().__init__(store)
        self._error = error
        self._root = root

    def resolve(self, name: str) -> Descriptor:
        if self._root:
            raise self._error
        return super().resolve(name)

    def attachments(self, subject: Digest) -> Iterable[Attachment]:
        raise self._error


@pytest.mark.parametrize("root", [pytest.param(True, id="the root"), pytest.param(False, id="what is attached")])
def test_what_a_source_finds_invalid_is_a_finding(root: bool) -> None:
    store = MemoryStore()
    add_image(store)

    assert rules(validate_source(Odd(store, Invalid("1 is not 2"), root=root))) == ["image/unreadable"]
    with pytest.raises(Unreachable):
        validate_source(Odd(store, Unreachable("no answer"), root=root))


@pytest.mark.parametrize("name", ["oci-image/valid-index.tar", "docker-image/valid-oldest.tar", "aci-image/valid.aci"])
def test_a_bare_path_is_told_by_its_content(name: str, tmp_path: Path) -> None:
    verdict = validate_image(str(FIXTURES / name))
    renamed = tmp_path / "image"
    renamed.write_bytes((FIXTURES / name).read_bytes())

    assert verdict == validate_image(str(renamed))
    assert verdict.kind == name.partition("/")[0]


@pytest.mark.parametrize("content", [b"", b"\0\1\2", tar({"name": b""}), b"-----BEGIN PGP MESSAGE-----"])
def test_what_is_no_image_is_invalid(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(content)

    verdict = validate_image(str(path))

    assert verdict.kind == "unknown"
    assert rules(verdict) == ["image/unreadable"]


@pytest.mark.parametrize("transport", ["", "oci:", "oci-archive:", "docker-archive:", "dir:", "aci:"])
def test_nothing_there_is_no_finding(transport: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        validate_image(f"{transport}{tmp_path / 'nowhere'}")


def test_who_watches_is_told_how_far_the_reading_has_come() -> None:
    events: list[Event] = []

    validate_image(f"oci-archive:{FIXTURES / 'oci-image/valid-packed-layers.tar'}", report=events.append)

    planned = sum(event.size for event in events if isinstance(event, Planned))
    assert planned == sum(event.size for event in events if isinstance(event, Moved))
    assert [type(event) for event in events if isinstance(event, Started | Finished)][-2:] == [Started, Finished]


def test_all_blobs_of_a_manifest_are_planned_before_the_first_is_read() -> None:
    events: list[Event] = []

    validate_image(f"oci-archive:{FIXTURES / 'oci-image/valid-packed-layers.tar'}", report=events.append)

    planned = [(number, event.blobs) for number, event in enumerate(events) if isinstance(event, Planned)]
    begun = [number for number, event in enumerate(events) if isinstance(event, Started)]
    assert [blobs for _, blobs in planned] == [1, len(begun) - 1]
    assert begun[0] < planned[1][0] < begun[1]


def test_the_limits_of_the_store_hold() -> None:
    small = StoreOptions(limits=Limits(document=100))

    verdict = validate_image(f"oci-archive:{FIXTURES / 'oci-image/valid-two-layers.tar'}", store=small)

    assert rules(verdict) == ["image/limit"]
