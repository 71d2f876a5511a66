"""Signatures and attestations that a destination has stay when others of the same image come along."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.conversion import Options, convert
from converter.conversion.sync import sync
from converter.errors import DigestMismatch, Invalid, LimitExceeded
from converter.model import media_types as types
from converter.model.content import Compression, Known, known_bytes
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json
from converter.model.limits import Limits
from converter.model.reference import REF_NAME, Location
from converter.signing import Signing, attest, sign
from converter.stores import StoreOptions, open_source
from converter.trust import cosign
from converter.trust.makers import GpgFile, Maker
from converter.trust.stored_signatures import CosignImages, is_among, layers_of, tag_of
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders.disk import NAME, layout
from tests.stores.registry.fake import FakeRegistry
from tests.sync.entries import OPTIONS, PLAIN, entry
from tests.trust import origins
from tests.trust.making import ecdsa, openpgp, public_pem

GPG = GpgFile(bytes(openpgp()))

Add = Callable[[str, int], None]


def signature(reference: str, number: int) -> None:
    sign(reference, Signing(makers=[ecdsa(number)], identity=NAME), store=PLAIN)


def attestation(reference: str, number: int) -> None:
    attest(reference, root_of(reference), b'{"payload":"%d"}' % number, "https://example.com/one", PLAIN)


ADDED = [pytest.param(signature, cosign.PAYLOAD, id="signatures")]
ADDED += [pytest.param(attestation, cosign.ENVELOPE, id="attestations")]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture(params=["oci", "docker"])
def source(request: pytest.FixtureRequest, registry: FakeRegistry, tmp_path: Path) -> str:
    """The image in a layout, or in a registry."""
    return image_at(request.param, registry, tmp_path / "source")


@pytest.fixture(params=["oci", "docker"])
def there(request: pytest.FixtureRequest, registry: FakeRegistry, tmp_path: Path) -> str:
    """The same image somewhere else."""
    return image_at(request.param, registry, tmp_path / "there")


def image_at(transport: str, registry: FakeRegistry, path: Path) -> str:
    reference = f"{layout(path)}:{NAME}"
    if transport == "oci":
        return reference
    place = f"docker://{registry.host}/{path.name}/app:1"
    convert(reference, [place], OPTIONS)
    return place


def root_of(reference: str) -> Descriptor:
    location = Location.parse(reference)
    with open_source(location, PLAIN) as source:
        return source.resolve(location.name)


def retag(place: Path, tag: str, index: bytes) -> None:
    """Let a tag of a layout lead to an index instead."""
    descriptor = Descriptor.of(index, types.OCI_INDEX)
    (place / "blobs/sha256" / descriptor.digest.encoded).write_bytes(index)
    document = json.loads((place / "index.json").read_bytes())
    for row in document["manifests"]:
        if row["annotations"].get(REF_NAME) == tag:
            row.update({**descriptor.to_json(), "annotations": row["annotations"]})
    (place / "index.json").write_bytes(dump_json(document))


def under_tag(reference: str, media_type: str) -> Known | None:
    """Cosign's image of signatures, or of attestations."""
    location = Location.parse(reference)
    with open_source(location, PLAIN) as source:
        root = source.resolve(location.name)
        tag = tag_of(root.digest, media_type)
        found = [one for one in source.attachments(root.digest) if one.bare_tag == tag]
        assert len(found) < 2
        return source.fetch(found[0].descriptor).pinned() if found else None


def layers(reference: str, media_type: str) -> list[str]:
    found = under_tag(reference, media_type)
    return [] if found is None else sorted(str(one.to_json()) for one in layers_of(found.read()))


def run(source: str, there: str, options: Options = OPTIONS) -> str:
    """Bring one image to the other place as `sync` does; returns the state."""
    to = there.removesuffix("/app:1") if there.startswith("docker:") else there.removesuffix(f":{NAME}")
    rename = "app:{tag}" if there.startswith("docker:") else NAME.replace("1", "{tag}")
    (outcome,) = sync([entry(source, to, rename, options)]).outcomes
    assert outcome.error == ""
    assert outcome.destination == there
    return outcome.state


