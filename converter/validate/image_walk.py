"""Follows the descriptors of an image from its root, whatever the documents claim (image-spec 1.1.1, spec.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converter.errors import Invalid, NotFound, unless_invalid
from converter.formats.manifest import CONFIG_TYPES
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest, platform_from_json
from converter.model.document import lenient_member
from converter.model.image import REFERENCE
from converter.model.limits import current_limits
from converter.model.platform import Platform
from converter.ports import Fetch
from converter.schema import guess_kind
from converter.validate.blobs import BlobReader, DescriptorClaim
from converter.validate.entries import SeenLayer, report_dangling
from converter.validate.findings import path_below, path_of_member

_ROOTS = types.KINDS.keys() - types.CONFIGS | {"", "application/json"}
"""The media types of documents that name blobs, and those that leave it to a document to state its own."""


@dataclass(slots=True)
class Seen:
    """A manifest or an index that was read."""

    descriptor: Descriptor
    document: Mapping[str, Any]


class ImageWalk:
    """Reads everything below roots, each blob once.

    If Docker ``saved`` them, an image that an index names may be missing, and a configuration of any type is the
    Engine's, which writes null for an empty list.
    """

    def __init__(self, fetch: Fetch, blobs: BlobReader, *, saved: bool = False) -> None:
        self._fetch = fetch
        self._blobs = blobs
        self.findings = blobs.findings
        self._saved = saved
        self._layers: dict[tuple[Digest, str], SeenLayer] = {}
        self.seen: dict[Digest, Seen] = {}
        """The manifests and indexes that were read, by digest."""
        self.read: set[Digest] = set()
        """The digest of every blob that was read or looked for."""

    def item(self, claim: DescriptorClaim, place: str, depth: int = 0) -> None:
        """Read a manifest, an index, or whatever else a root may be; ``place`` is the image's."""
        limit = current_limits().index_depth
        if depth > limit:
            fact = f"indexes are {depth} deep: at most {limit} are allowed (limit: index_depth)"
            self.findings.add("image/limit", claim.path, fact)
            return
        known = self._known(claim, "docker/archive-sparse" if self._saved and depth else "image/blob-missing")
        if known is None:
            return
        descriptor = claim.descriptor
        if descriptor.digest in self.seen:
            self._same(claim)
            return
        if descriptor.media_type not in _ROOTS:
            self._blobs.opaque(known.raw, path_below(place, "blob"), claim)
            return
        data = self._blobs.document(known.raw, claim)
        if data is None:
            return
        kind = types.KINDS.get(descriptor.media_type) or guess_kind(data)
        is_index = kind in {"oci-index", "docker-manifest-list"}
        here = path_below(place, "index" if is_index else "manifest")
        document = self.findings.load_object(data, kind or "oci-manifest", here)
        self.seen[descriptor.digest] = Seen(descriptor, document)
        self._check_media_type(descriptor, document, here)
        if is_index:
            self._index(document, here, place, depth)
        elif kind == "docker-schema1":
            self._schema1(document, here, place)
        else:
            self._manifest(document, descriptor, here, place, "docker" if kind == "docker-schema2" else "oci")

    def claim(self, value: Any, path: str) -> DescriptorClaim | None:
        """What the descriptor at a path claims; None if it cannot be followed."""
        with self.findings.at(path, "image/descriptor"):
            return DescriptorClaim(Descriptor.from_json(value), path)
        return None

    def _known(self, claim: DescriptorClaim, rule: str = "image/blob-missing") -> Known | None:
        """The blob, unread; None if it is missing, or a foreign layer that is not to be fetched."""
        self.read.add(claim.descriptor.digest)
        with self.findings.at(claim.path, missing=rule):
            known = self._fetch(claim.descriptor)
            return None if known.absent else known
        return None

    def _same(self, claim: DescriptorClaim) -> None:
        """Check that another descriptor of what was already read states the same."""
        descriptor = claim.descriptor
        first = self.seen[descriptor.digest].descriptor
        if descriptor.size != first.size:
            fact = f"size is {descriptor.size}: another descriptor of the same blob says {first.size}"
            self.findings.add("image/blob-size", claim.of("size"), fact)
        if descriptor.media_type != first.media_type:
            other = f'another descriptor of the same blob says "{first.media_type}"'
            fact = f'mediaType is "{descriptor.media_type}": {other}'
            self.findings.add("image/media-type", claim.of("mediaType"), fact)

    def _check_media_type(self, descriptor: Descriptor, document: Mapping[str, Any], place: str) -> None:
        stated = lenient_member(document, "mediaType", str)
        if stated and descriptor.media_type and stated != descriptor.media_type:
            fact = f'mediaType is "{stated[:100]}": the descriptor says "{descriptor.media_type}"'
            alike = any({stated, descriptor.media_type} == kind for kind in (types.MANIFESTS, types.INDEXES))
            rule = "image/media-type-dialect" if alike else "image/media-type"
            self.findings.add(rule, path_of_member(place, "/mediaType"), fact)

    def _index(self, document: Mapping[str, Any], here: str, place: str, depth: int) -> None:
        rows = lenient_member(document, "manifests", list)
        digests = [row.get("digest") for row in rows if isinstance(row, dict)]
        for number, row in enumerate(rows):
            path = path_of_member(here, f"/manifests/{number}")
            claim = self.claim(row, path)
            if claim is not None:
                self.item(claim, path_below(place, f"manifests/{number}"), depth + 1)
            subject = lenient_member(row, "annotations", dict).get(REFERENCE)
            if subject is not None and subject not in digests:
                fact = f"the attestation is about {str(subject)[:100]}, which the index does not list"
                self.findings.add("image/attestation", f"{path}/annotations/{REFERENCE}", fact)

    def _schema1(self, document: Mapping[str, Any], here: str, place: str) -> None:
        self._blobs.image()
        for number, row in enumerate(lenient_member(document, "fsLayers", list)):
            # Schema 1 states no sizes, and calls a digest blobSum.
            described = {"mediaType": types.DOCKER_LAYER_GZIP, "digest": lenient_member(row, "blobSum", str), "size": 0}
            claim = self.claim(described, path_of_member(here, f"/fsLayers/{number}"))
            if claim is not None:
                unsized = replace(claim, descriptor=replace(claim.descriptor, size=-1))
                self._layer(unsized, path_below(place, f"layers/{number}"), "sha256")

    def _manifest(self, document: Mapping[str, Any], root: Descriptor, here: str, place: str, dialect: str) -> None:
        self._subject(document, here)
        rows = lenient_member(document, "layers", list)
        layers = [self.claim(row, path_of_member(here, f"/layers/{number}")) for number, row in enumerate(rows)]
        value = document.get("config")
        config = None if value is None else self.claim(value, path_of_member(here, "/config"))
        blobs = [claim.descriptor for claim in (config, *layers) if claim is not None]
        self._blobs.plan(blob for blob in blobs if blob.digest not in self.read)
        if _is_artifact(document, root, config, layers, dialect):
            self._opaque(config, path_below(place, "config"))
            for number, layer in enumerate(layers):
                self._opaque(layer, path_below(place, f"layers/{number}"))
            return
        read_config = {} if config is None else self._config(config, place, dialect)
        diff_ids = diff_ids_of(read_config)
        self._blobs.image()
        read_layers = []
        for number, layer in enumerate(layers):
            inside, algorithm = path_below(place, f"layers/{number}"), _diff_id_algorithm(diff_ids, number)
            read_layers.append(None if layer is None else self._layer(layer, inside, algorithm))
        if read_config:
            self.image(read_config, read_layers, place)
            self._platform(root.platform, read_config, place)

    def image(self, config: Mapping[str, Any], layers: Sequence[SeenLayer | None], place: str) -> None:
        """Check a configuration against its layers, base first; None for a layer that could not be read."""
        here = path_below(place, "config")
        diff_ids = diff_ids_of(config)
        if len(diff_ids) != len(layers):
            fact = f"{len(diff_ids)} diff_ids for {len(layers)} layers"
            self.findings.add("image/diff-id-count", path_of_member(here, "/rootfs/diff_ids"), fact)
        else:
            for number, (stated, layer) in enumerate(zip(diff_ids, layers, strict=True)):
                computed = None if layer is None else layer.diff_id
                if computed is not None and str(computed) != stated:
                    fact = f"diff_id mismatch: expected {str(stated)[:150]}, computed {computed}"
                    self.findings.add("image/diff-id", path_of_member(here, f"/rootfs/diff_ids/{number}"), fact)
        history = lenient_member(config, "history", list)
        if history:
            made = sum(not lenient_member(step, "empty_layer", bool) for step in history)
            if made != len(layers):
                fact = f"{made} steps of history made a layer, but there are {len(layers)} layers"
                self.findings.add("image/history-length", path_of_member(here, "/history"), fact)
        report_dangling(layers)

    def _config(self, claim: DescriptorClaim, place: str, dialect: str) -> Mapping[str, Any]:
        known = self._known(claim)
        data = None if known is None else self._blobs.document(known.raw, claim)
        kind = "docker-config" if self._saved else f"{dialect}-config"
        return {} if data is None else self.findings.load_object(data, kind, path_below(place, "config"))

    def _opaque(self, claim: DescriptorClaim | None, place: str) -> None:
        if claim is not None and claim.descriptor.digest not in self.read:
            known = self._known(claim)
            if known is not None:
                self._blobs.opaque(known.raw, place, claim)

    def _layer(self, claim: DescriptorClaim, place: str, algorithm: str) -> SeenLayer | None:
        media_type = claim.descriptor.media_type
        if media_type not in types.LAYER_TYPES:
            self._opaque(claim, place)
            return None
        key = claim.descriptor.digest, algorithm
        if key not in self._layers:
            known = self._known(claim)
            if known is None:
                return None
            self._layers[key] = self._blobs.layer(known.raw, place, claim, algorithm)
        layer = self._layers[key]
        if layer.codec not in (None, types.LAYER_TYPES[media_type][1]):
            how = "not compressed" if layer.codec == "none" else f"compressed with {layer.codec}"
            fact = f'the layer is {how}: mediaType is "{media_type}"'
            self.findings.add("image/layer-compression", claim.of("mediaType"), fact)
        return layer

    def _subject(self, document: Mapping[str, Any], here: str) -> None:
        subject = document.get("subject")
        if subject is None:
            return
        claim = self.claim(subject, path_of_member(here, "/subject"))
        if claim is None:
            return
        descriptor = claim.descriptor
        try:
            known = self._fetch(Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=-1))
        except (NotFound, Invalid):
            return
        there = known.descriptor.size
        if there not in (-1, descriptor.size):
            fact = f"size is {descriptor.size}: the subject has {there} bytes"
            self.findings.add("image/subject", claim.of("size"), fact)
        seen = self.seen.get(descriptor.digest)
        if seen is not None and seen.descriptor.media_type != descriptor.media_type:
            fact = f'mediaType is "{descriptor.media_type}": the subject is of type "{seen.descriptor.media_type}"'
            self.findings.add("image/subject", claim.of("mediaType"), fact)

    def _platform(self, listed: Platform | None, config: Mapping[str, Any], place: str) -> None:
        if listed is None or not listed.known:
            return
        stated = unless_invalid(platform_from_json, config)
        if stated is None:
            return
        own, theirs = stated.normalised(), listed.normalised()
        same = (theirs.os, theirs.architecture) == (own.os, own.architecture)
        variants = bool(listed.variant) and bool(config.get("variant")) and theirs.variant != own.variant
        if not same or variants:
            fact = f"the configuration is for {own}: the index says {theirs}"
            self.findings.add("image/platform", path_below(place, "config"), fact)


def diff_ids_of(config: Any) -> list[Any]:
    """The diff_ids of a configuration, unchecked."""
    return lenient_member(lenient_member(config, "rootfs", dict), "diff_ids", list)


def _is_artifact(
    document: Mapping[str, Any],
    root: Descriptor,
    config: DescriptorClaim | None,
    layers: Sequence[DescriptorClaim | None],
    dialect: str,
) -> bool:
    """Whether a manifest is an attestation, a signature or a chart, not an image."""
    if config is not None and config.descriptor.media_type not in CONFIG_TYPES[dialect]:
        return True
    if (root.platform is not None and not root.platform.known) or document.get("artifactType"):
        return True
    known = [layer for layer in layers if layer is not None]
    return bool(known) and not any(layer.descriptor.media_type in types.LAYER_TYPES for layer in known)


def _diff_id_algorithm(diff_ids: Sequence[Any], number: int) -> str:
    algorithm = str(diff_ids[number]).partition(":")[0] if number < len(diff_ids) else ""
    return algorithm if algorithm in HEX_LENGTHS else "sha256"
