"""Other validators judge the corpus; docs/conformance.md says where they and we differ."""

from __future__ import annotations

import pytest

from tests.interop import conformance_images as images
from tests.interop.conformance import DOCUMENT, WHY, Row, render, rows
from tests.interop.peers import OFFICIAL_SCHEMAS
from tests.interop.tools import need, need_root


@pytest.fixture(scope="module")
def judged() -> list[Row]:
    need("oci-image-tool", OFFICIAL_SCHEMAS)
    return list(rows())


def test_each_difference_has_a_reason(judged: list[Row]) -> None:
    assert [row.name for row in judged if not row.agreed and not WHY.keys() & {*row.rules}] == []


def test_each_reason_has_a_difference(judged: list[Row]) -> None:
    used = {rule for row in judged if not row.agreed for rule in row.rules}

    assert WHY.keys() - used == set()


@pytest.fixture(scope="module")
def unpacked() -> list[images.Row]:
    need("oci-image-tool", "umoci", "tar")
    need_root()
    return list(images.rows())


def test_each_difference_on_images_has_a_reason(unpacked: list[images.Row]) -> None:
    assert [row.name for row in unpacked if not row.agreed and not images.reasons(row)] == []


def test_each_reason_on_images_has_a_difference(unpacked: list[images.Row]) -> None:
    used = {reason for row in unpacked if not row.agreed for reason in images.reasons(row)}

    assert images.WHY.keys() - used == set()


def test_the_document_is_true(judged: list[Row], unpacked: list[images.Row]) -> None:
    wanted = render(judged) + "\n" + images.render(unpacked)
    assert DOCUMENT.read_text() == wanted, "run python -m tests.interop.conformance"


def test_the_reference_validator_refuses_nothing_that_we_take_but_line_breaks(judged: list[Row]) -> None:
    stricter = {rule for row in judged if row.ours and row.tool is False for rule in row.rules}

    assert stricter == {"oci/environment-line"}
