"""Keeps the process small: its threads share one heap (glibc, mallopt(3), M_ARENA_MAX)."""

from __future__ import annotations

M_ARENA_MAX = -8


def share_heap() -> None:
    """Let every thread allocate from one arena; nothing happens where the C library has no such thing.

    Blocks are made in one thread and freed in another, so with a heap a thread the free memory of each cannot serve
    the others: 330 MiB for an image of 520 MB, where 54 MiB do. A library must not decide this for its process; a
    program may.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