def converted(source: str, there: str) -> str:
    convert(source, [there], OPTIONS)
    return "written"


@pytest.mark.parametrize("bring", [pytest.param(converted, id="convert"), pytest.param(run, id="sync")])
@pytest.mark.parametrize("add, media_type", ADDED)
def test_each_place_keeps_its_own(
    add: Add, media_type: str, bring: Callable[[str, str], str], source: str, there: str
) -> None:
    add(source, 1)
    add(there, 2)
    both = sorted([*layers(source, media_type), *layers(there, media_type)])

    assert bring(source, there) == "written"
    assert layers(there, media_type) == both
    assert bring(there, source) == "written"
    assert layers(source, media_type) == both
    before = under_tag(there, media_type)
    assert before is not None
    assert before.read() == under_tag(source, media_type).read()  # type: ignore[union-attr]  # both are there

    bring(source, there)
    assert before.read() == under_tag(there, media_type).read()  # type: ignore[union-attr]  # as above


@pytest.mark.parametrize("add, media_type", ADDED)
@pytest.mark.parametrize(
    "brought, then_at_source, then_there, expected",
    [
        pytest.param(False, True, False, "the source's", id="what comes where none is stays as it is"),
        pytest.param(True, True, False, "the source's", id="what has all that is there stays as it is"),
        pytest.param(True, False, True, "the destination's", id="what is all there changes nothing"),
    ],
)
def test_what_need_not_be_merged_keeps_its_bytes(
    add: Add,
    media_type: str,
    brought: bool,
    then_at_source: bool,
    then_there: bool,
    expected: str,
    source: str,
    there: str,
) -> None:
    if brought:
        add(source, 1)
        convert(source, [there], OPTIONS)
    if then_at_source:
        add(source, 2)
    if then_there:
        add(there, 3)
    bytes_of = {"the source's": under_tag(source, media_type), "the destination's": under_tag(there, media_type)}

    run(source, there)

    found, kept = under_tag(there, media_type), bytes_of[expected]
    assert found is not None
    assert kept is not None
    assert found.read() == kept.read()
    assert run(source, there) == "there"


@pytest.mark.parametrize("add, media_type", ADDED)
def test_a_second_run_writes_nothing(
    add: Add, media_type: str, source: str, there: str, registry: FakeRegistry, tmp_path: Path
) -> None:
    add(source, 1)
    add(there, 2)
    assert run(source, there) == "written"
    index = (tmp_path / "there/index.json").read_bytes()
    registry.requests.clear()

    assert run(source, there) == "there"

    assert (tmp_path / "there/index.json").read_bytes() == index
    assert not [one for one in registry.requests if one.method not in ("GET", "HEAD")]


