"""Signs images: the signed image stays as it is, and the signature goes where verifiers look for it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from converter import formats
from converter.errors import NotFound, Unsupported, Usage, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.image import Artifact, Attachment
from converter.model.limits import enforce_limits
from converter.model.reference import ImageName, Location, Reference
from converter.ports import Sink, Source
from converter.stores import StoreOptions, open_sink, open_source, recognised, signature_files
from converter.stores.aci_file import signature_path
from converter.stores.options import Inputs, Overwriting
from converter.trust import cosign, openpgp, stored_signatures
from converter.trust import signature as kinds
from converter.trust.identity import Claim, name_of
from converter.trust.makers import CosignKey, Maker

__all__ = ["Signed", "Signing", "attach", "attach_files", "attest", "cosign_layers", "sign"]


@frozen
class SigningSubject:
    """What is to be signed: an image's root and its name. ``time`` of signing is in seconds since 1970."""

    root: Descriptor
    name: ImageName
    time: int

    @property
    def claim(self) -> Claim:
        """The claim to sign: this digest has that name."""
        return Claim(digest=self.root.digest, identity=str(self.name))


def as_file(maker: Maker, subject: SigningSubject) -> bytes:
    """Sign an image; returns the signature as the content of a file ``signature-N``."""
    if isinstance(maker, CosignKey):
        return stored_signatures.sigstore_file(*maker.sign(subject.claim, subject.time))
    return maker.message(subject.claim, subject.time)


@frozen
class Signing:
    """How to sign: ``makers`` are the keys (CosignKey, GpgFile, GpgUser), and ``identity`` is the name to sign, empty
    for the name that the image has.

    ``epoch`` is the time of signing in seconds since 1970, None for now.
    """

    makers: Sequence[Maker]
    identity: str = ""
    epoch: int | None = None

    def subject(self, root: Descriptor, name: ImageName | None, option: str = "--sign-identity") -> SigningSubject:
        """What is to be signed. Raises Usage if the image has no name, which ``option`` gives, and Unsupported for one
        of schema 1.
        """
        if root.media_type in (types.DOCKER_SCHEMA1, types.DOCKER_SCHEMA1_SIGNED):
            raise Unsupported("cannot sign a schema 1 manifest: convert it to schema 2 or OCI first")
        if name is None:
            raise Usage(f"the image has no name to sign: add {option} REPO:TAG")
        now = int(time.time()) if self.epoch is None else self.epoch
        return SigningSubject(root=root, name=name.tagged(), time=now)


@frozen
class Signed:
    """A signature that was made: its kind, location, the digest that it covers, and the name, if it signs one."""

    kind: str
    location: str
    covers: str
    identity: str = ""


def sign(
    reference: Reference,
    signing: Signing,
    destination: Reference = "",
    lookaside: Path | None = None,
    store: StoreOptions | None = None,
) -> tuple[Signed, ...]:
    """Sign the image at ``reference`` once with each key; neither it nor its existing signatures change.

    The signatures are stored with it, or with the same image at ``destination``, or, if simple, in the folder
    ``lookaside``. Raises Usage if the image's name is unknown, Unsupported if the place cannot hold such a signature.
    """
    store = store or StoreOptions()
    location = Location.parse(reference)
    with enforce_limits(store.limits), open_source(location, store) as source, within(str(reference)):
        root = source.resolve(location.name)
        known = formats.with_media_type(source.fetch(root))
        root = replace(root, media_type=known.descriptor.media_type)
        target = Location.parse(destination) if destination else recognised(location, source)
        if root.media_type == types.ACI:
            return tuple(_sign_aci(known, target, maker, store) for maker in signing.makers)
        if not target.attached and lookaside is None:
            raise Unsupported(f"no signature can be kept in {target.transport}: sign in a registry, a layout or dir:")
        subject = signing.subject(root, name_of(location, root, signing.identity), "--identity")
        if lookaside is not None:
            return tuple(_sign_to_lookaside(lookaside, maker, subject) for maker in signing.makers)
        if target.attached == "directory":
            there = _root_at(target, root, store)
            return tuple(_in_directory(Path(target.path), there, maker, subject) for maker in signing.makers)
        if not target.kind.adds_blobs:
            raise Unsupported("cannot add a signature to an archive, which is written whole: use convert --sign-by")
        before = _layers_at(target, root, store) if destination else cosign_layers(source, root)
        with open_sink(target, store) as sink:
            return attach(sink, signing.makers, subject, before)


def attach(
    sink: Sink, makers: Iterable[Maker], subject: SigningSubject, before: Iterable[Descriptor] = ()
) -> tuple[Signed, ...]:
    """Put signatures as manifests into a sink that has the image or is to receive it too.

    ``before`` are the layers of cosign's signatures that the image already has.
    """
    layers = tuple(before)
    made = []
    for maker in makers:
        if isinstance(maker, CosignKey):
            image = stored_signatures.cosign_image([maker.sign(subject.claim, subject.time)], layers)
            tag = stored_signatures.tag_of(subject.root.digest)
        else:
            message = maker.message(subject.claim, subject.time)
            image, tag = stored_signatures.simple_signing_artifact(message, subject.root), ""
        manifest = _put(sink, image, subject.root.digest, tag)
        if tag:
            layers = stored_signatures.layers_of(manifest.read())
        made.append(_make_signature(maker, tag or f"referrer {manifest.descriptor.digest}", subject))
    return tuple(made)


