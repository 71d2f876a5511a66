"""Verbs on bytes: verify, compress, read and write tar, squash.

Everything here takes and gives *blocks*: an iterable of non-empty byte strings (or views of them) that stay valid
for as long as somebody holds them. A consumer that stops early closes the generator; that closes what it reads from.
"""

from __future__ import annotations

from collections.abc import Iterable

Block = bytes | memoryview
Blocks = Iterable[Block]

BLOCK = 1024 * 1024
"""The size of a block, in bytes, where nothing else decides it."""
