"""What is asked of every command: ``--quiet``, ``--json`` and ``--debug``, before its name or after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_FLAGS = (
    (("-q", "--quiet"), "No progress, no warnings; errors only."),
    (("--json",), "Print one JSON document on standard output."),
    (("--debug",), "Show where an error comes from."),
)


class Flags:
    """The flags, and ``failed``: the exit status when the command cannot do its work."""

    def __init__(self) -> None:
        self.quiet = self.json = self.debug = False
        self.failed = 1


def flags() -> Flags:
    """Those of the command that runs."""
    found = click.get_current_context().find_object(Flags)
    return Flags() if found is None else found


def common(function: Function) -> Function:
    """Give a command the flags that all have."""
    for names, text in reversed(_FLAGS):
        # Eager: --debug holds for an error in another option, wherever it stands.
        option = click.option(*names, is_flag=True, is_eager=True, expose_value=False, callback=_remember, help=text)
        function = option(function)
    return function


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    found = context.ensure_object(Flags)
    if value and parameter.name:
        setattr(found, parameter.name, True)
