"""Signing adds a signature; the image and its other signatures stay."""

from __future__ import annotations

import errno
import itertools
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import converter
from converter.errors import ConverterError, NotFound, StorageFailed, Unsupported, Usage
from converter.signing import Signing, sign
from converter.stores.media.temporary import remove_leftovers
from converter.trust.makers import GpgFile, Maker
from converter.verification.judgement import Judgement
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders import DOCKER
from tests.builders.disk import NAME, aci, directory, layout
from tests.failing_disk import failing
from tests.trust.making import ecdsa, openpgp, public_pem

COSIGN, GPG = ecdsa(), GpgFile(bytes(openpgp()))
WANTED = Wanted(
    keys=(("--key k", public_pem(ecdsa())),), keyrings=(("keyring r", bytes(openpgp().extract_certificate())),)
)


def signing(*makers: Maker, identity: str = "") -> Signing:
    return Signing(makers=makers or (COSIGN, GPG), identity=identity)


def check(reference: str, identity: str = "", **more: object) -> Judgement:
    return verify(reference, Wanted(keys=WANTED.keys, keyrings=WANTED.keyrings, identity=identity))


def digest(reference: str) -> object:
    item = converter.open_image(reference)
    assert item.original is not None
    return item.original.manifest.descriptor.digest


def test_a_layout(tmp_path: Path) -> None:
    reference = layout(tmp_path / "out")
    before = digest(reference)
    made = sign(reference, signing())
    assert [(one.kind, one.identity) for one in made] == [("cosign", NAME), ("simple-signing", NAME)]
    assert check(reference).ok
    assert digest(reference) == before


def test_a_directory(tmp_path: Path) -> None:
    reference = directory(tmp_path / "out")
    made = sign(reference, signing(GPG, COSIGN, identity=NAME))
    assert [one.location for one in made] == ["signature-1", "signature-2"]
    assert check(reference, NAME).ok
    assert (tmp_path / "out/signature-2").read_bytes().startswith(b"\0sigstore-json\n{")


def test_signatures_add_up(tmp_path: Path) -> None:
    reference = layout(tmp_path / "out")
    other = ecdsa(1)
    for maker in (COSIGN, other, COSIGN, GPG, GPG):
        sign(reference, signing(maker))
    report = check(reference)
    assert report.ok
    assert [one.ok for one in report.verdicts if one.signature.kind == "cosign"] == [True, False, True]
    assert digest(reference), "the layout still has one image alone"


