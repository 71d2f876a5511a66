from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.cli.image_rows import index_rows, layer_rows, step_text
from converter.cli.main import main
from converter.model import media_types as types
from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import History, Image, Index, IndexEntry
from converter.model.platform import Platform
from converter.schema import check_document
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.builders.saved import classic, write_tar
from tests.cli.conftest import put


def inspected(reference: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["inspect", reference]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def test_json_is_the_neutral_model(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:in:app", "--json"]) == 0
    text = capsys.readouterr().out
    assert check_document(text.encode(), "image") == ()
    document = json.loads(text)
    assert document["kind"] == "image"
    assert document["config"]["entrypoint"] == ["/bin/app"]
    assert document["foreign"]["docker"]["docker_version"] == "26.1.5"


def test_json_of_an_index(index: Descriptor, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:multi:app", "--json"]) == 0
    text = capsys.readouterr().out
    assert check_document(text.encode(), "image") == ()
    platforms = [entry["descriptor"]["platform"] for entry in json.loads(text)["entries"]]
    assert platforms == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
        {"os": "linux", "architecture": "arm64"},
    ]


def test_the_text_of_an_image(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    told = inspected("oci:in:app", capsys)
    for row in (
        "  name        app",
        "  format      oci",
        "  platform    linux/amd64",
        "  created     2024-05-06T07:08:09Z",
        '  entrypoint  ["/bin/app"]',
        "  environment PATH=/bin",
        "  ports       80/tcp",
        "  labels      org.example.team=blue",
        "  stop signal SIGINT",
    ):
        assert row in told.splitlines()
    assert "\n  layers      2, " in told
    assert "  tar+gzip  step 1  sha256:" in told
    assert "ENV (no layer)" in told


@pytest.mark.parametrize("reference", ["docker-archive:app.tar", "app.tar"])
def test_what_docker_loads_has_the_format_that_convert_says(
    reference: str, layout: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "oci:in:app", "docker-archive:app.tar"]) == 0
    kind = "application/vnd.oci.image.manifest.v1+json"
    assert f"  format docker, OCI manifest ({kind})" in capsys.readouterr().out.splitlines()
    told = inspected(reference, capsys).splitlines()
    assert "  format      docker, OCI manifest" in told
    assert f"  media type  {kind}" in told


@pytest.mark.parametrize(
    "created, made_by, shown",
    [
        pytest.param("2024-05-06T07:08:09Z", "RUN x", "2024-05-06T07:08:09Z  RUN x", id="a second"),
        pytest.param("2024-05-06T07:08:09.123456789Z", "RUN x", "2024-05-06T07:08:09Z  RUN x", id="less than a second"),
        pytest.param("", "RUN \tx \n  y", f"{'':20}  RUN x y", id="white space of a script"),
        pytest.param("", "", f"{'':20}  no command", id="nothing"),
    ],
)
def test_a_step_of_the_history(created: str, made_by: str, shown: str) -> None:
    assert step_text(History(created=created, created_by=made_by)) == shown


def test_the_text_of_an_index(index: Descriptor, capsys: pytest.CaptureFixture[str]) -> None:
    told = inspected("oci:multi:app", capsys)
    assert f"  digest      {index.digest}" in told.splitlines()
    assert "  images      3" in told.splitlines()
    assert "linux/arm/v7" in told


def test_nothing_in_an_image_steers_the_terminal(here: object, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    hostile = "\x1b]0;owned\x07\u202e\n"
    config = {
        "os": "linux",
        "architecture": "amd64",
        "author": hostile,
        "config": {
            "Env": [f"A={hostile}"],
            "Cmd": [hostile],
            "User": hostile,
            "Labels": {f"a{hostile}": hostile},
            "WorkingDir": hostile,
        },
    }
    put(store, add_image(store, config=config, name=""), "app")
    told = inspected("oci:in:app", capsys)
    assert told.replace("\n", "").isprintable()
    assert "  author      \\x1b]0;owned\\x07\\u202e\\n" in told.splitlines()
    assert main(["inspect", "oci:in:app", "--json"]) == 0
    text = capsys.readouterr().out
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)["author"] == hostile


def test_a_label_that_is_a_document_is_cut(here: object, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    config = {"os": "linux", "architecture": "amd64", "config": {"Labels": {"long": "x" * 5000, "short": "y"}}}
    put(store, add_image(store, config=config, name=""), "app")
    told = inspected("oci:in:app", capsys)
    assert "x" * 200 + "… (5,000 characters)\n" in told
    assert "short=y\n" in told
    assert main(["inspect", "oci:in:app", "--json"]) == 0
    assert "x" * 5000 in capsys.readouterr().out


def test_what_is_not_there(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:in"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "app, other" in told.err


@pytest.mark.parametrize("more, shown", [([], "app\nother\n"), (["--json"], None)])
def test_tags(more: list[str], shown: str | None, layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tags", "oci:in", *more]) == 0
    told = capsys.readouterr().out
    if shown is not None:
        assert told == shown
    else:
        assert json.loads(told) == {"reference": "oci:in", "tags": ["app", "other"]}


def test_an_aci(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:app", "aci:app.aci", "--quiet"]) == 0
    told = inspected("aci:app.aci", capsys)
    assert told.splitlines()[1:3] == ["  name        app", "  format      aci"]
    assert "  image ID    sha512-" in told
    assert "appc.io/aci/manifest" not in told
    assert main(["inspect", "aci:app.aci", "--json"]) == 0
    text = capsys.readouterr().out
    assert check_document(text.encode(), "image") == ()
    assert json.loads(text)["layers"][0]["derived_from"][0]["media_type"] == types.ACI


def artifact(store: MemoryStore, subject: Descriptor) -> Descriptor:
    """A signature of an image, as oras would attach it."""
    empty, blob = store.add(b"{}", types.OCI_EMPTY), store.add(b"signed", "text/plain")
    document = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": empty.to_json(),
        "layers": [blob.to_json()],
        "subject": subject.bare().to_json(),
    }
    return store.add(json.dumps(document).encode(), types.OCI_MANIFEST)


def test_an_artifact_and_what_it_speaks_of(here: object, capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    image = add_image(store, name="")
    put(store, image, "app")
    put(store, artifact(store, image), "signature")
    told = inspected("oci:in:signature", capsys)
    assert "  artifact    application/vnd.example.signature" in told.splitlines()
    assert f"  speaks of   {image.digest}" in told.splitlines()
    assert "     6 bytes  text/plain  sha256:" in told
    assert "  attached    oci.image.manifest.v1+json  sha256:" in inspected("oci:in:app", capsys)
    assert main(["inspect", "oci:in:app", "--json"]) == 0
    text = capsys.readouterr().out
    assert check_document(text.encode(), "image") == ()
    assert json.loads(text)["attachments"][0]["subject"] == str(image.digest)
    assert main(["diff", "oci:in:app", "oci:in:signature"]) == 2
    assert (
        'cannot compare an artifact of type "application/vnd.example.signature": expected an image'
        in capsys.readouterr().err
    )


def test_schema_1_has_no_sizes_and_attestations_no_platform() -> None:
    layer = Layer(content=Known(Descriptor(media_type="", digest=Digest.of(b""), size=-1, urls=("https://x",)), list))
    image = Image(platform=Platform(os="linux", architecture="amd64"), layers=(layer,))
    told = list(layer_rows(image))[1][1]
    assert told == f"   unknown  no media type  {Digest.of(b'')}  at https://x"
    row = Descriptor.of(b"", types.OCI_MANIFEST, annotations={"vnd.docker.reference.digest": "sha256:1"})
    number, (_, told) = index_rows(Index(entries=(IndexEntry(descriptor=row),)))
    assert number == ("images", "0, 1 attestation")
    assert told == f"attestation  of sha256:1  {row.digest}"


def test_images_of_one_platform_differ_in_the_version_of_their_system() -> None:
    platform = Platform(os="windows", architecture="amd64", os_version="10.0.20348.1")
    row = Descriptor.of(b"", types.OCI_MANIFEST, platform=platform)
    told = list(index_rows(Index(entries=(IndexEntry(descriptor=row),))))[1][1]
    assert told == f"windows/amd64  OS version 10.0.20348.1  {row.digest}"


@pytest.mark.parametrize("at", [pytest.param("@{}", id="as in a registry"), pytest.param(":@{}", id="after a colon")])
def test_every_manifest_of_a_layout_is_there_by_its_digest(
    at: str, index: Descriptor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "oci:multi:app", "--json"]) == 0
    below = [entry["descriptor"]["digest"] for entry in json.loads(capsys.readouterr().out)["entries"]]
    for digest in (str(index.digest), *below):
        assert f"  digest      {digest}" in inspected("oci:multi" + at.format(digest), capsys).splitlines()


def test_an_image_that_docker_saved_is_there_by_the_digest_that_it_is_shown_with(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tar(here / "in.tar", classic(tags=["app:1"]))
    told = inspected("docker-archive:in.tar", capsys).splitlines()
    digest, image_id = (next(row.split()[-1] for row in told if label in row) for label in ("  digest", "  image ID"))
    for one in (digest, image_id):
        assert inspected(f"docker-archive:in.tar@{one}", capsys).splitlines()[1:] == told[1:]


@pytest.mark.parametrize("reference", ["oci:in@sha256:{}", "docker-archive:in.tar@sha256:{}", "dir:in@sha256:{}"])
def test_a_digest_that_is_not_there(
    reference: str, here: Path, layout: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tar(here / "in.tar", classic(tags=["app:1"]))
    assert main(["inspect", reference.format("0" * 64)]) == 1
    assert "0" * 64 in capsys.readouterr().err


def test_one_image_of_an_index(index: Descriptor, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:multi:app", "--platform", "linux/arm64"]) == 0
    told = capsys.readouterr().out
    assert "  platform    linux/arm64" in told.splitlines()
    assert str(index.digest) not in told
    assert main(["inspect", "oci:multi:app", "--platform", "linux/s390x"]) == 1
    assert "(available: linux/amd64, linux/arm/v7, linux/arm64)" in capsys.readouterr().err


def test_documents_byte_for_byte(index: Descriptor, layout: MemoryStore, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["oci:multi:app", "--raw"], ["oci:in:app", "--raw"]):
        assert main(["inspect", *arguments]) == 0
        data = capfd.readouterr().out.encode()
        assert main(["inspect", arguments[0], "--format", "{{.Digest}}"]) == 0
        assert str(Digest.of(data)) == capfd.readouterr().out.strip()
    assert main(["inspect", "oci:multi:app", "--platform", "linux/arm64", "--config"]) == 0
    data = capfd.readouterr().out.encode()
    assert json.loads(data)["architecture"] == "arm64"
    assert main(["inspect", "oci:multi:app", "--platform", "linux/arm64", "--format", "image_id"]) == 0
    assert str(Digest.of(data)) == capfd.readouterr().out.strip()
    assert main(["convert", "oci:in:app", "aci:app.aci", "--quiet"]) == 0
    assert main(["inspect", "aci:app.aci", "--raw"]) == 0
    assert json.loads(capfd.readouterr().out)["acKind"] == "ImageManifest"
    assert main(["inspect", "aci:app.aci", "--config"]) == 1
    assert "--raw prints the document that it has" in capfd.readouterr().err


@pytest.mark.parametrize(
    "template, told",
    [
        pytest.param("{{.Os}}/{{.Architecture}}", "linux/amd64", id="the platform"),
        pytest.param("{{.Env}}", '["PATH=/bin"]', id="the environment"),
        pytest.param("labels.org.example.team", "blue", id="a label"),
        pytest.param("config.stop_signal", "SIGINT", id="a member of the model"),
        pytest.param("{{.Name}} {{.Format}}", "app oci", id="the name"),
    ],
)
def test_a_value_for_a_script(
    template: str, told: str, layout: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "oci:in:app", "--format", template]) == 0
    assert capsys.readouterr().out == f"{told}\n"


def test_one_thing_is_printed(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:in:app", "--raw", "--json"]) == 2
    assert "--json and --raw print different things: choose one" in capsys.readouterr().err


def test_what_layers_do_is_told_if_they_are_read(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "oci:in:app", "--contents"]) == 0

    told = capsys.readouterr().out
    assert "3 bytes of files wasted" in told
    assert "1 file added, 0 replaced, 0 deleted; 3 bytes wasted" in told
    assert "1 file added, 0 replaced, 1 deleted; 0 bytes wasted" in told
