"""Tunes the C library's heap for blocks that pass from thread to thread (glibc, mallopt(3))."""

from __future__ import annotations

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MIB = 1024 * 1024


def share_heap() -> None:
    """Let all threads allocate from one arena, which keeps free memory; with another C library, do nothing.

    Blocks are allocated in one thread and freed in another, so with one arena per thread the free memory of each cannot
    serve the others: 330 MiB for an image of 520 MB, where 54 MiB suffice. Freed memory is needed again at once, so
    returning it to the system causes half of all page faults, and takes 5 % of the time; but not frames of zstd, whose
    places nothing else fits: they took 20 MiB more. A library must not decide this for its process; a program may.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, 2 * MIB)
        mallopt(M_TRIM_THRESHOLD, 256 * MIB)
