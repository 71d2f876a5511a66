"""``transship serve``: a read-only registry that converts images when they are first asked for."""

from __future__ import annotations

import gc
import json
import resource
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import FilePath, Number, WholeNumber, common, flags
from converter.cli.option_effects import SYNC_FILES
from converter.cli.shared_options import (
    aci_path_option,
    cache_folder,
    image_options,
    jobs_option,
    no_cache_option,
    store_from_options,
    store_options,
    warner,
)
from converter.cli.signature_options import policy_option, read_option_file, wanted_from_options
from converter.cli.text import show, show_error
from converter.errors import NotFound, Usage, within
from converter.model.limits import parse_size
from converter.model.platform import ALL_PLATFORMS
from converter.model.reference import STDIN, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from converter.conversion import Options
    from converter.conversion.sync.sync_file import SyncEntry
    from converter.serving.http import LogEntry
    from converter.signing import Signing

FILES = 16384
"""The number of open files to request from the system: every connection is one."""

EXAMPLES = """\b
Examples:
  transship serve aci:/srv/acis
  transship serve docker-archive:app.tar oci:mirror --compress zstd
  transship serve docker://registry.example/ --policy policy.json --htpasswd users
"""


def _address(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        meant = f" (did you mean 127.0.0.1:{value}?)" if value.isascii() and value.isdigit() else ""
        raise Usage(f'invalid address "{value}": expected HOST:PORT, with a port up to 65535{meant}')
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - asked for, and refused without TLS


@click.command("serve", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("sources", metavar="SOURCE...", nargs=-1)
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=FilePath(),
    help="A sync file with more sources (repeatable).",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:5000",
    show_default=True,
    type=_address,
    help="Where to listen.",
)
@click.option("--tls-cert", "certificate", type=FilePath(), help="The certificate (PEM).")
@click.option("--tls-key", "key", type=FilePath(), help="The key of the certificate (PEM).")
@click.option("--insecure", is_flag=True, help="Serve plain HTTP to other machines.")
@click.option(
    "--htpasswd",
    type=FilePath(),
    help="Serve only these users (htpasswd -B).",
)
@image_options
@click.option("--rename", metavar="TEMPLATE", default="", help="The name to serve: {host}/{repository}:{tag}, say.")
@click.option(
    "--store",
    "place",
    metavar="FOLDER|docker://HOST/REPO",
    help="Where to keep converted blobs. A repository shares them; the cache then holds those in use.",
)
@click.option(
    "--store-size",
    metavar="SIZE",
    type=parse_size,
    help="How many bytes of blobs to keep; those unused longest are removed first. Default: 20G.",
)
@click.option(
    "--images",
    "at_once",
    type=WholeNumber(min=1),
    metavar="N",
    default=2,
    help="How many images to convert at once. Default: 2.",
)
@click.option(
    "--threads",
    type=WholeNumber(min=2),
    metavar="N",
    default=256,
    help="How many requests to answer at a time. Default: 256.",
)
@click.option(
    "--rate",
    type=Number(min=0),
    metavar="N",
    default=0.0,
    help="How many requests a second one client may make, and ten times as many at once. Default: no limit.",
)
@jobs_option
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    default=30.0,
    help="How long requests under way may take after SIGTERM. Default: 30.",
)
@aci_path_option
@no_cache_option
@policy_option
@store_options
@common
def command(
    sources: tuple[str, ...],
    configs: tuple[Path, ...],
    listen: tuple[str, int],
    rename: str,
    place: str | None,
    **given: Any,
) -> int:
    """Serve all images at every SOURCE as a read-only registry, in the format and compression that is asked for.

    SOURCE is what transship sync takes: a directory of ACIs, an archive, a layout, a repository, a registry
    (docker://HOST/). Images have the names and tags that sync gives them. An image is converted when a client first
    asks for it, for all its platforms unless --platform is given, and then kept. A request for a digest of the source
    returns what the source has.

    Plain HTTP is served to this machine alone, unless --insecure is given. One line is written for each request; with
    --json, as JSON. For rkt, images are found by discovery on the same port.
    """
    from converter.conversion import Options
    from converter.serving import Server, ServerSettings

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    if not sources and not configs:
        raise Usage("nothing to serve: name a SOURCE, or --config")
    if given["to"] == "aci":
        raise Usage("registries cannot hold ACIs: they are served to rkt by discovery, whatever --to says")
    shared = Location.parse(place) if place and place.startswith("docker:") else None
    if place and shared is None and Location.parse(place).transport:
        raise Usage(f"--store {place}: expected a folder, or docker://HOST/REPO")
    store = Path(place) if place and shared is None else _folder()
    own = "certificate", "key", "insecure", "htpasswd", "store_size", "at_once", "threads", "rate", "grace"
    bounds = {name: value for name in own if (value := given.pop(name)) is not None}
    settings = ServerSettings(host=listen[0], port=listen[1], store=store, shared=shared, **bounds)
    values = {name: value for name, value in given.items() if value is not None}
    values["platforms"] = values.get("platforms") or ALL_PLATFORMS
    options = Options(**values, wanted=wanted_from_options(), store=store_from_options())
    entries = list(_entries(sources, configs, options, rename))
    if not entries:
        raise Usage(f"nothing to serve: {', '.join(map(str, configs))} names no source")
    server = Server(entries, settings, options, log=_logger(), report=warner())
    # A signal is how a server ends; its context waits for what is under way.
    with suppress(KeyboardInterrupt), server:
        if not flags().quiet:
            show_error(f"serving {server.url}")
        # Garbage in cycles is collected before there is much of it: unlike other commands, this one runs for long.
        gc.freeze()
        gc.set_threshold(10_000)
        threading.Event().wait()
    return 0


