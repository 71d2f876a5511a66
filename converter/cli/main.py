"""The command ``transship``."""

from __future__ import annotations

import click

from converter.version import __version__


@click.group()
@click.version_option(__version__, prog_name="transship")
def main() -> None:
    """Move the contents of a container image from one format to another, intact."""
