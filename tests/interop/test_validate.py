"""What well-known tools write is valid, and what they would not read is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.conversion import Options, convert
from converter.validate import Verdict, validate_image
from tests.interop.images import Layout
from tests.interop.services import Registry
from tests.interop.tools import run

END = "tar/end-missing"


def errors(verdict: Verdict) -> list[str]:
    return [f"{one.path}: {one.message} [{one.rule}]" for one in verdict.findings if one.severity == "error"]


def warned(verdict: Verdict) -> set[str]:
    return {one.rule for one in verdict.findings if one.severity == "warning"}


@pytest.mark.parametrize("image", ["small_oci", "awkward_oci"])
def test_umoci(image: str, request: pytest.FixtureRequest) -> None:
    layout: Layout = request.getfixturevalue(image)

    for reference in (layout.reference, f"oci:{layout.path}", str(layout.path)):
        verdict = validate_image(reference)
        assert errors(verdict) == []
        assert verdict.kind == "oci-image"


@pytest.mark.parametrize(
    "transport, image, kind",
    [
        pytest.param("docker-archive", "small_archive", "docker-image", id="skopeo's docker-archive"),
        pytest.param("oci-archive", "small_oci_archive", "oci-image", id="skopeo's oci-archive"),
        pytest.param("dir", "small_dir", "oci-image", id="skopeo's dir"),
        pytest.param("docker-archive", "small_saved", "docker-image", id="docker save"),
    ],
)
def test_others(transport: str, image: str, kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(image)

    for reference in (f"{transport}:{path}", str(path)):
        for profile in ("compat", "strict"):
            verdict = validate_image(reference, profile)
            assert errors(verdict) == [], profile
            assert verdict.kind == kind
