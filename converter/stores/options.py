"""A caller's options for stores: bounds, credentials, timeouts and retries, and what files may be replaced.

Nothing may be unless its caller allows it, and never a file that the run reads.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from converter.errors import AlreadyExists, Invalid
from converter.events import Report, silent
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.limits import DEFAULT, Limits
from converter.model.problems import RAISE_FIRST, Problems
from converter.model.reference import STDIN, STDOUT
from converter.stores.disk import disk_errors, printable_path

if TYPE_CHECKING:
    from converter.stores.hosts import Hosts


Kind = Literal["", "aci", "docker-archive", "oci-archive", "signature"]
"""What a file holds: an image of that transport, detached OpenPGP signatures, or anything."""

FileId = tuple[int, int]
"""The device and the inode of a file: the same through every path, link and mount."""

_DESCRIPTOR = r"/(?:dev|proc/self)/fd/([0-9]+)"
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Rootfs(str):
    """A directory that is read as a root file system: no link in it is followed, and no other file system entered."""

    __slots__ = ()


class Inputs:
    """The files that a run reads, and directories in which it reads any file. ``-`` is standard input.

    They are examined when something is first about to be replaced, and not again.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._paths: dict[str, None] = {}
        self.add(*paths)
        self._files: dict[str, frozenset[FileId]] = {}

    def __reduce__(self) -> tuple[type[Inputs], tuple[tuple[str, ...]]]:
        """Pickled without cached results, which are this machine's."""
        return Inputs, (self.paths,)

    def add(self, *paths: str | os.PathLike[str]) -> None:
        """Add some that are known only now."""
        self._paths.update((os.fspath(path), None) for path in paths)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths as they were given."""
        return tuple(self._paths)

    def refuse(self, path: Path, status: os.stat_result | None) -> None:
        """Raise AlreadyExists if writing to ``path``, which leads to a file of that status, would destroy an input."""
        if status is None or not stat.S_ISREG(status.st_mode):
            return
        for read in self.paths:
            if read not in self._files:
                self._files[read] = frozenset(_files(read))
            if (status.st_dev, status.st_ino) in self._files[read]:
                what = "standard input" if read in STDIN else printable_path(read)
                where = "standard output" if str(path) in STDOUT else printable_path(path)
                same = "" if what == where else f" ({what})"
                fact = f"{where} is a file that is read here{same}, and never replaced"
                raise AlreadyExists(f"{fact}: choose another name")


@frozen
class Overwriting:
    """Whether a file that exists may be replaced: always if ``allowed``, else only one of that ``kind``, if any."""

    allowed: bool = False
    kind: Kind = ""
    inputs: Inputs = field(default_factory=Inputs)

    def require(self, path: Path) -> bool:
        """Whether there is something to be replaced at ``path``.

        Raises AlreadyExists if it may not be, Invalid for a directory or a block device.
        """
        with disk_errors(path, "write"):
            there = _status(path, follow=False)
            if there is None:
                return False
            self.inputs.refuse(path, _status(path))
            mode = there.st_mode
            if stat.S_ISDIR(mode):
                raise Invalid(f"{printable_path(path)} is a directory: give the name of a file")
            if stat.S_ISBLK(mode):
                raise Invalid(f"{printable_path(path)} is a block device: write to standard output (-) to fill one")
            if self.allowed or (self.kind and stat.S_ISREG(mode) and self._is_of_kind(path)):
                return True
            raise _exists(path, there)

    def require_stream(self, path: Path) -> None:
        """Raise AlreadyExists if a stream leads to a file that is read."""
        number = open_file_number(path)
        if number is not None:
            with disk_errors(path, "write"):
                self.inputs.refuse(path, os.fstat(number))

    def _is_of_kind(self, path: Path) -> bool:
        from converter.stores.recognise import is_of_kind

        return is_of_kind(path, self.kind)


NOTHING = Overwriting()
"""Nothing may be replaced."""


def open_file_number(path: Path) -> int | None:
    """The number of this process's open file that a path stands for; None if it is another path."""
    if str(path) in STDOUT:
        return 1
    found = re.fullmatch(_DESCRIPTOR, str(path))
    return int(found[1]) if found else None


def is_stream(path: Path) -> bool:
    """Whether what is written to a path passes on: an open file of this process, a FIFO, or a device like a terminal.

    A symbolic link to one is not: its owner may be anybody.
    """
    if open_file_number(path) is not None:
        return True
    with disk_errors(path, "write"):
        there = _status(path, follow=False)
    return there is not None and stat.S_IFMT(there.st_mode) in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK)


