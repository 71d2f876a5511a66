"""The numbers in a page are those of the JSON that the same run writes, for every kind of page and of image."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converter.cli.main import main
from converter.model.limits import size
from tests.builders import add_image, add_index, tar
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.cli.pages.seen import check, data
from tests.cli.pages.tables import Numbers
from tests.trust import origins
from tests.trust.making import ecdsa, public_pem

CONFIG = {"os": "linux", "architecture": "amd64"}
FILES = {"big": b"x" * 5000, "etc/name": b"base", "etc/same": b"=", "gone/a": b"1" * 70, "gone/b": b"2" * 800}
TARS = [
    tar(FILES),
    tar({".wh.big": b"", ".wh.gone": b"", "new": b"123" * 400, "etc/name": b"changed"}),
    tar({"etc/name": b"again", "new": b"4"}),
]
WINDOWS = [
    tar({"Files": None, "Files/Windows/a.dll": b"a" * 9000, "Hives/System_Delta": b"h" * 3000}),
    tar({"Hives/System_Delta": b"H" * 3100, "Files/inetpub/index.html": b"<p>"}),
]
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}


@pytest.fixture
def images(here: Path) -> None:
    """An image of every kind that reports are made of, in ``oci:in`` and beside it."""
    store = MemoryStore()
    put(store, add_image(store, config=CONFIG, tars=TARS, name=""), "app")
    other = {**CONFIG, "config": {"Env": ["A=1"], "Labels": {"a": "b"}}}
    put(store, add_image(store, config=other, tars=[TARS[0], tar({"etc/name": b"4" * 3000})], name=""), "other")
    put(store, add_image(store, config={**CONFIG, "os": "windows"}, tars=WINDOWS, name=""), "windows")
    put(store, add_image(store, config=CONFIG, tars=[b"no tar, but long enough to be one" * 40], name=""), "broken")
    put(store, index(store), "index")
    assert main(["convert", "oci:in:app", "aci:app.aci", "--layered", "--quiet"]) == 0
    Path("bad.json").write_text('{"imageLayoutVersion": 1, "other": "1"}')
    Path("good.json").write_text('{"imageLayoutVersion": "1.0.0"}')
    Path("policy.json").write_text('{"default": [{"type": "reject"}]}')
    Path("sync.yaml").write_text("images:\n- {from: 'oci:in', tags: [app, windows, none]}\n")
    Path("k.pub").write_bytes(public_pem(ecdsa()))
    assert main(["convert", origins.oci(here / "signed"), "aci:signed.aci", "--quiet"]) == 0


def index(store: MemoryStore) -> Any:
    """Two platforms, which share a layer, and BuildKit's attestation of the first."""
    rows: list[dict[str, Any]] = []
    for architecture in ("amd64", "arm64"):
        platform = {"os": "linux", "architecture": architecture}
        made = add_image(store, config=platform, tars=[TARS[0], tar({"bin/app": architecture.encode() * 900})], name="")
        rows.append(made.to_json() | {"platform": platform})
    statement = store.add(b'{"predicateType": "https://slsa.dev/provenance/v1"}', "application/vnd.in-toto+json")
    unknown = {"os": "unknown", "architecture": "unknown"}
    attested = add_image(store, config=unknown, tars=[], manifest={"layers": [statement.to_json()]}, name="")
    reference = {"vnd.docker.reference.digest": str(rows[0]["digest"])}
    return add_index(store, [*rows, attested.to_json() | {"platform": unknown, "annotations": ATTESTATION | reference}])


