"""Places and references that are not what they should be: FIFOs, holes, loops, names that nobody would type."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.zoo import documents
from tests.zoo.members import Command, Member, aci, everything, layout, looked_at, to
from tests.zoo.saved import SAVED_CONFIG, SAVED_ROW
from tests.zoo.tars import NAMES

Bend = Callable[[Path], object]


def listening(path: Path) -> None:
    """A socket; its path would be too long for one."""
    held = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(held)


def secret(path: Path) -> None:
    """A symlink to a file beside it that nobody should show. Not to the machine's own: a conversion writes through a
    symlink that is its target.
    """
    own = path.absolute().with_name("secret")
    own.write_text("root:x:0:0:root:/root:/bin/sh\n")
    path.symlink_to(own)


def holes(path: Path) -> None:
    """A terabyte of nothing."""
    path.write_bytes(b"")
    os.truncate(path, 2**40)


BENDS: dict[str, Bend] = {
    "a fifo": os.mkfifo,
    "a socket": listening,
    "a directory": Path.mkdir,
    "a symlink to itself": lambda path: path.symlink_to(path.name),
    "a symlink to nothing": lambda path: path.symlink_to("nothing"),
    "a symlink to a secret": secret,
    "a symlink to zeros": lambda path: path.symlink_to("/dev/zero"),
    "a symlink to the terminal": lambda path: path.symlink_to("/dev/tty"),
    "a symlink to /proc": lambda path: path.symlink_to("/proc/self/mem"),
    "a terabyte of holes": holes,
    "empty": lambda path: path.touch(),
    "not there": lambda path: None,
    "a device": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)) if os.geteuid() == 0 else None,
}


PARTS = ("oci-layout", "index.json", "BLOB", "blobs", "blobs/sha256")


def _swapped(name: str, bend: Bend) -> None:
    """A layout in which a part is something else."""
    layout().write()
    path = Path("layout", name)
    if name == "BLOB":
        path = max(Path("layout/blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    if path.is_dir():
        path.rename("layout/moved")
    else:
        path.unlink()
    bend(path)


def _in_the_way(bend: Bend) -> None:
    """A target at which something is already."""
    layout().write()
    bend(Path("../out/x"))


def _key(bend: Bend) -> None:
    """Something else than a key, a policy, credentials or a list of images; and rkt's keys among which it is one."""
    layout().write()
    bend(Path("x"))
    Path("keys/trustedkeys/root.d").mkdir(parents=True)
    bend(Path("keys/trustedkeys/root.d", "a" * 40))
    Path("a.aci").write_bytes(aci())
    Path("a.aci.asc").write_bytes(b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n")


KEYED: tuple[Command, ...] = (
    *(("verify", "oci:in/layout:app", option, "in/x") for option in ("--key", "--keyring", "--policy")),
    ("verify", "oci:in/layout:app", "--certificate-chain", "in/x", "--certificate-identity", "a@example.com"),
    ("verify", "aci:in/a.aci", "--trust-store", "in/keys"),
    ("sign", "oci:in/layout:app", "--cosign-key", "in/x", "--identity", "example.com/app:1"),
    ("sign", "oci:in/layout:app", "--gpg-key", "in/x", "--identity", "example.com/app:1"),
    ("convert", "--policy", "in/x", "oci:in/layout:app", "oci:out/oci:app"),
    ("sync", "in/x", "oci:out/oci"),
)


def _plenty() -> None:
    layout().write()
    for number in range(20_000):
        Path(f"layout/blobs/sha256/{number:064x}").write_bytes(b"")
    Path("layout/blobs", *["dddd"] * 300).mkdir(parents=True)


def _saved_directory(name: bytes) -> None:
    Path("d").mkdir()
    Path("d/manifest.json").write_bytes(documents.text([SAVED_ROW]))
    Path("d/config.json").write_bytes(SAVED_CONFIG)
    Path("d/layer.tar").symlink_to(os.fsdecode(name.replace(b"\0", b"") or b"x"))


def as_places() -> Iterator[Member]:
    """Directories in which names are not files, and files are not what they should be."""
    for name in PARTS:
        for told, bend in BENDS.items():
            yield Member(
                name=f"place: {name} is {told}",
                make=partial(_swapped, name, bend),
                commands=(*everything("oci:in/layout"), ("inspect", "in/layout")),
            )
    for transport in ("docker-archive", "oci-archive", "aci", "dir", "oci"):
        for told, bend in BENDS.items():
            commands = (
                ("inspect", f"{transport}:in/x"),
                ("validate", f"{transport}:in/x"),
                *to(f"{transport}:in/x", "oci:out/oci:app"),
                ("inspect", "in/x"),
                ("validate", "in/x"),
            )
            yield Member(name=f"place: {transport} is {told}", make=partial(bend, Path("x")), commands=commands)
    targets = [f"{kind}:out/x" for kind in ("oci", "oci-archive", "docker-archive", "dir", "aci", "rootfs", "bundle")]
    for told, bend in BENDS.items():
        if told == "a fifo":
            continue  # that waits for its reader, as it should
        commands = tuple(to("oci:in/layout", *targets))
        yield Member(name=f"place: target is {told}", make=partial(_in_the_way, bend), commands=commands)
    for told, bend in BENDS.items():
        if told != "a fifo":  # that waits for its writer: a shell's <(…) is one
            yield Member(name=f"argument: key is {told}", make=partial(_key, bend), commands=KEYED)
    yield Member(name="place: twenty thousand blobs", make=_plenty, commands=everything("oci:in/layout"))
    for told, name_ in NAMES.items():
        commands = (("inspect", "docker-archive:in/d"), *to("docker-archive:in/d", "oci:out/oci:app"))
        if len(name_) < 4000:
            yield Member(
                name=f"place: layer is a symlink to {told}", make=partial(_saved_directory, name_), commands=commands
            )


def as_arguments() -> Iterator[Member]:
    """References that nobody would type."""
    texts = {told: os.fsdecode(name.replace(b"\0", b"")) for told, name in NAMES.items()}
    texts |= {
        "a colon": ":",
        "colons": ":::::",
        "a transport alone": "oci:",
        "an unknown transport": "ftp://example.com/x",
        "a name that steers": f"oci:in/layout:{documents.STEER}",
        "a digest": "oci:in/layout@sha256:" + "0" * 64,
        "a position": "oci:in/layout:@999999999999999999999999",
        "a negative position": "oci:in/layout:@-1",
        "many at signs": "oci:in/layout:" + "@" * 1000,
        "a long name": "oci:in/layout:" + "n" * 100_000,
        "a registry that steers": "docker://\x1b[2J/x",
        "a registry with a password": "docker://user:secret@[::1",
        "a port too large": "docker://localhost:99999/x",
        "a port of letters": "docker://localhost:abc/x",
        "an address in brackets": "docker://[::1/x",
        "a registry with a path up": "docker://localhost:1/../../x",
        "appc with a path up": "appc:../../x",
        "appc with labels": "appc:example.com/x:1,os=\x1b[2J,=,==",
        "appc with nothing": "appc:",
        "a daemon's name": "docker-daemon:\x1b[2J",
    }
    for told, text in texts.items():
        commands = (
            *looked_at(text),
            ("convert", text, "oci:out/oci:app"),
            *(
                ("convert", "oci:in/layout", target)
                for target in (text, f"oci:out/oci:{text}", f"docker-archive:out/d.tar:{text}")
                if "://" not in text
                and "in/" not in text
                and not text.startswith(("/", ".", "appc", "docker-d"))
                and ".." not in text
            ),
        )
        if "localhost" not in text and len(text) < 120_000:
            yield Member(name=f"argument: {told}", make=layout().write, commands=commands)
