"""The action for GitHub, the hook of pre-commit and the snippets of docs/ci.md, run without their services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_readme import keys, saved

ROOT = Path(__file__).resolve().parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
SNIPPETS = [
    yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an archive, a pair of keys, and the programs that the steps call."""
    saved(tmp_path / "app.tar")
    keys(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"transship": f'exec "{sys.executable}" -P -m converter "$@"', "pip": "exit 0"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    return tmp_path


def run(script: str, here: Path, shell: str = "bash", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{here / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(here / "cache"),
        "RUNNER_TEMP": str(here),
        "GITHUB_OUTPUT": str(here / "outputs"),
        **variables,
    }
    command = [shell, "-e", "-c", script]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)


def step(name: str, here: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does, with inputs in place of their expressions."""
    defaults = {key: value["default"] for key, value in ACTION["inputs"].items()}
    given = defaults | {key.replace("_", "-"): value for key, value in inputs.items()}
    variables = {
        key: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: given[found.group(1)], value)
        for key, value in STEPS[name]["env"].items()
    }
    return run(STEPS[name]["run"], here, **variables)


def test_no_input_is_pasted_into_a_script() -> None:
    assert [name for name, one in STEPS.items() if "${{" in one["run"]] == []


def test_every_input_is_used_and_described() -> None:
    used = set(re.findall(r"inputs\.([a-z-]+)", str(ACTION["runs"])))
    assert used == set(ACTION["inputs"])
    assert all(each["description"] for each in ACTION["inputs"].values())


def test_the_action_validates_several_targets_and_annotates(here: Path) -> None:
    (here / "broken.json").write_text('{"schemaVersion": 3, "mediaType": "application/vnd.oci.image.index.v1+json"}')
    good = step("Validate", here, validate="docker-archive:app.tar\n\n")
    assert good.returncode == 0, good.stderr
    bad = step("Validate", here, validate="docker-archive:app.tar\nbroken.json\n")
    assert bad.returncode == 1
    assert "::error file=broken.json" in bad.stdout


def test_the_action_is_told_the_kind_of_a_document(here: Path) -> None:
    (here / "any.json").write_text("{}")
    untold = step("Validate", here, validate="any.json")
    assert "cannot tell the kind of the document" in untold.stdout
    told = step("Validate", here, validate="any.json", kind="oci-manifest")
    assert "schema/oci-manifest/required" in told.stdout


def test_the_action_converts_and_tells_the_digest(here: Path) -> None:
    done = step(
        "Convert",
        here,
        source="docker-archive:app.tar",
        destinations="oci:layout:app\naci:app.aci\n",
        options="--compress=gzip:1",
    )
    assert done.returncode == 0, done.stderr
    assert (here / "app.aci").exists()
    assert re.fullmatch(r"digest=sha256:[0-9a-f]{64}\n", (here / "outputs").read_text())


def test_the_action_verifies(here: Path) -> None:
    signing = "transship convert app.tar oci:signed:example/app:1 && transship sign oci:signed --cosign-key cosign.key"
    assert run(signing, here).returncode == 0
    assert step("Verify", here, verify="oci:signed", key="cosign.pub").returncode == 0
    assert step("Verify", here, verify="docker-archive:app.tar", key="cosign.pub").returncode == 1


def test_an_input_with_shell_in_it_is_a_name(here: Path) -> None:
    done = step("Convert", here, source="$(touch owned)`touch owned`;touch owned", destinations="oci:x")
    assert done.returncode == 1
    assert not (here / "owned").exists()


@pytest.mark.parametrize("name", ["app.tar", "a # b: 'c'.tar"])
def test_a_folder_is_synced_whatever_its_files_are_called(name: str, here: Path) -> None:
    (command,) = re.findall(r"^(transship sync saved \S+) +#", (ROOT / "docs/sync.md").read_text(), re.MULTILINE)
    (here / "saved").mkdir()
    saved(here / "saved" / name)
    done = run(command, here)
    assert done.returncode == 0, done.stderr


def snippet(member: str) -> dict[str, Any]:
    """The one snippet that has this member."""
    (found,) = (document for document in SNIPPETS if member in document)
    assert isinstance(found, dict)
    return found


def test_the_snippet_for_github_gives_inputs_that_there_are() -> None:
    steps = snippet("jobs")["jobs"]["image"]["steps"]
    (inputs,) = (each["with"] for each in steps if "with" in each)
    assert set(inputs) <= set(ACTION["inputs"])


def test_the_snippet_for_gitlab_runs(here: Path) -> None:
    job = snippet("validate")["validate"]
    for line in [*job["before_script"], *job["script"]]:
        done = run(line, here)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (here / job["artifacts"]["reports"]["junit"]).read_text().startswith("<testsuites")


def test_the_snippet_for_tekton_runs(here: Path) -> None:
    task = snippet("apiVersion")["spec"]
    (only,) = task["steps"]
    names = {f"$(params.{each['name']})" for each in task["params"]}
    names |= {f"$(results.{each['name']}.path)" for each in task["results"]}
    assert {each["value"] for each in only["env"]} == names
    values = {"SOURCE": "docker-archive:app.tar", "DESTINATION": "oci:layout:app", "DIGEST": str(here / "digest")}
    assert {each["name"] for each in only["env"]} == set(values)
    done = run(only["script"], here, "sh", **values)
    assert done.returncode == 0, done.stderr
    assert (here / "digest").read_text().startswith("sha256:")


def test_the_hook_of_pre_commit_is_what_its_snippet_names(here: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (repo,) = snippet("repos")["repos"]
    assert repo["hooks"][0]["id"] == hook["id"]
    assert re.search(hook["files"], "images/app/oci-layout")
    assert re.search(hook["files"], "app.aci")
    assert not re.search(hook["files"], "web/manifest.json")
    (here / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    assert run(f"{hook['entry']} oci-layout", here).returncode == 0
    (here / "oci-layout").write_text("{}")
    assert run(f"{hook['entry']} oci-layout", here).returncode == 1
