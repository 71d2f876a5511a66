"""The flags of every command, helpers to share options, and the types of their values.

A type refuses a value in this program's words, not in click's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from converter.errors import Usage, from_system

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

ALL = f"{__name__}.all"
"""The key in a context that says that the full help was requested."""


class Flags:
    """The flags, and ``failed``, the exit status if the command fails."""

    def __init__(self) -> None:
        self.quiet = self.json = self.debug = False
        self.failed = 1


def flags() -> Flags:
    """The flags of the running command."""
    return click.get_current_context().ensure_object(Flags)


def combine_options(*options: Decorator[Any]) -> Decorator[Any]:
    """One decorator that gives a command several options, in the order of the help."""

    def give(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return give


def hidden_option(group: str, *names: str, **how: Any) -> Decorator[Any]:
    """An option that is not passed to its command: ``hidden_values(group)`` has its value if it was given.

    There it has a name without that of the group: ``src_credentials`` is ``credentials`` in the group ``src``.
    """

    def remember(_context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            hidden_values(group)[str(parameter.name).removeprefix(f"{group}_")] = value

    return click.option(*names, expose_value=False, callback=remember, **how)


def hidden_values(group: str) -> dict[str, Any]:
    """The values of the hidden options of the command that runs, or that is parsed, by name."""
    found: dict[str, Any] = click.get_current_context().meta.setdefault(f"{__name__}.{group}", {})
    return found


def _flag(*names: str, text: str) -> Decorator[Any]:
    # Eager, so that --debug applies to an error in another option, wherever it is on the command line.
    return click.option(*names, is_flag=True, is_eager=True, expose_value=False, callback=_raise, help=text)


def _raise(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        setattr(context.ensure_object(Flags), str(parameter.name), True)


def _show_all(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print all of the help, and end."""
    if value and not context.resilient_parsing:
        context.meta[ALL] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()


common = combine_options(
    click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help="Show all options, and examples.",
    ),
    _flag("-q", "--quiet", text="No progress, no warnings; errors only."),
    _flag("--json", text="Print one JSON document on standard output."),
    _flag("--debug", text="Show where an error comes from."),
)
"""Gives a command the flags that all commands have."""


def parameter_name(parameter: click.Parameter) -> str:
    """An option by the longest of its names, or an argument as the help shows it."""
    if parameter.param_type_name == "argument":
        return parameter.human_readable_name.strip("[]{}.")
    return max(parameter.opts, key=len)


def _name(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """What the user wrote before the value: an option, an argument, or an environment variable."""
    assert parameter is not None
    assert context is not None
    if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return parameter_name(parameter)


class OneOf(click.Choice):  # type: ignore[type-arg]  # before click 8.2 it is no generic class
    """One of a few words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage for another word, with the one that was probably meant, or all of them."""
        if value in self.choices:
            return value
        from difflib import get_close_matches

        fact = f'unknown {_name(param, ctx)} "{value}"'
        image = [one for one in self.choices if one == f"{value}-image"]
        if close := image or get_close_matches(str(value), self.choices, n=1, cutoff=0.8):
            raise Usage(f"{fact}: did you mean {close[0]}?")
        raise Usage(f"{fact} (one of: {', '.join(self.choices)})")


class Number(click.FloatRange):
    """A number, with fractions; not below ``min``, or above it if that is ``min_open``."""

    read: Callable[[str], float] = float
    expected = "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage."""
        try:
            number = self.read(value)
        except ValueError:
            raise Usage(f'invalid {_name(param, ctx)} "{value}": expected {self.expected}') from None
        least = self.min or 0.0
        if not number >= least or (self.min_open and number == least):
            more = f"more than {least:g}" if self.min_open else f"{least:g} or more"
            raise Usage(f"{_name(param, ctx)} is {value}: expected {more}")
        return number


class WholeNumber(Number):
    """The same without fractions."""

    read = int
    expected = "a whole number"


class Truth(click.types.BoolParamType):
    """True or false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise Usage(f'invalid {_name(param, ctx)} "{value}": expected true or false') from None


class FilePath(click.Path):
    """The path of a file, or of a ``folder``; ``exists``: one that is there."""

    def __init__(self, *, exists: bool = False, folder: bool = False) -> None:
        super().__init__(path_type=Path, exists=exists, file_okay=not folder, dir_okay=folder)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage if there is nothing, or something of another kind."""
        path, option = Path(value), _name(param, ctx)
        try:
            path.stat()
        except OSError as error:
            if not self.exists and isinstance(error, FileNotFoundError):
                return path
            hint = ": `cosign generate-key-pair` makes one" if option == "--cosign-key" else ""
            raise Usage(f"{from_system(error)} ({option}{hint})") from None
        if path.is_dir() is not self.dir_okay:
            wrong = "a file: expected a folder" if self.dir_okay else "a folder: expected a file"
            raise Usage(f"{path} is {wrong} ({option})")
        return path
