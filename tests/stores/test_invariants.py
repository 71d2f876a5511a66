"""What holds for any input: names as a dictionary keeps them, and no document that crashes a reader."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from converter.errors import ConverterError
from converter.model.descriptor import Descriptor
from converter.model.reference import FULL_NAME, REF_NAME
from converter.ports import Source
from converter.stores import oci_index
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.builders.saved import Link, classic, config, old, write_tar
from tests.changing import changed, places
from tests.stores.copying import contents, copy, sink_at, source_at

quick = settings(max_examples=60, deadline=None)

STORE = MemoryStore()
IMAGES = [
    add_image(STORE, manifest={"annotations": {"number": str(number)}} if number else None, name="")
    for number in range(3)
]
SPELLINGS = ("app:1", "docker.io/library/app:1")
NAMES = ("", "latest", *SPELLINGS, "example.com/app:1", "1")


@quick
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 2)), min_size=1, max_size=8))
def test_names_are_those_of_a_dictionary(writes: list[tuple[str, int]]) -> None:
    index: bytes | None = None
    model: dict[str, Descriptor] = {}
    for name, number in writes:
        entry = Descriptor.of(STORE.blobs[IMAGES[number].digest], IMAGES[number].media_type)
        named = Descriptor(
            media_type=entry.media_type,
            digest=entry.digest,
            size=entry.size,
            annotations=oci_index.name_annotations(name),
        )
        index, _ = oci_index.render_index(index, [named])
        assert oci_index.render_index(index, [named]) == (index, []), "writing the same twice changes nothing"
        if name:
            for other in SPELLINGS if name in SPELLINGS else ():
                model.pop(other, None)
            model[name] = entry
        found = oci_index.index_entries(oci_index.read_index(index))
        assert {one.annotations[REF_NAME]: one.bare() for one in found if one.annotations} == model
        assert {one.digest for one in found} >= {one.digest for one in model.values()}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "sha256:" + "a" * 64, "../x", "@0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "1"]), inner, max_size=2),
    max_leaves=5,
)


def spoiled(document: Any) -> st.SearchStrategy[bytes]:
    """A document in which one thing is not what it was."""
    return st.builds(
        lambda path, new: json.dumps(changed(document, path, new)).encode(),
        st.sampled_from(list(places(document))),
        json_values,
    )


def read_all(open_it: Callable[[], Source]) -> None:
    """Read all there is; anything but a refusal is a bug."""
    with suppress(ConverterError), open_it() as source:
        for name in source.names():
            root = source.resolve(name)
            list(source.attachments(root.digest))
            with suppress(ConverterError):
                contents(source, name)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


ROW = {
    "Config": "config.json",
    "RepoTags": ["app:1"],
    "Layers": [f"{number:064x}/layer.tar" for number in range(2)],
    "LayerSources": {"sha256:" + "a" * 64: IMAGES[0].to_json() | {"urls": ["https://example.com"]}},
}
ENTRY = IMAGES[0].to_json() | {
    "annotations": {REF_NAME: "1", FULL_NAME: "app:1"},
    "platform": {"os": "linux", "architecture": "amd64", "os.features": ["x"]},
    "data": "e30=",
}


@quick
@given(spoiled([ROW]), spoiled(json.loads(config())))
def test_no_manifest_json_crashes_the_reader(table: bytes, image: bytes) -> None:
    with folder() as path:
        for files in ({"manifest.json": table}, {"config.json": image}):
            write_tar(path / "a.tar", {**classic(), **files})
            read_all(lambda: source_at("docker-archive", path / "a.tar"))


@quick
@given(
    spoiled({"example.com/app": {"1": "b" * 64}}), spoiled({"id": "b" * 64, "parent": "a" * 64, "architecture": "x"})
)
def test_no_old_archive_crashes_the_reader(table: bytes, layer: bytes) -> None:
    with folder() as path:
        write_tar(path / "a.tar", {**old(), "repositories": table, "b" * 64 + "/json": layer})
        read_all(lambda: source_at("docker-archive", path / "a.tar"))


@quick
@given(
    spoiled({"schemaVersion": 2, "manifests": [ENTRY, IMAGES[1].to_json()]}), spoiled({"imageLayoutVersion": "1.0.0"})
)
def test_no_index_crashes_the_reader_or_the_writer(index: bytes, layout: bytes) -> None:
    with folder() as path:
        copy(STORE, IMAGES[0], sink_at("oci", path / "layout"), "x")
        (path / "layout/index.json").write_bytes(index)
        read_all(lambda: source_at("oci", path / "layout"))
        with suppress(ConverterError):
            copy(STORE, IMAGES[1], sink_at("oci", path / "layout"), "app:1")
        (path / "layout/oci-layout").write_bytes(layout)
        read_all(lambda: source_at("oci", path / "layout"))


@quick
@given(
    st.integers(0, 20_000), st.binary(min_size=1, max_size=20), st.sampled_from(["docker-archive", "oci-archive", ""])
)
def test_no_spoiled_archive_crashes_the_reader(at: int, junk: bytes, transport: str) -> None:
    with folder() as path:
        copy(STORE, IMAGES[0], sink_at("docker-archive", path / "a.tar"), "app:1")
        whole = (path / "a.tar").read_bytes()
        at %= len(whole)
        (path / "a.tar").write_bytes(whole[:at] + junk + whole[at + len(junk) :])
        read_all(lambda: source_at(transport, path / "a.tar"))


@pytest.mark.parametrize("name", ["manifest.json", "index.json", "repositories", "oci-layout", "config.json"])
@pytest.mark.parametrize("content", [b"", b"null", b"[" * 100_000, b"\xff", Link("manifest.json"), Link("../../x")])
def test_no_table_of_contents_crashes_the_reader(tmp_path: Path, name: str, content: bytes | Link) -> None:
    for files in (classic(), old()):
        write_tar(tmp_path / "a.tar", {**files, name: content})
        read_all(lambda: source_at("docker-archive", tmp_path / "a.tar"))
        read_all(lambda: source_at("", tmp_path / "a.tar"))
