"""Types of options and arguments. A value that is none is refused in this program's words, not in click's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.errors import Usage, from_system

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # before click 8.2 it is no generic class


def _name(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """What the user wrote before the value: an option, an argument, or an environment variable."""
    from click.core import ParameterSource

    if parameter is None:
        return "value"
    source = context.get_parameter_source(parameter.name) if context is not None and parameter.name else None
    if source is ParameterSource.ENVIRONMENT and isinstance(parameter.envvar, str):
        return parameter.envvar
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.human_readable_name).strip("[]{}.")
    return max(parameter.opts, key=len)


class OneOf(_Choice):
    """One of a few words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage for another word, with the one that was probably meant, or all of them."""
        if value in self.choices:
            return super().convert(value, param, ctx)
        from difflib import get_close_matches

        told = f'unknown {_name(param, ctx)} "{value}"'
        if close := get_close_matches(str(value), self.choices, n=1, cutoff=0.8):
            raise Usage(f"{told}: did you mean {close[0]}?")
        raise Usage(f"{told} (one of: {', '.join(self.choices)})")


class WholeNumber(click.IntRange):
    """A whole number, not below ``min``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage."""
        try:
            number = int(value)
        except ValueError:
            raise Usage(f'invalid {_name(param, ctx)} "{value}": expected a whole number') from None
        if self.min is not None and number < self.min:
            raise Usage(f"{_name(param, ctx)} is {number}: expected {self.min:.0f} or more")
        return number


class Number(click.FloatRange):
    """A number, with fractions; not below ``min``, or above it if that is ``min_open``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage."""
        try:
            number = float(value)
        except ValueError:
            raise Usage(f'invalid {_name(param, ctx)} "{value}": expected a number') from None
        least = self.min or 0.0
        if not number >= least or (self.min_open and number == least):
            more = f"more than {least:g}" if self.min_open else f"{least:g} or more"
            raise Usage(f"{_name(param, ctx)} is {value}: expected {more}")
        return number


class Truth(click.types.BoolParamType):
    """True or false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise Usage(f'invalid {_name(param, ctx)} "{value}": expected true or false') from None


class FilePath(click.Path):
    """The path of a file; ``exists``: one that is there."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(path_type=Path, exists=exists, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage for a directory, or if there is nothing."""
        return _checked(Path(value), _name(param, ctx), self.exists, folder=False)


class FolderPath(click.Path):
    """The path of a folder; ``exists``: one that is there."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(path_type=Path, exists=exists, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises Usage for a file, or if there is nothing."""
        return _checked(Path(value), _name(param, ctx), self.exists, folder=True)


def _checked(path: Path, option: str, exists: bool, *, folder: bool) -> Path:
    try:
        path.stat()
    except OSError as error:
        if not exists and isinstance(error, FileNotFoundError):
            return path
        raise Usage(f"{from_system(error)} ({option})") from None
    if path.is_dir() is not folder:
        raise Usage(f"{path} is {'a file: expected a folder' if folder else 'a folder: expected a file'} ({option})")
    return path
