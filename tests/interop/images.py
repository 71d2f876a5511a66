"""Images made by others' tools alone: what every conversion must carry, in layers that umoci wrote."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.interop.tools import need, need_network, need_root, run

#: The end of 2023, so that a listing shows plain dates; with a part of a second, which only PAX records hold.
THEN = 1_703_980_800
THEN_NS = THEN * 10**9 + 123_456_789
APPLETS = ("sh", "ls", "cat", "echo", "sleep", "true", "stat", "id", "find", "sha256sum", "env")
LONG_NAME = "a-name-that-does-not-fit-the-hundred-bytes-of-an-ustar-header-" + "x" * 80
MIRROR = "http://deb.debian.org/debian"
DEBIAN_OPTIONS = (
    # A mirror that stands still is good enough for a test.
    "--aptopt=Acquire::Check-Valid-Until false",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An OCI layout on disk and the name of the one image in it."""

    path: Path
    tag: str = "latest"

    @property
    def reference(self) -> str:
        """As skopeo and transship write it."""
        return f"oci:{self.path}:{self.tag}"

    @property
    def umoci(self) -> str:
        """As umoci and oci-image-tool write it."""
        return f"{self.path}:{self.tag}"


def small_image(folder: Path) -> Layout:
    """An image of about 1 MB that runs: one static busybox, and every kind of entry and change."""
    need("busybox", "setfattr", "getcap")
    return layered(folder, fill_small_root)


def debian_image(folder: Path) -> Layout:
    """An image of about 80 MB: Debian's essential packages, then the same changes. Needs a mirror of Debian's."""
    return layered(folder, fill_debian_root)


def awkward_image(folder: Path, small: Layout) -> Layout:
    """The small image and two layers more: valid, but more than a Docker Engine with overlay2 can load.

    Hard links into lower layers; and umoci's way to replace a folder by a file, with whiteouts *below the file*.
    """
    image, bundle = Layout(path=folder / "layout"), folder / "bundle"
    shutil.copytree(small.path, image.path)
    add_layer(image, folder / "links.tar", links_to_lower_layers())
    run("umoci", "unpack", "--image", image.umoci, bundle)
    shutil.rmtree(bundle / "rootfs/srv/hidden")
    write(bundle / "rootfs/srv/hidden", "a file in place of a folder, by umoci\n")
    run("umoci", "repack", "--image", image.umoci, bundle)
    shutil.rmtree(bundle)
    run("umoci", "gc", "--layout", image.path)
    return image


def add_layer(image: Layout, path: Path, content: bytes) -> None:
    """Put a tar on top of the image."""
    path.write_bytes(content)
    run("umoci", "raw", "add-layer", "--image", image.umoci, path)


def layered(folder: Path, fill: Callable[[Path], None]) -> Layout:
    """Let umoci write an image of five layers, the first of which `fill` makes in an empty folder."""
    need("umoci")
    need_root()
    image, bundle = Layout(path=folder / "layout"), folder / "bundle"
    root = bundle / "rootfs"
    run("umoci", "init", "--layout", image.path)
    run("umoci", "new", "--image", image.umoci)
    run("umoci", "unpack", "--image", image.umoci, bundle)
    fill(root)
    add_samples(root)
    run("umoci", "repack", "--refresh-bundle", "--image", image.umoci, bundle)
    change(root)
    run("umoci", "repack", "--image", image.umoci, bundle)
    shutil.rmtree(bundle)
    add_layer(image, folder / "replacements.tar", replacements())
    opaque = folder / "opaque"
    write(opaque / "only", "the lower layers' files are hidden\n")
    run("umoci", "insert", "--image", image.umoci, "--opaque", opaque, "/srv/hidden")
    configure(image)
    run("umoci", "gc", "--layout", image.path)
    return image


def fill_small_root(root: Path) -> None:
    """One static program under many names, as a hard link once and as symbolic links."""
    busybox = root / "bin/busybox"
    busybox.parent.mkdir()
    shutil.copy2(shutil.which("busybox") or "/bin/busybox", busybox)
    busybox.chmod(0o755)
    os.link(busybox, root / "bin/busybox-again")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    write(root / "etc/passwd", "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n")
    write(root / "etc/group", "root:x:0:\nuser:x:1000:\n")
    for name in ("dev", "proc", "sys", "tmp"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)


def fill_debian_root(root: Path) -> None:
    """Debian's stable release, as mmdebstrap lays it."""
    need("mmdebstrap")
    need_network(f"{MIRROR}/dists/stable/InRelease")
    run("mmdebstrap", "--quiet", "--variant=essential", "--mode=root", *DEBIAN_OPTIONS, "stable", root, MIRROR)


