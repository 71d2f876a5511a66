"""Signs images: the signed image stays as it is, and the signature goes where verifiers look for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from converter import formats
from converter.errors import NotFound, Unsupported, Usage, within
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.limits import enforce_limits
from converter.model.reference import ImageName, Location, Reference
from converter.ports import Sink
from converter.stores import StoreOptions, open_sink, open_source, recognised, signature_files
from converter.stores.aci_file import signature_path
from converter.stores.media.file_target import write_new
from converter.stores.options import Inputs, Overwriting
from converter.streams import spool
from converter.trust import openpgp, signature as kinds, stored_signatures
from converter.trust.identity import Claim, name_of
from converter.trust.makers import CosignKey, Maker
from converter.trust.stored_signatures import CosignImages, Storable


@frozen
class Signing:
    """How to sign: ``makers`` are the keys (CosignKey, GpgFile, GpgUser), and ``identity`` is the name to sign, empty
    for the name that the image has.

    ``epoch`` is the time of signing in seconds since 1970, None for now.
    """

    makers: Sequence[Maker]
    identity: str = ""
    epoch: int | None = None

    def name(self, root: Descriptor, name: ImageName | None, option: str = "--sign-identity") -> ImageName:
        """The name to sign, of the image at ``root``.

        Raises Usage if it has none, which ``option`` gives, and Unsupported for an image of schema 1.
        """
        if root.media_type in (types.DOCKER_SCHEMA1, types.DOCKER_SCHEMA1_SIGNED):
            raise Unsupported("cannot sign a schema 1 manifest: convert it to schema 2 or OCI first")
        if name is None:
            raise Usage(f"the image has no name to sign: add {option} REPO:TAG")
        return name.tagged()

    def signatures(self, root: Descriptor, name: ImageName) -> list[Storable]:
        """A signature with each key: that the image at ``root`` has this name."""
        claim = Claim(digest=root.digest, identity=str(name))
        now = int(time.time()) if self.epoch is None else self.epoch
        return [maker.sign(claim, now) for maker in self.makers]


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
    with enforce_limits(store.limits), within(str(reference)):
        with open_source(location, store) as source:
            root = source.resolve(location.name)
            known = formats.with_media_type(source.fetch(root))
            root = replace(root, media_type=known.descriptor.media_type)
            target = Location.parse(destination) if destination else recognised(location, source)
            if root.media_type == types.ACI:
                return tuple(_sign_aci(known, target, maker, store) for maker in signing.makers)
        if lookaside is not None:
            if any(isinstance(maker, CosignKey) for maker in signing.makers):
                raise Unsupported("--lookaside needs an OpenPGP key: cosign looks into registries alone")
        elif not target.attached:
            raise Unsupported(f"no signature can be kept in {target.transport}: sign in a registry, a layout or dir:")
        elif not (target.attached == "directory" or target.kind.adds_blobs):
            raise Unsupported("cannot add a signature to an archive, which is written whole: use convert --sign-by")
        name = signing.name(root, name_of(location, root, signing.identity), "--identity")
        made = signing.signatures(root, name)
        if lookaside is None:
            places = _store_at(target, store, root, made)
        else:
            files = (signature_files.add_to_lookaside(lookaside, name, root.digest, one.to_file()) for one in made)
            places = list(map(str, files))
        return tuple(
            Signed(kind=one.kind, location=place, covers=str(root.digest), identity=str(name))
            for one, place in zip(made, places, strict=True)
        )


def _store_at(place: Location, store: StoreOptions, image: Descriptor, made: Sequence[Storable]) -> list[str]:
    """Store signatures with an image that is at a place; returns where each is. Raises NotFound if it is not there."""
    with open_source(place, store) as source, within(str(place)):
        source.fetch(image).read()
        if place.attached == "directory":
            root, folder = source.resolve("").digest, Path(place.path)
            return [signature_files.add_to_directory(folder, one.to_file(), root, image.digest).name for one in made]
    with open_sink(place, store) as sink, within(str(place)):
        store_signatures(sink, made, image, place.attached, CosignImages(sink.tagged))
    return [one.location(image) for one in made]


def store_signatures(
    sink: Sink, signatures: Sequence[Storable], image: Descriptor, form: str, images: CosignImages
) -> None:
    """Put signatures or attestations into a sink that has the image, or is to receive it.

    ``form`` is ``Transport.attached`` of the place: ``directory``, or ``manifests``, where ``images`` are cosign's.
    """
    if form == "directory":
        for one in signatures:
            data = one.to_file()
            descriptor = sink.put((data,), types.DIR_SIGNATURE, Descriptor.of(data, types.DIR_SIGNATURE))
            sink.attach(Attachment(subject=image.digest, descriptor=descriptor))
        return
    for made, tag in stored_signatures.to_artifacts(signatures, image, images):
        manifest = made.original.manifest
        for blob in (*made.blobs, manifest):
            if not sink.has(blob.descriptor):
                sink.put(blob.blocks(), blob.descriptor.media_type, blob.descriptor)
        sink.attach(Attachment(subject=image.digest, descriptor=manifest.descriptor, tag=tag))


def attest(
    reference: Reference, image: Descriptor, envelope: bytes, predicate: str, store: StoreOptions | None = None
) -> Signed:
    """Store an envelope, whose statement has that ``predicate``, with ``image``, the place's own or one of its index.

    It goes where cosign looks for attestations. The image and what is attached to it already do not change. Raises
    Unsupported for a place that is written whole, NotFound for one that lacks the image.
    """
    store = store or StoreOptions()
    location = Location.parse(reference)
    if location.attached != "directory" and not location.kind.adds_blobs:
        raise Unsupported("nothing can be attached there: attach it in a registry, a layout or dir:", str(reference))
    made = stored_signatures.envelope_payload(envelope, predicate)
    with enforce_limits(store.limits):
        (place,) = _store_at(location, store, image, [made])
    return Signed(kind=made.kind, location=place, covers=str(image.digest))


def _sign_aci(known: Known, target: Location, maker: Maker, store: StoreOptions) -> Signed:
    """Sign an ACI: the file as stored. Only signatures, which are kept, may already be in the signature's place."""
    if isinstance(maker, CosignKey):
        raise Unsupported("an ACI is signed with an OpenPGP key, and this key is of another kind: use --gpg-key")
    path = Path(target.path)
    if (target.transport and target.attached != "beside") or not path.is_file():
        raise NotFound(f"{target} is not an ACI in a file: name that file, as its signature is written beside it")
    overwriting = Overwriting(allowed=store.overwrite, kind="signature", inputs=Inputs((*store.inputs.paths, path)))
    place = signature_path(path)
    overwriting.require(place)
    with TemporaryDirectory(prefix="transship-") as folder:
        copy = Path(folder, "image")
        with spool.disk_errors("write"), copy.open("wb") as file:
            # Copied while its digest is checked, so that the bytes signed are those that were read.
            file.writelines(known.blocks())
        data = maker.detached(str(copy))
    if before := signature_files.read_beside(path):
        data = openpgp.add_signatures(data, before)
    write_new(place, (data,), overwriting)
    return Signed(kind=kinds.DETACHED, location=str(place), covers=str(known.descriptor.digest))
