"""Work that may be done on another machine: small, free of secrets, and idempotent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from converter.bulk.ends import Ends
from converter.bulk.plan import Job
from converter.conversion.ends import target_store
from converter.events import Report, silent
from converter.model.reference import Location
from converter.stores import StoreOptions

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[R_co]):
    """A frozen dataclass that can be pickled, with a job that is ``portable``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    """What makes it one for ``dataclasses.replace``."""

    @property
    def key(self) -> str:
        """The same for two tasks when one will do for both."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes it reads: the largest are begun first, so that none is left alone at the end."""
        ...

    @property
    def job(self) -> Job:
        """The job that this is a part of, or all of."""
        ...

    def run(self, ends: Ends, report: Report) -> R_co:
        """Do it, and tell what is there now: digests and sizes, never bytes. Raises what ``converter.convert`` does."""
        ...


class Elsewhere(Protocol):
    """The port to where tasks run when they do not run here."""

    images: int
    """How many images at a time keep it busy."""

    fetched: int
    """Bytes of blobs that sources beyond those machines have sent to them."""

    def run(self, task: Task[R], report: Report) -> R:
        """What ``task.run`` returns or raises there; ``report``, which may end it by raising, is called here."""
        ...


def travels(job: Job) -> bool:
    """Whether another machine has both ends: not a daemon's socket, not standard input."""
    return not any(
        place.transport == "docker-daemon" or place.path in ("-", "/dev/stdin", "/dev/stdout")
        for place in (job.source, job.destination)
    )


def portable(job: Job) -> Job:
    """The job without any secret, or anything else that only this process has.

    Who speaks to a registry elsewhere finds credentials there. Keys and policies stay here: what they are for is done
    before a task is made, or after.
    """
    options = job.options
    target = target_store(options, job.source, job.destination)
    return Job(
        source=_absolute(job.source),
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
        # None is given: a worker has its own.
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


def _absolute(place: Location) -> Location:
    if place.transport in ("docker", "appc"):
        return place
    return replace(place, path=str(Path(place.path).absolute()))
