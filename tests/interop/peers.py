"""The real programs that the tests here talk to, and the packages of Debian that hold them.

``python tests/interop/peers.py`` prints the packages that are missing, one a line; `bin/test` installs them. Standard
library only, since it is run before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

OFFICIAL_SCHEMAS = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema/defs.json"
#: A program (or a file, by its path), and the packages it may be in: the first that the distribution has is taken.
PEERS: Mapping[str, tuple[str, ...]] = {
    "bsdtar": ("libarchive-tools",),
    "buildah": ("buildah",),
    "busybox": ("busybox-static",),
    "bzip2": ("bzip2",),
    "chromium": ("chromium",),
    "conmon": ("conmon",),
    "containerd": ("containerd",),
    "chown": ("coreutils",),
    "cosign": ("cosign",),
    "cp": ("coreutils",),
    "crun": ("crun",),
    "ctr": ("containerd",),
    "docker": ("docker-cli", "docker.io"),
    "docker-registry": ("docker-registry",),
    "dockerd": ("docker.io",),
    "getcap": ("libcap2-bin",),
    "gpg": ("gpg",),
    "gpg-agent": ("gpg-agent",),
    "gpgconf": ("gpgconf",),
    "groff": ("groff-base",),
    "gzip": ("gzip",),
    "htpasswd": ("apache2-utils",),
    "mmdebstrap": ("mmdebstrap",),
    "mtree": ("mtree-netbsd",),
    "notary": ("notary",),
    "oci-image-tool": ("oci-image-tool",),
    "openssl": ("openssl",),
    "oras": ("oras",),
    "pigz": ("pigz",),
    "podman": ("podman",),
    "runc": ("runc",),
    "setcap": ("libcap2-bin",),
    "setfattr": ("attr",),
    "setpriv": ("util-linux",),
    "skopeo": ("skopeo",),
    "sq": ("sq",),
    "tar": ("tar",),
    "umoci": ("umoci",),
    "unshare": ("util-linux",),
    "xz": ("xz-utils",),
    "zstd": ("zstd",),
    OFFICIAL_SCHEMAS: ("golang-github-opencontainers-image-spec-dev",),
}
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """The program's path; daemons are found also where a user's PATH leaves their folders out."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}")


def missing() -> list[str]:
    """The programs that are not here."""
    return [program for program in PEERS if find(program) is None]


def is_root_on_debian() -> bool:
    """Whether `bin/test` can have installed everything, and a daemon can be started."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def packages(programs: list[str]) -> Iterator[str]:
    """The packages that hold the programs; of alternatives the first that apt knows, else the first."""
    for program in programs:
        alternatives = PEERS[program]
        yield next(filter(is_known, alternatives), alternatives[0]) if len(alternatives) > 1 else alternatives[0]


def is_known(package: str) -> bool:
    """Whether apt could install the package."""
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
    return shown.returncode == 0


if __name__ == "__main__":
    for package in sorted(set(packages(missing()))):
        print(package)
