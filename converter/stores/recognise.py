"""Recognises what is at a bare path by its content, and finds the images below a folder that is none itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from converter.errors import ConverterError, Invalid, NotFound, within
from converter.model.frozen import frozen
from converter.model.media_types import CODECS
from converter.model.reference import Location, is_name
from converter.ports import Source
from converter.stores import aci_file, directory, oci_index
from converter.stores.disk import disk_errors, printable_path, walk_directory
from converter.stores.docker_archive import DockerArchive, tables
from converter.stores.media import DirectoryMedium, Medium
from converter.stores.media.tar_medium import TarMedium, display_name, open_bytes
from converter.stores.oci_layout import OciLayout
from converter.stores.options import Kind, StoreOptions
from converter.streams.blocks import COPY_BLOCK, closing, file_blocks, on_error, peek
from converter.streams.decompress import HEAD, decompress_any, require_tar
from converter.streams.tar.entry import Cursor
from converter.streams.tar.fields import MANIFEST, ROOTFS
from converter.streams.tar.scan import Scanner

ARCHIVES = tuple(suffix for codec in CODECS.values() for suffix in codec.suffixes)
"""How the names of archives end."""

_TABLES = frozenset((oci_index.LAYOUT, oci_index.INDEX, tables.MANIFEST, tables.REPOSITORIES))
"""The files of which an image in a folder has at least one: a layout, a ``dir:`` image, an unpacked archive."""


@frozen
class _Below:
    """How the images below a folder are found.

    A folder with a file of the names in ``itself`` is an image, and none is looked for below it. Below others, images
    are files with one of these ``endings``, ACIs if ``acis`` says so, and folders with a file of the names in
    ``folders``. ``what`` names them in messages; if it is empty, there may be none.
    """

    what: str = ""
    itself: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    folders: frozenset[str] = frozenset()
    acis: bool = False


_ARCHIVES_BELOW = _Below(
    what=f"archives ({', '.join(f'*{end}' for end in ARCHIVES)})", itself=_TABLES, endings=ARCHIVES
)
_BELOW = {
    "": _Below(what="images", itself=_TABLES, endings=ARCHIVES, folders=_TABLES, acis=True),
    "aci": _Below(what="*.aci file", acis=True),
    "dir": _Below(itself=frozenset((directory.MANIFEST,)), folders=frozenset((directory.MANIFEST,))),
    "docker-archive": _ARCHIVES_BELOW,
    "oci": _Below(what="OCI layouts", itself=_TABLES, folders=frozenset((oci_index.LAYOUT,))),
    "oci-archive": _ARCHIVES_BELOW,
}
"""By transport of images in files and folders. One of ``dir:`` is recognised by its manifest, as skopeo(1) does."""

_SUFFIXES = (".aci", *(f".{suffix.rpartition('.')[2]}" for suffix in ARCHIVES))
"""Suffixes of files, which no image name ends in."""

_ARMOUR = b"-----BEGIN PGP SIGNATURE-----"
_SIGNATURE_PACKETS = (b"\x88", b"\x89", b"\x8a", b"\xc2")
"""The first byte of a signature in OpenPGP's binary form, by the length of its length (RFC 9580, 4.2 and 5)."""


def open_source(location: Location, options: StoreOptions) -> Source:
    """A layout or an archive of one, a ``dir:`` image, a ``docker save`` archive, or an ACI; raises Invalid for the
    rest. A file whose name ends in ``.aci`` is an ACI, so that its own reader says what is wrong with it.
    """
    path = Path(location.path)
    if path.is_dir():
        if directory.is_image(path):
            return directory.DirectoryImage(path, options.problems)
        return _layout_or_saved(DirectoryMedium(path), options)
    file = _open_path(location.path)
    with on_error(os.close, file), within(display_name(path)):
        aci = path.suffix == ".aci" or _starts_as_aci(file)
    if aci:
        return aci_file.AciFile(path, file)
    return _layout_or_saved(TarMedium(path, file), options)


def images_below(location: Location) -> list[str]:
    """The paths of the images below a directory that is none itself, sorted; none for any other place. Without a
    transport, there may be images of any kind.

    Raises NotFound if there are none of the kind that the transport has.
    """
    path, kind = Path(location.path), _BELOW.get(location.transport)
    if kind is None or not path.is_dir() or _has_one_of(kind.itself, path):
        return []
    found = _found_below(path, kind)
    if not found and kind.what:
        hint = f" (for images of any kind: {location.path}, without {location.transport}:)"
        raise NotFound(f"no {kind.what} below {printable_path(path)}{hint if _found_below(path, _BELOW['']) else ''}")
    return found


