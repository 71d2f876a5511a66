"""Root file systems that are written: a tar, a directory, or a runtime's bundle (runtime-spec 1.0.2, bundle.md)."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from converter.errors import Invalid, Unsupported
from converter.events import Warned
from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json, load_object
from converter.model.image import Attachment
from converter.stores.disk import disk_errors, names_in, regular_size, sync_file_system, write_file
from converter.stores.media import T, TargetSink, write_blob
from converter.stores.media.file_target import OutFile
from converter.stores.media.temporary import Staging, remove_path
from converter.stores.options import Overwriting, StoreOptions
from converter.stores.rootfs import CONFIG, ROOTFS
from converter.stores.rootfs.unpack import DEVICES, Unpacked
from converter.streams.blocks import Meter, metered, on_error

LOST_AND_FOUND = "lost+found"
"""A directory in every new file system, which counts as empty all the same."""

SYNC_INTERVAL = 0.5
"""Seconds between two syncs: each commits the file system's journal."""

REASONS = {DEVICES: "became empty files: making them takes root and --devices"}
_Object = dict[str, Any]
"""A configuration of a runtime, or a part of it."""
_ROOT = {"uid": 0, "gid": 0}
_FOR_ROOT = ("uid=", "gid=")
"""Mount options with IDs that the namespace does not have."""


class OneRootSink(TargetSink[T]):
    """Takes one root file system, as a tar. There is no place for a name, nor for anything that refers to it."""

    accepts = frozenset((types.ROOTFS,))
    ordered = True
    _made: Descriptor | None = None

    def has(self, descriptor: Descriptor) -> bool:
        return self._made is not None and descriptor.digest == self._made.digest

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Take the tar; raises Unsupported for a second one. After an error from the blocks, another may follow."""
        if self._made is not None:
            raise Unsupported("cannot write two images to one root file system")
        self._made = self._take(blocks, expected).retyped(media_type)
        return self._made

    @abstractmethod
    def _take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Write the tar, after what is left of one that failed is gone; returns what identifies it."""

    def name(self, name: str, root: Descriptor) -> None:
        """Do nothing."""

    def attach(self, attachment: Attachment) -> None:
        """Raise Unsupported: nothing here would say what it refers to."""
        raise Unsupported(f"a root file system cannot have an attachment of type {attachment.descriptor.media_type}")

    def _commit(self) -> None:
        """Raise Invalid if no image was written; a subclass makes visible the one that was."""
        if self._made is None:
            raise Invalid("no image was written to the root file system")


class FlatSink(OneRootSink[OutFile]):
    """Writes the tar. A directory's entry may follow those of its files: unpackers set directory attributes last."""

    def __init__(self, path: Path, overwriting: Overwriting) -> None:
        super().__init__(OutFile(path, overwriting))

    def _take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        with disk_errors(self._target.shown, "write"):
            self._target.cut(0)
        return write_blob(blocks, expected, self._target.write).bare()

    def _commit(self) -> None:
        super()._commit()
        self._target.appear()


class StagedDirectory(Staging):
    """A hidden directory next to the place, or inside it if nothing can be renamed to it, as with a mount point."""

    def begin(self) -> None:
        """Make the hidden directory, accessible to its owner only. Raises Invalid if the place is not empty,
        StorageFailed.
        """
        with disk_errors(self.path, "write"):
            if any(name != LOST_AND_FOUND for name in self.there()):
                raise Invalid(f"{self.shown} is not empty: expected {self.expected}")
            staging = self.stage()
        with on_error(self.abort), disk_errors(self.path, "write"):
            # Nor may its files inherit the group of the directory around it.
            os.chown(staging.fd, os.geteuid(), os.getegid())
            os.fchmod(staging.fd, 0o700)

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Sync in another thread while the caller writes, so that the disk works at the same time.

        Raises StorageFailed if a sync did: the system reports only once that it has lost what was written. A caller
        that raises does not wait for a slow disk: one sync may still be under way then.
        """
        done, path = Event(), self.staged
        errors: list[OSError] = []

        def run() -> None:
            try:
                while not done.wait(SYNC_INTERVAL):
                    sync_file_system(path)
            except OSError as error:
                errors.append(error)

        thread = Thread(target=run, name="syncing", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
        thread.join()
        with disk_errors(self.shown, "write"):
            if errors:
                raise errors[0]


class RootfsSink(OneRootSink[StagedDirectory]):
    """Unpacks one tar into a directory, which appears all at once."""

    _below, _last = "", ""
    """Where the files lie in it, and what appears after them."""

    _tree: Unpacked
    """What was made."""

    def __init__(self, path: Path, options: StoreOptions) -> None:
        super().__init__(StagedDirectory(path))
        self._options = options
        self._open = ExitStack()

    def _abort(self) -> None:
        self._open.close()
        super()._abort()

    def _take(self, blocks: Blocks, expected: Descriptor | None) -> Descriptor:
        """Unpack the tar; the result has the tar's digest."""
        del expected
        meter = Meter()
        root = self._target.staged / self._below
        with disk_errors(self._target.shown, "write"):
            if self._below:
                root.mkdir(mode=0o700, exist_ok=True)
            for left in root.iterdir():
                remove_path(left)
            self._tree = self._open.enter_context(Unpacked(root, self._target.shown, devices=self._options.devices))
        with self._target.syncing():
            self._tree.fill(metered(blocks, meter))
        return Descriptor(media_type="", digest=meter.digest(), size=meter.size)

    def _commit(self) -> None:
        super()._commit()
        place, tree = self._target, self._tree
        with disk_errors(place.shown, "write"):
            if place.inside:
                for name in names_in(place.staged):
                    if name != self._last:
                        (place.staged / name).rename(place.path / name)
                tree.finish(place.path / self._below)
                tree.finish_root()
                sync_file_system(place.staged)
                if self._last:
                    (place.staged / self._last).rename(place.path / self._last)
                    sync_file_system(place.staged)
            else:
                root = place.staged / self._below
                tree.finish(root)
                # A user other than root cannot move a read-only directory to another parent either.
                movable = bool(self._below) or tree.setter.privileged or root.parent == place.path.parent
                if movable:
                    tree.finish_root()
                sync_file_system(place.staged)
                if not place.renamed():
                    raise Invalid(f"{place.shown} is not empty any more: something else has written to it")
                if not movable:
                    tree.finish_root()
        self._report()

    def _report(self) -> None:
        """Report what differs from the image."""
        setter = self._tree.setter
        if setter.recorded:
            self._tell(f"the owners of {setter.recorded} files are in user.rootlesscontainers: only root can set them")
        for what, count in sorted(setter.left_out.items()):
            self._tell(f"{what}: {count} {REASONS.get(what, 'could not be kept here')}")

    def _tell(self, fact: str) -> None:
        self._options.report(Warned(f"{self._target.shown}: {fact}"))


