"""The completion scripts of the shells, with the places from which they load them below a prefix such as /usr."""

from __future__ import annotations

from click.testing import CliRunner

from converter.cli.commands import completion

PLACES = {
    "bash": "share/bash-completion/completions/transship",
    "zsh": "share/zsh/site-functions/_transship",
    "fish": "share/fish/vendor_completions.d/transship.fish",
}


def scripts() -> dict[str, str]:
    """Place → script."""
    return {place: CliRunner().invoke(completion, [shell]).output for shell, place in PLACES.items()}
