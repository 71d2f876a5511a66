"""The list of images that Docker and OCI share, under two media types (image-spec 1.1.1, image-index.md).

As for manifests, encoding starts from the document that was read. An index names only what is present: an entry that
was left out is left out of the document too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from converter.errors import Unsupported, within
from converter.formats.documents import read_document
from converter.formats.manifest import (
    ZSTD_INSTANCE,
    Dialect,
    algorithm_of,
    bare_descriptor,
    decode as decode_manifest,
    row_json,
    set_annotations,
    written_by,
)
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor, descriptors
from converter.model.document import dump_json
from converter.model.frozen import frozen
from converter.model.image import REFERENCE, Index, IndexEntry, Item, Original
from converter.plan import Copy, Leaf, Made, Make, Node, Write
from converter.ports import Encode, Fetch


def decode(root: Known, fetch: Fetch, dialect: Dialect) -> Item:
    """Read a manifest with its configuration, or the entries of an index, but not what they name."""
    if root.descriptor.media_type != dialect.index:
        return decode_manifest(root, fetch, dialect)
    document = read_document(root)
    return Index(
        entries=tuple(IndexEntry(descriptor=each) for each in descriptors(document, "manifests")),
        annotations=document.get("annotations") or {},
        original=Original(format=dialect.name, manifest=root),
    )


def encode(item: Index, dialect: Dialect, encode_entry: Encode) -> Node:
    """Plan an index and everything it lists, in its order."""
    nodes: list[Node] = []
    named: dict[Leaf, Leaf] = {}
    names = _names(item.entries)
    for number, entry in enumerate(item.entries):
        with within(f"manifests[{number}]"):
            if entry.item is None:
                raise Unsupported(f"{entry.descriptor.digest} was not read: an index is written with all its images")
            nodes.append(_named(encode_entry(entry.item), names[number], named))
    return Write(
        media_type=dialect.index,
        inputs=tuple(nodes),
        render=_Index(item, tuple(map(_has_zstd, nodes)), dialect),
        algorithm=algorithm_of(item.original, dialect.name),
    )


def _has_zstd(node: Node) -> bool:
    return isinstance(node, Write) and any(child.media_type.endswith("zstd") for child in node.inputs)


def _names(entries: Sequence[IndexEntry]) -> list[str]:
    """What people know each entry by: its platform, if no other has the same."""
    named = [one.descriptor.platform for one in entries]
    platforms = [str(one) if one is not None and one.known else "" for one in named]
    return [
        platform if platform and platforms.count(platform) == 1 else f"manifests[{number}]"
        for number, platform in enumerate(platforms)
    ]


def _named(node: Node, name: str, named: dict[Leaf, Leaf]) -> Node:
    """The node with this name before the labels of its leaves; one that an earlier entry also has, stays the same.

    A manifest and its configuration name the same leaves, which have to stay equal.
    """
    if isinstance(node, Copy | Make):
        return named.setdefault(node, replace(node, label=f"{name} {node.label}")) if node.label else node
    if node.media_type in types.INDEXES:
        return node  # its leaves have their names from its own entries
    return replace(node, inputs=tuple(_named(one, name, named) for one in node.inputs))


@frozen(kw_only=False)
class _Index:
    """Renders an index from its manifests; ``of_zstd`` says which of them have zstd layers."""

    item: Index
    of_zstd: tuple[bool, ...]
    dialect: Dialect

    def __call__(self, made: tuple[Made, ...], /) -> bytes:
        entries = [entry.descriptor for entry in self.item.entries]
        renamed = {str(entry.digest): str(new.descriptor.digest) for entry, new in zip(entries, made, strict=True)}
        before = written_by(self.item.original, self.dialect.name)
        document = dict(before) or {"schemaVersion": 2, "mediaType": self.dialect.index}
        old = {str(row["digest"]): row for row in before.get("manifests") or ()}
        rows: list[Any] = []
        for entry, of_zstd, new in zip(entries, self.of_zstd, made, strict=True):
            row = _updated_row(entry, new.descriptor, renamed, self.dialect, of_zstd=of_zstd)
            rows.append(row_json(row, old.get(str(row.digest))))
        document["manifests"] = rows
        set_annotations(document, {} if self.dialect.bare and not before else self.item.annotations)
        if document == before and self.item.original is not None:
            return self.item.original.manifest.read()
        return dump_json(document)


def _updated_row(
    entry: Descriptor, made: Descriptor, renamed: Mapping[str, str], dialect: Dialect, *, of_zstd: bool
) -> Descriptor:
    annotations = dict(entry.annotations)
    if REFERENCE in annotations:
        annotations[REFERENCE] = renamed.get(annotations[REFERENCE], annotations[REFERENCE])
    same = made.digest == entry.digest
    if not (same or of_zstd):
        annotations.pop(ZSTD_INSTANCE, None)
    row = replace(
        entry,
        media_type=made.media_type,
        digest=made.digest,
        size=made.size,
        annotations=annotations,
        data=entry.data if same else None,
    )
    return bare_descriptor(row) if dialect.bare else row
