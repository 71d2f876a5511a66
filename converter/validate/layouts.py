"""Checks what places of several images say about them: OCI layouts, and archives of ``docker save`` of any generation.

For layouts: image-spec 1.1.1, image-layout.md. For archives: moby, image/tarexport; image/spec/v1.2.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from converter.errors import NotFound, unless_invalid
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest, subject_of
from converter.model.document import lenient_member, read_json
from converter.model.reference import FULL_NAME, REF_NAME
from converter.stores.base_source import POSITION, full_reference
from converter.stores.docker_archive import DockerArchive, tables
from converter.stores.docker_archive.tables import SavedImage, claimed_digest
from converter.stores.oci_index import INDEX, attached_to
from converter.stores.oci_layout import OciLayout
from converter.streams.blocks import digest_and_size
from converter.validate.blobs import BlobReader, DescriptorClaim
from converter.validate.entries import SeenLayer, report_dangling
from converter.validate.findings import Findings, path_of_member
from converter.validate.image_walk import ImageWalk, diff_ids_of

_PART = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")
_BLOBS = "blobs/"


def check_layout(layout: OciLayout, walk: ImageWalk, name: str) -> None:
    """Check everything or, with a name, that image and its attachments; ``walk`` reads what descriptors name.

    Raises NotFound for the name.
    """
    _check_names(layout, walk.findings)
    named = _digests_named(name, layout, walk.findings) if name else None
    for number, entry in layout.rows.items():
        if named is None or entry.digest in named:
            claim = DescriptorClaim(entry, path_of_member(INDEX, f"/manifests/{number}"))
            walk.item(claim, f"manifests/{number}")
    _check_attached(layout, walk)
    if not name:
        _check_unnamed(layout, walk)


def _check_names(layout: OciLayout, findings: Findings) -> None:
    seen: dict[tuple[str, str, str], int] = {}
    for number, entry in layout.rows.items():
        short = entry.annotations.get(REF_NAME, "")
        if not short:
            continue
        path = path_of_member(INDEX, f"/manifests/{number}/annotations/{REF_NAME}")
        if not _NAME.fullmatch(short):
            fact = f'invalid name "{short[:100]}": expected letters and digits, with one of -._:@+/ or -- in between'
            findings.add("oci/layout-name-syntax", path, fact)
        key = short, entry.annotations.get(FULL_NAME, ""), str(entry.platform)
        if seen.setdefault(key, number) != number:
            fact = f'entry {seen[key]} has the name "{short[:100]}", too'
            findings.add("oci/layout-name", path, fact)


def _digests_named(name: str, layout: OciLayout, findings: Findings) -> frozenset[Digest]:
    """The digests of the image of that name and of its referrers."""
    try:
        root = layout.resolve(name).digest
    except NotFound:
        if findings.has_error():
            # The name may be in what cannot be read.
            return frozenset()
        raise
    about = [one.descriptor.digest for one in layout.attachments(root)]
    about += [entry.digest for entry in layout.rows.values() if attached_to(entry) == root]
    return frozenset((root, *about))


def _check_attached(layout: OciLayout, walk: ImageWalk) -> None:
    """Compare the subject that an attachment's name states with the one in its document."""
    for number, entry in layout.rows.items():
        named, seen = attached_to(entry), walk.seen.get(entry.digest)
        if named is None or seen is None:
            continue
        subject = unless_invalid(subject_of, seen.document)
        if subject not in (None, named):
            path = f"manifests/{number}/manifest#/subject/digest"
            fact = f"subject is {subject}: the attachment's name says {named}"
            walk.findings.add("image/referrer", path, fact)


def _check_unnamed(layout: OciLayout, walk: ImageWalk) -> None:
    """Check blobs that no descriptor names against their file names."""
    for name in layout.medium.names():
        if not name.startswith(_BLOBS):
            continue
        algorithm, _, encoded = name[len(_BLOBS) :].partition("/")
        digest = unless_invalid(Digest.parse, f"{algorithm}:{encoded}")
        if digest is None:
            fact = f'invalid name "{name[len(_BLOBS) :][:150]}": expected ALGORITHM/ENCODED, as in a digest'
            walk.findings.add("oci/blob-name", name, fact)
        elif digest not in walk.read and digest.algorithm in HEX_LENGTHS:
            with walk.findings.at(name):
                found = digest_and_size(layout.medium.open(name), digest.algorithm).digest()
                if found != digest:
                    fact = f"digest mismatch: expected {digest}, computed {found}"
                    walk.findings.add("oci/blob-content", name, fact)


_MANIFEST, _NAMES = tables.MANIFEST, tables.REPOSITORIES
_CONFIG = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?")
_MISSING = "docker/archive-file"


