"""The kinds of places where images are stored, and what a writer needs to know about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from converter.model.frozen import frozen


@frozen
class Transport:
    """``formats`` are those that an image can have there, the preferred one first; empty if the place is read-only.

    ``access`` is what leads there: a ``path`` of this machine, a ``registry``, an ``engine``, or ``discovery`` by name.
    ``holds`` says whether a place has ``one`` image, so that it needs no name, ``several`` under names of their own, or
    is itself the ``name`` of one. ``grows``: new content is added to what is there. ``docker_unpacks``: an image read
    from here may have lost its compression, because Docker unpacks layers. ``attached`` is how the place stores what
    refers to an image: as ``manifests``, as files in a ``directory``, as files ``beside`` an ACI, or not at all.
    ``ending`` is that of a file or directory made for an image; None where the place itself holds images. ``folder``:
    it is always a directory. ``loaded``: ``docker load`` reads it, which knows full names alone, and images with all
    their layers.
    """

    formats: tuple[str, ...] = ()
    access: Literal["path", "registry", "engine", "discovery"] = "path"
    holds: Literal["one", "several", "name"] = "one"
    grows: bool = False
    docker_unpacks: bool = False
    attached: Literal["", "manifests", "directory", "beside"] = ""
    ending: str | None = None
    folder: bool = False
    loaded: bool = False

    @property
    def is_tree(self) -> bool:
        """Whether it has the files of one container, ready to be run: no layers, no format, no names."""
        return self.formats == ("runtime",)

    @property
    def is_bundle(self) -> bool:
        """Whether it is a tree that says how a container of it is started."""
        return self.is_tree and self.folder

    @property
    def is_written(self) -> bool:
        """Whether images can be written there, with layers in one of ``formats``."""
        return bool(self.formats) and not self.is_tree

    @property
    def has_acis(self) -> bool:
        """Whether an image read from there is an ACI, which may depend on others."""
        return self.formats == ("aci",) or self.access == "discovery"

    @property
    def on_disk(self) -> bool:
        """Whether a path of this machine leads there, or a standard stream in its place."""
        return self.access == "path"

    @property
    def over_network(self) -> bool:
        """Whether it is another machine, reached with what that needs: credentials, certificates, retries."""
        return self.access in ("registry", "discovery")

    @property
    def lists_images(self) -> bool:
        """Whether there can be several images, under names or in what is below a directory."""
        return not self.is_tree and self.access != "discovery"

    @property
    def has_blob_files(self) -> bool:
        """Whether each blob is a file of its own, which others on the same file system can share."""
        return self.folder and not self.is_tree

    @property
    def adds_blobs(self) -> bool:
        """Whether blobs can be put before an image names them, and signatures added to an image that is there."""
        return self.grows and self.attached == "manifests"

    @property
    def keeps_roots(self) -> bool:
        """Whether a place can identify its image by the digest of its root."""
        return self.attached in ("manifests", "directory")


_OCI_OR_DOCKER = ("oci", "docker")

TRANSPORTS: Mapping[str, Transport] = {
    "docker": Transport(formats=_OCI_OR_DOCKER, access="registry", holds="name", grows=True, attached="manifests"),
    "docker-archive": Transport(
        formats=_OCI_OR_DOCKER, holds="several", docker_unpacks=True, attached="manifests", ending=".tar", loaded=True
    ),
    "docker-daemon": Transport(formats=_OCI_OR_DOCKER, access="engine", holds="name", grows=True, docker_unpacks=True),
    "dir": Transport(formats=_OCI_OR_DOCKER, attached="directory", ending="", folder=True),
    "oci": Transport(formats=("oci",), holds="several", grows=True, attached="manifests", folder=True),
    "oci-archive": Transport(formats=("oci",), holds="several", attached="manifests", ending=".tar"),
    "aci": Transport(formats=("aci",), attached="beside", ending=".aci"),
    "appc": Transport(access="discovery"),
    "rootfs": Transport(formats=("runtime",), ending=""),
    "bundle": Transport(formats=("runtime",), ending="", folder=True),
}


def transports_where(fits: Callable[[Transport], bool]) -> tuple[str, ...]:
    """The names of the transports that have a property."""
    return tuple(name for name, kind in TRANSPORTS.items() if fits(kind))


def reference_start(transport: str) -> str:
    """What references of a transport begin with: ``docker://``, ``oci:``; nothing for a bare path."""
    slashes = "//" if transport and TRANSPORTS[transport].access == "registry" else ""
    return f"{transport}:{slashes}" if transport else ""


IMAGES = tuple({name: None for kind in TRANSPORTS.values() for name in kind.formats if name != "runtime"})
"""The formats of images, as opposed to the input of runtimes."""