def test_an_aci_gets_a_file_beside_it(tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    (made,) = sign(reference, signing(GPG))
    assert made.location == str(tmp_path / "app.aci.asc")
    assert (tmp_path / "app.aci.asc").read_bytes().startswith(b"-----BEGIN PGP SIGNATURE-----")
    ring = Wanted(keyrings=WANTED.keyrings)
    assert verify(reference, ring).ok
    with (tmp_path / "app.aci").open("ab") as file:
        file.write(b"\0")
    assert not verify(reference, ring).ok


def test_signatures_of_an_aci_add_up_in_one_armour(tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    sign(reference, signing(GPG))
    sign(reference, signing(GpgFile(bytes(openpgp("other"))), GPG))
    assert (tmp_path / "app.aci.asc").read_bytes().count(b"-----BEGIN") == 1
    report = verify(reference, Wanted(keyrings=WANTED.keyrings))
    assert [one.ok for one in report.verdicts] == [True, False], "one a key, the latest first"


def test_the_same_image_elsewhere_may_get_them(tmp_path: Path) -> None:
    source, copy = layout(tmp_path / "a"), layout(tmp_path / "b")
    sign(source, signing(COSIGN), destination=copy)
    only_key = Wanted(keys=WANTED.keys)
    assert (verify(source, only_key).ok, verify(copy, only_key).ok) == (False, True)
    with pytest.raises(NotFound):
        sign(source, signing(COSIGN), destination=layout(tmp_path / "c", dialect=DOCKER))


def test_a_lookaside_is_called_by_name_and_digest(tmp_path: Path) -> None:
    reference = layout(tmp_path / "out")
    for number in (1, 2):
        (made,) = sign(reference, signing(GPG), lookaside=tmp_path / "side")
        encoded = str(digest(reference)).partition(":")[2]
        assert made.location == str(tmp_path / f"side/app@sha256={encoded}/signature-{number}")


@pytest.mark.parametrize("make, name, identity", [(directory, "app/signature-1", NAME), (aci, "app.asc", "")])
def test_a_disk_that_fails_leaves_no_part_of_a_signature(
    make: Callable[[Path], str], name: str, identity: str, tmp_path: Path
) -> None:
    reference = make(tmp_path / "app")
    wanted = Wanted(keyrings=WANTED.keyrings, identity=identity)
    for moment in itertools.count():
        with failing(errno.ENOSPC, moment, lasting=False) as disk, suppress(ConverterError, OSError):
            sign(reference, signing(GPG, identity=NAME))
        remove_leftovers()  # as the end of a program does
        if (tmp_path / name).exists():
            assert verify(reference, wanted).ok
            (tmp_path / name).unlink()
        assert not list(tmp_path.rglob(".*")), moment
        if not disk.failed:
            break


@contextmanager
def no_room() -> Iterator[None]:
    """Let every file that is written be full at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda reference: sign(reference, signing(GPG)), id="signing one says so"),
        pytest.param(lambda reference: verify(reference, WANTED), id="verifying one calls no signature bad"),
    ],
)
def test_a_full_disk_for_the_copy_of_an_aci(act: Callable[[str], object], tmp_path: Path) -> None:
    reference = aci(tmp_path / "app.aci")
    sign(reference, signing(GPG))
    with no_room(), pytest.raises(StorageFailed, match="cannot write a temporary file"):
        act(reference)


@pytest.mark.parametrize(
    "make, makers, error",
    [
        pytest.param(directory, (GPG,), Usage, id="nobody says the name"),
        pytest.param(aci, (COSIGN,), Unsupported, id="cosign's key and an ACI"),
    ],
)
def test_what_cannot_be_signed(
    make: object, makers: tuple[Maker, ...], error: type[ConverterError], tmp_path: Path
) -> None:
    assert callable(make)
    reference = make(tmp_path / "out")
    with pytest.raises(error):
        sign(reference, signing(*makers))


def test_an_archive_is_written_whole(tmp_path: Path) -> None:
    converter.convert(layout(tmp_path / "a"), f"oci-archive:{tmp_path / 'a.tar'}")
    with pytest.raises(Unsupported, match="--sign-by"):
        sign(f"oci-archive:{tmp_path / 'a.tar'}", signing(COSIGN))
    with pytest.raises(Unsupported, match="OpenPGP"):
        sign(layout(tmp_path / "b"), signing(COSIGN), lookaside=tmp_path)


@pytest.mark.parametrize("key", [GpgFile(b""), GpgFile(b"text"), GpgFile(bytes(openpgp().extract_certificate()))])
def test_a_file_that_cannot_sign(key: GpgFile, tmp_path: Path) -> None:
    with pytest.raises(ConverterError) as raised:
        sign(layout(tmp_path / "a"), signing(key))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("target", ["oci:{}:other.example/app:2", "oci-archive:{}.tar:other.example/app:2", "dir:{}"])
def test_a_conversion_signs_what_it_writes(target: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "a")
    sign(source, signing())
    destination = target.format(tmp_path / "out")
    done = converter.convert(source, destination, signing=signing(identity="other.example/app:2"))
    kinds = [row["kind"] for row in done.targets[0].signatures]
    assert sorted(kinds) == ["cosign", "cosign", "simple-signing", "simple-signing"]
    for name in (NAME, "other.example/app:2"):
        report = check(destination.removesuffix(":other.example/app:2"), name)
        assert report.ok, "the old signatures are still there, and so are the new"
        assert sum(one.ok for one in report.verdicts) == 2


def test_a_conversion_signs_an_aci(tmp_path: Path) -> None:
    done = converter.convert(layout(tmp_path / "a"), f"aci:{tmp_path / 'a.aci'}", signing=signing(GPG))
    assert [row["kind"] for row in done.targets[0].signatures] == ["openpgp"]
    assert verify(f"aci:{tmp_path / 'a.aci'}", Wanted(keyrings=WANTED.keyrings)).ok


def test_a_layout_that_is_signed_again_keeps_its_signatures(tmp_path: Path) -> None:
    """The second conversion goes to a layout that has the image, and its signatures, already."""
    source, target = layout(tmp_path / "a"), f"oci:{tmp_path / 'b'}:{NAME}"
    converter.convert(source, target, signing=signing(ecdsa(1)))
    converter.convert(source, target, signing=signing(COSIGN))
    report = verify(target, Wanted(keys=WANTED.keys))
    assert [one.ok for one in report.verdicts] == [False, True]