def _exists(path: Path, there: os.stat_result) -> AlreadyExists:
    if stat.S_ISLNK(there.st_mode):
        what = f"is a symbolic link to {printable_path(path.readlink())}"
        return AlreadyExists(
            f"{printable_path(path)} {what}: choose another name, or replace the link itself with --overwrite"
        )
    size = f"{there.st_size} byte{'' if there.st_size == 1 else 's'}"
    return AlreadyExists(
        f"{printable_path(path)} already exists ({size}): choose another name, or replace it with --overwrite"
    )


def _files(path: str) -> Iterator[FileId]:
    """The regular files at a path: itself, or all in a directory and those below it, through any link."""
    tree = isinstance(path, Rootfs)
    todo, seen, device = [path], set[FileId](), -1
    while todo:
        place = todo.pop()
        with disk_errors(place, "read"):
            try:
                status = os.fstat(0) if place in STDIN else _status(Path(place), follow=not tree or place is path)
                if status is None or (found := (status.st_dev, status.st_ino)) in seen:
                    continue
                device = status.st_dev if device < 0 else device
                seen.add(found)
                if stat.S_ISREG(status.st_mode):
                    yield found
                elif stat.S_ISDIR(status.st_mode) and (status.st_dev == device or not tree):
                    todo += map(str, Path(place).iterdir())
            except PermissionError:
                continue  # it cannot be read


def _status(path: Path, *, follow: bool = True) -> os.stat_result | None:
    """The status of a file; None if there is none."""
    try:
        return path.stat() if follow else path.lstat()
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise


class Holders(Protocol):
    """Remembers which repositories of a registry have which blob, so that the others can mount it."""

    def seen(self, place: str, digest: Digest) -> Sequence[str]:
        """The repositories in which this run saw the blob."""

    def holders(self, host: str, digest: Digest) -> Iterable[str]:
        """The repositories that may have it, the likeliest first."""

    def holds(self, host: str, digest: Digest, repository: str, *, sent: bool) -> None:
        """Remember a repository that has the blob; ``sent``: since it was put there just now."""


@frozen
class StoreOptions:
    """One set for all transports; each store reads what concerns it.

    ``credentials`` are a user and a password, ``token`` is a bearer token; neither is ever shown, and with
    ``anonymous`` none are looked up. ``timeout`` is in seconds without any progress; ``chunk`` is the size in bytes of
    upload parts, None for a blob in one part. ``mount_from`` are repositories of the target's registry that may hold
    its blobs already; ``holders`` remembers which of them have which blob; ``hosts`` is what a run of many images
    shares. ``environment`` holds the variables that locate auth files, certificates, proxies and a daemon's
    socket: nothing below the command line reads the process's own. ``devices`` allows device nodes when files are
    unpacked; ``hints`` lets an error look up what exists instead; ``epoch`` is the time, in seconds, of an archive's
    own entries; ``report`` receives what could not be kept there, and retries; ``problems`` hears what is wrong with
    the files of a store, and by default raises it. ``overwrite`` lets a file that exists be replaced, and ``mirror``
    one that is an image of the kind that is written; ``inputs`` never are. ``delegated``: another machine asked for
    this, which gives no credentials.
    """

    limits: Limits = DEFAULT
    tls_verify: bool = True
    anonymous: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    authfile: Path | None = None
    cert_dir: Path | None = None
    retries: int = 5
    timeout: float = 60.0
    jobs: int = 2
    docker_host: str = ""
    download_foreign: bool = False
    epoch: int = 0
    chunk: int | None = None
    mount_from: tuple[str, ...] = ()
    holders: Holders | None = None
    hosts: Hosts | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    devices: bool = False
    hints: bool = True
    report: Report = field(default=silent, compare=False)
    problems: Problems = field(default=RAISE_FIRST, compare=False, repr=False)
    overwrite: bool = False
    mirror: bool = False
    delegated: bool = False
    inputs: Inputs = field(default_factory=Inputs, repr=False, compare=False)

    @property
    def home(self) -> Path:
        """The home directory of whoever runs the program."""
        return Path(self.environment.get("HOME") or "/nonexistent")

    def for_hosts(self) -> StoreOptions:
        """The same without what does not concern how hosts are spoken to: where these are equal, connections are
        shared.
        """
        return replace(
            self,
            docker_host="",
            epoch=0,
            mount_from=(),
            holders=None,
            devices=False,
            hints=False,
            overwrite=False,
            mirror=False,
        )

    def overwriting(self, kind: Kind = "") -> Overwriting:
        """What a file that is to hold ``kind`` may replace."""
        return Overwriting(allowed=self.overwrite, kind=kind if self.mirror else "", inputs=self.inputs)
