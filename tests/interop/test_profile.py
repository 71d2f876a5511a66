"""One profile of an image holds wherever others have put it; NetBSD's mtree, bsdtar and cosign read it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import converter
from converter import StoreOptions
from tests.interop.processes import Registry
from tests.interop.services import Dockerd
from tests.interop.signers import LOCAL, Cosign, transship
from tests.interop.test_bundle import ONE_CGROUP
from tests.interop.tools import need, need_root, run, run_bytes

PREDICATE = "https://schemas.transship.invalid/1/profile.json"
HYBRID = Path("/sys/fs/cgroup/unified")
"""There where cgroups of both versions are mounted, which crun refuses."""
CONFIGURED = ('CMD ["/bin/sh"]', "ENV GREETING=hello", "WORKDIR /srv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """An image as ``docker save`` writes it, and its signed profile, with the key to check it."""

    image: str
    profile: Path
    key: Path

    def holds_for(self, reference: str, *options: str | Path, status: int = 0) -> str:
        """What verify says."""
        checks = ("--profile", self.profile, "--key", self.key)
        return transship("verify", reference, *checks, *options, status=status)


@pytest.fixture(scope="module")
def vendor(debian_saved: Path, cosign: Cosign, tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor who configures Debian, and states what it contains."""
    folder = tmp_path_factory.mktemp("vendor")
    image = f"docker-archive:{folder}/app.tar:vendor.example/app:1"
    converter.convert(f"docker-archive:{debian_saved}", image, changes=CONFIGURED)
    made = Vendor(image=image, profile=folder / "app.profile", key=cosign.public)
    transship("profile", image, "--sign-by", cosign.secret, "-o", made.profile, env=cosign.environment)
    return made


@pytest.mark.parametrize(
    "form, options",
    [
        pytest.param("oci:{}/l:app:1", {"compress": "gzip"}, id="OCI"),
        pytest.param("oci:{}/z:app:1", {"compress": "zstd"}, id="zstd"),
        pytest.param("oci:{}/s:app:1", {"squash": True}, id="one layer"),
        pytest.param("aci:{}/app.aci", {}, id="an ACI"),
        pytest.param("aci:{}/app.aci", {"layered": True}, id="layered ACIs"),
        pytest.param("dir:{}/d", {"to": "docker"}, id="a directory"),
        pytest.param("rootfs:{}/r.tar", {}, id="a tar"),
        pytest.param("rootfs:{}/r", {"store": StoreOptions(devices=True)}, id="a tree"),
        pytest.param("bundle:{}/b", {"store": StoreOptions(devices=True)}, id="a bundle"),
    ],
)
def test_it_holds_in_every_form(vendor: Vendor, tmp_path: Path, form: str, options: dict[str, object]) -> None:
    need_root()
    converter.convert(vendor.image, form.format(tmp_path), **options)  # type: ignore[arg-type]
    assert vendor.holds_for(form.format(tmp_path)).endswith("same content\n")


def test_it_holds_in_a_registry_and_cosign_accepts_it_there(
    vendor: Vendor, registry: Registry, cosign: Cosign, tmp_path: Path
) -> None:
    name, insecure = f"{registry.host}/profiled/app:1", "--tls-verify=false"
    converter.convert(vendor.image, f"docker://{name}", store=StoreOptions(tls_verify=False))
    assert vendor.holds_for(f"docker://{name}", insecure).endswith("same content\n")
    signing = ("--sign-by", cosign.secret, "--attach", insecure)
    transship("profile", f"docker://{name}", *signing, env=cosign.environment)
    checks = ("--type", PREDICATE, "--key", cosign.public, "--insecure-ignore-tlog", *LOCAL)
    payload = json.loads(cosign.run("verify-attestation", *checks, name))["payload"]
    assert payload
    # It goes along, and cosign accepts it for what the image becomes as far as it compares digests of manifests.
    other = f"oci:{tmp_path}/l:app:1"
    transship("convert", f"docker://{name}", other, "--compress", "zstd", "--origin", "never", insecure)
    said = transship("verify", other, "--profile", "attached", "--key", cosign.public)
    assert said.endswith("same content\n")


