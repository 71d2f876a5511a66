"""Suggests a command in place of an unknown one: for habits from other tools, typos, and bare references."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from difflib import get_close_matches

from converter.errors import Usage

ELSEWHERE = {
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
}
"""A command of other tools → the command here."""

LOGIN = (
    "there is no login of its own: it uses that of `podman login`, `docker login` or `skopeo login` "
    "(or --creds, --authfile)"
)


def unknown_command(arguments: Sequence[str], commands: Sequence[str]) -> Usage:
    """The error for an unknown command, with a suggestion."""
    name = arguments[0]
    if name in ("login", "logout"):
        return Usage(f'unknown command "{name}": {LOGIN}')
    if name in ELSEWHERE:
        return Usage(f'unknown command "{name}": did you mean `{_line(ELSEWHERE[name], arguments[1:])}`?')
    if close := get_close_matches(name, commands, n=1, cutoff=0.6):
        return Usage(f'unknown command "{name}": did you mean `{_line(close[0], arguments[1:])}`?')
    if any(mark in name for mark in ":/.") or os.path.exists(name):  # noqa: PTH110 - any text, also no valid path
        several = sum(not one.startswith("-") for one in arguments) > 1
        return Usage(f"the command is missing: `{_line('convert' if several else 'inspect', arguments)}`")
    return Usage(f'unknown command "{name}" (one of: {", ".join(commands)})')


def _line(command: str, rest: Sequence[str]) -> str:
    return shlex.join(["transship", command, *rest])
