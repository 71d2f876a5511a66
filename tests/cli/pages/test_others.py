"""The reports of ``convert``, ``validate`` and ``verify``: whole pages with what their JSON says."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from converter.cli.diff import settings
from converter.cli.main import main
from converter.cli.pages.difference import PathRow, folders
from converter.cli.results import Step, Stopwatch
from converter.compare_images import Difference
from converter.events import Event, Finished, Moved, Planned, Started
from converter.pages import percent, seconds
from converter.usage import TreeNode
from tests.builders import add_image, add_index, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.cli.pages.seen import HOSTILE, check, data
from tests.cli.pages.tables import Numbers


def written(arguments: list[str]) -> int:
    return main([*arguments, "--report", "r.html", "--report", "r.json", "--quiet"])


@pytest.mark.parametrize(
    "arguments, parts",
    [
        pytest.param(
            ["oci:in:app", "oci:out:app"],
            [
                "Converted to OCI, nothing lost",
                "the same bytes (P1: the bytes that were signed)",
                "the same digest",
                "read and plan",
            ],
            id="a copy",
        ),
        pytest.param(
            ["oci:in:app", "oci:out:app", "--compress", "zstd"], ["recompressed P2", "layers, before"], id="zstd"
        ),
        pytest.param(
            ["oci:in:app", "aci:app.aci"],
            ["Converted to ACI", "lost or kept elsewhere", "squashed", "2 layers become one", "nowhere"],
            id="an ACI",
        ),
        pytest.param(["oci:in:app", "rootfs:tree"], ["Converted to a root file system", "squashed P4"], id="a tree"),
        pytest.param(
            ["oci:in:app", "oci:out:app", "--compress", "zstd", "--dry-run"],
            ["Would be converted to OCI", "known once it is written", "not known yet"],
            id="a dry run",
        ),
    ],
)
def test_a_conversion(layout: MemoryStore, arguments: list[str], parts: list[str]) -> None:
    assert written(["convert", *arguments]) == 0

    seen = check(Path("r.html").read_text())
    for part in parts:
        assert part in seen.text
    (target,) = json.loads(Path("r.json").read_text())["targets"]
    for layer in target["layers"]:
        assert (layer["source"] or "")[:19] in seen.text
        assert (layer["target"] or "")[:19] in seen.text


def test_the_steps_of_a_conversion_follow_its_events() -> None:
    times = iter([100.0, 100.5, 101.0, 101.25, 103.0, 103.5, 104.0])
    passed: list[Event] = []
    events: list[Event] = [
        Planned(30, 2),
        Started("layer[0]", 10),
        Started("layer[1]", 20),
        Finished("layer[1]", 20),
        Finished("layer[0]", 10),
        Finished("config", 5, skipped=True),
    ]
    watch = Stopwatch(passed.append, lambda: next(times))

    for event in events:
        watch(event)

    assert watch.steps(5) == [
        Step("read and plan", 0, 0.5),
        Step("layer[0]", 1.0, 3.5, 10),
        Step("layer[1]", 1.25, 3.0, 20),
        Step("write documents, commit", 3.5, 5),
    ]
    assert passed == events


@pytest.mark.parametrize(
    "text, parts",
    [
        pytest.param('{"imageLayoutVersion": "1.0.0"}', ["Valid: ", "nothing is wrong"], id="valid"),
        pytest.param('{"imageLayoutVersion": 1}', ["Invalid: ", "/imageLayoutVersion", "error"], id="invalid"),
        pytest.param(json.dumps({"imageLayoutVersion": HOSTILE}), ["Invalid: "], id="hostile"),
    ],
)
def test_findings(here: Path, text: str, parts: list[str]) -> None:
    Path("document.json").write_text(text)
    status = written(["validate", "--kind", "oci-layout", "document.json"])

    (target,) = json.loads(Path("r.json").read_text())
    assert status == (0 if target["valid"] else 1)
    seen = check(Path("r.html").read_text())
    for part in (*parts, *(finding["rule"] for finding in target["findings"])):
        assert part in seen.text


def test_of_settings_with_members_only_those_that_differ_are_shown() -> None:
    env = ({"LANG": "C", "PATH": "/bin"}, {"LANG": "de", "PATH": "/bin", "NEW": "1"})
    found = [
        Difference(path="config", what="env", a=env[0], b=env[1]),
        Difference(path="config", what="cmd", a=["a"], b=[]),
        Difference(path="platform", what="os", a="linux", b="windows"),
        Difference(path="linux/arm64", what="entry", a="image", b=None),
    ]

    assert settings(found) == [
        ("env LANG", "C", "de"),
        ("env NEW", None, "1"),
        ("cmd", ["a"], []),
        ("platform os", "linux", "windows"),
        ("linux/arm64", "image", None),
    ]


@pytest.mark.parametrize(
    "change, whole, shown",
    [
        pytest.param(-10, 40, "\N{MINUS SIGN}25.0 %", id="less"),
        pytest.param(1, 3, "+33.3 %", id="more"),
    ],
)
def test_a_change_in_percent(change: int, whole: int, shown: str) -> None:
    assert percent(change, whole) == shown


@pytest.mark.parametrize(
    "value, shown",
    [
        pytest.param(0.0004, "0 ms", id="next to nothing"),
        pytest.param(0.25, "250 ms", id="part of a second"),
        pytest.param(12.5, "12.50 s", id="seconds"),
    ],
)
def test_a_short_time(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_many_targets_are_told_together(layout: MemoryStore) -> None:
    assert written(["validate", "oci:in:app", "oci:in:nothing"]) == 1

    assert "1 of 2 targets invalid" in check(Path("r.html").read_text()).text


def test_a_verification(layout: MemoryStore, here: Path) -> None:
    Path("policy.json").write_text('{"default": [{"type": "reject"}]}')
    assert written(["verify", "oci:in:app", "--policy", "policy.json", "--identity", "a.example/app:1"]) == 1

    document = json.loads(Path("r.json").read_text())
    seen = check(Path("r.html").read_text())
    assert not document["verified"]
    for part in ("Not verified: oci:in:app", "What does not hold", "No signature", document["digest"]):
        assert part in seen.text


@pytest.fixture
def two(here: Path) -> tuple[str, str]:
    """Two images that differ in files and configuration."""
    for name, tars, env in (
        ("a", [tar({"etc/name": b"1" * 10, "old": b"", HOSTILE[:90]: b"1"})], "A=1"),
        ("b", [tar({"etc/name": b"1" * 3000, "new": b"22"})], f"A={HOSTILE}"),
    ):
        store = MemoryStore()
        config = {"os": "linux", "architecture": "amd64", "config": {"Env": [env]}}
        put(store, add_image(store, config=config, tars=tars, name=""), name)
    return "oci:in:a", "oci:in:b"


def test_a_difference(two: tuple[str, str]) -> None:
    assert written(["diff", *two]) == 1

    document = json.loads(Path("r.json").read_text())
    seen = check(Path("r.html").read_text())
    assert not document["equal"]
    for part in ("4 paths differ, 1 setting differs", "only in B", "/etc/name", "+2.9 KiB"):
        assert part in seen.text
    for one in document["differences"]:
        assert (one["what"] if one["path"] == "config" else one["path"][:8]) in seen.text


def test_progress_tells_of_all_that_a_report_reads(two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Event] = []
    monkeypatch.setattr("converter.cli.diff.progress", lambda **_: nullcontext(seen.append))
    assert written(["diff", *two]) == 1

    planned = [event.size for event in seen if isinstance(event, Planned)]
    assert len(planned) == 2, "for the differences, and for the maps"
    assert sum(event.size for event in seen if isinstance(event, Moved)) == sum(planned) > 0


@pytest.mark.parametrize(
    "most, rows",
    [
        pytest.param(
            7,
            ["/a", "/a/b", "/a/b/c", "/a/d", "/ab", "/e/f", "/e/g"],
            id="each path has a row, if all have room",
        ),
        pytest.param(
            6,
            ["/a directory with 3 paths, 3.0 KiB", "/ab", "/e/f", "/e/g"],
            id="otherwise a directory that one side lacks stands for all in it",
        ),
        pytest.param(2, ["/a directory with 3 paths, 3.0 KiB", "/ab"], id="and what then has no room is counted"),
    ],
)
def test_many_paths_are_folded(here: Path, monkeypatch: pytest.MonkeyPatch, most: int, rows: list[str]) -> None:
    monkeypatch.setattr("converter.cli.pages.difference.MOST_SHOWN", most)
    both, folder = {"e": None, "e/f": b"1", "e/g": b"1"}, {"a": None, "a/b": None, "a/b/c": b"1" * 2048}
    for name, files in (
        ("a", both),
        ("b", both | {"e/f": b"2", "e/g": b"2"} | folder | {"a/d": b"1" * 1024, "ab": b""}),
    ):
        store = MemoryStore()
        put(store, add_image(store, tars=[tar(files)], name=""), name)

    assert written(["diff", "oci:in:a", "oci:in:b"]) == 1

    table = Numbers(Path("r.html").read_text()).table("Files by path")
    paths, what = table.column("Path"), table.column("What differs, in A and in B")
    assert [f"{path} {text}" if "with" in text else path for path, text in zip(paths, what, strict=True)] == rows
    assert ("stands for all that is in it" in check(Path("r.html").read_text()).text) == (most < 7)
    assert ("2 more: a report that ends in .json" in check(Path("r.html").read_text()).text) == (most == 2)


def test_more_paths_than_a_reader_takes_in_are_in_groups(here: Path) -> None:
    for name, text in (("a", b"1"), ("b", b"2")):
        files = {f"usr/share/doc/{number}": text for number in range(99)} | {"etc/one": text, f"only in {name}": b""}
        files |= {"ETC/one": text, "ETC/two": text}
        store = MemoryStore()
        put(store, add_image(store, tars=[tar(files)], name=""), name)

    assert written(["diff", "oci:in:a", "oci:in:b"]) == 1

    page = Path("r.html").read_text()
    for told in ("/ 1 only in B, 1 only in A", "/ETC/ 2 changed", "/etc/ 1 changed", "/usr/share/ 99 changed"):
        assert told in " ".join(check(page).text.split())
    tables = Numbers(page).tables["Files by path"]
    assert [len(table.rows) for table in tables] == [2, 2, 1, 99]


@pytest.mark.parametrize(
    "path, top",
    [
        pytest.param("/vmlinuz", "", id="a file in the root"),
        pytest.param("/etc/passwd", "/etc", id="one directory"),
        pytest.param("/usr/share/doc/a/b", "/usr/share", id="the first two of several"),
        pytest.param("/a:b/c", "/a:b", id="a colon in a name"),
        pytest.param("/a\nb/c/d/e", "/a\nb/c", id="a line break in a name"),
        pytest.param("linux/arm64/v8:/etc/passwd", "linux/arm64/v8:/etc", id="of one platform"),
        pytest.param("linux/amd64:/vmlinuz", "linux/amd64:", id="in the root of one platform"),
    ],
)
def test_the_group_of_a_path(path: str, top: str) -> None:
    assert PathRow(path, "changed", ()).top == top


def test_of_directories_within_each_other_the_one_that_changed_is_named() -> None:
    old = TreeNode(children={b"usr": TreeNode(children={b"lib": TreeNode(children={b"a": TreeNode(5)})})})
    new = TreeNode(children={b"usr": TreeNode(children={b"lib": TreeNode(children={b"a": TreeNode(9)})})})
    assert folders({"": [old, new]}) == [("/usr/lib", 5, 9)]
    assert new.children is not None
    new.children[b"b"] = TreeNode(1)
    assert folders({"": [old, new]}) == [("/", 5, 10), ("/usr/lib", 5, 9)], "unless more has changed above it"


def test_a_difference_of_indexes_has_maps_for_each_platform(here: Path) -> None:
    for name, size in (("a", 10), ("b", 3000)):
        store = MemoryStore()
        rows = []
        for architecture in ("amd64", "arm64"):
            platform = {"os": "linux", "architecture": architecture}
            tars = [tar({"etc/name": b"1" * size, "same": b"2"})]
            rows.append(add_image(store, config=platform, tars=tars, name="").to_json() | {"platform": platform})
        put(store, add_index(store, rows), name)

    assert written(["diff", "oci:in:a", "oci:in:b"]) == 1

    page = Path("r.html").read_text()
    seen = check(page)
    for part in (
        "Files by size: linux/amd64",
        "Files by size: linux/arm64",
        "linux/arm64:/etc",
        "2 paths differ",
    ):
        assert part in seen.text
    same, changed = 0, 1
    assert data(page) == ["", 11, 0, [["etc", 10, 0, [["name", 10, changed]]], ["same", 1, same]]]
    assert page.count('<script type="application/json">') == 4


def test_no_difference(two: tuple[str, str]) -> None:
    assert written(["diff", two[0], two[0]]) == 0

    assert "Equal" in check(Path("r.html").read_text()).text
    assert json.loads(Path("r.json").read_text()) == {"equal": True, "differences": []}


def test_a_difference_from_a_profile(two: tuple[str, str]) -> None:
    assert main(["profile", two[0], "-o", "a.mtree"]) == 0
    assert written(["verify", two[1], "--profile", "a.mtree"]) == 1

    document = json.loads(Path("r.json").read_text())
    assert document["count"] == len(document["differences"]) > 3
    assert "/etc/name" in check(Path("r.html").read_text()).text
