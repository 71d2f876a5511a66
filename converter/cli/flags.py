"""The flags of every command, ``--quiet``, ``--json`` and ``--debug``; and how options are shared between commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]


class Flags:
    """The flags, and ``failed``: the exit status when the command cannot do its work."""

    def __init__(self) -> None:
        self.quiet = self.json = self.debug = False
        self.failed = 1


class WholeNumber(click.IntRange):
    """A number of things, not below ``min``."""

    name = "whole number"  # as errors call it; click has "integer range"


class Number(click.FloatRange):
    """The same, not only of whole things."""

    name = "number"


def flags() -> Flags:
    """Those of the command that runs."""
    found = click.get_current_context().find_object(Flags)
    return Flags() if found is None else found


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """One decorator that gives a command several options, in the order of its help."""

    def give(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return give


def hidden(group: str, name: str, **how: Any) -> Decorator[Any]:
    """An option that its command is not handed: ``told(group)`` has its value, where it was given."""

    def remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            noted(context, group)[str(parameter.name)] = value

    return click.option(name, expose_value=False, callback=remember, **how)


def told(group: str) -> dict[str, Any]:
    """What the hidden options of the command that runs say, by their names."""
    return noted(click.get_current_context(), group)


def noted(context: click.Context, group: str) -> dict[str, Any]:
    """The same while options are still being read."""
    found: dict[str, Any] = context.meta.setdefault(f"{__name__}.{group}", {})
    return found


def _flag(*names: str, text: str) -> Decorator[Any]:
    # Eager: --debug holds for an error in another option, wherever it stands.
    return click.option(*names, is_flag=True, is_eager=True, expose_value=False, callback=_raise, help=text)


def _raise(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    found = context.ensure_object(Flags)
    if value and parameter.name:
        setattr(found, parameter.name, True)


common = together(
    _flag("-q", "--quiet", text="No progress, no warnings; errors only."),
    _flag("--json", text="Print one JSON document on standard output."),
    _flag("--debug", text="Show where an error comes from."),
)
"""Gives a command the flags that all have."""
