"""Follows the descriptors of an image from its root, whatever the documents claim (image-spec 1.1.1, spec.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converter.errors import Invalid, NotFound, unless_invalid
from converter.formats.manifest import CONFIG_TYPES
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, Digest, platform_from_json
from converter.model.document import lenient_member, read_json
from converter.model.image import REFERENCE
from converter.model.limits import current_limits
from converter.model.platform import Platform
from converter.ports import Fetch
from converter.schema import Finding, check_document, findings_in_image, guess_kind
from converter.validate.blobs import BlobReader, DescriptorClaim, SeenLayer
from converter.validate.entries import report_dangling
from converter.validate.findings import path_below, path_of_member

_ROOTS = types.KINDS.keys() - types.CONFIGS
_COUNTED = frozenset(("oci/history-length", "docker/config-history"))
"""Rules of configuration documents that are checked here for the whole image instead."""


@dataclass(slots=True)
class Seen:
    """A manifest or an index that was read."""

    descriptor: Descriptor
    document: Mapping[str, Any] = field(default_factory=dict)


class ImageWalk:
    """Reads everything below roots, each blob once.

    If Docker ``saved`` them, an image that an index names may be missing, and a configuration of any type is the
    Engine's, which writes null for an empty list.
    """

    def __init__(self, fetch: Fetch, blobs: BlobReader, *, saved: bool = False) -> None:
        self._fetch = fetch
        self._blobs = blobs
        self._findings = blobs.findings
        self._saved = saved
        self._sparse = "docker/archive-sparse" if saved else "image/blob-missing"
        self._layers: dict[tuple[Digest, str], SeenLayer] = {}
        self.seen: dict[Digest, Seen] = {}
        """The manifests and indexes that were read, by digest."""
        self.read: set[Digest] = set()
        """The digest of every blob that was read or looked for."""

    def item(
        self, descriptor: Descriptor, claim: str, place: str, depth: int = 0, rule: str = "image/blob-missing"
    ) -> None:
        """Read a manifest, an index, or whatever else a root may be.

        ``place`` is the image's, ``claim`` the descriptor's path.
        """
        limit = current_limits().index_depth
        if depth > limit:
            fact = f"indexes are {depth} deep: at most {limit} are allowed (limit: index_depth)"
            self._findings.add("image/limit", claim, fact)
            return
        known = self.known(descriptor, claim, rule)
        if known is None:
            return
        if descriptor.digest in self.seen:
            self._same(descriptor, claim)
            return
        if descriptor.media_type not in _ROOTS and descriptor.media_type not in {"", "application/json"}:
            self._blobs.opaque(known.raw, path_below(place, "blob"), DescriptorClaim(descriptor, claim))
            return
        data = self._blobs.document(known.raw, DescriptorClaim(descriptor, claim))
        if data is None:
            return
        kind = types.KINDS.get(descriptor.media_type) or guess_kind(data)
        document = self._document(data, kind or "oci-manifest", path_below(place, _part(kind)))
        self.seen[descriptor.digest] = Seen(descriptor, document)
        self._check_media_type(descriptor, document, path_below(place, _part(kind)))
        if kind in {"oci-index", "docker-manifest-list"}:
            self._index(document, place, depth)
        elif kind == "docker-schema1":
            self._schema1(document, place)
        else:
            self._manifest(document, descriptor, place, "docker" if kind == "docker-schema2" else "oci")

    def descriptor(self, value: Any, claim: str) -> Descriptor | None:
        """A descriptor that can be followed, or None."""
        with self._findings.at(claim, "image/descriptor"):
            return Descriptor.from_json(value)
        return None

    def known(self, descriptor: Descriptor, claim: str, rule: str = "image/blob-missing") -> Known | None:
        """The blob, unread; None if it is missing, or a foreign layer that is not to be fetched."""
        self.read.add(descriptor.digest)
        with self._findings.at(claim, missing=rule):
            known = self._fetch(descriptor)
            return None if known.absent else known
        return None

    def _same(self, descriptor: Descriptor, claim: str) -> None:
        """Check that another descriptor of what was already read states the same."""
        first = self.seen[descriptor.digest].descriptor
        if descriptor.size != first.size:
            fact = f"size is {descriptor.size}: another descriptor of the same blob says {first.size}"
            self._findings.add("image/blob-size", DescriptorClaim(descriptor, claim).of("size"), fact)
        if descriptor.media_type != first.media_type:
            other = f'another descriptor of the same blob says "{first.media_type}"'
            fact = f'mediaType is "{descriptor.media_type}": {other}'
            self._findings.add("image/media-type", DescriptorClaim(descriptor, claim).of("mediaType"), fact)

    def _document(self, data: bytes, kind: str, place: str) -> Mapping[str, Any]:
        """The content of a document, as far as it is JSON; adds the findings about it alone."""
        found: Iterable[Finding] = check_document(data, kind, self._findings.strictness)
        if self._findings.strictness == "compat":
            found = findings_in_image(found)
        self._findings.add_all(place, (one for one in found if one.rule not in _COUNTED))
        value = read_json(data).value
        return value if isinstance(value, dict) else {}

    def _check_media_type(self, descriptor: Descriptor, document: Mapping[str, Any], place: str) -> None:
        stated = document.get("mediaType")
        if isinstance(stated, str) and stated and descriptor.media_type and stated != descriptor.media_type:
            fact = f'mediaType is "{stated[:100]}": the descriptor says "{descriptor.media_type}"'
            alike = any({stated, descriptor.media_type} == kind for kind in (types.MANIFESTS, types.INDEXES))
            rule = "image/media-type-dialect" if alike else "image/media-type"
            self._findings.add(rule, path_of_member(place, "/mediaType"), fact)

    def _index(self, document: Mapping[str, Any], place: str, depth: int) -> None:
        rows = lenient_member(document, "manifests", list)
        digests = [row.get("digest") for row in rows if isinstance(row, dict)]
        here = path_below(place, "index")
        for number, row in enumerate(rows):
            claim = path_of_member(here, f"/manifests/{number}")
            descriptor = self.descriptor(row, claim)
            if descriptor is not None:
                self.item(descriptor, claim, path_below(place, f"manifests/{number}"), depth + 1, self._sparse)
            subject = lenient_member(row, "annotations", dict).get(REFERENCE)
            if subject is not None and subject not in digests:
                fact = f"the attestation is about {str(subject)[:100]}, which the index does not list"
                self._findings.add("image/attestation", f"{claim}/annotations/{REFERENCE}", fact)

    def _schema1(self, document: Mapping[str, Any], place: str) -> None:
        here = path_below(place, "manifest")
        self._blobs.image()
        for number, row in enumerate(lenient_member(document, "fsLayers", list)):
            text = lenient_member(row, "blobSum", str)
            claim = path_of_member(here, f"/fsLayers/{number}")
            # Schema 1 states no sizes, and calls a digest blobSum.
            row = {"mediaType": types.DOCKER_LAYER_GZIP, "digest": text, "size": 0}
            descriptor = self.descriptor(row, claim)
            if descriptor is not None:
                unsized = Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=-1)
                self._layer(unsized, claim, path_below(place, f"layers/{number}"), "sha256")

    def _manifest(self, document: Mapping[str, Any], root: Descriptor, place: str, dialect: str) -> None:
        here = path_below(place, "manifest")
        self._subject(document, here)
        rows = lenient_member(document, "layers", list)
        config = document.get("config")
        layers = [self.descriptor(row, path_of_member(here, f"/layers/{number}")) for number, row in enumerate(rows)]
        described = None if config is None else self.descriptor(config, path_of_member(here, "/config"))
        self._blobs.plan(one for one in (described, *layers) if one is not None and one.digest not in self.read)
        if _is_artifact(document, root, described, layers, dialect):
            for number, blob in enumerate((described, *layers)):
                part = "config" if number == 0 else f"layers/{number - 1}"
                self._opaque(blob, path_of_member(here, f"/{part}"), path_below(place, part))
            return
        read_config = (
            {} if described is None else self._config(described, path_of_member(here, "/config"), place, dialect)
        )
        diff_ids = diff_ids_of(read_config)
        self._blobs.image()
        read_layers = []
        for number, layer in enumerate(layers):
            claim, inside = path_of_member(here, f"/layers/{number}"), path_below(place, f"layers/{number}")
            algorithm = _diff_id_algorithm(diff_ids, number)
            read_layers.append(None if layer is None else self._layer(layer, claim, inside, algorithm))
        if read_config:
            self.image(read_config, read_layers, place)
            self._platform(root.platform, read_config, place)

    def image(self, config: Mapping[str, Any], layers: Sequence[SeenLayer | None], place: str) -> None:
        """Check a configuration against its layers, base first; None for a layer that could not be read."""
        here = path_below(place, "config")
        diff_ids = diff_ids_of(config)
        if len(diff_ids) != len(layers):
            fact = f"{len(diff_ids)} diff_ids for {len(layers)} layers"
            self._findings.add("image/diff-id-count", path_of_member(here, "/rootfs/diff_ids"), fact)
        else:
            for number, (stated, layer) in enumerate(zip(diff_ids, layers, strict=True)):
                computed = None if layer is None else layer.diff_id
                if computed is not None and str(computed) != stated:
                    fact = f"diff_id mismatch: expected {str(stated)[:150]}, computed {computed}"
                    self._findings.add("image/diff-id", path_of_member(here, f"/rootfs/diff_ids/{number}"), fact)
        history = config.get("history")
        if isinstance(history, list) and history:
            made = sum(not (isinstance(step, dict) and step.get("empty_layer") is True) for step in history)
            if made != len(layers):
                fact = f"{made} steps of history made a layer, but there are {len(layers)} layers"
                self._findings.add("image/history-length", path_of_member(here, "/history"), fact)
        report_dangling([None if layer is None else layer.entries for layer in layers])

    def config(self, data: bytes, place: str, dialect: str) -> Mapping[str, Any]:
        """Check a configuration document alone; returns its content."""
        return self._document(data, f"{dialect}-config", path_below(place, "config"))

    def _config(self, descriptor: Descriptor, claim: str, place: str, dialect: str) -> Mapping[str, Any]:
        dialect = "docker" if self._saved else dialect
        known = self.known(descriptor, claim)
        data = None if known is None else self._blobs.document(known.raw, DescriptorClaim(descriptor, claim))
        return {} if data is None else self.config(data, place, dialect)

    def _opaque(self, descriptor: Descriptor | None, claim: str, place: str) -> None:
        if descriptor is not None and descriptor.digest not in self.read:
            known = self.known(descriptor, claim)
            if known is not None:
                self._blobs.opaque(known.raw, place, DescriptorClaim(descriptor, claim))

    def _layer(self, descriptor: Descriptor, claim: str, place: str, algorithm: str) -> SeenLayer | None:
        known_type = types.LAYER_TYPES.get(descriptor.media_type)
        if known_type is None:
            self._opaque(descriptor, claim, place)
            return None
        key = descriptor.digest, algorithm
        layer = self._layers.get(key)
        if layer is None:
            known = self.known(descriptor, claim)
            if known is None:
                return None
            layer = self._layers[key] = self._blobs.layer(
                known.raw, place, DescriptorClaim(descriptor, claim), algorithm
            )
        if layer.codec is not None and layer.codec != known_type[1]:
            how = "not compressed" if layer.codec == "none" else f"compressed with {layer.codec}"
            fact = f'the layer is {how}: mediaType is "{descriptor.media_type}"'
            self._findings.add("image/layer-compression", DescriptorClaim(descriptor, claim).of("mediaType"), fact)
        return layer

    def _subject(self, document: Mapping[str, Any], here: str) -> None:
        subject = document.get("subject")
        if subject is None:
            return
        claim = path_of_member(here, "/subject")
        descriptor = self.descriptor(subject, claim)
        if descriptor is None:
            return
        try:
            known = self._fetch(Descriptor(media_type=descriptor.media_type, digest=descriptor.digest, size=-1))
        except (NotFound, Invalid):
            return
        there = known.descriptor.size
        if there not in (-1, descriptor.size):
            fact = f"size is {descriptor.size}: the subject has {there} bytes"
            self._findings.add("image/subject", f"{claim}/size", fact)
        seen = self.seen.get(descriptor.digest)
        if seen is not None and seen.descriptor.media_type != descriptor.media_type:
            fact = f'mediaType is "{descriptor.media_type}": the subject is of type "{seen.descriptor.media_type}"'
            self._findings.add("image/subject", f"{claim}/mediaType", fact)

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
            self._findings.add("image/platform", path_below(place, "config"), fact)


def diff_ids_of(config: Mapping[str, Any]) -> list[Any]:
    """The diff_ids of a configuration, unchecked."""
    return lenient_member(lenient_member(config, "rootfs", dict), "diff_ids", list)


def _part(kind: str | None) -> str:
    return "index" if kind in {"oci-index", "docker-manifest-list"} else "manifest"


def _is_artifact(
    document: Mapping[str, Any],
    root: Descriptor,
    config: Descriptor | None,
    layers: Sequence[Descriptor | None],
    dialect: str,
) -> bool:
    """Whether a manifest is an attestation, a signature or a chart, not an image."""
    if config is not None and config.media_type not in CONFIG_TYPES[dialect]:
        return True
    if (root.platform is not None and not root.platform.known) or document.get("artifactType"):
        return True
    known = [layer for layer in layers if layer is not None]
    return bool(known) and not any(layer.media_type in types.LAYER_TYPES for layer in known)


def _diff_id_algorithm(diff_ids: Sequence[Any], number: int) -> str:
    text = diff_ids[number] if number < len(diff_ids) else ""
    algorithm = text.partition(":")[0] if isinstance(text, str) else ""
    return algorithm if algorithm in {"sha384", "sha512"} else "sha256"
