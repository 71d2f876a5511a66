"""A root file system as a tar: the result of all layers in one archive; the same image gives the same bytes."""

from __future__ import annotations

from pathlib import Path

from converter.errors import Invalid, Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment
from converter.stores.disk import disk_errors
from converter.stores.media import T, TargetSink
from converter.stores.media.out_file import OutFile
from converter.stores.media.write_blob import write_blob
from converter.stores.overwriting import NOTHING, Overwriting
from converter.streams.blocks import write_all


class OneRootSink(TargetSink[T]):
    """Takes one root file system, as a tar. There is no place for a name, nor for anything that refers to it."""

    accepts = frozenset((types.ROOTFS,))
    ordered = True

    def __init__(self, target: T) -> None:
        super().__init__(target)
        self._made: Descriptor | None = None

    def has(self, descriptor: Descriptor) -> bool:
        return self._made is not None and descriptor.digest == self._made.digest

    def name(self, name: str, root: Descriptor) -> None:
        """Do nothing."""

    def attach(self, attachment: Attachment) -> None:
        """Raise Unsupported: nothing here would say what it refers to."""
        raise Unsupported(f"a root file system cannot have an attachment of type {attachment.descriptor.media_type}")

    def _require_first(self, media_type: str) -> None:
        """Raise Unsupported for a second root file system, or for a type that is not accepted."""
        if media_type not in self.accepts:
            raise Unsupported(f'unsupported media type "{media_type}" (one of: {", ".join(sorted(self.accepts))})')
        if self._made is not None:
            raise Unsupported("cannot write two images to one root file system")


class FlatSink(OneRootSink[OutFile]):
    """Writes the tar. A directory's entry may follow those of its files: unpackers set directory attributes last."""

    def __init__(self, path: Path, overwriting: Overwriting = NOTHING) -> None:
        super().__init__(OutFile(path, overwriting))

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Take the tar; raises Unsupported for a second one. After an error from the blocks, another may follow."""
        self._require_first(media_type)
        file = self._target

        def write(block: bytes | memoryview) -> None:
            with disk_errors(file.shown, "write"):
                write_all(file.fd, block)

        try:
            self._made = write_blob(blocks, expected, write).bare().retyped(media_type)
        except BaseException:
            file.abort()
            file.begin()
            raise
        return self._made

    def _commit(self) -> None:
        if self._made is None:
            raise Invalid("no image was written to the root file system")
        self._target.commit()
