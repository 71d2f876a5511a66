"""A folder of converted images: blobs by digest, and images by what they were made from.

An image's key begins with the policy that it met: one that met another is kept, and not served.

A blob is written to a temporary file, verified, made durable, and then renamed; so is the record of an image, after
all its blobs. A process may be killed at any moment, and any number of them may share the folder. When the folder is
full, the least recently used blobs are removed; an image that lacks some is converted again.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Self

from converter.errors import ConverterError, NotFound, Usage
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import load_object, object_list, required_member
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.limits import GIB
from converter.model.reference import is_of_attachment
from converter.ports import Sink
from converter.serving.responses import FileBody
from converter.stores.disk import disk_errors, regular_size, sync_directory, write_behind
from converter.stores.media import write_blob
from converter.stores.media.temporary import Temporary, lock, remove_abandoned, temporary_file
from converter.streams.blocks import Block, file_blocks

DEFAULT_SIZE = 20 * GIB
"""Bytes of blobs that are kept unless another number is given."""

RECENT = 60.0
"""Seconds after which a blob that was asked for may go: a client takes a while from a manifest to the last layer."""

LOCK_INTERVAL = 0.1
"""Seconds between two attempts to begin what another process is making."""

BLOBS, IMAGES, INCOMING, LOCKS = "blobs", "images", "incoming", "locks"


@frozen
class ServedImage:
    """An image that was made: what it is made of, what refers to it, and the names under which it is served.

    ``key`` says what it was made from, and how; ``names`` has the tag under which each repository has it. Under a
    policy, ``signers`` signed it or what it was made from, which it is proven to be at that ``level``.
    """

    key: str
    root: Descriptor
    blobs: tuple[Descriptor, ...]
    attached: tuple[Attachment, ...] = ()
    signers: tuple[str, ...] = ()
    level: str = ""
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def policy(self) -> str:
        """What stands for the policy that it met."""
        return self.key.partition("-")[0]

    def to_json(self) -> dict[str, Any]:
        """As its record has it."""
        return {
            "key": self.key,
            "root": self.root.to_json(),
            "blobs": [one.to_json() for one in self.blobs],
            "attached": [one.to_json() for one in self.attached],
            "signers": list(self.signers),
            "level": self.level,
            "names": dict(self.names),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a record; raises Invalid."""
        return cls(
            key=required_member(value, "key", str),
            root=Descriptor.from_json(required_member(value, "root", dict)),
            blobs=tuple(map(Descriptor.from_json, required_member(value, "blobs", list))),
            attached=tuple(map(Attachment.from_json, object_list(value, "attached"))),
            signers=tuple(map(str, required_member(value, "signers", list))),
            level=required_member(value, "level", str),
            names=dict(required_member(value, "names", dict)),
        )


