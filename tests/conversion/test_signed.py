"""Signatures go along, byte for byte, in the form of each store, as long as the digest stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import converter
from converter.errors import LossRefused
from converter.model.descriptor import Digest
from converter.model.reference import Location
from converter.signing import Signing, sign
from converter.stores import open_source
from converter.trust import stored_signatures
from converter.trust.makers import CosignKey, GpgFile
from converter.trust.signature import Signature
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders.disk import NAME, directory, layout
from tests.trust.making import ecdsa, openpgp, public_pem

SIGNING = Signing(makers=(ecdsa(), GpgFile(bytes(openpgp())), ecdsa(1)), identity=NAME)
WANTED = Wanted(
    keys=(("--key a", public_pem(ecdsa())), ("--key b", public_pem(ecdsa(1)))),
    keyrings=(("keyring r", bytes(openpgp().extract_certificate())),),
    identity=NAME,
)
ED25519 = tuple(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
"""Keys that sign the same in the same way each time."""


def signatures(reference: str) -> dict[tuple[str, bytes], Signature]:
    """What is signed and how, by kind and signed bytes."""
    location = Location.parse(reference)
    with open_source(location) as source:
        root = source.resolve(location.name)
        manifest = source.fetch(root).read()
        found = stored_signatures.find_signatures(source.attachments(root.digest), source.fetch, manifest, root)
    return {(one.kind, one.data): one for one in found}


@pytest.mark.parametrize("make", [layout, directory])
@pytest.mark.parametrize(
    "target", ["oci:{}:app:1", "oci-archive:{}.tar:app:1", "docker-archive:{}.tar:app:1", "dir:{}"]
)
def test_every_signature_goes_along(make: object, target: str, tmp_path: Path) -> None:
    assert callable(make)
    source = make(tmp_path / "source")
    sign(source, SIGNING)
    destination = target.format(tmp_path / "out")
    converter.convert(source, destination, to="oci", strict=True)
    assert verify(destination, WANTED).ok
    before, after = signatures(source), signatures(destination)
    assert before.keys() == after.keys()
    assert [dict(one.annotations) for one in before.values()] == [dict(after[key].annotations) for key in before]


def test_there_and_back_the_files_are_the_same(tmp_path: Path) -> None:
    source = directory(tmp_path / "source")
    sign(source, Signing(makers=SIGNING.makers[1:2], identity=NAME))
    converter.convert(source, f"oci:{tmp_path / 'out'}:app:1")
    converter.convert(f"oci:{tmp_path / 'out'}", f"dir:{tmp_path / 'back'}")
    assert (tmp_path / "back/signature-1").read_bytes() == (tmp_path / "source/signature-1").read_bytes()


@pytest.mark.parametrize("number", [1, 2], ids=["by cosign", "by gpg"])
def test_a_signature_of_a_signature_goes_along(number: int, tmp_path: Path) -> None:
    source = directory(tmp_path / "source")
    sign(source, SIGNING)
    signed = tmp_path / "source/signature-3"
    about = f"{Digest.of(signed.read_bytes()).encoded}.signature-1"
    (tmp_path / "source" / about).write_bytes((tmp_path / f"source/signature-{number}").read_bytes())
    converter.convert(source, f"oci:{tmp_path / 'out'}:app:1", strict=True)
    assert verify(f"oci:{tmp_path / 'out'}:app:1", WANTED).ok


@pytest.mark.parametrize(
    "options, target",
    [
        pytest.param({"to": "docker"}, "dir:{}", id="another manifest"),
        pytest.param({"squash": True}, "oci:{}:app:1", id="other layers"),
        pytest.param({}, "aci:{}.aci", id="another format"),
    ],
)
def test_what_no_longer_fits_is_told_of(options: dict[str, Any], target: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    sign(source, SIGNING)
    destination = target.format(tmp_path / "out")
    done = converter.convert(source, destination, **options)
    assert done.targets[0].signatures == ()
    assert "attachments" in {loss.field for loss in done.losses}
    with pytest.raises(LossRefused):
        converter.convert(source, f"{destination}-strict", strict=True, origin="never", **options)


def test_signatures_may_be_left_behind(tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    sign(source, SIGNING)
    done = converter.convert(source, f"dir:{tmp_path / 'out'}", remove_signatures=True)
    assert done.losses == ()
    assert not list((tmp_path / "out").glob("signature-*"))


def test_what_is_there_stays_though_the_signature_asked_for_goes_along(tmp_path: Path) -> None:
    one, other = (Signing(makers=(CosignKey(key),), identity=NAME, epoch=1) for key in ED25519)
    source, there = layout(tmp_path / "source"), layout(tmp_path / "there")
    sign(source, one)
    sign(there, other)
    converter.convert(source, there, signing=one)
    wanted = Wanted(keys=tuple((f"key {key}", CosignKey(key).public.der) for key in ED25519), identity=NAME)
    assert verify(there, wanted).ok


def test_the_result_lists_what_goes_along(tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    sign(source, SIGNING)
    (target,) = converter.convert(source, f"dir:{tmp_path / 'out'}").targets
    assert sorted(row["kind"] for row in target.signatures) == ["cosign", "cosign", "simple-signing"]
    assert {row["covers"] for row in target.signatures} == {str(target.digest)}