def _put(sink: Sink, made: Artifact, subject: Digest, tag: str) -> Known:
    """Put an artifact into a sink, as an attachment of the subject; returns its manifest."""
    manifest = made.original.manifest
    for blob in (*made.blobs, manifest):
        if not sink.has(blob.descriptor):
            sink.put(blob.blocks(), blob.descriptor.media_type, blob.descriptor)
    sink.attach(Attachment(subject=subject, descriptor=manifest.descriptor, tag=tag))
    return manifest


def attach_files(sink: Sink, makers: Iterable[Maker], subject: SigningSubject) -> tuple[Signed, ...]:
    """The same for a sink that stores signatures as files: ``dir:``."""
    made = []
    for maker in makers:
        data = as_file(maker, subject)
        descriptor = sink.put((data,), types.DIR_SIGNATURE, Descriptor.of(data, types.DIR_SIGNATURE))
        sink.attach(Attachment(subject=subject.root.digest, descriptor=descriptor))
        made.append(_make_signature(maker, "signature", subject))
    return tuple(made)


def attest(
    reference: Reference, image: Descriptor, envelope: bytes, predicate: str, store: StoreOptions | None = None
) -> Signed:
    """Store an envelope, whose statement has that ``predicate``, with ``image``, the place's own or one of its index.

    It goes where cosign looks for attestations. The image and what is attached to it already do not change. Raises
    Unsupported for a place that is written whole, NotFound for one that lacks the image.
    """
    store = store or StoreOptions()
    location = Location.parse(reference)
    with enforce_limits(store.limits), within(str(reference)):
        with open_source(location, store) as source:
            source.fetch(image).read()
            if location.attached == "directory":
                data = stored_signatures.sigstore_file(
                    envelope, stored_signatures.statement_annotations(predicate), cosign.ENVELOPE
                )
                there = source.resolve(location.name).digest
                path = signature_files.add_to_directory(Path(location.path), data, there, image.digest)
                return Signed(kind=kinds.ATTESTATION, location=path.name, covers=str(image.digest))
            if not location.kind.adds_blobs:
                raise Unsupported("nothing can be attached there: attach it in a registry, a layout or dir:")
            before = cosign_layers(source, image, cosign.ENVELOPE)
        made = stored_signatures.cosign_image(
            [(envelope, stored_signatures.statement_annotations(predicate))], before, cosign.ENVELOPE
        )
        tag = stored_signatures.tag_of(image.digest, cosign.ENVELOPE)
        with open_sink(location, store) as sink:
            _put(sink, made, image.digest, tag)
    return Signed(kind=kinds.ATTESTATION, location=tag, covers=str(image.digest))


def cosign_layers(source: Source, root: Descriptor, media_type: str = cosign.PAYLOAD) -> tuple[Descriptor, ...]:
    """The layers of the cosign signatures that an image has; or of its attestations, if envelopes are asked for."""
    tag = stored_signatures.tag_of(root.digest, media_type)
    for attachment in source.attachments(root.digest):
        if attachment.bare_tag == tag:
            return stored_signatures.layers_of(source.fetch(attachment.descriptor).read())
    return ()


def _layers_at(target: Location, root: Descriptor, store: StoreOptions) -> tuple[Descriptor, ...]:
    """The same at ``target``; raises NotFound if the image is not there."""
    with open_source(target, store) as source, within(str(target)):
        source.fetch(root).read()
        return cosign_layers(source, root)


def _root_at(target: Location, root: Descriptor, store: StoreOptions) -> Digest:
    """The digest of the root of a directory; raises NotFound if it does not have the image."""
    with open_source(target, store) as source, within(str(target)):
        source.fetch(root).read()
        return source.resolve("").digest


def _in_directory(folder: Path, there: Digest, maker: Maker, subject: SigningSubject) -> Signed:
    path = signature_files.add_to_directory(folder, as_file(maker, subject), there, subject.root.digest)
    return _make_signature(maker, path.name, subject)


def _sign_to_lookaside(lookaside: Path, maker: Maker, subject: SigningSubject) -> Signed:
    if isinstance(maker, CosignKey):
        raise Unsupported("--lookaside needs an OpenPGP key: cosign looks into registries alone")
    path = signature_files.add_to_lookaside(lookaside, subject.name, subject.root.digest, as_file(maker, subject))
    return _make_signature(maker, str(path), subject)


def _sign_aci(known: Known, target: Location, maker: Maker, store: StoreOptions) -> Signed:
    """Sign an ACI: the file as stored. Only signatures, which are kept, may already be in the signature's place."""
    if isinstance(maker, CosignKey):
        raise Unsupported("an ACI is signed with an OpenPGP key, and this key is of another kind: use --gpg-key")
    path = Path(target.path)
    if (target.transport and target.attached != "beside") or not path.is_file():
        raise NotFound(f"{target} is not an ACI in a file: name that file, as its signature is written beside it")
    overwriting = Overwriting(allowed=store.overwrite, mirrored="signature", inputs=Inputs((*store.inputs.paths, path)))
    overwriting.require(signature_path(path))
    with TemporaryDirectory(prefix="transship-") as folder:
        copy = Path(folder, "image")
        with copy.open("wb") as file:
            # Copied while its digest is checked, so that the bytes signed are those that were read.
            file.writelines(known.blocks())
        data = maker.detached(str(copy))
    if before := signature_files.read_beside(path):
        data = openpgp.add_signatures(data, before)
    place = signature_files.add_beside(path, data, overwriting)
    return Signed(kind=kinds.DETACHED, location=str(place), covers=str(known.descriptor.digest))


def _make_signature(maker: Maker, location: str, subject: SigningSubject) -> Signed:
    kind = kinds.COSIGN if isinstance(maker, CosignKey) else kinds.SIMPLE_SIGNING
    return Signed(kind=kind, location=location, covers=str(subject.root.digest), identity=str(subject.name))
