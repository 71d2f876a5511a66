"""The tables of docs/signatures.md that say what level a signed image has, from each place to each other.

``python -m tests.trust.pair_table`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import converter
from converter.stores.options import StoreOptions
from converter.verification.judgement import Judgement
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.stores.registry.fake import FakeRegistry
from tests.trust import origins
from tests.trust.origins import KEY, NAME, RING

PLAIN = StoreOptions(tls_verify=False)

DOCKER_ARCHIVE, REGISTRY, OCI_REGISTRY = "`docker-archive:`, as Docker", "a registry, as Docker", "a registry, as OCI"
LAYOUT, DIRECTORY, ACI = "`oci:`", "`dir:`", "`aci:`"
SCHEMA_1 = "`dir:`, schema 1"
DAEMON = "`docker-daemon:`"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image lies: how that is written in a folder or at a host, and the format that it has there."""

    reference: str
    to: str

    def at(self, folder: Path, host: str, name: str) -> str:
        return self.reference.format(folder=folder, host=host, name=name)


PLACES = {
    DOCKER_ARCHIVE: Place("docker-archive:{folder}/{name}.tar:" + NAME, "docker"),
    REGISTRY: Place("docker://{host}/{name}:1", "docker"),
    OCI_REGISTRY: Place("docker://{host}/{name}:1", "oci"),
    LAYOUT: Place("oci:{folder}/{name}:" + NAME, "oci"),
    DIRECTORY: Place("dir:{folder}/{name}", ""),
    ACI: Place("aci:{folder}/{name}.aci", ""),
}

MADE: dict[str, Callable[[Path], str]] = {
    DOCKER_ARCHIVE: origins.docker,
    REGISTRY: origins.docker,
    OCI_REGISTRY: origins.oci,
    LAYOUT: origins.oci,
    DIRECTORY: origins.docker,
    SCHEMA_1: origins.v1,
    ACI: lambda folder: origins.aci(folder.with_suffix(".aci")),
}
"""What lies signed at each place before it is moved there, as it is."""

TARGETS = (*PLACES, DAEMON)

AS_IT_IS, REPACKED = "keep", "gzip:9"


def source(made: str, folder: Path, host: str) -> str:
    """A signed image at a place of that kind."""
    there = MADE[made](folder / "made")
    if made not in PLACES or made == ACI:
        return there
    place = PLACES[made].at(folder, host, "source")
    converter.convert(there, place, store=PLAIN)
    return place


def report(made: str, target: str, compress: str, folder: Path, host: str) -> Judgement:
    """What ``verify`` says of a signed image that was converted."""
    destination = PLACES[target].at(folder, host, "target")
    converter.convert(
        source(made, folder, host),
        destination,
        to=PLACES[target].to,
        compress=compress,
        store=PLAIN,
    )
    name = "library/app:1" if made == SCHEMA_1 else NAME
    if (made, target) == (ACI, ACI):
        name = ""  # that of its manifest: an .asc has none
    keys: dict[str, Any] = {"keyrings": (RING,)} if made == ACI else {"keys": (KEY,)}
    return verify(destination, Wanted(**keys, identity=name), PLAIN)


def lost(made: str, compress: str, folder: Path, host: str) -> bool:
    """Whether the conversion for an Engine, which keeps nothing beside an image, says that what was signed is lost."""
    there = source(made, folder, host)
    done = converter.convert(there, "docker-daemon:app:1", compress=compress, store=PLAIN, dry_run=True)
    return any(loss.field in ("attachments", "origin") and not loss.kept for loss in done.losses)


def cell(made: str, target: str, compress: str) -> str:
    """What a table says of a pair."""
    with TemporaryDirectory() as folder, FakeRegistry() as registry:
        if target == DAEMON:
            return "lost" if lost(made, compress, Path(folder), registry.host) else ""
        found = report(made, target, compress, Path(folder), registry.host)
        return "" if found.unmet else found.level


def table(compress: str) -> str:
    """Every place to every other."""
    rows = (f"| {made} | {' | '.join(cell(made, target, compress) for target in TARGETS)} |" for made in MADE)
    return "\n".join([f"| from ↓ to → | {' | '.join(TARGETS)} |", "|---" * (len(TARGETS) + 1) + "|", *rows, ""])


DOCUMENT = Path(__file__).parents[2] / "docs" / "signatures.md"
MARKS = {AS_IT_IS: "as it is", REPACKED: "repacked"}


def marks(compress: str) -> tuple[str, str]:
    """What stands before and behind a table."""
    return f"<!-- pairs: {MARKS[compress]} -->\n", f"<!-- /pairs: {MARKS[compress]} -->\n"


if __name__ == "__main__":
    for how in MARKS:
        start, end = marks(how)
        before, _, rest = DOCUMENT.read_text().partition(start)
        DOCUMENT.write_text(before + start + table(how) + end + rest.partition(end)[2])
