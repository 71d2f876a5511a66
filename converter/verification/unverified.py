"""An image that is to be verified: its documents, its name and its signatures, none of them verified yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from converter import formats
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location
from converter.ports import Source
from converter.stores import signature_files
from converter.stores.base_source import full_reference
from converter.streams import spool
from converter.trust import stored_signatures
from converter.trust.identity import may_be_full, name_of
from converter.trust.signature import Signature, Subject
from converter.verification.profile_check import StoredContent, note_on_content
from converter.verification.wanted import Wanted


@frozen(kw_only=False)
class StoredImage:
    """A stored image: its open source, the reference to it, and the descriptor of its root."""

    source: Source
    location: Location
    root: Descriptor


@frozen
class Unverified:
    """An image to verify. ``own_name`` and ``own_version`` are from an ACI's manifest; empty for other formats."""

    location: Location
    subject: Subject
    signatures: tuple[Signature, ...]
    own_name: str = ""
    own_version: str = ""


@contextmanager
def open_unverified(stored: StoredImage, wanted: Wanted) -> Iterator[Unverified]:
    """Find the signatures of an image; temporary files that they need exist until the context is left.

    ``wanted`` says where else to look for them, and may give the image a name. Raises what reading raises.
    """
    source, location = stored.source, stored.location
    known = formats.with_media_type(source.fetch(stored.root))
    root = replace(stored.root, media_type=known.descriptor.media_type)
    manifest, own_name, own_version = b"", "", ""
    name: ImageName | None = None
    file: Callable[[], str] | None = None
    with TemporaryDirectory(prefix="transship-") as folder, ExitStack() as files:
        if root.media_type in types.SINGLE_FILE_TYPES:
            own_name, own_version = formats.own_name(formats.decode(known, source.fetch))
            file = cache(partial(_copy, known, Path(folder, "image")))
        else:
            manifest = known.read()
            name = name_of(location, root, wanted.identity)
        signatures = [*stored_signatures.find_signatures(source.attachments(root.digest), source.fetch, manifest, root)]
        for lookaside in wanted.lookasides:
            signatures += _lookaside_signatures(lookaside, location, root, name)
        yield Unverified(
            location=location,
            subject=Subject(
                manifest=manifest,
                descriptor=root,
                name=name,
                file=file,
                content=partial(note_on_content, StoredContent(stored, files, wanted.find)),
            ),
            signatures=tuple(signatures),
            own_name=own_name,
            own_version=own_version,
        )


def _lookaside_signatures(
    folder: Path, location: Location, root: Descriptor, asked: ImageName | None
) -> Iterator[Signature]:
    """The simple signatures of an image in a lookaside, under the name that its own store gives it, else ``asked``."""
    name = name_of(location, root) or asked
    if name is not None:
        for path, data in signature_files.read_lookaside(folder, name, root.digest):
            yield from stored_signatures.signatures_in_blob(data, str(path), str(root.digest))


def names_in_store(stored: StoredImage) -> tuple[str, ...]:
    """All full names of the image in its store, unless its reference already says which one is meant."""
    source, location = stored.source, stored.location
    if location.kind.holds == "name" or may_be_full(location.name):
        return ()
    names = (name for name in source.names() if may_be_full(name) and source.resolve(name).digest == stored.root.digest)
    return tuple(dict.fromkeys(filter(None, map(full_reference, names))))


def _copy(known: Known, path: Path) -> str:
    """Copy the file, and return its path: the library wants one, which must have exactly these bytes.

    A copy that fails its digest raises, and is not used next time.
    """
    with spool.disk_errors("write"), path.open("wb") as file:
        file.writelines(known.blocks())
    return str(path)