def test_mtree_and_bsdtar_read_the_text_and_agree(vendor: Vendor, tmp_path: Path) -> None:
    need("mtree", "bsdtar")
    need_root()
    tree, text = tmp_path / "r", tmp_path / "app.mtree"
    converter.convert(vendor.image, f"rootfs:{tree}", store=StoreOptions(devices=True))
    text.write_text(transship("profile", vendor.image, "--no-default-ignore"))
    assert run("mtree", "-p", tree, "-f", text) == ""
    names = run_bytes("bsdtar", "-tf", text).splitlines()
    assert len(names) == len(text.read_text().splitlines()) - 1
    (tree / "etc/passwd").write_text("changed")
    assert "etc/passwd" in run("mtree", "-p", tree, "-f", text, status=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """podman with storage of its own."""

    folder: Path
    driver: str = "vfs"
    """One whose containers need no mount: each command may see other mounts than the one before (``ONE_CGROUP``)."""

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        """What podman writes."""
        places = ("--root", self.folder / "r", "--runroot", self.folder / "rr", "--storage-driver", self.driver)
        program, *wrapped = (*ONE_CGROUP, "podman") if HYBRID.exists() else ("podman",)
        return run_bytes(program, *wrapped, *places, *arguments, stdin=stdin, env={"HOME": str(self.folder)})

    @contextmanager
    def running(self, archive: Path) -> Iterator[tuple[str, int]]:
        """The name and the process of a container of the image."""
        self.run("load", "--quiet", "--input", archive)
        name = f"profiled-{os.getpid()}"
        contained = ("--network=none", "--cgroups=disabled", "--passwd=false", "--entrypoint", "/bin/sleep")
        self.run("run", "--detach", "--name", name, *contained, "vendor.example/app:1", "3600")
        try:
            yield name, int(self.run("inspect", "--format", "{{.State.Pid}}", name))
        finally:
            self.run("rm", "--force", "--time", "0", "--volumes", name)


@pytest.fixture
def podman(tmp_path: Path) -> Podman:
    need("podman", "conmon", "crun")
    need_root()
    (tmp_path / "podman").mkdir()
    return Podman(folder=tmp_path / "podman")


def test_it_holds_for_a_running_container_and_what_podman_exports_of_it(
    vendor: Vendor, podman: Podman, tmp_path: Path
) -> None:
    archive = Path(vendor.image.split(":")[1])
    with podman.running(archive) as (name, process):
        root = f"rootfs:/proc/{process}/root"
        said = vendor.holds_for(root)
        exported = podman.run("export", name)
        Path(f"/proc/{process}/root/usr/bin/added").touch()
        changed = vendor.holds_for(root, status=1)
    assert "other file systems are mounted there: /srv/data\n" in said
    assert "/usr/bin/added: not in the profile (file)\n1 difference\n" in changed
    converted(exported, f"docker-archive:{tmp_path}/back.tar:back.example/app:1")
    assert transship("profile", f"docker-archive:{tmp_path}/back.tar") == transship("profile", vendor.image)
    podman.run("load", "--quiet", "--input", tmp_path / "back.tar")
    command = ("run", "--rm", "--network=none", "--cgroups=disabled", "back.example/app:1", "/bin/sh", "-c")
    assert podman.run(*command, "echo $GREETING; pwd") == b"hello\n/srv\n"


def test_it_holds_for_a_running_container_whose_root_has_the_mode_that_overlay_gives_it(
    vendor: Vendor, podman: Podman
) -> None:
    with replace(podman, driver="overlay").running(Path(vendor.image.split(":")[1])) as (_, process):
        root = Path(f"/proc/{process}/root")
        assert stat.S_IMODE(root.stat().st_mode) == 0o555
        assert "mode of / not compared" in vendor.holds_for(f"rootfs:{root}")
        root.chmod(0o777)
        assert "/: mode: expected 0755, actual 0777\n1 difference\n" in vendor.holds_for(f"rootfs:{root}", status=1)


def test_it_holds_for_a_running_container_of_an_image_that_has_no_etc(podman: Podman, tmp_path: Path) -> None:
    need("busybox")
    tree, profile = tmp_path / "bare", tmp_path / "bare.profile"
    (tree / "bin").mkdir(parents=True)
    shutil.copy2(shutil.which("busybox") or "", tree / "bin/busybox")
    (tree / "bin/sleep").symlink_to("busybox")
    image = f"docker-archive:{tmp_path}/bare.tar:vendor.example/app:1"
    converter.convert(f"rootfs:{tree}", image)
    profile.write_text(transship("profile", image, "--json"))
    with podman.running(tmp_path / "bare.tar") as (_, process):
        root = Path(f"/proc/{process}/root")
        said = transship("verify", f"rootfs:{root}", "--profile", profile)
        assert "/etc not compared: engines make it for files of their own\nsame content\n" in said
        (root / "etc/added").touch()
        said = transship("verify", f"rootfs:{root}", "--profile", profile, status=1)
        assert "/etc/added: not in the profile (file)\n1 difference\n" in said


@pytest.mark.parametrize(
    "mount, over",
    [
        pytest.param(("-t", "tmpfs", "none"), "data", id="another file system"),
        pytest.param(("--bind", "{}/other"), "data", id="a directory of the same file system"),
        pytest.param(("--bind", "{}/other/f"), "data/f", id="a file of the same file system"),
    ],
)
def test_what_is_mounted_over_a_tree_is_left_out(tmp_path: Path, mount: tuple[str, ...], over: str) -> None:
    need_root()
    for path in ("tree/data/f", "tree/data-other", "other/f"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    tree, profile = tmp_path / "tree", tmp_path / "tree.mtree"
    profile.write_text(transship("profile", f"rootfs:{tree}"))
    words = " ".join(("mount", *mount, str(tree / over))).format(tmp_path)
    verify = (sys.executable, "-m", "converter", "verify", f"rootfs:{tree}", "--profile", profile)
    said = run("unshare", "--mount", "sh", "-c", f'{words} && exec "$@"', "sh", *verify)
    assert f"other file systems are mounted there: /{over}\nsame files" in said


def converted(exported: bytes, destination: str) -> None:
    """Make an image of what an engine exports, which has no configuration."""
    changes = [part for one in CONFIGURED for part in ("--change", one)]
    run(sys.executable, "-m", "converter", "convert", "rootfs:-", destination, *changes, stdin=exported)


def test_what_docker_exports_is_the_same_image_again(vendor: Vendor, dockerd: Dockerd, tmp_path: Path) -> None:
    dockerd.load(Path(vendor.image.split(":")[1]))
    name = dockerd.docker("create", "--network=none", "vendor.example/app:1").strip()
    exported = run_bytes("docker", "export", name, env=dockerd.environment())
    dockerd.docker("rm", name)
    converted(exported, f"docker-archive:{tmp_path}/back.tar:back:1")
    # The same files; a tree that is exported has no configuration, and no attributes either.
    assert transship("profile", f"docker-archive:{tmp_path}/back.tar") == transship("profile", vendor.image)


def flipped(path: Path) -> set[str]:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    mode = path.stat().st_mode
    path.write_bytes(data)
    path.chmod(stat.S_IMODE(mode))
    return {"content"}


def appended(path: Path) -> set[str]:
    with path.open("ab") as file:
        file.write(b"\n")
    return {"content", "size"}


def with_mode(path: Path) -> set[str]:
    path.chmod(stat.S_IMODE(path.stat().st_mode) ^ 0o200)
    return {"mode"}


def set_user_id(path: Path) -> set[str]:
    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_ISUID)
    return {"mode"}


def given_away(path: Path) -> set[str]:
    mode = stat.S_IMODE(path.stat().st_mode)
    os.chown(path, 4242, -1)
    path.chmod(mode)
    return {"owner"}


def of_another_group(path: Path) -> set[str]:
    mode = stat.S_IMODE(path.stat().st_mode)
    os.chown(path, -1, 4242)
    path.chmod(mode)
    return {"owner"}


def with_an_attribute(path: Path) -> set[str]:
    os.setxattr(path, "user.changed", b"1")
    return {"xattrs"}


def gone(path: Path) -> set[str]:
    path.unlink()
    return {"entry"}


def as_another_file(path: Path) -> set[str]:
    """One name of a file with several becomes a file of its own, of the same size."""
    status, data = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(len(data)))
    os.chown(path, status.st_uid, status.st_gid)
    path.chmod(stat.S_IMODE(status.st_mode))
    return {"content"}


