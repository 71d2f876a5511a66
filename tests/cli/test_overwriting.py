"""No file is lost: one that exists is replaced only with --overwrite, and one that is read never is."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import converter
from converter.cli.main import main
from converter.errors import AlreadyExists, Invalid
from converter.stores.options import Overwriting
from tests.builders.disk import layout
from tests.trust.making import ecdsa, openpgp

Prepare = Callable[[], object]
"""Makes, in the current directory, what could be lost."""

THESIS = "thesis.txt"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of every kind, and the files of somebody who keeps them there."""
    place = tmp_path_factory.mktemp("images")
    layout(place / "layout")
    source = f"oci:{place}/layout"
    converter.convert(source, f"docker-archive:{place}/app.tar", f"dir:{place}/dir", f"aci:{place}/app.aci")
    converter.convert(source, f"oci-archive:{place}/oci.tar")
    converter.convert(source, f"aci:{place}/layered.aci", layered=True)
    (place / THESIS).write_text("Years of work.\n")
    (place / "auth.json").write_text('{"auths": {}}')
    (place / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    secret = ecdsa().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place / "cosign.key").write_bytes(secret)
    (place / "gpg.key").write_text(str(openpgp()))
    return place


@pytest.fixture
def there(images: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the same to stand in."""
    place = here / "there"
    shutil.copytree(images, place, symlinks=True)
    monkeypatch.chdir(place)
    return place


def seen(place: Path) -> dict[str, bytes | str]:
    """Every file with its content, and every link with where it leads."""
    found: dict[str, bytes | str] = {}
    for path in place.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(place))] = f"→ {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(place))] = path.read_bytes()
    return found


def nothing() -> None:
    """Nothing more is there."""


def text(*names: str) -> Prepare:
    """Texts somebody wrote."""
    return lambda: [made(name).write_text("Years of work.\n") for name in names]


def link(name: str, to: str) -> Prepare:
    return lambda: made(name).symlink_to(to)


def hard(name: str, to: str) -> Prepare:
    return lambda: made(name).hardlink_to(one(to))


def several(*steps: Prepare) -> Prepare:
    return lambda: [step() for step in steps]


def moved(name: str, to: str) -> Prepare:
    return lambda: one(name).rename(made(to))


def sync_file(*rows: tuple[str, str, str]) -> Prepare:
    """``sync.json`` with images: where from, where to, and under which name."""
    images = [{"from": source, "to": to, "rename": name} for source, to, name in rows]
    return lambda: Path("sync.json").write_text(json.dumps({"images": images}))


def made(name: str) -> Path:
    """A path in a folder that is there."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    return path


def one(pattern: str) -> Path:
    """The first file of a pattern; digests name some."""
    return min(Path().glob(pattern))


def expanded(arguments: list[str]) -> list[str]:
    """The arguments, with patterns replaced by the files that they match."""
    return [
        f"{start}{colon}{one(path)}" if "*" in path else argument
        for argument in arguments
        for start, colon, path in (argument.rpartition(":"),)
    ]


BLOB = "layout/blobs/sha256/*"
FROM_TAR = ["convert", "docker-archive:app.tar"]


@pytest.mark.parametrize("more", [[], ["--overwrite"]], ids=["", "even with --overwrite"])
@pytest.mark.parametrize(
    "prepare, arguments",
    [
        pytest.param(nothing, [*FROM_TAR, "docker-archive:app.tar"], id="the source itself"),
        pytest.param(nothing, ["convert", "app.tar", "docker-archive:app.tar"], id="the source as a bare path"),
        pytest.param(nothing, [*FROM_TAR, "oci-archive:app.tar"], id="the source, in another format"),
        pytest.param(nothing, [*FROM_TAR, "rootfs:app.tar"], id="the source, as a root file system"),
        pytest.param(nothing, [*FROM_TAR, "docker-archive:dir/../app.tar"], id="the source by a detour"),
        pytest.param(nothing, [*FROM_TAR, "oci:new", "docker-archive:app.tar"], id="the source as the second target"),
        pytest.param(link("x.tar", "app.tar"), [*FROM_TAR, "docker-archive:x.tar"], id="a link to the source"),
        pytest.param(
            several(link("x.tar", "y.tar"), link("y.tar", "app.tar")),
            [*FROM_TAR, "docker-archive:x.tar"],
            id="a link to a link to the source",
        ),
        pytest.param(hard("x.tar", "app.tar"), [*FROM_TAR, "docker-archive:x.tar"], id="a hard link of the source"),
        pytest.param(link("x", "."), [*FROM_TAR, "docker-archive:x/app.tar"], id="the source in a linked folder"),
        pytest.param(
            link("x.tar", "app.tar"),
            ["convert", "docker-archive:x.tar", "docker-archive:app.tar"],
            id="the file that the source is a link to",
        ),
        pytest.param(
            link("x.tar", "app.tar"),
            ["convert", "docker-archive:x.tar", "docker-archive:x.tar"],
            id="the link that the source is",
        ),
        pytest.param(nothing, ["convert", "aci:app.aci", "aci:app.aci"], id="an ACI that is the source"),
        pytest.param(
            nothing, ["convert", "oci:layout", "docker-archive:layout/index.json"], id="the index of the source"
        ),
        pytest.param(nothing, ["convert", "oci:layout", f"docker-archive:{BLOB}"], id="a blob of the source"),
        pytest.param(nothing, ["convert", "oci:layout", f"docker-archive:./dir/../{BLOB}"], id="a blob by a detour"),
        pytest.param(hard("x.tar", BLOB), ["convert", "oci:layout", "oci-archive:x.tar"], id="a hard link of a blob"),
        pytest.param(
            several(moved("layout/blobs", "elsewhere/blobs"), link("layout/blobs", "../elsewhere/blobs")),
            ["convert", "oci:layout", "oci-archive:elsewhere/blobs/sha256/*"],
            id="a blob in a folder that the source links to",
        ),
        pytest.param(nothing, ["convert", "dir:dir", "docker-archive:dir/version"], id="a file of a dir: source"),
        pytest.param(
            several(text("root/etc"), hard("x.tar", "root/etc")),
            ["convert", "rootfs:root", "docker-archive:x.tar"],
            id="a hard link of a file of a root file system",
        ),
        pytest.param(nothing, ["convert", "rootfs:app.tar", "oci-archive:app.tar"], id="the tar of a root file system"),
        pytest.param(nothing, ["convert", "dir:dir", "dir:dir", "--compress", "zstd"], id="a dir: that is the source"),
        pytest.param(
            text("app.aci.asc"),
            ["convert", "aci:app.aci", "docker-archive:app.aci.asc", "--no-attachments"],
            id="the signature of the source",
        ),
        pytest.param(
            text("app.aci.origin"),
            ["convert", "aci:app.aci", "docker-archive:app.aci.origin", "--no-attachments"],
            id="the record of the source",
        ),
        pytest.param(
            nothing, ["convert", "aci:layered.aci", "oci-archive:layered-*.aci"], id="a file that the source depends on"
        ),
        pytest.param(
            moved("layered-*.aci", "below/x.aci"),
            ["convert", "aci:layered.aci", "oci-archive:below/*.aci", "--aci-path", "below"],
            id="a file that the source depends on, elsewhere",
        ),
        pytest.param(
            nothing,
            ["convert", "docker://127.0.0.1:1/app", "docker-archive:auth.json", "--authfile", "auth.json"],
            id="the file of credentials",
        ),
        pytest.param(nothing, [*FROM_TAR, "oci-archive:policy.json", "--policy", "policy.json"], id="the policy"),
        pytest.param(
            nothing,
            ["convert", "oci:layout", "oci-archive:cosign.key", "--sign-by", "cosign.key"],
            id="the key to sign with",
        ),
        pytest.param(
            moved("gpg.key", "app.aci.asc"),
            ["sign", "aci:app.aci", "--gpg-key", "app.aci.asc"],
            id="the key to sign with, in the place of the signature",
        ),
        pytest.param(
            hard("app.aci.asc", "app.aci"),
            ["sign", "aci:app.aci", "--gpg-key", "gpg.key"],
            id="what is signed, in the place of the signature",
        ),
        pytest.param(
            sync_file(("oci:layout", "oci:new", "x")),
            ["sync", "sync.json", "--report", "sync.json"],
            id="the list of a run as its report",
        ),
        pytest.param(nothing, [*FROM_TAR, "oci:new", "--digestfile", "app.tar"], id="the source as the digest's file"),
        pytest.param(
            nothing,
            ["profile", "oci:layout:new", "-o", "layout/index.json"],
            id="the index of the source as the profile's file",
        ),
        pytest.param(
            nothing,
            ["inspect", "oci:layout:new", "--report", "layout/index.json"],
            id="the index of the source as a report",
        ),
        pytest.param(
            several(
                moved("oci.tar", "oci-1.tar"),
                sync_file(
                    ("docker-archive:app.tar", "docker-archive:.", "oci"),
                    ("oci-archive:oci-1.tar", "docker-archive:.", "new"),
                ),
            ),
            ["sync", "sync.json", "--keep-going", "--images", "1"],
            id="the source of another image of a run",
        ),
    ],
)
def test_what_is_read_is_never_a_target(
    prepare: Prepare, arguments: list[str], more: list[str], there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare()
    before = seen(there)

    assert main([*expanded(arguments), *more]) == 1

    told = capsys.readouterr().err
    assert "is a file that is read here" in told or ("already exists" in told and not more)
    after = seen(there)
    assert {name: after.get(name) for name in before} == before
    assert {Path(name).parts[0] for name in after.keys() - before.keys()} <= {"new-1.tar"}, "what a run wrote beside"


ZSTD = ["--compress", "zstd"]
TO_SYNC = ["sync", "oci:layout", "docker-archive:out", "--rename", "app", *ZSTD]


@pytest.mark.parametrize(
    "prepare, arguments",
    [
        pytest.param(nothing, [*FROM_TAR, f"docker-archive:{THESIS}"], id="a text"),
        pytest.param(
            nothing,
            ["convert", "oci:layout", "docker-archive:app.tar", *ZSTD],
            id="an archive of another image",
        ),
        pytest.param(nothing, ["convert", "oci:layout", "oci-archive:oci.tar", *ZSTD], id="an archive of a layout"),
        pytest.param(nothing, ["convert", "oci:layout", "aci:layered.aci"], id="an ACI"),
        pytest.param(text("x.tar"), [*FROM_TAR, "rootfs:x.tar"], id="a text in the place of a root file system"),
        pytest.param(lambda: Path("x").touch(), [*FROM_TAR, "docker-archive:x"], id="an empty file"),
        pytest.param(nothing, [*FROM_TAR, "oci:new", f"aci:{THESIS}"], id="a text as the second target"),
        pytest.param(nothing, [*FROM_TAR, f"docker-archive:{BLOB}"], id="a blob of another layout"),
        pytest.param(link("x", THESIS), [*FROM_TAR, "docker-archive:x"], id="a link to a text"),
        pytest.param(link("x", THESIS), [*FROM_TAR, "aci:x"], id="a link to a text in the place of an ACI"),
        pytest.param(link("x", "gone"), [*FROM_TAR, "docker-archive:x"], id="a link to nothing"),
        pytest.param(link("x", "layout"), [*FROM_TAR, "docker-archive:x"], id="a link to a directory"),
        pytest.param(link("x", "/dev/null"), [*FROM_TAR, "docker-archive:x"], id="a link to a device"),
        pytest.param(hard("x", THESIS), [*FROM_TAR, "docker-archive:x"], id="a hard link of a text"),
        pytest.param(text("x.aci.asc"), [*FROM_TAR, "aci:x.aci"], id="a text in the place of a signature"),
        pytest.param(text("x.aci.origin"), [*FROM_TAR, "aci:x.aci"], id="a text in the place of a record"),
        pytest.param(link("x.aci.asc", THESIS), [*FROM_TAR, "aci:x.aci"], id="a link in the place of a signature"),
        pytest.param(
            text("app.aci.asc"), ["sign", "aci:app.aci", "--gpg-key", "gpg.key"], id="a text where a signature is added"
        ),
        pytest.param(
            link("app.aci.asc", THESIS),
            ["sign", "aci:app.aci", "--gpg-key", "gpg.key"],
            id="a link to a text where a signature is added",
        ),
        pytest.param(text("out/app-1.tar"), TO_SYNC, id="a text in a mirror"),
        pytest.param(
            several(text("out/y"), lambda: shutil.copy("oci.tar", "out/app-1.tar")),
            TO_SYNC,
            id="an archive of another kind in a mirror",
        ),
        pytest.param(link("out/app-1.tar", "../app.tar"), TO_SYNC, id="a link to an archive in a mirror"),
        pytest.param(
            text("out/app-1.aci"), ["sync", "oci:layout", "aci:out", "--rename", "app"], id="a text in a mirror of ACIs"
        ),
        pytest.param(
            several(moved("layered.aci", "out/app-1.aci"), text("out/app-1.aci.asc")),
            ["sync", "oci:layout", "aci:out", "--rename", "app"],
            id="a text in the place of a signature in a mirror",
        ),
        pytest.param(
            text("r.html"),
            ["sync", "oci:layout", "oci:new", "--report", "r.html"],
            id="a text in a report's place",
        ),
        pytest.param(
            nothing, ["sync", "oci:layout", "oci:new", "--report", "auth.json"], id="a JSON in the place of a report"
        ),
        pytest.param(
            link("r.json", THESIS),
            ["sync", "oci:layout", "oci:new", "--report", "r.json"],
            id="a link in the place of a report",
        ),
    ],
)
def test_what_exists_is_replaced_only_when_asked(
    prepare: Prepare, arguments: list[str], there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare()
    before = seen(there)
    arguments = expanded(arguments)

    assert main(arguments) == 1

    told = capsys.readouterr().err
    assert "already exists (" in told or "is a symbolic link to " in told
    assert "with --overwrite" in told
    assert seen(there) == before

    assert main([*arguments, "--overwrite"]) == 0

    after = seen(there)
    changed = {name for name in before if after.get(name) != before[name]}
    assert len(changed) in {1, 2}, "an ACI may be replaced with the signature"
    assert after[THESIS] == before[THESIS] or changed == {THESIS}
    assert not list(there.rglob(".transship-*"))


def test_what_a_link_leads_to_stays_when_the_link_is_replaced(there: Path) -> None:
    Path("x").symlink_to(THESIS)
    assert main([*FROM_TAR, "docker-archive:x", "--overwrite"]) == 0
    assert not Path("x").is_symlink()
    assert Path(THESIS).read_text() == "Years of work.\n"


def test_sync_replaces_an_image_of_the_same_kind(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for transport, name in (("docker-archive", "app.tar"), ("oci-archive", "oci.tar"), ("aci", "layered.aci")):
        there_already = made(f"{transport}/app-1{Path(name).suffix}")
        shutil.copy(name, there_already)
        arguments = ["sync", "oci:layout", f"{transport}:{transport}", "--compress", "gzip:1", "--json"]
        assert main([*arguments, "--rename", "app"]) == 0
        (outcome,) = json.loads(capsys.readouterr().out)["outcomes"]
        assert outcome["destination"].startswith(f"{transport}:{there_already}")
        assert outcome["state"] == "written"
        assert there_already.read_bytes() != Path(name).read_bytes()


def test_sync_takes_it_from_the_file_too(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text("out/app-1.tar")()
    sync_file(("oci:layout", "docker-archive:out", "app"))()
    listed = json.loads(Path("sync.json").read_text())
    assert main(["sync", "sync.json"]) == 1
    listed["images"][0]["overwrite"] = True
    Path("sync.json").write_text(json.dumps(listed))
    assert main(["sync", "sync.json"]) == 0


def test_two_images_of_a_run_do_not_share_a_file(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sync_file(("oci:layout", "docker-archive:out", "app"), ("oci-archive:oci.tar", "oci-archive:out", "app"))()
    assert main(["sync", "sync.json", "--overwrite"]) == 2
    assert "use other names (a rename" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_dry_run_says_that_it_would_be_refused(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = seen(there)
    assert main([*FROM_TAR, f"docker-archive:{THESIS}", "--dry-run"]) == 0
    assert f"{THESIS} already exists (15 bytes)" in capsys.readouterr().err
    assert seen(there) == before


def test_refused_before_anything_is_read(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "docker-archive:gone.tar", f"docker-archive:{THESIS}"]) == 1
    assert capsys.readouterr().err.startswith(f"transship: {THESIS} already exists")


def test_a_file_that_comes_into_being_meanwhile_stays(there: Path) -> None:
    def report(_: object) -> None:
        Path("new.tar").write_text("Years of work.\n")

    with pytest.raises(AlreadyExists, match=r"new\.tar already exists"):
        converter.convert("oci:layout", "docker-archive:new.tar", report=report)
    assert Path("new.tar").read_text() == "Years of work.\n"


def test_other_files_in_a_replaced_directory_stay(there: Path) -> None:
    shutil.copy("app.tar", "dir/app.tar")
    assert main(["convert", "docker-archive:dir/app.tar", "dir:dir", "--to", "docker"]) == 0
    assert Path("dir/app.tar").read_bytes() == Path("app.tar").read_bytes()
    assert main(["diff", "dir:dir", "docker-archive:app.tar"]) == 0


def test_a_signature_is_added_to_signatures(there: Path) -> None:
    for _ in range(2):
        assert main(["sign", "aci:app.aci", "--gpg-key", "gpg.key"]) == 0


def test_a_report_is_whole_or_refused_at_the_start(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "oci:layout", "oci:new", "--report", "gone/r.json"]) == 1
    assert main(["sync", "oci:layout", "oci:new", "--report", "r.json", "--report", "r.json"]) == 2
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "redirection, target",
    [
        pytest.param(">> app.tar", "-", id="standard output added to the source"),
        pytest.param("1<> app.tar", "/dev/stdout", id="standard output over the source"),
        pytest.param("3<> app.tar", "/dev/fd/3", id="an open file that is the source"),
        pytest.param("< app.tar", "app.tar --overwrite", id="the file that is standard input"),
    ],
)
def test_streams_that_are_the_source(redirection: str, target: str, there: Path) -> None:
    before = seen(there)
    source = "-" if redirection.startswith("<") else "app.tar"
    done = shell(f"convert docker-archive:{source} docker-archive:{target} {redirection}")
    assert done.returncode == 1
    assert b"is a file that is read here" in done.stderr
    assert seen(there) == before


@pytest.mark.parametrize(
    "redirection, target",
    [
        pytest.param("> out", "-", id="standard output"),
        pytest.param("> out", "/dev/stdout", id="standard output as a device"),
        pytest.param("> out", "/dev/fd/1", id="standard output as an open file"),
        pytest.param("3> out", "/proc/self/fd/3", id="another open file"),
        pytest.param("| cat > out", "/dev/fd/1", id="a pipe"),
    ],
)
def test_streams_are_written(redirection: str, target: str, there: Path) -> None:
    done = shell(f"convert --quiet docker-archive:app.tar docker-archive:{target} {redirection}")
    assert done.returncode == 0, done.stderr
    assert main(["diff", "docker-archive:app.tar", "docker-archive:out"]) == 0


def test_devices_and_pipes_are_written(there: Path) -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    assert main([*FROM_TAR, "docker-archive:pipe"]) == 0
    reader.join()
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert len(read[0]) == Path("app.tar").stat().st_size
    assert main([*FROM_TAR, "docker-archive:/dev/null"]) == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_block_device_is_refused(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.stat_result((stat.S_IFBLK, 1, 1, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _path, **_: status)
    monkeypatch.setattr(Path, "lstat", lambda _path: status)
    with pytest.raises(Invalid, match="is a block device"):
        Overwriting(allowed=True).require(Path("disk"))


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program in a shell, which opens files for it."""
    line = f"'{sys.executable}' -P -m converter {command}"
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False, env={**os.environ, **environment()})


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(converter.__file__).parent.parent)}
