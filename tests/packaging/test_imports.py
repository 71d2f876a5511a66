from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.stores.copying import copy, sink_at

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
    "nacl",
    "numpy",  # 85
    "pysequoia",
    "re2",
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
    status = main(sys.argv[1:])
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


#: What a copy in the same format has no use for: a start takes 100 ms, and half of a small copy (docs/decisions).
UNUSED = (
    "concurrent.futures",
    "converter.cache.blob_folder",
    "converter.conversion.target_attachments",
    "converter.conversion.origin_records",
    "converter.formats.aci",
    "converter.formats.docker",
    "converter.signing",
    "converter.stores.docker_archive",
    "converter.stores.media.tar_medium",
    "converter.stores.registry",
    "converter.streams.squash",
    "converter.trust.stored_signatures",
    "converter.trust.origin_record",
    "converter.verification",
    "cryptography",
    "logging",
    "subprocess",
    "tempfile",
    "urllib3",
    "zlib_ng",
    "zstandard",
)


def test_a_conversion_imports_what_it_uses_alone(tmp_path: Path) -> None:
    store = MemoryStore()
    add_image(store)
    copy(store, store.named["app:1"], sink_at("oci", tmp_path / "in"), "x")
    arguments = ["convert", "--quiet", "--no-cache", f"oci:{tmp_path}/in:x", f"oci:{tmp_path}/out:x"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", LISTING, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(set(done.stdout.rpartition("MODULES ")[2].split()).intersection(UNUSED)) == []


#: What is for layers that are made or looked into, for sources beyond this machine, and for documents not seen before.
UNDONE = (
    "click.shell_completion",
    "converter.cli.cache",
    "converter.execute.making",
    "converter.stores.blob_spool",
    "converter.stores.retry",
    "converter.streams.compress",
    "converter.streams.decompress",
    "email.utils",  # 8, with socket
    "random",
    "socket",
)
MOST_OF_OURS = 63
"""Modules of this program that a conversion with nothing to do may import: each takes some 0.15 ms."""


def test_where_it_has_been_before_it_checks_no_document_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = MemoryStore()
    add_image(store)
    copy(store, store.named["app:1"], sink_at("oci", tmp_path / "in"), "x")
    arguments = ["convert", "--quiet", f"oci:{tmp_path}/in:x", f"oci:{tmp_path}/out:x"]
    modules: set[str] = set()
    for expected in ({"converter.schema", "jsonschema_rs"}, set()):
        done = subprocess.run(
            [sys.executable, "-P", "-c", LISTING, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        modules = set(done.stdout.rpartition("MODULES ")[2].split())
        assert modules & {"converter.schema", "jsonschema_rs"} == expected
    assert sorted(modules & {*UNUSED, *UNDONE}) == []
    assert len({module for module in modules if module.split(".")[0] == "converter"}) <= MOST_OF_OURS


#: What has nothing to say about an image without signatures that is no ACI: 40 of 136 ms.
UNASKED = (
    "converter.conversion",
    "converter.execute",
    "converter.formats.aci",
    "converter.trust.content_trust",
    "converter.trust.stored_signatures",
    "cryptography",
    "isal",
    "urllib3",
)


def test_to_inspect_an_image_nothing_is_imported_that_it_does_not_have(tmp_path: Path) -> None:
    store = MemoryStore()
    add_image(store)
    copy(store, store.named["app:1"], sink_at("oci", tmp_path / "in"), "x")
    arguments = ["inspect", f"oci:{tmp_path}/in:x"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", LISTING, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(set(done.stdout.rpartition("MODULES ")[2].split()).intersection(UNASKED)) == []


def test_to_verify_without_a_policy_nothing_is_imported_for_policies() -> None:
    listing = "import sys, converter.verification.verify_image; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", listing], capture_output=True, text=True, check=True)
    assert sorted({"converter.schema", "converter.trust.policy"}.intersection(done.stdout.split())) == []
