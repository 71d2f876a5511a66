"""A page as an HTML parser sees it, and what holds for every page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m' + "x" * 4000


class Seen(HTMLParser):
    """The tags of a page, its attributes, and its text; fails if a tag is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag not in {"meta", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data


def check(page: str) -> Seen:
    """A page is whole, asks for nothing, and its policy allows its own script and style alone."""
    seen = Seen(page)
    assert not seen.attributes & {"href", "src", "style", "onclick", "onload", "action"}
    assert not re.search(r"https?://[^\s<]*\.(js|css|png)|@import|url\(", page)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", page)
    assert "alert(1)" not in "".join(script for script in seen.scripts if script.startswith('"use strict"'))
    for kind in ("style", "script"):
        content = re.search(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content.group(1).encode()).digest()).decode()
        assert f"{kind}-src &#39;sha256-{digest}&#39;" in page
    assert len(re.findall("<script>", page)) == 1
    return seen


def data(page: str) -> Any:
    """The data for the map of files."""
    found = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))
