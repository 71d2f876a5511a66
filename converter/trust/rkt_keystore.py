"""rkt's store of trusted keys, and the names they may sign (rkt, Documentation/signing-and-verification-guide.md).

``root.d/FINGERPRINT`` may sign everything, ``prefix.d/NAME/FINGERPRINT`` the images at or below that name. An empty
file revokes the key for those images. Later folders override earlier ones, and ``prefix.d`` overrides ``root.d``. rkt
compares prefixes as raw strings, so that a key for ``example.com/foo`` also signs ``example.com/foobar``; here a prefix
consists of whole components.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from converter.errors import Invalid, within
from converter.model.frozen import frozen
from converter.trust.openpgp_keys import Keyring

_FINGERPRINT = re.compile(r"[0-9a-f]{40}")


@frozen(kw_only=False)
class Keystore:
    """Prefixes (empty for everything), fingerprints and keys (None for a revoked one); later rows override."""

    rows: tuple[tuple[str, str, Keyring | None], ...]

    @classmethod
    def load(cls, folders: Iterable[tuple[str, Mapping[str, bytes]]]) -> Keystore:
        """Read folders ``trustedkeys``, each with its name for messages and its files by path.

        Raises Invalid for a file whose name is not the fingerprint of its key.
        """
        rows = []
        for source, files in folders:
            for path, data in sorted(files.items()):
                place = _parse_path(path)
                if place is not None:
                    with within(source), within(path):
                        rows.append((*place, _load_key(data, place[1], source) if data else None))
        return cls(tuple(sorted(rows, key=lambda one: one[0] != "")))

    def for_name(self, name: str) -> tuple[Keyring, ...]:
        """The keys that may sign the image of that name (an AC Identifier, without a version)."""
        trusted = {fingerprint: ring for prefix, fingerprint, ring in self.rows if _is_prefix_of(prefix, name)}
        return tuple(ring for ring in trusted.values() if ring is not None)


def _parse_path(path: str) -> tuple[str, str] | None:
    """Prefix and fingerprint of a key's file; None for any other file."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or not _FINGERPRINT.fullmatch(parts[-1]):
        return None
    if parts[0] == "root.d" and len(parts) == 2:
        return "", parts[-1]
    if parts[0] == "prefix.d" and len(parts) > 2:
        return "/".join(parts[1:-1]), parts[-1]
    return None


def _load_key(data: bytes, fingerprint: str, source: str) -> Keyring:
    ring = Keyring.load(data, source)
    found = ring.certificates[0].fingerprint
    if len(ring.certificates) != 1 or found != fingerprint:
        raise Invalid(f"the file is named {fingerprint} and must hold that key alone: found {found}")
    return ring


def _is_prefix_of(prefix: str, name: str) -> bool:
    return not prefix or name == prefix or name.startswith(prefix + "/")