def test_an_index_with_the_tag_of_signatures_is_none_of_them_and_is_carried_whole(tmp_path: Path) -> None:
    source, there = f"{layout(tmp_path / 'source')}:{NAME}", f"{layout(tmp_path / 'there')}:{NAME}"
    signature(source, 1)
    signature(there, 2)
    listed = under_tag(source, cosign.PAYLOAD)
    assert listed is not None
    document = {"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [listed.descriptor.to_json()]}
    retag(tmp_path / "source", tag_of(root_of(source).digest, cosign.PAYLOAD), dump_json(document))

    assert run(source, there) == "written"

    found = under_tag(there, cosign.PAYLOAD)
    assert found is not None
    assert found.read() == dump_json(document)
    assert run(source, there) == "there"


def test_signatures_that_are_damaged_are_not_replaced_in_silence(tmp_path: Path) -> None:
    source, there = f"{layout(tmp_path / 'source')}:{NAME}", f"{layout(tmp_path / 'there')}:{NAME}"
    signature(source, 1)
    signature(there, 2)
    found = under_tag(there, cosign.PAYLOAD)
    assert found is not None
    (tmp_path / "there/blobs/sha256" / found.descriptor.digest.encoded).write_bytes(b"x" * found.descriptor.size)

    with pytest.raises(DigestMismatch):
        convert(source, [there], OPTIONS)


def test_a_key_signs_beside_what_comes_along_and_what_is_there(source: str, there: str) -> None:
    signature(source, 1)
    signature(there, 2)
    options = replace(OPTIONS, signing=Signing(makers=[ecdsa(3)], identity=NAME))
    assert run(source, there, options) == "written"
    keys = tuple((f"--key {number}", public_pem(ecdsa(number))) for number in (1, 2, 3))
    assert verify(there, Wanted(keys=keys, identity=NAME), PLAIN).ok
    assert len(layers(there, cosign.PAYLOAD)) == 3
    assert run(source, there, options) == "there"


@pytest.mark.parametrize("maker", [pytest.param(ecdsa(3), id="cosign"), pytest.param(GPG, id="OpenPGP")])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(replace(OPTIONS, compress=Compression("zstd")), id="other layers"),
        pytest.param(replace(OPTIONS, platforms=("linux/arm64",)), id="one image of an index"),
    ],
)
def test_what_others_have_signed_is_signed_once_though_it_is_written_again(
    options: Options, maker: Maker, there: str, tmp_path: Path
) -> None:
    source = f"{origins.index(tmp_path / 'source')}:{NAME}"
    options = replace(options, signing=Signing(makers=[maker], identity=NAME))
    for _ in range(3):
        assert run(source, there, options) == "written", "an origin record goes along, which may have changed"
    keys, keyrings = (("--key k", public_pem(ecdsa(3))),), (("--keyring k", bytes(openpgp().extract_certificate())),)
    verdicts = verify(there, Wanted(keys=keys, keyrings=keyrings, identity=NAME), PLAIN).verdicts
    assert [one.ok for one in verdicts] == [True]


@pytest.mark.parametrize(
    "signed, tags",
    [
        pytest.param(True, ["sig"], id="one signature, one request"),
        pytest.param(False, [], id="no signature, no request"),
    ],
)
def test_a_destination_is_asked_only_for_what_comes_along(
    signed: bool, tags: list[str], registry: FakeRegistry, tmp_path: Path
) -> None:
    source = f"{layout(tmp_path / 'source')}:{NAME}"
    if signed:
        signature(source, 1)
    convert(source, [f"docker://{registry.host}/there/app:1"], OPTIONS)
    asked = [one.path.rpartition(".")[2] for one in registry.seen("GET", "/manifests/sha256-")]
    assert asked == tags
    assert not registry.seen("GET", "/referrers/")


SIGNED = {"dev.cosignproject.cosign/signature": "MEQ="}
LOGGED = {**SIGNED, "dev.sigstore.cosign/bundle": "{}"}
OTHER = {"dev.cosignproject.cosign/signature": "MEU="}


@pytest.mark.parametrize(
    "there, added, merged",
    [
        pytest.param([SIGNED], [OTHER], [SIGNED, OTHER], id="another signature of the same payload comes after it"),
        pytest.param([SIGNED], [LOGGED], [LOGGED], id="what else says that it is logged takes its place"),
        pytest.param([LOGGED], [SIGNED], [LOGGED], id="the same one of which less is said is left out"),
        pytest.param([SIGNED, OTHER], [LOGGED], [OTHER, LOGGED], id="the others stay"),
    ],
)
def test_the_same_signature_is_there_once_with_all_that_is_said_of_it(
    there: list[dict[str, str]], added: list[dict[str, str]], merged: list[dict[str, str]]
) -> None:
    payload = known_bytes(b"{}", cosign.PAYLOAD)
    before, more = ([replace(payload.descriptor, annotations=one) for one in rows] for rows in (there, added))
    manifest = dump_json({"layers": [one.to_json() for one in before]})
    images = CosignImages(lambda _tag: [manifest])

    made = images.add("a.sig", more, [payload])

    assert [one.annotations for one in images.layers("a.sig")] == merged
    assert (made is None) == (merged == there)


