"""Content digests (image-spec 1.1.1, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import Protocol, Self

from converter.errors import Invalid, Unsupported
from converter.model.frozen import frozen

GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class Hasher(Protocol):
    """A running hash, as in hashlib."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@frozen(kw_only=False)
class Digest:
    """An algorithm and the encoded hash of some bytes; ``str`` gives ``sha256:…``."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:encoded``; raises Invalid for wrong syntax, or a wrong length for a known algorithm."""
        match = GRAMMAR.fullmatch(text)
        if match is None:
            raise Invalid(f'invalid digest "{text[:100]}": expected ALGORITHM:HEX, as in sha256:…')
        algorithm, encoded = match.groups()
        length = HEX_LENGTHS.get(algorithm)
        if length is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", encoded):
            raise Invalid(f'invalid {algorithm} digest "{encoded[:140]}": expected {length} lower-case hex digits')
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """The digest of bytes in memory; raises Unsupported if it cannot be computed."""
        hasher = new_hasher(algorithm)
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hash of this algorithm; raises Unsupported if it cannot be computed."""
        return new_hasher(self.algorithm)

    @property
    def dashed(self) -> str:
        """``sha512-…``: the image ID of an ACI, and the prefix of tags that refer to an image."""
        return f"{self.algorithm}-{self.encoded}"

    def __lt__(self, other: Digest) -> bool:
        return (self.algorithm, self.encoded) < (other.algorithm, other.encoded)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def new_hasher(algorithm: str) -> Hasher:
    """A fresh hash; raises Unsupported for an algorithm that the image specifications do not register."""
    if algorithm not in HEX_LENGTHS:
        raise Unsupported(f'unsupported digest algorithm "{algorithm}" (one of: {", ".join(HEX_LENGTHS)})')
    return hashlib.new(algorithm)
