"""On a terminal no line of a command breaks a digest; in a file every digest is whole."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from converter.cli.main import main
from converter.model.descriptor import Descriptor
from tests.builders import CONFIG, add_image, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put

WHOLE = re.compile(r"[0-9a-f]{64}")
SHORT = re.compile(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Terminal(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="\n")

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode().splitlines()


@pytest.fixture
def images(layout: MemoryStore, index: Descriptor, here: Path) -> Path:
    """Also ``oci:long``, whose layer was made by a long instruction, and ``oci:broken``, which lacks a blob."""
    store = MemoryStore()
    made_by = (
        "/bin/sh -c apt-get update && apt-get install --yes --no-install-recommends one two three && rm -rf /var/lib"
    )
    image = add_image(
        store, tars=[tar({"etc/app.conf": b"x"})], config={**CONFIG, "history": [{"created_by": made_by}]}, name=""
    )
    put(store, image, "app", where="long")
    put(store, image, "app", where="broken")
    largest = max((here / "broken/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    return here


COMMANDS = [
    pytest.param("inspect oci:long:app", id="an image is inspected"),
    pytest.param("inspect oci:multi:app", id="an index is inspected"),
    pytest.param("inspect oci:long:app --contents", id="the layers are read too"),
    pytest.param("convert oci:long:app oci:out:app docker-archive:out.tar", id="an image is converted"),
    pytest.param("convert oci:long:app aci:out.aci --squash", id="into another format"),
    pytest.param("sync oci:multi docker-archive:out --platform linux/arm64", id="images are copied"),
    pytest.param(f"sync oci:in@sha256:{'0' * 64} oci:out", id="an image to be copied is not there"),
    pytest.param("sync digests.yaml oci:out --compress zstd --to oci --keep-going", id="images named by digest"),
    pytest.param("validate oci:broken", id="a broken image is validated"),
    pytest.param("diff oci:in:app oci:long:app", id="two images are compared"),
    pytest.param("verify oci:long:app --profile app.profile", id="a profile is verified"),
    pytest.param("ls -l oci:long:app", id="files are listed"),
    pytest.param(f"inspect oci:in@sha256:{'0' * 64}", id="there is no such digest"),
    pytest.param("convert oci:broken:app oci:out", id="a digest is wrong"),
]


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_digest_is_broken(images: Path, monkeypatch: pytest.MonkeyPatch, command: str, columns: int) -> None:
    (images / "app.profile").write_text("#mtree\n. type=dir mode=0700 uid=0 gid=0\n")
    digests = [row["digest"] for row in json.loads((images / "in/index.json").read_text())["manifests"]]
    rows = [f"- from: oci:in@{digest}\n" for digest in (*digests, f"sha256:{'0' * 64}")]
    (images / "digests.yaml").write_text("images:\n" + "".join(rows))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    for stream in ("sys.stdout", "sys.stderr"):
        monkeypatch.setattr(stream, screen)
    main(command.split())
    lines = screen.lines()
    assert lines
    for line in lines:
        assert not line.endswith("→"), line
        assert len(line) <= columns or not (WHOLE.search(line) or SHORT.search(line)), line


def test_the_sum_of_a_run_is_wrapped_between_words(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    main(["sync", "oci:in", "oci:out"])
    *_, images_copied, seconds = screen.lines()
    assert images_copied == "2 images: 2 copied;"
    assert re.fullmatch(r"  \d+\.\d s", seconds)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("profile oci:long:app", id="a profile"),
        pytest.param("profile oci:long:app --json", id="a statement"),
        pytest.param("inspect oci:long:app --config", id="a configuration"),
        pytest.param("inspect oci:long:app --raw", id="a manifest"),
    ],
)
def test_a_document_is_the_same_on_a_terminal(images: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    printed = []
    for stream in (Terminal(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        monkeypatch.setattr("sys.stdout", stream)
        assert main(command.split()) == 0
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        printed.append(stream.buffer.getvalue())
    assert printed[0] == printed[1] != b""


def test_a_layer_is_a_line_that_ends_with_its_digest(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["inspect", "oci:long:app"])
    (piped,) = (line.split() for line in capsys.readouterr().out.splitlines() if " tar+gzip " in line)
    assert piped[2:5] == ["tar+gzip", "RUN", "apt-get"]
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    main(["inspect", "oci:long:app"])
    (line,) = (line for line in screen.lines() if " tar+gzip " in line)
    assert (len(line), line.split()[-1]) == (80, piped[-1].removeprefix("sha256:")[:12])


def test_a_difference_is_folded_between_words(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, files in (("a", {}), ("b", {"one-file-with-a-name": b"1" * 2048, "two": b"2"})):
        store = MemoryStore()
        put(store, add_image(store, tars=[tar(files)], name=""), name)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["diff", "oci:in:a", "oci:in:b"])
    assert screen.lines()[2:] == [
        "/  2 added (+2.0 KiB)",
        "  + one-file-with-a-name",
        "    (file, +2.0 KiB)",
        "  + two (file, +1 byte)",
        "2 added (+2.0 KiB)",
    ]


def test_an_image_that_changes_is_told_with_both_digests(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sync", "oci:long", "oci:out", "--compress", "none", "--quiet", "--json"])
    main(["sync", "oci:long", "oci:out2", "--compress", "none"])
    told = capsys.readouterr().out.splitlines()
    (digests,) = (line for line in told if line.endswith("(changed by compression)"))
    assert len(WHOLE.findall(digests)) == 2
    main(["sync", "oci:long", "oci:out2", "--compress", "none"])
    assert "(differs by compression)" in capsys.readouterr().out, "nothing is changed by what is there already"


def test_the_terminal_is_asked_how_wide_it_is(images: Path) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-m", "converter", "inspect", "oci:long:app"]
    run = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment, cwd=images)
    os.close(slave)
    told = b""
    try:
        while block := os.read(master, 4096):
            told += block
    except OSError:  # the other end is closed
        pass
    assert run.wait() == 0
    os.close(master)
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in told.decode().splitlines()]
    assert any(WHOLE.search(line) for line in lines)
    assert max(len(line) for line in lines) <= 80
