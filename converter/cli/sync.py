"""``transship sync``: many images, on this machine or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import WholeNumber, common, flags
from converter.cli.option_effects import SYNC_FILES, check_places
from converter.cli.progress import progress
from converter.cli.shared_options import (
    aci_path_option,
    check_outputs,
    end_options,
    environment_variables,
    image_options,
    jobs_option,
    no_cache_option,
    overwrite_option,
    report_option,
    store_from_options,
    store_options,
    write_reports,
)
from converter.cli.signature_options import (
    read_option_file,
    signing_from_options,
    signing_with,
    trust_options,
    wanted_from_options,
)
from converter.cli.text import GREEN, RED, short_digest, show, show_json, warn
from converter.errors import Unsupported, Usage, count, within
from converter.model.limits import size

if TYPE_CHECKING:
    from converter.conversion import Options
    from converter.conversion.sync import Helpers, Outcome, Summary
    from converter.conversion.sync.sync_file import SyncEntry

ROWS = 40
"""The most rows of the summary's table; failures are always shown."""

BARS = 20
"""The most images in the plot, those that change most first."""

WORDS = {
    "written": "copied",
    "there": "already there",
    "planned": "planned",
    "failed": "failed",
    "unstarted": "not started",
}
"""The states of an image, as reports for programs spell them → for people."""


EXAMPLES = """\b
Examples:
  transship sync docker://registry.example/app oci:mirror
  transship sync sync.yaml docker://mirror.example/team --keep-going --report done.html
  transship sync aci:/var/lib/rkt/cas/blob oci:mirror --aci-path /var/lib/rkt/cas/blob
"""


@click.command("sync", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("source", metavar="FILE|SOURCE")
@click.argument("destination", metavar="[DEST]", required=False)
@click.option("--dry-run", is_flag=True, help="Report what would be done; write nothing.")
@overwrite_option
@click.option("--keep-going", is_flag=True, help="Continue with the others when one fails.")
@click.option("--rename", metavar="TEMPLATE", default="", help="The name at DEST: {host}/{repository}:{tag}, say.")
@image_options
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="Use this Dask cluster (docs/sync.md).")
@click.option(
    "--images", type=WholeNumber(min=1), metavar="N", help="How many images to process at a time. Default: 4."
)
@click.option("--per-host", type=WholeNumber(min=1), metavar="N", help="Concurrent requests to a registry. Default: 6.")
@jobs_option
@report_option
@aci_path_option
@no_cache_option
@trust_options
@store_options
@end_options
@common
def command(
    source: str,
    destination: str | None,
    *,
    rename: str,
    scheduler: str | None,
    images: int | None,
    per_host: int | None,
    cache: Path | None,
    keep_going: bool,
    **given: Any,
) -> int:
    """Copy the images listed in FILE to their destinations, or all images at SOURCE to DEST.

    FILE is skopeo's sync YAML, or the richer form that `transship` adds to it. SOURCE is a repository, a registry
    (docker://HOST/), a layout, an archive, docker-daemon:, or a folder of images: of any kind if there is no transport
    before it, or of one (docker-archive:FOLDER, aci:FOLDER).

    Without --overwrite, a file that exists is replaced only if it is an image of the same kind, and a report never
    is. Shared content is fetched and converted once, and what the target has is not sent again. An interrupted run
    continues when it is started again.
    """
    from converter.conversion import Options
    from converter.conversion.sync import sync

    helpers = _cluster(scheduler) if scheduler else None
    options = Options(
        **{name: value for name, value in given.items() if value is not None},
        signing=signing_from_options(),
        wanted=wanted_from_options(),
        store=store_from_options("src"),
        target_store=store_from_options("dest"),
    )
    entries = _entries(source, destination, options, rename)
    check_outputs()
    ended: list[Summary] = []
    try:
        with progress(noun="image", first="looking for images") as report:
            sync(
                entries,
                report,
                helpers,
                ended.append,
                images=images,
                per_host=per_host,
                keep_going=keep_going,
                cache=cache,
            )
    finally:
        # A run prints its summary however it ended.
        for summary in ended:
            document = summary.to_json()
            write_reports(document, "sync", summary)
            if flags().json:
                show_json(document)
            elif not flags().quiet:
                _show(summary)
    return 1 if ended[0].failed else 0


