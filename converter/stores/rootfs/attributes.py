"""A file's attributes: owner, mode, times, extended attributes, as far as this user may set them.

Only root can change a file's owner. For other users, the owner is recorded in the attribute
``user.rootlesscontainers``, as umoci and PRoot do: a protobuf message of two varints, user and group, with 2^32 - 1
standing for 0 (rootlesscontainers.proto).
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Self

from converter import system
from converter.errors import Invalid
from converter.streams.tar.entry import Entry
from converter.streams.tar.fields import quoted_name

ROOTLESS = b"user.rootlesscontainers"
NO_CHANGE = 2**32 - 1
"""As an owner, chown(2) reads it as unchanged; in the message, it means 0."""
MOST_NS = 2**40 * 10**9
"""About 35,000 years; file systems themselves have lower limits."""

HOSTS = (b"security.selinux", b"system.nfs4_acl", b"trusted.overlay.", b"user.overlay.")
"""Attributes that describe the machine on which an image was made, or would affect the one it is unpacked on."""

_FIELD = re.compile(rb"([\x08\x10])([\x80-\xff]{0,9}[\x00-\x7f])")
"""A number in the message: which it is, and at most ten digits to the base of 128, the lowest first."""
_MESSAGE = re.compile(rb"(?:%b)*" % _FIELD.pattern)

UNSUPPORTED = (errno.ENOTSUP, errno.EPERM, errno.EACCES)


_NONE: Mapping[bytes, bytes] = {}


class Attributes(NamedTuple):
    """The attributes of one file; ``mtime_ns`` in nanoseconds since 1970."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    xattrs: Mapping[bytes, bytes] = _NONE

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The attributes in an entry's headers. Raises Invalid for an owner that no file can have."""
        uid, gid = entry.uid, entry.gid
        for owner in (uid, gid):
            if not 0 <= owner < NO_CHANGE:
                raise Invalid(f"entry {quoted_name(entry.name)}: owner {owner} is out of range (0 to {NO_CHANGE - 1})")
        mtime_ns = max(-MOST_NS, min(MOST_NS, entry.mtime_ns))
        kept = {key: value for key, value in entry.xattrs.items() if not key.startswith(HOSTS)}
        return cls(entry.mode, uid, gid, mtime_ns, kept or _NONE)


class Setter:
    """Sets attributes; ``left_out`` counts those that could not be set, by their names for people."""

    def __init__(self, *, privileged: bool) -> None:
        self.privileged = privileged
        self._own = (os.geteuid(), os.getegid())
        self.left_out: Counter[str] = Counter()
        self.recorded = 0
        """How many owners are recorded in an attribute."""

    def on_open(self, fd: int, attributes: Attributes, *, new: bool) -> None:
        """Set them on an open file or directory. Order matters: chown clears set-id bits and capabilities.

        What is ``new`` was made by this process, and below no set-gid directory: it has this process' owner.
        """
        if self.privileged and not (new and (attributes.uid, attributes.gid) == self._own):
            os.chown(fd, attributes.uid, attributes.gid)
        for key, value in self._xattrs(attributes).items():
            self._set(fd, key, value)
        os.fchmod(fd, attributes.mode)
        os.utime(fd, ns=(attributes.mtime_ns, attributes.mtime_ns))

    def on_name(self, directory: int, name: bytes, attributes: Attributes, *, link: bool) -> None:
        """Set them on what cannot be opened: a symbolic ``link``, which has no mode, a pipe, a device."""
        if self.privileged:
            os.chown(name, attributes.uid, attributes.gid, dir_fd=directory, follow_symlinks=False)
        elif attributes.uid or attributes.gid:
            self.left_out["owners of links and pipes"] += 1
        for key, value in attributes.xattrs.items():
            self._set(system.entry_path(directory, name), key, value)
        if not link:
            # It was just created and is not a link, and nobody else can write to this directory.
            os.chmod(name, attributes.mode, dir_fd=directory)
        times = (attributes.mtime_ns, attributes.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def _xattrs(self, attributes: Attributes) -> Mapping[bytes, bytes]:
        if self.privileged:
            return attributes.xattrs
        found = {key: value for key, value in attributes.xattrs.items() if key != ROOTLESS}
        if attributes.uid or attributes.gid:
            found[ROOTLESS] = owner_message(attributes.uid, attributes.gid)
        return found

    def _set(self, target: int | bytes, key: bytes, value: bytes) -> None:
        try:
            system.set_attribute(target, key, value)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            self.left_out["owners" if key == ROOTLESS else "extended attributes"] += 1
        else:
            self.recorded += key == ROOTLESS and not self.privileged


def owner_message(uid: int, gid: int) -> bytes:
    """The message of ``user.rootlesscontainers``."""
    return b"\x08" + _varint(uid or NO_CHANGE) + b"\x10" + _varint(gid or NO_CHANGE)


def owner_of(message: bytes) -> tuple[int, int]:
    """The user and group ID in the message of ``user.rootlesscontainers``; raises Invalid for anything else."""
    owner = {b"\x08": 0, b"\x10": 0}
    if not _MESSAGE.fullmatch(message):
        raise Invalid(f"{ROOTLESS.decode()}: no owner in {message.hex()}")
    for key, digits in _FIELD.findall(message):
        value = sum((digit & 0x7F) << 7 * place for place, digit in enumerate(digits))
        owner[key] = 0 if value == NO_CHANGE else value
    return owner[b"\x08"], owner[b"\x10"]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
