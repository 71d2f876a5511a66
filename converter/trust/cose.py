"""COSE_Sign1: a signed payload in CBOR (RFC 9052, section 4.2; RFC 8949)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from converter.errors import Invalid
from converter.model.frozen import frozen
from converter.trust.libraries import cbor2

_ALGORITHMS = {-37: "PS256", -38: "PS384", -39: "PS512", -7: "ES256", -35: "ES384", -36: "ES512"}
_SIGN1 = 18
_X5CHAIN = 33
_DEPTH = 16


@frozen
class Sign1:
    """A parsed envelope; ``signed`` are the bytes that its signature covers, ``algorithm`` is JOSE's name for it."""

    protected: dict[Any, Any]
    payload: bytes
    signature: bytes
    signed: bytes
    algorithm: str
    chain: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> Sign1:
        """Parse a tagged envelope; raises Invalid, also for a duplicate key in a map."""
        found = _load_cbor(data)
        if not isinstance(found, cbor2.CBORTag) or found.tag != _SIGN1:
            raise Invalid("not a COSE_Sign1 with its tag")
        match found.value:
            case (bytes() as head, Mapping() as loose, bytes() as payload, bytes() as signature):
                protected = _load_cbor(head)
            case _:
                raise Invalid("invalid COSE_Sign1: expected headers, payload and signature")
        if not isinstance(protected, dict):
            raise Invalid("protected headers: expected a map")
        if set(protected) & set(loose):
            raise Invalid("a header is both protected and unprotected")
        algorithm = protected.get(1)
        # A map is not hashable, and -7.0 would match -7.
        name = _ALGORITHMS.get(algorithm) if type(algorithm) is int else None
        if name is None:
            # The message does not quote it: it might be a number of a million digits.
            raise Invalid(f"unsupported algorithm (one of: {', '.join(map(str, sorted(_ALGORITHMS)))})")
        return cls(
            protected=protected,
            payload=payload,
            signature=signature,
            signed=cbor2.dumps(["Signature1", head, b"", payload]),
            algorithm=name,
            chain=_certificate_chain(protected.get(_X5CHAIN, loose.get(_X5CHAIN))),
        )


def _certificate_chain(value: Any) -> tuple[bytes, ...]:
    certificates = (value,) if isinstance(value, bytes) else value
    if not isinstance(certificates, list | tuple) or not all(isinstance(one, bytes) for one in certificates):
        raise Invalid("the envelope has no certificates (x5chain)")
    return tuple(certificates)


def _load_cbor(data: bytes) -> Any:

    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, allow_duplicate_keys=False, allow_indefinite=False, max_depth=_DEPTH).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Invalid(f"invalid CBOR in the envelope ({type(error).__name__})") from None
    if stream.read(1):
        raise Invalid("data after the envelope")
    return value
