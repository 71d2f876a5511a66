"""``transship cache``: list or remove what earlier runs have cached."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from converter.cache import FOLDER, Cache
from converter.cache.blob_folder import BlobFolder, CachedBlob
from converter.cli.commands import Group
from converter.cli.flags import common, flags
from converter.cli.shared_options import cache_folder
from converter.cli.text import show, show_as_asked, show_json
from converter.errors import Usage, count
from converter.model.limits import parse_size, size


@click.group("cache", cls=Group, invoke_without_command=True)
@click.pass_context
@common
def command(context: click.Context) -> int:
    """List what earlier runs have cached, or remove it.

    The cache holds digests that were verified, which repositories have which blobs, and, with --cache-blobs, blobs.
    Removing it costs nothing but time.
    """
    if context.invoked_subcommand is not None:
        return 0
    click.echo(context.get_help(), err=True)
    return 2


@command.command("ls")
@common
def ls() -> None:
    """List what is there, and in which folder.

    Digests are counted; blobs are listed, the least recently used first.
    """
    folder = _folder()
    with Cache(folder) as cache:
        counts = cache.counts()
    kept = BlobFolder(folder / FOLDER).kept()
    if flags().json:
        show_json({"folder": str(folder), **counts, "blobs": list(map(_row, kept))})
        return
    what = {"diff_ids": "diff_id", "made": "converted layer", "holders": "registry blob", "sound": "sound document"}
    counted = [count(counts[table], name) for table, name in what.items()]
    counted.append(count(len(kept), "blob"))
    show(f"{folder}: {', '.join(counted)}")
    for one in kept:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
        show(f"{one.digest}  {size(one.size):>10}  {used}")


@command.command("prune")
@click.option("--keep", metavar="SIZE", type=parse_size, help="Keep the most recently used blobs that fit.")
@common
def prune(keep: int | None) -> None:
    """Remove everything, or, with --keep, the blobs that do not fit."""
    folder = _folder()
    removed = BlobFolder(folder / FOLDER, keep or 0).trim()
    if keep is None:
        Cache(folder).forget()
    total = sum(one.size for one in removed)
    digests = "all digests and " if keep is None else ""
    text = f"removed {digests}{count(len(removed), 'blob')}, {size(total)}"
    document = {"folder": str(folder), "removed": list(map(_row, removed)), "bytes": total}
    show_as_asked(document, [(text, "")])


def _folder() -> Path:
    folder = cache_folder()
    if folder is None:
        raise Usage("there is no cache: set XDG_CACHE_HOME or HOME")
    return folder


def _row(one: CachedBlob) -> dict[str, Any]:
    return {"digest": one.digest, "size": one.size, "used": round(one.used)}
