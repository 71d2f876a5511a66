"""ACIs that depend on others: whether all that they were made of was signed, and whether they come back."""

from __future__ import annotations

import gzip
import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pysequoia import Tsk

import converter
from converter.errors import Untrusted
from converter.signing import Signing, sign
from converter.trust.makers import GpgFile
from tests.builders.acis import aci_tar, manifest
from tests.strategies.tar import File
from tests.trust import origins
from tests.trust.making import openpgp
from tests.trust.origins import OPENPGP, Make, asked


def depending(folder: Path, *, pinned: bool, signer: Tsk | None) -> str:
    """A signed ACI over another one in ``folder/acis``, which it pins, or which somebody has signed."""
    below = folder / "acis"
    below.mkdir()
    lower = aci_tar(manifest(name="registry.example/base"), [File("rootfs/a", data=b"a" * 3000)])
    (below / "base.aci").write_bytes(gzip.compress(lower))
    if signer is not None:
        sign(f"aci:{below}/base.aci", Signing(makers=(GpgFile(bytes(signer)),)))
    row = {"imageName": "registry.example/base"}
    if pinned:
        row["imageID"] = f"sha512-{hashlib.sha512(lower).hexdigest()}"
    tar = aci_tar(manifest(name="registry.example/app", dependencies=[row]), [File("rootfs/b", data=b"b" * 3000)])
    return origins.aci(folder / "app.aci", tar=tar)


@pytest.mark.parametrize(
    "pinned, signer, ok",
    [
        pytest.param(True, None, True, id="it is pinned"),
        pytest.param(False, openpgp(), True, id="it is signed"),
        pytest.param(True, openpgp(), True, id="it is both"),
        pytest.param(False, None, False, id="it is neither"),
        pytest.param(False, openpgp("other"), False, id="somebody else has signed it"),
    ],
)
@pytest.mark.parametrize(
    "squash, level", [pytest.param(False, "P4", id="layers"), pytest.param(True, "P5", id="squash")]
)
def test_an_aci_that_depends_on_another(
    pinned: bool, signer: Tsk | None, ok: bool, squash: bool, level: str, tmp_path: Path
) -> None:
    source = depending(tmp_path, pinned=pinned, signer=signer)
    converter.convert(source, f"oci:{tmp_path}/out", aci_paths=[tmp_path / "acis"], squash=squash)
    report = asked(f"oci:{tmp_path}/out", OPENPGP)
    assert (report.ok, report.level) == (ok, level if ok else "")
    if ok:
        assert [one.ok for one in report.steps[0].verdicts] == ([True] if pinned else [True, True])


@pytest.mark.parametrize(
    "pinned, signer, ok",
    [
        pytest.param(True, None, True, id="it is pinned"),
        pytest.param(False, openpgp(), True, id="it is signed"),
        pytest.param(False, None, False, id="it is neither"),
        pytest.param(False, openpgp("other"), False, id="somebody else has signed it"),
    ],
)
@pytest.mark.parametrize("squash", [False, True])
def test_a_conversion_wants_what_an_aci_depends_on_signed_too(
    pinned: bool, signer: Tsk | None, ok: bool, squash: bool, tmp_path: Path
) -> None:
    source = depending(tmp_path, pinned=pinned, signer=signer)
    with nullcontext() if ok else pytest.raises(Untrusted, match=r"base\.aci: .*(not in keyring r|no signature)"):
        converter.convert(source, f"oci:{tmp_path}/out", aci_paths=[tmp_path / "acis"], squash=squash, wanted=OPENPGP)


