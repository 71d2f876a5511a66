"""``transship schema``: the JSON Schemas that documents are checked against."""

from __future__ import annotations

import click

from converter.cli.commands import Command
from converter.cli.flags import OneOf, common, flags
from converter.cli.text import show, show_json
from converter.schema import KINDS, bundled_schema, schema_of


@click.command("schema", cls=Command)
@click.argument("kind", required=False, type=OneOf(KINDS), metavar="[KIND]")
@click.option(
    "--bundle/--no-bundle",
    "bundled",
    default=True,
    help="Include every schema that it refers to (or print the file as in schemas/).",
)
@common
def command(kind: str | None, bundled: bool) -> None:
    """Print the JSON Schema of a kind of document, or the kinds there are.

    The schemas are of JSON Schema 2020-12, and each can be used on its own.
    """
    if kind is not None:
        show_json(bundled_schema(kind) if bundled else schema_of(kind))
    elif flags().json:
        show_json({name: schema_of(name)["title"] for name in KINDS})
    else:
        width = max(map(len, KINDS))
        for name in KINDS:
            show(f"{name:{width}}  {schema_of(name)['title']}")
