"""Signatures of an image that is there, which stays as it is: in a ``dir:``, in a lookaside, or next to an ACI.

A lookaside is a folder or a web server's directory of simple signatures by name and digest (containers/image,
docs/signature-protocols.md): ``NAMESPACE/NAME@sha256=HEX/signature-N``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from converter.model.descriptor import Digest
from converter.model.limits import MIB
from converter.model.reference import ImageName
from converter.stores.aci_file import signature_path
from converter.stores.directory import signature_names
from converter.stores.disk import disk_errors, read_regular, regular_size
from converter.stores.media.file_target import write_new
from converter.stores.media.temporary import lock_directory

SIGNATURE = 4 * MIB
"""The largest signature that is read, in bytes."""


def add_to_directory(folder: Path, data: bytes, root: Digest, subject: Digest) -> Path:
    """Add a signature to a ``dir:`` image, under the first free number."""
    return _add_numbered(folder, signature_names(subject, root), data)


def add_to_lookaside(folder: Path, name: ImageName, subject: Digest, data: bytes) -> Path:
    """Add a signature to a lookaside, under the first free number."""
    place = lookaside_path(folder, name, subject)
    with disk_errors(place, "make"):
        place.mkdir(parents=True, exist_ok=True)
    return _add_numbered(place, signature_names(subject, subject), data)


def read_beside(path: Path) -> bytes:
    """The detached signatures next to a file; empty if there are none, or a file that holds something else."""
    from converter.stores.recognise import is_of_kind

    beside = signature_path(path)
    if not regular_size(beside) or not is_of_kind(beside, "signature"):
        return b""
    return b"".join(read_regular(beside))


def read_lookaside(folder: Path, name: ImageName, subject: Digest) -> Iterator[tuple[Path, bytes]]:
    """The signatures of an image in a lookaside, in the order of their numbers; oversized ones are skipped."""
    place = lookaside_path(folder, name, subject)
    for path in map(place.joinpath, signature_names(subject, subject)):
        size = regular_size(path)
        if size is None:
            return
        if size <= SIGNATURE:
            yield path, b"".join(read_regular(path))


def lookaside_path(folder: Path, name: ImageName, subject: Digest) -> Path:
    """The folder of an image's signatures."""
    return folder / f"{name.repository}@{subject.algorithm}={subject.encoded}"


def _add_numbered(folder: Path, names: Iterator[str], data: bytes) -> Path:
    with lock_directory(folder):
        paths = map(folder.joinpath, names)
        path = next(path for path in paths if not os.path.lexists(path))
        write_new(path, (data,))
    return path