class SavedCheck:
    """An archive that was opened."""

    def __init__(self, archive: DockerArchive, blobs: BlobReader) -> None:
        self._archive = archive
        self._medium = archive.medium
        self._blobs = blobs
        self._findings = blobs.findings
        self._layers: dict[str, SeenLayer] = {}
        self._walk = ImageWalk(archive.fetch, blobs, saved=True)

    def run(self, name: str) -> None:
        """Check everything, or, if it is not empty, the image of a name. Raises NotFound for the name."""
        rows, layout = self._archive.rows, self._archive.layout
        missing = None
        found = self._chains(name)
        # A position is that of a row, if there are any.
        if layout is not None and not (rows is not None and re.fullmatch(POSITION, name)):
            try:
                check_layout(layout, self._walk, name)
                found = True
            except NotFound as error:
                missing = error
        if rows is not None:
            self._tags(rows)
        for number, row in enumerate(rows or ()):
            if not name or _is_named(row, number, name):
                self._row(row, number)
                found = True
        if name and not found and not self._findings.has_error():
            raise missing or NotFound(f'no image "{name[:200]}" in {self._medium.where}')

    def _chains(self, name: str) -> bool:
        """Check the images from before Docker 1.10, or the one of a name; returns whether there was any."""
        tops = [
            top for top, names in self._archive.chains if not name or full_reference(name) in map(full_reference, names)
        ]
        for top in tops:
            self._blobs.image()
            files = [f"{layer}/layer.tar" for layer in reversed(list(self._archive.chain_reader.of(top)))]
            layers = [self._layer(file, file, file) for file in files]
            report_dangling(layers)
        return bool(tops)

    def _row(self, row: SavedImage, number: int) -> None:
        claim = path_of_member(_MANIFEST, f"/{number}/Config")
        data = None
        with self._findings.at(claim, missing=_MISSING):
            data = self._medium.read_document(row.config) if row.config else None
        seen = data is not None and self._in_layout(Digest.of(data), row.layers)
        sources: list[Descriptor | None] = []
        if data is not None:
            self._config_name(row.config, data, claim)
            sources = [row.sources.get(str(diff_id)) for diff_id in diff_ids_of(read_json(data).value)]
        config = {} if data is None or seen else self._findings.load_object(data, "docker-config", f"{number}/config")
        self._sources(row.layers, sources, number)
        if not seen:
            self._blobs.image()
            layers = []
            for place, (name, source) in enumerate(zip_longest(row.layers, sources[: len(row.layers)])):
                claim = path_of_member(_MANIFEST, f"/{number}/Layers/{place}")
                layers.append(self._layer(name, claim, f"{number}/layers/{place}", source))
            if config:
                self._walk.image(config, layers, str(number))

    def _in_layout(self, config: Digest, layers: Sequence[str]) -> bool:
        """Whether the same image was already checked as a manifest of the layout."""
        for seen in self._walk.seen.values():
            described = lenient_member(seen.document, "config", dict)
            names = [lenient_member(row, "digest", str) for row in lenient_member(seen.document, "layers", list)]
            if described.get("digest") == str(config) and names == [str(_claimed(layer)) for layer in layers]:
                return True
        return False

    def _config_name(self, name: str, data: bytes, claim: str) -> None:
        """Check a name that is a digest; a false one breaks a rule of blobs below ``blobs``, of archives elsewhere."""
        match, actual = _CONFIG.fullmatch(name), Digest.of(data)
        if match and match[1] != actual.encoded:
            rule = "docker/archive-config-name" if _claimed(name) is None else "image/blob-digest"
            self._findings.add(rule, claim, f"digest mismatch: expected sha256:{match[1]}, computed {actual}")

    def _layer(self, name: str, claim: str, place: str, source: Descriptor | None = None) -> SeenLayer | None:
        """Read a layer, once; None if it is missing, which is a finding unless its ``source`` is elsewhere."""
        with self._findings.at(claim, missing=_MISSING):
            if self._medium.size(name) is None:
                if source is not None and source.urls:
                    return None
                raise NotFound(f'no file "{name[:200]}" in {self._medium.where}')
            if name not in self._layers:
                named = None
                promised = _claimed(name)
                if promised is not None:
                    named = DescriptorClaim(Descriptor(media_type="", digest=promised, size=-1), claim)
                self._layers[name] = self._blobs.layer(lambda: self._medium.open(name), place, named)
        return self._layers.get(name)

    def _sources(self, layers: Sequence[str], sources: Sequence[Descriptor | None], number: int) -> None:
        """Check what ``LayerSources`` says of layers below blobs/; others may be plain and described as compressed."""
        claim = path_of_member(_MANIFEST, f"/{number}/LayerSources")
        for name, source in zip(layers, sources):
            promised = _claimed(name)
            if promised is None or source is None:
                continue
            with self._findings.at(claim):
                size = self._medium.size(name)
                if source.digest != promised:
                    fact = f"digest is {source.digest}: the layer's name says {promised}"
                    self._findings.add("docker/archive-layer-source", claim, fact)
                elif size not in (None, source.size):
                    fact = f"size is {source.size}: the layer has {size} bytes"
                    self._findings.add("docker/archive-layer-source", claim, fact)

    def _tags(self, rows: Sequence[SavedImage]) -> None:
        """Check that each name has one image and, if there is a file ``repositories``, that it has the same names."""
        seen: dict[str, int] = {}
        for number, row in enumerate(rows):
            for place, tag in enumerate(row.tags):
                if seen.setdefault(tag, number) != number:
                    fact = f'image {seen[tag]} has the name "{tag[:200]}", too'
                    path = path_of_member(_MANIFEST, f"/{number}/RepoTags/{place}")
                    self._findings.add("docker/archive-tag-repeated", path, fact)
        rule = "docker/archive-repositories"
        names = tables.read_names(self._medium, self._findings, rule)
        if names is None:
            return
        listed = {full_reference(name) for name, _ in names}
        tagged = {full_reference(tag): number for tag, number in seen.items() if rows[number].layers}
        for name in sorted(listed - {full_reference(tag) for tag in seen}):
            self._findings.add(rule, _NAMES, f'no image "{name}" in {_MANIFEST}')
        for name in sorted(tagged.keys() - listed):
            path = path_of_member(_MANIFEST, f"/{tagged[name]}/RepoTags")
            self._findings.add(rule, path, f'"{name}" is missing in {_NAMES}')


def _claimed(name: str) -> Digest | None:
    """The digest that a file's name states; None if it states none."""
    return unless_invalid(claimed_digest, name)


def _is_named(row: SavedImage, number: int, name: str) -> bool:
    if position := re.fullmatch(POSITION, name):
        return int(position[1]) == number
    full = full_reference(name)
    return any(name == tag or (full and full_reference(tag) == full) for tag in row.tags)
