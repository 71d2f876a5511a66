from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.cli.main import main
from converter.model import media_types as types
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.stores.registry.fake import FakeRegistry, Fault, Refuse, Request
from tests.stores.registry.pushing import seed


def test_each_end_has_its_own_credentials(here: Path) -> None:
    with FakeRegistry() as one, FakeRegistry() as other:
        seed(one, [])
        one.basic, other.basic = ("a", "1"), ("b", "2:3")
        ends = [f"docker://{one.host}/app:1", f"docker://{other.host}/app:2"]
        plain = ["--src-tls-verify=false", "--dest-tls-verify", "false"]
        assert main(["convert", *ends, *plain, "--src-creds", "a:1", "--dest-creds=b:2:3"]) == 0
        assert other["app"].tags == {"2": one["app"].tags["1"]}
        assert main(["tags", f"docker://{other.host}/app", "--tls-verify=false", "--creds", "b:2:3"]) == 0
        assert main(["inspect", ends[0], "--tls-verify=false", "--creds", "a:wrong"]) == 1


@pytest.mark.parametrize(
    "option, ends",
    [
        pytest.param("--src-cert-dir", ("docker://127.0.0.1:1/app", "oci:out"), id="the source"),
        pytest.param("--dest-cert-dir", ("oci:in:app", "docker://127.0.0.1:1/app"), id="the destination"),
    ],
)
def test_each_end_has_its_own_certificates(
    option: str, ends: tuple[str, str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = MemoryStore()
    put(store, add_image(store), "app")
    other = {"--src-cert-dir": "--dest-cert-dir", "--dest-cert-dir": "--src-cert-dir"}[option]
    for chosen, status, told in ((option, 1, "gone"), (other, 2, f"{other} has no effect here")):
        assert main(["convert", *ends, chosen, "gone", "--retries=0"]) == status
        assert told in capsys.readouterr().err


def test_credentials_have_a_user(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tags", "docker://reg.test/app", "--creds", ":secret"]) == 2
    assert "secret" not in capsys.readouterr().err


def _signed(registry: FakeRegistry) -> None:
    """An image with a tag of cosign's, and an SBOM that refers to it."""
    root = seed(registry, [])
    speaks = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "config": {"mediaType": types.OCI_EMPTY, "digest": registry.add_blob("app", b"{}"), "size": 2},
        "layers": [],
    }
    registry.add_manifest("app", types.OCI_MANIFEST, speaks, f"sha256-{root.digest.encoded}.sig")
    registry.add_manifest("app", types.OCI_MANIFEST, {**speaks, "subject": root.to_json()})


def _refusing(status: int, method: str, wanted: Callable[[str], bool]) -> Callable[[Request], Fault]:
    return lambda request: Refuse(status=status) if request.method == method and wanted(request.path) else None


@pytest.mark.parametrize(
    "end, fault",
    [
        pytest.param(0, _refusing(500, "GET", lambda path: "/referrers/" in path), id="that lists nothing"),
        pytest.param(0, _refusing(503, "GET", lambda path: path.endswith(".sig")), id="that breaks at a signature"),
        pytest.param(1, _refusing(400, "PUT", lambda path: "/manifests/sha256:" in path), id="that takes no artifact"),
        pytest.param(1, _refusing(400, "PUT", lambda path: path.endswith(".sig")), id="that takes no such tag"),
    ],
)
def test_what_speaks_of_an_image_can_be_left_with_a_registry(
    end: int, fault: Callable[[Request], Fault], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeRegistry() as one, FakeRegistry() as other:
        _signed(one)
        # What the target has already is not put: only what speaks of the image is.
        seed(other, [], tag="0")
        (one, other)[end].fault = fault
        command = ["convert", f"docker://{one.host}/app:1", f"docker://{other.host}/app:1", "--retries", "0"]
        command += ["--src-tls-verify=false", "--dest-tls-verify=false", "--json"]
        assert main(command) == 1
        told = capsys.readouterr().err
        assert "attachments" in told
        assert "--no-attachments does without" in told
        assert other["app"].tags.keys() == {"0"}
        assert main([*command, "--no-attachments"]) == 0
        assert other["app"].tags["1"] == json.loads(capsys.readouterr().out)["targets"][0]["digest"]
