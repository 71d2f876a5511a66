"""Which paths exist after each layer, for the whitelist of one ACI per layer (image-spec 1.1.1, layer.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converter.errors import Unsupported
from converter.formats.accounts import Accounts
from converter.model.content import Blocks
from converter.model.limits import current_limits
from converter.streams.blocks import Block, closing
from converter.streams.tar.changesets import EffectiveEntries
from converter.streams.tar.fields import DIR, FILES, Budget, parent_name, quoted_name
from converter.streams.tar.scan import scan_entries
from converter.streams.tar.write import END

SEPARATOR = "\0"


class LayerPaths:
    """The paths of one layer, and those that it removes from the layers below."""

    def __init__(self) -> None:
        self._budget = Budget()
        self._effective = EffectiveEntries(self._budget)

    def add(self, path: bytes, ordinal: int, directory: bool) -> None:
        """Add an entry; called in archive order."""
        if not self._effective.remove(path):
            self._effective.add(path, parent_name(path), ordinal, directory)

    def over(self, below: str) -> list[bytes]:
        """The paths that exist once this layer lies on ``below``, the joined paths of the layers under it; sorted.

        Call it once, at the end: it releases this layer's names, which are what a large layer needs memory for.
        """
        there = {*self._effective.ordinals, *self._effective.directories}
        there.update(path for path in split_paths(below) if not self._effective.hides(path))
        there.discard(b"")
        self._effective = EffectiveEntries(self._budget)
        current_limits().require("names", sum(map(len, there)), "bytes of names")
        return sorted(there)

    @staticmethod
    def whitelist(paths: Iterable[bytes]) -> list[str]:
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


def record_paths(blocks: Blocks, paths: LayerPaths, accounts: Accounts) -> Iterator[Block]:
    """Pass on a layer's archive, recording its paths and account files."""
    with closing(blocks) as source:
        for ordinal, entry in enumerate(scan_entries(source)):
            if entry.type in FILES:
                paths.add(entry.name, ordinal, entry.type == DIR)
            yield from accounts.watch(entry)
    yield END


def join_paths(paths: Iterable[bytes]) -> str:
    """Paths as one text; bytes that are not UTF-8 survive."""
    return SEPARATOR.join(path.decode("utf-8", "surrogateescape") for path in paths)


def split_paths(text: str) -> Iterator[bytes]:
    """The paths of a joined text."""
    start, end = 0, len(text)
    while start < end:
        stop = text.find(SEPARATOR, start)
        stop = end if stop < 0 else stop
        yield text[start:stop].encode("utf-8", "surrogateescape")
        start = stop + 1
