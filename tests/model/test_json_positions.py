"""The lines and columns of values in a document."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from converter.model.document import json_pointer
from converter.model.json_positions import Position, find_positions

TEXT = b"""{
  "layers": [
    {"size": 1}, {"size" : 2,
     "a/b~c": "\\u00e9{[\\\\\\"", "x": [1e999, 99999999999999999999]
    }
  ],
  "n\\u0061me": null, "name": 1
} """


@pytest.mark.parametrize(
    "wanted, line, column",
    [
        pytest.param("", 1, 1, id="the document"),
        pytest.param("/layers", 2, 13, id="a list"),
        pytest.param("/layers/1", 3, 18, id="an item after another"),
        pytest.param("/layers/1/size", 3, 28, id="a blank before the colon"),
        pytest.param("/layers/1/a~1b~0c", 4, 15, id="a key with a slash and a tilde"),
        pytest.param("/layers/1/x/1", 4, 44, id="numbers that no number holds"),
        pytest.param("/name", 7, 16, id="of a key that stands twice the first, however it is spelt"),
    ],
)
def test_a_value_has_a_line_and_a_column(wanted: str, line: int, column: int) -> None:
    assert find_positions(TEXT, [wanted]) == {wanted: Position(line, column)}


def test_what_is_not_there_has_no_place() -> None:
    assert find_positions(TEXT, ["/layers/2", "/config", "/layers/0/size/x", "/name/0"]) == {}


@pytest.mark.parametrize("text", [b"", b"[1,", b'{"a": }', b'{"a" 1}', b"[" * 5000, b"\xff"])
def test_what_is_no_json_has_places_up_to_there(text: bytes) -> None:
    assert set(find_positions(text, ["", "/9", "/a/b", "/0/0/0"])) <= {"", "/0/0/0"}


LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(VALUES, st.sampled_from([None, 1]))
def test_the_text_at_a_place_is_the_value(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    if json.loads(text) != value:
        return
    values = dict(walked(value, ""))
    found = find_positions(text, values)
    assert found.keys() == values.keys()
    lines = text.decode().split("\n")
    for name, place in found.items():
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert json.JSONDecoder().raw_decode(rest)[0] == values[name]


def walked(value: object, path: str) -> list[tuple[str, object]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(one for key, item in items for one in walked(item, path + json_pointer(key)))]