class BundleSink(RootfsSink):
    """A directory with a root file system and its ``config.json``.

    Only its owner can access it, as with containerd's and umoci's: an image's set-uid programs are not for other users
    of the machine.
    """

    accepts = frozenset((types.ROOTFS, types.RUNTIME_CONFIG))
    _below, _last = ROOTFS, CONFIG

    def put(self, blocks: Blocks, media_type: str, expected: Descriptor | None = None) -> Descriptor:
        """Unpack the tar, or write the configuration, adapted for an ordinary user to one that he can run."""
        if media_type != types.RUNTIME_CONFIG:
            return super().put(blocks, media_type, expected)
        data = self._adapted(b"".join(blocks))
        write_file(self._target.staged / CONFIG, data)
        return Descriptor.of(data, media_type)

    def _adapted(self, data: bytes) -> bytes:
        """The configuration for the user who made the files and will run it."""
        if os.geteuid() == 0:
            return data
        config = load_object(data)
        if not is_root(config):
            self._tell("the container runs as root, which is you outside of it: other users take root")
        if is_limited(config):
            self._tell("memory and processors are not limited: this takes root")
        return dump_json(rootless_config(config, os.geteuid(), os.getegid()))

    def _commit(self) -> None:
        if regular_size(self._target.staged / CONFIG) is None:
            raise Invalid("no configuration was written to the bundle")
        super()._commit()


def rootless_config(config: _Object, uid: int, gid: int) -> _Object:
    """The same container, run by an ordinary user (runtime-spec 1.0.2, config-linux.md, "Namespaces").

    The user is root in a user namespace, and owns all files in it; the kernel allows mapping no other IDs. What
    requires the machine's root is left out, as by ``runc spec --rootless`` and ``umoci unpack --rootless``. The
    container uses the machine's network.
    """
    linux = {key: value for key, value in config["linux"].items() if key != "resources"}
    spaces = [one for one in linux["namespaces"] if one["type"] != "network"]
    return {
        **config,
        "process": {**config["process"], "user": _ROOT},
        "mounts": list(_unprivileged_mounts(config["mounts"])),
        "linux": {
            **linux,
            "uidMappings": [{"containerID": 0, "hostID": uid, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": gid, "size": 1}],
            "namespaces": [*spaces, {"type": "user"}],
        },
    }


def is_root(config: _Object) -> bool:
    """Whether the container's process already runs as root."""
    return bool(config["process"]["user"] == _ROOT)


def is_limited(config: _Object) -> bool:
    """Whether memory or processors are limited, which takes control groups."""
    return bool(config["linux"]["resources"].keys() - {"devices"})


def _unprivileged_mounts(mounts: list[_Object]) -> Iterator[_Object]:
    for mount in mounts:
        if mount["destination"] == "/sys":
            # Only the owner of the network namespace, here the machine, may mount a new sysfs.
            options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
            yield {"destination": "/sys", "type": "none", "source": "/sys", "options": options}
        elif mount["type"] != "cgroup":
            kept = [one for one in mount.get("options", ()) if not one.startswith(_FOR_ROOT)]
            yield {**mount, "options": kept} if kept else mount
