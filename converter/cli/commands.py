"""The commands: each is imported only when it is called, has help that fits one screen, and checks its options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from converter.cli.flags import ALL, OneOf, common, parameter_name
from converter.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "convert": ("converter.cli.convert", "Write an image to other places, in its format or another."),
    "sync": ("converter.cli.sync", "Copy many images: those in a file, or all in a place."),
    "serve": ("converter.cli.serve", "Serve images as a registry, converted when asked for."),
    "inspect": ("converter.cli.inspect", "Describe an image: platforms, config, layers, signatures."),
    "ls": ("converter.cli.ls", "List the files of an image."),
    "cat": ("converter.cli.ls:cat", "Write one file of an image to standard output."),
    "tags": ("converter.cli.ls:tags", "List the images in a place."),
    "diff": ("converter.cli.diff", "Compare the contents of two images, whatever their formats."),
    "validate": ("converter.cli.validate", "Report everything that is wrong with images or documents."),
    "schema": ("converter.cli.schema", "Print the JSON Schemas used to check documents."),
    "sign": ("converter.cli.sign", "Add a signature to an image; the image itself does not change."),
    "verify": ("converter.cli.verify", "Report who signed an image, and whether that suffices."),
    "profile": ("converter.cli.profile", "Print what an image contains, as a text or a statement to sign."),
    "cache": ("converter.cli.cache", "List what earlier runs have cached, or remove it."),
    "completion": ("converter.cli.commands:completion", "Print a script for shell completion of these commands."),
}
"""Name → module, and what it is called there if not ``command``; and its short help.

That is all that ``--help`` and completion need to know about a command.
"""

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


GROUPS: dict[str, tuple[str, ...]] = {
    "Source": (
        "--platform", "--all-images", "--aci-path", "--download-foreign", "--kind", "--profile", "--content-trust",
        "--depth", "--long", "--ignore", "--no-default-ignore", "--times", "--rename", "--bundle",
    ),
    "Target": ("--to", "--compress", "--dry-run", "--overwrite", "--dest", "--lookaside", "--devices", "--link"),
    "Image": (
        "--squash", "--change", "--layered", "--strict", "--preserve-digests", "--source-date-epoch", "--attachments",
        "--rkt-dev-links",
    ),
    "Signatures": (
        "--sign-by", "--policy", "--cosign-key", "--gpg-key", "--key", "--keyring", "--require", "--identity",
        "--certificate-chain", "--certificate-identity", "--rekor-key", "--trust-store", "--map-identity", "--at",
        "--allow-weak-digest", "--sign-identity", "--remove-signatures", "--origin",
    ),
    "Registry": (
        "--creds", "--authfile", "--tls-verify", "--anonymous", "--cert-dir", "--retries", "--timeout", "--src-creds",
        "--dest-creds", "--src-cert-dir", "--dest-cert-dir", "--src-tls-verify", "--dest-tls-verify",
    ),
    "Run": (
        "--keep-going", "--scheduler", "--images", "--per-host", "--jobs", "--no-cache", "--cache-blobs", "--limit",
        "--keep",
    ),
    "Serve": (
        "--listen", "--tls-cert", "--tls-key", "--insecure", "--htpasswd", "--store", "--store-size", "--threads",
        "--grace", "--rate",
    ),
    "Output": (
        "--output", "--attach", "--raw", "--config", "--contents", "--format", "--fail-on", "--list-rules", "--report",
        "--digestfile", "--quiet", "--json", "--debug", "--help", "--help-all",
    ),
}  # fmt: skip
"""The options of all commands, in groups."""

RARE = frozenset((
    "--aci-path", "--download-foreign", "--content-trust", "--no-default-ignore", "--devices", "--link", "--layered",
    "--source-date-epoch", "--attachments", "--rkt-dev-links", "--certificate-chain", "--certificate-identity",
    "--rekor-key", "--trust-store", "--map-identity", "--at", "--allow-weak-digest", "--sign-identity",
    "--remove-signatures", "--origin", "--anonymous", "--cert-dir", "--retries", "--timeout", "--src-creds",
    "--dest-creds", "--src-cert-dir", "--dest-cert-dir", "--src-tls-verify", "--dest-tls-verify", "--per-host",
    "--jobs", "--no-cache", "--cache-blobs", "--limit", "--debug", "--help", "--help-all", "--digestfile",
    "--lookaside", "--preserve-digests", "--insecure", "--threads", "--grace", "--store-size", "--rate",
))  # fmt: skip
"""Options that only ``--help-all`` shows."""

_GROUP, _NAMES, _WIDTH = 10, 23, 80

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MIB = 1024 * 1024


COMPLETION_HELP = """\
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


