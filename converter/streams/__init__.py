"""Verbs on bytes: verify, compress, read and write tar, squash.

Everything here takes and gives *blocks*: an iterable of non-empty byte strings (or views of them) that stay valid
for as long as somebody holds them. A consumer that stops early closes the generator; that closes what it reads from.
"""

from __future__ import annotations

from converter.model.content import Blocks

__all__ = ["BLOCK", "Block", "Blocks"]

Block = bytes | memoryview

BLOCK = 1024 * 1024
"""The size of a block, in bytes, where nothing else decides it."""
