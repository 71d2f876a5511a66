"""Root file systems: in a directory, in a tar such as ``docker export`` writes, or in a runtime's bundle.

One that is read is an image of one layer, and a configuration that names it (image-spec 1.1.1, config.md), or that the
bundle's ``config.json`` states (runtime-spec 1.0.2, bundle.md). The same files give the same image on every machine of
one architecture.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from converter.errors import Invalid, NotFound, Unsupported, within
from converter.model import media_types as types
from converter.model.content import Blocks, Known, known_bytes
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json, load_object, member_or_empty, text_list, text_map
from converter.model.image import Loss
from converter.model.platform import Platform, host_platform
from converter.model.reference import Location
from converter.ports import Sink, Source
from converter.stores.base_source import SingleSource
from converter.stores.disk import disk_errors, printable_path
from converter.stores.media import DirectoryMedium
from converter.stores.media.tar_medium import display_name, open_tar
from converter.stores.options import Kind, StoreOptions, is_stream
from converter.stores.rootfs.directory_walk import REASONS, DirectoryWalk, FoundFile, read_content
from converter.streams.blocks import COPY_BLOCK, Block, Meter, closing, drain, file_blocks, metered
from converter.streams.tar import fields, pax
from converter.streams.tar.changesets import WHITEOUT
from converter.streams.tar.fields import END, padding_bytes
from converter.streams.tar.listing import Node
from converter.streams.tar.pax import make_header

ROOTFS, CONFIG = "rootfs", "config.json"
"""The names in a bundle."""

_IMAGE = "org.opencontainers.image."
_DERIVED = (
    "os",
    "architecture",
    "variant",
    "os.version",
    "os.features",
    "author",
    "created",
    "stopSignal",
    "exposedPorts",
)
"""What other members of an image's configuration say; the rest of the annotations are its labels."""

COMMENT = "imported from a root file system"
_MARKS_OF = {"docker-archive": {b"manifest.json"}, "oci-archive": {b"oci-layout"}, "aci": {b"manifest", b"rootfs"}}
"""What is at the top of an archive of an image, by the transport that reads it."""

_MARKS = frozenset().union(*_MARKS_OF.values())


def open_source(location: Location, _options: StoreOptions) -> Source:
    """``rootfs:PATH`` is a directory, or a tar (``-``: standard input); ``bundle:PATH`` is a directory with ``rootfs``
    and ``config.json`` in it.
    """
    path = Path(location.path)
    here = host_platform()
    if location.kind.is_bundle:
        return DirectorySource(path / ROOTFS, *read_bundle_config(path, here))
    with disk_errors(path, "read"):
        return DirectorySource(path, {}, here) if path.is_dir() else TarSource(path, {}, here)


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """``bundle:PATH`` is a directory; so is ``rootfs:PATH``, unless its name ends in ``.tar`` or it is a pipe such as
    ``-``.
    """
    from converter.stores.rootfs.sink import BundleSink, FlatSink, RootfsSink

    path = Path(location.path)
    if location.kind.is_bundle:
        return BundleSink(path, options)
    return FlatSink(path, options.overwriting()) if _is_flat(path) else RootfsSink(path, options)


def written_files(location: Location) -> dict[Path, Kind]:
    """The files that the sink writes, with what they hold."""
    path = Path(location.path)
    return {path: ""} if not location.kind.is_bundle and _is_flat(path) else {}


def _is_flat(path: Path) -> bool:
    with disk_errors(path, "write"):
        return is_stream(path) or (path.suffix == ".tar" and not path.is_dir())


def read_bundle_config(bundle: Path, here: Platform) -> tuple[dict[str, Any], Platform]:
    """The members of an image configuration, as far as a bundle's ``config.json`` states them (runtime-spec 1.0.2,
    config.md), and the platform: that of the annotations, else ``here``.

    The annotations are those that conversion.md of the image-spec defines; what is left of them are labels.
    Raises Invalid where a member has another type than the specification says, NotFound, StorageFailed.
    """
    with within(CONFIG):
        config = load_object(DirectoryMedium(bundle).read_document(CONFIG))
        process = member_or_empty(config, "process", dict)
        annotations = text_map(config, "annotations")
        env, command = text_list(process, "env"), text_list(process, "args")
        user = member_or_empty(process, "user", dict)
        uid, gid = member_or_empty(user, "uid", int), member_or_empty(user, "gid", int)
    derived = {key: annotations[_IMAGE + key] for key in _DERIVED if annotations.get(_IMAGE + key)}
    labels = {key: value for key, value in annotations.items() if key.removeprefix(_IMAGE) not in derived}
    run = {
        "User": f"{uid}:{gid}" if uid or gid else "",
        "ExposedPorts": {port: {} for port in derived.get("exposedPorts", "").split(",") if port},
        "Env": list(env),
        "Cmd": list(command),
        "WorkingDir": process.get("cwd", ""),
        "Labels": labels,
        "StopSignal": derived.get("stopSignal", ""),
    }
    members: dict[str, Any] = {"config": {key: value for key, value in run.items() if value}}
    members |= {key: derived[key] for key in ("author", "created") if key in derived}
    platform = Platform(
        os=derived.get("os", here.os),
        architecture=derived.get("architecture", here.architecture),
        variant=derived.get("variant", "" if "architecture" in derived else here.variant),
    )
    return members, platform


