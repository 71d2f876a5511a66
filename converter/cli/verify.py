"""``transship verify``: reports who signed an image, and whether that is what is required."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import Decorator, FilePath, OneOf, common
from converter.cli.profile import scope, scope_options, verify_profile
from converter.cli.progress import progress
from converter.cli.results import origin_beside
from converter.cli.shared_options import (
    aci_path_option,
    check_outputs,
    platform_option,
    report_options,
    store_from_options,
    store_options,
    write_reports,
)
from converter.cli.signature_options import content_trust_option, read_files_below, read_option_file, read_policy
from converter.cli.text import GREEN, RED, YELLOW, show_as_asked, show_error
from converter.errors import Usage
from converter.model.reference import Location
from converter.verification.wanted import REQUIREMENTS, Wanted

if TYPE_CHECKING:
    from converter.trust.signature import SignatureVerdict
    from converter.verification.judgement import Judgement
    from converter.verification.proof import Proof

EXAMPLES = """\b
Examples:
  transship verify docker://registry.example/app:1 --key cosign.pub
  transship verify aci:app.aci --keyring maker.gpg --require origin
  transship verify dir:app --policy /etc/containers/policy.json --identity registry.example/app:1
"""


def _time(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise Usage(f'invalid time "{value}": expected one as 2024-05-06T07:08:09Z') from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _named(
    read: Callable[[Path], Any], _context: click.Context, option: click.Parameter, paths: tuple[Path, ...]
) -> Any:
    """What each path holds, under the option and the path."""
    return tuple((f"{option.opts[0]} {path}", read(path)) for path in paths)


def _keys(name: str, member: str, text: str) -> Decorator[Any]:
    return click.option(
        name,
        member,
        type=FilePath(exists=True),
        multiple=True,
        callback=partial(_named, read_option_file),
        help=text,
    )


@click.command("verify", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@_keys("--key", "keys", "A public key or certificate (PEM) that must have signed (repeatable).")
@_keys("--keyring", "keyrings", "OpenPGP keys, one of which must have signed (repeatable).")
@_keys(
    "--certificate-chain",
    "chains",
    "Root certificates (PEM). The signer's certificate must lead to one of them (repeatable).",
)
@click.option(
    "--certificate-identity", default="", metavar="EMAIL|URI", help="The identity that the certificate must have."
)
@_keys(
    "--rekor-key",
    "rekor_keys",
    "The public key (PEM) of a log that must have logged cosign's signature (repeatable). Default: none.",
)
@click.option(
    "--trust-store",
    "trust_stores",
    type=FilePath(exists=True, folder=True),
    multiple=True,
    callback=partial(_named, read_files_below),
    help="OpenPGP keys in rkt's layout, for an ACI or what it became (repeatable).",
)
@content_trust_option
@click.option(
    "--lookaside",
    "lookasides",
    type=FilePath(exists=True, folder=True),
    multiple=True,
    help="A folder with more simple signatures, as used by skopeo (repeatable).",
)
@click.option(
    "--policy",
    type=FilePath(exists=True),
    callback=lambda _context, _option, path: path and read_policy(path),
    help="A skopeo policy.json that must be met.",
)
@click.option("--identity", default="", metavar="NAME", help="The name that must be signed. Default: the image's own.")
@click.option("--map-identity", is_flag=True, help="Accept any signed name: the image has another name here.")
@platform_option("Which image of an index. Default: all of them.", default="")
@click.option("--at", type=_time, metavar="TIME", help="The time at which keys must be valid. Default: now.")
@click.option("--allow-weak-digest", is_flag=True, help="Accept forgeable OpenPGP signatures: SHA-1, short keys.")
@click.option(
    "--require",
    type=OneOf(REQUIREMENTS),
    multiple=True,
    help="Also require one of these: a signature of REF itself, an attestation, an origin record (repeatable).",
)
@click.option(
    "--profile",
    "profile",
    metavar="FILE",
    help="Compare the content of REF with a profile: mtree text, statement or signed envelope; REF may be a tree.",
)
@scope_options
@aci_path_option
@report_options
@store_options
@common
def command(
    reference: str,
    require: tuple[str, ...],
    profile: str | None,
    aci_paths: tuple[Path, ...],
    **given: Any,
) -> int:
    """Report who signed REF, and whether that is what is required.

    Every key, keyring and chain that is given must have made a signature that holds: over these bytes, for this name,
    at this time. The exit status is 0 only then. A converted image counts as signed if its origin record proves that it
    has the content of a signed image (docs/signatures.md).

    With --profile, the content of REF is compared with what a profile states; if a key is given, the profile must be
    signed by it. Exit status 0: the same content; 1: different; 2: could not tell.
    """
    check_outputs()
    wanted = Wanted(**given, read=read_option_file, require=frozenset(require))
    if profile is not None:
        return verify_profile(reference, profile, wanted, scope(), aci_paths)
    from converter.verification.verify_image import verify

    with ExitStack() as files:
        if "attestation" in require:
            from converter.conversion.find_dependencies import Library

            library = Library(aci_paths, files, store_from_options(), image=Location.parse(reference))
            wanted = replace(wanted, find=library.find)
        with progress(first=f"reading {reference}"):
            judgement = verify(reference, wanted, store_from_options())
    write_reports(judgement.to_json(), "verify", judgement)
    show_as_asked(judgement.to_json(), lines(judgement))
    if not judgement.ok:
        for fact in judgement.unmet:
            show_error(f"{reference}: {fact}", colour=RED)
        beside = origin_beside(reference, judgement.root.media_type)
        if not judgement.verdicts and beside is not None and not beside.exists():
            show_error(f"{reference}: no {beside.name} beside it, where a converted image keeps what was signed")
        return 1
    return 0


def lines(judgement: Judgement) -> Iterator[tuple[str, str]]:
    """The judgement as lines of text, each with its colour."""
    yield f"{judgement.reference}", ""
    yield f"  digest {judgement.root.digest}", ""
    if judgement.identity:
        yield f"  name   {judgement.identity}", ""
    yield from (_verdict(one, unmet=judgement.unmet) for one in judgement.verdicts)
    for step in judgement.steps:
        yield f"  origin {step.root.digest} ({step.root.media_type})", ""
        yield from map(_verdict, step.verdicts)
        yield from _proof(step.proof)
    if judgement.content is not None and not judgement.steps:
        yield from _proof(judgement.content)
    if judgement.level:
        yield f"  level  {judgement.level}", ""
    if judgement.ok:
        yield ("verified", GREEN) if judgement.is_signed else ("accepted: the policy requires no signature", YELLOW)


def _proof(proof: Proof) -> Iterator[tuple[str, str]]:
    """How the content is proven, layer by layer, and what is not covered."""
    platform = f" for {proof.platform}" if proof.platform else ""
    from converter.verification.proof import PROOF_LEVELS

    yield f"  {proof.level:<7}{PROOF_LEVELS[proof.level]}{platform}", ""
    for number, row in enumerate(proof.layers):
        yield f"  {row.level:<7}layer[{number}] {row.target}", ""
    for what in proof.uncovered:
        yield f"  open   {what}", YELLOW


def _verdict(verdict: SignatureVerdict, unmet: Sequence[str] = ()) -> tuple[str, str]:
    """One signature; without the reason if that is what is ``unmet`` at the end."""
    parts = [f"  {verdict.word:<6}", f"{verdict.signature.kind} ({verdict.signature.location})"]
    if verdict.signer:
        parts.append(f"by {verdict.signer}")
    if verdict.identity:
        parts.append(f"for {verdict.identity}")
    reason = "" if any(fact.endswith(verdict.reason) for fact in unmet) else verdict.reason
    return " ".join(parts) + (f": {reason}" if reason else ""), GREEN if verdict.ok else YELLOW


def page(judgement: Judgement) -> str:
    """The report: the chain from what is here to what was signed."""
    from converter.pages import render
    from converter.verification.proof import PROOF_LEVELS

    accepted = "Verified" if judgement.is_signed else "Accepted without a signature"
    outcome = accepted if judgement.ok else "Not verified"
    return render(
        "proof.html.j2",
        judgement=judgement,
        outcome=outcome,
        levels=PROOF_LEVELS,
        good=sum(one.ok for one in judgement.all_verdicts),
    )
