"""Whether an image is what was signed: signatures, keys and policies, as pure functions over bytes.

Nothing here reads a disk, a network or an environment; what a key file or a signature holds is handed in. The one
exception is ``gpg``, which is run where a person allows what the library refuses.
"""
