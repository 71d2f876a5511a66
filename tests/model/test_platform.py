"""Platforms: their canonical names, and which image of several one gets."""

from __future__ import annotations

import pytest

from converter.errors import Usage
from converter.model.platform import Platform, choose_platform


@pytest.mark.parametrize(
    "typed, canonical",
    [
        pytest.param("linux/aarch64", "linux/arm64", id="aarch64 is arm64"),
        pytest.param("linux/arm64/v8", "linux/arm64", id="v8 is what arm64 is"),
        pytest.param("linux/arm64/v9", "linux/arm64/v9", id="v9 is more"),
        pytest.param("linux/arm", "linux/arm/v7", id="arm alone is v7"),
        pytest.param("linux/arm/7", "linux/arm/v7", id="a variant may lack its v"),
        pytest.param("linux/armhf", "linux/arm/v7", id="armhf is v7"),
        pytest.param("linux/armel", "linux/arm/v6", id="armel is v6"),
        pytest.param("linux/x86_64", "linux/amd64", id="x86_64 is amd64"),
        pytest.param("Linux/i386", "linux/386", id="i386 is 386, and case does not count"),
        pytest.param("macos/arm64", "darwin/arm64", id="macos is darwin"),
    ],
)
def test_canonical_names(typed: str, canonical: str) -> None:
    assert str(Platform.parse(typed).normalised()) == canonical


@pytest.mark.parametrize("typed", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b"])
def test_what_is_no_platform_is_wrong_usage(typed: str) -> None:
    with pytest.raises(Usage, match="expected OS/ARCH"):
        Platform.parse(typed)


@pytest.mark.parametrize(
    "wanted, offered, found",
    [
        pytest.param("linux/amd64", ["linux/arm64", "linux/amd64"], 1, id="its own"),
        pytest.param("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1, id="the nearest lower variant"),
        pytest.param("linux/arm/v6", ["linux/arm/v7"], None, id="never a higher variant"),
        pytest.param("linux/arm/v7", ["linux/arm/v8", "linux/arm"], 1, id="an entry without a variant, at last"),
        pytest.param("linux/arm/v7", ["linux/arm", "linux/arm/v6"], 1, id="a lower variant before none"),
        pytest.param("linux/arm", ["linux/arm/v6", "linux/arm"], 1, id="who asks for none gets none before another"),
        pytest.param("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1, id="who asks for none, where all have one"),
        pytest.param("linux/arm/v5", ["linux/arm/x", "linux/arm"], 1, id="a variant that nobody knows suits nobody"),
        pytest.param("linux/arm/x", ["linux/arm/y", "linux/arm"], 1, id="nor does another suit who asks for one"),
        pytest.param("linux/arm/x", ["linux/arm", "linux/arm/x"], 1, id="but it suits who asks for it"),
        pytest.param("linux/arm64", ["linux/arm/v7"], None, id="arm64 is not arm"),
        pytest.param("linux/arm64", ["linux/arm64/v8"], 0, id="v8 is arm64"),
        pytest.param("linux/amd64", ["linux/amd64", "linux/amd64"], 0, id="the first of equals"),
        pytest.param("linux/amd64", ["windows/amd64"], None, id="not another system's"),
        pytest.param("linux/amd64", [], None, id="none of none"),
    ],
)
def test_choice(wanted: str, offered: list[str], found: int | None) -> None:
    assert choose_platform(Platform.parse(wanted), [Platform.parse(text) for text in offered]) == found


def test_an_entry_without_a_platform_is_never_chosen() -> None:
    assert choose_platform(Platform.parse("linux/amd64"), [None, Platform.parse("linux/amd64")]) == 1


def test_what_says_nowhere_what_it_runs_on_is_taken_at_last() -> None:
    nothing, other = Platform(os="", architecture=""), Platform.parse("linux/arm64")
    wanted = Platform.parse("linux/amd64")
    assert choose_platform(wanted, [other, nothing, nothing]) == 1
    assert choose_platform(wanted, [nothing, wanted]) == 1


def test_versions_of_windows_must_agree() -> None:
    wanted = Platform(os="windows", architecture="amd64", os_version="10.0.2")
    other = Platform(os="windows", architecture="amd64", os_version="10.0.1")
    assert choose_platform(wanted, [other, wanted]) == 1
