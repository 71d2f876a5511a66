"""What the stores need to know from the options and from the environment, which only this package reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from converter.stores import StoreOptions

Function = TypeVar("Function", bound=Callable[..., Any])

_MEMBER = f"{__name__}.options"


def store_options(function: Function) -> Function:
    """Give a command the options of registries; ``store()`` has what they say."""
    options = (
        click.option(
            "--authfile",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Where the passwords of registries are, and nowhere else.",
            **_hidden(),
        ),
        click.option("--anonymous", is_flag=True, help="Ask registries without a name or a password.", **_hidden()),
        click.option(
            "--cert-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="Certificates for registries (*.crt, *.cert, *.key).",
            **_hidden(),
        ),
        click.option(
            "--tls-verify",
            type=bool,
            is_flag=False,
            flag_value="true",
            metavar="BOOL",
            help="false: plain HTTP and unknown certificates will do.",
            **_hidden(),
        ),
        click.option("--retries", type=click.IntRange(min=0), help="How often to ask a registry again.", **_hidden()),
        click.option(
            "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds without progress.", **_hidden()
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def store() -> StoreOptions:
    """The options of the command that runs, and what the environment says."""
    from converter.stores import StoreOptions

    told: dict[str, Any] = click.get_current_context().meta.get(_MEMBER, {})
    return replace(
        StoreOptions(docker_host=os.environ.get("DOCKER_HOST", ""), environment=dict(os.environ), jobs=cores()), **told
    )


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def cache_folder() -> Path | None:
    """Where to remember what was verified (XDG base directories); None for somebody without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):
        return Path(named, "transship")
    home = os.environ.get("HOME", "")
    return Path(home, ".cache", "transship") if home.startswith("/") else None


def _hidden() -> dict[str, Any]:
    return {"expose_value": False, "callback": _remember}


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        context.meta.setdefault(_MEMBER, {})[parameter.name] = value
