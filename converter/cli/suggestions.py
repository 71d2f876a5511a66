"""Suggests what to write in place of an unknown command or option: for habits from other tools, typos, and bare
references.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from converter.errors import Usage

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


def unknown_command(arguments: Sequence[str], commands: Sequence[str]) -> Usage:
    """The error for an unknown command, with a suggestion."""
    name = arguments[0]
    if name in ("login", "logout"):
        return Usage(f'unknown command "{name}": {LOGIN}')
    if name == "help":
        return Usage(f'unknown command "help": did you mean `{shlex.join(["transship", *arguments[1:], "--help"])}`?')
    if name in COMMANDS_OF_OTHERS:
        return Usage(f'unknown command "{name}": did you mean `{_line(COMMANDS_OF_OTHERS[name], arguments[1:])}`?')
    if close := get_close_matches(name, commands, n=1, cutoff=0.6):
        return Usage(f'unknown command "{name}": did you mean `{_line(close[0], arguments[1:])}`?')
    if any(mark in name for mark in ":/.") or os.path.exists(name):  # noqa: PTH110 - Path raises for long names
        several = sum(not one.startswith("-") for one in arguments) > 1
        return Usage(f"the command is missing: `{_line('convert' if several else 'inspect', arguments)}`")
    return Usage(f'unknown command "{name}" (one of: {", ".join(commands)})')


def option_meant(command: str, option: str) -> str:
    """What to do instead of an option that a command does not have; empty if it is no habit."""
    return OPTIONS.get((command, option)) or OPTIONS.get((ANY_COMMAND, option), "")


def _line(command: str, rest: Sequence[str]) -> str:
    return shlex.join(["transship", command, *rest])
