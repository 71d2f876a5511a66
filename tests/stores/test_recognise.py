"""Bare paths: their content decides what they are."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, Never

import pytest

from converter.errors import ConverterError, Invalid, NotFound, Usage
from converter.model import media_types as types
from converter.model.reference import Location
from converter.stores import open_sink, open_source
from converter.stores.aci_file import AciFile
from converter.stores.directory import DirectoryImage
from converter.stores.docker_archive import DockerArchive
from converter.stores.oci_layout import OciLayout
from tests.builders import disk, tar
from tests.builders.memory import MemoryStore
from tests.builders.saved import classic, old, write_tar
from tests.stores.copying import source_at
from tests.stores.kinds import ON_DISK, Kind
from tests.stores.test_contract import write

CLASSES: dict[str, type[Any]] = {
    "oci": OciLayout,
    "oci-archive": OciLayout,
    "docker-archive": DockerArchive,
    "dir": DirectoryImage,
}


@pytest.mark.parametrize("kind", ON_DISK[:-1], ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_is_recognised(kind: Kind, tmp_path: Path, packed: bool) -> None:
    target = tmp_path / "target"
    write(kind, target)
    if packed and target.is_file():
        target.write_bytes(gzip.compress(target.read_bytes()))
    with source_at("", target) as source:
        assert type(source) is CLASSES[kind.name]
        assert source.resolve("").digest == kind.add(MemoryStore(), 0).digest


@pytest.mark.parametrize(
    "kind, other",
    [(kind, other) for kind in ON_DISK[:-1] for other in ("oci", "oci-archive", "dir") if other != kind.name],
    ids=str,
)
def test_another_transport_is_told_which_one_reads_it(kind: Kind, other: str, tmp_path: Path) -> None:
    if kind.name == "docker-archive":
        write_tar(tmp_path / "target", classic())  # the newest kind is a layout, too
    else:
        write(kind, tmp_path / "target")
    with pytest.raises(ConverterError, match=rf"\(try {kind.name}:\S+\)"):
        source_at(other, tmp_path / "target")


@pytest.mark.parametrize("transport", ["aci", "oci-archive"])
def test_a_folder_is_no_file(transport: str, tmp_path: Path) -> None:
    disk.aci(tmp_path / "a.aci")
    told = rf"is a directory: expected a file \(images are in it, such as {tmp_path}/a.aci: `transship sync` takes all"
    with pytest.raises(Invalid, match=told):
        source_at(transport, tmp_path)


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "first", [{"manifest": b"{}"}, {"rootfs": None}, {"./rootfs/bin": b""}, {"./manifest": b"{}", "rootfs": None}]
)
def test_an_aci_is_recognised_by_its_first_entry(tmp_path: Path, packed: Any, first: dict[str, bytes | None]) -> None:
    (tmp_path / "app").write_bytes(packed(tar(first)))
    with source_at("", tmp_path / "app") as source:
        assert source.resolve("").media_type == types.ACI
        assert type(source) is AciFile


@pytest.mark.parametrize(
    "files", [classic(), old(), old(named=False)], ids=["1.10", "before 1.10", "before 1.10, saved by its ID"]
)
def test_old_archives_are_recognised(tmp_path: Path, files: Any) -> None:
    with source_at("", write_tar(tmp_path / "a.tar", files)) as source:
        assert type(source) is DockerArchive


@pytest.mark.parametrize(
    "content", [b"", b"text", tar({"x": b""}), tar({}), b"\x1f\x8b broken"], ids=["empty", "text", "tar", "end", "torn"]
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConverterError):
        source_at("", tmp_path / "file")


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConverterError, match=r"not an image of a known kind.* \(the root file system: rootfs:"):
        source_at("", tmp_path)


def test_a_directory_is_not_searched_to_its_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(*_: object) -> Never:
        raise AssertionError("there may be millions of files below a directory")

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(ConverterError, match="not an image of a known kind"):
        source_at("", tmp_path)


def test_a_folder_of_images_says_which_are_in_it(tmp_path: Path) -> None:
    disk.aci(tmp_path / "a.aci")
    once = r"is a folder of images: name one, as in \S+/a\.aci \(`transship sync` takes all\)$"
    with pytest.raises(ConverterError, match=once):
        source_at("", tmp_path)


@pytest.mark.parametrize(
    "typed, meant",
    [
        pytest.param("nothing.tar", r"^nothing\.tar: no such file or directory$", id="a file"),
        pytest.param("./nothing", r"^nothing: no such file or directory$", id="a directory"),
        pytest.param(
            "alpine",
            r"^alpine: no such file or directory \(an image in a registry: docker://alpine\)$",
            id="a short name",
        ),
        pytest.param("ghcr.io/team/app:1", r"in a registry: docker://ghcr\.io/team/app:1\)", id="a name in full"),
        pytest.param(
            "there.tar:app:1", r"an image in there\.tar: docker-archive:there\.tar:app:1\)", id="an image in an archive"
        ),
        pytest.param("./layout:@0", r"an image in \./layout: oci:\./layout:@0\)", id="an image in a layout"),
        pytest.param("there.oci:app", r"an image in there\.oci: oci-archive:there\.oci:app\)", id="one in its tar"),
        pytest.param(f"layout@sha256:{'0' * 64}", r"oci:layout@sha256:0{64}\)", id="one by its digest"),
    ],
)
def test_what_is_not_there_is_perhaps_meant_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "there.tar", classic())
    for kind in ON_DISK:
        if kind.name in ("oci", "oci-archive"):
            write(kind, tmp_path / {"oci": "layout", "oci-archive": "there.oci"}[kind.name])
    with pytest.raises(NotFound, match=meant):
        open_source(Location.parse(typed))


@pytest.mark.parametrize(
    "typed, meant",
    [
        pytest.param("app.aci", "aci:app.aci", id="an ACI"),
        pytest.param("app.tar.gz", "docker-archive:app.tar.gz or oci-archive:app.tar.gz", id="a tar"),
        pytest.param("./app", r"oci:\./app \(a folder\) or oci-archive:\./app \(a file\)", id="a directory"),
        pytest.param("ghcr.io/app", r"docker://ghcr\.io/app \(a registry\), oci:ghcr\.io/app .*", id="perhaps a name"),
    ],
)
def test_a_destination_needs_a_transport(typed: str, meant: str) -> None:
    with pytest.raises(Usage, match=f"has no transport: say {meant}$"):
        open_sink(Location.parse(typed))


def test_discovery_is_only_read() -> None:
    with pytest.raises(Usage, match="cannot be written"):
        open_sink(Location.parse("appc:example.com/app"))
