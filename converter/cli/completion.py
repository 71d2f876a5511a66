"""``transship completion``: a script that makes a shell complete the commands, their options, and names of files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from converter.cli.flags import common

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
"""What is put in the place of what, so that a shell offers files where click has nothing to offer: for references."""


@click.command("completion", help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def command(shell: str) -> None:
    """Write the script (the help is HELP)."""
    from converter.cli.commands import transship
    from converter.cli.run import COMPLETION

    kind = get_completion_class(shell)
    assert kind is not None
    before, after = _FILES[shell]
    click.echo(kind(transship, {}, "transship", COMPLETION).source().replace(before, after))
