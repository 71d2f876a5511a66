"""Finds the archives and layouts below a folder that is not an image itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converter.errors import NotFound
from converter.model.media_types import CODECS
from converter.stores import oci_index
from converter.stores.disk import printable_path, walk_directory

ARCHIVES = tuple(suffix for codec in CODECS.values() for suffix in codec.suffixes)
"""How the names of archives end."""

_TABLES = (oci_index.LAYOUT, oci_index.INDEX, "manifest.json", "repositories")
"""The files of which an image in a folder has at least one: a layout, a ``dir:`` image, an unpacked archive."""


def archives_below(path: str) -> list[str]:
    """The files below a folder that are called as archives are; none if the folder is an image, or no folder.

    Raises NotFound if there is none.
    """
    if not Path(path).is_dir() or is_image_folder(Path(path)):
        return []
    return require_some(
        found_below(path, folders=False), f"archives ({', '.join(f'*{end}' for end in ARCHIVES)})", path
    )


def layouts_below(path: str) -> list[str]:
    """The layouts below a folder that is none; none for what is no folder. Raises NotFound if there is none."""
    if not Path(path).is_dir() or is_image_folder(Path(path)):
        return []
    found = [folder for folder, _, names in walk_directory(Path(path)) if oci_index.LAYOUT in names]
    return require_some(sorted(found), "OCI layouts", path)


def found_below(path: str, *, folders: bool = True, taken: Callable[[Path], bool] = lambda _: False) -> list[str]:
    """What may be an image below a folder, sorted: archives, the files that are ``taken`` besides, and folders."""
    found = []
    for folder, below, names in walk_directory(Path(path)):
        if folders and is_image_folder(Path(folder)):
            found.append(folder)
            below.clear()
        else:
            files = [Path(folder, name) for name in names]
            found += [str(file) for file in files if file.name.endswith(ARCHIVES) or taken(file)]
    return sorted(found)


def is_image_folder(folder: Path) -> bool:
    """Whether the folder itself has the table of contents of an image."""
    return any((folder / name).is_file() for name in _TABLES)


def require_some(found: list[str], what: str, path: str) -> list[str]:
    """The list itself; raises NotFound if it is empty."""
    if not found:
        raise NotFound(f"no {what} below {printable_path(Path(path))}")
    return found
