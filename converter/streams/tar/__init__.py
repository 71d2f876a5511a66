"""Tar archives as streams: scanned, written, renamed, flattened (POSIX.1-2001 pax, GNU tar).

Names are bytes throughout; headers are kept verbatim, so that copying an entry preserves all of it.
"""