def test_an_aci_that_depended_on_others_comes_back_where_they_are(tmp_path: Path) -> None:
    source, layout = depending(tmp_path, pinned=True, signer=None), f"oci:{tmp_path}/out"
    converter.convert(source, layout, aci_paths=[tmp_path / "acis"])
    done = converter.convert(layout, f"aci:{tmp_path}/back.aci", aci_paths=[tmp_path / "acis"])
    for suffix in ("", ".asc"):
        assert (tmp_path / f"back.aci{suffix}").read_bytes() == (tmp_path / f"app.aci{suffix}").read_bytes()
    same = converter.convert(source, f"aci:{tmp_path}/same.aci")
    assert (done.losses, done.targets[0].image_id) == ((), same.targets[0].image_id)
    alone = converter.convert(layout, f"aci:{tmp_path}/alone.aci")
    assert [loss.field for loss in alone.losses] == ["layers", "attachments"]
    assert asked(f"aci:{tmp_path}/alone.aci", OPENPGP).level == "P4"


@pytest.mark.parametrize(
    "before, asked_for",
    [
        pytest.param({}, {"changes": ["ENV added=1"]}, id="with a variable more"),
        pytest.param({"changes": ["ENV added=1"]}, {}, id="with a variable more, since it was converted"),
        pytest.param({}, {"rkt_dev_links": True}, id="with links for old versions of rkt"),
        pytest.param({}, {"compress": "none"}, id="uncompressed"),
    ],
)
def test_an_aci_that_depended_on_others_comes_back_otherwise_where_that_is_asked_for(
    before: dict[str, Any], asked_for: dict[str, Any], tmp_path: Path
) -> None:
    source, layout = depending(tmp_path, pinned=True, signer=None), f"oci:{tmp_path}/out"
    converter.convert(source, layout, aci_paths=[tmp_path / "acis"], **before)
    converter.convert(layout, f"aci:{tmp_path}/back.aci", aci_paths=[tmp_path / "acis"], **asked_for)
    assert (tmp_path / "back.aci").read_bytes() != (tmp_path / "app.aci").read_bytes()


def test_an_aci_does_not_come_back_over_another_one_than_it_depended_on(tmp_path: Path) -> None:
    source, layout = depending(tmp_path, pinned=False, signer=openpgp()), f"oci:{tmp_path}/out"
    converter.convert(source, layout, aci_paths=[tmp_path / "acis"])
    changed = aci_tar(manifest(name="registry.example/base"), [File("rootfs/a", data=b"evil")])
    (tmp_path / "acis/base.aci").write_bytes(gzip.compress(changed))
    converter.convert(layout, f"aci:{tmp_path}/back.aci", aci_paths=[tmp_path / "acis"])
    assert (tmp_path / "back.aci").read_bytes() != (tmp_path / "app.aci").read_bytes()
    assert asked(f"aci:{tmp_path}/back.aci", OPENPGP).level == "P4"


@pytest.mark.parametrize("compress", ["keep", "none"])
def test_an_aci_that_goes_on_depending_says_so(compress: str, tmp_path: Path) -> None:
    source = depending(tmp_path, pinned=True, signer=None)
    converter.convert(source, f"aci:{tmp_path}/out.aci", compress=compress)
    report = asked(f"aci:{tmp_path}/out.aci", OPENPGP)
    assert (report.unmet, report.level) == ((), "P1")
    assert report.content is not None
    assert [what.partition(":")[0] for what in report.content.uncovered] == ["what it depends on"]


@pytest.mark.parametrize("make", [origins.oci, origins.docker])
def test_an_image_that_became_several_acis(make: Make, tmp_path: Path) -> None:
    converter.convert(make(tmp_path / "source"), f"aci:{tmp_path}/app.aci", layered=True)
    report = asked(f"aci:{tmp_path}/app.aci")
    assert (report.unmet, report.level) == ((), "P4")
    assert report.content is not None
    assert len(report.content.layers) == 2
    (below,) = tmp_path.glob("app-*.aci")
    below.write_bytes(gzip.compress(gzip.decompress(below.read_bytes()) + bytes(512)))
    assert not asked(f"aci:{tmp_path}/app.aci").ok
    below.unlink()
    assert not asked(f"aci:{tmp_path}/app.aci").ok
