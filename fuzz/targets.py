"""One function a parser: bytes in; anything but a ConverterError that comes out is a bug."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

from converter import formats
from converter.conversion import Options
from converter.conversion.sync import sync_file as sync
from converter.errors import ConverterError, NotFound
from converter.formats.aci.reading import parse_manifest, to_image
from converter.model import appc, media_types as types
from converter.model.content import Compression, Known, known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_json, load_object, read_json, signed_payload
from converter.model.limits import MIB, Limits, enforce_limits
from converter.model.platform import Platform
from converter.model.reference import TITLE, ImageName, Location
from converter.schema import KINDS, check_document
from converter.signing import Signing
from converter.stores import discovery
from converter.stores.registry.auth import parse_challenges, read_token
from converter.stores.registry.credentials import found_in, parse_helper_answer
from converter.stores.registry.download import first_byte
from converter.stores.registry.lists import next_link
from converter.stores.registry.upload import least_part, offset_of
from converter.stores.registry.urls import resolve_url
from converter.stores.registry.wire import basic_header
from converter.stores.retry import asked_wait
from converter.streams.blocks import closing
from converter.streams.decompress import decompress_any
from converter.streams.squash import squash
from converter.streams.tar.aci import Recipe, unpack_aci
from converter.streams.tar.listing import decode_node
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.sparse import data_regions
from converter.streams.tar.tree import list_tree
from converter.trust import libtrust, notation, openpgp_message, rekor
from converter.trust.cosign import open_envelope
from converter.trust.keys import Roots, is_issued_by, load_der, load_key, load_pem, public_key, subject_name
from converter.trust.openpgp_keys import Keyring
from converter.trust.origin_record import parse_record
from converter.trust.policy import Policy
from converter.trust.signature import Signature, Trusted
from converter.trust.stored_signatures import signatures_in_blob as find_in_file
from converter.trust.verify_signatures import SIGNATURE_KINDS, check_one
from tests.trust import making

AT = datetime(2100, 1, 1, tzinfo=UTC)
LOG = making.ecdsa(400)
TRUSTED = Trusted(at=AT, keys=[making.ecdsa().public], logs=[LOG.public])

LIMITS = Limits(layer=8 * MIB, window=8 * MIB, entries=10_000)
"""Small, so that a fuzzer does not spend its time on bombs; those are in tests/zoo."""


def drain(blocks: Iterable[object]) -> None:
    """Read it all."""
    for _ in blocks:
        pass


def tar(data: bytes) -> None:
    """The scanner, with every field that an entry computes when it is asked for."""
    with closing([data]) as blocks:
        for entry in scan_entries(blocks):
            with suppress(ConverterError):
                _ = entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.xattrs, entry.linkname, entry.device
            drain(data_regions(entry))


def flattened(data: bytes) -> None:
    """Two layers into one, as bytes and as a tree."""
    half = len(data) // 1024 * 512
    layers = [lambda: [data[:half]], lambda: [data[half:]]]
    with suppress(ConverterError):
        drain(squash(layers))
    with list_tree(layers) as found:
        drain(decode_node(row.record) for row in found if row.record)


def aci(data: bytes) -> None:
    """An ACI's tar into a layer's."""
    drain(unpack_aci([data], lambda _: None))


def packed(data: bytes) -> None:
    """The framing of gzip, zstd, bzip2 and xz."""
    drain(decompress_any([data])[1])


def document(data: bytes) -> None:
    """JSON as text."""
    read_json(data)
    load_json(data)


def schemas(data: bytes) -> None:
    """JSON of every kind: nothing is raised at all."""
    for kind in KINDS:
        check_document(data, kind)
        check_document(data, kind, "strict")


def images(data: bytes) -> None:
    """Manifests and indexes of every format, whose blobs are all there and all the same."""

    def fetch(descriptor: Descriptor) -> Known:
        if descriptor.size > len(data):
            raise NotFound("got no blob, want it")
        return known_bytes(data, descriptor.media_type)

    for media_type in (*formats.READERS, ""):
        if media_type != types.ACI:
            with suppress(ConverterError):
                formats.decode(known_bytes(data, media_type), fetch)


def aci_manifest(data: bytes) -> None:
    """A manifest of appc, and the image it means."""
    to_image(parse_manifest(data))


def references(data: bytes) -> None:
    """Names of all kinds."""
    text = data.decode("utf-8", "surrogateescape")
    for parser in (Location.parse, ImageName.parse, Digest.parse, Platform.parse, Compression.parse, _limit):
        with suppress(ConverterError):
            str(parser(text))
    with suppress(ConverterError):
        discovery.AppName.parse(text)
    appc.sanitised_identifier(text)
    appc.sanitised_name(text)


def _limit(text: str) -> Limits:
    return Limits.parse([text])


def recipes(data: bytes) -> None:
    """What says how an ACI is made again."""
    Recipe.parse(data.decode("latin-1"))


def jws(data: bytes) -> None:
    """The signatures of schema 1 manifests."""
    with suppress(ConverterError):
        signed_payload(data)
    libtrust.signed_name(data)


def signatures(data: bytes) -> None:
    """OpenPGP, COSE, DSSE."""
    for parser in (
        openpgp_message.unwrapped_message,
        openpgp_message.decode_armour,
        openpgp_message.is_signed_message,
        openpgp_message.is_detached,
        openpgp_message.hashed_subpackets,
        notation.Envelope.from_cose,
    ):
        with suppress(ConverterError):
            parser(data)
    value = load_json(data)
    if isinstance(value, dict):
        open_envelope(value)


def sync_file(data: bytes) -> None:
    """The YAML that ``transship sync`` reads."""
    sync.read_sync_file(data, Options(), Location.parse("oci:x"), lambda _: Signing(makers=()))


def headers(data: bytes) -> None:
    """What the headers of a registry's answer say (Latin-1, as http.client reads them)."""
    text = data.decode("latin-1")
    parse_challenges([text])
    asked_wait(text)
    with suppress(ConverterError):
        resolve_url("https://h/x", next_link(text) or text)
    told = dict.fromkeys(("Range", "Content-Range", "OCI-Chunk-Min-Length"), text)
    offset_of(told)
    first_byte(206, told, 0)
    least_part(told)


