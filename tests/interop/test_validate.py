"""Images written by well-known tools, and by this project, are valid, also under ``strict``."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.conversion import Options, convert
from converter.schema import STRICTNESS_LEVELS
from converter.stores import StoreOptions
from converter.validate import Verdict, validate_image
from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.services import Dockerd
from tests.interop.tools import run


def errors(verdict: Verdict) -> list[str]:
    return [f"{one.path}: {one.message} [{one.rule}]" for one in verdict.findings if one.severity == "error"]


@pytest.mark.parametrize("profile", STRICTNESS_LEVELS)
@pytest.mark.parametrize(
    "transport, image, kind",
    [
        pytest.param("oci", "small_oci", "oci-image", id="umoci"),
        pytest.param("oci", "awkward_oci", "oci-image", id="umoci, with links into lower layers"),
        pytest.param("docker-archive", "small_archive", "docker-image", id="skopeo's docker-archive"),
        pytest.param("oci-archive", "small_oci_archive", "oci-image", id="skopeo's oci-archive"),
        pytest.param("dir", "small_dir", "oci-image", id="skopeo's dir"),
        pytest.param("docker-archive", "small_saved", "docker-image", id="docker save"),
    ],
)
def test_what_others_write_is_valid(
    transport: str, image: str, kind: str, profile: str, request: pytest.FixtureRequest
) -> None:
    made: Layout | Path = request.getfixturevalue(image)
    path = made.path if isinstance(made, Layout) else made

    for reference in (f"{transport}:{path}", str(path)):
        verdict = validate_image(reference, "strict" if profile == "strict" else "compat")
        assert errors(verdict) == []
        assert verdict.kind == kind


@pytest.mark.parametrize("manifest", [pytest.param("v2s2", id="Docker's"), pytest.param("oci", id="OCI's")])
def test_what_lies_in_a_registry_is_valid(manifest: str, small_oci: Layout, registry: Registry) -> None:
    name = f"docker://{registry.host}/validate/{manifest}:1"
    run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--format", manifest, small_oci.reference, name)

    verdict = validate_image(name, "strict", store=StoreOptions(tls_verify=False))

    assert errors(verdict) == []
    assert verdict.kind == {"v2s2": "docker-image", "oci": "oci-image"}[manifest]


def test_what_an_engine_has_is_valid(small_archive: Path, dockerd: Dockerd) -> None:
    name = dockerd.load(small_archive)

    verdict = validate_image(f"docker-daemon:{name}", store=StoreOptions(docker_host=dockerd.host))

    assert errors(verdict) == []
    assert verdict.kind == "docker-image"


@pytest.mark.parametrize(
    "target",
    [
        "oci:{}/layout:app:1",
        "oci-archive:{}/oci.tar:app:1",
        "docker-archive:{}/saved.tar:app:1",
        "dir:{}/dir",
        "aci:{}/a.aci",
    ],
)
def test_what_we_write_is_valid_in_the_letter(target: str, small_oci: Layout, tmp_path: Path) -> None:
    reference = target.format(tmp_path)
    convert(small_oci.reference, [reference], Options())

    assert errors(validate_image(reference, "strict")) == []