class ImageStore:
    """The folder, and an index of it in memory. Any number of threads may use it."""

    def __init__(self, folder: Path, most: int, policies: frozenset[str]) -> None:
        """Read the records of a folder, which is made if it is not there; ``policies`` are those of this server."""
        self.folder = folder
        self.most = most
        self._policies = policies
        self.evicted = 0
        self._lock = threading.Lock()
        self._images: dict[str, ServedImage] = {}
        self._members: dict[str, dict[Digest, tuple[Descriptor, str]]] = {}
        self._referrers: dict[tuple[str, Digest], dict[Digest, Attachment]] = {}
        self._tagged: dict[tuple[str, str], tuple[Descriptor, str]] = {}
        self._begun: dict[object, float] = {}
        with disk_errors(folder, "write"):
            if folder.exists() and not folder.is_dir():
                raise Usage(f"{folder} is a file: expected a folder for the store")
            if folder.is_dir() and not (folder / IMAGES).is_dir() and any(map(_is_foreign, folder.iterdir())):
                raise Usage(f"{folder} is neither empty nor a store: choose another folder")
            for name in (BLOBS, IMAGES, INCOMING, LOCKS):
                (folder / name).mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder / INCOMING)
        self.refresh()

    def refresh(self, name: str = "") -> None:
        """Read what other processes have made, of a repository at least."""
        del name  # here, all records are in one folder
        for path in sorted((self.folder / IMAGES).glob("*.json")):
            if path.stem not in self._images:
                self._load(path)

    def bring(self, key: str, name: str) -> ServedImage | None:
        """The image with that key from where other servers keep it, under a repository's name; here, nowhere else."""
        del key, name
        return None

    def image(self, key: str) -> ServedImage | None:
        """The image with that key if all of it is here; another process may have made it."""
        found = self._images.get(key) or self._load(self.folder / IMAGES / f"{key}.json")
        if found is None or not all(map(self.has, found.blobs)):
            return None
        return found

    def images(self) -> Sequence[ServedImage]:
        """All images."""
        return tuple(self._images.values())

    def add(self, image: ServedImage, name: str, tag: str) -> ServedImage:
        """Keep an image, and serve it under a name, and those that it has already."""
        with self._lock:
            before = self._images.get(image.key)
            names = {**(before.names if before else {}), name: tag}
            image = replace(image, names=names)
            if before == image:
                return image
            self._write(image)
            self._index(image)
        self.evict()
        return image

    def member(self, name: str, digest: Digest) -> tuple[Descriptor, str] | None:
        """A blob of a repository, and the key of the image that it belongs to."""
        return self._members.get(name, {}).get(digest)

    def referrers(self, name: str, subject: Digest) -> list[Attachment]:
        """What refers to a digest in a repository."""
        return list(self._referrers.get((name, subject), {}).values())

    def tagged(self, name: str, tag: str) -> tuple[Descriptor, str] | None:
        """What refers to an image under a tag of its own, as cosign's signatures do, and the key of the image."""
        return self._tagged.get((name, tag))

    def path(self, digest: Digest) -> Path:
        """The file of a blob, which may not be there."""
        return self.folder / BLOBS / digest.algorithm / digest.encoded[:2] / digest.encoded

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob is here."""
        size = regular_size(self.path(descriptor.digest))
        return size is not None and descriptor.size in (-1, size)

    def open(self, digest: Digest) -> FileBody:
        """A blob; raises NotFound. It stays readable until it is closed, even if it is evicted meanwhile."""
        path = self.path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise NotFound(f"blob unknown: {digest}") from None
        self.touch(digest)
        return FileBody(file=file, size=os.fstat(file.fileno()).st_size)

    def blocks(self, digest: Digest) -> Iterator[Block]:
        """A blob, block by block; raises NotFound."""
        stored = self.open(digest)
        with stored.file as file:
            yield from file_blocks(file.fileno(), 0, stored.size)

    def read(self, digest: Digest) -> bytes:
        """A small blob in memory; raises NotFound."""
        stored = self.open(digest)
        with stored.file as file:
            return file.read()

    def touch(self, digest: Digest) -> None:
        """Note that a blob was asked for."""
        with contextlib.suppress(OSError):
            os.utime(self.path(digest))

    def take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Take a blob, which verifies itself where it is expected; nothing of it remains if that fails."""
        part = temporary_file(self.folder / INCOMING)

        def write(block: Block) -> None:
            with disk_errors(self.folder, "write"):
                write_behind(part.fd, block)

        try:
            made = write_blob(blocks, expected, write)
            self._keep(part, self.path(made.digest))
        finally:
            part.remove()
        return made

    @contextlib.contextmanager
    def locked(self, key: str, stopped: Callable[[], bool]) -> Iterator[None]:
        """Wait while another process makes the image with that key, unless ``stopped`` says that this one ends.

        On a file system without locks, several may make it, with the same result.
        """
        path = self.folder / LOCKS / key
        with disk_errors(self.folder, "write"):
            file = path.open("wb")
        with file:
            while lock(file.fileno()) == "taken" and not stopped():
                time.sleep(LOCK_INTERVAL)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Nothing that is touched from now on is evicted while the context lasts."""
        mark = object()
        with self._lock:
            self._begun[mark] = time.time()
        try:
            yield
        finally:
            with self._lock:
                del self._begun[mark]

    @property
    def size(self) -> int:
        """The bytes of all blobs."""
        return sum(size for _, size, _ in self._blobs())

    def evict(self) -> None:
        """Remove the blobs that were not asked for longest until the rest is small enough, or was in use just now."""
        found = sorted(self._blobs())
        total = sum(size for _, size, _ in found)
        with self._lock:
            newest = min([time.time() - RECENT, *self._begun.values()])
        for used, size, path in found:
            if total <= self.most or used >= newest:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
                self.evicted += 1

    def _blobs(self) -> Iterator[tuple[float, int, Path]]:
        for path in (self.folder / BLOBS).glob("*/*/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path

    def _load(self, path: Path) -> ServedImage | None:
        """Read a record; one that cannot be read, or that is of another release, counts as none."""
        try:
            image = ServedImage.from_json(load_object(path.read_bytes()))
        except (OSError, ConverterError):
            return None
        if image.key != path.stem:
            return None
        with self._lock:
            self._index(image)
        return image

    def _write(self, image: ServedImage) -> None:
        part = temporary_file(self.folder / INCOMING)
        try:
            with disk_errors(self.folder, "write"):
                for folder in {self.path(one.digest).parent for one in image.blobs}:
                    sync_directory(folder)
                write_behind(part.fd, json.dumps(image.to_json()).encode())
                self._keep(part, self.folder / IMAGES / f"{image.key}.json")
                sync_directory(self.folder / IMAGES)
        finally:
            part.remove()

    def _keep(self, part: Temporary, place: Path) -> None:
        """Make a temporary file durable, and give it its name."""
        with disk_errors(self.folder, "write"):
            os.fsync(part.fd)
            place.parent.mkdir(parents=True, exist_ok=True)
            part.path.rename(place)

    def _index(self, image: ServedImage) -> None:
        self._images[image.key] = image
        for name, tag in image.names.items():
            if not (image.policy in self._policies or is_of_attachment(tag)):
                continue
            members = self._members.setdefault(name, {})
            for blob in image.blobs:
                members[blob.digest] = (blob, image.key)
            for one in image.attached:
                self._referrers.setdefault((name, one.subject), {})[one.descriptor.digest] = one
                if one.tag:
                    self._tagged[name, one.bare_tag] = (one.descriptor, image.key)


def _is_foreign(path: Path) -> bool:
    """Whether a file is something else than what a new file system begins with."""
    return path.name != "lost+found" and not path.name.startswith(".")


class ImageStoreSink(Sink):
    """Writes one image to the store; ``kept`` is what was written, once it is committed."""

    def __init__(self, store: ImageStore, accepts: frozenset[str] = frozenset()) -> None:
        self.accepts = accepts
        self._store = store
        self._blobs: dict[Digest, Descriptor] = {}
        self._attached: list[Attachment] = []
        self._root: Descriptor | None = None
        self._filling = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._filling.enter_context(self._store.filling())
        return self

    def _commit(self) -> None:
        """Do nothing: what was written is served once its list is ``kept``."""

    def _abort(self) -> None:
        self._filling.close()

    def kept(self, key: str) -> ServedImage:
        """What was written."""
        assert self._root is not None, "no image was written"
        blobs, attached = tuple(self._blobs.values()), tuple(self._attached)
        return ServedImage(key=key, root=self._root, blobs=blobs, attached=attached)

    def has(self, descriptor: Descriptor) -> bool:
        if not self._store.has(descriptor):
            return False
        self._store.touch(descriptor.digest)
        self._blobs[descriptor.digest] = descriptor.bare()
        return True

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        made = self._store.take(blocks, expected).retyped(media_type)
        self._blobs[made.digest] = made.bare()
        return made

    def name(self, name: str, root: Descriptor) -> None:
        del name  # it is served under the name that was asked for
        self._root = root

    def attach(self, attachment: Attachment) -> None:
        self._attached.append(attachment)
