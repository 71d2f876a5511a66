"""ARCHITECTURE.md names files that exist, and what is in them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
BASES = (ROOT, ROOT / "converter", ROOT / "converter/stores/docker_archive")
"""Where paths begin: here, in the package, and in the one folder that is named before its files."""

OTHERS = {"policy.json"}
"""Files of other programs."""

SHARED_NAMES = {"sink.py", "image.py"}
"""File names that several rooms have: each store its sink; an image, and the page about it."""

PATH = r"[\w.-]+/[\w./-]*|[\w-]+\.(?:py|toml|json|md)"
NAME = r"`[\w.]+`"


def there(path: str) -> Path | None:
    """The file or directory at a path; decisions are named by their numbers."""
    if re.fullmatch(r"docs/decisions/\d{4}", path):
        return next(ROOT.glob(f"{path}-*.md"), None)
    return next((found for base in BASES if (found := base / path).exists()), None)


def named() -> set[str]:
    """The paths in the text: in backquotes, and those below docs/ and tests/ without."""
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    words = {word for text in re.findall(r"`([^`]+)`", prose) for word in text.split()}
    plain = {path.rstrip(".") for path in re.findall(r"(?<![\w/`])(?:docs|tests)/[\w./-]+", prose)}
    return {word for word in words if re.fullmatch(PATH, word) and "NAME" not in word} - OTHERS | plain


def rooms() -> set[str]:
    """The first words of the list of rooms."""
    _, listed, _ = re.split(r"converter/\n|\n```\n\nA room", PAGE, maxsplit=2)
    return {line.split()[0] for line in listed.splitlines()}


def test_paths_are_found_in_the_page() -> None:
    assert {"docs/decisions/0013", "ports.py", "stores/rootfs/__init__.py", "tests/stores/kinds.py"} <= named()


@pytest.mark.parametrize("path", sorted(named() | rooms()))
def test_the_path_exists(path: str) -> None:
    assert there(path) is not None


def test_every_room_is_listed() -> None:
    modules = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "converter").glob("[!_.]*")}
    assert modules - {"py.typed", "version.py"} == rooms() - {"schemas/", "fixtures/"}


def test_a_file_name_is_in_one_room() -> None:
    names = Counter(path.name for path in (ROOT / "converter").rglob("[!_]*.py"))
    assert {name for name, count in names.items() if count > 1} == SHARED_NAMES


@pytest.mark.parametrize(
    "names, path",
    [
        pytest.param(names, path, id=f"{names} in {path}".replace("`", ""))
        for names, path in re.findall(rf"({NAME}(?:(?:,| and)\s+{NAME})*)\s+(?:in|of)\s+`([\w./]+\.py)`", PAGE)
    ],
)
def test_what_is_said_to_be_in_a_file_is_there(names: str, path: str) -> None:
    file = there(path)
    assert file is not None
    words = set(re.findall(r"\w+", file.read_text()))
    assert {name.strip("`").rpartition(".")[2] for name in re.findall(NAME, names)} <= words
