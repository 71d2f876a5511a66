"""What click says about a wrong command line, in this program's words."""

from __future__ import annotations

import re

import click

from converter.cli.suggestions import option_meant

_EXTRA = re.compile(r"\w+ unexpected extra arguments? \((.*)\)", re.DOTALL)
_COMMAND = re.compile(r"no such command '(.*?)'\.?(?: did you mean '(.*?)'\?)?", re.DOTALL | re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'")


def text_of(error: click.ClickException) -> str:
    """The error in one line, with the command before it and a hint to its help behind."""
    text = _fact(error)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return text
    names = context.command_path.split()
    trail = "".join(f"{name}: " for name in names[1:])
    return f"{trail}{text} (see {' '.join(names)} --help)"


def _fact(error: click.ClickException) -> str:
    if isinstance(error, click.MissingParameter) and error.param is not None:
        parameter = error.param
        if parameter.param_type_name == "argument":
            return f"{str(parameter.metavar or parameter.human_readable_name).strip('{}.')} is missing"
        return f"{max(parameter.opts, key=len)} is missing"
    if isinstance(error, click.NoSuchOption):
        close = " or ".join(error.possibilities or ())
        command = str(error.ctx.info_name) if error.ctx is not None else ""
        hint = option_meant(command, error.option_name) or (f"did you mean {close}?" if close else "")
        return f"unknown option {error.option_name}" + (f": {hint}" if hint else "")
    text = " ".join(error.format_message().split()).rstrip(".")
    text = text[:1].lower() + text[1:]
    if isinstance(error, click.BadOptionUsage) and "requires" in text:
        return f"{error.option_name} needs a value"
    if found := _EXTRA.fullmatch(text):
        return f'unexpected argument "{found[1]}"'
    if found := _COMMAND.fullmatch(text):
        return f'unknown command "{found[1]}"' + (f": did you mean {found[2]}?" if found[2] else "")
    return _QUOTED.sub(r'"\1"', text)
