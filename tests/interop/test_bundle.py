"""Bundles run by real runtimes, and unpacked trees beside those of umoci, entry by entry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import converter
from converter import StoreOptions, Unsupported
from tests.interop.images import Layout
from tests.interop.tools import need, need_root, run

NOBODY = 65534
#: crun refuses cgroups of both versions at once, as some sandboxes have them; only the second is left to it then.
ONE_CGROUP = (
    "unshare",
    "--mount",
    "sh",
    "-ec",
    'umount -R "$0"; mount -t cgroup2 none "$0"; exec "$@"',
    "/sys/fs/cgroup",
)
AS_NOBODY = """
import os, sys
from converter import convert
source, warm, destination = sys.argv[1:]
convert(source, f"rootfs:{warm}")  # so that all code is read: it may lie where nobody may not
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
convert(source, destination, report=lambda event: print(event.fact) if hasattr(event, "fact") else None)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """All that a file system says of a file, but for what no archive holds."""

    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    links: int
    device: int
    content: str
    xattrs: Mapping[str, str]


def listed(root: Path) -> dict[str, File]:
    """The files of a tree by name, the root as ``.``."""
    return {str(path.relative_to(root)): file(path) for path in sorted((root, *root.rglob("*")))}


def file(path: Path) -> File:
    status = path.lstat()
    content = ""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = str(path.readlink())
    names = os.listxattr(path, follow_symlinks=False)
    return File(
        mode=status.st_mode,
        owner=(status.st_uid, status.st_gid),
        mtime_ns=status.st_mtime_ns,
        links=0 if stat.S_ISDIR(status.st_mode) else status.st_nlink,
        device=status.st_rdev,
        content=content,
        xattrs={name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names},
    )


@pytest.fixture(params=["small_oci", "awkward_oci"])
def image(request: pytest.FixtureRequest) -> Layout:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Layout)
    return found


@dataclass(frozen=True, slots=True)
class Runtime:
    """A program that runs bundles, with its own place for what it remembers."""

    command: tuple[str, ...]
    state: Path

    def run(self, bundle: Path, command: str = "", *, as_root: bool = False) -> str:
        """What a container of the bundle writes; ``command`` in place of the image's own, for its entry point."""
        config = json.loads((bundle / "config.json").read_bytes())
        if command:
            config["process"]["args"][-1] = command
        if as_root:
            config["process"]["user"] = {"uid": 0, "gid": 0}
        own = bundle.parent / f"{bundle.name}-{self.state.name}"
        own.mkdir(exist_ok=True)
        config["root"]["path"] = str(bundle / "rootfs")
        (own / "config.json").write_text(json.dumps(config))
        return run(*self.command, "--root", self.state, "run", "--bundle", own, f"test-{os.getpid()}")


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    need_root()
    need(request.param)
    hybrid = Path("/sys/fs/cgroup/unified").exists()
    wrapped = (*ONE_CGROUP, request.param) if hybrid and request.param == "crun" else (request.param,)
    return Runtime(wrapped, tmp_path / "state")


