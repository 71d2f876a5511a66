from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converter.cli.main import main
from converter.model.descriptor import Descriptor
from tests.builders import DOCKER, LAYERS, add_image, add_index, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.strategies.tar import File, archive

ARM = {"os": "linux", "architecture": "arm64"}


def differ(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = main(["diff", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_an_image_equals_itself(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert differ("oci:in:app", "oci:in:app", capsys=capsys) == (0, {"equal": True, "differences": []})
    assert main(["diff", "oci:in:app", "oci:in:app"]) == 0
    assert capsys.readouterr().out == "equal: the same files and configuration\n"


def test_compression_and_layers_do_not_matter(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:app", "oci:out", "--squash", "--compress", "none", "--quiet"]) == 0
    assert differ("oci:in:app", "oci:out", capsys=capsys)[0] == 0


def test_what_differs_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    put(store, add_image(store, tars=[tar({"a": b"1", "b": b"2"})], name=""), "one")
    put(store, add_image(store, tars=[tar({"a": b"3"})], config=ARM, name=""), "two")
    status, document = differ("oci:in:one", "oci:in:two", capsys=capsys)
    assert status == 1
    assert document["equal"] is False
    assert {(row["path"], row["what"]) for row in document["differences"]} >= {
        ("platform", "architecture"),
        ("config", "entrypoint"),
        ("/a", "content"),
        ("/b", "entry"),
    }
    assert all(set(row) - {"size"} == {"path", "what", "a", "b"} for row in document["differences"])
    assert {"path": "/b", "what": "entry", "a": "file", "b": None, "size": 1} in document["differences"]


def test_what_differs_for_people(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    put(store, add_image(store, tars=[tar({"a": b"10", "b\x1b[2J": b"2"})], name=""), "one")
    put(store, add_image(store, tars=[tar({"a": None, "c": b""})], name=""), "two")
    assert main(["diff", "oci:in:one", "oci:in:two"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "- oci:in:one",
        "+ oci:in:two",
        "/  1 added, 1 removed, 1 changed (−3 bytes)",
        "  ~ a: type file → directory",
        "  - b\\x1b[2J (file, −1 byte)",
        "  + c (file)",
        "1 added, 1 removed, 1 changed (−3 bytes)",
    ]


def trees(*entries: tuple[File, ...]) -> list[str]:
    """Two images of one layer each, in a layout; their references."""
    store = MemoryStore()
    for number, files in enumerate(entries):
        put(store, add_image(store, tars=[archive(files, "pax")], name=""), f"t{number}")
    return [f"oci:in:t{number}" for number in range(len(entries))]


def test_differences_are_grouped_and_times_alone_are_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = trees(
        (
            File("etc", "dir", mode=0o755),
            File("etc/a", data=b"1" * 2048),
            File("etc/b", data=b"x", mtime=1),
            File("usr", "dir", mode=0o755),
            File("usr/c", data=b"x", mode=0o755),
            File("usr/old", data=b"x" * 1536),
            File("sbin", "dir"),
        ),
        (
            File("etc", "dir", mode=0o755, mtime=5),
            File("etc/a", data=b"1" * 3072),
            File("etc/b", data=b"x", mtime=2),
            File("etc/new", data=b"x" * 512),
            File("usr", "dir", mode=0o755),
            File("usr/c", data=b"x", mode=0o700, mtime=3),
            File("srv", "dir"),
        ),
    )
    assert main(["diff", *ends]) == 1
    told = capsys.readouterr().out.splitlines()[2:]
    assert told[:3] == ["/  1 added, 1 removed", "  - sbin (directory)", "  + srv (directory)"]
    assert told[3:6] == [
        "/etc/  1 added, 1 changed (+1.5 KiB)",
        "  ~ a: size 2.0 KiB → 3.0 KiB; content",
        "  + new (file, +512 bytes)",
    ]
    assert told[6] == "/usr/  1 removed, 1 changed (−1.5 KiB)"
    assert told[7] == "  ~ c: mode 0755 → 0700; mtime 1970-01-01T00:00:00Z → 1970-01-01T00:00:03Z"
    assert told[8:] == ["  - old (file, −1.5 KiB)", "2 added, 2 removed, 2 changed, 2 with only another time"]
    assert main(["diff", *ends, "--ignore", "mtime", "--ignore", "mode"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "2 added, 2 removed, 1 changed"
    _, document = differ(*ends, capsys=capsys)
    assert {row["path"] for row in document["differences"] if row["what"] == "mtime"} == {"/etc", "/etc/b", "/usr/c"}


def test_times_alone_say_how_to_leave_them_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = trees((File("a", mtime=1),), (File("a", mtime=2),))
    assert main(["diff", *ends]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["1 with only another time (--ignore mtime leaves it out)"]
    assert main(["diff", *ends, "--ignore", "mtime"]) == 0
    assert capsys.readouterr().out == "equal: the same files and configuration (mtime ignored)\n"


@pytest.mark.parametrize(
    "one, other, ignore",
    [
        pytest.param(File("a", mtime=1), File("a", mtime=2), "mtime", id="time"),
        pytest.param(File("a", uid=1), File("a", uid=2), "owner", id="owner"),
        pytest.param(File("a", mode=0o644), File("a", mode=0o600), "mode", id="mode"),
        pytest.param(File("a"), File("a", pax={"SCHILY.xattr.user.x": "y"}), "xattr", id="extended attributes"),
    ],
)
def test_what_may_differ(one: File, other: File, ignore: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = trees((one,), (other,))
    assert differ(*ends, capsys=capsys)[0] == 1
    assert differ(*ends, "--ignore", ignore, capsys=capsys)[0] == 0


def test_quiet_says_it_by_the_status_alone(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--quiet", "oci:in:app", "oci:in:other"]) == 1
    assert main(["diff", "--quiet", "oci:in:app", "oci:in:app"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["oci:in:app", "oci:nix"], id="nothing there"),
        pytest.param(["oci:in:app", "oci:in"], id="two there"),
        pytest.param(["oci:in:app"], id="nothing to compare with"),
        pytest.param(["oci:in:app", "oci:in:other", "--platform", "linux"], id="half a platform"),
        pytest.param(["oci:in:app", "oci:in:app", "--platform", "linux/arm64"], id="no image of the platform"),
    ],
)
def test_it_cannot_tell(arguments: list[str], layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


def test_a_damaged_layer_is_no_answer(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    layer = next(path for path in Path("in/blobs/sha256").iterdir() if path.read_bytes()[:2] == b"\x1f\x8b")
    layer.chmod(0o644)
    layer.write_bytes(bytes(layer.stat().st_size))
    assert main(["diff", "oci:in:app", "oci:in:app", "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("transship: oci:in:app > layer[")


def test_an_image_is_compared_with_its_fellow_in_an_index(
    index: Descriptor, layout: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    status, document = differ("oci:multi:app", "oci:in:other", capsys=capsys)
    assert (status, document["differences"]) == (0, [])
    assert differ("oci:in:other", "oci:multi:app", capsys=capsys)[0] == 0


def test_indexes_are_compared_by_platform(index: Descriptor, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert differ("oci:multi:app", "oci:multi:app", capsys=capsys)[0] == 0
    store = MemoryStore()
    rows = []
    for architecture, tars in (("amd64", [tar({"a": b""})]), ("s390x", LAYERS), ("arm64", LAYERS)):
        config = {"os": "linux", "architecture": architecture}
        one = add_image(store, DOCKER, tars, config, name="")
        rows.append(one.to_json() | {"platform": config})
    put(store, add_index(store, rows, DOCKER), "app", where="second")
    status, document = differ("oci:multi:app", "oci:second:app", capsys=capsys)
    assert status == 1
    told = [(row["path"], row["what"], row["a"], row["b"]) for row in document["differences"]]
    assert ("linux/s390x", "entry", None, "image") in told
    assert ("linux/arm/v7", "entry", "image", None) in told
    assert ("linux/amd64:/a", "entry", None, "file") in told
    assert not [row for row in told if row[0].startswith("linux/arm64")]
    assert differ("oci:multi:app", "oci:second:app", "--platform", "linux/arm64", capsys=capsys)[0] == 0


def test_an_aci_is_compared_with_what_it_depends_on(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    Path("acis").mkdir()
    assert main(["convert", "oci:in:app", "aci:acis/app.aci", "--layered", "--quiet"]) == 0
    assert differ("oci:in:app", "aci:acis/app.aci", capsys=capsys)[0] == 0
    Path("acis/app.aci").rename("app.aci")
    assert main(["diff", "oci:in:app", "aci:app.aci"]) == 2
    assert "--aci-path" in capsys.readouterr().err
    assert differ("oci:in:app", "aci:app.aci", "--aci-path", "acis", capsys=capsys)[0] == 0
