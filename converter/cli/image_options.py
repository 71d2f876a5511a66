"""Options shared by several commands, which select images and say what to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter.cli.environment import cache_folder
from converter.cli.flags import Decorator, OneOf, WholeNumber, combine_options
from converter.errors import Usage
from converter.model.content import COMPRESSION_LEVELS, COMPRESSIONS, Compression
from converter.model.transport import IMAGES


def _platforms(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from converter.model.platform import Platform

    if "all" in values:
        if len(values) > 1:
            raise Usage("--platform all cannot be used with another platform")
        return values
    return tuple(str(Platform.parse(value)) for value in values)


def _compression(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Compression | None:
    return None if value is None else Compression.parse(value)


image_options = combine_options(
    click.option("--to", type=OneOf(IMAGES), help="The format, if DEST can hold several."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[/VARIANT]",
        callback=_platforms,
        help="Which image of an index, or all (repeatable). If several match: the first. Default: this machine's.",
    ),
    click.option(
        "--compress",
        metavar="|".join(COMPRESSIONS),
        callback=_compression,
        shell_complete=lambda _context, _option, start: [one for one in COMPRESSION_LEVELS if one.startswith(start)],
        help="How to compress layers. Default: keep, but gzip for layers that Docker unpacked.",
    ),
    click.option("--preserve-digests", is_flag=True, help="Refuse, up front, if a digest would change."),
    click.option("--strict", is_flag=True, help="Refuse, up front, if anything would be lost."),
    click.option("--remove-signatures", is_flag=True, help="Do not copy signatures."),
    click.option(
        "--attachments/--no-attachments",
        default=True,
        help="Copy signatures, attestations and SBOMs of the image. Default: yes.",
    ),
)
"""Gives a command the options for images that ``convert`` and ``sync`` share, under the names of ``Options``."""


def platform_option(text: str, **how: Any) -> Decorator[Any]:
    """Gives a command the option for one image of an index."""
    return click.option("--platform", metavar="OS/ARCH[/VARIANT]", help=text, **how)


this_platform_option = platform_option("Which image of an index. Default: this machine's.")
"""The same for a command that takes the image of this machine."""

jobs_option = click.option(
    "--jobs", type=WholeNumber(min=1), metavar="N", help="Threads for compression. Default: one per processor."
)
"""Gives a command the option for the number of threads."""


aci_path_option = click.option(
    "--aci-path",
    "aci_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="A directory to search, with all below it, for ACI dependencies (repeatable). Not needed after --layered.",
)
"""Gives a command the folders in which to look for the dependencies of an ACI."""


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a file that exists, never an input; replace a link, not its target."
)
"""Gives a command the option to replace files."""


def _cache(_context: click.Context, _parameter: click.Parameter, without: bool) -> Path | None:
    return None if without else cache_folder()


no_cache_option = click.option(
    "--no-cache", "cache", is_flag=True, callback=_cache, help="Neither use nor update the cache."
)
"""Gives a command the option to ignore what earlier runs have cached, as the folder ``cache``, None for none."""
