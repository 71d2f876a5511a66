"""The kinds of places where images are stored, and what a writer needs to know about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from converter.model.frozen import frozen


@frozen
class Transport:
    """``formats`` are those that an image can have there, the preferred one first: none where nobody can write.

    ``holds`` says whether a place has ``one`` image, ``several`` under names of their own, or is itself the ``name`` of
    one. ``grows``: what is written finds its place beside what is there. ``plain``: plain layers are usual, for Docker
    unpacks what it gets. ``attached`` is what refers to an image there: ``manifests``, files in a ``directory``, files
    ``beside`` an ACI, or nothing. ``path_only``: what follows the colon is a path, whatever colons are in it.
    ``ending`` is that of a file or a directory that is made for an image; None where the place has images itself.
    """

    formats: tuple[str, ...] = ()
    holds: Literal["one", "several", "name"] = "one"
    grows: bool = False
    plain: bool = False
    attached: Literal["", "manifests", "directory", "beside"] = ""
    path_only: bool = False
    ending: str | None = None

    @property
    def adds_blobs(self) -> bool:
        """Whether blobs can be put there before an image names them, and signatures beside one that is there."""
        return self.grows and self.attached == "manifests"

    @property
    def keeps_roots(self) -> bool:
        """Whether a place can tell which image it has, by the digest of its root."""
        return self.attached in ("manifests", "directory")


_EITHER = ("oci", "docker")

TRANSPORTS: Mapping[str, Transport] = {
    "docker": Transport(formats=_EITHER, holds="name", grows=True, attached="manifests"),
    "docker-archive": Transport(formats=_EITHER, holds="several", plain=True, attached="manifests", ending=".tar"),
    "docker-daemon": Transport(formats=_EITHER, holds="name", grows=True, plain=True),
    "dir": Transport(formats=_EITHER, attached="directory", path_only=True, ending=""),
    "oci": Transport(formats=("oci",), holds="several", grows=True, attached="manifests"),
    "oci-archive": Transport(formats=("oci",), holds="several", attached="manifests", ending=".tar"),
    "aci": Transport(formats=("aci",), attached="beside", path_only=True, ending=".aci"),
    "appc": Transport(),
    "rootfs": Transport(formats=("runtime",), path_only=True, ending=""),
    "bundle": Transport(formats=("runtime",), path_only=True, ending=""),
}