class Command(click.Command):
    """A command whose options are grouped in its help, and checked to have an effect before it runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; raises Usage for an option that would be ignored."""
        from converter.cli.option_effects import check_options

        check_options(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One screen: what it does, in a sentence, and the common options, a line for each; or all of it."""
        if ctx.meta.get(ALL):
            super().format_help(ctx, formatter)
            return
        self.format_usage(ctx, formatter)
        own = COMMANDS.get(ctx.command_path.partition(" ")[2])
        formatter.write(f"\n  {own[1] if own else self.get_short_help_str(_WIDTH - 4)}\n")
        self.format_below(ctx, formatter)
        formatter.write("\n")
        for group, options in _grouped(self.get_params(ctx)):
            common = [one for one in options if parameter_name(one) not in RARE]
            for number, (names, text) in enumerate(_rows(ctx, common)):
                line = f"{'' if number else group:<{_GROUP}} {names:<{_NAMES}} {text}"
                formatter.write(line[:_WIDTH].rstrip() + "\n")
        formatter.write(f"\nAll options, with examples: {ctx.command_path} --help-all\n")

    def format_below(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands of a group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands of a group, and all options, by their own groups."""
        self.format_below(ctx, formatter)
        for group, options in _grouped(self.get_params(ctx)):
            rows = [record for one in options if (record := one.get_help_record(ctx)) is not None]
            with formatter.section(group):
                formatter.write_dl(rows)


class Group(Command, click.Group):
    """A group of commands."""

    command_class = Command

    def format_below(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, before the options, which all of them have."""
        self.format_commands(ctx, formatter)


class LayerCommand(Command):
    """A command that reads layers, in threads that share one heap."""

    def invoke(self, ctx: click.Context) -> Any:
        """As in Command."""
        share_heap()
        return super().invoke(ctx)


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
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises Usage, with a suggestion, for an unknown command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from converter.cli.usage_errors import unknown_command

            raise unknown_command(args, list(COMMANDS))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, on one screen; with ``--help-all``, also the syntax of references."""
        if ctx.meta.get(ALL):
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


def share_heap() -> None:
    """Let all threads allocate from one arena, which keeps free memory (glibc, mallopt(3)); with another C library, do
    nothing.

    Blocks are allocated in one thread and freed in another, so with one arena per thread the free memory of each cannot
    serve the others: 330 MiB for an image of 520 MB, where 54 MiB suffice. Freed memory is needed again at once, so
    returning it to the system causes half of all page faults, and takes 5 % of the time; but not what zstd packs into,
    whose place nothing else fits: it took 5 MiB more. A library must not decide this for its process; a program may.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 2 * _MIB)
        mallopt(_TRIM_THRESHOLD, 256 * _MIB)


def _grouped(parameters: Iterable[click.Parameter]) -> Iterable[tuple[str, list[click.Option]]]:
    options = {parameter_name(one): one for one in parameters if isinstance(one, click.Option)}
    for group, names in GROUPS.items():
        if there := [options[name] for name in names if name in options]:
            yield group, there


def _rows(ctx: click.Context, options: Iterable[click.Parameter]) -> Iterable[tuple[str, str]]:
    """The names and a short text of each, that fits in a line."""
    for one in options:
        record = one.get_help_record(ctx)
        assert record is not None
        names, text = record
        if len(names) > _NAMES:  # --help-all shows choices and forms in full
            names = f"{names.split()[0]} {str(one.name).upper()}"
        room = _WIDTH - _GROUP - 2 - _NAMES
        first = re.split(r"\. | \(|: |; ", text)[0].rstrip(".")
        yield names, first if len(first) <= room else f"{first[: room - 1].rsplit(' ', 1)[0]}…"


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


@click.command("completion", cls=Command, help=COMPLETION_HELP)
@click.argument("shell", type=OneOf(["bash", "zsh", "fish"]))
@common
def completion(shell: str) -> None:
    """Write the script (the help is COMPLETION_HELP)."""
    from click.shell_completion import get_completion_class

    from converter.cli.run import COMPLETION

    kind = get_completion_class(shell)
    assert kind is not None
    before, after = _FILES[shell]
    script = kind(transship, {}, "transship", COMPLETION).source()
    click.echo(script.replace(before, after))
