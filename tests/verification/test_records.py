"""Origin records written by earlier versions of this program still lead back to what was signed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.verification.make_records import RECORDS

MADE = datetime(2026, 11, 28, tzinfo=UTC)
"""After the records were made; the keys have not expired."""

KEY = ("--key key.pem", (RECORDS / "key.pem").read_bytes())
COSIGN = Wanted(keys=(KEY,), identity="registry.example/app:1", at=MADE)
ENGINE = Wanted(keys=(KEY,), identity="library/app:1", at=MADE)
OPENPGP = Wanted(keyrings=(("--keyring keyring.gpg", (RECORDS / "keyring.gpg").read_bytes()),), at=MADE)

CHAIN = "docker-to-aci-to-oci-to-docker.tar"

LEVELS = {
    "docker-to-oci.tar": (COSIGN, "P2"),
    "oci-to-docker.tar": (COSIGN, "P2"),
    "oci-to-oci-as-zstd.tar": (COSIGN, "P2"),
    "oci-to-oci-as-gzip-9.tar": (COSIGN, "P2"),
    "oci-squashed.tar": (COSIGN, "P4"),
    "oci-squashed-under-another-name.tar": (COSIGN, "P4"),
    "docker-to-aci.aci": (COSIGN, "P4"),
    "docker-to-aci-with-links-for-rkt.aci": (COSIGN, "P5"),
    "oci-to-aci-with-a-time.aci": (COSIGN, "P4"),
    "oci-squashed-to-aci.aci": (COSIGN, "P4"),
    "oci-to-several-acis.aci": (COSIGN, "P4"),
    "schema-1-to-oci.tar": (ENGINE, "P3"),
    "schema-1-to-aci.aci": (ENGINE, "P5"),
    "one-image-of-an-index.tar": (COSIGN, "P2"),
    "one-image-of-an-index-to-aci.aci": (COSIGN, "P4"),
    "an-index-to-a-list.tar": (COSIGN, "P2"),
    "aci-to-oci.tar": (OPENPGP, "P4"),
    "aci-to-docker-as-zlib-6.tar": (OPENPGP, "P4"),
    "aci-as-xz-to-oci-as-zstd.tar": (OPENPGP, "P4"),
    "aci-packed-by-nobody-known-to-oci.tar": (OPENPGP, "P5"),
    "aci-to-aci-as-gzip.aci": (OPENPGP, "P1"),
    "aci-over-a-signed-one.tar": (OPENPGP, "P4"),
    "aci-over-a-pinned-one.tar": (OPENPGP, "P4"),
    "aci-over-a-signed-one-squashed.tar": (OPENPGP, "P5"),
    "aci-over-a-pinned-one-squashed.tar": (OPENPGP, "P5"),
    CHAIN: (COSIGN, "P4"),
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_record_of_an_earlier_version_holds(name: str) -> None:
    wanted, level = LEVELS[name]
    report = verify(str(RECORDS / name), wanted)
    assert (report.unmet, report.level) == ((), level)
    assert len(report.steps) == (3 if name == CHAIN else 1)


def test_no_record_is_left_out() -> None:
    below = [path.name for path in RECORDS.glob("oci-to-several-acis-*.aci")]
    images = {path.name for path in RECORDS.iterdir() if path.suffix in (".tar", ".aci")}
    assert images - {*below} == {*LEVELS}
