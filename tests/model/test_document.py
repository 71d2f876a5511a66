"""Documents that two parsers could read differently are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from converter.errors import Invalid, LimitExceeded
from converter.model.document import dump_json, json_pointer, load_json, load_object, read_json, type_name
from converter.model.limits import Limits, enforce_limits


@pytest.mark.parametrize(
    "data, value",
    [
        pytest.param(b' {"a": [1, -2, 1.5, "x", true, null]}\n', {"a": [1, -2, 1.5, "x", True, None]}, id="a document"),
        pytest.param(b"9223372036854775807", 2**63 - 1, id="the largest number"),
        pytest.param(b"-9223372036854775808", -(2**63), id="the smallest number"),
        pytest.param('"\\u00e4ä"'.encode(), "ää", id="escapes and UTF-8"),
        pytest.param(b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64), id="as deep as may be"),
        pytest.param(b'"' + b"[" * 99 + b'"', "[" * 99, id="brackets in text are not deep"),
    ],
)
def test_documents_are_read(data: bytes, value: Any) -> None:
    assert load_json(data) == value


@pytest.mark.parametrize(
    "data, error, fact",
    [
        pytest.param(b"", Invalid, "the document is empty", id="nothing"),
        pytest.param(b"{} {}", Invalid, "extra data after the JSON document, at line 1", id="two documents"),
        pytest.param(b'{\n"a": 1,\n}', Invalid, "line [23]", id="a comma too many"),
        pytest.param(b"\xff", Invalid, "invalid UTF-8 at byte 0", id="no UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", Invalid, "invalid JSON: expecting value", id="a byte order mark"),
        pytest.param(b'{"a": 1, "a": 1}', Invalid, 'duplicate key "a"', id="a key twice"),
        pytest.param(b'[{"b": {"a": 1, "a": 2}}]', Invalid, "at /0/b", id="a key twice, deep"),
        pytest.param(b'{"a": {"x": 1, "x": 2}, "a": {}}', Invalid, "duplicate key", id="a key twice in what is hidden"),
        pytest.param(
            b"[9223372036854775808]", Invalid, "9223372036854775808 does not fit into 64 bits at /0", id="2^63"
        ),
        pytest.param(b"-9223372036854775809", Invalid, "64 bits", id="below 64 bits"),
        pytest.param(b"9" * 5000, Invalid, "the number 999999999999999999999999 does", id="5,000 digits"),
        pytest.param(b"1e999", Invalid, "64 bits", id="a float too large"),
        pytest.param(b"[NaN]", Invalid, "invalid JSON: NaN is not a number", id="NaN"),
        pytest.param(b"-Infinity", Invalid, "-Infinity is not", id="an infinity"),
        pytest.param(b"[" * 65 + b"]" * 65, LimitExceeded, r"json_depth", id="too deep"),
        pytest.param(b"[" * 100_000, LimitExceeded, r"json_depth", id="far too deep"),
        pytest.param(b" " * (4 * 1024 * 1024 + 1), LimitExceeded, r"limit: document", id="too large"),
    ],
)
def test_documents_are_refused(data: bytes, error: type[Invalid], fact: str) -> None:
    with pytest.raises(error, match=fact):
        load_json(data)


def test_all_faults_are_named_with_their_places() -> None:
    reading = read_json(b'{"a": [{"x": 1, "x": 2}], "b": 99999999999999999999, "c": {"y": 1, "y": 1}} x')

    assert [(problem.rule, problem.path) for problem in reading.problems] == [
        ("json/trailing-data", ""),
        ("json/duplicate-key", "/a/0"),
        ("json/number-range", "/b"),
        ("json/duplicate-key", "/c"),
    ]
    assert reading.complete


def test_limits_can_be_given() -> None:
    with enforce_limits(Limits(document=2)), pytest.raises(LimitExceeded, match="document of 3 bytes: at most 2"):
        load_json(b"[1]")


def test_a_document_may_have_to_be_an_object() -> None:
    assert load_object(b"{}") == {}
    with pytest.raises(Invalid, match="expected an object, found an array"):
        load_object(b"[]")


@pytest.mark.parametrize(
    "value, name",
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_types_have_jsons_names(value: Any, name: str) -> None:
    assert type_name(value) == name


def test_pointers_are_those_of_rfc_6901() -> None:
    assert json_pointer() == ""
    assert json_pointer("a/b", 0, "m~n") == "/a~1b/0/m~0n"


texts = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert load_json(dump_json(value)) == value


def test_half_of_a_surrogate_pair_is_read_as_go_reads_it() -> None:
    assert load_json(rb'{"a\udfff": ["\ud800", "\ud83d\ude00"]}') == {"a\ufffd": ["\ufffd", "\U0001f600"]}
