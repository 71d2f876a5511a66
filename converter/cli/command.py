"""A command whose options are checked before it runs, and whose help fits one screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click

from converter.cli.commands import COMMANDS

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
        "--output", "--attach", "--raw", "--config", "--format", "--fail-on", "--list-rules", "--report",
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

ALL = "converter.cli.command.all"
"""The key in a context that says that the full help was requested."""
_GROUP, _NAMES, _WIDTH = 10, 23, 80

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MIB = 1024 * 1024


class Helped(click.Command):
    """A command whose options are grouped in its help."""

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
            common = [one for one in options if _name(one) not in RARE]
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


class Command(Helped):
    """One whose options are checked to have an effect before it runs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; raises Usage for an option that would be ignored."""
        from converter.cli.option_effects import check_options

        check_options(ctx)
        return super().invoke(ctx)


class Group(Helped, click.Group):
    """A group of commands."""

    command_class = Helped

    def format_below(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, before the options, which all of them have."""
        self.format_commands(ctx, formatter)


class LayerCommand(Command):
    """A command that reads layers, in threads that share one heap."""

    def invoke(self, ctx: click.Context) -> Any:
        """As in Command."""
        share_heap()
        return super().invoke(ctx)


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
    options = {_name(one): one for one in parameters if isinstance(one, click.Option)}
    for group, names in GROUPS.items():
        if there := [options.pop(name) for name in names if name in options]:
            yield group, there
    if options:
        yield "More", [*options.values()]


def _rows(ctx: click.Context, options: Iterable[click.Parameter]) -> Iterable[tuple[str, str]]:
    """The names and a short text of each, that fits in a line."""
    for one in options:
        record = one.get_help_record(ctx)
        assert record is not None
        names, text = record
        if len(names) > _NAMES:  # --help-all shows choices and forms in full
            names = f"{names.split()[0]} {one.name.upper() if one.name else ''}"
        room = _WIDTH - _GROUP - 2 - _NAMES
        first = re.split(r"\. | \(|: |; ", text)[0].rstrip(".")
        yield names, first if len(first) <= room else f"{first[: room - 1].rsplit(' ', 1)[0]}…"


def _name(option: click.Parameter) -> str:
    return max(option.opts, key=len)


def show_all(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print all of the help, and end."""
    if value and not context.resilient_parsing:
        context.meta[ALL] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()
