"""The flags of every command, ``--quiet``, ``--json`` and ``--debug``, and helpers to share options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]


class Flags:
    """The flags, and ``failed``, the exit status if the command fails."""

    def __init__(self) -> None:
        self.quiet = self.json = self.debug = False
        self.failed = 1


def flags() -> Flags:
    """The flags of the running command."""
    found = click.get_current_context().find_object(Flags)
    return Flags() if found is None else found


def combine_options(*options: Decorator[Any]) -> Decorator[Any]:
    """One decorator that gives a command several options, in the order of the help."""

    def give(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return give


def hidden_option(group: str, name: str, **how: Any) -> Decorator[Any]:
    """An option that is not passed to its command: ``hidden_values(group)`` has its value if it was given."""

    def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            hidden_values_so_far(context, group)[str(parameter.name)] = value

    return click.option(name, expose_value=False, callback=remember, **how)


def hidden_values(group: str) -> dict[str, Any]:
    """The values of the running command's hidden options, by name."""
    return hidden_values_so_far(click.get_current_context(), group)


def hidden_values_so_far(context: click.Context, group: str) -> dict[str, Any]:
    """The same while options are still being parsed."""
    found: dict[str, Any] = context.meta.setdefault(f"{__name__}.{group}", {})
    return found


def _flag(*names: str, text: str) -> Decorator[Any]:
    # Eager, so that --debug applies to an error in another option, wherever it is on the command line.
    return click.option(*names, is_flag=True, is_eager=True, expose_value=False, callback=_raise, help=text)


def _raise(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    found = context.ensure_object(Flags)
    if value and parameter.name:
        setattr(found, parameter.name, True)


def _all(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from converter.cli.command import show_all

        show_all(context, parameter, value)


common = combine_options(
    click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_all,
        help="Show all options, and examples.",
    ),
    _flag("-q", "--quiet", text="No progress, no warnings; errors only."),
    _flag("--json", text="Print one JSON document on standard output."),
    _flag("--debug", text="Show where an error comes from."),
)
"""Gives a command the flags that all commands have."""
