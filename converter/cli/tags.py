"""``transship tags``: lists the images in a store."""

from __future__ import annotations

from dataclasses import replace

import click

from converter.cli.commands import Command
from converter.cli.flags import common, flags
from converter.cli.shared_options import store_from_options, store_options
from converter.cli.text import show, show_json
from converter.errors import Usage
from converter.model.reference import ImageName, Location


@click.command("tags", cls=Command)
@click.argument("reference", metavar="REF")
@store_options
@common
def command(reference: str) -> None:
    """List the names of the images at REF: the tags of a repository, the images of an archive or a layout.

    An image without a name is listed as @0, @1 and so on, which works as its name. docker://HOST/ lists the
    repositories of a registry, docker-daemon: the images of the Engine.
    """
    from converter.stores import names

    _check(reference)
    found = names(reference, store_from_options())
    if flags().json:
        show_json({"reference": reference, "tags": list(found)})
        return
    for name in found:
        show(name)


def _check(reference: str) -> None:
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
