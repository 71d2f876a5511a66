"""The repositories and tags that are served, each with its source image.

Names are those that ``sync`` would give. Most sources are listed, and listed again when a name is not known. A whole
registry is not: its repositories keep their names, and are asked for only when a client wants one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from converter.conversion.job import Job
from converter.conversion.sync.jobs import Unlisted, plan_jobs
from converter.conversion.sync.sync_file import SyncEntry
from converter.errors import ConverterError, Invalid, NotFound, Usage, within
from converter.events import Report, Warned, silent
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.reference import ImageName, Location, is_of_attachment
from converter.stores import open_source

PLACE = Location(transport="docker", path="localhost")
"""The destination that every image would have if ``sync`` brought it here."""

LISTING_AGE = 5.0
"""Seconds for which a list of images is used before an unknown name makes it be read again."""


@frozen
class UpstreamRegistry:
    """A registry, or the part of one below a prefix, of which any repository may be asked for."""

    entry: SyncEntry

    @property
    def host(self) -> str:
        """As ``?ns=`` names it."""
        return self.entry.source.path.partition("/")[0]

    def repository(self, name: str) -> Location:
        """The repository of that name, as a source."""
        return replace(self.entry.source, path=f"{self.entry.source.path}{name}")

    def job(self, name: str, reference: str) -> Job:
        """The image with that tag or digest."""
        joint = "@" if ":" in reference else ":"
        source = replace(self.entry.source, path=f"{self.entry.source.path}{name}{joint}{reference}")
        return Job(source=source, destinations=(_destination_of(name, reference),), options=self.entry.options)


class Catalogue:
    """The images of the entries, by name and tag. Any number of threads may ask."""

    def __init__(
        self,
        entries: Iterable[SyncEntry],
        report: Report = silent,
        *,
        listing_age: float = LISTING_AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """List the sources. Raises Usage if two images would get the same name."""
        entries = list(entries)
        self._registries = [UpstreamRegistry(entry=one) for one in entries if one.source.is_registry and not one.rename]
        self._entries = [one for one in entries if not (one.source.is_registry and not one.rename)]
        self._report = report
        self._listing_age, self._clock = listing_age, clock
        self._lock = threading.Lock()
        self._listed: dict[str, dict[str, Job]] = {}
        self.failures: tuple[Unlisted, ...] = ()
        """The sources that could not be listed."""
        self._at = 0.0
        self._list()

    def job(self, name: str, tag: str, host: str = "") -> Job:
        """The image with that name and tag; ``host`` is the registry that a mirror is asked for. Raises NotFound, or
        why a source that may have it could not be listed.
        """
        if (found := self._named(name).get(tag)) is not None:
            return found
        for registry in self._asked(host):
            return registry.job(name, tag)
        self._require_listed()
        raise NotFound(f'manifest unknown: "{name}:{tag}"')

    def by_digest(self, name: str, digest: Digest, host: str = "") -> Iterator[Job]:
        """The images of that name that may have, or become one that has, that digest."""
        yield from self._named(name).values()
        for registry in self._asked(host):
            yield registry.job(name, str(digest))
        self._require_listed()

    def tags(self, name: str, host: str = "") -> list[str]:
        """The tags of a repository, sorted. Raises NotFound if there is none of that name."""
        found = set(self._named(name))
        for registry in self._asked(host):
            with suppress(NotFound):
                place = registry.repository(name)
                with within(str(place)), open_source(place, registry.entry.options.store) as source:
                    found |= {tag for tag in source.names() if not is_of_attachment(tag)}
        if not found:
            self._require_listed()
            raise NotFound(f'name unknown: "{name}"')
        return sorted(found)

    def names(self) -> list[str]:
        """The repositories that are known, sorted: a registry may not list its own."""
        self._refresh()
        found = set(self._listed)
        for registry in self._registries:
            with (
                suppress(ConverterError),
                open_source(registry.entry.source, registry.entry.options.store) as it,
            ):
                start = registry.entry.source.path.partition("/")[2]
                found |= {_name_below(one, registry.host, start) for one in it.names()}
        return sorted(filter(None, found))

    def listed(self) -> dict[str, dict[str, Job]]:
        """The images that were listed, by name and tag."""
        self._refresh()
        return self._listed

    def _require_listed(self) -> None:
        """Raise why a source could not be listed: what is not known may be there."""
        for one in self.failures:
            raise type(one.error)(one.error.fact, *one.error.trail)

    def _asked(self, host: str) -> Sequence[UpstreamRegistry]:
        """The registries that may have a repository: the one that is meant, if it is here, else all."""
        meant = [one for one in self._registries if one.host == host]
        return meant or self._registries

    def _named(self, name: str) -> dict[str, Job]:
        self._refresh()
        return self._listed.get(name, {})

    def _refresh(self) -> None:
        if self._clock() - self._at < self._listing_age or not self._lock.acquire(blocking=False):
            return  # what was listed last will do while another thread lists
        try:
            if self._clock() - self._at >= self._listing_age:
                with suppress(Usage):
                    self._list()
        finally:
            self._lock.release()

    def _list(self) -> None:
        found: dict[str, dict[str, Job]] = {}
        failures = []
        try:
            for job in plan_jobs(self._entries, self._report):
                if isinstance(job, Unlisted):
                    failures.append(job)
                else:
                    name = ImageName.parse(job.destination.path).tagged()
                    found.setdefault(name.repository, {})[name.tag or str(name.digest)] = job
        finally:
            self._at = self._clock()
        known = {str(one.error) for one in self.failures}
        for one in failures:
            if str(one.error) not in known:
                self._report(Warned(f"not served: {one.text}"))
        self._listed, self.failures = found, tuple(failures)


def _destination_of(name: str, reference: str) -> Location:
    joint = "@" if ":" in reference else ":"
    place = replace(PLACE, path=f"{PLACE.path}/{name}{joint}{reference}")
    try:
        ImageName.parse(place.path)
    except Invalid:
        raise NotFound(f'name unknown: "{name}"') from None
    return place


def _name_below(name: str, host: str, start: str) -> str:
    """The name of a repository below a registry's prefix; empty if it is not below it."""
    path = name.removeprefix(f"{host}/")
    return path.removeprefix(start) if path.startswith(start) else ""
