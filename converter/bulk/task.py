"""Work that may be done on another machine: small, free of secrets, and idempotent."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from converter.bulk.ends import Ends
from converter.bulk.plan import Job
from converter.conversion.ends import keeping, read, target_store
from converter.events import Report, silent
from converter.model.reference import STDIN, STDOUT, Location
from converter.stores import StoreOptions
from converter.stores.overwriting import Inputs, Rootfs

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[R_co]):
    """A picklable frozen dataclass, whose job is ``portable``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    """Lets ``dataclasses.replace`` accept it."""

    @property
    def key(self) -> str:
        """Equal for two tasks of which one suffices for both."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes it reads: the largest tasks begin first, so that none is left alone at the end."""
        ...

    @property
    def job(self) -> Job:
        """The job that this task is part or all of."""
        ...

    def run(self, ends: Ends, report: Report) -> R_co:
        """Run, and return what was made: digests and sizes, never bytes. Raises what ``converter.convert`` raises."""
        ...


class Elsewhere(Protocol):
    """The port to other machines that run tasks."""

    images: int
    """The number of concurrent images that keeps those machines busy."""

    fetched: int
    """Bytes of blobs that those machines have fetched from remote sources."""

    def run(self, task: Task[R], report: Report) -> R:
        """What ``task.run`` returns or raises there; ``report`` is called here, and may end the task by raising."""
        ...


def travels(job: Job) -> bool:
    """Whether another machine can reach both ends: neither is a daemon's socket or a standard stream."""
    return not any(
        place.transport == "docker-daemon" or place.path in STDIN + STDOUT for place in (job.source, job.destination)
    )


def portable(job: Job) -> Job:
    """The job without secrets or anything else that only this process has.

    Other machines use their own credentials for registries. Keys and policies stay here: they are used before a task is
    made, or after it.
    """
    options, source = job.options, _absolute(job.source)
    # Of all that the run reads, another machine need know only what it reads itself.
    options = keeping(options, Inputs())
    options = keeping(options, Inputs(_absolute_input(path) for path in read(options, source)))
    target = target_store(options, job.source, job.destination)
    return Job(
        source=source,
        destination=_absolute(job.destination),
        options=replace(
            options,
            jobs=1,
            cache=None,
            wanted=None,
            signing=None,
            aci_paths=tuple(path.absolute() for path in options.aci_paths),
            store=_public(options.store),
            target_store=_public(target),
        ),
    )


def _public(store: StoreOptions) -> StoreOptions:
    return replace(
        store,
        credentials=None,
        # None is passed: a worker has its own.
        token="",  # nosec B106
        environment={},
        docker_host="",
        authfile=store.authfile.absolute() if store.authfile else None,
        cert_dir=store.cert_dir.absolute() if store.cert_dir else None,
        jobs=1,
        holders=None,
        hosts=None,
        report=silent,
    )


def _absolute_input(path: str | PathLike[str]) -> str:
    absolute = str(Path(path).absolute())
    return Rootfs(absolute) if isinstance(path, Rootfs) else absolute


def _absolute(place: Location) -> Location:
    if place.transport in ("docker", "appc"):
        return place
    return replace(place, path=str(Path(place.path).absolute()))
