"""Options for signatures that several commands share, and what they name: keys to sign with, policies, trust data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converter.cli.flags import FilePath, combine_options, hidden_option, hidden_values
from converter.cli.shared_options import input_files
from converter.errors import Invalid, LimitExceeded, NotFound, Usage, from_system, within
from converter.model.limits import current_limits

if TYPE_CHECKING:
    from converter.signing import Signing
    from converter.trust.makers import Maker
    from converter.verification.wanted import Wanted

_GROUP = "signatures"
_CERTIFICATE, _PEM, _OPENPGP = b"-----BEGIN CERTIFICATE", b"KEY-----", b"-----BEGIN PGP "
_KEY_FILES = (".key", ".pem", ".asc", ".gpg", ".pgp")
"""What names of key files end in, and no user of gpg."""


policy_option = hidden_option(
    _GROUP,
    "--policy",
    type=FilePath(exists=True),
    help="What SOURCE must be signed with (skopeo's policy.json).",
)
"""Gives a command the option for required signatures; ``wanted_from_options()`` returns its value."""


trust_options = combine_options(
    hidden_option(
        _GROUP,
        "--sign-by",
        multiple=True,
        metavar="FILE|ID",
        help="Sign what is written: a private key (PEM), an OpenPGP key, or a key in your gpg (repeatable).",
    ),
    hidden_option(_GROUP, "--sign-identity", metavar="NAME", help="The name to sign. Default: the one at DEST."),
    policy_option,
)
"""Gives a command the options for signatures, which ``signing_from_options`` and ``wanted_from_options`` read."""


def _documents(_context: click.Context, _parameter: click.Parameter, folder: Path | None) -> dict[str, bytes]:
    found = read_files_below(folder, "*.json") if folder else {}
    if folder and "root.json" not in found:
        raise Usage(f"{folder} has no root.json: expected root.json and targets.json (--content-trust)")
    return found


content_trust_option = click.option(
    "--content-trust",
    type=FilePath(exists=True, folder=True),
    callback=_documents,
    metavar="DIRECTORY",
    help="Docker Content Trust of the image: a folder with root.json and targets.json.",
)
"""Gives a command the documents of Docker Content Trust in a folder, by their path in it."""


def signing_from_options() -> Signing | None:
    """How to sign, None for not at all. Raises Invalid for a malformed key."""
    given = hidden_values(_GROUP)
    keys = given.get("sign_by")
    return signing_with(keys, given.get("sign_identity", "")) if keys else None


def signing_with(keys: Iterable[str], identity: str = "") -> Signing:
    """Signing with each of these keys, as ``maker_of`` takes them; raises what that raises."""
    from converter.signing import Signing

    return Signing(makers=[maker_of(text) for text in keys], identity=identity)


def wanted_from_options() -> Wanted | None:
    """The required signatures; None if there is no policy."""
    path: Path | None = hidden_values(_GROUP).get("policy")
    if path is None:
        return None
    from converter.verification.wanted import Wanted

    return Wanted(policy=read_policy(path), read=read_option_file)


def read_option_file(path: str | Path) -> bytes:
    """Read a file that an option or a policy names; raises LimitExceeded if it exceeds the limit for documents."""
    if click.get_current_context(silent=True) is not None:  # other threads have none
        input_files().add(path)
    most = current_limits().document
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise from_system(error) from None
    if len(data) > most:
        raise LimitExceeded(f"{path}: more than {most} bytes (limit: document)")
    return data


def read_policy(path: Path) -> bytes:
    """Read a policy.json; raises Invalid, by the name of the file, if it is none."""
    from converter.trust.policy import Policy

    data = read_option_file(path)
    with within(str(path)):
        Policy.parse(data)
    return data


def read_files_below(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Read the files at any depth below a folder, by their path in it."""
    found = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): read_option_file(path) for path in found}


def maker_of(text: str) -> Maker:
    """A signer with a key file of either kind, or with one of the user's gpg keys; raises Invalid, Untrusted."""
    data = key_file(text)
    if data is not None and _CERTIFICATE in data and _PEM not in data:
        raise Invalid(f"{text} is a certificate: expected the private key that belongs to it")
    if data is not None and _PEM in data and _OPENPGP not in data:
        return cosign_key(data, text)
    return gpg_key(data, text)


def key_file(text: str) -> bytes | None:
    """The content of a file, perhaps a pipe, which can be read once; None if there is none, or a directory."""
    path = Path(text)
    if path.suffix in _KEY_FILES and not path.exists():
        raise NotFound(f"{text}: no such file or directory")
    return read_option_file(path) if path.exists() and not path.is_dir() else None


def cosign_key(data: bytes, name: str) -> Maker:
    """A private key as cosign has it, which COSIGN_PASSWORD opens, with a name for messages; raises Invalid."""
    from converter.trust.makers import CosignKey

    return CosignKey.load(data, os.environ.get("COSIGN_PASSWORD", "").encode(), name)


def gpg_key(data: bytes | None, name: str) -> Maker:
    """An OpenPGP key: of a file, which TRANSSHIP_GPG_PASSWORD opens, or else the one of that name in the user's gpg."""
    from converter.trust.makers import GpgFile, GpgUser

    return GpgUser(name) if data is None else GpgFile(data, os.environ.get("TRANSSHIP_GPG_PASSWORD"), name)
