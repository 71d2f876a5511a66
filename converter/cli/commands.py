"""The list of commands. Each is a module with a ``command``, imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from converter.cli.flags import common
from converter.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "convert": ("converter.cli.convert", "Write an image to other places, in its format or another."),
    "sync": ("converter.cli.sync", "Copy many images: those in a file, or all in a place."),
    "serve": ("converter.cli.serve", "Serve images as a registry, converted when asked for."),
    "inspect": ("converter.cli.inspect", "Describe an image: platforms, config, layers, signatures."),
    "ls": ("converter.cli.ls", "List the files of an image."),
    "cat": ("converter.cli.cat", "Write one file of an image to standard output."),
    "tags": ("converter.cli.tags", "List the images in a place."),
    "diff": ("converter.cli.diff", "Compare the contents of two images, whatever their formats."),
    "validate": ("converter.cli.validate", "Report everything that is wrong with images or documents."),
    "schema": ("converter.cli.schema", "Print the JSON Schemas used to check documents."),
    "sign": ("converter.cli.sign", "Add a signature to an image; the image itself does not change."),
    "verify": ("converter.cli.verify", "Report who signed an image, and whether that suffices."),
    "profile": ("converter.cli.profile", "Print what an image contains, as a text or a statement to sign."),
    "cache": ("converter.cli.cache", "List what earlier runs have cached, or remove it."),
    "completion": ("converter.cli.completion", "Print a script for shell completion of these commands."),
}
"""Name → module and short help: all that ``--help`` and completion need to know about a command."""

ABOUT = """\
Move the contents of a container image from one format to another, intact.

\b
References:
  docker-archive:PATH[:REF|:@N]     what docker save writes, of every generation
  docker-daemon:REF                 the Docker Engine, or podman (DOCKER_HOST)
  docker://HOST/REPO[:TAG|@DIGEST]  a registry
  oci:PATH[:REF|:@N|@DIGEST]        an OCI layout
  oci-archive:PATH[:REF]            an OCI layout in a tar
  dir:PATH                          skopeo's directory
  aci:PATH                          an image of rkt
  appc:NAME[:VERSION][,LABEL=VALUE] an image of rkt, found by its name (read only)
  rootfs:PATH, bundle:PATH          a root directory or its tar, an OCI runtime bundle

PATH may be - for standard input or output. A source may also be a bare path; its type is detected from its content.
"""

REFERENCES = """\
References: docker://HOST/REPO[:TAG], docker-daemon:REF, appc:NAME, and with a
PATH oci: oci-archive: docker-archive: dir: aci: rootfs: bundle:
Everything: transship --help-all, transship COMMAND --help-all
"""

STATUS = """\
Exit status: 0 done; 1 refused or failed, with one line on standard error; 2 wrong usage; 130 interrupted.
"""


class Commands(click.Group):
    """A group that knows the names and short help of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises Usage, with a suggestion, for an unknown command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from converter.cli.suggestions import unknown_command

            raise unknown_command(args, list(COMMANDS))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, on one screen; with ``--help-all``, also the syntax of references."""
        if ctx.meta.get("converter.cli.command.all"):
            super().format_help(ctx, formatter)
            return
        self.format_usage(ctx, formatter)
        formatter.write(f"\n  {ABOUT.splitlines()[0]}\n")
        self.format_commands(ctx, formatter)
        formatter.write(f"\n{REFERENCES}")

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        # click.Group's own would import every command for its short help.
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.command(
    name="transship",
    cls=Commands,
    no_args_is_help=False,
    help=ABOUT,
    epilog=STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="transship %(version)s")
@common
def transship() -> None:
    """All commands (the help is ABOUT)."""
