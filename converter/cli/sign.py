"""``transship sign``: signs an image where it is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import Command
from converter.cli.flags import FilePath, common
from converter.cli.shared_options import overwrite_option, store_from_options, store_options
from converter.cli.signature_options import cosign_key, gpg_key, key_file, maker_of, read_option_file
from converter.cli.text import Part, show_as_asked
from converter.errors import Usage

if TYPE_CHECKING:
    from converter.signing import Signed

EXAMPLES = """\b
Examples:
  transship sign docker://registry.example/app:1 --sign-by cosign.key
  transship sign dir:app --sign-by me@example.org --identity registry.example/app:1
  transship sign aci:app.aci --sign-by secret.asc
"""


@click.command("sign", cls=Command, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.option(
    "--sign-by",
    multiple=True,
    metavar="FILE|ID",
    help="Sign with a private key (PEM), an OpenPGP key, or a key in your gpg; the kind is detected (repeatable).",
)
@click.option(
    "--cosign-key",
    "cosign_keys",
    multiple=True,
    type=FilePath(exists=True),
    metavar="PEM",
    help="Sign as cosign does, with this private key (COSIGN_PASSWORD opens it; repeatable).",
)
@click.option(
    "--gpg-key",
    "gpg_keys",
    multiple=True,
    metavar="FILE|ID",
    help="Sign with OpenPGP: a secret key file (TRANSSHIP_GPG_PASSWORD opens it), or one in your gpg (repeatable).",
)
@click.option("--identity", default="", metavar="NAME", help="The name to sign. Default: the image's own.")
@click.option("--dest", "destination", default="", metavar="REF", help="Store the signature with this other copy.")
@click.option(
    "--lookaside",
    type=FilePath(folder=True),
    help="Store the signature in this folder of simple signatures, as read by skopeo and podman.",
)
@overwrite_option
@store_options
@common
def command(
    reference: str, sign_by: tuple[str, ...], cosign_keys: tuple[Path, ...], gpg_keys: tuple[str, ...], **where: Any
) -> None:
    """Sign the image REF. The image does not change, and existing signatures are kept.

    In a registry or a layout, the signature is stored where cosign looks (cosign's key), or refers to the image
    (OpenPGP); in dir: it is signature-N, next to an ACI the file NAME.aci.asc. For archives use convert --sign-by.
    """
    from converter.signing import Signing, sign

    makers = (
        *map(maker_of, sign_by),
        *(cosign_key(read_option_file(path), str(path)) for path in cosign_keys),
        *(gpg_key(key_file(text), text) for text in gpg_keys),
    )
    if not makers:
        raise Usage("no key to sign with: add --sign-by")
    signing = Signing(makers=makers, identity=where["identity"])
    options = replace(store_from_options(), overwrite=where["overwrite"])
    signed = sign(reference, signing, where["destination"], where["lookaside"], options)
    document = {"reference": reference, "signatures": [asdict(one) for one in signed]}
    show_as_asked(document, map(_signed, signed))


def _signed(one: Signed) -> Part:
    name = f" as {one.identity}" if one.identity else ""
    return f"signed {one.covers}{name}: {one.kind} ({one.location})", ""
