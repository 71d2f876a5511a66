"""``transship ls``, ``cat``: the files of an image, whatever its format; ``transship tags``: the images in a place."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import Command, LayerCommand
from converter.cli.flags import WholeNumber, common, flags
from converter.cli.progress import progress
from converter.cli.shared_options import aci_path_option, store_from_options, store_options, this_platform_option
from converter.cli.text import BLUE, show, show_json, show_lines
from converter.errors import Usage, within
from converter.model.content import Known
from converter.model.limits import size
from converter.model.reference import ImageName, Location

if TYPE_CHECKING:
    from converter.browse import File, Files

EXAMPLES = """\b
Examples:
  transship ls oci:app
  transship ls -l docker://registry.example/app:1 /etc
  transship ls --depth 2 app.aci /usr
"""

CAT_EXAMPLES = """\b
Examples:
  transship cat docker://registry.example/app:1 /etc/os-release
  transship cat app.aci /etc/passwd
"""


@click.command("ls", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.argument("path", default="/")
@click.option("-l", "--long", "detailed", is_flag=True, help="Type, mode, owner, size, time, layer; target of a link.")
@click.option(
    "--depth",
    type=WholeNumber(min=0),
    default=1,
    metavar="N",
    help="How many levels of directories to list; 0: all. Default: 1.",
)
@this_platform_option
@aci_path_option
@store_options
@common
def command(
    reference: str, path: str, *, detailed: bool, depth: int, platform: str | None, aci_paths: tuple[Path, ...]
) -> None:
    """List the files of REF as a container sees them: the contents of a directory, or one file.

    Layers are read from the top, and only as far down as necessary. They are numbered from 0, the base.
    """
    with files_of(reference, platform, aci_paths) as files:
        with progress(first=f"reading {reference}"):
            file = files.find(os.fsencode(path))
            found = files.below(file.path, depth or None) if file.is_directory else [file]
        if flags().json:
            show_json([described(one, files) for one in found])
            return
        start = len(file.path) + 1 if file.is_directory and file.path else 0
        named = ((one, os.fsdecode(one.path[start:]), BLUE if one.is_directory else "") for one in found)
        if detailed:
            show_lines(((row(one, files), ""), (name, colour), (target_of(one), "")) for one, name, colour in named)
        else:
            show_lines(((name + ("/" if one.is_directory else ""), colour),) for one, name, colour in named)


@click.command("cat", cls=LayerCommand, epilog=CAT_EXAMPLES)
@click.argument("reference", metavar="REF")
@click.argument("path")
@this_platform_option
@aci_path_option
@store_options
@common
def cat(reference: str, path: str, platform: str | None, aci_paths: tuple[Path, ...]) -> None:
    """Write one file of REF to standard output. PATH is resolved as in a container of the image.

    Layers below the one that has the file are not read, and no layer is fetched twice.
    """
    with files_of(reference, platform, aci_paths, content=True) as files:
        with progress(first=f"reading {reference}"):
            file = files.find(os.fsencode(path))
        for block in files.read(file):
            sys.stdout.buffer.write(block)


@contextmanager
def files_of(
    reference: str, platform: str | None, aci_paths: tuple[Path, ...], *, content: bool = False
) -> Iterator[Files]:
    """The files of what a reference names. Raises what reading raises.

    To read the ``content`` of one reads its layer again, which is then kept on disk if it comes over a network.
    """
    from converter.browse import Files
    from converter.cli.profile import image_of
    from converter.opened_reference import reading
    from converter.stores.blob_spool import BlobSpool
    from converter.streams.uncompressed import read_layers

    with reading(reference, store_from_options(), aci_paths) as opened, BlobSpool() as spool, within(reference):
        image = image_of(opened, platform)
        blocks = spool.blocks if content and opened.location.kind.over_network else Known.blocks
        yield read_layers(image.layers, Files, opened=blocks)


KINDS = {b"0": "-", b"1": "-", b"2": "l", b"3": "c", b"4": "b", b"5": "d", b"6": "p"}
TYPES = {
    "-": "file",
    "l": "symlink",
    "c": "character device",
    "b": "block device",
    "d": "directory",
    "p": "fifo",
}


def row(file: File, files: Files) -> str:
    """Type, mode, owner, size, time and layer of a file, in columns."""
    row = described(file, files)
    kind = "d" if file.entry is None else KINDS[file.entry.type]
    mode = stat.filemode(row["mode"]).replace("?", kind, 1)
    shown = size(row["size"]) if kind == "-" else ""
    time = row["mtime"][:16].replace("T", " ")
    return f"{mode} {row['uid']:>5}:{row['gid']:<5} {shown:>10}  {time:16}  layer {row['layer']:<3} "


def target_of(file: File) -> str:
    """An arrow and the target of a symbolic link; empty for anything else."""
    target = file.entry.linkname if file.entry is not None and file.entry.type == b"2" else b""
    return f" -> {os.fsdecode(target)}" if target else ""


def described(file: File, files: Files) -> dict[str, Any]:
    """The JSON of ``ls --json``."""
    entry = file.entry
    if entry is None:
        return {
            "path": "/" + os.fsdecode(file.path),
            "type": "directory",
            "mode": 0o755,
            "uid": 0,
            "gid": 0,
            "size": 0,
            "mtime": "",
            "layer": file.layer,
        }
    row = {
        "path": "/" + os.fsdecode(file.path),
        "type": TYPES[KINDS[entry.type]],
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "size": files.size(file),
        "mtime": time_of(entry.mtime_ns),
        "layer": file.layer,
    }
    if entry.linkname:
        row["target" if entry.type == b"2" else "hard_link"] = os.fsdecode(entry.linkname)
    return row


@lru_cache(4096)
def time_of(nanoseconds: int) -> str:
    """A time in RFC 3339, to the second; empty if no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return ""


@click.command("tags", cls=Command)
@click.argument("reference", metavar="REF")
@store_options
@common
def tags(reference: str) -> None:
    """List the names of the images at REF: the tags of a repository, the images of an archive or a layout.

    An image without a name is listed as @0, @1 and so on, which works as its name. docker://HOST/ lists the
    repositories of a registry, docker-daemon: the images of the Engine.
    """
    from converter.stores import names

    _require_place(reference)
    found = names(reference, store_from_options())
    if flags().json:
        show_json({"reference": reference, "tags": list(found)})
        return
    for name in found:
        show(name)


def _require_place(reference: str) -> None:
    """Raise Usage if a reference names one image: its name would be ignored."""
    place = Location.parse(reference)
    in_registry = place.kind.access == "registry"
    host, _, port = place.path.partition(":")
    if in_registry and port.isdecimal() and "/" not in host and ("." in host or host == "localhost"):
        raise Usage(f"{reference} lacks a slash at its end: `transship tags {reference}/` lists the repositories")
    whole = replace(place, name="")
    if in_registry and not place.is_registry:
        repository = ImageName.parse(place.path)
        if repository.tag or repository.digest:
            whole = replace(place, path=place.path.removesuffix(f":{repository.tag}").partition("@")[0])
    if whole != place:
        raise Usage(f"{reference} names one image: `transship tags {whole}` lists all that are there")
