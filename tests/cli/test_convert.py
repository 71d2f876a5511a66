from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from converter import conversion
from converter.cli import convert
from converter.cli.main import main
from converter.cli.results import lines
from converter.conversion import LayerResult, Options, Result, TargetResult
from converter.events import Report, Warned
from converter.model.content import KEEP, Compression
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Loss
from tests.builders.memory import MemoryStore

DIGEST = Digest.of(b"root")
LAYER = Digest.of(b"layer")
IMAGES = Path(__file__).parents[2] / "fixtures/images"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the library was asked; it answers with one target a destination, and one loss."""
    there: dict[str, Any] = {}

    def answer(source: str, destinations: tuple[str, ...], options: Options, report: Report) -> Result:
        there.update(source=source, destinations=destinations, options=options)
        report(Warned("odd"))
        known = not options.dry_run
        targets = [
            TargetResult(
                destination=destination,
                format="aci",
                digest=DIGEST if known else None,
                media_type="application/vnd.appc.image.aci",
                image_id="sha512-ab" if known else None,
                preserved=False,
                losses=(
                    Loss(field="healthcheck", reason="an ACI\x1b[2J has none", kept="an annotation"),
                    Loss(field="shell", reason="an ACI has none"),
                ),
                layers=(LayerResult(source=LAYER, target=None, diff_id=None, relation="squashed"),),
                size=2048,
            )
            for destination in destinations
        ]
        return Result(source=source, targets=tuple(targets), seconds=1.25)

    monkeypatch.setattr(conversion, "convert", answer)
    return there


def test_the_document_of_json(asked: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in", "aci:out.aci", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "source": "oci:in",
        "targets": [
            {
                "destination": "aci:out.aci",
                "name": "",
                "format": "aci",
                "digest": str(DIGEST),
                "source_digest": None,
                "changed_by": [],
                "media_type": "application/vnd.appc.image.aci",
                "image_id": "sha512-ab",
                "preserved": False,
                "losses": [
                    {"field": "healthcheck", "reason": "an ACI\x1b[2J has none", "kept": "an annotation"},
                    {"field": "shell", "reason": "an ACI has none", "kept": ""},
                ],
                "signatures": [],
                "layers": [
                    {
                        "source": str(LAYER),
                        "target": None,
                        "diff_id": None,
                        "relation": "squashed",
                        "reason": "",
                        "sources": [],
                        "size": None,
                    }
                ],
                "size": 2048,
                "seconds": 1.25,
            }
        ],
        "steps": [
            {"name": "read and plan", "began": 0, "ended": 1.25, "size": 0},
            {"name": "write documents, commit", "began": 1.25, "ended": 1.25, "size": 0},
        ],
    }
    assert told.err.splitlines() == [
        "transship: warning: odd",
        "transship: warning: healthcheck: an ACI\\x1b[2J has none; kept in an annotation",
        "transship: warning: shell: an ACI has none; not kept",
    ]


def test_the_text_for_people(asked: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in", "aci:out.aci"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote aci:out.aci",
        "  format aci (application/vnd.appc.image.aci)",
        f"  digest {DIGEST}",
        "  ID     sha512-ab",
        "  layers 1 squashed",
        "  size   2.0 KiB",
        "took 1.2 s",
    ]


@pytest.mark.parametrize(
    "destination, name, shown",
    [
        pytest.param("oci:out", "app:1", "oci:out:app:1", id="a name that it brought"),
        pytest.param("oci:out:app:1", "app:1", "oci:out:app:1", id="a name that was asked for"),
        pytest.param("aci:out.aci", "", "aci:out.aci", id="no name"),
    ],
)
def test_each_image_is_told_by_its_name(destination: str, name: str, shown: str) -> None:
    target = TargetResult(
        destination=destination, name=name, format="oci", digest=DIGEST, media_type="", image_id=None, preserved=False
    )
    told = list(lines(Result(source="in", targets=(target,), seconds=0), dry_run=False))
    assert told[0] == f"wrote {shown}"


def test_an_aci_a_layer_is_told_with_the_files_that_it_needs() -> None:
    rows = tuple(
        LayerResult(source=None, target=target, diff_id=None, relation="retarred") for target in (LAYER, DIGEST)
    )
    target = TargetResult(
        destination="aci:there/out.aci",
        name="",
        format="aci",
        digest=DIGEST,
        media_type="",
        image_id=None,
        preserved=False,
        layers=rows,
    )
    told = list(lines(Result(source="in", targets=(target,), seconds=0), dry_run=False))
    assert told[3:5] == ["  layers 2 rewritten", f"  needs  there/out-{LAYER.encoded[:12]}.aci"]


def test_the_text_of_a_dry_run(asked: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in", "aci:a", "aci:b", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[:4] == [
        "would write aci:a",
        "  format aci (application/vnd.appc.image.aci)",
        "  digest known once it is written",
        "  layers 1 squashed",
    ]
    assert "transship: warning: aci:b: shell: an ACI has none; not kept" in told.err.splitlines()


def test_quiet_is_quiet(asked: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in", "aci:out.aci", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments, fields",
    [
        pytest.param([], {}, id="nothing said"),
        pytest.param(["--to", "docker"], {"to": "docker"}, id="a format"),
        pytest.param(
            ["--platform", "linux/arm/v7", "--platform", "linux/s390x"],
            {"platforms": ("linux/arm/v7", "linux/s390x")},
            id="platforms",
        ),
        pytest.param(["--platform", "all"], {"platforms": ("all",)}, id="all platforms"),
        pytest.param(["--compress", "keep"], {"compress": KEEP}, id="compression as it is"),
        pytest.param(["--compress", "zstd:7"], {"compress": Compression("zstd", 7)}, id="a compression"),
        pytest.param(["--squash"], {"squash": True}, id="squash"),
        pytest.param(["--layered"], {"layered": True}, id="layered"),
        pytest.param(["--all-images"], {"all_images": True}, id="all images"),
        pytest.param(["--aci-path", "a", "--aci-path", "b"], {"aci_paths": (Path("a"), Path("b"))}, id="ACI paths"),
        pytest.param(
            ["--preserve-digests", "--strict", "--dry-run"],
            {"preserve_digests": True, "strict": True, "dry_run": True},
            id="refusals",
        ),
        pytest.param(["--source-date-epoch", "12"], {"epoch": 12}, id="a time"),
        pytest.param(["--jobs", "3"], {"jobs": 3}, id="threads"),
        pytest.param(["--no-attachments"], {"attachments": False}, id="no attachments"),
        pytest.param(["--remove-signatures"], {"remove_signatures": True}, id="no signatures"),
        pytest.param(["--rkt-dev-links"], {"rkt_dev_links": True}, id="links for rkt"),
        pytest.param(["--no-cache"], {"cache": None}, id="no cache"),
    ],
)
def test_options_arrive(arguments: list[str], fields: dict[str, Any], asked: dict[str, Any], here: Path) -> None:
    assert main(["convert", "oci:in", "oci:out", "aci:out.aci", *arguments]) == 0
    options = asked["options"]
    stores = {"store": options.store, "target_store": options.target_store}
    assert options == Options(**{"cache": here / "home/.cache/transship", **stores} | fields)


@pytest.mark.parametrize(
    "arguments, fields",
    [
        pytest.param([], {}, id="nothing said"),
        pytest.param(["--authfile", "a.json"], {"authfile": Path("a.json")}, id="an auth file"),
        pytest.param(["--cert-dir", "c"], {"cert_dir": Path("c")}, id="certificates"),
        pytest.param(["--tls-verify=false"], {"tls_verify": False}, id="plain HTTP"),
        pytest.param(["--tls-verify", "true"], {"tls_verify": True}, id="TLS"),
        pytest.param(["--anonymous"], {"anonymous": True}, id="no password"),
        pytest.param(["--retries", "0", "--timeout", "1.5"], {"retries": 0, "timeout": 1.5}, id="patience"),
    ],
)
def test_options_of_stores_arrive(
    arguments: list[str], fields: dict[str, Any], asked: dict[str, Any], here: Path
) -> None:
    assert main(["convert", "docker://reg.test/app", "oci:out", *arguments]) == 0
    store = asked["options"].store
    told = {name: getattr(store, name) for name in fields}
    assert told == fields


def test_the_environment_is_read_here(asked: dict[str, Any], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "34")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/x.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/auth.json")
    assert main(["convert", "oci:in", "oci:out"]) == 0
    options = asked["options"]
    assert options.epoch == 34
    assert options.cache == here / "cache/transship"
    assert options.store.docker_host == "unix:///run/x.sock"
    assert options.store.environment["REGISTRY_AUTH_FILE"] == "/auth.json"


def test_without_a_home_nothing_is_remembered(
    asked: dict[str, Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    assert main(["convert", "oci:in", "oci:out"]) == 0
    assert asked["options"].cache is None


@pytest.mark.parametrize(
    "arguments, fact",
    [
        pytest.param(["oci:a"], "DEST is missing (see transship convert --help)", id="no destination"),
        pytest.param(["oci:a", "oci:b", "--to", "rkt"], 'unknown --to "rkt" (one of', id="an unknown format"),
        pytest.param(["oci:a", "oci:b", "--platform", "linux"], "expected OS/ARCH", id="half a platform"),
        pytest.param(
            ["oci:a", "oci:b", "--platform", "all", "--platform", "linux/arm"],
            "cannot be used with another",
            id="all and one",
        ),
        pytest.param(["oci:a", "oci:b", "--compress", "lzma"], 'unknown compression "lzma"', id="an unknown codec"),
        pytest.param(["oci:a", "oci:b", "--compress", "gzip:12"], 'invalid gzip level "12"', id="an unknown level"),
        pytest.param(
            ["oci:a", "oci:b", "--compress", "gzip:" + "9" * 5000], 'invalid gzip level "999', id="a level without end"
        ),
        pytest.param(["oci:a", "oci:b", "--jobs", "0"], "--jobs", id="no threads"),
        pytest.param(["oci:a", "oci:b", "--source-date-epoch", "-1"], "--source-date-epoch", id="a time before time"),
        pytest.param(["cd:a", "oci:b"], 'unknown transport "cd"', id="an unknown transport"),
    ],
)
def test_wrong_usage(arguments: list[str], fact: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert fact in told.err
    assert told.err.count("\n") == 1
    assert not list(here.iterdir())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_image_is_typed_in(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["convert", "docker-archive:-", "oci:out"]) == 2
    assert "cannot read an image from a terminal" in capsys.readouterr().err


def test_no_image_is_thrown_at_a_person(asked: dict[str, Any], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    assert main(["convert", "oci:in", "docker-archive:-"]) == 2
    assert main(["convert", "oci:in", "docker-archive:-", "--dry-run"]) == 0
    assert "would write" not in screen.getvalue()


@pytest.mark.parametrize("destination", ["docker-archive:-", "aci:/dev/stdout"])
def test_beside_an_image_on_standard_output_the_report_is_on_standard_error(
    destination: str, asked: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "oci:in", destination]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"wrote {destination}" in told.err
    assert main(["convert", "oci:in", destination, "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["source"] == "oci:in"


def test_a_dash_elsewhere_is_no_standard_output() -> None:
    assert not convert.is_standard_output("oci:a-b:-")
    assert convert.is_standard_output("oci-archive:-:name")


def test_an_identical_copy(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:app", "oci:out:app", "--dry-run", "--json"]) == 0
    forecast = json.loads(capsys.readouterr().out)
    assert not Path("out").exists()
    assert main(["convert", "oci:in:app", "oci:out:app", "--json"]) == 0
    told = capsys.readouterr()
    done = json.loads(told.out)
    assert told.err == ""
    assert done["targets"][0]["preserved"] is True
    for document in (forecast, done):
        del document["targets"][0]["seconds"]
    assert forecast.pop("steps") == []
    assert [step["name"] for step in done.pop("steps")][::3] == ["read and plan", "write documents, commit"]
    assert forecast == done


def test_a_refusal_is_one_line_and_writes_nothing(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:nix", "oci:out"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith('transship: oci:in:nix: no image named "nix" in ')
    assert told.err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "broken, part, fact",
    [
        pytest.param("layer-is-another", "layer[1]", "digest mismatch", id="a layer, when it is copied"),
        pytest.param(
            "digest-of-an-unknown-algorithm", "layer[0]", "unsupported digest", id="a layer, when it is planned"
        ),
        pytest.param("config-digest-is-no-sha256", "/config/digest", "invalid sha256 digest", id="a manifest"),
    ],
)
def test_an_error_names_the_image_and_then_its_part(
    broken: str, part: str, fact: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = IMAGES.glob(f"*/{broken}.tar")
    transport = {"docker-image": "docker-archive", "oci-image": "oci-archive"}[source.parent.name]

    assert main(["convert", f"{transport}:{source}", "oci:out", "--quiet"]) == 1

    said = capsys.readouterr().err
    assert re.match(rf"transship: {transport}:{re.escape(str(source))}(: | > ){re.escape(part)}.*{fact}", said), said


def test_a_platform_of_an_index(index: Descriptor, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:multi:app", "oci:out", "--platform", "linux/arm/v7"]) == 0
    assert main(["inspect", "oci:out", "--json"]) == 0
    assert '"variant": "v7"' in capsys.readouterr().out
    assert main(["convert", "oci:multi:app", "oci:all", "--platform", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"][0]["digest"] == str(index.digest)


def test_a_run_in_a_pipeline(layout: MemoryStore, here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "converter", "convert", "oci:in:app", "oci:out", "--quiet"],
        capture_output=True,
        check=False,
        env=os.environ | {"HOME": str(here)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_limit_that_is_given_holds_for_the_documents_and_the_tars(layout: MemoryStore, here: Path) -> None:
    for limit in ("layers=1", "document=100", "json-values=3", "path=2"):
        assert main(["convert", "--squash", "--limit", limit, "oci:in:app", "oci:out:app"]) == 1
        assert not (here / "out").exists()
    assert main(["convert", "--squash", "--limit", "layers=2", "oci:in:app", "oci:out:app"]) == 0


def test_one_of_several_images_has_to_be_named_or_all_are_converted(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("a", ()), ("b", ("--squash",))):
        assert main(["convert", "oci:in:app", f"oci:two:{name}", *more]) == 0
    assert main(["convert", "oci:two", "oci:out"]) == 1
    assert "two holds 2 images: choose one of a, b; or --all-images" in capsys.readouterr().err


def test_more_images_than_a_conversion_takes(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        assert main(["convert", "oci:in:app", f"oci:many:{name}"]) == 0
    assert main(["convert", "--all-images", "--limit", "images=2", "oci:many", "oci:out"]) == 1
    assert "3 images: at most 2 are allowed (limit: images)" in capsys.readouterr().err
    assert main(["convert", "--all-images", "--limit", "images=3", "oci:many", "oci:out"]) == 0


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir", "rootfs"])
def test_a_target_that_is_a_link_to_itself_is_refused(
    layout: MemoryStore, here: Path, capsys: pytest.CaptureFixture[str], transport: str
) -> None:
    (here / "loop").symlink_to("loop")
    assert main(["convert", "oci:in:app", f"{transport}:loop"]) == 1
    told = capsys.readouterr().err
    assert "loop" in told
    assert "internal error" not in told


def test_the_digest_in_a_file(layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "oci:in:app", "oci:out:app", "dir:second", "--digestfile", "digest"]) == 0
    assert main(["inspect", "oci:out:app", "--format", "digest"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == Path("digest").read_text()
    assert main(["convert", "oci:in:app", "oci:new", "--digestfile", "digest"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert not Path("new").exists()
    assert main(["convert", "oci:in:app", "oci:new", "--digestfile", "digest", "--overwrite"]) == 0
    assert main(["convert", "oci:in:app", "oci:new", "--digestfile", "other", "--dry-run"]) == 2


@pytest.mark.parametrize(
    "source, target, message",
    [
        pytest.param(".", "oci:../out:app", "", id="a layout is read where one stands"),
        pytest.param("oci:.", "oci:../out:app", "", id="with its transport, too"),
        pytest.param("aci:.", "oci:../out:app", ". is a directory: expected a file (try oci:.)", id="it is no ACI"),
        pytest.param("oci:.", "aci:.", ". is a directory: give the name of a file", id="nor is one written over it"),
        pytest.param("oci:.", "aci:/", "/ is a directory: give the name of a file", id="nor over the root"),
        pytest.param("aci:/", "oci:../out:app", "/ is a directory: expected a file", id="which is no ACI either"),
    ],
)
def test_a_path_may_have_no_name(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    target: str,
    message: str,
) -> None:
    assert main(["convert", "-q", str(IMAGES / "docker-image/valid-newest.tar"), "oci:lay:app"]) == 0
    monkeypatch.chdir(here / "lay")
    assert main(["convert", "-q", source, target]) == bool(message)
    assert message in capsys.readouterr().err
