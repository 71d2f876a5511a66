"""Reports in a real browser: nothing is asked for, nothing fails, nothing is cut off, and the map can be used."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import converter
from converter.cli.main import main
from tests.interop.browser import Browser, browser
from tests.interop.images import Layout
from tests.patience import wait_until

HOSTILE = '"><script>window.hit = 1</script><img src=x onerror="window.hit = 1">\u202e' + "y" * 100
MANY = 100_000
A4 = 717
"""The width of a page of that format in pixels, within its margins."""

CUT_OFF = """(() => {
  const room = document.documentElement.clientWidth;
  return [...document.querySelectorAll("main *, header *")].filter((one) => {
    if (one.closest("svg, .quiet, thead") || !one.getClientRects().length) return false;
    const { left, right } = one.getBoundingClientRect();
    return right > room + 1 || left < -1;
  }).map((one) => one.outerHTML.slice(0, 200));
})()"""


CLIPPED = """[...document.querySelectorAll("main *")].filter((one) =>
  one.getClientRects().length && !one.closest("svg, .quiet, thead") && one.scrollWidth > one.clientWidth + 1
  && getComputedStyle(one).overflowX !== "visible").map((one) => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def reports(small_oci: Layout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of every command that has one, of an image that real tools wrote."""
    folder = tmp_path_factory.mktemp("reports")
    source, other = small_oci.reference, f"aci:{folder}/app.aci"
    commands = {
        "inspect": ["inspect", source],
        "convert": ["convert", source, other],
        "diff": ["diff", source, hostile(folder)],
        "many differences": ["diff", source, many(folder)],
        "validate": ["validate", source, "fixtures/images/docker-image/tar-name-leads-out.tar"],
        "sync": ["sync", f"oci:{small_oci.path}", f"oci:{folder}/mirror", "--compress", "zstd", "--keep-going"],
        "verify": ["verify", source, "--policy", str(policy(folder))],
        "hostile": ["inspect", hostile(folder)],
        "long": ["inspect", f"oci:{folder}/long"],
    }
    assert main(["convert", source, f"oci:{folder}/long", "--change", f"LABEL a={'x' * 2000}", "--quiet"]) == 0
    for name, command in commands.items():
        assert main([*command, "--report", str(folder / f"{name}.html"), "--quiet"]) in {0, 1}, name
    return {name: folder / f"{name}.html" for name in commands}


def policy(folder: Path) -> Path:
    path = folder / "policy.json"
    path.write_text('{"default": [{"type": "reject"}]}')
    return path


def hostile(folder: Path) -> str:
    """An image of one layer, with names that would be markup."""
    tree(folder / "hostile.tar", {f"{HOSTILE}/{number}": 3000 * number for number in range(20)} | {HOSTILE + "z": 5})
    return f"rootfs:{folder}/hostile.tar"


def many(folder: Path) -> str:
    """An image of more files than a page has rows for."""
    names = (f"usr/share/a-package-with-a-long-name-{number:04}/{name}" for number in range(1200) for name in "ab")
    tree(folder / "many.tar", dict.fromkeys(names, 3000))
    return f"rootfs:{folder}/many.tar"


def tree(path: Path, files: dict[str, int]) -> None:
    with tarfile.open(path, "w") as made:
        for name, size in files.items():
            entry = tarfile.TarInfo(name.replace("/script", "\u2215script").replace("</", "<\u2215"))
            entry.size = size
            made.addfile(entry, io.BytesIO(bytes(size)))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 897, 800, 390, 320])
@pytest.mark.parametrize(
    "name", ["inspect", "convert", "diff", "many differences", "validate", "verify", "sync", "hostile"]
)
def test_a_report(reports: dict[str, Path], chromium: Browser, name: str, width: int, dark: bool) -> None:
    chromium.open(reports[name], width, dark=dark)

    assert chromium.run("window.hit") is None
    assert chromium.run("document.querySelectorAll('img, a, iframe, link').length") == 0
    assert chromium.run(CUT_OFF) == []
    assert chromium.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert chromium.run("document.querySelectorAll('h1').length") == 1
    assert chromium.errors == []
    assert chromium.requests == [reports[name].as_uri()]


@pytest.mark.parametrize("name", ["inspect", "convert", "diff", "validate", "verify", "sync"])
def test_on_paper_a_report_is_light_and_whole(reports: dict[str, Path], chromium: Browser, name: str) -> None:
    chromium.open(reports[name], width=A4)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    chromium.call("Emulation.setEmulatedMedia", media="print", features=[dark])

    assert chromium.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert chromium.run("getComputedStyle(document.querySelector('section')).backgroundColor") == "rgb(255, 255, 255)"
    shown = "[...document.querySelectorAll('input, .crumbs, .screen')].filter((one) => one.getClientRects().length)"
    assert chromium.run(f"{shown}.length") == 0
    assert chromium.run(CUT_OFF) == []
    assert chromium.run(CLIPPED) == []


def test_a_digest_with_the_focus_is_whole_and_a_long_text_opens(reports: dict[str, Path], chromium: Browser) -> None:
    chromium.open(reports["inspect"], width=390)
    assert chromium.run(CLIPPED) != []
    whole = "(one) => { one.focus(); return one.scrollWidth <= one.clientWidth; }"
    assert chromium.run(f"[...document.querySelectorAll('.short')].every({whole})")

    chromium.open(reports["long"])
    assert "x" * 301 not in chromium.run("document.body.innerText")
    chromium.run("document.querySelector('.long summary').click()")
    assert "x" * 2000 in chromium.run("document.body.innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_of_a_server(small_oci: Layout, chromium: Browser, width: int, dark: bool, tmp_path: Path) -> None:
    sources = [small_oci.reference, hostile(tmp_path)]
    with converter.serve(*sources, folder=tmp_path / "store", rename="{name}-with-a-long-name/of/it:1") as server:
        name = json.loads(urlopen(f"{server.url}v2/_catalog").read())["repositories"][0]
        assert urlopen(f"{server.url}v2/{name}/manifests/1").status == 200
        chromium.open(server.url, width, dark=dark)
        chromium.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")

        assert f"podman pull --tls-verify=false {server.host}/{name}:1" in chromium.run("document.body.innerText")
        assert chromium.run("window.hit") is None
        assert chromium.run("document.querySelectorAll('img, a, iframe, link').length") == 0
        assert chromium.run(CUT_OFF) == []
        assert chromium.errors == []
        assert chromium.requests == [server.url]


def settled(chromium: Browser, script: str, wanted: Any) -> None:
    """Wait until an expression has a value."""
    wait_until(lambda: chromium.run(script) == wanted, f"{script} is {wanted}")


def test_the_map_is_searched_and_opened_with_the_keyboard(reports: dict[str, Path], chromium: Browser) -> None:
    chromium.open(reports["inspect"])
    assert chromium.run("document.querySelectorAll('.map rect').length") > 3

    chromium.run("document.querySelector('.map [role=button]').focus()")
    name = chromium.run("document.activeElement.getAttribute('aria-label')").removeprefix("Open ").rpartition(",")[0]
    chromium.press("Enter")
    settled(chromium, "document.querySelector('.crumbs').textContent", f"/{name}")
    chromium.run("document.querySelector('.crumbs button').click()")
    settled(chromium, "document.querySelector('.crumbs').textContent", "/")

    chromium.run("document.querySelector('.files input').focus()")
    chromium.call("Input.insertText", text="BUSYBOX")
    settled(
        chromium,
        "[...document.querySelectorAll('.listed tbody tr')].every((row) => row.textContent.includes('busybox'))",
        True,
    )
    assert "file" in chromium.run("document.querySelector('.files [role=status]').textContent")
    assert chromium.run("document.querySelectorAll('.map .dim').length") > 0


def test_a_table_is_sorted(reports: dict[str, Path], chromium: Browser) -> None:
    chromium.open(reports["inspect"])
    sizes = "[...document.querySelectorAll('table.sortable td[data-label=Stored]')].map((one) => +one.dataset.value)"

    chromium.run("[...document.querySelectorAll('th button')].find((one) => one.textContent === 'Stored').click()")

    found = chromium.run(sizes)
    assert found == sorted(found, reverse=True)
    assert chromium.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"


def test_of_a_hundred_thousand_files_no_more_are_drawn_than_can_be_seen(chromium: Browser, tmp_path: Path) -> None:
    files = {f"usr/lib/p{number % 37}/m{number % 911}/file-{number:06}.py": number % 50 for number in range(MANY)}
    tree(tmp_path / "big.tar", files)
    report = tmp_path / "big.html"
    assert main(["inspect", f"rootfs:{tmp_path}/big.tar", "--report", str(report), "--quiet"]) == 0
    assert report.stat().st_size < 5_000_000

    chromium.open(report)

    assert chromium.run("document.body.textContent.includes('100,000')")
    assert chromium.errors == []
    # With a row for each, it would take seconds of a processor.
    assert chromium.run("document.querySelectorAll('*').length") < 1000