@pytest.fixture(scope="module")
def bundle(small_oci: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    converter.convert(small_oci.reference, f"bundle:{path}")
    return path


def test_every_file_is_as_umoci_unpacks_it(image: Layout, tmp_path: Path) -> None:
    need_root()
    run("umoci", "unpack", "--image", image.umoci, tmp_path / "umoci")
    options = StoreOptions(devices=True)
    converter.convert(image.reference, f"bundle:{tmp_path / 'ours'}", f"rootfs:{tmp_path / 'alone'}", store=options)
    theirs = listed(tmp_path / "umoci/rootfs")
    assert len(theirs) > 40
    assert listed(tmp_path / "ours/rootfs") == theirs
    assert listed(tmp_path / "alone") == theirs
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o700


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of nobody's own, that he can walk to."""
    need_root()
    with tempfile.TemporaryDirectory(prefix="transship-test-") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def test_without_root_every_file_is_as_umoci_unpacks_it(image: Layout, place: Path, tmp_path: Path) -> None:
    run("umoci", "unpack", "--rootless", "--image", image.umoci, tmp_path / "umoci")
    shutil.copytree(image.path, place / "layout")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", place / "layout")
    said = run(
        sys.executable, "-c", AS_NOBODY, f"oci:{place}/layout:{image.tag}", place / "warm", f"rootfs:{place}/ours"
    )
    theirs, ours = listed(tmp_path / "umoci/rootfs"), listed(place / "ours")
    assert ours.keys() == theirs.keys()
    for name, wanted in theirs.items():
        # Root's umoci sets capabilities in spite of --rootless.
        xattrs = {key: value for key, value in wanted.xattrs.items() if not key.startswith("security.")}
        assert ours[name] == replace(wanted, owner=(NOBODY, NOBODY), xattrs=xattrs), name
    assert ours["srv/owned"].xattrs == {"user.rootlesscontainers": "08c08db70110feff03"}
    assert [line.partition(": ")[2] for line in said.splitlines()] == [
        "the owners of 1 files are in user.rootlesscontainers: only root can set them",
        "device nodes: 1 became empty files: making them takes root and devices=True",
        "extended attributes: 1 could not be kept here",
    ]
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


@pytest.fixture
def nobodys(small_oci: Layout, place: Path) -> Path:
    """A bundle that nobody has made."""
    shutil.copytree(small_oci.path, place / "layout")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", place / "layout")
    image = f"oci:{place}/layout:{small_oci.tag}"
    said = run(sys.executable, "-c", AS_NOBODY, image, place / "warm", f"bundle:{place}/bundle")
    assert "the container runs as root, which is you outside of it" in said
    return place / "bundle"


@pytest.mark.parametrize(
    "command, said",
    [
        pytest.param("echo it runs", "it runs\n", id="it runs"),
        pytest.param("id -u; pwd; echo $GREETING", "0\n/srv\nhello there\n", id="as root, with its environment"),
        pytest.param("cat data/kept; echo new > data/new && cat data/new", "kept, from the base\nnew\n", id="volumes"),
        pytest.param("echo new > /srv/added && stat -c %u:%g /srv/added", "0:0\n", id="files are its own"),
    ],
)
def test_an_ordinary_user_makes_it_and_runs_it(
    nobodys: Path, runtime: Runtime, place: Path, command: str, said: str
) -> None:
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all")
    allowed = run(*nobody, "sh", "-c", "unshare --user true && echo yes || echo no", env={"HOME": str(place)})
    if allowed != "yes\n":
        pytest.skip("this kernel gives no ordinary user a user namespace")
    config = json.loads((nobodys / "config.json").read_bytes())
    config["process"]["args"][-1] = command
    (nobodys / "config.json").write_text(json.dumps(config))
    *wrapped, program = runtime.command
    state = ("--root", place / "state", "run", "--bundle", nobodys, f"test-{os.getpid()}")
    environment = {"HOME": str(place), "XDG_RUNTIME_DIR": str(place)}
    assert run(*wrapped, *nobody, program, *state, env=environment) == said


def test_a_runtime_runs_it(bundle: Path, runtime: Runtime) -> None:
    assert runtime.run(bundle) == "it runs\n"


@pytest.mark.parametrize(
    "command, said",
    [
        pytest.param("id -u; id -g", "1000\n1000\n", id="as the image's user"),
        pytest.param("pwd; echo $GREETING", "/srv\nhello there\n", id="in its place, with its environment"),
        pytest.param(
            "cat data/kept; echo x > data/new || echo refused",
            "kept, from the base\nrefused\n",
            id="on volumes, which belong to whom the image says",
        ),
        pytest.param("echo x > /srv/added || echo refused", "refused\n", id="files are who the image says they are"),
        pytest.param(
            "cat linked-again hidden/only", "linked, from the base\nthe lower layers' files are hidden\n", id="l"
        ),
    ],
)
def test_what_runs_sees_the_image(bundle: Path, runtime: Runtime, command: str, said: str) -> None:
    assert runtime.run(bundle, command) == said


def test_volumes_are_new_each_time(bundle: Path, runtime: Runtime) -> None:
    assert runtime.run(bundle, "echo new > data/new && cat data/new", as_root=True) == "new\n"
    assert runtime.run(bundle, "ls data") == "kept\nlinked\nreplaced\n"


def test_the_devices_of_an_image_cannot_be_opened(small_oci: Layout, runtime: Runtime, tmp_path: Path) -> None:
    need_root()
    converter.convert(small_oci.reference, f"bundle:{tmp_path / 'b'}", store=StoreOptions(devices=True))
    os.mknod(tmp_path / "b/rootfs/srv/disk", 0o666 | stat.S_IFBLK, os.makedev(254, 0))
    (tmp_path / "b/rootfs/srv/disk").chmod(0o666)
    assert runtime.run(tmp_path / "b", "echo x > null && echo null; cat disk || echo no", as_root=True) == "null\nno\n"


def test_a_user_by_name_is_looked_up(small_oci: Layout, runtime: Runtime, tmp_path: Path) -> None:
    shutil.copytree(small_oci.path, tmp_path / "layout")
    image = Layout(path=tmp_path / "layout")
    run("umoci", "config", "--image", image.umoci, "--config.user", "user")
    converter.convert(image.reference, f"bundle:{tmp_path / 'b'}")
    assert runtime.run(tmp_path / "b", "id -u") == "1000\n"
    run("umoci", "config", "--image", image.umoci, "--config.user", "nobody")
    with pytest.raises(Unsupported, match="nobody"):
        converter.convert(image.reference, f"bundle:{tmp_path / 'c'}")
    assert not (tmp_path / "c").exists()


def test_the_tar_is_a_root_that_others_import(small_oci: Layout, bundle: Path, tmp_path: Path) -> None:
    need_root()
    need("tar")
    converter.convert(small_oci.reference, f"rootfs:{tmp_path / 'root.tar'}")
    (tmp_path / "root").mkdir()
    run(
        "tar",
        "--extract",
        "--delay-directory-restore",
        "--xattrs",
        "--xattrs-include=*",
        "--file",
        tmp_path / "root.tar",
        "--directory",
        tmp_path / "root",
    )
    theirs, ours = listed(tmp_path / "root"), listed(bundle / "rootfs")
    del theirs["srv/null"], ours["srv/null"]
    assert theirs == ours
