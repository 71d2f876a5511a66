"""rkt's trusted keys: which may sign which names, and at whose word (facts of rkt's documentation, and its bug)."""

from __future__ import annotations

import pytest

from converter.errors import Invalid
from converter.trust.openpgp_keys import keyrings_for
from tests.trust.making import openpgp

ONE, TWO = (openpgp(name).extract_certificate() for name in ("one", "two"))
ROOT, PREFIX = f"root.d/{ONE.fingerprint}", f"prefix.d/example.com/foo/{TWO.fingerprint}"
FILES = {ROOT: str(ONE).encode(), PREFIX: str(TWO).encode()}


def signers(name: str, *folders: dict[str, bytes]) -> set[str]:
    rings = keyrings_for(name, ((f"folder {place}", files) for place, files in enumerate(folders)))
    return {one.fingerprint for ring in rings for one in ring.certificates}


@pytest.mark.parametrize(
    "name, expected",
    [
        pytest.param("example.com/foo", {ONE.fingerprint, TWO.fingerprint}, id="the prefix itself"),
        pytest.param("example.com/foo/bar", {ONE.fingerprint, TWO.fingerprint}, id="a name below it"),
        pytest.param("example.com/foobar", {ONE.fingerprint}, id="a name that only starts like it"),
        pytest.param("example.com", {ONE.fingerprint}, id="a name above it"),
        pytest.param("other.org/foo", {ONE.fingerprint}, id="elsewhere"),
    ],
)
def test_a_prefix_ends_where_a_part_does(name: str, expected: set[str]) -> None:
    assert signers(name, FILES) == expected


def test_an_empty_file_takes_a_key_back() -> None:
    assert signers("example.com/foo", FILES, {ROOT: b""}) == {TWO.fingerprint}
    assert signers("example.com/foo", {ROOT: b""}, FILES) == {ONE.fingerprint, TWO.fingerprint}
    assert signers("example.com/foo", FILES, {f"root.d/{TWO.fingerprint}": b""}) == {ONE.fingerprint, TWO.fingerprint}
    assert signers("example.com/foo", FILES, {ROOT.replace("/", "//"): b""}) == {TWO.fingerprint}
    here = FILES | {f"prefix.d/example.com/{ONE.fingerprint}": b""}
    assert signers("example.com/foo", here) == {TWO.fingerprint}
    assert signers("other.org/foo", here) == {ONE.fingerprint}


@pytest.mark.parametrize(
    "path, data",
    [
        pytest.param(f"root.d/{'0' * 40}", str(ONE).encode(), id="a name of another key"),
        pytest.param(ROOT, str(TWO).encode(), id="a key of another name"),
        pytest.param(ROOT, (str(ONE) + str(TWO)).encode(), id="two keys"),
        pytest.param(ROOT, b"text", id="no key"),
    ],
)
def test_a_file_is_called_by_its_key(path: str, data: bytes) -> None:
    with pytest.raises(Invalid):
        signers("example.com", {path: data})


def test_other_files_are_no_keys() -> None:
    assert signers("example.com/foo", {"README": b"x", "root.d/README": b"x", "prefix.d/" + "0" * 40: b"x"}) == set()
