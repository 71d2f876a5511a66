"""``transship completion``: a script that makes a shell complete commands, options, and file names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from converter.cli.command import Command
from converter.cli.flags import OneOf, common

HELP = """\
Print a script for shell completion of these commands.

\b
bash: eval "$(transship completion bash)"       (in ~/.bashrc)
zsh:  eval "$(transship completion zsh)"        (in ~/.zshrc)
fish: transship completion fish | source        (in ~/.config/fish/config.fish)
"""

_FILES = {
    "bash": ("complete -o nosort -F", "complete -o nosort -o default -F"),
    "zsh": (
        """    if [ -n "$completions" ]; then
""",
        """    if [ -z "$completions$completions_with_descriptions" ]; then
        compset -P '*:'
        _files
    fi

    if [ -n "$completions" ]; then
""",
    ),
    "fish": (
        "complete --no-files",
        "complete --force-files --command transship --condition 'not __fish_use_subcommand'\ncomplete --no-files",
    ),
}
"""Replacements in click's scripts that make a shell offer files if click has nothing to offer, as for references."""


@click.command("completion", cls=Command, help=HELP)
@click.argument("shell", type=OneOf(["bash", "zsh", "fish"]))
@common
def command(shell: str) -> None:
    """Write the script (the help is HELP)."""
    from converter.cli.commands import transship
    from converter.cli.run import COMPLETION

    kind = get_completion_class(shell)
    assert kind is not None
    before, after = _FILES[shell]
    click.echo(kind(transship, {}, "transship", COMPLETION).source().replace(before, after))
