"""Errors of a wrong command line are in this program's words, not in click's."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from converter.cli.main import main
from tests.builders import tar


@pytest.mark.parametrize(
    "line, told",
    [
        pytest.param("convert", "convert: SOURCE is missing (see transship convert --help)", id="no source"),
        pytest.param("convert oci:a", "convert: DEST is missing (see transship convert --help)", id="no destination"),
        pytest.param(
            "inspect a b", 'inspect: unexpected argument "b" (see transship inspect --help)', id="an extra one"
        ),
        pytest.param(
            "convert a b --plattform x",
            "convert: unknown option --plattform: did you mean --platform? (see transship convert --help)",
            id="a typo in an option",
        ),
        pytest.param("--verson", "unknown option --verson: did you mean", id="a typo without a command"),
        pytest.param(
            "convert a b --compres zstd",
            "convert: unknown option --compres: did you mean --compress? (see",
            id="a typo that is close to one option, and less to others",
        ),
        pytest.param("convert a b --tls x", "convert: unknown option --tls: did you mean", id="half of an option"),
        pytest.param(
            "convert a b --format docker",
            "convert: unknown option --format: did you mean --to? (see transship convert --help)",
            id="a format",
        ),
        pytest.param(
            "convert a -o b", "convert: unknown option -o: the destination is the argument DEST (see", id="an output"
        ),
        pytest.param(
            "serve a --src-tls-verify false",
            "serve: unknown option --src-tls-verify: did you mean --tls-verify? (see",
            id="an option for one of two ends, where there is one",
        ),
        pytest.param("serve --port 1", "serve: unknown option --port: did you mean --listen? (see", id="a port"),
        pytest.param(
            "sign a --key k",
            "sign: unknown option --key: did you mean --sign-by? (see",
            id="a secret key",
        ),
        pytest.param(
            "verify a --cosign-key k",
            "verify: unknown option --cosign-key: did you mean --key? (see",
            id="a public key",
        ),
        pytest.param(
            "validate --strict a",
            "validate: unknown option --strict: did you mean --profile strict? (see",
            id="strictness",
        ),
        pytest.param(
            "ls -R a", "ls: unknown option -R: all folders are listed (--depth N for fewer) (see", id="recursion"
        ),
        pytest.param("-v", "unknown option -v: did you mean --debug? (see transship --help)", id="verbosity"),
        pytest.param(
            "ls --verbose a", "ls: unknown option --verbose: did you mean --debug? (see", id="verbosity of one"
        ),
        pytest.param("validate --kind oci a", 'unknown --kind "oci": did you mean oci-image?', id="a format as a kind"),
        pytest.param("convert a b --creds", "--creds needs a value", id="no value"),
        pytest.param(
            "convert a b --squash=yes",
            'option "--squash" does not take a value',
            id="a value too many",
        ),
        pytest.param("cache list", 'cache: unknown command "list"', id="an unknown command of a group"),
        pytest.param("convert a b --to dokcer", 'unknown --to "dokcer": did you mean docker?', id="a typo in a word"),
        pytest.param("convert a b --to zip", 'unknown --to "zip" (one of: oci, docker, aci)', id="an unknown word"),
        pytest.param("completion powershell", 'unknown SHELL "powershell" (one of: bash, zsh, fish)', id="an argument"),
        pytest.param("convert a b --jobs x", 'invalid --jobs "x": expected a whole number', id="no number"),
        pytest.param("sync a b --images 0", "--images is 0: expected 1 or more", id="too small a number"),
        pytest.param("inspect a --timeout 0", "--timeout is 0: expected more than 0", id="no time at all"),
        pytest.param("inspect a --timeout x", 'invalid --timeout "x": expected a number', id="no time"),
        pytest.param("verify a --key none.pub", "none.pub: no such file or directory (--key)", id="no such file"),
        pytest.param(
            "sign a --cosign-key none.key",
            "none.key: no such file or directory (--cosign-key: `cosign generate-key-pair` makes one)",
            id="no key yet",
        ),
        pytest.param("verify a --key .", ". is a folder: expected a file (--key)", id="a folder"),
        pytest.param("verify a --lookaside f", "f is a file: expected a folder (--lookaside)", id="a file"),
        pytest.param("convert a b --digestfile .", ". is a folder: expected a file (--digestfile)", id="a target"),
    ],
)
def test_wrong_usage(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"transship: {told}")
    assert "'" not in shown.err


SYNC_FILES = {
    "oci": "images:\n- from: rootfs:.\n  to: oci:x\n",
    "all": "defaults:\n  overwrite: true\nimages:\n- from: rootfs:.\n",
    "sign": "images:\n- from: rootfs:.\n  sign: k\n",
    "none": "images:\n- from: oci:nosuch\n",
    "word": "listen: 127.0.0.1:0\nimages:\n- from: rootfs:.\n",
    "member": "images:\n- from: rootfs:.\n  squish: yes\n",
    "no-image": "images: []\n",
    "zstd": "images:\n- from: rootfs:.\n  format: docker\n  compress: zstd\n",
    "aci": "defaults:\n  format: aci\nimages:\n- from: rootfs:.\n",
    "twice": "images:\n- from: rootfs:a\n  rename: app:1\n- from: rootfs:b\n  rename: app:1\n",
}


def test_a_wrong_value_in_the_environment_is_said_to_be_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(["convert", "oci:a", "oci:b"]) == 2
    assert capsys.readouterr().err == 'transship: invalid SOURCE_DATE_EPOCH "yesterday": expected a whole number\n'


@pytest.mark.parametrize(
    "line, told",
    [
        pytest.param(
            "convert app:1 oci:x",
            "docker://app:1 (a registry), docker-daemon:app:1 (the Docker Engine) or oci:app:1",
            id="a name",
        ),
        pytest.param("convert http://r.example/a:1 oci:x", "docker://r.example/a:1 --tls-verify=false", id="a URL"),
        pytest.param("convert oci:x -", "say docker-archive:-, oci-archive:- or aci:-", id="a bare dash"),
        pytest.param("inspect oci:x@sha256:abc", 'invalid sha256 digest "abc": expected 64', id="half a digest"),
        pytest.param("inspect docker://r.example/", "docker://r.example/ holds many images: choose", id="a registry"),
        pytest.param("tags oci:x:app", "oci:x:app names one image: `transship tags oci:x` lists all", id="an image"),
        pytest.param("tags docker://r.example/a:1", "`transship tags docker://r.example/a` lists all", id="a tag"),
        pytest.param("tags docker://localhost:5000", "`transship tags docker://localhost:5000/` lists", id="a port"),
        pytest.param(
            "inspect docker://127.0.0.1:5000",
            "no repository: docker://127.0.0.1:5000/REPO[:TAG], or",
            id="a host alone",
        ),
        pytest.param("convert rootfs:. docker://localhost", "names no repository: docker://localhost/", id="to a host"),
        pytest.param(
            "convert twice.tar.gz oci:x",
            "twice.tar.gz: compressed twice (gzip in gzip): decompress",
            id="gzip twice",
        ),
        pytest.param(
            "convert text.gz oci:x",
            'starts with "hello" is not a tar, below its compression (gzip)',
            id="a gzip",
        ),
        pytest.param("convert tree.tar oci:x", "(the tar of a root file system: rootfs:tree.tar)", id="a plain tar"),
        pytest.param(
            "convert cut.tar oci:x", "end of archive at byte 700: 824 bytes of a file are", id="a cut download"
        ),
        pytest.param("serve oci.yaml", "oci.yaml is a sync file: add it with --config\n", id="a list as a source"),
        pytest.param("serve a --store f", "f is a file: expected a folder for the store\n", id="a file as the store"),
        pytest.param("serve a --store .", ". is neither empty nor a store: choose", id="a folder of something else"),
        pytest.param(
            "serve a --store oci:x", "--store oci:x: expected a folder, or docker://HOST/REPO", id="another place"
        ),
        pytest.param(
            "serve a --store s --tls-cert no.pem", "use the certificate: no.pem: no such file", id="no certificate"
        ),
        pytest.param(
            "serve a --store s --tls-cert f", "use the certificate f: it is not in PEM, or has no key", id="no key"
        ),
        pytest.param(
            "serve a --store s --tls-cert f --tls-key f2", "use the certificate: f2: no such file or", id="a lost key"
        ),
        pytest.param("serve aci:nosuch", "transship: nosuch: no such file or directory\n", id="nothing to serve"),
        pytest.param(
            "serve --config oci.yaml", 'oci.yaml > line 3: "to" has no effect here: images are served,', id="a target"
        ),
        pytest.param(
            "serve --config all.yaml", 'all.yaml > line 2: "overwrite" has no effect here: nothing is', id="of all"
        ),
        pytest.param(
            "serve --config sign.yaml", 'sign.yaml > line 2: signing is not possible here: leave out "sign"', id="a key"
        ),
        pytest.param("serve --config none.yaml", "none.yaml: nosuch: no such file or directory", id="a missing source"),
        pytest.param("serve --config word.yaml", "besides defaults and images is a registry", id="an unknown setting"),
        pytest.param(
            "serve --config member.yaml", 'line 3: images.0: unknown member "squish" (docs', id="a wrong word"
        ),
        pytest.param("serve --config no-image.yaml", "nothing to serve: no-image.yaml names no source", id="no image"),
        pytest.param(
            "serve --config zstd.yaml",
            "rootfs:.: Docker manifests cannot hold zstd layers: use --to oci or --compress gzip\n",
            id="zstd for Docker",
        ),
        pytest.param(
            "serve rootfs:. --to docker --compress zstd:3", "hold zstd layers: use --to oci or", id="on the line"
        ),
        pytest.param(
            "serve --config aci.yaml", "rootfs:.: registries cannot hold ACIs: leave out --to aci, rkt", id="ACIs"
        ),
        pytest.param(
            "serve --config twice.yaml",
            "rootfs:a:@0 and rootfs:b:@0 would both become docker://localhost/app:1: use other names (--rename",
            id="one name for two sources",
        ),
        pytest.param(
            "serve a --listen 5000", "with a port up to 65535 (did you mean 127.0.0.1:5000?)", id="a port alone"
        ),
        pytest.param(
            "serve a --listen h:99999", "expected HOST:PORT, with a port up to 65535\n", id="too large a port"
        ),
        pytest.param(
            "convert rootfs:. oci:/proc/x", "cannot write in /proc: it takes no new files", id="no place at all"
        ),
        pytest.param("inspect oci://x", "//x: no such file or directory (did you mean x?)", id="a path as a URL"),
        pytest.param(
            "convert rootfs:. oci://x", "begins like a URL: say oci:x, or oci:/x for a path", id="a URL to write"
        ),
        pytest.param("convert rootfs:. dir:///x --dry-run", "say dir:x, or dir:/x for a path from", id="three slashes"),
        pytest.param("inspect OCI:x", 'unknown transport "OCI": did you mean oci?', id="capitals"),
        pytest.param("inspect docker:a.tar", "or docker-archive:a.tar for a file", id="docker for an archive"),
        pytest.param("inspect oci:.", "oci-layout: no such file: . is not an OCI layout", id="a folder as a layout"),
        pytest.param("inspect oci:x --tls-verify=maybe", 'invalid --tls-verify "maybe": expected true or', id="maybe"),
    ],
)
def test_a_reference_that_says_too_little_or_too_much(
    line: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = tar({"etc/name": b"x" * 1012})
    for file, data in {
        "twice.tar.gz": gzip.compress(gzip.compress(plain)),
        "text.gz": gzip.compress(b"hello"),
        "tree.tar": plain,
        "cut.tar": plain[:700],
    }.items():
        (tmp_path / file).write_bytes(data)
    for name, text in SYNC_FILES.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "f").touch()
    assert main(line.split()) in (1, 2)
    shown = capsys.readouterr().err
    assert told in shown
    assert "docker://r.example/: docker://r.example/" not in shown


def test_a_trail_is_not_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sync", "a", "oci:b"]) == 1
    told = capsys.readouterr()
    assert told.err == "transship: a: no such file or directory (an image in a registry: docker://a)\n"
    assert told.out.startswith("1 image: 1 failed")
