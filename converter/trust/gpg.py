"""Verifies a signature with ``gpg``: for digests that the library refuses, and for times other than now.

It runs in an empty home directory of its own: none of the user's keys, settings or agents is used.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from converter.errors import Untrusted
from converter.model.frozen import frozen
from converter.model.limits import current_limits

_TIMEOUT = 120
_GOOD, _NEW, _VALID, _PLAINTEXT = "GOODSIG", "NEWSIG", "VALIDSIG", "PLAINTEXT"
_STRONG = ("--weak-digest", "SHA1", "--weak-digest", "RIPEMD160")
_BAD = frozenset(("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"))


@frozen
class GoodSignature:
    """A good signature: the key that made it, the certificate's primary key, and when it was made."""

    key: str
    certificate: str
    created: datetime


def available() -> bool:
    """Whether ``gpg`` is installed."""
    return shutil.which("gpg") is not None


def verify_detached(
    signature: bytes, path: str, keyring: bytes, at: datetime, *, weak: bool
) -> tuple[GoodSignature, ...]:
    """The signatures of a file that are good at the time ``at``. ``keyring``: certificates, not armoured."""
    with tempfile.TemporaryDirectory(prefix="transship-gpg-") as folder:
        file = Path(folder, "signature")
        file.write_bytes(signature)
        return _good_signatures(_run_gpg(folder, keyring, at, ["--verify", str(file), path], weak=weak))


def verify_inline(
    message: bytes, keyring: bytes, at: datetime, *, weak: bool
) -> tuple[bytes, tuple[GoodSignature, ...]]:
    """A message's content, and those of its signatures that are good at the time ``at``; raises Untrusted."""
    with tempfile.TemporaryDirectory(prefix="transship-gpg-") as folder:
        file, out = Path(folder, "message"), Path(folder, "content")
        file.write_bytes(message)
        options = ["--max-output", str(current_limits().document), "--output", str(out), "--verify", str(file)]
        status = _run_gpg(folder, keyring, at, options, weak=weak)
        good = _good_signatures(status)
        if not good or sum(line.startswith(_PLAINTEXT + " ") for line in status) != 1 or not out.exists():
            raise Untrusted("gpg finds no good signature in the message")
        return out.read_bytes(), good


def _run_gpg(folder: str, keyring: bytes, at: datetime, options: list[str], *, weak: bool) -> list[str]:
    """The lines of gpg's status output, without their prefix."""
    keys = Path(folder, "keys.gpg")
    keys.write_bytes(keyring)
    command = [
        *("gpg", "--homedir", folder, "--no-options", "--batch", "--no-tty", "--no-autostart", "--status-fd", "1"),
        *("--no-default-keyring", "--keyring", str(keys), "--trust-model", "always", "--no-auto-key-retrieve"),
        *("--faked-system-time", f"{at.astimezone(UTC):%Y%m%dT%H%M%S}!"),
        *(("--allow-weak-digest-algos", "--allow-weak-key-signatures") if weak else _STRONG),
        *options,
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise Untrusted("gpg did not answer") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line.removeprefix("[GNUPG:] ") for line in lines if line.startswith("[GNUPG:] ")]


def _good_signatures(status: list[str]) -> tuple[GoodSignature, ...]:
    return tuple(_valid(group) for group in _status_groups(status) if _is_good(group))


def _status_groups(status: list[str]) -> Iterator[dict[str, list[str]]]:
    """The status of each signature, by keyword."""
    group: dict[str, list[str]] = {}
    for line in status:
        word, *rest = line.split(" ")
        if word == _NEW:
            yield group
            group = {}
        group[word] = rest
    yield group


def _is_good(group: dict[str, list[str]]) -> bool:
    return _GOOD in group and len(group.get(_VALID, ())) >= 10 and not _BAD & group.keys()


def _valid(group: dict[str, list[str]]) -> GoodSignature:
    fields = group[_VALID]
    created = datetime.fromtimestamp(int(fields[2]), UTC)
    return GoodSignature(key=fields[0].lower(), certificate=fields[9].lower(), created=created)
