"""What a kind of place can do is a property of its ``Transport``: nothing else goes by the names of transports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from converter.cli.commands import ABOUT, REFERENCES
from converter.model.transport import TRANSPORTS, reference_start, transports_where

ROOT = Path(__file__).resolve().parents[2] / "converter"

FORMATS = {"aci", "docker", "oci"}
"""Transports with the name of a format: such a text counts only where it is compared with a ``transport``."""

UNAMBIGUOUS = {*TRANSPORTS} - FORMATS - {"rootfs"}
"""Names of transports that are nothing else; ``rootfs`` is a member of configurations, too."""

BY_NAME = {
    "model/transport.py": "it defines them",
    "model/reference.py": "appc is not suggested, as many images are called app",
    "stores/__init__.py": "its tables say which module reads and writes each",
    "stores/options.py": "a file may be replaced by one of its own kind",
    "stores/recognise.py": "it says by which transport an image without one can be read",
    "stores/rootfs/__init__.py": "it says by which transport a tar can be read that was taken for files",
    "trust/policy.py": "policy.json has these names, and rules of its own for each",
}
"""The files that may go by name, and why."""


def names(node: ast.AST) -> set[str]:
    """The texts in an expression: one, or those in a literal with several."""
    inside = node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else (node,)
    return {one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def is_transport(node: ast.AST) -> bool:
    found = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return found == "transport"


def goes_by_name(node: ast.AST) -> bool:
    """Whether a node compares a transport with a text, or lists several transports."""
    if isinstance(node, ast.Compare):
        sides = (node.left, *node.comparators)
        texts = set().union(*map(names, sides)) & {*TRANSPORTS}
        return bool(texts & UNAMBIGUOUS or (texts and any(map(is_transport, sides))))
    if isinstance(node, ast.Dict):
        keys, values = ({text for one in half if one for text in names(one)} for half in (node.keys, node.values))
        return bool(keys & UNAMBIGUOUS) or len(values & UNAMBIGUOUS) > 1
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        texts = names(node) - {""}
        alone = len(node.elts) == len(names(node)) and texts <= {*TRANSPORTS}
        return len(texts & ({*TRANSPORTS} - FORMATS)) > (0 if alone and len(texts) > 1 else 1)
    return False


def lines(text: str) -> Iterator[int]:
    return (node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.expr) and goes_by_name(node))


@pytest.mark.parametrize(
    "line, found",
    [
        pytest.param('place.transport == "oci"', True, id="a comparison"),
        pytest.param('place.transport not in ("", "aci")', True, id="a comparison with several"),
        pytest.param('name != "docker-archive"', True, id="a comparison of another name"),
        pytest.param('TREES = ("rootfs", "bundle")', True, id="a list"),
        pytest.param('WORDS = {"oci": 1, "bundle": 2}', True, id="a table"),
        pytest.param('place.kind.access == "registry"', False, id="a property"),
        pytest.param('original.format == "docker"', False, id="a format"),
        pytest.param('original.format in ("docker", "oci")', False, id="several formats"),
        pytest.param('Location(transport="aci", path=path)', False, id="a reference to a file just made"),
    ],
)
def test_going_by_name_is_noticed(line: str, found: bool) -> None:
    assert any(lines(line)) is found


def test_only_a_few_files_go_by_the_names_of_transports() -> None:
    found = {str(path.relative_to(ROOT)): there for path in ROOT.rglob("*.py") if (there := [*lines(path.read_text())])}
    assert {name: there for name, there in found.items() if name not in BY_NAME} == {}
    assert {*BY_NAME} - {*found} == set(), "what no longer does so needs no reason"


@pytest.mark.parametrize("text", [pytest.param(ABOUT, id="all of it"), pytest.param(REFERENCES, id="one screen")])
def test_the_help_names_every_transport(text: str) -> None:
    assert [name for name in TRANSPORTS if not re.search(rf"(?<![\w-]){reference_start(name)}", text)] == []


@pytest.mark.parametrize(
    "quality, which",
    [
        pytest.param("is_tree", "rootfs bundle", id="a tree"),
        pytest.param("is_bundle", "bundle", id="a tree that says how it is started"),
        pytest.param("is_written", "docker docker-archive docker-daemon dir oci oci-archive aci", id="written"),
        pytest.param("has_acis", "aci appc", id="ACIs"),
        pytest.param("on_disk", "docker-archive dir oci oci-archive aci rootfs bundle", id="a path of this machine"),
        pytest.param("over_network", "docker appc", id="over the network"),
        pytest.param(
            "lists_images", "docker docker-archive docker-daemon dir oci oci-archive aci", id="several images at once"
        ),
        pytest.param("has_blob_files", "dir oci", id="a file for each blob"),
        pytest.param("adds_blobs", "docker oci", id="blobs before their image"),
        pytest.param("keeps_roots", "docker docker-archive dir oci oci-archive", id="digests that identify"),
    ],
)
def test_the_places_with_a_quality(quality: str, which: str) -> None:
    assert transports_where(lambda kind: getattr(kind, quality)) == tuple(which.split())


@pytest.mark.parametrize(
    "transport, start",
    [
        pytest.param("docker", "docker://", id="a registry"),
        pytest.param("docker-daemon", "docker-daemon:", id="an Engine"),
        pytest.param("oci", "oci:", id="a path"),
        pytest.param("", "", id="a bare path"),
    ],
)
def test_references_begin_with(transport: str, start: str) -> None:
    assert reference_start(transport) == start