def credentials(data: bytes) -> None:
    """Auth files, and what token servers and helpers answer."""
    with suppress(ConverterError):
        read_token(data, 0.0, "https://h/token")
    with suppress(ConverterError, KeyError):
        parse_helper_answer(data)
    found = found_in(load_object(data), ("h/a/b", "h/a", "h"), helper_path="/nonexistent")
    if found is not None:
        basic_header(found.username, found.password)


def page(data: bytes) -> None:
    """The page that says where an ACI lies."""
    discovery.read_page(data.decode("utf-8", "replace"), discovery.AppName.parse("example.com/app:1"))


def keys(data: bytes) -> None:
    """Keys, certificates, keyrings and policies."""
    for parser in (load_key, load_pem, Keyring.load, Policy.parse):
        with suppress(ConverterError):
            parser(data)


def certificates(data: bytes) -> None:
    """X.509, alone and as a chain, by the rules of each kind of signature."""
    with suppress(ConverterError):
        load_der(data)
    chain = load_pem(data)
    for one in chain:
        subject_name(one)
        is_issued_by(one, chain[0])
        with suppress(ConverterError):
            public_key(one)
    with suppress(ConverterError):
        notation.check_chain(chain, "ES256")
    Roots.load(data, "signer@example.com").check(chain[0], chain[1:], AT)


def evidence(data: bytes) -> None:
    """A signature of each kind that is no envelope of OpenPGP: bundles of Sigstore, Notation, Content Trust."""
    for kind in SIGNATURE_KINDS:
        told = {rekor.ENTRY: data.decode("latin-1"), TITLE: "targets.json"}
        files = {"root.json": data, "targets.json": data}
        signature = Signature(kind=kind, location="targets.json", covers="", data=data, annotations=told, files=files)
        check_one(signature, making.subject(), TRUSTED)
    for one in find_in_file(data, "signature-1", ""):
        check_one(one, making.subject(), TRUSTED)


def entries_of_rekor(data: bytes) -> None:
    """What a log says that one trusts, whatever it says."""
    payload = {"body": base64.b64encode(data).decode(), "integratedTime": 1, "logIndex": 1, "logID": "c0"}
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    promise = base64.b64encode(LOG.sign_bytes(canonical)).decode()
    told = {rekor.ENTRY: json.dumps({"SignedEntryTimestamp": promise, "Payload": payload})}
    rekor.time_logged(told, rekor.Logged(b"raw", b"data"), LOG.public.der, TRUSTED)


def origins(data: bytes) -> None:
    """Origin records."""
    parse_record(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        tar,
        flattened,
        aci,
        packed,
        document,
        schemas,
        images,
        aci_manifest,
        references,
        recipes,
        jws,
        signatures,
        keys,
        certificates,
        evidence,
        entries_of_rekor,
        origins,
        sync_file,
        headers,
        credentials,
        page,
    )
}


def run(name: str, data: bytes) -> None:
    """Give bytes to a target; raises whatever no parser may raise."""
    with enforce_limits(LIMITS), suppress(ConverterError):
        TARGETS[name](data)
