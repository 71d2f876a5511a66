"""Store options from the command line and from the environment, which only this package reads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.flags import (
    Decorator,
    FilePath,
    FolderPath,
    Number,
    Truth,
    WholeNumber,
    combine_options,
    flags,
    hidden_option,
    hidden_values,
    hidden_values_so_far,
)
from converter.cli.text import warn
from converter.events import Event, Report, Warned
from converter.system import cores

if TYPE_CHECKING:
    from converter.stores import StoreOptions
    from converter.stores.overwriting import Inputs

_GROUP = "store"


def _credentials(name: str, text: str) -> Decorator[Any]:
    return click.option(name, metavar="USER[:PASSWORD]", expose_value=False, callback=_pair, help=text)


def _cert_dir(name: str, text: str) -> Decorator[Any]:
    return hidden_option(_GROUP, name, type=FolderPath(), help=text)


def _tls_verify(name: str, text: str) -> Decorator[Any]:
    return hidden_option(_GROUP, name, type=Truth(), is_flag=False, flag_value="true", metavar="BOOL", help=text)


def _pair(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    user, _, password = value.partition(":")
    if not user:
        # The value is not shown: it may be a password.
        raise click.BadParameter("the user is missing: expected USER[:PASSWORD]", context, parameter)
    hidden_values_so_far(context, _GROUP)[str(parameter.name)] = user, password


def _enforce(context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> None:
    """Put limits in force while the command runs."""
    if values:
        from converter.model.limits import Limits, enforce_limits

        limits = Limits.parse(values)
        context.with_resource(enforce_limits(limits))
        hidden_values_so_far(context, _GROUP)["limits"] = limits


store_options = combine_options(
    hidden_option(
        _GROUP,
        "--authfile",
        type=FilePath(),
        help="The only file to take credentials from.",
    ),
    _credentials("--creds", "The user and the password for a registry."),
    hidden_option(_GROUP, "--anonymous", is_flag=True, help="Send no credentials to registries."),
    _cert_dir("--cert-dir", "Certificates for registries (*.crt, *.cert, *.key)."),
    _tls_verify(
        "--tls-verify", "Require HTTPS and a trusted certificate. False: accept plain HTTP and any certificate."
    ),
    hidden_option(
        _GROUP, "--retries", type=WholeNumber(min=0), metavar="N", help="How often to retry a request to a registry."
    ),
    hidden_option(
        _GROUP,
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
    _credentials("--src-creds", "As --creds, for the source alone."),
    _credentials("--dest-creds", "As --creds, for destinations alone."),
    _cert_dir("--src-cert-dir", "As --cert-dir, for the source alone."),
    _cert_dir("--dest-cert-dir", "As --cert-dir, for destinations alone."),
    _tls_verify("--src-tls-verify", "As --tls-verify, for the source alone."),
    _tls_verify("--dest-tls-verify", "As --tls-verify, for destinations alone."),
    hidden_option(_GROUP, "--devices", is_flag=True, help="For rootfs: and bundle: create device nodes."),
)
"""Gives a command options for its source or its destinations alone; ``store_from_options()`` returns their values."""


def store_from_options(end: str = "") -> StoreOptions:
    """The store options of the running command, for one ``end`` (``src``, ``dest``), and from the environment."""
    from converter.stores import StoreOptions

    given = hidden_values(_GROUP)
    selected = {name: value for name, value in given.items() if not name.startswith(("src_", "dest_"))}
    if end:
        prefix = f"{end}_"
        selected |= {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    if "creds" in selected:
        selected["credentials"] = selected.pop("creds")
    return replace(
        StoreOptions(docker_host=os.environ.get("DOCKER_HOST", ""), environment=environment_variables(), jobs=cores()),
        inputs=input_files(),
        report=warner(),
        **selected,
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
    from converter.stores.overwriting import Inputs

    context = click.get_current_context(silent=True)
    if context is None:
        return Inputs()
    found: Inputs = hidden_values_so_far(context, "files").setdefault("inputs", Inputs())
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


def size_option(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Parse a size from the command line into bytes; raises Usage."""
    from converter.model.limits import parse_size

    return None if value is None else parse_size(value)
