"""What docs/python.md, docs/scripts.md and other pages say is true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from converter.cli.main import main
from tests.test_readme import keys, saved

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive and a pair of keys, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    saved(tmp_path / "app.tar")
    keys(tmp_path)
    return tmp_path


def test_the_examples_in_python_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL):
        exec(compile(block, "python.md", "exec"), names)

    told = capsys.readouterr().out
    assert "oci:layout:app sha256:" in told
    assert "True P1 ()" in told
    assert "('oci:layout:none',) no image named \"none\"" in told
    assert told.endswith("cancelled\n")
    made = {path.name for path in here.iterdir()} - {"app.tar", "cosign.key", "cosign.pub"}
    assert made == {"layout", "app.aci", "mirror", "other"}, "what failed and what was stopped has left nothing"


def row(command: str) -> set[str]:
    """The members that the page says of a command's document."""
    (text,) = re.findall(rf"^\| `{command}`(.*)$", (DOCS / "scripts.md").read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize(
    "line, members",
    [
        pytest.param("convert docker-archive:app.tar oci:out:app", ("targets",), id="convert"),
        pytest.param("validate docker-archive:app.tar", (), id="validate"),
        pytest.param("diff docker-archive:app.tar app.tar", (), id="diff"),
        pytest.param("sync docker-archive:app.tar oci:synced", ("outcomes",), id="sync"),
        pytest.param("tags docker-archive:app.tar", (), id="tags"),
        pytest.param("sign oci:layout --cosign-key cosign.key", (), id="sign"),
    ],
)
def test_the_page_for_scripts_names_every_member(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, members: tuple[str, ...]
) -> None:
    assert main(shlex.split("convert docker-archive:app.tar oci:layout:registry.example/app:1 -q")) == 0

    assert main([*shlex.split(line), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    found = set(document[0] if isinstance(document, list) else document)
    for member in members:
        found |= set(document[member][0])
    unnamed = {"targets", "size_before", "size_after", "seconds", "began", "fetched"}
    assert found - unnamed - row(line.partition(" ")[0]) == set()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(DOCS.parent)))
        for page in sorted([*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")])
    ],
)
def test_a_list_follows_an_empty_line(page: Path) -> None:
    """MkDocs joins the items of any other with the text above them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", prose):
        first, *rest = paragraph.strip("\n").split("\n")
        if not re.match(r"- |\d+\. |\s|\|", first):
            assert not [line for line in rest if re.match(r"- |1\. ", line)], first
