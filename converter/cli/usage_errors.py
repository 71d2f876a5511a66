"""What click says about a wrong command line, in this program's words, with what was probably meant."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

import click

from converter.cli.flags import parameter_name
from converter.errors import Usage

_EXTRA = re.compile(r"\w+ unexpected extra arguments? \((.*)\)", re.DOTALL)
_COMMAND = re.compile(r"no such command '(.*?)'\.?(?: did you mean '(.*?)'\?)?", re.DOTALL | re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'")


COMMANDS_OF_OTHERS = {
    "copy": "convert",
    "cp": "convert",
    "pull": "convert",
    "push": "convert",
    "save": "convert",
    "load": "convert",
    "list-tags": "tags",
    "ls-tags": "tags",
    "images": "tags",
    "info": "inspect",
    "manifest": "inspect",
    "mirror": "sync",
    "check": "validate",
    "compare": "diff",
    "version": "--version",
}
"""A command of other tools → the command here."""

ANY_COMMAND = ""
OPTIONS = {
    ("convert", "--format"): "did you mean --to?",
    ("convert", "-f"): "did you mean --to?",
    ("convert", "-o"): "the destination is the argument DEST",
    ("convert", "--output"): "the destination is the argument DEST",
    ("sync", "--format"): "did you mean --to?",
    ("serve", "--format"): "did you mean --to?",
    ("serve", "--port"): "did you mean --listen?",
    ("serve", "-p"): "did you mean --listen?",
    ("sign", "--key"): "did you mean --sign-by?",
    ("verify", "--cosign-key"): "did you mean --key?",
    ("validate", "--strict"): "did you mean --profile strict?",
    ("ls", "-R"): "all folders are listed (--depth N for fewer)",
    (ANY_COMMAND, "--src-creds"): "did you mean --creds?",
    (ANY_COMMAND, "--src-cert-dir"): "did you mean --cert-dir?",
    (ANY_COMMAND, "--src-tls-verify"): "did you mean --tls-verify?",
    (ANY_COMMAND, "-v"): "did you mean --debug?",
    (ANY_COMMAND, "--verbose"): "did you mean --debug?",
}
"""A command here and an option of other tools, or of another command → what to do instead."""

LOGIN = (
    "there is no login of its own: it uses that of `podman login`, `docker login` or `skopeo login` "
    "(or --creds, --authfile)"
)


def text_of(error: click.UsageError) -> str:
    """The error in one line, with the command before it and a hint to its help behind."""
    text = _fact(error)
    if error.ctx is None:
        return text
    names = error.ctx.command_path.split()
    trail = "".join(f"{name}: " for name in names[1:])
    return f"{trail}{text} (see {' '.join(names)} --help)"


def _fact(error: click.UsageError) -> str:
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{parameter_name(error.param)} is missing"
    if isinstance(error, click.NoSuchOption):
        possible = error.possibilities or ()
        close = " or ".join(get_close_matches(error.option_name, possible, cutoff=0.8) or possible)
        command = str(error.ctx.info_name) if error.ctx is not None else ""
        hint = OPTIONS.get((command, error.option_name)) or OPTIONS.get((ANY_COMMAND, error.option_name))
        hint = hint or (f"did you mean {close}?" if close else "")
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


def unknown_command(arguments: Sequence[str], commands: Sequence[str]) -> Usage:
    """The error for an unknown command, with a suggestion."""
    name = arguments[0]
    if name in ("login", "logout"):
        return Usage(f'unknown command "{name}": {LOGIN}')
    if name == "help":
        return Usage(f'unknown command "help": did you mean `{shlex.join(["transship", *arguments[1:], "--help"])}`?')
    known = COMMANDS_OF_OTHERS.get(name)
    close = [known] if known else get_close_matches(name, commands, n=1, cutoff=0.6)
    if close:
        return Usage(f'unknown command "{name}": did you mean `{_line(close[0], arguments[1:])}`?')
    if any(mark in name for mark in ":/.") or os.path.exists(name):  # noqa: PTH110 - Path raises for long names
        several = sum(not one.startswith("-") for one in arguments) > 1
        return Usage(f"the command is missing: `{_line('convert' if several else 'inspect', arguments)}`")
    return Usage(f'unknown command "{name}" (one of: {", ".join(commands)})')


def _line(command: str, rest: Sequence[str]) -> str:
    return shlex.join(["transship", command, *rest])
