"""Many images between real registries; skopeo reads the same file, and Chromium the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.cli.sync import page
from converter.conversion.sync import sync
from converter.conversion.sync.sync_file import read_sync_file
from converter.model.content import Compression
from converter.model.reference import Location
from converter.signing import Signing
from tests.builders import many
from tests.interop.fault_proxy import FaultProxy
from tests.interop.processes import Registry
from tests.interop.tools import run
from tests.sync.entries import OPTIONS, entry, fill

IMAGES, BASE, OWN = 30, 4, 2
REPOSITORY = "sync/app"


@pytest.fixture(scope="module")
def unique(registry: Registry) -> int:
    """Thirty images in the registry; the bytes of all that is there, once."""
    return fill(registry, REPOSITORY, *many(IMAGES, base=BASE, own=OWN, size=200_000))


@pytest.mark.parametrize(
    "rename, compress",
    [
        pytest.param("as-is/app", None, id="into one repository"),
        pytest.param("zstd/r{tag}:x", Compression("zstd"), id="packed anew, into thirty repositories"),
    ],
)
def test_bytes_read_are_those_that_differ(
    registry: Registry, unique: int, tmp_path: Path, rename: str, compress: Compression | None
) -> None:
    with FaultProxy(registry.host, lambda number, method, path: None) as proxy:
        entries = [entry(f"docker://{proxy.host}/{REPOSITORY}", f"docker://{registry.host}", rename, compress=compress)]

        first = sync(entries, cache=tmp_path)
        read_first, proxy.down = proxy.down, 0
        second = sync(entries, cache=tmp_path)

    assert first.counts["written"] == second.counts["there"] == IMAGES
    assert unique <= read_first < unique * 1.02
    # Manifests and configurations.
    assert proxy.down < IMAGES * 6000
    with_names = run("skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.host}/{names(rename)}")
    assert json.loads(with_names)["Tags"]


def names(rename: str) -> str:
    return rename.replace("r{tag}:x", "r7")


def test_skopeo_puts_the_same_images_under_the_same_names(registry: Registry, unique: int, tmp_path: Path) -> None:
    text = (
        f"{registry.host}:\n  tls-verify: false\n  images:\n    {REPOSITORY}: ['1', '2']\n"
        f"  images-by-tag-regex:\n    {REPOSITORY}: ^1[0-4]$\n  images-by-semver:\n    {REPOSITORY}: '>= 28'\n"
    )
    (tmp_path / "sync.yaml").write_text(text)
    to = Location.parse(f"dir:{tmp_path / 'ours'}")
    (tmp_path / "theirs").mkdir()

    entries = read_sync_file(text.encode(), OPTIONS, to, lambda keys: Signing(makers=[], identity=""))
    summary = sync(entries)
    run("skopeo", "sync", "--src", "yaml", "--dest", "dir", tmp_path / "sync.yaml", tmp_path / "theirs")

    assert not summary.failed
    ours, theirs = manifests(tmp_path / "ours"), manifests(tmp_path / "theirs")
    assert ours == theirs
    assert sorted(ours) == [f"app:{number}" for number in (1, 10, 11, 12, 13, 14, 2, 28, 29)]


def manifests(folder: Path) -> dict[str, bytes]:
    return {path.name: (path / "manifest.json").read_bytes() for path in folder.iterdir()}


def test_chromium_shows_the_report(registry: Registry, unique: int, tmp_path: Path) -> None:
    places = (REPOSITORY, "not/there")
    entries = [entry(f"docker://{registry.host}/{place}", f"oci:{tmp_path / 'out'}") for place in places]
    report = tmp_path / "report.html"
    report.write_text(page(sync(entries, keep_going=True)), encoding="utf-8")
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path}/c",
    )

    dom = run("chromium", *options, "--dump-dom", report.as_uri())
    run("chromium", *options, "--window-size=1000,1400", f"--screenshot={tmp_path / 'shot.png'}", report.as_uri())

    assert dom.count("<svg") == 0, "nothing changed"
    assert "30 of 31 images copied, 1 failed" in dom
    # A blank page of this size takes 7 KB.
    assert (tmp_path / "shot.png").stat().st_size > 40_000
