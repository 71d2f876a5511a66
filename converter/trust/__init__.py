"""Checks one signature over bytes, and reads keys and policies: pure functions.

Nothing here reads a disk, a network or an environment: callers pass the content of key files and signatures. The one
exception is ``gpg``, which is run for what the library refuses or cannot judge.
"""