def with_a_hole(path: Path) -> set[str]:
    """Its second half is gone, and is not on the disk."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)
    return {"content"}


def as_a_link(path: Path) -> set[str]:
    path.unlink()
    path.symlink_to("elsewhere")
    return {"type"}


def leading_elsewhere(path: Path) -> set[str]:
    path.unlink()
    path.symlink_to("elsewhere")
    return {"target"}


ONE_BY_ONE = (
    (flipped, 8),
    (appended, 6),
    (with_mode, 6),
    (set_user_id, 3),
    (given_away, 5),
    (of_another_group, 4),
    (with_an_attribute, 4),
    (gone, 5),
    (as_a_link, 3),
    (with_a_hole, 2),
)
"""What is done to a file, and to how many."""


def test_fifty_changes_are_found_and_nothing_else(vendor: Vendor, tmp_path: Path) -> None:
    need_root()
    tree = tmp_path / "r"
    converter.convert(vendor.image, f"rootfs:{tree}", store=StoreOptions(devices=True))
    expected: dict[str, set[str]] = {}
    found = sorted(path for path in (tree / "usr").rglob("*") if path.is_file() and path.stat().st_nlink == 1)
    files = iter([path for path in found if not path.is_symlink() and path.stat().st_size][::7])
    for change, number in ONE_BY_ONE:
        for _ in range(number):
            path = next(files)
            expected[f"/{path.relative_to(tree)}"] = change(path)
    named_twice = sorted(path for path in (tree / "usr").rglob("*") if path.is_file() and path.lstat().st_nlink > 1)
    expected[f"/{named_twice[0].relative_to(tree)}"] = as_another_file(named_twice[0])
    links = sorted(path for path in (tree / "usr/bin").iterdir() if path.is_symlink())
    for path in links[:4]:
        expected[f"/{path.relative_to(tree)}"] = leading_elsewhere(path)
    for path in (tree / "var/cache", tree / "usr/lib"):
        expected[f"/{path.relative_to(tree)}"] = with_mode(path)
    for number in range(3):
        path = next(files)
        renamed = path.with_name(f"renamed-{number}")
        path.rename(renamed)
        expected |= {f"/{one.relative_to(tree)}": {"entry"} for one in (path, renamed)}
    (tree / "usr/added").touch()
    os.mkfifo(tree / "usr/added-pipe")
    (tree / "usr/added-directory").mkdir()
    os.mknod(tree / "usr/added-device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for name in ("added", "added-pipe", "added-directory", "added-device"):
        expected[f"/usr/{name}"] = {"entry"}
    (device,) = (path for path in (tree / "srv").iterdir() if stat.S_ISCHR(path.lstat().st_mode))
    mode = stat.S_IMODE(device.stat().st_mode)
    device.unlink()
    os.mknod(device, stat.S_IFCHR | mode, os.makedev(1, 5))
    expected[f"/{device.relative_to(tree)}"] = {"device"}
    assert len(expected) >= 50
    told = json.loads(vendor.holds_for(f"rootfs:{tree}", "--json", status=1))
    actual: dict[str, set[str]] = {}
    for row in told["differences"]:
        actual.setdefault(row["path"], set()).add(row["what"])
    assert actual == expected
    assert told["count"] == sum(map(len, expected.values()))
