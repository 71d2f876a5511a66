"""Files that a command writes beside images: the reports of ``--report``, and others."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.environment import input_files
from converter.cli.flags import FilePath, combine_options, flags, hidden_option, hidden_values
from converter.errors import Usage
from converter.model.reference import Location

if TYPE_CHECKING:
    from converter.stores.overwriting import Overwriting
    from converter.streams.blocks import Blocks

_GROUP = "report"

report_option = hidden_option(
    _GROUP,
    "--report",
    multiple=True,
    type=FilePath(),
    metavar="FILE",
    help="Write a report, .html for people or .json (repeatable).",
)
"""Gives a command the option ``--report``."""

report_options = combine_options(
    report_option,
    hidden_option(_GROUP, "--overwrite", is_flag=True, help="Replace a report that exists."),
)
"""The same, with ``--overwrite``, for a command that writes nothing else."""


def reports() -> tuple[Path, ...]:
    """The files that reports are asked for in."""
    found: tuple[Path, ...] = hidden_values(_GROUP).get("report", ())
    return found


def wants_page() -> bool:
    """Whether one of the reports is for people."""
    return any(_is_page(path) for path in reports())


def check_reports(*others: Path | None, overwrite: bool = False, beside: Collection[Path] = ()) -> None:
    """Fail before any work is done if a report, or one of the ``others``, could not be written at the end; ``beside``
    is what is written besides.
    """
    for path in reports():
        if path.suffix.lower() not in {".json", ".html"}:
            raise Usage(f"cannot write the report {path}: its name must end in .json or .html")
    if files := [*reports(), *(path for path in others if path is not None)]:
        check_writable(files, overwrite=_overwrites(overwrite), beside=beside)


def write_reports(document: Any, page: str, *about: Any, overwrite: bool = False, **how: Any) -> None:
    """Write all reports: the JSON of ``--json``, or the page that the module ``page`` of ``pages`` makes of the rest,
    which is not imported before it is asked for.
    """
    if not reports():
        return
    from converter.cli.text import json_text, show_error

    for path in reports():
        if _is_page(path):
            text: str = import_module(f"converter.cli.pages.{page}").page(*about, **how)
        else:
            text = json_text(document) + "\n"
        write_output(path, text, overwrite=_overwrites(overwrite))
        if not flags().quiet:
            show_error(f"wrote the report {path}")


def _overwrites(overwrite: bool) -> bool:
    return overwrite or bool(hidden_values(_GROUP).get("overwrite"))


def _is_page(path: Path) -> bool:
    return path.suffix.lower() == ".html"


def check_writable(paths: Sequence[Path], *, overwrite: bool, beside: Collection[Path] = ()) -> None:
    """Fail before any work is done if one of the files could not be written at the end.

    Raises AlreadyExists, NotFound, StorageFailed, and Usage if one is named twice, or is among those written
    ``beside``.
    """
    from converter.stores.media.file_target import OutFile

    places = [os.path.realpath(path) for path in (*paths, *beside)]
    for path in paths:
        if places.count(os.path.realpath(path)) > 1:
            raise Usage(f"{path} is named twice: choose a file for each")
        OutFile(path, _rule(overwrite)).probe()


def write_output(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a file, whole or not at all; ``overwrite`` replaces one that exists, unless it was read."""
    write_blocks(path, (text.encode(),), overwrite=overwrite)


def write_blocks(path: Path, blocks: Blocks, *, overwrite: bool) -> None:
    """The same for what need not be in memory at once."""
    from converter.stores.media.file_target import write_new

    write_new(path, blocks, _rule(overwrite))


def _rule(overwrite: bool) -> Overwriting:
    from converter.cli.option_effects import SOURCES, references
    from converter.stores import files_read
    from converter.stores.overwriting import Inputs, Overwriting

    given = references(click.get_current_context().params, SOURCES)
    read = [path for text in given for path in files_read(Location.parse(text))]
    return Overwriting(allowed=overwrite, inputs=Inputs((*input_files().paths, *read)))
