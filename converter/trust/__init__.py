"""Whether an image is what was signed: signatures, keys and policies, as pure functions over bytes.

Nothing here reads a disk, a network or an environment: callers pass the content of key files and signatures. The one
exception is ``gpg``, which is run for what the library refuses or cannot judge.
"""
