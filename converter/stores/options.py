"""A caller's options for stores: bounds, credentials, timeouts and retries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from converter.events import Report, silent
from converter.model.content import Digest
from converter.model.frozen import frozen
from converter.model.limits import DEFAULT, Limits
from converter.model.problems import RAISE_FIRST, Problems
from converter.stores.overwriting import Inputs, Kind, Overwriting

if TYPE_CHECKING:
    from converter.stores.hosts import Hosts


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
        return Overwriting(allowed=self.overwrite, mirrored=kind if self.mirror else "", inputs=self.inputs)
