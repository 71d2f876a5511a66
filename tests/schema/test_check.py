"""Findings in documents: what is found, its text, and what Go's way of reading changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from converter.errors import Usage
from converter.model.limits import Limits, enforce_limits
from converter.schema import KINDS, Finding, check_document, document_rules, guess_kind, is_valid
from converter.schema.compiled import VALUES_AT_ONCE
from converter.schema.finding import Rule
from converter.validate import validate_document

LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "a" * 64, "size": 1}
MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "b" * 64, "size": 2},
    "layers": [LAYER],
}
STEP = {"v1Compatibility": json.dumps({"id": "a" * 64, "created": "yesterday"})}


def found(document: Any, kind: str, **more: Any) -> list[tuple[str, str, str]]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [(finding.severity, finding.rule, finding.path) for finding in check_document(data, kind, **more)]


@pytest.mark.parametrize(
    "document, expected",
    [
        pytest.param(
            {**MANIFEST, "layers": [{**LAYER, "size": "1"}, {**LAYER, "digest": "x"}], "manifests": []},
            [
                ("error", "schema/oci-manifest/type", "/layers/0/size"),
                ("error", "oci/digest-syntax", "/layers/1/digest"),
                ("error", "oci/ambiguous", "/manifests"),
            ],
            id="a wrong size, a wrong digest, and a member of another document",
        ),
        pytest.param(
            {**MANIFEST, "layers": [{**LAYER, "data": "YWJj", "urls": "x"}]},
            [
                ("error", "schema/oci-manifest/type", "/layers/0/urls"),
                ("warning", "oci/data-content", "/layers/0/data"),
            ],
            id="addresses that are no list, beside content that is another",
        ),
    ],
)
def test_all_that_is_wrong_is_said_not_the_first(document: Any, expected: list[tuple[str, str, str]]) -> None:
    assert found(document, "oci-manifest") == expected


WHITELIST = [f"/file{number}" for number in range(VALUES_AT_ONCE)]
ACI = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app"}
WITHOUT_EXEC = {**ACI, "app": {"user": "0", "group": "0"}}
REST = "json/too-many-findings"


@pytest.mark.parametrize(
    "document, kind, expected",
    [
        pytest.param(
            {**MANIFEST, "layers": [{}] * VALUES_AT_ONCE},
            "oci-manifest",
            [("error", "schema/oci-manifest/required", "/layers/0"), ("error", REST, "")],
            id="the first of very many errors is told",
        ),
        pytest.param(
            {**WITHOUT_EXEC, "pathWhitelist": [*WHITELIST, 1]},
            "aci-image-manifest",
            [("error", "schema/aci-image-manifest/type", f"/pathWhitelist/{VALUES_AT_ONCE}"), ("error", REST, "")],
            id="an error comes before a warning",
        ),
        pytest.param(
            {**WITHOUT_EXEC, "pathWhitelist": WHITELIST},
            "aci-image-manifest",
            [("warning", "schema/aci-image-manifest/required", "/app"), ("warning", REST, "")],
            id="a warning alone is no error",
        ),
        pytest.param({**ACI, "pathWhitelist": WHITELIST}, "aci-image-manifest", [], id="a sound one has nothing"),
    ],
)
def test_of_a_large_document_the_first_fault_is_said(
    document: Any, kind: str, expected: list[tuple[str, str, str]]
) -> None:
    assert found(document, kind) == expected


def test_a_finding_says_what_where_and_by_which_section() -> None:
    (finding,) = check_document(json.dumps({**MANIFEST, "layers": [{**LAYER, "size": -1}]}).encode(), "oci-manifest")

    assert finding == Finding(
        path="/layers/0/size",
        rule="oci/size",
        message="expected at least 0, found -1",
        spec="image-spec 1.1.1, descriptor.md, Properties: size",
        severity="error",
    )


@pytest.mark.parametrize(
    "document, message",
    [
        pytest.param({}, '"imageLayoutVersion" is missing', id="a member that is not there"),
        pytest.param([], "expected an object, found an array", id="a wrong type"),
        pytest.param({"imageLayoutVersion": "2"}, 'expected "1.0.0", found "2"', id="a wrong value"),
    ],
)
def test_messages_say_what_is_expected_and_what_was_found(document: Any, message: str) -> None:
    (finding, *_) = check_document(json.dumps(document).encode(), "oci-layout")

    assert finding.message == message


@pytest.mark.parametrize(
    "data, expected",
    [
        pytest.param(b"", [("error", "json/syntax", "")], id="nothing"),
        pytest.param(b"\xff", [("error", "json/utf-8", ""), ("error", "json/syntax", "")], id="no text"),
        pytest.param(
            b'{"imageLayoutVersion": "2", "a": {"b": 1, "b": 1}, "c": [18446744073709551616]} x',
            [
                ("error", "json/trailing-data", ""),
                ("error", "json/duplicate-key", "/a"),
                ("error", "json/number-range", "/c/0"),
                ("error", "schema/oci-layout/enum", "/imageLayoutVersion"),
            ],
            id="faults of the text do not hide those of the document",
        ),
    ],
)
def test_faults_of_the_text(data: bytes, expected: list[tuple[str, str, str]]) -> None:
    assert found(data, "oci-layout") == expected


def test_a_document_larger_than_the_limit_is_not_read() -> None:
    with enforce_limits(Limits(document=10)):
        assert found(b" " * 11, "oci-layout") == [("error", "json/size", "")]


def test_pointers_escape_what_rfc_6901_says() -> None:
    document = {**MANIFEST, "annotations": {"a/b~c": 1}}

    assert found(document, "oci-manifest") == [("error", "schema/oci-manifest/type", "/annotations/a~1b~0c")]


def test_findings_name_members_as_the_document_spells_them() -> None:
    document = {"ACKind": "ImageManifest", "acVersion": "1.0.0", "name": "a", "Labels": [{"Name": "name", "value": ""}]}

    assert found(document, "aci-image-manifest") == [
        ("warning", "json/key-case", "/ACKind"),
        ("warning", "json/key-case", "/Labels"),
        ("warning", "json/key-case", "/Labels/0/Name"),
        ("error", "aci/label-name", "/Labels/0/Name"),
    ]


@pytest.mark.parametrize(
    "history, path",
    [
        pytest.param([STEP], "/history/0/v1Compatibility", id="the only step"),
        pytest.param([{}, STEP], "/history/1/v1Compatibility", id="one behind a step without its text"),
    ],
)
def test_findings_name_the_step_they_are_about(history: list[dict[str, str]], path: str) -> None:
    findings = found({"fsLayers": [], "history": history}, "docker-schema1")

    assert [where for _, rule, where in findings if rule == "docker/v1-created"] == [path]


@pytest.mark.parametrize(
    "members, valid",
    [
        pytest.param({"labels": None, "app": None}, True, id="null stands for a list or an object that is not there"),
        pytest.param({"name": None}, False, id="null does not stand for what must be there"),
        pytest.param({"labels": [None]}, True, id="a label that is null has no name"),
        pytest.param({"labels": [None, None]}, False, id="two labels that are null have the same name"),
        pytest.param({"dependencies": [None]}, False, id="a dependency that is null has no image"),
        pytest.param({"pathWhitelist": [None]}, True, id="a path that is null is empty"),
        pytest.param({"app": {"exec": [None], "user": "0", "group": "0"}}, True, id="a null argument is empty"),
        pytest.param({"app": {"exec": [], "user": None, "group": "0"}}, False, id="a user that is null is none"),
    ],
)
def test_null_is_read_as_go_reads_it(members: dict[str, Any], valid: bool) -> None:
    document = {"acKind": "ImageManifest", "acVersion": "1.0.0", "name": "a", **members}
    data = json.dumps(document).encode()

    assert is_valid(check_document(data, "aci-image-manifest")) is valid
    assert not is_valid(check_document(data, "aci-image-manifest", "strict"))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"Name": "b"}, id="in capitals"),
        pytest.param({"labelſ": []}, id="with an s that is long"),
        pytest.param({"ac\N{KELVIN SIGN}ind": "ImageManifest"}, id="with the sign for kelvins"),
    ],
)
def test_the_last_of_two_spellings_is_not_chosen_in_silence(more: dict[str, Any]) -> None:
    document = {"acKind": "ImageManifest", "acVersion": "1.0.0", "name": "a", "labels": [], **more}

    assert found(document, "aci-image-manifest") == [("error", "json/ambiguous-key", "")]


def test_a_member_is_known_by_whatever_letters_go_knows_it_by() -> None:
    document = {"acKind": "ImageManifest", "acVerſion": "1.0.0", "name": "a", "labelſ": [{"name": "name"}]}

    assert ("error", "aci/label-name", "/labelſ/0/name") in found(document, "aci-image-manifest")


@pytest.mark.parametrize(
    "document, kind",
    [
        pytest.param({"acKind": "ImageManifest"}, "aci-image-manifest", id="acKind tells an image manifest"),
        pytest.param({"acKind": "PodManifest"}, "aci-pod-manifest", id="acKind tells a pod manifest"),
        pytest.param({"imageLayoutVersion": "1.0.0"}, "oci-layout", id="a layout"),
        pytest.param({"schemaVersion": 1}, "docker-schema1", id="schema1 by its version"),
        pytest.param(MANIFEST, "oci-manifest", id="a manifest without mediaType is OCI's"),
        pytest.param({"manifests": []}, "oci-index", id="a list without mediaType is OCI's"),
        pytest.param(
            {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"},
            "docker-schema2",
            id="its type",
        ),
        pytest.param(LAYER, "oci-descriptor", id="a descriptor is not what it describes"),
        pytest.param({"rootfs": {}}, "oci-config", id="a configuration"),
        pytest.param({"rootfs": {}, "docker_version": "1"}, "docker-config", id="Docker's configuration"),
        pytest.param([{"Config": "a"}], "docker-archive-manifest", id="manifest.json of docker save"),
        pytest.param({"kind": "image"}, "image", id="the neutral model"),
        pytest.param({}, None, id="an empty object is nothing"),
        pytest.param([], None, id="an empty list is nothing"),
        pytest.param("x", None, id="a string is nothing"),
    ],
)
def test_a_kind_is_guessed(document: Any, kind: str | None) -> None:
    assert guess_kind(json.dumps(document).encode()) == kind


def test_what_is_no_json_has_no_kind() -> None:
    assert guess_kind(b"\x1f\x8b") is None


@pytest.mark.parametrize("kind", ["oci-config", "docker-config"])
@pytest.mark.parametrize(
    "diff_id",
    [
        pytest.param("sha256:", id="an algorithm with nothing behind it"),
        pytest.param("sha256:!", id="a character that no digest has"),
        pytest.param(f"sha256:{'a' * 64}\n", id="a line break behind the last digit"),
        pytest.param(f"sha256:{'A' * 64}", id="digits in capitals"),
        pytest.param(f"md5:{'a' * 32}", id="an algorithm that is not registered"),
        pytest.param("a" * 64, id="no algorithm"),
    ],
)
def test_a_diff_id_that_no_layer_has_is_found(kind: str, diff_id: str) -> None:
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}

    assert found(document, kind) == [("error", f"{kind.partition('-')[0]}/diff-id", "/rootfs/diff_ids/0")]


def test_an_unknown_kind_is_wrong_usage() -> None:
    with pytest.raises(Usage, match=r'unknown kind "x" \(one of: oci-manifest'):
        check_document(b"{}", "x")


def test_an_unknown_profile_is_wrong_usage() -> None:
    with pytest.raises(Usage, match=r'unknown profile "x" \(one of: compat, strict'):
        check_document(b"{}", "oci-layout", "x")  # type: ignore[arg-type] # what is tested


def test_validate_document_is_the_public_name() -> None:
    assert validate_document(b'{"imageLayoutVersion": "1.0.0"}', kind="oci-layout") == ()


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.name) for rule in document_rules()])
def test_each_rule_can_be_listed(rule: Rule) -> None:
    assert rule.title.endswith(".")
    assert rule.spec
    assert set(rule.kinds) <= set(KINDS)
    assert rule.compat or rule.strict
    # Where the profiles differ, the rule says how the reference and the text do.
    assert rule.compat == rule.strict or rule.note or rule.name == "json/surrogate"


def test_names_of_rules_are_unique() -> None:
    names = [rule.name for rule in document_rules()]

    assert sorted(set(names)) == sorted(names)
