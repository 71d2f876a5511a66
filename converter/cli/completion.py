"""``transship completion``: a script that makes a shell complete the commands and their options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from converter.cli.flags import common

HELP = """\
Print what makes a shell complete these commands.

\b
bash: eval "$(transship completion bash)"       (in ~/.bashrc)
zsh:  eval "$(transship completion zsh)"        (in ~/.zshrc)
fish: transship completion fish | source        (in ~/.config/fish/config.fish)
"""


@click.command("completion", help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def command(shell: str) -> None:
    """Write the script (the help is HELP)."""
    from converter.cli.commands import transship
    from converter.cli.run import COMPLETION

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(transship, {}, "transship", COMPLETION).source())
