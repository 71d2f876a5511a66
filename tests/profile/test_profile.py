"""What an image contains: one text for one content, and every difference found."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import converter
from tests.profile.conftest import Cli

Change = Callable[[Path], None]


ROOT = os.geteuid() == 0
USER = 4242 if ROOT else os.geteuid()
"""Somebody who could not give a file away."""
SCHEMA = Path(__file__).resolve().parent.parent.parent / "schemas/profile.json"


def rewritten(tree: Path) -> None:
    (tree / "etc/app.conf").write_text("of\n")


def relinked(tree: Path) -> None:
    (tree / "lib").unlink()
    (tree / "lib").symlink_to("etc")


def retyped(tree: Path) -> None:
    (tree / "pipe").unlink()
    (tree / "pipe").touch()


FORMS = (
    "oci:{}/plain",
    "oci:{}/zstd",
    "docker-archive:{}/a.tar:app:1",
    "aci:{}/app.aci",
    "rootfs:{}/r",
    "rootfs:{}/r.tar",
)


def test_one_content_has_one_profile_in_every_form(cli: Cli, tmp_path: Path, tree: Path) -> None:
    for form in FORMS:
        compress = "zstd" if "zstd" in form else "keep"
        converter.convert(f"rootfs:{tree}", form.format(tmp_path), compress=compress)
    texts = {cli("profile", form.format(tmp_path)).stdout for form in (f"rootfs:{tree}", *FORMS)}
    assert len(texts) == 1
    (tmp_path / "app.mtree").write_text(texts.pop())
    for form in FORMS:
        done = cli("verify", form.format(tmp_path), "--profile", tmp_path / "app.mtree")
        assert (done.code, "same files (a plain mtree text says nothing" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    "change, path, what",
    [
        pytest.param(rewritten, "/etc/app.conf", "content", id="a changed byte"),
        pytest.param(lambda t: (t / "bin/app").chmod(0o4755), "/bin/app", "mode", id="a changed mode"),
        pytest.param(lambda t: (t / "etc").chmod(0o700), "/etc", "mode", id="the mode of a directory"),
        pytest.param(lambda t: (t / "new").touch(), "/new", "entry", id="an added file"),
        pytest.param(lambda t: (t / "pipe").unlink(), "/pipe", "entry", id="a removed file"),
        pytest.param(relinked, "/lib", "target", id="the target of a link"),
        pytest.param(retyped, "/pipe", "type", id="a file in place of a pipe"),
        pytest.param(
            lambda t: os.setxattr(t / "etc/app.conf", "user.note", b"no"),
            "/etc/app.conf",
            "xattrs",
            id="the value of an attribute",
        ),
        pytest.param(
            lambda t: os.setxattr(t / "bin/app", "user.new", b"1"), "/bin/app", "xattrs", id="an added attribute"
        ),
    ],
)
def test_a_change_is_found_with_its_path(
    cli: Cli, tmp_path: Path, tree: Path, change: Change, path: str, what: str
) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    (tmp_path / "p.json").write_text(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    change(tree)
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.json", "--json")
    found = json.loads(done.stdout)
    assert done.code == 1
    assert (path, what) in {(row["path"], row["what"]) for row in found["differences"]}
    assert {row["path"] for row in found["differences"]} <= {path, "/bin/app2"}


def test_a_bundle_is_compared_by_the_process_that_it_starts(cli: Cli, tmp_path: Path, tree: Path) -> None:
    config = tmp_path / "bundle/config.json"
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    converter.convert(f"oci:{tmp_path}/l", f"bundle:{tmp_path}/bundle")
    (tmp_path / "p.json").write_text(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    assert cli("verify", f"bundle:{tmp_path}/bundle", "--profile", tmp_path / "p.json").code == 0
    config.write_text(config.read_text().replace("/bin/sh", "/bin/zsh"))
    done = cli("verify", f"bundle:{tmp_path}/bundle", "--profile", tmp_path / "p.json")
    assert done.code == 1
    assert 'config: args: expected ["/bin/sh"], actual ["/bin/zsh"]' in done.stdout


@pytest.mark.skipif(not ROOT, reason="only root can change owners")
def test_a_changed_owner_is_found(cli: Cli, tmp_path: Path, tree: Path) -> None:
    (tmp_path / "p.mtree").write_text(cli("profile", f"rootfs:{tree}").stdout)
    os.chown(tree / "bin/app", 5, 7)
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.mtree")
    assert done.code == 1
    assert "/bin/app: owner: expected 0:0, actual 5:7" in done.stdout


def test_an_ordinary_user_is_told_that_owners_are_not_compared(
    cli: Cli, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.mtree").write_text(re.sub(r"id=\d+", "id=0", cli("profile", f"rootfs:{tree}").stdout))
    for path in (tree, *tree.rglob("*")):
        os.chown(path, USER, -1, follow_symlinks=False)
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.mtree")
    assert done.code == 0
    assert f"owners not compared: what belongs to user {USER} counts as root's" in done.stdout


def test_what_an_engine_puts_into_a_container_does_not_count_unless_asked(cli: Cli, tmp_path: Path, tree: Path) -> None:
    (tmp_path / "p.mtree").write_text(cli("profile", f"rootfs:{tree}").stdout)
    (tmp_path / "whole.mtree").write_text(cli("profile", f"rootfs:{tree}", "--no-default-ignore").stdout)
    for path in ("etc/hosts", ".dockerenv", "run", "dev/null"):
        (tree / path).touch()
    assert cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.mtree").code == 0
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "whole.mtree", "--no-default-ignore")
    assert done.code == 1
    assert done.stdout.count("not in the profile") == 4


@pytest.mark.parametrize(
    "made, place, mode, code",
    [
        pytest.param((), "rootfs:{}/tree", 0o555, 0, id="the mode that podman gives it does not count"),
        pytest.param((), "rootfs:{}/tree", 0o777, 1, id="any other mode counts"),
        pytest.param(("--no-default-ignore",), "rootfs:{}/tree", 0o555, 1, id="every mode counts if all has to"),
        pytest.param((), "oci:{}/changed", 0o555, 1, id="every mode counts in an image"),
    ],
)
def test_the_mode_of_the_root(
    cli: Cli, tmp_path: Path, tree: Path, made: tuple[str, ...], place: str, mode: int, code: int
) -> None:
    reference = place.format(tmp_path)
    tree.chmod(0o755)
    (tmp_path / "p.json").write_text(cli("profile", f"rootfs:{tree}", "--json", *made).stdout)
    tree.chmod(mode)
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/changed")
    done = cli("verify", reference, "--profile", tmp_path / "p.json")
    assert done.code == code
    assert (f"/: mode: expected 0755, actual {mode:04o}" in done.stdout) == bool(code)
    assert ("mode of / not compared" in done.stdout) == (not code)
    told = json.loads(cli("verify", reference, "--profile", tmp_path / "p.json", "--json").stdout)
    assert (told["root_mode_compared"], told["count"]) == (bool(code), code)


@pytest.mark.parametrize(
    "made, place, added, differing",
    [
        pytest.param((), "rootfs:{}/bare", "hosts", [], id="not with what an engine puts there"),
        pytest.param((), "rootfs:{}/bare", "shadow", ["/etc/shadow"], id="but another file there counts"),
        pytest.param(("--no-default-ignore",), "rootfs:{}/bare", "hosts", ["/etc", "/etc/hosts"], id="if all has to"),
        pytest.param((), "oci:{}/changed", "hosts", ["/etc"], id="in an image"),
    ],
)
def test_when_a_directory_for_an_engines_files_counts(
    cli: Cli, tmp_path: Path, made: tuple[str, ...], place: str, added: str, differing: list[str]
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "p.json").write_text(cli("profile", f"rootfs:{tmp_path}/bare", "--json", *made).stdout)
    (tmp_path / "bare/etc").mkdir()
    (tmp_path / "bare/etc" / added).touch()
    converter.convert(f"rootfs:{tmp_path}/bare", f"oci:{tmp_path}/changed")
    told = json.loads(cli("verify", place.format(tmp_path), "--profile", tmp_path / "p.json", "--json").stdout)
    assert [one["path"] for one in told["differences"]] == differing
    assert told["made_by_engine"] == ([] if "/etc" in differing else ["/etc"])


def test_times_count_only_when_asked(cli: Cli, tmp_path: Path, tree: Path) -> None:
    plain, timed = tmp_path / "plain.json", tmp_path / "timed.json"
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    plain.write_text(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    timed.write_text(cli("profile", f"oci:{tmp_path}/l", "--json", "--times").stdout)
    os.utime(tree / "pipe", (1, 1))
    assert cli("verify", f"rootfs:{tree}", "--profile", plain).code == 0
    assert cli("verify", f"rootfs:{tree}", "--profile", timed).code == 1


def test_paths_are_sorted_by_their_bytes(cli: Cli, tree: Path) -> None:
    lines = cli("profile", f"rootfs:{tree}").stdout.splitlines()
    paths = [line.split()[0] for line in lines[1:]]
    assert paths == sorted(paths)
    assert paths.index("./etc/app-local") < paths.index("./etc/app.conf")


def test_a_directory_that_no_layer_describes_is_as_unpackers_make_it(cli: Cli, tmp_path: Path, tree: Path) -> None:
    converter.convert(f"rootfs:{tree}", f"rootfs:{tmp_path}/t.tar")
    assert ". type=dir mode=0755 uid=0 gid=0" in cli("profile", f"rootfs:{tmp_path}/t.tar").stdout


def test_a_signed_statement_is_trusted_with_the_key_that_signed_it(
    cli: Cli, tmp_path: Path, tree: Path, keys: tuple[Path, Path]
) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    signed = tmp_path / "app.profile"
    signed.write_text(cli("profile", f"oci:{tmp_path}/l", "--sign-by", keys[0]).stdout)
    for form in (f"oci:{tmp_path}/l", f"rootfs:{tree}"):
        done = cli("verify", form, "--profile", signed, "--key", keys[1], "--json")
        assert done.code == 0
        assert [one["key"] for one in json.loads(done.stdout)["signers"]] == [f"--key {keys[1]}"]


def other_payload(document: dict[str, Any]) -> None:
    payload = base64.b64decode(document["payload"]).replace(b"app.conf", b"app.cong")
    document["payload"] = base64.b64encode(payload).decode()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(other_payload, id="another payload"),
        pytest.param(lambda document: document.update(payloadType="text/plain"), id="another type"),
        pytest.param(lambda document: document.update(signatures=[]), id="no signature"),
        pytest.param(lambda document: document["signatures"][0].update(sig="AAAA"), id="another signature"),
    ],
)
def test_a_changed_envelope_is_not_trusted(
    cli: Cli, tmp_path: Path, tree: Path, keys: tuple[Path, Path], change: Callable[[dict[str, Any]], None]
) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--sign-by", keys[0]).stdout)
    change(document)
    (tmp_path / "app.profile").write_text(json.dumps(document))
    done = cli("verify", f"oci:{tmp_path}/l", "--profile", tmp_path / "app.profile", "--key", keys[1])
    assert (done.code, done.stdout) == (2, "")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "statement"])
def test_what_is_not_signed_never_counts_with_a_key(
    cli: Cli, tmp_path: Path, tree: Path, keys: tuple[Path, Path], options: list[str]
) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    (tmp_path / "p").write_text(cli("profile", f"oci:{tmp_path}/l", *options).stdout)
    done = cli("verify", f"oci:{tmp_path}/l", "--profile", tmp_path / "p", "--key", keys[1])
    assert done.code == 2
    assert "sign it with `profile --sign-by`" in done.stderr


def test_a_statement_is_as_published(cli: Cli, tmp_path: Path, tree: Path) -> None:
    published = json.loads(SCHEMA.read_bytes())
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    jsonschema.validate(document, published)
    assert set(document["predicate"]) == set(published["properties"]["predicate"]["properties"])


def test_a_statement_whose_parts_contradict_each_other_is_refused(cli: Cli, tmp_path: Path, tree: Path) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    document["predicate"]["content"] = document["predicate"]["content"].replace("./pipe", "./pope")
    (tmp_path / "p.json").write_text(json.dumps(document))
    done = cli("verify", f"oci:{tmp_path}/l", "--profile", tmp_path / "p.json")
    assert done.code == 2
    assert "digest mismatch" in done.stderr


@pytest.mark.parametrize(
    "made, told",
    [
        pytest.param(lambda _: "root:x:0:0\n", "not a profile, in line 1: ", id="another text"),
        pytest.param(lambda text: f"{text}./zz type=no\n", "not a profile, in line 11: ", id="one that breaks off"),
        pytest.param(
            lambda text: f"{text}./zz type=dir\n./za type=dir\n",
            "not a profile, in line 12: /za comes after /zz: the paths must be sorted",
            id="no order",
        ),
        pytest.param(lambda _: "", "not a profile: it states no file", id="nothing"),
        pytest.param(lambda _: '{"imageLayoutVersion": "1.0.0"}', "not a profile: JSON, but no statement", id="JSON"),
        pytest.param(
            lambda _: '{"predicateType": "https://spdx.dev/Document"}',
            "not a profile: a statement of the type https://spdx.dev/Document (`transship profile --json`",
            id="an SBOM",
        ),
    ],
)
def test_a_file_that_is_no_profile_is_named(
    made: Callable[[str], str], told: str, cli: Cli, tmp_path: Path, tree: Path
) -> None:
    (tmp_path / "p").write_text(made(cli("profile", f"rootfs:{tree}").stdout))
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p")
    assert done.code == 2
    assert done.stderr.startswith(f"transship: {tmp_path}/p: {told}")


def test_a_statement_without_its_text_still_says_whether_the_content_is_the_same(
    cli: Cli, tmp_path: Path, tree: Path
) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    del document["predicate"]["content"]
    (tmp_path / "p.json").write_text(json.dumps(document))
    assert cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.json").code == 0
    (tree / "new").touch()
    done = cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.json")
    assert done.code == 1
    assert "/: content digest: expected" in done.stdout


def test_the_order_of_the_ignored_paths_in_a_statement_means_nothing(cli: Cli, tmp_path: Path, tree: Path) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    del document["predicate"]["content"]
    document["predicate"]["serialization"]["ignore_paths"].reverse()
    (tmp_path / "p.json").write_text(json.dumps(document))
    assert cli("verify", f"rootfs:{tree}", "--profile", tmp_path / "p.json").code == 0


def test_a_directory_is_called_by_its_content_alone(cli: Cli, tree: Path) -> None:
    (subject,) = json.loads(cli("profile", f"rootfs:{tree}", "--json").stdout)["subject"]
    assert subject["name"] == "content"


def test_attributes_are_in_the_statement(cli: Cli, tmp_path: Path, tree: Path) -> None:
    converter.convert(f"rootfs:{tree}", f"oci:{tmp_path}/l:app")
    document = json.loads(cli("profile", f"oci:{tmp_path}/l", "--json").stdout)
    assert document["predicate"]["attributes"] == {"/etc/app.conf": {"user.note": base64.b64encode(b"yes").decode()}}
