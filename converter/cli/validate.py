"""``transship validate``: reports what is wrong with images and documents."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from converter.cli.commands import Command
from converter.cli.finding_formats import WRITERS, Checked, json_of
from converter.cli.flags import OneOf, common, flags
from converter.cli.progress import progress
from converter.cli.shared_options import check_outputs, report_options, store_from_options, store_options, write_reports
from converter.cli.text import show, show_json
from converter.errors import ConverterError, Invalid, NotFound, Usage
from converter.events import Report
from converter.model import document
from converter.model.json_positions import find_positions
from converter.model.transport import TRANSPORTS
from converter.schema import FAMILIES, KINDS, Strictness, guess_kind
from converter.validate import IMAGE_KINDS, UNKNOWN, all_rules, unreadable_target, validate_document, validate_image

EXAMPLES = """\b
Examples:
  transship validate oci:app app.tar
  transship validate --kind oci-manifest --profile strict manifest.json
"""


@click.command("validate", cls=Command, epilog=EXAMPLES)
@click.argument("targets", metavar="TARGET...", nargs=-1)
@click.option(
    "--kind",
    type=OneOf((*KINDS, *IMAGE_KINDS)),
    metavar="KIND",
    help="What the targets are; default: guessed (transship schema lists the kinds of documents).",
)
@click.option("--format", "form", type=OneOf(tuple(WRITERS)), default="text", show_default=True, help="Output format.")
@click.option(
    "--profile",
    type=OneOf(("compat", "strict")),
    default="compat",
    show_default=True,
    help="How strict to be: as the reference implementations, or as the text of the specifications.",
)
@click.option(
    "--fail-on",
    type=OneOf(("error", "warning")),
    default="error",
    show_default=True,
    help="What makes the exit status 1.",
)
@click.option(
    "--list-rules", is_flag=True, help="Print all rules, or those of --kind, and exit; with --json for programs."
)
@report_options
@store_options
@common
def command(
    *, targets: tuple[str, ...], kind: str | None, form: str, profile: Strictness, fail_on: str, list_rules: bool
) -> int:
    """Report everything that is wrong with images or JSON documents.

    TARGET is a reference, a file, a directory, or - for a document on standard input. All blobs of an image
    are read. A reference without a name means all images there. The exit status is 1 if a target is invalid, or if one
    of several cannot be read. A target with warnings is valid, unless --fail-on warning is given.
    """
    form = "json" if flags().json else form
    if list_rules:
        _list_rules(kind, form)
        return 0
    if not targets:
        raise Usage("TARGET is missing: name at least one image or document")
    check_outputs()
    with progress(first=f"reading {targets[0]}") as watch:
        check = _checked if len(targets) == 1 else _one_of_many
        checked = [check(target, kind, profile, watch) for target in targets]
    write_reports(json_of(checked), "finding_formats", checked)
    WRITERS[form](checked)
    passed = all(not one.findings if fail_on == "warning" else one.valid for one in checked)
    return 0 if passed else 1


def _one_of_many(target: str, kind: str | None, profile: Strictness, watch: Report) -> Checked:
    """As ``_checked``, but an error is a finding, so that the other targets are still checked."""
    try:
        return _checked(target, kind, profile, watch)
    except ConverterError as error:
        return Checked(target=target, kind=UNKNOWN, findings=(unreadable_target(error, profile),))


def _checked(target: str, kind: str | None, profile: Strictness, watch: Report) -> Checked:
    if kind not in KINDS and (kind is not None or _is_image(target)):
        verdict = validate_image(_reference(target, kind), profile, store=store_from_options(), report=watch)
        return Checked(target=target, kind=verdict.kind, findings=verdict.findings)
    if kind is not None and _is_image(target, documents_may_be_binary=True):
        kinds = f"--kind {', '.join(IMAGE_KINDS)}"
        raise Invalid(f"an image, not a JSON document: leave out --kind {kind}, or choose one of {kinds}")
    data = _read(target)
    actual = kind or guess_kind(data)
    if actual is None:
        return Checked(target=target, kind=UNKNOWN, findings=(unreadable_target(_of_no_kind(data), profile),))
    findings = validate_document(data, actual, profile)
    found = find_positions(data, (finding.path for finding in findings)) if findings else {}
    return Checked(target=target, kind=actual, findings=findings, places=found)


def _of_no_kind(data: bytes) -> Invalid:
    """The error for a file that is not a document of a known kind, or not a document at all."""
    problems = document.read_json(data).problems
    if problems:
        return Invalid(f"neither an image nor a JSON document: {problems[0].fact}")
    return Invalid("cannot tell the kind of the document: add --kind (`transship schema` lists the kinds)")


def _reference(target: str, kind: str | None) -> str:
    """The reference for a bare path of a given kind; without a kind, its content decides."""
    path = Path(target)
    if kind is None or not path.exists():
        return target
    transports = {
        "aci-image": "aci",
        "docker-image": "docker-archive",
        "oci-image": "oci" if path.is_dir() else "oci-archive",
    }
    return f"{transports[kind]}:{target}"


def _is_image(target: str, *, documents_may_be_binary: bool = False) -> bool:
    """Whether a target cannot be a document: it is a reference, a directory, or a file that is not text; or, if broken
    documents may have any bytes, a tar or a compressed file.
    """
    path = Path(target)
    if target.partition(":")[0] in TRANSPORTS and ":" in target and not path.is_file():
        return True
    if target == "-" or not path.is_file():
        return path.is_dir()
    from converter.streams.decompress import HEAD, detect_codec

    with path.open("rb") as file:
        head = file.read(HEAD)
    if documents_may_be_binary:
        return detect_codec(head) is not None
    return path.suffix == ".aci" or b"\0" in head or detect_codec(head) is not None


def _read(target: str) -> bytes:
    from converter.model.limits import current_limits
    from converter.stores.disk import READ

    # One byte more than a document may have: longer input is refused, and endless input (a device) is not read on.
    most = current_limits().document + 1
    if target == "-":
        if sys.stdin is None:  # closed by whoever started this
            raise NotFound("standard input is closed")
        return sys.stdin.buffer.read(most)
    try:
        # Opened without waiting for a writer, which a FIFO may never get.
        with open(target, "rb", opener=lambda path, _: os.open(path, READ)) as file:
            os.set_blocking(file.fileno(), True)
            return file.read(most)
    except (FileNotFoundError, IsADirectoryError):
        from converter.stores import unexpanded

        raise NotFound(f"{target}: no such file or directory{unexpanded(target, 'the files')}") from None


def _list_rules(kind: str | None, form: str) -> None:
    chosen = [rule for rule in all_rules() if kind is None or kind in rule.kinds]
    if form == "json":
        families = FAMILIES | IMAGE_KINDS
        rows = [
            {
                "rule": rule.name,
                "title": rule.title,
                "spec": rule.spec,
                "kinds": list(rule.kinds),
                "families": list(dict.fromkeys(families[kind] for kind in rule.kinds)),
                "compat": rule.compat,
                "strict": rule.strict,
                "note": rule.note,
                "schema": rule.in_schema,
            }
            for rule in chosen
        ]
        show_json(rows)
        return
    for rule in chosen:
        levels = f"compat: {rule.compat or 'no rule'}, strict: {rule.strict or 'no rule'}"
        show(f"{rule.name}  ({levels})")
        show(f"    {rule.title}  [{rule.spec}]")
        if rule.note:
            show(f"    {rule.note}")
