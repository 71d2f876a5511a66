"""What only dir: images do: signatures by number, an index with its images, no foreign directory overwritten."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import pytest

from converter.errors import Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.image import Attachment
from converter.model.platform import Platform
from converter.stores.media import temporary
from tests.builders import DOCKER, OCI, add_image, add_index
from tests.builders.memory import MemoryStore
from tests.stores.copying import contents, copy, files, put_tree, sink_at, source_at

VERSION = b"Directory Transport Version: 1.1\n"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def image(store: MemoryStore) -> Descriptor:
    return add_image(store, DOCKER)


def test_what_is_written(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    copy(store, image, sink_at("dir", tmp_path / "image"))
    blobs = {digest.encoded: data for digest, data in store.blobs.items() if digest != image.digest}
    assert files(tmp_path / "image") == {**blobs, "manifest.json": store.blobs[image.digest], "version": VERSION}


def test_an_index_has_its_images_beside_it(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    row = replace(image, platform=Platform(os="linux", architecture="amd64"))
    root = add_index(store, [row.to_json()], DOCKER)
    copy(store, root, sink_at("dir", tmp_path / "image"))
    assert f"{image.digest.encoded}.manifest.json" in files(tmp_path / "image")
    with source_at("dir", tmp_path / "image") as source:
        assert source.resolve("").bare() == root
        assert set(contents(source)) == {str(digest) for digest in store.blobs}


def sign(store: MemoryStore, subject: Descriptor, *texts: bytes) -> list[Attachment]:
    return [Attachment(subject=subject.digest, descriptor=store.add(text, types.DIR_SIGNATURE)) for text in texts]


def test_signatures_have_numbers(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    row = replace(image, platform=Platform(os="linux", architecture="amd64"))
    root = add_index(store, [row.to_json()], DOCKER)
    signed = [*sign(store, root, b"\x90 one", b"\0sigstore-json\n{}"), *sign(store, image, b"of the image")]
    with sink_at("dir", tmp_path / "image") as sink:
        put_tree(store, root, sink)
        sink.name("", root)
        for attachment in signed:
            sink.put((store.blobs[attachment.descriptor.digest],), types.DIR_SIGNATURE)
            sink.attach(attachment)
    found = files(tmp_path / "image")
    assert found["signature-1"] == b"\x90 one"
    assert found["signature-2"] == b"\0sigstore-json\n{}"
    assert found[f"{image.digest.encoded}.signature-1"] == b"of the image"
    with source_at("dir", tmp_path / "image") as source:
        read = [*source.attachments(root.digest), *source.attachments(image.digest)]
        assert read == signed
        assert [source.fetch(one.descriptor).read() for one in read] == [
            store.blobs[one.descriptor.digest] for one in signed
        ]


@pytest.mark.parametrize(
    "of_both, names",
    [
        pytest.param(False, ["signature-1"], id="for one image: there is one"),
        pytest.param(True, ["signature-1", "{image}.signature-1"], id="for two images: each has it"),
    ],
)
def test_a_signature_given_twice(
    store: MemoryStore, image: Descriptor, tmp_path: Path, of_both: bool, names: list[str]
) -> None:
    row = replace(image, platform=Platform(os="linux", architecture="amd64"))
    root = add_index(store, [row.to_json()], DOCKER)
    with sink_at("dir", tmp_path / "image") as sink:
        put_tree(store, root, sink)
        sink.name("", root)
        for subject in (root, image if of_both else root):
            (attachment,) = sign(store, subject, b"\x90 one")
            sink.put((b"\x90 one",), types.DIR_SIGNATURE)
            sink.attach(attachment)
    found = {name: data for name, data in files(tmp_path / "image").items() if "signature-" in name}
    assert found == {name.format(image=image.digest.encoded): b"\x90 one" for name in names}


def test_manifests_that_speak_of_the_image_are_listed(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    sbom = add_image(store, OCI, name="")
    tag = f"sha256-{image.digest.encoded}.sbom"
    listed = Attachment(subject=image.digest, descriptor=sbom, tag=tag)
    signed = sign(store, image, b"\x90 one")
    with sink_at("dir", tmp_path / "image") as sink:
        for root in (image, sbom):
            put_tree(store, root, sink)
        sink.name("", image)
        sink.put((b"\x90 one",), types.DIR_SIGNATURE)
        for attachment in (listed, *signed):
            sink.attach(attachment)
    with source_at("dir", tmp_path / "image") as source:
        assert source.resolve("").digest == image.digest
        assert list(source.attachments(image.digest)) == [*signed, listed]
        assert source.fetch(sbom).read() == store.blobs[sbom.digest]
    copy(store, image, sink_at("dir", tmp_path / "image"))
    assert "attachments.json" not in files(tmp_path / "image")


def test_an_attachment_without_a_place_is_refused(image: Descriptor, tmp_path: Path) -> None:
    sink = sink_at("dir", tmp_path / "image")
    with pytest.raises(Unsupported):
        sink.attach(Attachment(subject=image.digest, descriptor=image.retyped(types.PGP_SIGNATURE)))


@pytest.mark.parametrize("name", ["precious", "version"])
def test_a_directory_of_something_else_is_left_alone(
    store: MemoryStore, image: Descriptor, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Invalid, match="neither empty nor a dir: image"):
        copy(store, image, sink_at("dir", tmp_path))
    assert files(tmp_path) == {name: b"mine"}
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="is not a directory"):
        copy(store, image, sink_at("dir", tmp_path / "file"))


def test_an_empty_directory_is_filled(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    copy(store, image, sink_at("dir", tmp_path))
    with source_at("dir", tmp_path) as source:
        assert source.resolve("").digest == image.digest


@pytest.mark.parametrize("there", [False, True])
def test_a_mount_point_is_written_in_place(
    store: MemoryStore, image: Descriptor, tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mount"
    if there:
        signed = add_image(store, name="")
        with sink_at("dir", target) as sink:
            put_tree(store, signed, sink)
            sink.name("", signed)
            (attachment,) = sign(store, signed, b"signature")
            sink.put((b"signature",), types.DIR_SIGNATURE)
            sink.attach(attachment)
        (target / "README").write_text("kept")
    target.mkdir(exist_ok=True)
    inode = target.stat().st_ino
    monkeypatch.setattr(temporary, "can_rename_into", lambda parent, path: False)
    copy(store, image, sink_at("dir", target))
    assert target.stat().st_ino == inode
    monkeypatch.undo()
    copy(store, image, sink_at("dir", tmp_path / "plain"))
    assert files(target) == {**files(tmp_path / "plain"), **({"README": b"kept"} if there else {})}


@pytest.mark.parametrize("library", ["without", "failing"])
def test_a_file_system_without_exchange(
    store: MemoryStore, image: Descriptor, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            if library == "failing":
                self.renameat2 = lambda *_: -1

    copy(store, add_image(store, name=""), sink_at("dir", tmp_path / "image"))
    monkeypatch.setattr(ctypes, "CDLL", Library)
    copy(store, image, sink_at("dir", tmp_path / "image"))
    with source_at("dir", tmp_path / "image") as source:
        assert source.resolve("").digest == image.digest
    assert list(tmp_path.iterdir()) == [tmp_path / "image"]


@pytest.mark.parametrize(
    "name, content",
    [
        pytest.param("manifest.json", None, id="no manifest"),
        pytest.param("manifest.json", b"[]", id="a manifest that is no object"),
        pytest.param("version", b"Directory Transport Version: 2.0\n", id="another version"),
    ],
)
def test_what_is_no_image_is_refused(
    store: MemoryStore, image: Descriptor, tmp_path: Path, name: str, content: bytes | None
) -> None:
    copy(store, image, sink_at("dir", tmp_path))
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises((Invalid, NotFound)):
        source_at("dir", tmp_path)


def test_old_tools_wrote_no_version(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    copy(store, image, sink_at("dir", tmp_path))
    (tmp_path / "version").unlink()
    with source_at("dir", tmp_path) as source:
        assert source.names() == ("@0",)


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Invalid), sink_at("dir", tmp_path / "image"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_foreign_layer_may_be_absent(store: MemoryStore, image: Descriptor, tmp_path: Path) -> None:
    copy(store, image, sink_at("dir", tmp_path))
    with source_at("dir", tmp_path) as source:
        far = source.fetch(Descriptor.of(b"far", types.DOCKER_FOREIGN, urls=("https://example.com/far",)))
        assert far.absent
        with pytest.raises(NotFound):
            far.read()
