from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.cli.main import main
from converter.conversion.sync import Outcome, Summary
from tests.builders.memory import MemoryStore


def outcomes(text: str) -> list[tuple[str, str]]:
    return [(one["state"], one["destination"]) for one in json.loads(text)["outcomes"]]


def test_all_images_of_a_place_go_without_a_file(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "oci:in", "oci:out", "--json", "--quiet"]) == 0
    assert outcomes(capsys.readouterr().out) == [("written", "oci:out:in:app"), ("written", "oci:out:in:other")]

    assert main(["sync", "oci:in", "oci:out", "--json", "--dry-run"]) == 0
    assert outcomes(capsys.readouterr().out) == [("there", "oci:out:in:app"), ("there", "oci:out:in:other")]


def test_a_file_says_what_goes_where(layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sync.yaml").write_text(
        "defaults: {compress: zstd, rename: '{name}/{tag}'}\n"
        "images:\n- {from: 'oci:in', tags: [app], to: 'dir:dirs'}\n- {from: 'oci:in:other', compress: none}\n"
    )

    assert main(["sync", "sync.yaml", "dir:others", "--report", "r.json", "--report", "r.html"]) == 0

    said = capsys.readouterr().out
    assert "copied" in said
    assert "2 images: 2 copied; " in said
    assert outcomes((here / "r.json").read_text()) == [
        ("written", "dir:dirs/in/app"),
        ("written", "dir:others/in/other"),
    ]
    assert "copied</h1>" in (here / "r.html").read_text()
    manifest = json.loads((here / "dirs/in/app/manifest.json").read_text())
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}


def test_when_one_fails_the_status_says_so(layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sync.yml").write_text("images:\n- {from: 'oci:in', tags: [none, app]}\n")

    assert main(["sync", "sync.yml", "oci:out", "--keep-going", "--images", "1"]) == 1

    said = capsys.readouterr()
    assert "2 images: 1 copied, 1 failed" in said.out
    assert said.err.startswith("transship: oci:in:none: ")
    assert main(["sync", "sync.yml", "oci:new", "--images", "1"]) == 1
    assert "1 failed, 1 not started" in capsys.readouterr().out


def test_an_interrupted_run_prints_its_summary_and_writes_its_reports(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **_bounds: Any) -> None:
        one = Outcome(source="oci:in:app", destination="oci:out", state="written")
        outcomes = (one, replace(one, state="unstarted"))
        arguments[-1](Summary(outcomes=outcomes, seconds=1))
        raise KeyboardInterrupt

    monkeypatch.setattr("converter.conversion.sync.sync", interrupted)
    reports = ["--report", "x.json", "--report", "x.html"]
    assert main(["sync", "oci:in", "oci:out", *reports]) == 130
    told = capsys.readouterr()
    assert "2 images: 1 copied, 1 not started" in told.out
    assert told.err == "".join(
        f"transship: {line}\n" for line in ("wrote the report x.json", "wrote the report x.html", "interrupted")
    )
    document = json.loads((here / "x.json").read_text())
    assert (document["written"], document["unstarted"], document["images"]) == (1, 1, 2)
    assert [one["state"] for one in document["outcomes"]] == ["written", "unstarted"]
    assert "not started" in (here / "x.html").read_text()


@pytest.mark.parametrize("flags", [[], ["--quiet"], ["--json"]])
def test_a_source_that_cannot_be_listed_is_told_once(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    (here / "sync.yml").write_text("images:\n- {from: 'oci:none'}\n- {from: 'oci:in'}\n")

    assert main(["sync", "sync.yml", "oci:out", "--keep-going", *flags]) == 1

    said = capsys.readouterr()
    assert said.err == "transship: oci:none: none: no such file or directory\n"
    assert said.out.count("no such file or directory") == ("--json" in flags)
    assert flags or "3 images: 2 copied, 1 failed; " in said.out


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_what_failed_is_told_whatever_else_is_not(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    (here / "sync.yml").write_text("images:\n- {from: 'oci:in', tags: [none, app]}\n")

    assert main(["sync", "sync.yml", "oci:out", "--keep-going", flag]) == 1

    lines = capsys.readouterr().err.splitlines()
    assert [line[:25] for line in lines] == ["transship: oci:in:none: n"]


@pytest.mark.parametrize(
    "arguments, fact",
    [
        pytest.param(["oci:in"], "DEST is missing", id="a place without a destination"),
        pytest.param(["none.yaml", "oci:out"], "none.yaml: no such file or directory", id="a file that is not there"),
        pytest.param(["oci:in", "oci:out", "--rename", "{x}"], "unknown field {x}", id="a field that there is not"),
        pytest.param(
            ["oci:in", "oci:out", "--report", "r.pdf"], "must end in .json or .html", id="a report of no kind"
        ),
        pytest.param(["bad.yaml", "oci:out"], "bad.yaml > line 1: no destination", id="a fault of a file"),
    ],
)
def test_wrong_usage(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], fact: str
) -> None:
    (here / "bad.yaml").write_text("a.example: {images: {x: []}}\n")
    if fact.startswith("bad.yaml"):
        arguments = arguments[:1]

    assert main(["sync", *arguments]) == 2

    assert fact in capsys.readouterr().err
    assert not (here / "out").exists()


def test_without_dask_it_is_said_how_to_get_it(
    layout: MemoryStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "converter.conversion.sync.cluster", raising=False)

    assert main(["sync", "oci:in", "oci:out", "--scheduler", "tcp://127.0.0.1:1"]) == 1

    said = capsys.readouterr().err
    assert said == 'transship: the package "distributed" is not installed: pip install ".[dask]" in the checkout\n'
