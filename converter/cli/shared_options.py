"""Options that several commands share, and what they stand for: access to stores, images, files, reports.

The environment, which only this package reads, adds to the options for stores.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.flags import (
    Decorator,
    FilePath,
    Number,
    OneOf,
    Truth,
    WholeNumber,
    combine_options,
    flags,
    hidden_option,
    hidden_values,
)
from converter.cli.text import json_text, show_error, warn
from converter.errors import Usage
from converter.events import Event, Report, Warned
from converter.model.content import COMPRESSION_LEVELS, COMPRESSIONS, Blocks, Compression
from converter.model.limits import Limits, enforce_limits
from converter.model.platform import Platform
from converter.model.reference import Location
from converter.model.transport import IMAGES
from converter.system import cores

if TYPE_CHECKING:
    from converter.stores.options import Inputs, Overwriting, StoreOptions

_STORE, _REPORT = "store", "report"
"""Groups of options that are not passed to their commands, as are ``src`` and ``dest``."""


def _credentials(group: str, name: str, member: str, text: str) -> Decorator[Any]:
    return hidden_option(group, name, member, type=_user_and_password, metavar="USER[:PASSWORD]", help=text)


def _cert_dir(group: str, name: str, text: str) -> Decorator[Any]:
    return hidden_option(group, name, type=FilePath(folder=True), help=text)


def _tls_verify(group: str, name: str, text: str) -> Decorator[Any]:
    return hidden_option(group, name, type=Truth(), is_flag=False, flag_value="true", metavar="BOOL", help=text)


def _user_and_password(value: str) -> tuple[str, str]:
    user, _, password = value.partition(":")
    if not user:
        # The value is not shown: it may be a password.
        raise click.BadParameter("the user is missing: expected USER[:PASSWORD]")
    return user, password


def _enforce(context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> None:
    """Put limits in force while the command runs."""
    if values:
        limits = Limits.parse(values)
        context.with_resource(enforce_limits(limits))
        hidden_values(_STORE)["limits"] = limits


store_options = combine_options(
    hidden_option(
        _STORE,
        "--authfile",
        type=FilePath(),
        help="The only file to take credentials from.",
    ),
    _credentials(_STORE, "--creds", "credentials", "The user and the password for a registry."),
    hidden_option(_STORE, "--anonymous", is_flag=True, help="Send no credentials to registries."),
    _cert_dir(_STORE, "--cert-dir", "Certificates for registries (*.crt, *.cert, *.key)."),
    _tls_verify(
        _STORE, "--tls-verify", "Require HTTPS and a trusted certificate. False: accept plain HTTP and any certificate."
    ),
    hidden_option(
        _STORE, "--retries", type=WholeNumber(min=0), metavar="N", help="How often to retry a request to a registry."
    ),
    hidden_option(
        _STORE,
        "--timeout",
        type=Number(min=0, min_open=True),
        metavar="SECONDS",
        help="How long to wait without progress.",
    ),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=VALUE",
        is_eager=True,
        expose_value=False,
        callback=_enforce,
        help="Change a limit on input, e.g. layers=2000 or document=8M (repeatable; docs/limits.md).",
    ),
)
"""Gives a command the options for registries; ``store_from_options()`` returns their values."""

end_options = combine_options(
    _credentials("src", "--src-creds", "src_credentials", "As --creds, for the source alone."),
    _credentials("dest", "--dest-creds", "dest_credentials", "As --creds, for destinations alone."),
    _cert_dir("src", "--src-cert-dir", "As --cert-dir, for the source alone."),
    _cert_dir("dest", "--dest-cert-dir", "As --cert-dir, for destinations alone."),
    _tls_verify("src", "--src-tls-verify", "As --tls-verify, for the source alone."),
    _tls_verify("dest", "--dest-tls-verify", "As --tls-verify, for destinations alone."),
    hidden_option(_STORE, "--devices", is_flag=True, help="For rootfs: and bundle: create device nodes."),
)
"""Gives a command options for its source or its destinations alone; ``store_from_options()`` returns their values."""


def store_from_options(end: str = "") -> StoreOptions:
    """The store options of the running command, for one ``end`` (``src``, ``dest``), and from the environment."""
    from converter.stores import StoreOptions

    return StoreOptions(
        docker_host=os.environ.get("DOCKER_HOST", ""),
        environment=environment_variables(),
        jobs=cores(),
        inputs=input_files(),
        report=warner(),
        **hidden_values(_STORE) | hidden_values(end),
    )


def warner() -> Report:
    """What passes on the warnings of what runs, such as retries. Threads that call it have no context to ask."""
    quiet = flags().quiet

    def report(event: Event) -> None:
        if isinstance(event, Warned) and not quiet:
            warn(event.fact)

    return report


def input_files() -> Inputs:
    """The files that the running command has read, and is going to read, as far as this is known: never replaced."""
    from converter.stores.options import Inputs

    found: Inputs = hidden_values("files").setdefault("inputs", Inputs())
    return found


def environment_variables() -> dict[str, str]:
    """The environment variables of the calling process, perhaps on another machine."""
    return dict(os.environ)


def cache_folder() -> Path | None:
    """The folder for the cache (XDG base directories); None without a home directory."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):
        return Path(named, "transship")
    home = os.environ.get("HOME", "")
    return Path(home, ".cache", "transship") if home.startswith("/") else None


