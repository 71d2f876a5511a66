"""``index.json`` of an archive: indexes that are complete, and the manifest of each config."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from converter.errors import NotFound
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest, descriptors
from converter.model.document import load_object
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.ports import Fetch
from converter.stores import oci_index
from converter.stores.docker_archive.manifest_json import SavedImage, claimed_digest
from converter.stores.image_names import full_reference

Row = tuple[Descriptor, Digest | None, list[Digest]]
"""A manifest, the digest of its config, and those of its layers; the config is None if blobs are missing."""


@frozen(kw_only=False)
class CompleteIndex:
    """An index whose images are all present, and the digests of the manifests below it."""

    root: Descriptor
    manifests: frozenset[Digest]


@frozen(kw_only=False)
class Candidate:
    """A manifest, the digests of its layers, and its own names in full."""

    manifest: Descriptor
    layers: list[Digest]
    names: frozenset[str]


@frozen(kw_only=False)
class Listed:
    """Indexes, single manifests, and all manifests by their configs."""

    groups: list[CompleteIndex] = field(default_factory=list)
    singles: list[Descriptor] = field(default_factory=list)
    by_config: dict[Digest, list[Candidate]] = field(default_factory=dict)

    def manifest_of(self, config: Digest, saved: SavedImage) -> Descriptor | None:
        """The manifest with that config; if several, the one with a name of the row's, else the one with its layers."""
        names = frozenset(map(full_reference, saved.tags))
        layers = [claimed_digest(name) for name in saved.layers]

        def suits(candidate: Candidate) -> tuple[bool, bool]:
            return bool(names & candidate.names), candidate.layers == layers

        return max(found, key=suits).manifest if (found := self.by_config.get(config)) else None


def read_listed(entries: Iterable[Descriptor], fetch: Fetch) -> Listed:
    """Read every manifest that is present. Raises Invalid for one that is broken or does not match its digest.

    An index that lacks images (the Engine saves such) is not an image itself, but the images present keep their
    manifests. One that names none, as BuildKit's cache does, lacks none.
    """
    found = Listed()
    for entry in entries:
        below = list(_manifests(entry, fetch, set()))
        single = entry.media_type not in types.INDEXES
        names = frozenset(map(full_reference, oci_index.listed_image(entry).aliases)) if single else frozenset()
        for manifest, config, layers in below:
            if config is not None:
                found.by_config.setdefault(config, []).append(Candidate(manifest, layers, names))
        if single:
            found.singles.append(entry)
        elif all(config is not None for _, config, _ in below):
            found.groups.append(CompleteIndex(entry, frozenset(manifest.digest for manifest, _, _ in below)))
    return found


def _manifests(entry: Descriptor, fetch: Fetch, seen: set[Digest], depth: int = 0) -> Iterator[Row]:
    """Every image manifest at or below an entry, except attestations and documents of other types.

    Each of them is read once, however often indexes name it; ``seen`` holds those read already.
    """
    current_limits().require("index_depth", depth, "indexes within each other")
    attestation = entry.platform is not None and not entry.platform.known
    if attestation or entry.digest in seen or entry.media_type not in types.INDEXES | types.MANIFESTS:
        return
    seen.add(entry.digest)
    try:
        document = load_object(fetch(entry).read())
    except NotFound:
        yield entry, None, []
        return
    if entry.media_type in types.INDEXES:
        for child in descriptors(document, "manifests"):
            yield from _manifests(child, fetch, seen, depth + 1)
        return
    config = Descriptor.from_json(document.get("config"))
    layers = descriptors(document, "layers")
    there = all(_is_present(blob, fetch) for blob in (config, *layers))
    yield entry, config.digest if there else None, [layer.digest for layer in layers]


def _is_present(blob: Descriptor, fetch: Fetch) -> bool:
    try:
        fetch(blob)
    except NotFound:
        return False
    return True
