"""One ACI per layer, each depending on the one below (appc spec 0.8.11, aci.md, "dependencies" and "pathWhitelist").

The image ID of a dependency is known only once it has been made, so the plan is a chain: each node depends on the
result of the one below. Its manifest is last in its archive, when the paths that it lists are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from converter.errors import Unsupported
from converter.formats.accounts import Accounts, note_accounts
from converter.formats.aci.app import with_groups
from converter.formats.aci.archive import file_entry, root_entry
from converter.formats.aci.reading import VERSION, render_manifest
from converter.formats.aci.writing import Written
from converter.model import media_types as types
from converter.model.content import Blocks, Compression, Derived, Known, Layer, LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.model.image import Image
from converter.model.limits import current_limits
from converter.plan import Made, Make
from converter.streams.blocks import Block, closing
from converter.streams.squash import squash
from converter.streams.tar.changesets import EffectiveEntries
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import DIR, END, FILES, MANIFEST, PREFIX, ROOTFS, Budget, parent_name, quoted_name
from converter.streams.tar.pax import XATTR, make_header
from converter.streams.tar.scan import scan_entries


def layer_chain(image: Image, written: Written, compression: Compression, epoch: int) -> Make:
    """The node of the top layer's ACI, with those of the lower layers as its inputs."""
    node: Make | None = None
    below: Mapping[str, Any] = {}
    for number, layer in enumerate(image.layers):
        top = number == len(image.layers) - 1
        document = standing_alone(written.document) if top else _lower_manifest(written.document, layer, number)
        pack = PackLayer(document=document, groupless=written.groupless if top else "", epoch=epoch)
        node = Make(
            content=_LayerOver(layer, pack, below, compression),
            media_type=types.ACI,
            inputs=(node,) if node else (),
            label=f"layer[{number}]",
        )
        below = document
    assert node is not None, "an image without layers is no chain"
    return node


def standing_alone(document: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without its dependencies, and without the whitelist that applies to them."""
    return {key: value for key, value in document.items() if key not in ("dependencies", "pathWhitelist")}


@frozen(kw_only=False)
class _LayerOver:
    """Makes an ACI of a layer with ``pack`` once the image below, whose manifest is ``below``, has been made."""

    layer: Layer
    pack: PackLayer
    below: Mapping[str, Any]
    compression: Compression

    def __call__(self, made: tuple[Made, ...], /) -> Derived:
        lower = made[0] if made else None
        more = {"dependencies": [_dependency(self.below, lower)]} if lower else {}
        rewrite = replace(
            self.pack, document={**self.pack.document, **more}, below=lower.facts if lower else LayerFacts()
        )
        return Derived(inputs=(self.layer,), rewrite=rewrite, compression=self.compression, algorithm="sha512")


def _dependency(document: Mapping[str, Any], made: Made) -> dict[str, Any]:
    """The dependency on the image below, with everything that identifies it."""
    row: dict[str, Any] = {"imageName": document["name"]}
    if made.diff_id is not None:
        row["imageID"] = made.diff_id.dashed
    if document.get("labels"):
        row["labels"] = document["labels"]
    return row | {"size": made.descriptor.size}


def _lower_manifest(document: Mapping[str, Any], layer: Layer, number: int) -> dict[str, Any]:
    """The manifest of a layer that is not the top one: it runs nothing, and is named after its content."""
    digest = layer.diff_id or (layer.content.descriptor.digest if isinstance(layer.content, Known) else None)
    last = digest.dashed if digest else f"layer-{number}"
    labels = document.get("labels")
    return {
        "acKind": "ImageManifest",
        "acVersion": VERSION,
        "name": f"{document['name']}-{last}",
    } | ({"labels": labels} if labels else {})


SEPARATOR = "\0"


@frozen
class PackLayer:
    """Packs one layer as an ACI on top of the one ``below``, given by its facts; learns what exists with this one.

    A layer removes files of lower layers by naming them; an ACI, by leaving them out of the paths that stay.
    """

    document: Mapping[str, Any] = field(repr=False)
    groupless: str = ""
    below: LayerFacts = field(default_factory=LayerFacts, repr=False)
    epoch: int = 0

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        effective, accounts = EffectiveEntries(Budget()), Accounts()
        # An ACI must have an entry for its root; a layer need not, and then it keeps the owner and times from below.
        roots = [self.below.root or root_entry(self.epoch)]

        def layer() -> Iterator[Block]:
            with closing(inputs[0]()) as source:
                for ordinal, entry in enumerate(scan_entries(source)):
                    path, directory = entry.name, entry.type == DIR
                    if entry.type in FILES and not effective.remove(path):
                        effective.add(path, parent_name(path), ordinal, directory)
                    if directory and not path:
                        roots.append(_root_header(entry))
                    yield from accounts.watch(entry)
            yield END

        def last() -> Iterator[Block]:
            there = _paths_over(self.below.paths, effective)
            facts.paths = SEPARATOR.join(path.decode("utf-8", "surrogateescape") for path in there)
            facts.root = roots[-1]
            note_accounts(accounts, facts, self.below)
            grouped = with_groups(self.document, self.groupless, facts)
            whitelist = _whitelist(there)
            there.clear()  # a large layer has many names; hold them only once
            yield file_entry(MANIFEST, render_manifest({**grouped, "pathWhitelist": whitelist}), self.epoch)

        return squash([layer], prefix=PREFIX, root=roots[0], after=last(), replaced=replaced, dangling=True)


def _root_header(entry: Entry) -> bytes:
    """The header of a layer's root, as an ACI has it."""
    return make_header(
        name=ROOTFS,
        type=DIR,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        uname=entry.uname,
        gname=entry.gname,
        mtime_ns=entry.mtime_ns,
        records={XATTR + key: value for key, value in entry.xattrs.items()},
    )


def _paths_over(below: str, effective: EffectiveEntries) -> list[bytes]:
    """The paths that exist once a layer lies on ``below``, the joined paths of the layers under it; sorted.

    The layer's own names, which are what a large one needs memory for, are released.
    """
    there = {*effective.ordinals, *effective.directories}
    lower = (found[0].encode("utf-8", "surrogateescape") for found in re.finditer(f"[^{SEPARATOR}]+", below))
    there.update(path for path in lower if not effective.hides(path))
    there.discard(b"")
    effective.ordinals.clear()
    effective.directories.clear()
    current_limits().require("names", sum(map(len, there)), "bytes of names")
    return sorted(there)


def _whitelist(paths: Iterable[bytes]) -> list[str]:
    """The paths as a manifest has them; raises Unsupported for one that is not UTF-8, which JSON cannot hold."""
    found = []
    for path in paths:
        try:
            found.append(f"/{path.decode()}")
        except UnicodeDecodeError:
            raise Unsupported(
                f"a pathWhitelist cannot hold {quoted_name(path)}, which is not UTF-8: leave out --layered"
            ) from None
    return found
