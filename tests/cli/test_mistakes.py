"""What newcomers get wrong on the command line: nothing is lost, and they are told the way on."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

import converter
from converter.cli.main import main
from tests.builders.memory import MemoryStore

FILES = {
    "empty.yaml": "",
    "texts.yaml": "images:\n- app.tar\n",
    "pattern.yaml": "images:\n- from: '*.tar'\n  to: oci:new\n",
    "empty.json": "",
    "cert.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.fixture
def images(layout: MemoryStore, keys: Path) -> Path:
    """``app.tar``, ``app.aci``, a folder ``tree``, keys, and files that are wrong."""
    for place in ("docker-archive:app.tar:team/app:1", "aci:app.aci", "rootfs:tree"):
        converter.convert("oci:in:app", place)
    Path("tree", "file").touch()
    for name, text in FILES.items():
        Path(name).write_text(text)
    return keys


def digests(folder: Path) -> dict[str, str]:
    """Of all files, but for what is remembered at home."""
    files = (path for path in folder.rglob("*") if path.is_file() and "home" not in path.parts)
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "line, status, told",
    [
        pytest.param(
            "inspect .", 1, ". is a folder of images: name one, as in app.aci (`transship sync`", id="a folder"
        ),
        pytest.param(
            "inspect docker-archive:.", 1, "(images are in it, such as app.aci: `tr", id="a folder of archives"
        ),
        pytest.param(
            "inspect oci-archive:in", 1, "in is a directory: expected a file (try oci:in)", id="a layout as a file"
        ),
        pytest.param("inspect dir:in", 1, "no such file: in is not a dir: image (try oci:in)", id="a layout as a dir:"),
        pytest.param(
            "inspect aci:app.tar",
            1,
            'has no file "manifest" (other archives: docker-archive:',
            id="an archive as an ACI",
        ),
        pytest.param(
            "inspect *.tar", 1, "*.tar: no such file or directory (patterns are not", id="a pattern in quotes"
        ),
        pytest.param(
            "validate file:*",
            1,
            "file:*: no such file or directory (patterns are not expanded here: name the files)",
            id="a pattern of documents in quotes",
        ),
        pytest.param("inspect ~/app.tar", 1, "~/app.tar: no such file or directory (~ does not", id="a home in quotes"),
        pytest.param(
            "convert oci:in:app oci:tree", 1, "tree is neither empty nor an OCI layout: choose", id="a full folder"
        ),
        pytest.param("convert oci:in:app oci:app.tar/new", 1, "app.tar: not a directory", id="a folder in a file"),
        pytest.param(
            "convert oci:in:app dir:tree", 1, "neither empty nor a dir: image: choose", id="a full folder for dir:"
        ),
        pytest.param(
            "convert rootfs:tree oci:tree/out",
            2,
            "oci:tree/out is in rootfs:tree, and would be part of",
            id="into itself",
        ),
        pytest.param(
            "convert rootfs:. oci:out", 2, "oci:out is in rootfs:., and would be part of itself: choose", id="all here"
        ),
        pytest.param(
            "convert app.tar docker-archive:new.tar --digestfile ./new.tar",
            2,
            "new.tar is named twice",
            id="two in a file",
        ),
        pytest.param(
            "convert app.tar oci:new --digestfile r.json --report ./r.json",
            2,
            "is named twice",
            id="two reports in one",
        ),
        pytest.param(
            "convert app.tar docker-archive:- --digestfile -", 2, "- is named twice", id="two on standard output"
        ),
        pytest.param(
            "convert app.tar docker://r.example/a --src-creds a:b",
            2,
            "(it takes a source docker:// or appc:); for a destination: --dest-creds",
            id="the other end's credentials",
        ),
        pytest.param("sync app.tar new", 2, 'destination "new" has no transport: say', id="a bare destination"),
        pytest.param("sync empty.yaml oci:new", 1, 'empty.yaml: the file is empty: expected "images"', id="no list"),
        pytest.param("sync texts.yaml oci:new", 1, "images.0: expected an object, found", id="a list of texts"),
        pytest.param("sync texts.yaml oci:new", 1, "(write: - from: app.tar)", id="a list of texts, corrected"),
        pytest.param(
            "sync pattern.yaml", 1, "(patterns are not expanded here: name the folder)", id="a pattern in a file"
        ),
        pytest.param(
            "validate empty.json --kind oci-index", 1, "error: /: the document is empty  [json/", id="nothing"
        ),
        pytest.param(
            "convert app.tar oci:new --platform linux/amd64,linux/arm64",
            2,
            "for several, repeat the option",
            id="a list",
        ),
        pytest.param(
            "inspect docker://me:secret@r.example/app", 1, "use --creds USER:PASSWORD\n", id="a password in a reference"
        ),
        pytest.param(
            "validate app.tar --kind oci-index", 1, "an image, not a JSON document: leave out --kind oci-in", id="a tar"
        ),
        pytest.param(
            "validate oci:in:app --kind oci-config", 1, "an image, not a JSON document: leave out --kind", id="a layout"
        ),
        pytest.param(
            "sign oci:in:app --sign-by texts.yaml --identity a/b:1",
            1,
            "no secret key in texts.yaml: exp",
            id="no key file",
        ),
        pytest.param("sign oci:in:app --sign-by none.key", 1, "none.key: no such file or directory", id="no key"),
        pytest.param(
            "sign oci:in:app --sign-by cert.pem", 1, "is a certificate: expected the private key", id="no secret"
        ),
        pytest.param(
            "sign oci:in:app --sign-by cosign.key", 2, "no name to sign: add --identity REPO:TAG", id="no name"
        ),
        pytest.param(
            "convert oci:in:app oci:new:app --sign-by cosign.key",
            2,
            "no name to sign: add --sign-identity REPO:TAG",
            id="no name for what is made",
        ),
        pytest.param(
            "verify oci:in:app --certificate-chain texts.yaml",
            1,
            "no valid certificate in --certificate-chain texts.yaml: expected PEM",
            id="no certificate",
        ),
        pytest.param("sign app.tar --sign-by cosign.key", 1, "to an archive, which is written whole", id="an archive"),
        pytest.param("sign rootfs:tree --sign-by cosign.key", 1, "no signature can be kept in rootfs:", id="no place"),
        pytest.param("sign app.aci --sign-by cosign.key", 1, "of another kind: use --gpg-key", id="an ACI"),
    ],
)
def test_a_mistake_is_told_with_the_way_on(
    line: str, status: int, told: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(images)
    assert main(line.split()) == status
    shown = capsys.readouterr()
    assert told in shown.err + shown.out
    assert digests(images) == before


def test_a_list_that_is_no_json_is_warned_of(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("CMD ['/bin/app']", "CMD /bin/app", 'CMD ["/bin/app"]'):
        assert main(["convert", "oci:in:app", "oci:new", "--change", text, "--dry-run"]) == 0
    told = "the list is not valid JSON, so it becomes a line for the shell, as in Docker"
    assert capsys.readouterr().err == f"transship: warning: --change CMD ['/bin/app']: {told}\n"


def test_a_digest_on_standard_output_is_alone_there(images: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:app", "oci:new", "--digestfile", "-"]) == 0
    shown = capfd.readouterr()
    assert main(["inspect", "oci:new", "--format", "digest"]) == 0
    assert shown.out == capfd.readouterr().out
    assert shown.err.startswith("wrote oci:new")


@pytest.mark.parametrize("number, line", [(0, "inspect docker-archive:-"), (1, "convert oci:in:app docker-archive:-")])
def test_a_closed_stream_is_called_by_its_name(
    number: int, line: str, images: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = os.dup(number)
    os.close(number)
    try:
        status = main(line.split())
    finally:
        os.dup2(kept, number)
        os.close(kept)
    assert status == 1
    assert capfd.readouterr().err == f"transship: standard {'output' if number else 'input'} is closed\n"