class RootfsSource(SingleSource):
    """One image of one layer. The files are read once to know the layer's digest, and again whenever it is copied."""

    unpacked = True
    directory: Path | None = None
    """Where the files are, if they are in a directory."""

    def __init__(self, where: str, config: dict[str, Any], platform: Platform) -> None:
        self.where = where
        self.members = config
        """The configuration of the image, as far as it does not depend on its layer."""
        self._platform = platform

    @abstractmethod
    def blocks(self) -> Blocks:
        """The tar of the files, read anew."""

    def _check(self, blocks: Blocks) -> None:
        """Read the tar to its end; raises Invalid or Unsupported where it cannot be a layer."""
        drain(blocks)

    def fetch(self, descriptor: Descriptor) -> Known:
        for known in (self._layer, *self._documents):
            if known.descriptor.digest == descriptor.digest:
                return Known(descriptor.sized(known.descriptor.size), known.raw)
        raise NotFound(f"blob unknown: {descriptor.digest} in {self.where}")

    @property
    def root(self) -> Descriptor:
        return self._documents[-1].descriptor

    @cached_property
    def _layer(self) -> Known:
        meter = Meter()
        with within(self.where):
            self._check(metered(self.blocks(), meter))
        descriptor = Descriptor(media_type=types.OCI_LAYER, digest=meter.digest(), size=meter.size)
        return Known(descriptor, self.blocks)

    @cached_property
    def _documents(self) -> tuple[Known, Known]:
        """The configuration, and the manifest."""
        platform = {"architecture": self._platform.architecture, "os": self._platform.os}
        if self._platform.variant:
            platform["variant"] = self._platform.variant
        layer = self._layer.descriptor
        config = {
            **platform,
            **self.members,
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest)]},
            "history": [{"comment": COMMENT}],
        }
        configuration = known_bytes(dump_json(config), types.OCI_CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": types.OCI_MANIFEST,
            "config": configuration.descriptor.to_json(),
            "layers": [layer.to_json()],
        }
        return configuration, known_bytes(dump_json(manifest), types.OCI_MANIFEST)


class DirectorySource(RootfsSource):
    """Files in a directory, as the tar of one layer: the same bytes for the same files, on whatever file system."""

    directory: Path

    def __init__(self, path: Path, config: dict[str, Any], platform: Platform) -> None:
        super().__init__(printable_path(path), config, platform)
        self.directory = path
        self._left_out: Counter[str] = Counter()
        self._seal = b""
        """Of the first reading: that of another is equal if it finds the same files with the same times."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What was left out."""
        _ = self._layer
        found = sorted(self._left_out.items())
        return tuple(Loss(field="files", reason=f"{count} {REASONS[what]}") for what, count in found)

    def blocks(self) -> Iterator[Block]:
        """The tar of the files: a directory before its contents.

        Raises Unsupported for a name that means a deletion in a layer, Invalid if a file was added, removed or changed
        since the first reading, and what the walk raises.
        """
        headers = blake2b()
        names: dict[tuple[int, int], bytes] = {}
        walk = DirectoryWalk(self.directory)
        for found in walk:
            try:
                link = _earlier_name(found, names)
                head = _entry_header(found, link)
                headers.update(head)
                yield head
                if found.fd >= 0 and not link:
                    yield from read_content(found, COPY_BLOCK)
                    if padding := padding_bytes(found.status.st_size):
                        yield padding
            finally:
                if found.fd >= 0:
                    os.close(found.fd)
        if self._seal not in {b"", headers.digest()}:
            raise Invalid(f"{self.where}: files changed while they were read")
        self._seal, self._left_out = headers.digest(), walk.left_out
        yield END


def _earlier_name(found: FoundFile, names: dict[tuple[int, int], bytes]) -> bytes:
    """The first name of a file that has several, if this is another of them."""
    status = found.status
    if found.type == fields.DIR or status.st_nlink == 1:
        return b""
    first = names.setdefault((status.st_dev, status.st_ino), found.path)
    return b"" if first == found.path else first


def _entry_header(found: FoundFile, link: bytes) -> bytes:
    _require_no_deletion(found.path)
    node = found.node()
    if link:
        node = Node(fields.LINK, node.mode, node.uid, node.gid, node.mtime_ns, linkname=link)
    return make_header(
        name=found.path or b"./",
        type=node.type,
        size=node.size,
        mode=node.mode,
        uid=node.uid,
        gid=node.gid,
        mtime_ns=node.mtime_ns,
        linkname=node.linkname,
        device=node.device,
        records={pax.XATTR + key: value for key, value in node.xattrs},
    )


def _require_no_deletion(path: bytes) -> None:
    """Raise Unsupported for a name that means a deletion in a layer."""
    if WHITEOUT in path and any(part.startswith(WHITEOUT) for part in path.split(b"/")):
        raise Unsupported(f"{printable_path(os.fsdecode(path))}: in a layer, a file of this name means a deletion")


class TarSource(RootfsSource):
    """Files in a tar, perhaps compressed, which is taken as it is."""

    def __init__(self, path: Path, config: dict[str, Any], platform: Platform) -> None:
        super().__init__(display_name(path), config, platform)
        self._marks: frozenset[bytes] = frozenset()
        self._file = open_tar(path)

    def close(self) -> None:
        self._file.close()

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Nothing but the image that the tar is, which was most likely meant."""
        _ = self._layer
        kind = next((kind for kind, marks in _MARKS_OF.items() if marks <= self._marks), "")
        if not kind:
            return ()
        reason = f"{self.where} is itself an image, which {kind}:PATH converts"
        return (Loss(field="files", reason=reason, kept="the layer, packed as they are"),)

    def blocks(self) -> Blocks:
        return file_blocks(self._file.fileno(), 0, os.fstat(self._file.fileno()).st_size)

    def _check(self, blocks: Blocks) -> None:
        from converter.streams.tar.scan import scan_entries

        with closing(blocks) as source:
            for entry in scan_entries(source):
                self._marks |= {entry.name.partition(b"/")[0]} & _MARKS
                _require_no_deletion(entry.name)