def _folder() -> Path:
    cache = cache_folder()
    if cache is None:
        raise Usage("no home directory to keep converted blobs in: add --store FOLDER")
    return cache / "serve"


def _entries(sources: tuple[str, ...], configs: tuple[Path, ...], options: Options, rename: str) -> Iterator[SyncEntry]:
    from converter.conversion.sync.sync_file import SyncEntry, check_template, read_sync_file
    from converter.serving.catalogue import PLACE

    def check(location: Location) -> None:
        if location.kind.on_disk and location.path not in STDIN and not Path(location.path).exists():
            raise NotFound(f"{location.path}: no such file or directory")

    for source in sources:
        location = Location.parse(source)
        check(location)
        if not location.transport and Path(source).is_file() and source.lower().endswith(SYNC_FILES):
            raise Usage(f"{source} is a sync file: add it with --config")
        yield SyncEntry(source=location, to=PLACE, rename=check_template(rename), options=options)
    for path in configs:
        with within(str(path)):
            for entry in read_sync_file(read_option_file(path), options, PLACE, _no_signing, rename, unused=_UNUSED):
                check(entry.source)
                yield entry


_UNUSED = {
    "to": "images are served, not written",
    "overwrite": "nothing is replaced",
}
"""The members of a sync file that a server refuses, and why."""


def _no_signing(_names: object) -> Signing:
    raise Usage('signing is not possible here: leave out "sign"')


def _logger() -> Callable[[LogEntry], None]:
    """A function that logs a line for each request; nothing from a client can start another line."""
    if flags().quiet:
        return lambda _: None
    if flags().json:
        return _log_json
    return _log_text


def _log_json(served: LogEntry) -> None:
    row = {
        "time": _time(served.at),
        "client": served.client,
        "method": served.method,
        "path": served.path,
        "status": served.status,
        "bytes": served.sent,
        "seconds": round(served.seconds, 6),
        "agent": served.agent,
    } | ({"reason": served.reason} if served.reason else {})
    print(json.dumps(row), flush=True)


def _log_text(served: LogEntry) -> None:
    agent = served.agent.replace('"', "'")
    line = f'{_time(served.at)} {served.client} "{served.method} {served.path}" {served.status} {served.sent}'
    show(f'{line} {served.seconds:.3f} "{agent}"{f" {served.reason}" if served.reason else ""}')
    sys.stdout.flush()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