def add_samples(root: Path) -> None:
    """Entries of every kind below ``srv``, for the upper layers to change."""
    for name in ("kept", "deleted", "replaced", "linked"):
        write(root / "srv/data" / name, f"{name}, from the base\n")
    write(root / "srv/data/folder-of-files/inner/file", "goes with its folder\n")
    write(root / "srv/becomes-file/inner", "a folder, for now\n")
    write(root / "srv/becomes-folder", "a file, for now\n")
    write(root / "srv/becomes-link/inner", "a folder, for now\n")
    write(root / "srv/hidden/one", "hidden by an opaque whiteout\n")
    write(root / "srv/hidden/two/three", "likewise\n")
    write(root / "srv/re-added", "white-out, then made anew\n")
    write(root / "srv" / LONG_NAME, "a long name\n")
    write(root / "srv/grüße-日本語", "a name beyond ASCII\n")
    (root / "srv/link-absolute").symlink_to("/srv/data/kept")
    (root / "srv/link-broken").symlink_to("../" * 3 + LONG_NAME)
    os.mkfifo(root / "srv/fifo")
    os.mknod(root / "srv/null", 0o666 | 0o020000, os.makedev(1, 3))
    owned = write(root / "srv/owned", "by a large number\n")
    os.chown(owned, 3_000_000, 65_534)
    write(root / "srv/setuid", "#!/bin/sh\n").chmod(0o4755)
    capable = write(root / "srv/capable", "may bind low ports\n")
    run("setcap", "cap_net_bind_service=+ep", capable)
    run("setfattr", "-n", "user.comment", "-v", "an attribute", root / "srv/data/kept")
    sparse = root / "srv/sparse"
    with sparse.open("wb") as file:
        file.seek(1_000_000)
        file.write(b"the end")


def change(root: Path) -> None:
    """The second layer: deletions, and one kind of entry in place of another."""
    (root / "srv/data/deleted").unlink()
    shutil.rmtree(root / "srv/data/folder-of-files")
    write(root / "srv/data/replaced", "replaced, from the second layer\n")
    (root / "srv/becomes-folder").unlink()
    write(root / "srv/becomes-folder/inner", "a folder now\n")
    (root / "srv/re-added").unlink()
    (root / "srv/owned").chmod(0o600)
    write(root / "srv/added", "by the second layer\n")
    os.link(root / "srv/added", root / "srv/added-again")


def replacements() -> bytes:
    """The third layer, as Docker writes it and umoci does not.

    A hard link to a file of a lower layer comes with that file, which overlayfs had to copy; what was a folder is
    simply there as a file.
    """
    return archive(
        entry("srv/data/linked", b"linked, from the base\n"),
        entry("srv/linked-again", type=tarfile.LNKTYPE, linkname="srv/data/linked"),
        entry("srv/re-added", b"made anew\n"),
        entry("srv/becomes-file", b"a file now\n"),
        entry("srv/becomes-link", type=tarfile.SYMTYPE, linkname="data"),
    )


def links_to_lower_layers() -> bytes:
    """A layer as kaniko and Bazel write it: links to files that only lower layers have, one of them deleted at once."""
    return archive(
        entry("srv/kept-linked", type=tarfile.LNKTYPE, linkname="srv/data/kept"),
        entry("srv/replaced-linked", type=tarfile.LNKTYPE, linkname="srv/data/replaced"),
        entry("srv/data/.wh.replaced"),
    )


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of a tar, with a time that only a PAX record holds."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.pax_headers = len(content), THEN, {"mtime": f"{THEN}.123456789"}
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar of the entries, in their order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as file:
        for info, content in entries:
            file.addfile(info, io.BytesIO(content))
    return written.getvalue()


def configure(image: Layout) -> None:
    """Everything that umoci can say of how to run an image."""
    run(
        *("umoci", "config", "--image", image.umoci),
        *("--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c", "--config.cmd", "echo it runs"),
        *("--config.env", "PATH=/bin:/usr/bin", "--config.env", "GREETING=hello there"),
        *("--config.user", "1000:1000", "--config.workingdir", "/srv"),
        *("--config.label", "org.example.purpose=interoperability", "--config.label", "empty="),
        *("--config.volume", "/srv/data", "--config.exposedports", "8080/tcp", "--config.stopsignal", "SIGINT"),
        *("--author", "A. Author <author@example.org>", "--created", "2024-01-01T00:00:00Z"),
        *("--history.comment", "only the configuration", "--history.created", "2024-01-01T00:00:00Z"),
        *("--manifest.annotation", "org.opencontainers.image.title=sample"),
    )


def write(path: Path, text: str) -> Path:
    """Write a file with a time of its own, with its parents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(THEN_NS, THEN_NS))
    return path
