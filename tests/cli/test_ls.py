"""``ls`` and ``cat``: what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.cli.main import main
from tests.builders import add_image, gzipped, sha256, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.stores.registry.fake import FakeRegistry


@pytest.fixture
def image(here: Path) -> str:
    """An image of two layers."""
    store = MemoryStore()
    put(
        store,
        add_image(store, tars=[tar({"etc/name": b"base\n", "a\x1b": b""}), tar({"etc/more": b"1"})], name=""),
        "app",
    )
    return "oci:in:app"


@pytest.mark.parametrize(
    "arguments, lines",
    [
        pytest.param([], ["a\\x1b", "etc/"], id="the root, with nothing that a terminal obeys"),
        pytest.param(["/etc"], ["more", "name"], id="a directory"),
        pytest.param(["etc/name"], ["etc/name"], id="a file"),
        pytest.param(["--depth", "0"], ["a\\x1b", "etc/", "etc/more", "etc/name"], id="everything"),
    ],
)
def test_names(image: str, arguments: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", image, *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("command", [["ls"], ["cat"], ["profile"]])
def test_another_platform(image: str, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = ["/etc/name"] if command == ["cat"] else []
    assert main([*command, image, *path, "--platform", "windows/amd64"]) == 1
    assert "the image is for linux/amd64, not for windows/amd64" in capsys.readouterr().err


def test_details(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "-l", image, "/etc"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["-rw-r--r--", "0:0", "1", "byte", "1970-01-01", "00:00", "layer", "1", "more"]
    assert second.split()[-3:] == ["layer", "0", "name"]
    assert max(map(len, (first, second))) <= 80


def test_json(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--json", image, "/etc/name"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "path": "/etc/name",
        "type": "file",
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": 5,
        "mtime": "1970-01-01T00:00:00Z",
        "layer": 0,
    }


def test_cat(image: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["cat", image, "/etc/name"]) == 0
    assert capsysbinary.readouterr().out == b"base\n"


LAYERS = [
    tar({"etc/base": b"base\n", "etc/name": b"old\n"}),
    tar({"etc/name": b"middle\n"}),
    tar({"etc/top": b"top\n"}),
]


@pytest.mark.parametrize(
    "command, output, fetched",
    [
        pytest.param(["cat", "/etc/top"], "top\n", [0, 0, 1], id="no layer below the one with the file is fetched"),
        pytest.param(["cat", "/etc/name"], "middle\n", [0, 1, 1], id="the layer with the file is fetched once"),
        pytest.param(["cat", "/etc/base"], "base\n", [1, 1, 1], id="the base is fetched once"),
        pytest.param(["ls", "/etc"], "base\nname\ntop\n", [1, 1, 1], id="to list what all layers have, each once"),
    ],
)
def test_what_is_fetched_from_a_registry(
    command: list[str], output: str, fetched: list[int], here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = MemoryStore()
    root = add_image(store, tars=LAYERS)
    with FakeRegistry() as registry:
        for blob in store.blobs.values():
            registry.add_blob("app", blob)
        registry.add_manifest("app", root.media_type, store.blobs[root.digest], "1")
        name, path = command
        assert main([name, f"docker://{registry.host}/app:1", path, "--tls-verify=false"]) == 0

    assert capfd.readouterr().out == output
    assert [len(registry.seen("GET", sha256(gzipped(layer)))) for layer in LAYERS] == fetched


@pytest.mark.parametrize("command", [["ls"], ["cat"]])
def test_what_is_not_there(image: str, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, image, "/nope"]) == 1
    assert 'no file "/nope"' in capsys.readouterr().err
