"""``transship sign``: adds a signature to an image, which stays as it is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from converter.cli.command import Command
from converter.cli.environment import store_from_options, store_options
from converter.cli.flags import FilePath, FolderPath, common, flags
from converter.cli.image_options import overwrite_option
from converter.cli.signers import cosign_maker, gpg_maker, maker_of
from converter.cli.text import show, show_json
from converter.errors import Usage

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
    type=FolderPath(),
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

    makers = (*map(maker_of, sign_by), *map(cosign_maker, cosign_keys), *map(gpg_maker, gpg_keys))
    if not makers:
        raise Usage("no key to sign with: add --sign-by")
    signing = Signing(makers=makers, identity=where["identity"])
    options = replace(store_from_options(), overwrite=where["overwrite"])
    signed = sign(reference, signing, where["destination"], where["lookaside"], options)
    if flags().json:
        show_json({"reference": reference, "signatures": [asdict(one) for one in signed]})
    elif not flags().quiet:
        for one in signed:
            name = f" as {one.identity}" if one.identity else ""
            show(f"signed {one.covers}{name}: {one.kind} ({one.location})")
