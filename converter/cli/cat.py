"""``transship cat``: one file of an image, whatever its format."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from converter.cli.command import LayerCommand
from converter.cli.environment import store_options
from converter.cli.flags import common
from converter.cli.image_options import aci_path_option, this_platform_option
from converter.cli.ls import files_of

EXAMPLES = """\b
Examples:
  transship cat docker://registry.example/app:1 /etc/os-release
  transship cat app.aci /etc/passwd
"""


@click.command("cat", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.argument("path")
@this_platform_option
@aci_path_option
@store_options
@common
def command(reference: str, path: str, platform: str | None, aci_paths: tuple[Path, ...]) -> None:
    """Write one file of REF to standard output. PATH is resolved as in a container of the image.

    Layers below the one that has the file are not read, and no layer is fetched twice.
    """
    with files_of(reference, platform, aci_paths, content=True) as files:
        for block in files.read(files.find(os.fsencode(path))):
            sys.stdout.buffer.write(block)
