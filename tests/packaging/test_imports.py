from __future__ import annotations

import subprocess
import sys

import pytest

#: What takes long to import, each with the milliseconds it cost when it was measured, or is there for one command only.
SLOW = (
    "cbor2",
    "concurrent.futures",  # 25
    "cryptography",
    "distributed",
    "importlib.metadata",  # 48
    "isal",  # 12
    "jsonschema",  # 89
    "jsonschema_rs",
    "numpy",  # 85
    "pysequoia",
    "requests",  # 111
    "tarfile",  # 21
    "tqdm",
    "urllib3",  # 83
    "yaml",
    "zlib_ng",
    "zstandard",  # 22
)
LISTING = """
import sys
from converter.cli.main import main
try:
    status = main()
except SystemExit as end:
    status = end.code
assert not status, status
print("MODULES", *sys.modules)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--version"], id="the version is told without any of the machinery"),
        pytest.param(["--help"], id="help is given without any of the machinery"),
        pytest.param(["convert", "--help"], id="help for a command too"),
    ],
)
def test_what_is_slow_to_import_is_not_imported(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", LISTING, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, _, modules = done.stdout.rpartition("MODULES ")
    assert said.strip()
    assert sorted(set(modules.split()).intersection(SLOW)) == []


def test_the_library_itself_is_cheap_to_import() -> None:
    listing = "import sys, converter; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", listing], capture_output=True, text=True, check=True)
    assert sorted(set(done.stdout.split()).intersection(SLOW)) == []
