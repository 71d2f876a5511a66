"""The rewrites between ACIs and layers: declared here, performed while the bytes stream through.

Each is a value: equal rewrites make the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from converter.errors import DigestMismatch
from converter.formats.accounts import Accounts, note_accounts
from converter.formats.aci.app import with_groups
from converter.formats.aci.image_manifest import render_manifest
from converter.formats.aci.paths import LayerPaths, join_paths, record_paths
from converter.model.content import Blocks, LayerFacts, Open, Replaced
from converter.model.frozen import frozen
from converter.streams.blocks import Block, Meter, closing, join_blocks, metered
from converter.streams.squash import squash
from converter.streams.tar.aci import rebuild_aci, unpack_aci
from converter.streams.tar.entry import copy_entry
from converter.streams.tar.fields import DIR, MANIFEST, PREFIX, ROOTFS
from converter.streams.tar.pax import XATTR
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.write import END, make_header, padding_bytes


@frozen
class UnpackAci:
    """Turns an ACI's tar into a layer's; learns how to undo that, unless the result will be changed further.

    ``image_id`` is the ACI's required image ID, or the beginning of it.
    """

    image_id: str = ""
    recipe: bool = True

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        blocks: Blocks = inputs[0]()
        if self.image_id:
            blocks = check_image_id(blocks, self.image_id)

        def learn(recipe: str) -> None:
            facts.recipe = recipe if self.recipe else facts.recipe

        return unpack_aci(blocks, learn)


@frozen(kw_only=False)
class ExamineAci:
    """Reads an ACI's tar to its end; raises Invalid if it violates the rules. The output is discarded."""

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        return unpack_aci(inputs[0](), lambda _recipe: None, reserved=lambda _name: None)


@frozen
class RebuildAci:
    """Turns a layer's tar back into that of the ACI it was made from."""

    recipe: str = field(repr=False)
    manifest: str = field(repr=False)

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, _replaced: Replaced, /) -> Blocks:
        return rebuild_aci(inputs[0](), self.recipe, self.manifest.encode())


@frozen
class Keep:
    """Only these paths of a layer, and the directories above them; from lower layers, what its links need."""

    paths: frozenset[bytes] = field(repr=False)

    def __call__(self, inputs: Sequence[Open], _facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        return squash(inputs, keep=self.paths, replaced=replaced, dangling=True)


@frozen
class PackAci:
    """Packs all layers as one ACI. The manifest is first, or last if a group must be looked up in the image.

    ``epoch`` is the time, in seconds, of entries that no layer has.
    """

    document: Mapping[str, Any] = field(repr=False)
    groupless: str = ""
    epoch: int = 0

    def __call__(self, inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Blocks:
        squashed = squash(inputs, prefix=PREFIX, root=root_entry(self.epoch), replaced=replaced)
        return self._grouped(squashed, facts) if self.groupless else join_blocks(self._led(squashed))

    def _led(self, squashed: Blocks) -> Iterator[Block]:
        yield file_entry(MANIFEST, render_manifest(self.document), self.epoch)
        yield from squashed

    def _grouped(self, squashed: Blocks, facts: LayerFacts) -> Iterator[Block]:
        accounts = Accounts(PREFIX)
        yield from accounts.watched_entries(squashed)
        note_accounts(accounts, facts)
        document = with_groups(self.document, self.groupless, facts)
        yield file_entry(MANIFEST, render_manifest(document), self.epoch)
        yield END


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
        paths = LayerPaths()
        accounts = Accounts()
        roots = [self.below.root or root_entry(self.epoch)]

        def last() -> Iterator[Block]:
            there = paths.over(self.below.paths)
            facts.paths, facts.root = join_paths(there), roots[-1]
            note_accounts(accounts, facts, self.below)
            grouped = with_groups(self.document, self.groupless, facts)
            whitelist = paths.whitelist(there)
            there.clear()  # a large layer has many names; hold them only once
            yield file_entry(MANIFEST, render_manifest({**grouped, "pathWhitelist": whitelist}), self.epoch)

        def layer() -> Blocks:
            return report_root_header(record_paths(inputs[0](), paths, accounts), roots.append)

        return squash([layer], prefix=PREFIX, root=roots[0], after=last(), replaced=replaced, dangling=True)


def root_entry(epoch: int) -> bytes:
    """The entry for a root that no layer has."""
    return make_header(name=ROOTFS, type=DIR, mode=0o755, mtime_ns=epoch * 1_000_000_000)


def file_entry(name: bytes, data: bytes, epoch: int) -> bytes:
    """A regular file's entry, complete and reproducible."""
    return make_header(name=name, size=len(data), mtime_ns=epoch * 1_000_000_000) + data + padding_bytes(len(data))


def report_root_header(blocks: Blocks, report: Callable[[bytes], None]) -> Iterator[Block]:
    """Pass on the entries of a layer; call ``report`` with the header of its root, as an ACI has it.

    An ACI must have an entry for its root; a layer need not, and then the root keeps the owner and times from below.
    """
    with closing(blocks) as source:
        for found in scan_entries(source):
            if found.name == b"" and found.type == DIR:
                report(
                    make_header(
                        name=ROOTFS,
                        type=DIR,
                        mode=found.mode,
                        uid=found.uid,
                        gid=found.gid,
                        uname=found.uname,
                        gname=found.gname,
                        mtime_ns=found.mtime_ns,
                        records={XATTR + key: value for key, value in found.xattrs.items()},
                    )
                )
            yield from copy_entry(found)
    yield END


def check_image_id(blocks: Blocks, image_id: str) -> Iterator[Block]:
    """Pass on the tar of an ACI; raises DigestMismatch at its end if its ID does not begin with ``image_id``."""
    meter = Meter("sha512")
    yield from metered(blocks, meter)
    found = meter.digest().dashed
    if not found.startswith(image_id):
        raise DigestMismatch(f"image ID mismatch: expected {image_id}, computed {found}")
