"""What can be required of a converted image: signatures of itself, or of what it was made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.signing import Signing, sign
from converter.trust.makers import GpgFile
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.trust import origins
from tests.trust.making import ecdsa, openpgp, public_pem
from tests.trust.origins import BOTH, OPENPGP, asked

ITSELF_AND_BEFORE = frozenset(("origin", "signature"))


@pytest.mark.parametrize(
    "wanted, ok",
    [
        pytest.param(BOTH, True, id="either will do"),
        pytest.param(Wanted(keys=BOTH.keys, require=frozenset(("origin",))), True, id="an origin"),
        pytest.param(Wanted(keys=BOTH.keys, require=frozenset(("signature",))), False, id="a signature of its own"),
        pytest.param(
            Wanted(keys=BOTH.keys, require=ITSELF_AND_BEFORE), False, id="an origin and a signature of its own"
        ),
        pytest.param(Wanted(keys=(("--key other", public_pem(ecdsa(9))),)), False, id="by another key"),
        pytest.param(OPENPGP, False, id="by a keyring"),
        pytest.param(Wanted(keys=BOTH.keys, rekor_keys=(("log", public_pem(ecdsa(8))),)), False, id="logged by Rekor"),
        pytest.param(Wanted(keys=BOTH.keys, identity="registry.example/app:2"), False, id="under another tag"),
        pytest.param(Wanted(keys=BOTH.keys, identity="registry.example/app:2", map_identity=True), True, id="mapped"),
    ],
)
def test_what_is_asked_for(wanted: Wanted, ok: bool, tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"aci:{tmp_path}/app.aci")
    assert asked(f"aci:{tmp_path}/app.aci", wanted).ok == ok


OTHER = (("--key other", public_pem(ecdsa(9))),)
OTHER_RING = (("--keyring other", bytes(openpgp("other").extract_certificate())),)
EACH = Wanted(keys=BOTH.keys, keyrings=OPENPGP.keyrings)
"""The maker of the first image, and whoever made an ACI of it."""


@pytest.mark.parametrize(
    "way, wanted, ok",
    [
        pytest.param(["aci:{}/app.aci"], EACH, True, id="the original by one, what became of it by the other"),
        pytest.param(["aci:{}/app.aci", "oci:{}/out"], EACH, True, id="two originals behind each other"),
        pytest.param(["aci:{}/app.aci"], replace(EACH, keys=OTHER), False, id="the original by a third"),
        pytest.param(["aci:{}/app.aci"], replace(EACH, keyrings=OTHER_RING), False, id="the ACI by a third"),
        pytest.param(["aci:{}/app.aci"], replace(EACH, require=frozenset(("signature",))), False, id="both themselves"),
        pytest.param(["aci:{}/app.aci"], replace(EACH, require=ITSELF_AND_BEFORE), True, id="itself, and the original"),
        pytest.param(
            ["aci:{}/app.aci", "oci:{}/out"], replace(EACH, require=ITSELF_AND_BEFORE), False, id="two originals alone"
        ),
    ],
)
def test_each_signs_what_they_made(way: list[str], wanted: Wanted, ok: bool, tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    for target in (one.format(tmp_path) for one in way):
        converter.convert(source, target)
        if target.startswith("aci:"):
            sign(target, Signing(makers=(GpgFile(bytes(openpgp())),)))
        source = target
    assert asked(source, wanted).ok == ok


def test_an_image_that_is_signed_itself_has_no_origin(tmp_path: Path) -> None:
    source = origins.oci(tmp_path / "source")
    for require in (frozenset(("origin",)), ITSELF_AND_BEFORE):
        wanted = Wanted(keys=BOTH.keys, require=require)
        assert asked(source, wanted).unmet == ("no valid origin record (--require origin)",)


def test_a_conversion_may_ask_for_what_was_signed_before(tmp_path: Path) -> None:
    converter.convert(origins.oci(tmp_path / "source"), f"oci:{tmp_path}/one", compress="zstd")
    converter.convert(f"oci:{tmp_path}/one", f"oci:{tmp_path}/two", wanted=BOTH)
    assert verify(f"oci:{tmp_path}/two", BOTH).level == "P2"
