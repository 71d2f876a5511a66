"""A manual page for each command, read from click: as roff for man(1), as Markdown for the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

from converter.cli.commands import COMMANDS, transship
from converter.version import __version__


@dataclass(frozen=True)
class Text:
    """A paragraph, or lines that stay as they are."""

    text: str
    kept: bool


@dataclass(frozen=True)
class Page:
    """What a command says of itself."""

    name: str
    summary: str
    usage: str
    description: tuple[Text, ...]
    options: tuple[tuple[str, str], ...]
    closing: tuple[Text, ...]
    see_also: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its name as a file, and for man(1): `transship-cache-ls`."""
        return self.name.replace(" ", "-")


def pages() -> tuple[Page, ...]:
    """The page of the program, and that of each command and subcommand."""
    return tuple(_pages("transship", transship, "convert container images between Docker, OCI and ACI", None))


def _pages(name: str, command: click.Command, summary: str, parent: click.Context | None) -> Iterator[Page]:
    last = name.rpartition(" ")[2]
    context = click.Context(command, parent, last, terminal_width=10_000, **command.context_settings)
    below = []
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                short = COMMANDS[each][1] if name == "transship" else found.get_short_help_str(1000)
                below.append((f"{name} {each}", found, short))
    yield Page(
        name,
        summary.rstrip("."),
        " ".join([name, *command.collect_usage_pieces(context)]),
        _texts(command.help),
        tuple(_options(command, context)),
        _texts(command.epilog),
        tuple(each for each, _, _ in below) or (name.rpartition(" ")[0],),
    )
    for each, found, short in below:
        yield from _pages(each, found, short, context)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield record


def _texts(text: str | None) -> tuple[Text, ...]:
    """Click's paragraphs: those that begin with an escaped b keep their lines."""
    found = []
    for block in re.split(r"\n\s*\n", (text or "").strip("\n")):
        lines = block.splitlines()
        kept = bool(lines) and lines[0].strip() == "\b"
        if kept:
            found.append(Text("\n".join(lines[1:]), kept=True))
        elif lines:
            found.append(Text(" ".join(map(str.strip, lines)), kept=False))
    return tuple(found)


def roff(page: Page) -> str:
    """The page for man(1)."""
    lines = [
        f'.TH "{page.file.upper()}" "1" "" "transship {__version__}" "User Commands"',
        # Neither hyphens nor stretched lines: what is copied from a page must be what was meant.
        *[".nh", ".ad l"],
        *[".SH NAME", f"{_quoted(page.file)} \\- {_quoted(page.summary)}"],
        *[".SH SYNOPSIS", f".B {_quoted(page.usage)}"],
        ".SH DESCRIPTION",
    ]
    for text in page.description:
        lines += _roff(text)
    lines.append(".SH OPTIONS")
    for names, meaning in page.options:
        lines += [".TP", f".B {_quoted(names)}", _quoted(meaning)]
    if page.closing:
        lines.append(".SH NOTES")
    for text in page.closing:
        lines += _roff(text)
    others = ", ".join(f"\\fB{_quoted(name.replace(' ', '-'))}\\fR(1)" for name in page.see_also)
    return "\n".join([*lines, ".SH SEE ALSO", others, ""])


def _roff(text: Text) -> list[str]:
    if text.kept:
        return [".PP", ".nf", *map(_quoted, text.text.splitlines()), ".fi"]
    return [".PP", _quoted(text.text)]


def _quoted(text: str) -> str:
    """Text in which roff sees no requests and no escapes, and that can be pasted into a shell."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def markdown(page: Page) -> str:
    """The page as a section for the site."""
    parts = [f"## {page.name}", f"```text\n{page.usage}\n```"]
    parts += map(_markdown, page.description)
    rows = [f"| {_names(names)} | {_cell(meaning)} |" for names, meaning in page.options]
    parts.append(stacked("\n".join(["| option | meaning |", "|---|---|", *rows])))
    parts += map(_markdown, page.closing)
    return "\n\n".join(parts) + "\n"


def stacked(table: str) -> str:
    """A table whose cells stand below each other on a phone (site.css)."""
    return f'<div class="stacked" markdown>\n\n{table}\n\n</div>'


def _names(names: str) -> str:
    """The names of an option, each by itself, so that a line breaks between them."""
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _markdown(text: Text) -> str:
    return f"```text\n{text.text}\n```" if text.kept else _escaped(text.text)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text that Markdown leaves as it is, with options as code."""
    pieces = re.split(r"(?<![\w-])(--?[a-z][\w-]*)", text)
    pieces[::2] = (re.sub(r"([\\*_<>\[\]`])", r"\\\1", piece) for piece in pieces[::2])
    pieces[1::2] = (f"`{piece}`" for piece in pieces[1::2])
    return "".join(pieces)