def _entries(source: str, destination: str | None, options: Options, rename: str) -> list[SyncEntry]:
    from converter.conversion.sync.sync_file import SyncEntry, check_template, read_sync_file
    from converter.model.reference import Location
    from converter.stores import require_writable

    to = Location.parse(destination) if destination else None
    if to is not None:
        require_writable(to)
    if Path(source).is_file() and Path(source).suffix.lower() in SYNC_FILES:
        data = read_option_file(source)
        with within(source):
            entries = read_sync_file(data, options, to, signing_with, rename)
        if entries:
            sources, targets = {one.source.transport for one in entries}, {one.to.transport for one in entries}
            check_places(click.get_current_context(), sources, targets)
        return entries
    location = Location.parse(source)
    if not location.transport and Path(source).suffix.lower() in SYNC_FILES:
        raise Usage(f"{source}: no such file or directory")
    if to is None:
        raise Usage("DEST is missing: only a sync file names its destinations itself")
    return [SyncEntry(source=location, to=to, rename=check_template(rename), options=options)]


def _cluster(scheduler: str) -> Helpers:
    import logging

    try:
        from converter.conversion.sync.cluster import Cluster
    except ModuleNotFoundError as error:
        raise Unsupported(
            f'the package "{error.name}" is not installed: pip install ".[dask]" in the checkout'
        ) from None
    if not flags().debug:
        # Dask would log, with tracebacks, what is raised as an error anyway.
        for name in ("distributed", "distributed.client", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return partial(Cluster, scheduler, environment_variables)


def _show(summary: Summary) -> None:
    """Print the table, the sum, and every loss once."""
    # A source that could not be listed is no image: the error that said so is all there is to say.
    images = [one for one in summary.outcomes if one.state != "failed" or one.destination]
    shown = images if len(images) <= ROWS else [one for one in images if one.state == "failed"]
    for one in shown:
        show(_row(one), colour=RED if one.state == "failed" else "", fold=True)
        if one.source_digest and one.digest != one.source_digest:
            show(_digests(one), fold=True)
    if len(shown) < len(images):
        show(f"({count(len(images) - len(shown), 'image')} not shown; --report has all)")
    show(_sum(summary), colour=RED if summary.failed else GREEN, fold=True)
    for loss, destinations in summary.losses.items():
        warn(f"{loss} ({count(len(destinations), 'image')})")


def _row(one: Outcome) -> str:
    if one.state == "failed":
        return f"failed         {one.source}  {one.error}"
    if one.state == "unstarted":
        return f"not started    {one.source}"
    sizes = f"{size(one.before):>10} → {size(one.after) if one.after else '?':>10}"
    return f"{WORDS[one.state]:<14}{sizes} {one.seconds:6.1f} s  {one.source} → {one.destination}"


def _digests(one: Outcome) -> str:
    """The digest that an image had and the one that it has now, and why they differ."""
    how = "differs" if one.state == "there" else "changed"  # nothing is changed if it is there
    why = f" ({how} by {', '.join(one.changed_by)})" if one.changed_by else ""
    return f"  {short_digest(one.source_digest)} → {short_digest(one.digest) if one.digest else 'not known yet'}{why}"


def _sum(summary: Summary) -> str:
    counts = [f"{number} {WORDS[state]}" for state, number in summary.counts.items() if number]
    images = count(len(summary.outcomes), "image")
    fetched = f"{size(summary.fetched)} fetched, " if summary.fetched else ""
    return f"{images}: {', '.join(counts) or 'nothing to do'}; {fetched}{summary.seconds:.1f} s"


def page(summary: Summary) -> str:
    """The report of a run."""
    from converter.pages import render

    changes = (one for one in summary.outcomes if one.before and one.after and one.before != one.after)
    changed = sorted(changes, key=_largest, reverse=True)
    return render(
        "sync.html.j2",
        title=title(summary),
        summary=summary,
        words=WORDS,
        source=shared([one.source for one in summary.outcomes]),
        destination=shared([one.destination for one in summary.outcomes if one.destination]),
        failed=[one for one in summary.outcomes if one.state == "failed"],
        bars=changed[:BARS],
        changed=len(changed),
        longest=max(map(_largest, changed), default=0),
    )


def title(summary: Summary) -> str:
    """What happened, in a sentence."""
    counts = summary.counts
    whole = len(summary.outcomes)
    images = count(whole, "image")
    others = [f"{counts[state]} {WORDS[state]}" for state in ("there", "failed", "unstarted") if counts[state]]
    state = "planned" if counts["planned"] else "written"
    if counts[state] or summary.failed:
        first = images if counts[state] == whole else f"{counts[state]} of {images}"
        return ", ".join([f"{first} {WORDS[state]}", *others])
    if not whole:
        return "No images to copy"
    return f"{'The image was' if whole == 1 else f'All {images} were'} already there"


def shared(names: Sequence[str]) -> str:
    """The common prefix of all names, up to the end of a component."""
    start = commonprefix(names)  # noqa: RUF071 - these are not paths, and their components also end at colons
    if len(set(names)) == 1:
        start = start[:-1]
    return start[: max(start.rfind("/"), start.rfind(":")) + 1]


def _largest(one: Outcome) -> int:
    return max(one.before, one.after)
