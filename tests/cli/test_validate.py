"""``transship validate`` and ``transship schema``: what they print, and the status they end with."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from converter.cli.finding_formats import WRITERS, Checked
from converter.cli.run import run
from converter.schema import KINDS, Finding, bundled_schema, schema_of
from converter.validate import all_rules

ROOT = Path(__file__).parent.parent.parent
GOOD = '{"imageLayoutVersion": "1.0.0"}'
WHY = "schema/oci-layout/enum; image-spec 1.1.1, image-layout.md, oci-layout file"
BAD = '{"imageLayoutVersion": "2.0.0"}'
WARNED = '{"imageLayoutVersion": "1.0.0", "x": "\\ud800"}'


@pytest.fixture
def good(tmp_path: Path) -> str:
    return written(tmp_path / "good.json", GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return written(tmp_path / "bad.json", BAD)


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_valid_document_is_said_to_be_so(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", good]) == 0
    assert capsys.readouterr().out == f"{good}: oci-layout: valid\n"


@pytest.mark.parametrize(
    "text, level, status",
    [
        pytest.param(GOOD, "warning", 0, id="nothing is wrong"),
        pytest.param(WARNED, "error", 0, id="a warning is let pass"),
        pytest.param(WARNED, "warning", 1, id="a warning fails where that is asked for"),
        pytest.param(BAD, "error", 1, id="an error fails"),
        pytest.param(BAD, "warning", 1, id="an error fails where warnings do"),
    ],
)
def test_the_status_follows_what_is_to_fail(tmp_path: Path, text: str, level: str, status: int) -> None:
    target = written(tmp_path / "document.json", text)

    assert run(["validate", "--kind", "oci-layout", "--fail-on", level, target]) == status


def test_quiet_says_nothing_of_what_is_well(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--quiet", good, bad]) == 1
    assert good not in capsys.readouterr().out


def test_findings_stand_below_their_document(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--kind", "oci-layout", bad, good]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{bad}: oci-layout: invalid",
        f'  error: /imageLayoutVersion: expected "1.0.0", found "2.0.0"  [{WHY}]',
        f"{good}: oci-layout: valid",
        "2 targets, 1 invalid",
    ]


def test_json_is_a_list_in_the_order_of_the_targets(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--format", "json", bad, good]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "target": bad,
            "kind": "oci-layout",
            "valid": False,
            "findings": [
                {
                    "path": "/imageLayoutVersion",
                    "rule": "schema/oci-layout/enum",
                    "message": 'expected "1.0.0", found "2.0.0"',
                    "spec": "image-spec 1.1.1, image-layout.md, oci-layout file",
                    "severity": "error",
                }
            ],
        },
        {"target": good, "kind": "oci-layout", "valid": True, "findings": []},
    ]


def test_json_and_the_rules_are_as_published(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads((ROOT / "schemas/verdicts.json").read_bytes())
    assert run(["validate", "--json", bad, f"oci:{bad}", f"{bad}.none"]) == 1
    verdicts = json.loads(capsys.readouterr().out)
    jsonschema.validate(verdicts, described)
    # Nothing but what is described.
    members = described["items"]["properties"]
    assert {name for verdict in verdicts for name in verdict} == set(members)
    of_findings = {name for verdict in verdicts for one in verdict["findings"] for name in one}
    assert of_findings == set(members["findings"]["items"]["properties"])

    assert run(["validate", "--list-rules", "--json"]) == 0
    listed = capsys.readouterr().out
    published = (ROOT / "fixtures/rules.json").read_text()
    assert listed == published, "run bin/transship validate --list-rules --json > fixtures/rules.json"


def test_the_flag_json_is_the_format_json(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--json", good]) == 0
    assert json.loads(capsys.readouterr().out)[0]["valid"] is True


def test_standard_input_is_a_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))

    assert run(["validate", "-"]) == 0
    assert capsys.readouterr().out == "-: oci-layout: valid\n"


@pytest.mark.parametrize(
    "profile, status",
    [
        pytest.param("compat", 0, id="what the reference takes is valid by default"),
        pytest.param("strict", 1, id="what the text forbids is invalid under strict"),
    ],
)
def test_profiles(profile: str, status: int, tmp_path: Path) -> None:
    warned = written(tmp_path / "warned.json", WARNED)

    assert run(["validate", "--profile", profile, warned]) == status


@pytest.mark.parametrize(
    "arguments, status, said",
    [
        pytest.param(["validate"], 2, "TARGET is missing", id="no target"),
        pytest.param(["validate", "no/such"], 1, "no/such: no such file or directory", id="no file"),
        pytest.param(["validate", "--kind", "x", "y"], 2, "--kind", id="an unknown kind"),
        pytest.param(["schema", "x"], 2, "x", id="the schema of an unknown kind"),
    ],
)
def test_refusals(arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, said",
    [
        pytest.param("{}", "cannot tell the kind of the document: add --kind", id="any object"),
        pytest.param("[]", "cannot tell the kind of the document: add --kind", id="any array"),
        pytest.param("docker", "neither an image nor a JSON document: invalid JSON: expecting", id="words"),
        pytest.param("", "neither an image nor a JSON document: the document is empty", id="nothing"),
    ],
)
def test_a_document_of_no_known_kind_is_invalid(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", written(tmp_path / "any.json", text)]) == 1
    assert f"unknown: invalid\n  error: /: {said}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "other, fact",
    [
        pytest.param("no/such.json", "no/such.json: no such file", id="a file that is not there"),
        pytest.param("oci:no/such", "no/such: no such file or directory", id="an image that is not there"),
        pytest.param("any.json", "cannot tell the kind of the document", id="a document of no known kind"),
        pytest.param("docker://127.0.0.1:1/app:1", "127.0.0.1:1", id="a registry that does not answer"),
    ],
)
def test_what_cannot_be_read_among_several_is_a_finding(
    other: str, fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "any.json", "{}")
    good = written(tmp_path / "good.json", GOOD)

    assert run(["validate", "--format", "json", other, good]) == 1

    first, second = json.loads(capsys.readouterr().out)
    assert (first["valid"], first["findings"][0]["rule"]) == (False, "image/unreadable")
    assert fact in first["findings"][0]["message"]
    assert second["valid"]


def test_junit_has_a_case_a_target_and_one_failure_each(
    good: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = written(tmp_path / "warned.json", WARNED)

    assert run(["validate", "--format", "junit", good, bad, warned]) == 1

    suites = ET.fromstring(capsys.readouterr().out)
    assert suites.tag == "testsuites"
    (suite,) = suites
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert [case.get("name") for case in suite] == [good, bad, warned]
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["system-out"]]
    failure = suite[1][0]
    assert failure.get("message") == 'expected "1.0.0", found "2.0.0"'
    assert failure.get("type") == "schema/oci-layout/enum"


def test_junit_holds_no_character_that_xml_forbids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = written(tmp_path / "nasty.json", json.dumps({"imageLayoutVersion": "<\x00\x1b[31m&]]>"}))

    run(["validate", "--format", "junit", nasty])

    ET.fromstring(capsys.readouterr().out)


def test_github_annotations_are_workflow_commands(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", "--format", "github", bad])

    (line,) = capsys.readouterr().out.splitlines()
    where = f"file={bad},line=1,col=24,title=schema/oci-layout/enum"
    assert line.startswith(f'::error {where}::/imageLayoutVersion: expected "1.0.0"')


def test_the_line_is_said_in_a_document_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several = written(tmp_path / "several.json", json.dumps(json.loads(BAD), indent=1))

    run(["validate", several])

    assert '  error: /imageLayoutVersion (line 2): expected "1.0.0"' in capsys.readouterr().out


def test_on_a_terminal_the_verdict_and_the_severity_have_colours(
    good: str, bad: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converter.cli.text.coloured", lambda _: True)

    run(["validate", "--kind", "oci-layout", good, bad])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("\x1b[32mvalid\x1b[0m")
    assert lines[1].endswith("\x1b[31minvalid\x1b[0m")
    assert lines[2].startswith("\x1b[31m  error: \x1b[0m\x1b[1m/imageLayoutVersion: \x1b[0mexpected ")


def test_github_annotations_cannot_be_forged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = written(tmp_path / "a,b.json", json.dumps({"imageLayoutVersion": "\n::error::forged"}))

    run(["validate", "--format", "github", nasty])

    (line,) = capsys.readouterr().out.splitlines()
    assert "file=" in line
    assert "a%2Cb.json" in line


def test_sarif_is_of_version_2_1_0_and_describes_its_rules(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", "--format", "sarif", bad])

    log: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (only,) = log["runs"]
    assert [rule["id"] for rule in only["tool"]["driver"]["rules"]] == ["schema/oci-layout/enum"]
    (result,) = only["results"]
    assert (result["ruleId"], result["level"]) == ("schema/oci-layout/enum", "error")
    (place,) = result["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == bad
    assert place["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 24}
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "/imageLayoutVersion"


IMAGES = Path(__file__).parent.parent.parent / "fixtures/images"
IMAGE, BROKEN = f"oci-archive:{IMAGES}/oci-image/valid-index.tar", str(IMAGES / "oci-image/layer-is-shorter.tar")


def test_images_and_documents_are_judged_in_one_call(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", IMAGE, good, BROKEN]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"{IMAGE}: oci-image: valid", f"{good}: oci-layout: valid", f"{BROKEN}: oci-image: invalid"]
    assert lines[3].startswith("  error: manifests/0/manifest#/layers/0/size: size mismatch: expected ")
    assert lines[4:] == ["3 targets, 1 invalid"]


@pytest.mark.parametrize("form", ["json", "junit", "github", "sarif"])
def test_each_format_tells_of_images(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--format", form, BROKEN]) == 1
    out = capsys.readouterr().out
    assert "manifests/0/manifest#/layers/0/size" in out
    assert "image/blob-size" in out


@pytest.mark.parametrize(
    "target, file",
    [
        pytest.param("app.tar", "app.tar", id="a bare path"),
        pytest.param("docker-archive:saved/c.tar", "saved/c.tar", id="a path behind a transport"),
        pytest.param("oci:layout:app:1", "layout", id="a path before a name"),
        pytest.param("docker://registry.example/app:1", "docker://registry.example/app:1", id="a registry has no file"),
        pytest.param("-", "-", id="standard input"),
    ],
)
def test_services_are_told_the_file_that_they_can_place(
    target: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding(rule="image/unreadable", severity="error", path="", message="gone", spec="none")
    checked = [Checked(target=target, kind="unknown", findings=(finding,))]

    WRITERS["github"](checked)
    assert f"::error file={file.replace(':', '%3A')},title=" in capsys.readouterr().out

    WRITERS["sarif"](checked)
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == file


def test_sarif_describes_the_rules_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", "--format", "sarif", BROKEN])

    log: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == ["image/blob-size"]


def test_what_is_no_image_has_a_verdict_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.aci"
    path.write_bytes(b"no image")

    assert run(["validate", "--json", str(path)]) == 1

    (verdict,) = json.loads(capsys.readouterr().out)
    assert (verdict["kind"], verdict["valid"]) == ("aci-image", False)


@pytest.mark.parametrize(
    "kind, name, rule",
    [
        pytest.param("aci-image", "oci-image/valid-index.tar", "aci/archive-top-level", id="an ACI"),
        pytest.param("docker-image", "aci-image/valid.aci", "image/unreadable", id="what docker save wrote"),
        pytest.param("oci-image", "aci-image/valid.aci", "oci/layout-file", id="a layout"),
    ],
)
def test_a_path_is_judged_as_what_it_is_said_to_be(
    kind: str, name: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", "--json", "--kind", kind, str(IMAGES / name)]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    assert rule in {finding["rule"] for finding in verdict["findings"]}


def test_a_closed_standard_input_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["validate", "-"]) == 1
    assert capsys.readouterr().err == "transship: standard input is closed\n"


def test_no_image_there_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", f"oci:{tmp_path / 'nowhere'}"]) == 1
    assert capsys.readouterr().err.endswith(": no such file or directory\n")


def test_rules_of_images_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--list-rules", "--kind", "aci-image"]) == 0
    listed = capsys.readouterr().out
    assert "aci/archive-top-level  (compat: error, strict: error)" in listed
    assert "appc spec 0.8.11, aci.md, Image Archives" in listed


def test_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--list-rules"]) == 0
    listed = capsys.readouterr().out
    assert [rule.name for rule in all_rules() if f"{rule.name}  (" not in listed] == []


def test_rules_of_a_kind_are_listed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--list-rules", "--kind", "oci-layout", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"json/syntax", "schema/oci-layout/enum"} <= {rule["rule"] for rule in listed}
    assert all("oci-layout" in rule["kinds"] for rule in listed)


def test_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_printed_whole_or_as_they_are(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out) == bundled_schema(kind)
    assert run(["schema", kind, "--no-bundle"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of(kind)


def test_a_document_that_never_ends_is_read_no_further_than_its_limit(here: Path) -> None:
    assert run(["validate", "--kind", "oci-index", "/dev/zero"]) == 1


def test_a_fifo_that_nobody_writes_to_is_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "fifo")
    assert run(["validate", "--kind", "oci-index", "fifo"]) == 1


def test_a_limit_holds_for_a_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "x.json").write_text('{"schemaVersion":2,"manifests":[]}')
    assert run(["validate", "--kind", "oci-index", "x.json"]) == 0
    assert run(["validate", "--kind", "oci-index", "--limit", "document=10", "x.json"]) == 1
    assert "limit: document" in capsys.readouterr().out
    assert run(["validate", "--kind", "oci-index", "--limit", "documents=10", "x.json"]) == 2