def listed(reference: str, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """The files of an image with their sizes, as ``ls`` lists them."""
    capsys.readouterr()
    assert main(["ls", reference, "--depth", "0", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    return {row["path"]: row["size"] for row in rows if row["type"] != "directory"}


Compare = Callable[[str, Any], None]


def of_an_image(page: str, document: Any) -> None:
    seen, contents = Numbers(page), document["contents"]
    layers, table = contents["layers"], seen.table("Layers")
    original = document["original"]
    assert all(original[part]["digest"] in page for part in ("manifest", "config") if part in original)
    assert all(entry["descriptor"]["digest"] in seen.code for entry in document.get("entries", ()))
    assert table.values("Layer") == list(range(len(layers)))
    assert table.digests("Made by") == [layer["digest"] for layer in layers if "digest" in layer]
    if stored := [layer["size"] for layer in layers if "size" in layer]:
        assert table.values("Stored") == stored
        assert table.column("Stored") == [size(one) for one in stored]
        assert seen.tiles["as it is stored"] == size(sum(stored))
    if "error" in contents:
        assert "Files" not in table.heads
        return
    for head, name in (("Files", "size"), ("Wasted", "wasted")):
        assert table.values(head) == [layer["use"][name] for layer in layers]
        assert table.column(head) == [size(layer["use"][name]) for layer in layers]
    for head, name in (("Adds", "added"), ("Replaces", "replaced"), ("Deletes", "deleted")):
        assert table.column(head) == [f"{layer['use'][name]:,}" for layer in layers]
    wasted = next(figure for what, figure in seen.tiles.items() if what.startswith("wasted"))
    assert wasted == size(contents["wasted"]) == size(sum(layer["use"]["wasted"] for layer in layers))
    assert seen.tiles["of files in a container"] == size(contents["size"] - contents["wasted"])
    assert data(page)[1] == contents["size"] - contents["wasted"]
    waste, repeated = seen.table("Waste"), contents["repeated"]
    assert waste.column("Path") == [one["path"] for one in repeated]
    for head, name in (("Layers with it", "copies"), ("All copies", "size"), ("Wasted", "wasted")):
        assert waste.values(head) == [one[name] for one in repeated] if repeated else not waste.rows


def of_a_conversion(page: str, document: Any) -> None:
    (target,) = document["targets"]
    seen, layers = Numbers(page), target["layers"]
    table = seen.table("Layers")
    assert seen.tiles["layers" if len(layers) > 1 else "layer"] == str(len(layers))
    assert seen.tiles["losses" if len(target["losses"]) != 1 else "loss"] == str(len(target["losses"]))
    sources = [source for layer in layers for source in layer["sources"]]
    assert table.digests("Layer of the source") == [source["digest"] for source in sources]
    assert table.column("Before") == [size(source["size"]) for source in sources]
    assert seen.tiles["layers, before"] == size(sum(source["size"] for source in sources))
    assert table.digests("Layer of the target") == [layer["target"] for layer in layers if layer["target"]]
    assert table.column("After") == ["?" if layer["size"] is None else size(layer["size"]) for layer in layers]
    after = next(figure for what, figure in seen.tiles.items() if what.startswith("after"))
    known = all(layer["size"] is not None for layer in layers)
    assert after == (size(target["size"]) if known else "not known yet")
    assert [text.split()[0] for text in table.column("Relation")] == [layer["relation"] for layer in layers]
    assert seen.table("Losses").column("Field") == [loss["field"] for loss in target["losses"]]
    assert (target["digest"] or "known once it is written") in page
    assert (target["image_id"] or "") in page


def of_a_difference(page: str, document: Any) -> None:
    seen = Numbers(page)
    counts = dict.fromkeys(("only in B", "only in A", "changed", "with only another time"), 0)
    sizes: dict[str, list[str]] = {}
    settings = 0
    for path, found in itertools.groupby(document["differences"], lambda one: one["path"]):
        rows = list(found)
        if "/" not in path:
            settings += len(rows)
            continue
        (first, *_) = rows
        kind = "changed" if first["what"] != "entry" else "only in B" if first["a"] is None else "only in A"
        counts["with only another time" if [one["what"] for one in rows] == ["mtime"] else kind] += 1
        sizes[path] = [f"{one['a']:,} → {one['b']:,} bytes" for one in rows if one["what"] == "size"]
    assert {what: int(figure.replace(",", "")) for what, figure in seen.tiles.items() if what in counts} == counts
    assert seen.tiles["setting differs" if settings == 1 else "settings differ"] == str(settings)
    table = seen.table("Files by path")
    assert table.column("Path") == list(sizes)
    assert Counter(table.column("State")) == Counter({kind: number for kind, number in counts.items() if number})
    for text, told in zip(table.column("What differs, in A and in B"), sizes.values(), strict=True):
        assert all(one in text for one in told)
    contents = [one[side] for one in document["differences"] if one["what"] == "content" for side in "ab"]
    assert table.digests("What differs, in A and in B") == contents


def of_findings(page: str, document: Any) -> None:
    seen = Numbers(page)
    findings = [finding for target in document for finding in target["findings"]]
    severities = Counter(finding["severity"] for finding in findings)
    invalid = sum(not target["valid"] for target in document)
    found = [int(figure) for figure in seen.tiles.values()]
    assert found == [len(document), invalid, severities["error"], severities["warning"]]
    shown = [row for tables in seen.tables.values() for table in tables for row in table.rows]
    assert Counter(row["What is wrong"].text for row in shown) == Counter(one["message"] for one in findings)
    assert Counter(row["Place"].text.split(" line ")[0] for row in shown) == Counter(
        one["path"] or "/" for one in findings
    )


def of_a_verification(page: str, document: Any) -> None:
    seen = Numbers(page)
    steps = document["origin"]
    signatures = [one for part in (document, *steps) for one in part["signatures"]]
    level = next(figure for what, figure in seen.tiles.items() if what.startswith("level of proof"))
    assert level == (document["level"] or "none")
    good = sum(one["ok"] for one in signatures)
    assert seen.tiles["good signature" if good == 1 else "good signatures"] == str(good)
    assert seen.tiles["conversion traced back" if len(steps) == 1 else "conversions traced back"] == str(len(steps))
    for digest in (document["digest"], *(step[name] for step in steps for name in ("digest", "record"))):
        assert digest in page
    tables = [table for tables in seen.tables.values() for table in tables]
    layers = [layer for table in tables for layer in table.digests("Layer here") if "Layer here" in table.heads]
    assert layers == [layer["target"] for step in steps for layer in step["layers"]]


def of_a_sync(page: str, document: Any) -> None:
    seen, outcomes = Numbers(page), document["outcomes"]
    for state, word in (("written", "copied"), ("failed", "failed"), ("there", "already there")):
        assert int(seen.tiles.get(word, "0")) == document[state]
    before, after = document["size_before"], document["size_after"]
    sizes = [figure for what, figure in seen.tiles.items() if what.startswith("size of all images")]
    assert sizes == [size(after)]
    assert before == after or f"before {size(before)}" in page
    table = seen.table("Images")
    assert table.values("Before") == [one["size_before"] for one in outcomes]
    assert table.values("After") == [one["size_after"] for one in outcomes]
    assert table.column("Before") == [size(one["size_before"]) if one["size_before"] else "" for one in outcomes]
    shown = {one["digest"] for one in outcomes if one["digest"]}
    assert shown <= set(table.digests("To"))
    assert seen.table("Failures").column("Why") == [one["error"] for one in outcomes if one["error"]]


@pytest.mark.parametrize(
    "command, compare",
    [
        pytest.param(["inspect", "oci:in:app"], of_an_image, id="an image that wastes"),
        pytest.param(["inspect", "oci:in:index"], of_an_image, id="an index with an attestation"),
        pytest.param(["inspect", "oci:in:windows"], of_an_image, id="an image for Windows"),
        pytest.param(["inspect", "aci:app.aci"], of_an_image, id="an ACI with dependencies"),
        pytest.param(["inspect", "oci:in:broken"], of_an_image, id="an image that cannot be read"),
        pytest.param(["convert", "oci:in:app", "oci:out:app"], of_a_conversion, id="a copy"),
        pytest.param(["convert", "oci:in:app", "oci:out", "--compress", "zstd"], of_a_conversion, id="to zstd"),
        pytest.param(["convert", "oci:in:app", "oci:out", "--squash"], of_a_conversion, id="squashed"),
        pytest.param(
            ["convert", "oci:in:index", "oci:out", "--platform", "all"], of_a_conversion, id="an index copied"
        ),
        pytest.param(["convert", "oci:in:windows", "docker-archive:w.tar"], of_a_conversion, id="Windows to Docker"),
        pytest.param(["convert", "oci:in:app", "aci:new.aci"], of_a_conversion, id="to an ACI"),
        pytest.param(["convert", "aci:app.aci", "oci:out"], of_a_conversion, id="from ACIs"),
        pytest.param(
            ["convert", "oci:in:app", "oci:out", "--compress", "zstd", "--dry-run"], of_a_conversion, id="a dry run"
        ),
        pytest.param(["diff", "oci:in:app", "oci:in:other"], of_a_difference, id="two images"),
        pytest.param(["diff", "oci:in:app", "oci:in:windows"], of_a_difference, id="images with nothing in common"),
        pytest.param(["diff", "oci:in:app", "aci:app.aci"], of_a_difference, id="an image and its ACIs"),
        pytest.param(["diff", "oci:in:index", "oci:in:index"], of_a_difference, id="an index and itself"),
        pytest.param(["validate", "oci:in:app", "oci:in:index", "oci:in:broken"], of_findings, id="images, one broken"),
        pytest.param(["validate", "--kind", "oci-layout", "bad.json", "good.json"], of_findings, id="documents"),
        pytest.param(["verify", "oci:in:app", "--policy", "policy.json"], of_a_verification, id="a rejected image"),
        pytest.param(["verify", "aci:signed.aci", "--key", "k.pub"], of_a_verification, id="what was signed before"),
        pytest.param(["sync", "sync.yaml", "oci:out", "--keep-going"], of_a_sync, id="images, of which one fails"),
        pytest.param(
            ["sync", "oci:in", "oci:out", "--compress", "zstd", "--keep-going"], of_a_sync, id="images, packed"
        ),
    ],
)
@pytest.mark.usefixtures("images")
def test_the_numbers_of_a_page_are_those_of_its_json(command: list[str], compare: Compare) -> None:
    assert main([*command, "--report", "r.html", "--report", "r.json", "--quiet"]) in {0, 1}

    page = Path("r.html").read_text()
    check(page)
    compare(page, json.loads(Path("r.json").read_text()))


@pytest.mark.usefixtures("images")
def test_directories_have_the_sizes_that_ls_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "oci:in:app", "oci:in:other", "--report", "r.html", "--quiet"]) == 1
    table = Numbers(Path("r.html").read_text()).table("Directories by change of size")
    sums = [
        [
            sum(one for path, one in files.items() if path.startswith(f"{folder.rstrip('/')}/"))
            for folder in table.column("Directory")
        ]
        for files in (listed("oci:in:app", capsys), listed("oci:in:other", capsys))
    ]

    assert [table.values("A"), table.values("B")] == sums
    assert table.values("Change") == [b - a for a, b in zip(*sums, strict=True)]
    assert {"/", "/etc", "/gone"} == set(table.column("Directory"))
