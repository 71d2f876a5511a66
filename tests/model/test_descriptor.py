"""Descriptors and digests: read unchanged, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from converter.errors import DigestMismatch, Invalid, Unsupported
from converter.model.content import Known, known_bytes, verified_blocks
from converter.model.descriptor import Descriptor, Digest, new_hasher

HEX = "ab" * 32
ROW: dict[str, Any] = {"mediaType": "a/b", "digest": f"sha256:{HEX}", "size": 3}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="the three members"),
        pytest.param({"urls": ["https://example.org/x"]}, id="urls"),
        pytest.param({"annotations": {"a": "b"}}, id="annotations"),
        pytest.param({"data": "YWJj"}, id="data"),
        pytest.param({"platform": {"architecture": "arm", "os": "linux", "variant": "v7"}}, id="a platform"),
        pytest.param({"artifactType": "x/y"}, id="an artifact type"),
        pytest.param({"com.example": {"deep": [1]}}, id="a member that nobody knows"),
    ],
)
def test_a_descriptor_survives_reading_and_writing(more: dict[str, Any]) -> None:
    assert Descriptor.from_json(ROW | more).to_json() == ROW | more


@pytest.mark.parametrize(
    "value, message",
    [
        pytest.param([], "expected an object, found an array", id="no object"),
        pytest.param(ROW | {"size": -1}, "size: expected a number of bytes, found -1", id="a negative size"),
        pytest.param(ROW | {"size": True}, "size: expected a whole number, found a boolean", id="a boolean is no size"),
        pytest.param(ROW | {"size": "3"}, "size: expected a whole number, found a string", id="a size in quotes"),
        pytest.param(ROW | {"digest": 1}, "digest: expected a string, found a number", id="a number for a digest"),
        pytest.param(ROW | {"digest": f"sha256:{HEX.upper()}"}, "lower-case hex", id="capitals in a digest"),
        pytest.param(ROW | {"digest": "sha256"}, "expected ALGORITHM:HEX", id="no colon"),
        pytest.param(ROW | {"data": "%"}, "not base64", id="data that is no base64"),
        pytest.param(ROW | {"urls": True}, "urls: expected an array, found a boolean", id="urls that are no array"),
        pytest.param(ROW | {"urls": [1]}, r"urls\[0\]: expected a string, found a number", id="a url that is a number"),
        pytest.param(
            ROW | {"annotations": ["a"]}, "annotations: expected an object, found an array", id="a list of annotations"
        ),
        pytest.param(
            ROW | {"annotations": {"a": 1}},
            "annotations > a: expected a string, found a number",
            id="a number to annotate",
        ),
        pytest.param(
            ROW | {"artifactType": 1},
            "artifactType: expected a string, found a number",
            id="an artifact type that is a number",
        ),
        pytest.param(
            ROW | {"platform": {"os": 1}},
            "platform > os: expected a string, found a number",
            id="an os that is a number",
        ),
    ],
)
def test_what_is_no_descriptor_is_refused(value: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        Descriptor.from_json(value)


def test_an_algorithm_that_nobody_registered_cannot_be_computed() -> None:
    with pytest.raises(Unsupported, match='unsupported digest algorithm "md5"'):
        new_hasher("md5")


@pytest.mark.parametrize(
    "data, size, message",
    [
        pytest.param(b"abcd", 3, "expected 3 bytes, read more", id="too much"),
        pytest.param(b"ab", 3, "expected 3 bytes, read 2", id="too little"),
        pytest.param(b"abd", 3, "digest mismatch: expected", id="other bytes"),
    ],
)
def test_bytes_that_are_not_those_promised_are_refused(data: bytes, size: int, message: str) -> None:
    with pytest.raises(DigestMismatch, match=message):
        list(verified_blocks([data], Digest.of(b"abc"), size))


def test_known_bytes_are_checked_while_they_are_read() -> None:
    honest = known_bytes(b"abc", "a/b")
    liar = Known(honest.descriptor, lambda: [b"abx"])
    assert honest.read() == b"abc"
    with pytest.raises(DigestMismatch):
        liar.read()
