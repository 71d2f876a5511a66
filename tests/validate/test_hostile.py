"""Any image is judged, whichever byte or member was changed; nothing is raised."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from converter.schema import STRICTNESS_LEVELS
from converter.validate import validate_image
from converter.validate.blobs import BlobReader
from converter.validate.findings import Findings

pytestmark = pytest.mark.exhaustive

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
IMAGES: list[dict[str, Any]] = json.loads((FIXTURES / "index.json").read_bytes())["images"]
ARCHIVES = [case for case in IMAGES if case["transport"] != "dir"]
PIECES = (b"\0", b"\xff", b'"', b"{", b"7", b"null", b"[]", b"9" * 20, b"../", b"sha256:", b"\\ud800", b"x", b"L", b"S")
WRONG: tuple[Any, ...] = (None, True, 5, -1, 1.5, "x", "", [], {}, [[]], [None], {"a": {}}, "../../x", 2**70, "\ud800")
ROUNDS = 4


@pytest.mark.parametrize("case", [pytest.param(case, id=case["path"]) for case in ARCHIVES])
def test_bytes_that_are_others(case: dict[str, Any], tmp_path: Path) -> None:
    chance = random.Random(case["path"])
    path = tmp_path / Path(case["path"]).name
    for _ in range(ROUNDS):
        path.write_bytes(spoiled((FIXTURES / case["path"]).read_bytes(), chance))
        for reference in (f"{case['transport']}:{path}", str(path)):
            judged(reference)


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """The content with a few bytes changed, put in, taken out, or cut off."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 3))):
        place = chance.randrange(len(data) + 1)
        piece = chance.choice(PIECES)
        match chance.randrange(4):
            case 0:
                data[place : place + len(piece)] = piece
            case 1:
                data[place:place] = piece
            case 2:
                del data[place : place + chance.choice((1, 100, 512))]
            case _:
                del data[place + 512 :]
    return bytes(data)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["path"]) for case in ARCHIVES if case["valid"] and case["kind"] != "aci-image"]
)
def test_members_that_are_others(case: dict[str, Any], tmp_path: Path) -> None:
    chance = random.Random(case["path"])
    with tarfile.open(FIXTURES / case["path"]) as archive:
        archive.extractall(tmp_path, filter="data")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    documents = {path: path.read_bytes() for path in files if path.read_bytes()[:1] in {b"{", b"["}}
    for path, data in documents.items():
        for _ in range(ROUNDS):
            path.write_text(json.dumps(changed(json.loads(data), chance)))
            judged(f"{case['transport'].replace('oci-archive', 'oci')}:{tmp_path}")
        path.write_bytes(data)


def changed(document: Any, chance: random.Random) -> Any:
    """The document with another value at one place."""
    holder, places = {"": document}, []
    waiting: list[Any] = [holder]
    while waiting:
        value = waiting.pop()
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(member, dict | list):
                waiting.append(member)
    where, key = chance.choice(places)
    where[key] = chance.choice(WRONG)
    return holder[""]


def judged(reference: str) -> None:
    """The verdict can be had, and written down."""
    for profile in STRICTNESS_LEVELS:
        for one in validate_image(reference, profile).findings:
            assert f"{one.path}{one.message}".encode()
            assert one.severity in {"error", "warning"}


@given(st.lists(st.binary(max_size=700), max_size=8))
@example([b"\x8d\x00\x00\x04"])  # OpenPGP
def test_any_bytes_are_a_layer_or_are_none(pieces: list[bytes]) -> None:
    findings = Findings("strict")

    layer = BlobReader(findings).layer(lambda: [piece for piece in pieces if piece], "layer", None)

    assert layer.hashes or findings.has_error()
