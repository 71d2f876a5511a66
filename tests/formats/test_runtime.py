"""What a runtime gets of an image: one tree, and a configuration as conversion.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import converter
from converter.errors import LossRefused, Unsupported, Usage
from converter.formats import runtime
from converter.formats.accounts import GROUP, PASSWD, Accounts, process_user
from converter.formats.runtime import flatten_and_note_accounts, runtime_config
from converter.model import media_types as types
from converter.model.content import Derived, Layer, LayerFacts, known_bytes
from converter.model.image import Artifact, Image, Index, Loss, Original, RunConfig
from converter.model.platform import Platform
from converter.plan import Make, Write
from converter.streams.squash import Flatten
from tests.builders import LAYERS, add_image
from tests.builders.disk import stored
from tests.builders.memory import MemoryStore
from tests.formats.running import BUNDLE
from tests.strategies.tar import File, archive

LINUX = Platform(os="linux", architecture="arm64", variant="v8")
ACCOUNTS = """root:x:0:0:root:/root:/bin/sh
web:x:33:34:www data:/var/www:/usr/sbin/nologin
broken
huge:x:99999999999:1::/:
letters:x:abc:1::/:
"""
GROUPS = "root:x:0:\nweb:x:34:\naudio:x:29:root,web\nbroken\nletters:x:z:web\nvideo:x:44:web\ncrowd:x:29:web\n"


def config(**fields: Any) -> dict[str, Any]:
    return runtime_config(Image(platform=LINUX, config=RunConfig(**fields)), LayerFacts(passwd=ACCOUNTS, group=GROUPS))


@pytest.mark.parametrize(
    "text, wanted",
    [
        pytest.param("", {"uid": 0, "gid": 0}, id="nobody said is root"),
        pytest.param("web", {"uid": 33, "gid": 34, "additionalGids": [29, 44]}, id="a name has its groups"),
        pytest.param("root", {"uid": 0, "gid": 0, "additionalGids": [29]}, id="so has root by name"),
        pytest.param("33", {"uid": 33, "gid": 34}, id="a number has its account's group and no others"),
        pytest.param("0033", {"uid": 33, "gid": 34}, id="zeros in front are no name"),
        pytest.param("1000", {"uid": 1000, "gid": 0}, id="a number without an account stays"),
        pytest.param("web:audio", {"uid": 33, "gid": 29}, id="a named group replaces all others"),
        pytest.param("web:7", {"uid": 33, "gid": 7}, id="a group by number need not be there"),
        pytest.param("1000:1000", {"uid": 1000, "gid": 1000}, id="two numbers are taken as they are"),
        pytest.param("1000:7:29", {"uid": 1000, "gid": 7}, id="what stands behind the group is nothing"),
        pytest.param(":audio", {"uid": 0, "gid": 29}, id="a group alone"),
        pytest.param("web:", {"uid": 33, "gid": 34, "additionalGids": [29, 44]}, id="an empty group is none"),
    ],
)
def test_the_user_is_who_the_image_says(text: str, wanted: Mapping[str, Any]) -> None:
    assert process_user(text, ACCOUNTS, GROUPS) == wanted


@pytest.mark.parametrize(
    "text, reason",
    [
        pytest.param("nobody", 'user "nobody"', id="an unknown user"),
        pytest.param("web:nobody", 'group "nobody"', id="an unknown group"),
        pytest.param("letters", 'user "letters"', id="an account whose number is none"),
        pytest.param("²", 'user "²"', id="a digit that is no number"),
        pytest.param("4294967295", "4294967295", id="a number that means: no change"),
        pytest.param("huge", "99999999999", id="an account whose number is too large"),
        pytest.param("-1", 'user "-1"', id="a negative number"),
    ],
)
def test_a_user_that_nobody_is_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        process_user(text, ACCOUNTS, GROUPS)


@pytest.mark.parametrize(
    "files, wanted",
    [
        pytest.param([File("etc/passwd", data=b"here")], "here", id="a file"),
        pytest.param([File("./etc/passwd", data=b"here" * 100)], "here" * 100, id="a file under another spelling"),
        pytest.param([], "", id="none"),
        pytest.param(
            [File("etc/passwd", "symlink", target="../nix/passwd"), File("nix/passwd", data=b"there")],
            "there",
            id="a link up and down",
        ),
        pytest.param(
            [
                File("etc/passwd", "symlink", target="/a/passwd"),
                File("a/passwd", "symlink", target="../../b/passwd"),
                File("b/passwd", data=b"there"),
            ],
            "there",
            id="a link to a link that goes above the root",
        ),
        pytest.param(
            [File("usr/passwd", data=b"there"), File("etc/passwd", "link", target="usr/passwd")],
            "there",
            id="a hard link",
        ),
        pytest.param([File("etc/passwd", "symlink", target="passwd")], "", id="a link to itself"),
        pytest.param([File("etc/passwd", "dir")], "", id="a directory"),
        pytest.param([File("etc/passwd", data=b"x" * 2**20 + b"y")], "", id="more than anybody's accounts"),
        pytest.param([File(f"{n}/passwd", data=b"no") for n in range(99)] + [File("etc/passwd")], "", id="many"),
        pytest.param([File("etc/passwd", data=b"a\xff")], "a\udcff", id="bytes that are no text"),
    ],
)
def test_accounts_are_heard_while_the_tar_passes_unchanged(files: list[File], wanted: str) -> None:
    data = archive(files)
    accounts = Accounts()
    passed = b"".join(accounts.watched((data[:700], data[700:])))
    assert passed.rstrip(b"\0") == data.rstrip(b"\0")
    assert accounts.text(PASSWD) == wanted
    assert accounts.text(GROUP) == ""


def test_the_layers_are_one_tree_that_knows_its_accounts() -> None:
    lower = archive([File("etc/passwd", data=b"old"), File("etc/group", data=b"groups"), File("gone")])
    upper = archive([File("etc/passwd", data=b"new"), File(".wh.gone")])
    facts = LayerFacts()
    flat = b"".join(flatten_and_note_accounts((lambda: (lower,), lambda: (upper,)), facts, set()))
    assert facts == LayerFacts(passwd="new", group="groups")
    assert b"gone" not in flat
    # Without a configuration nobody asks for accounts, and the tree is the same.
    assert b"".join(Flatten()((lambda: (lower,), lambda: (upper,)), facts, set())) == flat


def test_what_conversion_md_calls_verbatim_is() -> None:
    made = config(
        entrypoint=("/bin/app", "--x"), cmd=("serve",), env=("A=1", "PATH=/opt"), working_dir="/srv", user="web"
    )
    process = made["process"]
    assert process["args"] == ["/bin/app", "--x", "serve"]
    assert process["env"] == ["A=1", "PATH=/opt"]
    assert process["cwd"] == "/srv"
    assert process["user"]["uid"] == 33
    assert made["root"] == {"path": "rootfs"}
    assert made["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}


def test_an_image_that_says_nothing_still_runs() -> None:
    process = config()["process"]
    assert process["args"] == ["/bin/sh"]
    assert process["cwd"] == "/"
    assert process["env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert config(working_dir="srv")["process"]["cwd"] == "/srv"


def test_volumes_are_memory_that_starts_with_what_the_image_has() -> None:
    mounts = {mount["destination"]: mount for mount in config(volumes=("/data", "cache"))["mounts"]}
    for place in ("/data", "/cache"):
        assert mounts[place]["type"] == "tmpfs"
        assert "tmpcopyup" in mounts[place]["options"]


def test_annotations_are_those_of_the_specification_and_labels_win() -> None:
    image = Image(
        platform=replace(LINUX, os_version="6.1", os_features=("a", "b")),
        author="A. Author",
        created="2024-01-01T00:00:00Z",
        config=RunConfig(
            stop_signal="SIGINT",
            exposed_ports=("80/tcp", "53/udp"),
            labels={"org.opencontainers.image.author": "label", "team": "blue", "run.oci.handler": "krun"},
        ),
    )
    assert runtime_config(image, LayerFacts())["annotations"] == {
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.architecture": "arm64",
        "org.opencontainers.image.variant": "v8",
        "org.opencontainers.image.os.version": "6.1",
        "org.opencontainers.image.os.features": "a,b",
        "org.opencontainers.image.author": "label",
        "org.opencontainers.image.created": "2024-01-01T00:00:00Z",
        "org.opencontainers.image.stopSignal": "SIGINT",
        "org.opencontainers.image.exposedPorts": "80/tcp,53/udp",
        "team": "blue",
    }
    assert list(runtime.losses(image, BUNDLE)) == [
        Loss(field="labels", reason="a runtime would obey 'run.oci.handler'")
    ]


def test_what_is_lost_is_told_once() -> None:
    image = Image(platform=LINUX, config=RunConfig(healthcheck={"Test": ["NONE"]}))
    assert [loss.field for loss in runtime.losses(image, BUNDLE)] == ["healthcheck"]
    assert list(runtime.losses(Index())) == []


def test_a_plan_is_a_tree_and_where_it_is_wanted_a_configuration() -> None:
    image = Image(platform=LINUX)
    rootfs = runtime.encode(image, frozenset((types.ROOTFS,)))
    assert isinstance(rootfs, Make)
    assert isinstance(rootfs.content, Derived)
    assert rootfs.content.rewrite == Flatten(), "nobody looks for accounts"
    bundle = runtime.encode(image, BUNDLE)
    assert isinstance(bundle, Write)
    assert isinstance(bundle.inputs[0], Make)


def test_what_cannot_be_written_is_refused() -> None:
    accepts = BUNDLE
    root = known_bytes(b"{}", types.OCI_MANIFEST)
    for item in (Index(), Artifact(original=Original(format="oci", manifest=root))):
        with pytest.raises(Unsupported, match=r"cannot write a root file system"):
            runtime.encode(item, accepts)
    windows = Image(platform=Platform(os="windows", architecture="amd64"))
    with pytest.raises(Unsupported, match="windows/amd64"):
        runtime.encode(windows, accepts)
    with pytest.raises(Unsupported, match="names no operating system"):
        runtime.encode(Image(platform=Platform(os="", architecture="")), accepts)
    assert isinstance(runtime.encode(windows, frozenset((types.ROOTFS,))), Make)
    foreign = replace(root, absent=True)
    with pytest.raises(Unsupported, match="foreign"):
        runtime.encode(Image(platform=LINUX, layers=(Layer(content=foreign),)), accepts)


def test_a_conversion_makes_a_bundle_a_directory_and_a_tar(tmp_path: Path) -> None:
    store = MemoryStore()
    source = f"{stored(store, add_image(store), tmp_path / 'layout', 'app')}:app"
    result = converter.convert(source, f"bundle:{tmp_path}/b", f"rootfs:{tmp_path}/r", f"rootfs:{tmp_path}/r.tar")
    assert [target.format for target in result.targets] == ["runtime"] * 3
    assert result.targets[1].digest == result.targets[2].digest
    assert result.targets[1].image_id is None
    assert [loss.field for loss in result.targets[0].losses] == ["healthcheck"]
    assert {"entrypoint", "cmd"} <= {loss.field for loss in result.targets[1].losses}
    with pytest.raises(LossRefused, match=r"cannot hold .*cmd"):
        converter.convert(source, f"rootfs:{tmp_path}/strict", strict=True)
    assert json.loads((tmp_path / "b/config.json").read_bytes())["process"]["args"] == ["/bin/app", "--serve"]
    for tree in ("b/rootfs", "r"):
        assert (tmp_path / tree / "etc/name").read_bytes() == b"two"
        assert not (tmp_path / tree / "etc/hosts").exists()
    assert len(LAYERS) == 2
    with pytest.raises(Usage, match="do without to="):
        converter.convert(source, f"rootfs:{tmp_path}/x", to="oci")
    again = converter.convert(source, f"rootfs:{tmp_path}/again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "r.tar").read_bytes()
    assert again.digest == result.targets[2].digest
