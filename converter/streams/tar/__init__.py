"""Tar archives as they stream by: scanned, written, renamed, flattened (POSIX.1-2001 pax, GNU tar).

Names are bytes throughout; headers are kept verbatim, so that whoever passes an entry on passes on all of it.
"""
