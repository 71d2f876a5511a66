"""``transship profile``: what an image contains, as a text or as a statement that can be signed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from converter.cli.command import LayerCommand
from converter.cli.environment import store_from_options, store_options
from converter.cli.flags import FilePath, combine_options, common, flags, hidden_option, hidden_values
from converter.cli.image_options import aci_path_option, overwrite_option, this_platform_option
from converter.cli.profile_subject import Profiled, profiled
from converter.cli.report_files import check_writable, write_blocks
from converter.cli.text import show, show_json
from converter.errors import Unsupported, Usage
from converter.profile.contents import IGNORED_BY_DEFAULT, Scope
from converter.streams.blocks import Blocks

EXAMPLES = """\b
Examples:
  transship profile oci:app > app.mtree
  transship profile docker://registry.example/app:1 --sign-by cosign.key > app.profile
  transship verify rootfs:/proc/4711/root --profile app.profile --key cosign.pub
"""

_GROUP = "scope"

scope_options = combine_options(
    hidden_option(_GROUP, "--times", is_flag=True, help="Include modification times."),
    hidden_option(
        _GROUP,
        "--ignore",
        multiple=True,
        metavar="PATH",
        help="Leave out a path and all below it; of /, only the directory itself (repeatable).",
    ),
    hidden_option(
        _GROUP,
        "--no-default-ignore",
        is_flag=True,
        help=f"Include what engines put into containers: {', '.join(IGNORED_BY_DEFAULT)}.",
    ),
)
"""Gives a command the options that say which part of a tree counts; ``scope()`` returns their value."""


def scope() -> Scope:
    """The part of a tree that counts. Raises Usage for a path that is not absolute."""
    given = hidden_values(_GROUP)
    for path in given["ignore"]:
        if not path.startswith("/"):
            raise Usage(f"--ignore {path}: the path must begin with /")
    usual = () if given["no_default_ignore"] else IGNORED_BY_DEFAULT
    return Scope(ignored=tuple(sorted({*usual, *given["ignore"]})), times=given["times"])


def ignored_paths() -> tuple[str, ...]:
    """The paths of ``--ignore``, which are left out whatever a profile itself leaves out."""
    return tuple(hidden_values(_GROUP)["ignore"])


@click.command("profile", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@this_platform_option
@click.option("--sign-by", metavar="FILE", help="Sign the statement with a private key (PEM): a DSSE envelope.")
@click.option(
    "--output",
    "-o",
    "output",
    type=FilePath(),
    metavar="FILE",
    help="Write to this file, not to standard output.",
)
@click.option("--attach", is_flag=True, help="Store the signed statement with the image (where cosign finds it).")
@overwrite_option
@scope_options
@aci_path_option
@store_options
@common
def command(
    reference: str,
    platform: str | None,
    sign_by: str | None,
    aci_paths: tuple[Path, ...],
    **where: Any,
) -> None:
    """Print what REF contains: its flattened file tree as mtree(5) text, which is the same in any format.

    With --json it is an in-toto statement, which also says how a container is started and which digests the image has.
    With --sign-by it is a signed envelope of a statement. `verify REF --profile FILE` compares an image or a tree
    with it.
    """
    output, attach, overwrite = where["output"], where["attach"], where["overwrite"]
    if attach and sign_by is None:
        raise Usage("--attach stores a signed statement: add --sign-by KEY")
    if output is not None:
        check_writable((output,), overwrite=overwrite)
    with profiled(reference, platform, store_from_options(), aci_paths) as found:
        if sign_by is not None:
            document = found.statement(scope())
            blocks: Blocks = (envelope(document, sign_by),)
            if attach:
                store_with(found, document, sign_by)
        elif flags().json:
            blocks = found.statement_blocks(scope())
        else:
            blocks = found.contents(scope()).blocks()
        if output is not None:
            write_blocks(output, blocks, overwrite=overwrite)
        elif not attach:
            sys.stdout.buffer.writelines(blocks)  # unchanged on terminals too: it is a document


def store_with(found: Profiled, document: dict[str, Any], key: str) -> None:
    """Store a signed statement with the image, and say where."""
    from converter.profile import statement
    from converter.signing import attest

    if found.image.original is None:
        raise Unsupported(f"{found.reference} has no manifest of its own to attach to")
    image = found.image.original.manifest.descriptor
    data = envelope(statement.without_text(document), key)
    made = attest(found.reference, image, data, statement.PREDICATE, found.store)
    if flags().json:
        show_json({"reference": found.reference, "signatures": [asdict(made)]})
    elif not flags().quiet:
        show(f"attached to {made.covers}: {made.kind} ({made.location})")


def envelope(document: dict[str, Any], key: str) -> bytes:
    """A signed envelope of a statement; raises Unsupported for a key that cannot sign one."""
    from converter.cli.signers import maker_of
    from converter.trust import cosign
    from converter.trust.makers import CosignKey

    maker = maker_of(key)
    if not isinstance(maker, CosignKey):
        raise Unsupported(
            f"{key} is no private key in PEM, such as cosign's: a statement cannot be signed with OpenPGP"
        )
    payload = json.dumps(document, separators=(",", ":")).encode()
    return json.dumps(maker.envelope(cosign.STATEMENT, payload)).encode() + b"\n"
