"""The libraries that verify and sign, each imported when it is first used: most images have no signatures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "cbor2",
    "ec",
    "ed25519",
    "exceptions",
    "hashes",
    "padding",
    "pgp",
    "pysequoia",
    "rsa",
    "serialization",
    "x509",
]

if TYPE_CHECKING:
    import cbor2
    import pysequoia
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from pysequoia import packet as pgp
else:

    class _Library:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    _PRIMITIVES = "cryptography.hazmat.primitives"
    cbor2, pysequoia, pgp = _Library("cbor2"), _Library("pysequoia"), _Library("pysequoia.packet")
    exceptions, x509 = _Library("cryptography.exceptions"), _Library("cryptography.x509")
    hashes, serialization = _Library(f"{_PRIMITIVES}.hashes"), _Library(f"{_PRIMITIVES}.serialization")
    ec, ed25519, padding, rsa = (
        _Library(f"{_PRIMITIVES}.asymmetric.{name}") for name in ("ec", "ed25519", "padding", "rsa")
    )
