"""Makes ``records``: signed images, converted, with their origin records, as one version of the program writes them.

It was run once (``python -m tests.verification.make_records``), and the files are kept: later versions have to verify
what earlier ones wrote. The keys are new each time, so nothing there is made again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import converter
from tests.trust import origins
from tests.trust.making import openpgp
from tests.trust.origins import KEY, NAME, PACKINGS, RING
from tests.trust.test_origin_acis import depending

RECORDS = Path(__file__).with_name("records")

OCI, DOCKER, ACI = "oci-archive:{}.tar", "docker-archive:{}.tar", "aci:{}.aci"

Row = tuple[str, Callable[[Path], str], str, dict[str, Any]]
"""The name of a record, what makes the signed image, the target, and the options of the conversion."""

ROWS: list[Row] = [
    ("docker to oci", origins.docker, OCI, {"to": "oci"}),
    ("oci to docker", origins.oci, DOCKER, {"to": "docker"}),
    ("oci to oci as zstd", origins.oci, OCI, {"compress": "zstd"}),
    ("oci to oci as gzip 9", origins.oci, OCI, {"compress": "gzip:9"}),
    ("oci squashed", origins.oci, OCI, {"squash": True}),
    ("oci squashed under another name", origins.oci, OCI + ":registry.example/other:2", {"squash": True}),
    ("docker to aci", origins.docker, ACI, {}),
    ("docker to aci with links for rkt", origins.docker, ACI, {"rkt_dev_links": True}),
    ("oci to aci with a time", origins.oci, ACI, {"epoch": 9}),
    ("oci squashed to aci", origins.oci, ACI, {"squash": True}),
    ("oci to several acis", origins.oci, ACI, {"layered": True}),
    ("schema 1 to oci", origins.v1, OCI + ":" + NAME, {}),
    ("schema 1 to aci", origins.v1, ACI, {}),
    ("one image of an index", origins.index, OCI, {"platforms": ["linux/arm64"], "compress": "zstd"}),
    ("one image of an index to aci", origins.index, ACI, {"platforms": ["linux/amd64"]}),
    ("an index to a list", origins.index, DOCKER, {"platforms": ["all"], "to": "docker"}),
    ("aci to oci", origins.aci, OCI, {}),
    ("aci to docker as zlib 6", lambda path: origins.aci(path, PACKINGS["zlib 6"]), DOCKER, {"to": "docker"}),
    ("aci as xz to oci as zstd", lambda path: origins.aci(path, PACKINGS["xz"]), OCI, {"compress": "zstd"}),
    ("aci packed by nobody known to oci", lambda path: origins.aci(path, origins.in_two_members), OCI, {}),
    ("aci to aci as gzip", lambda path: origins.aci(path, PACKINGS["xz"]), ACI, {"compress": "gzip:6"}),
]


def make(folder: Path, work: Path) -> Iterator[str]:
    """Write every record into a folder; gives the name of each."""
    for name, source, target, options in ROWS:
        place = work / name.replace(" ", "-")
        place.mkdir()
        converter.convert(source(place / "source"), target.format(folder / place.name), **options)
        yield place.name
    for squash in (False, True):
        for pinned in (False, True):
            place = work / f"aci-over-{'a-pinned' if pinned else 'a-signed'}-one{'-squashed' if squash else ''}"
            place.mkdir()
            source_ = depending(place, pinned=pinned, signer=None if pinned else openpgp())
            target = OCI.format(folder / place.name)
            converter.convert(source_, target, aci_paths=[place / "acis"], squash=squash)
            yield place.name
    way = [
        origins.docker(work / "chain"),
        f"aci:{work}/chain.aci",
        f"oci:{work}/back",
        DOCKER.format(folder / "docker-to-aci-to-oci-to-docker"),
    ]
    for before, after in pairwise(way):
        converter.convert(before, after, compress="gzip", to="docker" if "docker" in after else "")
    yield "docker-to-aci-to-oci-to-docker"


def main() -> None:
    """Make all records under new keys, and print their names."""
    if RECORDS.exists():
        sys.exit(f"{RECORDS} is there: it was made by an earlier version, and is not made again")
    RECORDS.mkdir()
    with tempfile.TemporaryDirectory() as work:
        for name in make(RECORDS, Path(work)):
            sys.stdout.write(f"{name}\n")
    (RECORDS / "key.pem").write_bytes(KEY[1])
    (RECORDS / "keyring.gpg").write_bytes(RING[1])


if __name__ == "__main__":
    main()