def _found_below(path: Path, kind: _Below) -> list[str]:
    acis = aci_file.whole_acis_below(path) if kind.acis else set()
    found = []
    for folder, below, names in walk_directory(path):
        if _has_one_of(kind.folders, Path(folder)):
            found.append(folder)
            below.clear()
        else:
            files = [Path(folder, name) for name in names]
            found += [str(file) for file in files if file.name.endswith(kind.endings) or file in acis]
    return sorted(found)


def _has_one_of(names: Iterable[str], folder: Path) -> bool:
    with disk_errors(folder, "read"):
        return any((folder / name).is_file() for name in names)


def transport_at(path: str) -> str:
    """The transport that reads what is at a path; empty if none does."""
    with suppress(ConverterError), open_source(Location(transport="", path=path), StoreOptions()) as source:
        return transport_of(source, path)
    return ""


def transport_of(source: Source, path: str) -> str:
    """The transport that reads as ``source`` does, which was opened for a bare path."""
    if isinstance(source, OciLayout):
        return "oci" if Path(path).is_dir() else "oci-archive"
    return {aci_file.AciFile: "aci", directory.DirectoryImage: "dir", DockerArchive: "docker-archive"}[type(source)]


def is_of_kind(path: Path, kind: Kind) -> bool:
    """Whether a file is an image of a transport, or holds detached signatures. Raises StorageFailed."""
    if kind == "signature":
        with disk_errors(path, "read"), path.open("rb") as file:
            head = file.read(len(_ARMOUR))
        return head == _ARMOUR or head[:1] in _SIGNATURE_PACKETS
    found = transport_at(str(path))
    return found == kind and (found != "aci" or _has_manifest(path))


def _open_path(text: str) -> int:
    """Open the file at a bare path; raises NotFound, suggesting what may have been meant instead."""
    try:
        return open_bytes(Path(text))
    except NotFound as error:
        meant = Location.parse(f"oci:{text}")
        if meant.name and (transport := transport_at(meant.path)):
            raise NotFound(f"{error.fact} (an image in {meant.path}: {replace(meant, transport=transport)})") from None
        if is_name(text) and not text.startswith(".") and not text.endswith(_SUFFIXES):
            raise NotFound(f"{error.fact} (an image in a registry: docker://{text})") from None
        raise


def _layout_or_saved(medium: Medium, options: StoreOptions) -> Source:
    is_directory = isinstance(medium, DirectoryMedium)
    with on_error(medium.close):
        if medium.size(tables.MANIFEST) is not None or tables.has_repositories(medium):
            medium.where = f"docker-archive:{medium.where}"  # as a name of an image can be added to it
            return DockerArchive(medium, options.problems)
        if any(medium.size(name) is not None for name in (oci_index.LAYOUT, oci_index.INDEX)):
            medium.where = f"oci:{medium.where}" if is_directory else f"oci-archive:{medium.where}"
            return OciLayout(medium, options.problems)
        if is_directory and (first := first_in(medium.where)):
            raise Invalid(f"{medium.where} is a folder of images: name one, as in {first} (`transship sync` takes all)")
        fact = f"{medium.where} is not an image of a known kind: expected a layout, an archive or an ACI"
        raise Invalid(f"{fact} (the {'' if is_directory else 'tar of a '}root file system: rootfs:{medium.where})")


def first_in(folder: str) -> str:
    """The first in a directory, not below, that may be an image; empty if there is none."""
    with disk_errors(folder, "read"):
        found = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    return next((str(one) for one in found if one.name.endswith((*ARCHIVES, ".aci")) or _has_one_of(_TABLES, one)), "")


def _has_manifest(path: Path) -> bool:
    """Whether the file that starts as an ACI has a manifest, too, which may be at its end."""
    from converter.streams.tar.aci import manifest_in

    with suppress(ConverterError), aci_file.AciFile(path) as file:
        return bool(manifest_in(file.unverified()))
    return False


def _starts_as_aci(file: int) -> bool:
    """Whether the first entry is one that only an ACI has: ``manifest``, or something in ``rootfs``."""
    blocks = file_blocks(file, 0, os.fstat(file).st_size, COPY_BLOCK)
    codec, tar = decompress_any(blocks)
    head, tar = peek(tar, HEAD)
    with closing(tar) as source:
        require_tar(head, codec)
        # Not ``entries``, which also reads what follows the last entry: a file of zeros may be endless.
        entry = next(iter(Scanner(Cursor(source))), None)
    return entry is not None and entry.name.split(b"/")[0] in (MANIFEST, ROOTFS)
