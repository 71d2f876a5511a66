"""Text from an image has no effect in any page or terminal: markup, bidi, escapes, long texts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from converter.cli.main import main
from converter.errors import printable
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.cli.pages.seen import HOSTILE, check
from tests.strategies.tar import File, archive

NAME = HOSTILE[:60]
"""As much of it as a name can have, with all that is hostile in it."""


@pytest.fixture
def image(here: Path) -> str:
    """An image whose tag, labels, annotations, instructions, author, and paths are all hostile."""
    store = MemoryStore()
    texts = {HOSTILE: HOSTILE, "a": HOSTILE}
    config = {
        "os": "linux",
        "architecture": "amd64",
        "author": HOSTILE,
        "config": {"Labels": texts, "Env": [f"A={HOSTILE}"], "Cmd": [HOSTILE], "User": NAME},
        "history": [{"created_by": HOSTILE}, {"created_by": f"RUN {HOSTILE}"}],
    }
    long = "/".join(["x" * 250] * 15)
    tars = [
        archive((File(f"{NAME}/{long}", data=b"1" * 70), File(f"{NAME}z", data=b"2")), "pax"),
        archive((File(f"{NAME}z", data=b"3"),), "pax"),
    ]
    for name, layers in (("app", tars), ("other", tars[::-1])):
        root = add_image(store, config=config, tars=layers, manifest={"annotations": texts}, name="")
        put(store, root, name)
    index = Path("in/index.json")  # as somebody else wrote it: this program refuses to
    index.write_text(index.read_text().replace('"app"', json.dumps(NAME)))
    Path("bad.json").write_text(json.dumps({"imageLayoutVersion": HOSTILE, HOSTILE: 1}))
    Path("policy.json").write_text('{"default": [{"type": "reject"}]}')
    return f"oci:in:{NAME}"


COMMANDS = [
    pytest.param(["inspect", "IMAGE"], id="inspect"),
    pytest.param(["diff", "IMAGE", "oci:in:other"], id="diff"),
    pytest.param(["validate", "IMAGE"], id="validate"),
    pytest.param(["validate", "--kind", "oci-layout", "bad.json"], id="validate a document"),
    pytest.param(["verify", "IMAGE", "--policy", "policy.json"], id="verify"),
    pytest.param(["convert", "IMAGE", "aci:out.aci"], id="convert"),
    pytest.param(["sync", "oci:in", "oci:out", "--keep-going"], id="sync"),
]


def given(command: list[str], image: str) -> list[str]:
    return [image if word == "IMAGE" else word for word in command]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_shows_it_and_does_nothing(command: list[str], image: str) -> None:
    assert main([*given(command, image), "--report", "r.html", "--quiet"]) in {0, 1}

    page = Path("r.html").read_text()
    seen = check(page)
    assert printable(HOSTILE[3:30]) in seen.text
    assert "<script>alert" not in page
    assert "x" * 10_500 not in page


@pytest.mark.parametrize("command", [*COMMANDS, pytest.param(["ls", "-l", "IMAGE", "--depth", "0"], id="ls")])
def test_a_terminal_gets_nothing_that_it_obeys(
    command: list[str], image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given(command, image)) in {0, 1}

    told = capsys.readouterr()
    lines = list(itertools.chain(told.out.splitlines(), told.err.splitlines()))
    assert any(printable(HOSTILE[3:30]) in line for line in lines)
    assert all(line.isprintable() for line in lines)