@pytest.mark.parametrize(
    "media_type, is_there",
    [
        pytest.param(cosign.PAYLOAD, True, id="a payload that is there is there"),
        pytest.param(cosign.ENVELOPE, False, id="the same bytes as an envelope are no payload"),
        pytest.param("text/plain", False, id="the same bytes as a text are no signature"),
    ],
)
def test_a_signature_is_there_if_it_can_be_found_as_one(media_type: str, is_there: bool) -> None:
    payload = replace(known_bytes(b"{}", cosign.PAYLOAD).descriptor, annotations=SIGNED)
    assert is_among(payload, [payload.retyped(media_type)]) is is_there


def test_what_is_no_image_of_cosigns_is_replaced(registry: FakeRegistry, tmp_path: Path) -> None:
    source = f"{layout(tmp_path / 'source')}:{NAME}"
    signature(source, 1)
    location = Location.parse(source)
    with open_source(location) as opened:
        tag = tag_of(opened.resolve(location.name).digest)
    broken = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [{}]}
    registry.add_manifest("there/app", str(broken["mediaType"]), broken, tag)
    there = f"docker://{registry.host}/there/app:1"

    assert run(source, there) == "written"

    assert layers(there, cosign.PAYLOAD) == layers(source, cosign.PAYLOAD)
    assert run(source, there) == "there"


def test_what_no_signature_can_be_added_to_is_named(registry: FakeRegistry, tmp_path: Path) -> None:
    there = image_at("docker", registry, tmp_path / "there")
    location = Location.parse(there)
    with open_source(location, PLAIN) as opened:
        tag = tag_of(opened.resolve(location.name).digest)
    registry.add_manifest("there/app", types.OCI_MANIFEST, {"schemaVersion": 2, "layers": "none"}, tag)
    signing = Signing(makers=[ecdsa(1)], identity=NAME)
    for add in (
        lambda: sign(there, signing, store=PLAIN),
        lambda: convert(f"oci:{tmp_path}/there:{NAME}", [there], replace(OPTIONS, signing=signing)),
    ):
        with pytest.raises(Invalid, match=f"{tag} > layers: expected an array, found a string"):
            add()


def test_signatures_that_are_too_many_to_read_are_not_replaced(tmp_path: Path) -> None:
    source, there = (f"{layout(tmp_path / name)}:{NAME}" for name in ("source", "there"))
    for number in range(1, 4):
        signature(there, number)
    signature(source, 4)
    before = layers(there, cosign.PAYLOAD)
    with pytest.raises(LimitExceeded, match="signatures of one image"):
        converter.convert(source, there, store=StoreOptions(limits=Limits(signatures=2)))
    assert layers(there, cosign.PAYLOAD) == before


def test_images_of_one_run_that_are_the_same_get_all_their_signatures(tmp_path: Path) -> None:
    path = tmp_path / "source"
    layout(path)
    converter.convert(f"oci:{path}", f"oci:{path}:registry.example/app:2")
    converter.convert(f"oci:{path}", f"oci:{tmp_path}/there", all_images=True, signing=Signing(makers=[ecdsa()]))
    wanted = Wanted(keys=(("--key k", public_pem(ecdsa())),))
    for name in (NAME, "registry.example/app:2"):
        assert verify(f"oci:{tmp_path}/there:{name}", replace(wanted, identity=name)).ok


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("docker://{host}/team/app:{tag}", id="in a repository"),
        pytest.param("oci:{folder}/there:registry.example/app:{tag}", id="in a layout"),
    ],
)
def test_images_of_one_digest_are_signed_under_each_of_their_names(
    name: str, registry: FakeRegistry, tmp_path: Path
) -> None:
    to = [name.format(host=registry.host, folder=tmp_path, tag=tag) for tag in ("1", "2", "latest")]
    options = replace(OPTIONS, signing=Signing(makers=[ecdsa()]))

    convert(f"{layout(tmp_path / 'in')}:{NAME}", to, options)

    wanted = Wanted(keys=(("key", public_pem(ecdsa())),))
    assert [verify(one, wanted, PLAIN).unmet for one in to] == [(), (), ()]
