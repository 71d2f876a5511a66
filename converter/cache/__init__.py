"""What earlier runs have verified, and optionally what they have made: work that need not be repeated.

A digest names its bytes for ever, so an entry can become unused but never wrong. A cache only saves time: where it
cannot be read or written, there is nothing in it.
"""

from __future__ import annotations

from converter.cache.verified import FILE, FOLDER, Cache, Memory

__all__ = ["FILE", "FOLDER", "Cache", "Memory"]