def _platforms(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    if "all" in values:
        if len(values) > 1:
            raise Usage("--platform all cannot be used with another platform")
        return values
    return tuple(str(Platform.parse(value)) for value in values)


image_options = combine_options(
    click.option("--to", type=OneOf(IMAGES), help="The format, where several are possible."),
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
        type=Compression.parse,
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
"""Gives a command the options for images of ``convert``, ``sync`` and ``serve``, under the names of ``Options``."""


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


no_cache_option = click.option(
    "--no-cache",
    "cache",
    is_flag=True,
    callback=lambda _context, _option, without: None if without else cache_folder(),
    help="Neither use nor update the cache.",
)
"""Gives a command the option to ignore what earlier runs have cached, as the folder ``cache``, None for none."""


report_option = hidden_option(
    _REPORT,
    "--report",
    multiple=True,
    type=FilePath(),
    metavar="FILE",
    help="Write a report, .html for people or .json (repeatable).",
)
"""Gives a command the option ``--report``."""

report_options = combine_options(
    report_option,
    hidden_option(_REPORT, "--overwrite", is_flag=True, help="Replace a report that exists."),
)
"""The same, with ``--overwrite``, for a command that writes nothing else."""


def reports() -> tuple[Path, ...]:
    """The files that reports are asked for in."""
    return tuple(hidden_values(_REPORT).get("report", ()))


def wants_page() -> bool:
    """Whether one of the reports is for people."""
    return any(path.suffix.lower() == ".html" for path in reports())


def check_outputs(*others: Path | None, beside: Collection[Path] = ()) -> None:
    """Fail before any work is done if a report, or one of the ``others``, could not be written at the end.

    Raises AlreadyExists, NotFound, StorageFailed, and Usage for a report of an unknown form, and for a file that is
    named twice or is among those written ``beside``.
    """
    for path in reports():
        if path.suffix.lower() not in {".json", ".html"}:
            raise Usage(f"cannot write the report {path}: its name must end in .json or .html")
    paths = [*reports(), *(path for path in others if path is not None)]
    if not paths:
        return
    from converter.stores.media.file_target import OutFile

    places = [os.path.realpath(path) for path in (*paths, *beside)]
    for path in paths:
        if places.count(os.path.realpath(path)) > 1:
            raise Usage(f"{path} is named twice: choose a file for each")
        OutFile(path, _overwriting()).probe()


def write_reports(document: Any, page: str, *about: Any, **how: Any) -> None:
    """Write all reports: the JSON of ``--json``, or the page that ``page``, a module of this package, makes of
    the rest.
    """
    for path in reports():
        if path.suffix.lower() == ".html":
            text: str = import_module(f"converter.cli.{page}").page(*about, **how)
        else:
            text = json_text(document) + "\n"
        write_file(path, (text.encode(),))
        if not flags().quiet:
            show_error(f"wrote the report {path}")


def write_file(path: Path, blocks: Blocks) -> None:
    """Write a file, whole or not at all; ``--overwrite`` replaces one that exists, unless it was read."""
    from converter.stores.media.file_target import write_new

    write_new(path, blocks, _overwriting())


def _overwriting() -> Overwriting:
    from converter.cli.option_effects import SOURCES, references
    from converter.stores import files_read
    from converter.stores.options import Inputs, Overwriting

    params = click.get_current_context().params
    read = [path for text in references(params, SOURCES) for path in files_read(Location.parse(text))]
    allowed = params.get("overwrite", hidden_values(_REPORT).get("overwrite"))
    return Overwriting(allowed=bool(allowed), inputs=Inputs((*input_files().paths, *read)))
