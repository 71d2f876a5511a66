"""A root file system as a tar: the result of all layers in one archive; the same image gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from converter.errors import Invalid, Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment
from converter.stores.disk import disk_errors
from converter.stores.media.out_file import OutFile
from converter.stores.media.write_blob import write_blob
from converter.stores.overwriting import NOTHING, Overwriting
from converter.streams.blocks import write_all


class FlatSink:
    """Takes one tar. A directory's entry may follow those of its files: unpackers set directory attributes last."""

    accepts = frozenset((types.ROOTFS,))
    ordered = True

    def __init__(self, path: Path, overwriting: Overwriting = NOTHING) -> None:
        self._file = OutFile(path, overwriting)
        self._made: Descriptor | None = None

    def __enter__(self) -> Self:
        self._file.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._made is None:
                    raise Invalid("no image was written to the root file system")
                self._file.commit()
        finally:
            self._file.abort()

    def has(self, descriptor: Descriptor) -> bool:
        return self._made is not None and descriptor.digest == self._made.digest

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Take the tar; raises Unsupported for a second one. After an error from the blocks, another may follow."""
        only_one(self._made, media_type, self.accepts)

        def write(block: bytes | memoryview) -> None:
            with disk_errors(self._file.shown, "write"):
                write_all(self._file.fd, block)

        try:
            self._made = write_blob(blocks, expected, write).bare().retyped(media_type)
        except BaseException:
            self._file.abort()
            self._file.begin()
            raise
        return self._made

    def name(self, name: str, root: Descriptor) -> None:
        """Do nothing: there is no place for a name."""

    def attach(self, attachment: Attachment) -> None:
        """Raise Unsupported: nothing here would say what it refers to."""
        raise no_place_for(attachment)


def only_one(made: Descriptor | None, media_type: str, accepts: frozenset[str]) -> None:
    """Raise Unsupported for a second root file system, or for a type not in ``accepts``."""
    if media_type not in accepts:
        raise Unsupported(f'unsupported media type "{media_type}" (one of: {", ".join(sorted(accepts))})')
    if media_type == types.ROOTFS and made is not None:
        raise Unsupported("cannot write two images to one root file system")


def no_place_for(attachment: Attachment) -> Unsupported:
    """The error for an attachment."""
    return Unsupported(f"a root file system cannot have an attachment of type {attachment.descriptor.media_type}")
