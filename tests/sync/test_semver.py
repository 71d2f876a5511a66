from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from converter.conversion.sync.semver import Version, version_range
from converter.errors import Invalid


@pytest.mark.parametrize(
    "text, inside, outside",
    [
        pytest.param("1.2.3", "1.2.3 v1.2.3", "1.2.4 1.2.3-rc1", id="a version is itself"),
        pytest.param("1.2", "1.2.0 1.2.9", "1.3.0 2.2.0", id="a short version is all that begin so"),
        pytest.param("1-rc", "1.0.0-rc 1.2.3", "1.0.0-alpha 2.0.0", id="from a pre-release on"),
        pytest.param("1.x", "1.0.0 1.9 1", "2.0.0 0.9", id="an x is any number"),
        pytest.param("*", "0.0.1 7", "1.0.0-rc1 latest", id="a star is any release"),
        pytest.param(">= 1.2, < 2", "1.2.0 1.99", "1.1.9 2.0.0", id="a comma is and"),
        pytest.param(">=1.2 <2", "1.2.0 1.99", "1.1.9 2.0.0", id="so is a blank"),
        pytest.param("<1 || >=3", "0.9 3.0", "1.0 2.9", id="bars are or"),
        pytest.param("1.2 - 1.4.5", "1.2.0 1.4.5", "1.1.9 1.4.6", id="a hyphen is from and to"),
        pytest.param("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2", id="a tilde keeps the minor number"),
        pytest.param("~1", "1.0.0 1.9.0", "2.0.0", id="a tilde before one number keeps that"),
        pytest.param("^1.2.3", "1.2.3 1.9.0", "2.0.0 1.2.2", id="a caret keeps the major number"),
        pytest.param("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2", id="a caret keeps the minor number after a zero"),
        pytest.param("^0.0.3", "0.0.3", "0.0.4 0.1.0", id="a caret keeps all after two zeros"),
        pytest.param("^0", "0.0.1 0.9.0", "1.0.0", id="a caret before a zero keeps that"),
        pytest.param("!=1.2.3", "1.2.4 1.2.4-rc1", "1.2.3", id="anything else, pre-releases too"),
        pytest.param("!=1.x", "2.0.0", "1.2.3 2.0.0-rc1", id="no pre-releases where several are not meant"),
        pytest.param(
            "!=1.2-rc",
            "1.2.0 1.2.3-beta 1.3.0",
            "1.2.0-rc 1.2.3-rc",
            id="but for that pre-release of all that begin so",
        ),
        pytest.param("!=1-rc", "2.0.0 2.0.0-rc", "1.0.0 1.2.3-rc", id="or none that begins so"),
        pytest.param(">1.2", "1.3.0", "1.2.9", id="after all that begin so"),
        pytest.param("<=1.2", "1.2.9 1.1.0", "1.3.0", id="up to all that begin so"),
        pytest.param(">=1.2.3-rc1", "1.2.3-rc2 1.2.3", "1.2.3-beta 1.2.2", id="pre-releases where one is named"),
        pytest.param(">=1.0.0", "1.0.0", "1.1.0-rc1 nightly 1.0.0.0", id="no pre-releases, and no other names"),
        pytest.param(
            ">=1-0", "1.0.0-0 1.0.0-1a", "1.0.0-01 1.0.0-rc.01", id="numbers in a pre-release have no zeros before"
        ),
        pytest.param(">=1", "18446744073709551615", "18446744073709551616", id="numbers have an end"),
        pytest.param(">=1", "1.0.1", f"1.{'9' * 5000}.0", id="numbers that nobody would read"),
        pytest.param(">=1.0.0-0", f"1.0.0-{'9' * 5000}", "0.9.0", id="and such in a pre-release"),
    ],
)
def test_ranges(text: str, inside: str, outside: str) -> None:
    within = version_range(text)

    assert [tag for tag in inside.split() if not within(tag)] == []
    assert [tag for tag in outside.split() if within(tag)] == []


@pytest.mark.parametrize("text", ["", "latest", ">=", "1.2 || ", "1.2.3.4", ">> 1", "1,,x y", ">= 1" + "9" * 5000])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="invalid range of versions"):
        version_range(text)


@pytest.mark.parametrize("text", ["<=*", "^x", "!=*", "> X", ">=1 <=x"])
def test_a_range_that_ends_at_any_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not followed by a number"):
        version_range(text)


def test_versions_sort_as_the_specification_has_it() -> None:
    pre = "alpha alpha.1 alpha.beta beta beta.2 beta.11 rc.1"
    order = [*(f"1.0.0-{one}" for one in pre.split()), "1.0.0"]
    versions = [Version.parse(text) for text in order]

    assert sorted(versions, key=lambda one: one.key if one else (0, 0, 0, ())) == versions


@given(st.tuples(*[st.integers(0, 99)] * 3), st.tuples(*[st.integers(0, 99)] * 3))
def test_less_and_not_less_are_opposites(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    first, second = (".".join(map(str, numbers)) for numbers in (one, other))

    assert version_range(f"<{second}")(first) == (one < other)
    assert version_range(f">={second}")(first) == (one >= other)
