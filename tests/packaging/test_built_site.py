"""The site that `bin/docs` builds, opened from the disk in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.interop.browser import Browser, browser
from tests.patience import wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.packaging

CUT_OFF = """(() => {
  const room = document.documentElement.clientWidth;
  return [...document.querySelectorAll(".md-content *")].filter((one) =>
    !one.closest(".md-typeset__scrollwrap, .md-typeset__table, pre, .highlight, svg") &&
    one.getBoundingClientRect().right > room + 1).map((one) => one.outerHTML.slice(0, 200));
})()"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; MkDocs refuses to build one with a link between pages that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    python = [sys.executable] if find_spec("mkdocs") and find_spec("mkdocstrings") else []
    done = subprocess.run([ROOT / "bin/docs", folder, *python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """What a page names, and what it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in {"script", "img", "iframe"} and "src" in given:
            self.loaded.add(given["src"])
        elif tag == "link" and given.get("rel") in {"stylesheet", "icon"}:
            self.loaded.add(given["href"])


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 50
    wrong = []
    for path, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                wrong += [f"{path.name} loads {link}"] if link in page.loaded and parts.scheme != "data" else []
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.is_file() or (place and target in pages and place not in pages[target].places):
                wrong.append(f"{path.name}: {link}")
    assert wrong == []


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def settled(chromium: Browser, script: str) -> None:
    """Wait until an expression holds."""
    wait_until(lambda: chromium.run(script), script)


SEARCHED = {
    "whiteout": "reference/rules.html",
    "schema": "reference/schemas.html",
    "squash": "reference/commands.html",
    "cosign": "docs/signatures.html",
    "origin record": "docs/signatures.html",
    "exit status": "docs/scripts.html",
    "GitLab": "docs/ci.html",
    "Dask": "docs/scale.html",
    "rkt": "docs/rkt.html",
    "content profile": "docs/profile.html",
    "Prometheus": "docs/serve.html",
}

TYPED = """(() => {{
  const field = document.querySelector("[data-md-component=search-query]");
  field.value = {term!r};
  field.dispatchEvent(new Event("keyup"));
}})()"""

FOUND = """[...document.querySelectorAll(".md-search-result__item > a")].map((one) => one.href.split("?")[0])"""


def test_the_search_works_without_a_server(site: Path, chromium: Browser) -> None:
    chromium.open(site / "docs/tutorial.html")
    chromium.run("document.querySelector('#__search').click()")
    settled(chromium, "!document.querySelector('.md-search-result__meta').textContent.includes('Initializing')")
    places = {}
    for term, page in SEARCHED.items():
        chromium.run(TYPED.format(term=""))
        settled(chromium, f"!{FOUND}.length")
        chromium.run(TYPED.format(term=term))
        settled(chromium, f"{FOUND}.length")
        pages = [url.removeprefix(f"{site.as_uri()}/") for url in dict.fromkeys(chromium.run(FOUND))]
        places[term] = pages.index(page) + 1 if page in pages else pages
    assert {term: place for term, place in places.items() if place not in range(1, 6)} == {}
    assert chromium.errors == []
    assert [one for one in chromium.requests if not one.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_cut_off(site: Path, chromium: Browser, width: int) -> None:
    cut = {}
    for name in ("index.html", *sorted({*SEARCHED.values()})):
        chromium.open(site / name, width)
        cut[name] = chromium.run(CUT_OFF)
    assert {name: parts for name, parts in cut.items() if parts} == {}
    assert chromium.errors == []
