"""The report of ``inspect``: it has the numbers of its JSON, and text from the image has no effect in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converter.cli.image_rows import instruction
from converter.cli.main import main
from converter.cli.pages.files import encoded
from converter.errors import printable
from converter.usage import TreeNode
from tests.builders import add_image, add_index, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.cli.pages.seen import HOSTILE, check, data


@pytest.fixture
def image(here: Path) -> str:
    """An image of two layers, the upper of which removes most of the lower."""
    store = MemoryStore()
    config = {"os": "linux", "architecture": "amd64", "config": {"Env": [f"A={HOSTILE}"]}}
    tars = [tar({"big": b"x" * 5000, "etc/name": b"base"}), tar({".wh.big": b"", "new": b"123"})]
    put(store, add_image(store, config=config, tars=tars, name=""), "app")
    return "oci:in:app"


def report(*arguments: str) -> tuple[str, Any]:
    """The page and the JSON that a command writes."""
    assert main([*arguments, "--report", "r.html", "--report", "r.json", "--quiet"]) in {0, 1}
    return Path("r.html").read_text(), json.loads(Path("r.json").read_text())


def test_the_page_says_what_the_json_says(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    page, document = report("inspect", image)

    seen = check(page)
    layers = document["contents"]["layers"]
    assert [layer["instruction"] for layer in layers] == ["step 0", "step 1"]
    assert [layer["use"]["wasted"] for layer in layers] == [5000, 0]
    assert document["contents"]["wasted"] == 5000
    assert document["contents"]["repeated"] == [{"path": "/big", "copies": 2, "size": 5000, "wasted": 5000}]
    for part in ("4.9 KiB", "step 1", "/big", "linux/amd64", layers[0]["digest"][:19], "configuration", "manifest"):
        assert part in seen.text
    assert data(page) == ["", 7, 0, [["etc", 4, 0, [["name", 4, 0]]], ["new", 3, 1]]]
    capsys.readouterr()
    assert main(["inspect", image, "--json", "--contents"]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_an_index_has_the_platforms_of_its_images(here: Path) -> None:
    store = MemoryStore()
    platforms = ("amd64", "arm64")
    images = [
        add_image(store, config={"os": "linux", "architecture": one}, tars=[tar({"a": one.encode()})], name="")
        for one in platforms
    ]
    rows = [
        {**image.to_json(), "platform": {"os": "linux", "architecture": one}}
        for image, one in zip(images, platforms, strict=True)
    ]
    rows.append({**images[0].to_json(), "platform": {"os": "unknown", "architecture": "unknown"}})
    put(store, add_index(store, rows), "app")

    page, _ = report("inspect", "oci:in:app")

    text = check(page).text
    assert "platformslinux/amd64linux/arm64" in text
    assert "layer, of linux/amd64" in text


def test_nothing_from_an_image_does_anything(here: Path) -> None:
    store = MemoryStore()
    config = {"os": "linux", "architecture": "amd64", "config": {"Labels": {HOSTILE: HOSTILE}}}
    tars = [tar({f"{HOSTILE[:90]}/{number}": b"1" for number in range(3)})]
    put(store, add_image(store, config=config, tars=tars, name=""), "app")

    page, _ = report("inspect", "oci:in:app")

    seen = check(page)
    assert "characters)" in seen.text
    assert printable(HOSTILE[:27]) in seen.text


def test_an_image_whose_layers_cannot_be_read_says_why(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    put(store, add_image(store, tars=[b"no tar, but long enough to be one" * 40], name=""), "app")
    assert main(["inspect", "oci:in:app", "--report", "r.html"]) == 0

    assert "Files could not be read: layer[0]" in check(Path("r.html").read_text()).text
    assert "warning: files could not be read" in capsys.readouterr().err


def test_a_report_says_where_it_is(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", image, "--report", "r.html"]) == 0
    assert capsys.readouterr().err == "transship: wrote the report r.html\n"
    assert main(["inspect", image, "--report", "r.html", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_an_aci_has_no_stored_layers(image: str) -> None:
    assert main(["convert", image, "aci:app.aci", "--quiet"]) == 0

    page, document = report("inspect", "aci:app.aci")

    assert "sha512-" in check(page).text
    assert document["contents"]["size"] == 7
    assert data(page)[1] == 7


@pytest.mark.parametrize(
    "arguments, error",
    [
        pytest.param(["--report", "r.pdf"], "must end in .json or .html", id="a report of no kind"),
        pytest.param(["--report", "there.html"], "--overwrite", id="a report that exists"),
        pytest.param(["--raw", "--report", "r.html"], "leave out --report", id="a document alone"),
    ],
)
def test_reports_that_are_refused(
    image: str, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.html").write_text("mine")

    assert main(["inspect", image, *arguments]) in {1, 2}
    assert error in capsys.readouterr().err
    assert Path("there.html").read_text() == "mine"


@pytest.mark.parametrize(
    "created_by, shown",
    [
        pytest.param("/bin/sh -c #(nop)  ADD file:abc in / ", "ADD file:abc in /", id="the classic builder"),
        pytest.param("/bin/sh -c apt  update", "RUN apt update", id="a command of the classic builder"),
        pytest.param("|1 A=b /bin/sh -c make $A", "RUN make $A", id="with an argument"),
        pytest.param("RUN /bin/sh -c rm big # buildkit", "RUN rm big", id="BuildKit"),
        pytest.param("COPY / / # buildkit", "COPY / /", id="a file of BuildKit's"),
        pytest.param(f"ADD file:{'0a' * 32} in /", "ADD file:0a0a0a0a0a0a… in /", id="a digest"),
        pytest.param("nix", "nix", id="any other"),
    ],
)
def test_an_instruction_is_what_its_author_wrote(created_by: str, shown: str) -> None:
    assert instruction(created_by) == shown


def test_small_files_are_a_number_where_there_is_no_room() -> None:
    deep = TreeNode(children={b"end": TreeNode(5)})
    for _ in range(90):
        deep = TreeNode(children={b"deep": deep})
    many = TreeNode(children={b"%03d" % number: TreeNode(number) for number in range(200)})
    root = TreeNode(children={b"d": many, b"deep": deep})

    found = encoded(root, budget=1000)

    assert found[1] == sum(range(200)) + 5
    (folder,) = [row for row in found[3] if row[0] == "d"]
    assert sum(row[1] for row in folder[3]) == sum(range(200))
    assert sum(row[0] for row in folder[3] if isinstance(row[0], int)) + len(folder[3]) - 1 == 200
    assert len(json.dumps(found)) < 4000
