"""Start-up: imports decide how long it takes, so they are counted instead of the time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {
    "asyncio",
    "cbor2",
    "concurrent.futures",
    "cryptography",
    "dask",
    "distributed",
    "http.client",
    "importlib.metadata",
    "isal",
    "jinja2",
    "jsonschema_rs",
    "multiprocessing",
    "numpy",
    "pysequoia",
    "requests",
    "sqlite3",
    "tarfile",
    "tqdm",
    "unittest",
    "urllib3",
    "yaml",
    "zlib_ng",
    "zstandard",
}


def imported(*arguments: str, **environment: str) -> set[str]:
    """The modules that a command line imports."""
    done = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "converter", *arguments],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | environment,
        timeout=60,
    )
    rows = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return set(rows)


def of_this_program(modules: set[str]) -> set[str]:
    return {module for module in modules if module.split(".")[0] == "converter"}


def test_the_version_needs_nothing() -> None:
    modules = imported("--version")
    assert of_this_program(modules) == {
        "converter",
        "converter.cli",
        "converter.cli.main",
        "converter.version",
    }
    assert not {module for module in modules if module.split(".")[0] in HEAVY | {"click", "dataclasses"}}


@pytest.mark.parametrize(
    "arguments, environment",
    [
        pytest.param(["--help"], {}, id="the help"),
        pytest.param([], {}, id="no command"),
        pytest.param(["nix"], {}, id="an unknown command"),
        pytest.param(
            [],
            {"_TRANSSHIP_COMPLETE": "bash_complete", "COMP_WORDS": "transship con", "COMP_CWORD": "1"},
            id="completion",
        ),
    ],
)
def test_the_names_of_the_commands_are_known_without_importing_them(
    arguments: list[str], environment: dict[str, str]
) -> None:
    modules = imported(*arguments, **environment)
    assert of_this_program(modules) - {"converter.cli.usage_errors"} == {
        "converter",
        "converter.cli",
        "converter.cli.commands",
        "converter.cli.main",
        "converter.cli.run",
        "converter.cli.flags",
        "converter.cli.text",
        "converter.errors",
        "converter.version",
    }
    assert not modules & HEAVY


@pytest.mark.parametrize("command", ["convert", "inspect", "diff", "tags", "sync"])
def test_the_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    assert not imported(command, "--help") & HEAVY


def test_inspect_imports_only_what_reading_documents_needs(tmp_path: object) -> None:
    modules = imported("inspect", f"oci:{tmp_path}")
    assert not modules & (HEAVY - {"jsonschema_rs", "concurrent.futures"})


def test_sync_imports_dask_only_for_a_cluster(tmp_path: object) -> None:
    modules = imported("sync", f"oci:{tmp_path}", f"oci:{tmp_path}/out")
    assert "converter.conversion.sync" in modules
    assert not modules & {"dask", "distributed", "converter.conversion.sync.cluster"}
