"""Results that later runs can reuse: what was verified, and optionally the blobs that were made.

A digest names its bytes for ever, so an entry can become unused but never wrong. A cache only saves time: one that
cannot be read or written counts as empty.
"""

from __future__ import annotations

from converter.cache.verified import FILE, FOLDER, Cache, VerifiedCache

__all__ = ["FILE", "FOLDER", "Cache", "VerifiedCache"]
