"""``transship validate``: what is wrong with documents."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from converter.cli.reports import FORMATS, Checked, report
from converter.cli.settings import common, settings
from converter.cli.text import show, show_json
from converter.errors import NotFound, Usage
from converter.schema import FAMILIES, KINDS, Profile, Rule, guess, rules
from converter.validate import validate_document


@click.command(name="validate")
@click.argument("targets", metavar="TARGET…", nargs=-1)
@click.option("--kind", type=click.Choice(KINDS), help="What the documents are; guessed where it is not said.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="How to say it.")
@click.option(
    "--profile",
    type=click.Choice(("compat", "strict")),
    default="compat",
    show_default=True,
    help="Whom to agree with: the reference implementations, or the text of the specifications.",
)
@click.option("--list-rules", is_flag=True, help="Print every rule there is, and do nothing else.")
@common
def command(targets: tuple[str, ...], kind: str | None, form: str, profile: Profile, list_rules: bool) -> int:
    """Say everything that is wrong with JSON documents.

    TARGET is a file, or - for standard input. Exit status 1 where one is invalid; warnings leave a target valid.
    """
    form = "json" if settings().json else form
    if list_rules:
        _list_rules(kind, form)
        return 0
    if not targets:
        raise Usage("got no TARGET, want at least one")
    checked = list(_documents(targets, kind, profile))
    report(checked, form, quiet=settings().quiet)
    return 0 if all(one.valid for one in checked) else 1


def _documents(targets: tuple[str, ...], kind: str | None, profile: Profile) -> Iterator[Checked]:
    for target in targets:
        data = _read(target)
        actual = kind or guess(data)
        if actual is None:
            raise Usage(f"got {target}, whose kind cannot be told, want --kind")
        yield Checked(target=target, kind=actual, findings=validate_document(data, actual, profile))


def _read(target: str) -> bytes:
    if target == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(target).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"got no file {target}, want a JSON document") from None


def _list_rules(kind: str | None, form: str) -> None:
    chosen = [rule for rule in rules() if kind is None or kind in rule.kinds]
    if form == "json":
        show_json([_rule(rule) for rule in chosen])
        return
    for rule in chosen:
        levels = f"compat: {rule.compat or 'no rule'}, strict: {rule.strict or 'no rule'}"
        show(f"{rule.name}  ({levels})")
        show(f"    {rule.title}  [{rule.spec}]")
        if rule.note:
            show(f"    {rule.note}")


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "rule": rule.name,
        "title": rule.title,
        "spec": rule.spec,
        "kinds": list(rule.kinds),
        "families": list(dict.fromkeys(FAMILIES[kind] for kind in rule.kinds)),
        "compat": rule.compat,
        "strict": rule.strict,
        "note": rule.note,
    }
