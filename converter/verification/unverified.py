"""An image that is to be verified: its documents, its name and its signatures, none of them verified yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from converter import formats
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import signature_files
from converter.stores.base_source import full_reference
from converter.trust import stored_signatures
from converter.trust.identity import may_be_full, name_of
from converter.trust.signature import Signature, Subject


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
    root: Descriptor
    subject: Subject
    signatures: tuple[Signature, ...]
    own_name: str = ""
    own_version: str = ""


@contextmanager
def open_unverified(stored: StoredImage, identity: str) -> Iterator[Unverified]:
    """Find the signatures of an image; temporary files that they need exist until the context is left.

    ``identity`` is its name, if the caller gives one. Raises what reading raises.
    """
    source, location = stored.source, stored.location
    known = formats.with_media_type(source.fetch(stored.root))
    root = replace(stored.root, media_type=known.descriptor.media_type)
    is_file = root.media_type in types.SINGLE_FILE_TYPES
    manifest = b"" if is_file else known.read()
    own_name, own_version = formats.own_name(formats.decode(known, source.fetch)) if is_file else ("", "")
    with TemporaryDirectory(prefix="transship-") as folder:
        yield Unverified(
            location=location,
            root=root,
            subject=Subject(
                manifest=manifest,
                descriptor=root,
                name=None if is_file else name_of(location, root, identity),
                file=_spooled(known, Path(folder, "image")) if is_file else None,
            ),
            signatures=stored_signatures.find_signatures(source.attachments(root.digest), source.fetch, manifest, root),
            own_name=own_name,
            own_version=own_version,
        )


def lookaside_signatures(folder: Path, image: Unverified) -> Iterator[Signature]:
    """The simple signatures of the image in a lookaside, under the name that its own store gives it."""
    name = name_of(image.location, image.root) or image.subject.name
    if name is None:
        return
    digest = image.root.digest
    for path, data in signature_files.read_lookaside(folder, name, digest):
        yield from stored_signatures.signatures_in_blob(data, str(path), str(digest))


def names_in_store(stored: StoredImage) -> tuple[str, ...]:
    """All full names of the image in its store, unless its reference already says which one is meant."""
    source, location = stored.source, stored.location
    if location.kind.holds == "name" or may_be_full(location.name):
        return ()
    names = (name for name in source.names() if may_be_full(name) and source.resolve(name).digest == stored.root.digest)
    return tuple(dict.fromkeys(filter(None, map(full_reference, names))))


def _spooled(known: Known, path: Path) -> Callable[[], str]:
    """Returns a function that copies the file once: the library wants a path, which must have exactly these bytes."""

    def spool() -> str:
        if not path.exists():
            # It has another name until it is complete, so that a copy that failed its digest is not used next time.
            coming = path.with_suffix(".coming")
            with coming.open("wb") as file:
                file.writelines(known.blocks())
            coming.rename(path)
        return str(path)

    return spool
