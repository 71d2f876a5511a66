"""Operations on byte streams: verify, compress, read and write tar, squash.

Everything here takes and returns *blocks*: an iterable of non-empty byte strings (or views of them) that stay valid as
long as they are referenced. A consumer that stops early closes the generator, which closes its source.
"""
