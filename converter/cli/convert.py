"""``transship convert``: one image to any number of targets, reading the source once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import FilePath, OneOf, WholeNumber, common, flags
from converter.cli.progress import progress
from converter.cli.results import Stopwatch, document, lines, losses
from converter.cli.shared_options import (
    aci_path_option,
    check_outputs,
    end_options,
    image_options,
    no_cache_option,
    overwrite_option,
    report_option,
    store_from_options,
    store_options,
    write_file,
    write_reports,
)
from converter.cli.signature_options import (
    content_trust_option,
    signing_from_options,
    trust_options,
    wanted_from_options,
)
from converter.cli.text import on_terminal, show_as_asked, warn
from converter.errors import ConverterError, Usage
from converter.model.limits import parse_size
from converter.model.reference import STDIN, STDOUT, Location

EXAMPLES = """\b
Examples:
  transship convert docker-archive:app.tar oci:app
  transship convert app.tar aci:app.aci
  transship convert docker://ghcr.io/team/app:1 docker-archive:app.tar
  docker export c | transship convert rootfs:- oci:app --change 'CMD ["/app"]'
"""


def _changes(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        return ()
    from converter.transform.changes import check_instructions

    return check_instructions(values)


@click.command("convert", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("source")
@click.argument("destinations", metavar="DEST...", nargs=-1, required=True)
@image_options
@click.option("--squash", is_flag=True, help="Squash all layers into one.")
@click.option("--layered", is_flag=True, help="For ACI: one ACI per layer, with dependencies.")
@click.option("--all-images", is_flag=True, help="Convert every image of an archive or a layout.")
@aci_path_option
@click.option("--dry-run", is_flag=True, help="Report what would be lost, and the digest; write nothing.")
@overwrite_option
@click.option(
    "--source-date-epoch",
    "epoch",
    type=WholeNumber(min=0),
    envvar="SOURCE_DATE_EPOCH",
    show_envvar=True,
    metavar="SECONDS",
    help="The time to use where one must be invented.",
)
@click.option(
    "--origin",
    type=OneOf(("always", "signed", "never")),
    help="When to write an origin record, which keeps what was signed. Default: signed.",
)
@content_trust_option
@click.option(
    "--download-foreign",
    is_flag=True,
    help="Fetch foreign layers of a registry from their URLs.",
)
@click.option(
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    callback=_changes,
    help="Change how a container is started (as in docker import): CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
    "STOPSIGNAL, USER, VOLUME, WORKDIR (repeatable).",
)
@click.option("--rkt-dev-links", is_flag=True, help="For ACI: add the links in /dev that old versions of rkt need.")
@click.option(
    "--jobs", type=WholeNumber(min=1), metavar="N", help="Threads. Default: one per processor, 4 over a network."
)
@click.option("--link", is_flag=True, help="Share unchanged files with SOURCE by reflinks or hard links.")
@report_option
@no_cache_option
@click.option(
    "--cache-blobs",
    metavar="SIZE",
    type=parse_size,
    help="Keep up to this many bytes of blobs for later runs, e.g. 10G.",
)
@click.option(
    "--digestfile",
    type=FilePath(),
    help="Write the digest of the image at the first DEST to a file.",
)
@trust_options
@store_options
@end_options
@common
def command(source: str, destinations: tuple[str, ...], digestfile: Path | None, **given: Any) -> None:
    """Write the image SOURCE to every DEST, in its format or another.

    Nothing is visible at any DEST before it is complete. A file that exists, such as an archive or an ACI, is
    refused without --overwrite; a dir: image is replaced; a layout, a registry or a daemon keeps its other images. What
    DEST cannot hold is reported on standard error. An ACI gets the name of SOURCE. For the syntax of SOURCE and
    DEST, see transship --help-all.
    """
    from converter.conversion import Options, convert
    from converter.stores import files_written

    digest_to_stdout = digestfile is not None and str(digestfile) in STDOUT
    to_stdout = any(map(is_standard_output, destinations))
    check_terminals(source, to_stdout=to_stdout and not given["dry_run"])
    values = {name: value for name, value in given.items() if value is not None}
    options = Options(
        **values,
        signing=signing_from_options(),
        wanted=wanted_from_options(),
        store=store_from_options("src"),
        target_store=store_from_options("dest"),
    )
    written = [path for destination in destinations for path in files_written(Location.parse(destination))]
    check_outputs(digestfile, beside=written)
    _warn_of_lists(options.changes)
    with progress(first=f"reading {source}") as report, _advising():
        watch = Stopwatch(report)
        result = convert(source, destinations, options, watch)
    steps = () if options.dry_run else watch.steps(result.seconds)
    told = document(result, steps)
    write_reports(told, "results", result, steps, dry_run=options.dry_run)
    if digestfile is not None:
        ending = "\n" if digest_to_stdout else ""
        write_file(digestfile, (f"{result.digest}{ending}".encode(),))
    # If an image or its digest goes to standard output, the rest goes to standard error.
    out = sys.stderr if to_stdout or digest_to_stdout else sys.stdout
    shown = lines(result, options.changes, dry_run=options.dry_run)
    show_as_asked(told, ((line, "") for line in shown), to=out)
    if not flags().quiet:
        for text in losses(result):
            warn(text)


def _warn_of_lists(changes: tuple[str, ...]) -> None:
    if changes and not flags().quiet:
        from converter.transform.changes import is_no_list

        for text in filter(is_no_list, changes):
            warn(f"--change {text}: the list is not valid JSON, so it becomes a line for the shell, as in Docker")


@contextmanager
def _advising() -> Iterator[None]:
    """Name the option that avoids what failed: only the command line knows it."""
    try:
        yield
    except ConverterError as error:
        if "attachments" in error.trail:
            error.fact += " (--no-attachments does without)"
        raise


def is_standard_output(destination: str) -> bool:
    """Whether a destination is standard output."""
    return Location.parse(destination).path in {*STDOUT, "/dev/fd/1"}


def check_terminals(source: str, *, to_stdout: bool) -> None:
    """Raises Usage if an image would be read from or written to a terminal."""
    if Location.parse(source).path in STDIN and on_terminal(sys.stdin):
        raise Usage("cannot read an image from a terminal: use a file or a pipe as standard input")
    if to_stdout and on_terminal(sys.stdout):
        raise Usage("refused to write an image to a terminal: use a file or a pipe as standard output")
