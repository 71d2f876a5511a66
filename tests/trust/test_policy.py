"""policy.json is read as strictly as containers-policy.json(5) wants, and the most specific scope counts alone."""

from __future__ import annotations

import base64
import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

import jsonschema
import pytest

from converter.errors import ConverterError, Invalid
from converter.model.reference import ImageName
from converter.schema.compiled import make_validator
from converter.schema.kinds import schema_file
from converter.trust.identity import EXACT_REFERENCE, MATCH_DIGEST_OR_EXACT, REMAP, IdentityRule
from converter.trust.policy import Policy, Read, Requirement, path_scopes, scopes_of

ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}
GPG = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/keys.gpg"}
SIGSTORE, CERTIFIED = {"type": "sigstoreSigned", "keyPath": "/cosign.pub"}, {"type": "sigstoreSigned"}
LOG = {"rekorPublicKeyPath": "/rekor.pub"}
FULCIO = {"caPath": "/ca", "oidcIssuer": "https://issuer.example", "subjectEmail": "me@example.org"}
PKI = {"caRootsPath": "/roots", "caIntermediatesData": "eA==", "subjectEmail": "me@example.org"}

NAMED = {"type": "exactReference", "dockerReference": "busybox:1"}
MOVED = {"type": "remapIdentity", "prefix": "mirror:5000/v", "signedPrefix": "vendor.example"}
VALID = [
    {
        "default": [REJECT],
        "transports": {name: {"": [REJECT]} for name in ("docker-archive", "docker-daemon", "oci", "oci-archive")},
    },
    {"default": [REJECT], "transports": {"dir": {"/a/.b/..c/...": [ACCEPT]}, "docker-daemon": {"sha2": [ACCEPT]}}},
    {"default": [ACCEPT], "transports": {"docker": {"": [REJECT]}}},
    {"default": [{**GPG, "signedIdentity": {"type": "matchExact"}}]},
    {"default": [{"type": "signedBy", "keyType": "signedByX509CAs", "keyPaths": ["/a"], "signedIdentity": NAMED}]},
    {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": ""}]},
    {"default": [{**SIGSTORE, **LOG, "signedIdentity": MOVED}]},
    {"default": [{**CERTIFIED, "keyPaths": ["/a"], "rekorPublicKeyPaths": ["/b"]}]},
    {"default": [{**CERTIFIED, "keyData": "", "rekorPublicKeyData": ""}]},
    {"default": [{**CERTIFIED, "keyDatas": [""], "rekorPublicKeyDatas": [""]}]},
    {"default": [{**CERTIFIED, **LOG, "fulcio": FULCIO}]},
    {"default": [{**CERTIFIED, **LOG, "fulcio": {"caData": "", "oidcIssuer": "i", "subjectEmail": "e"}}]},
    {"default": [{**CERTIFIED, "pki": PKI}]},
    {"default": [{**CERTIFIED, "pki": {"caRootsData": "", "caIntermediatesPath": "/b", "subjectHostname": "h"}}]},
    {
        "default": [
            {
                "type": "signedBaseLayer",
                "baseLayerIdentity": {"type": "exactRepository", "dockerRepository": "h.io/a"},
            }
        ]
    },
]


def parse(document: Any) -> Policy:
    return Policy.parse(document if isinstance(document, bytes) else json.dumps(document).encode())


def required(
    policy: Policy, transport: str, scopes: Iterator[str], read: Read = lambda _: b""
) -> tuple[Requirement, ...]:
    return policy.requirements(transport, policy.scope(transport, scopes), read)


def scoped(name: str, **scopes: dict[str, Any]) -> list[str]:
    policy = parse({"default": [REJECT], "transports": {"docker": {key: [GPG] for key in scopes}}})
    return [one.kind for one in required(policy, "docker", scopes_of(ImageName.parse(name)))]


def variants(value: Any) -> Iterator[Any]:
    """The value, and others that differ from it in one place: a member that is missing, unknown, or something else."""
    yield from (value, None, 1, "", "\0", [], {}, {"type": "x"})
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
        yield {**value, "x": 1}
        yield from ({name: one for name, one in parts if name != gone} for gone in value)
        yield from (
            {**value, name: one} for more in (LOG, {"pki": PKI}, {"fulcio": FULCIO}) for name, one in more.items()
        )
        yield {**value, "caIntermediatesData": "", "caIntermediatesPath": "/c"}
        yield from ({**value, scope: [ACCEPT]} for scope in ("/", "/a/..", "sha256", "sha512:0"))
    if isinstance(value, list):
        parts = enumerate(value)
    for place, part in parts:
        for other in variants(part):
            changed = copy(value)
            changed[place] = other
            yield changed


@pytest.mark.parametrize("document", VALID)
def test_a_valid_policy(document: Any) -> None:
    parse(document)


def test_another_validator_says_the_same() -> None:
    schema = schema_file("policy.json")
    one, other = make_validator(schema), jsonschema.Draft202012Validator(schema)
    documents = [document for valid in VALID for document in variants(valid)]
    assert [document for document in documents if one.is_valid(document) != other.is_valid(document)] == []


@pytest.mark.parametrize(
    "document, message",
    [
        pytest.param({"default": []}, "default: the array is empty: at least 1 is required", id="nothing required"),
        pytest.param(
            {"default": [{**REJECT, "x": 1}]}, 'default > requirement[0]: unknown member "x" (known: type)', id="more"
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": {"docker": {"h.io": [{}]}}},
            'docker > h.io > requirement[0]: "type" is missing',
            id="no type in a scope",
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": {"docker": {"": [1]}}},
            "docker > all > requirement[0]: expected an object, found a number",
            id="a number in the scope of all images",
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": 1}, "transports: expected an object, found a number", id="a number"
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": {"dir": {"/a/../b": [ACCEPT]}}},
            'dir: invalid scope "/a/../b": expected an absolute path without "." and "..", and not "/"',
            id="a detour",
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": {"docker-archive": {"/a": [ACCEPT]}}},
            'docker-archive: invalid scope "/a": expected none but the empty one',
            id="a path of one that has none",
        ),
        pytest.param({"default": 1.5}, "default: expected an array, found a number", id="a fraction"),
        pytest.param(
            {"default": [{**GPG, "keyType": "X509"}]},
            'default > requirement[0] > keyType: expected "GPGKeys" or "signedByGPGKeys" or "X509Certificates" or '
            '"signedByX509CAs", found "X509"',
            id="another type of key",
        ),
        pytest.param(
            {"default": [{**GPG, "keyData": ""}]},
            "default > requirement[0]: expected exactly one of keyPath, keyPaths and keyData",
            id="two keys",
        ),
        pytest.param(
            {"default": [{**CERTIFIED, "fulcio": FULCIO}]},
            "default > requirement[0]: expected a key of Rekor besides fulcio, whose certificates are valid for "
            "minutes",
            id="Fulcio without a log",
        ),
        pytest.param(
            {"default": [{**CERTIFIED, **LOG, "fulcio": {**FULCIO, "oidcIssuer": ""}}]},
            "default > requirement[0] > fulcio > oidcIssuer: the string is empty",
            id="no issuer",
        ),
        pytest.param(
            {"default": [{**CERTIFIED, "pki": {"caRootsPath": "/roots"}}]},
            "default > requirement[0] > pki: expected the identity of who may sign: subjectEmail, subjectHostname or "
            "both",
            id="certificates of just anybody",
        ),
        pytest.param(
            {"default": [{**GPG, "signedIdentity": {**MOVED, "prefix": "mirror:v"}}]},
            "default > requirement[0] > signedIdentity > prefix: expected a prefix HOST[:PORT][/PATH], found "
            '"mirror:v"',
            id="a prefix that is none",
        ),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(document: Any, message: str) -> None:
    with pytest.raises(Invalid) as error:
        parse(document)
    assert str(error.value) == message


def test_a_policy_of_faults_alone_takes_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Invalid, match=r"^default > requirement\[0\]: expected an object, found a number$"):
        parse({"default": [1] * 99_000})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="no default"),
        pytest.param({"default": []}, id="an empty list"),
        pytest.param({"default": {}}, id="no list"),
        pytest.param({"default": [ACCEPT], "x": 1}, id="an unknown member"),
        pytest.param({"default": [ACCEPT], "transports": []}, id="transports that are a list"),
        pytest.param({"default": [ACCEPT], "transports": {"docker": {"": []}}}, id="an empty list of a scope"),
        pytest.param({"default": [{"type": "x"}]}, id="an unknown requirement"),
        pytest.param({"default": [{**ACCEPT, "x": 1}]}, id="an unknown member of accept"),
        pytest.param({"default": [{**REJECT, "x": 1}]}, id="an unknown member of reject"),
        pytest.param({"default": [{**GPG, "x": 1}]}, id="an unknown member of signedBy"),
        pytest.param({"default": [{**GPG, "keyType": "X509"}]}, id="another type of key"),
        pytest.param({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}, id="no key"),
        pytest.param({"default": [{**GPG, "keyData": ""}]}, id="two keys"),
        pytest.param({"default": [{**GPG, "keyPath": 1}]}, id="a path that is a number"),
        pytest.param({"default": [{**SIGSTORE, "x": 1}]}, id="an unknown member of sigstoreSigned"),
        pytest.param({"default": [{**SIGSTORE, "keyData": "AA=="}]}, id="two keys of sigstore"),
        pytest.param({"default": [{**SIGSTORE, "fulcio": FULCIO}]}, id="a key and Fulcio"),
        pytest.param({"default": [{**SIGSTORE, **LOG, "rekorPublicKeyData": ""}]}, id="two keys of a log"),
        pytest.param({"default": [{**SIGSTORE, "rekorPublicKeyPaths": []}]}, id="no key of a log"),
        pytest.param({"default": [{**CERTIFIED, "fulcio": FULCIO}]}, id="Fulcio without a log"),
        pytest.param({"default": [{**CERTIFIED, **LOG, "pki": PKI}]}, id="other certificates, and a log"),
        pytest.param({"default": [{**CERTIFIED, **LOG, "fulcio": {**FULCIO, "x": 1}}]}, id="Fulcio, and more"),
        pytest.param({"default": [{**CERTIFIED, **LOG, "fulcio": {**FULCIO, "caData": ""}}]}, id="two of Fulcio's CAs"),
        pytest.param({"default": [{**CERTIFIED, **LOG, "fulcio": {**FULCIO, "oidcIssuer": ""}}]}, id="no issuer"),
        pytest.param({"default": [{**CERTIFIED, "pki": {"caRootsPath": "/r"}}]}, id="certificates of anybody"),
        pytest.param({"default": [{**CERTIFIED, "pki": {**PKI, "x": 1}}]}, id="certificates, and more"),
        pytest.param({"default": [{"type": "signedBaseLayer"}]}, id="no base layer"),
        pytest.param({"default": [{**GPG, "keyPath": ""}]}, id="an empty path"),
        pytest.param({"default": [{**GPG, "keyPath": "/a\0b"}]}, id="a path that no file has"),
        pytest.param({"default": [ACCEPT], "transports": {"dir": {"a": [ACCEPT]}}}, id="a relative path"),
        pytest.param({"default": [ACCEPT], "transports": {"oci": {"/a/../b": [ACCEPT]}}}, id="a path with a detour"),
        pytest.param({"default": [ACCEPT], "transports": {"oci": {"/": [ACCEPT]}}}, id="all paths, but for the name"),
        pytest.param(
            {"default": [ACCEPT], "transports": {"docker-archive": {"/a": [ACCEPT]}}}, id="a path of one that has none"
        ),
        pytest.param(
            {"default": [ACCEPT], "transports": {"docker-daemon": {f"sha256:{'0' * 64}": [ACCEPT]}}}, id="an image ID"
        ),
        pytest.param({"default": [{"type": "sigstoreSigned", "keyData": "?"}]}, id="a key that is not base64"),
        pytest.param({"default": [{**GPG, "signedIdentity": {"type": "x"}}]}, id="an unknown identity"),
        pytest.param(
            {"default": [{**GPG, "signedIdentity": {"type": "matchExact", "x": 1}}]}, id="one that knows more"
        ),
        pytest.param({"default": [{**GPG, "signedIdentity": {"type": "exactReference"}}]}, id="no reference"),
        pytest.param(
            {"default": [{**GPG, "signedIdentity": {"type": "exactReference", "dockerReference": "h.io/a"}}]},
            id="a reference without a tag",
        ),
        pytest.param(
            {"default": [{**GPG, "signedIdentity": {"type": "exactRepository", "dockerRepository": "No"}}]},
            id="a repository that is none",
        ),
        pytest.param(
            {"default": [{**GPG, "signedIdentity": {"type": "remapIdentity", "prefix": "a:b:c", "signedPrefix": "x"}}]},
            id="a prefix that is none",
        ),
        pytest.param(b'{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}', id="a member twice"),
        pytest.param(b"{", id="no JSON"),
    ],
)
def test_an_invalid_policy(document: Any) -> None:
    with pytest.raises(ConverterError):
        parse(document)


def test_a_mistake_in_a_scope_that_is_not_asked_for_counts_too() -> None:
    with pytest.raises(Invalid):
        parse({"default": [ACCEPT], "transports": {"oci": {"/x": [{**GPG, "x": 1}]}}})


NAME = "registry.example.com:5000/ns/app:1"
SCOPES = [
    "registry.example.com:5000/ns/app:1",
    "registry.example.com:5000/ns/app",
    "registry.example.com:5000/ns",
    "registry.example.com:5000",
    "*.example.com",
    "*.com",
]


def test_scopes_from_the_image_to_all() -> None:
    assert list(scopes_of(ImageName.parse(NAME))) == SCOPES
    assert list(path_scopes("/a/b", "tag")) == ["/a/b:tag", "/a/b", "/a"]


@pytest.mark.parametrize("scope", [*SCOPES, ""])
def test_the_most_specific_scope_counts_alone(scope: str) -> None:
    wider = [*SCOPES, ""][[*SCOPES, ""].index(scope) + 1 :]
    transports = {"docker": {scope: [ACCEPT], **{one: [REJECT] for one in wider}}}
    policy = parse({"default": [REJECT], "transports": transports})
    (found,) = required(policy, "docker", scopes_of(ImageName.parse(NAME)))
    assert found.kind == "insecureAcceptAnything"


@pytest.mark.parametrize("scope", ["registry.example.com:5000/n", "registry.example.com", "example.com", "*"])
def test_a_scope_that_does_not_fit(scope: str) -> None:
    policy = parse({"default": [REJECT], "transports": {"docker": {scope: [ACCEPT]}, "oci": {"": [ACCEPT]}}})
    (found,) = required(policy, "docker", scopes_of(ImageName.parse(NAME)))
    assert found.kind == "reject"


@pytest.mark.parametrize(
    "identity, rule",
    [
        pytest.param(None, IdentityRule(kind=MATCH_DIGEST_OR_EXACT), id="none said"),
        pytest.param({"type": "matchExact"}, IdentityRule(kind="matchExact"), id="exact"),
        pytest.param(
            {"type": "exactReference", "dockerReference": "busybox:1"},
            IdentityRule(kind=EXACT_REFERENCE, reference="docker.io/library/busybox:1"),
            id="a reference",
        ),
        pytest.param(
            {"type": "remapIdentity", "prefix": "mirror:5000/v", "signedPrefix": "vendor.example"},
            IdentityRule(kind=REMAP, prefix="mirror:5000/v", signed_prefix="vendor.example"),
            id="a mirror",
        ),
    ],
)
def test_the_rule_for_names(identity: dict[str, str] | None, rule: IdentityRule) -> None:
    row = {**GPG, **({"signedIdentity": identity} if identity else {})}
    (found,) = required(parse({"default": [row]}), "oci", iter(()))
    assert found.rule == rule


@pytest.mark.parametrize(
    "row, keys",
    [
        pytest.param({"keyPath": "/a"}, (b"of /a",), id="a path"),
        pytest.param({"keyPaths": ["/a", "/b"]}, (b"of /a", b"of /b"), id="paths"),
        pytest.param({"keyData": base64.b64encode(b"x").decode()}, (b"x",), id="data"),
        pytest.param({"keyDatas": ["eA==", "eQ=="]}, (b"x", b"y"), id="several data"),
    ],
)
def test_where_keys_come_from(row: dict[str, Any], keys: tuple[bytes, ...]) -> None:
    policy = parse({"default": [{"type": "sigstoreSigned", **row}]})
    (found,) = required(policy, "oci", iter(()), lambda path: f"of {path}".encode())
    assert found.keys == keys


@pytest.mark.parametrize(
    "row, expected",
    [
        pytest.param(
            {"pki": PKI}, {"roots": b"of /roots", "intermediates": b"x", "email": "me@example.org"}, id="one's own"
        ),
        pytest.param(
            {"pki": {"caRootsData": "eA==", "subjectHostname": "h"}}, {"roots": b"x", "hostname": "h"}, id="of hosts"
        ),
        pytest.param(
            {"fulcio": FULCIO, **LOG},
            {"roots": b"of /ca", "email": "me@example.org", "issuer": "https://issuer.example"},
            id="Fulcio's",
        ),
    ],
)
def test_certificates_in_a_policy(row: dict[str, Any], expected: dict[str, Any]) -> None:
    policy = parse({"default": [{**CERTIFIED, **row}]})
    (found,) = required(policy, "oci", iter(()), lambda path: f"of {path}".encode())
    members = ("roots", "intermediates", "email", "hostname", "issuer", "keys")
    assert {name: value for name in members if (value := getattr(found, name))} == expected


def test_the_keys_of_a_log() -> None:
    policy = parse({"default": [{**SIGSTORE, "rekorPublicKeyDatas": ["eA==", "eQ=="]}]})
    (found,) = required(policy, "oci", iter(()))
    assert found.logs == (b"x", b"y")


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({**GPG, "keyType": "signedByGPGKeys"}, id="keys that others have signed"),
        pytest.param({**GPG, "keyType": "X509Certificates"}, id="certificates"),
        pytest.param({"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}, id="a base layer"),
    ],
)
def test_what_can_be_asked_for_and_is_never_met(row: dict[str, Any]) -> None:
    (found,) = required(parse({"default": [row]}), "oci", iter(()))
    assert found.unmet


INTERRUPTED = """
import signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "decimal":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
try:
    {}
except KeyboardInterrupt:
    print("interrupted")
"""
"""Reads with Control-C at the moment at which the validator panics if it is the one to import that module."""


@pytest.mark.parametrize(
    "read",
    [
        pytest.param("from converter.trust import policy; policy.Policy.parse(b'{\"default\": []}')", id="a policy"),
        pytest.param("from converter import schema; schema.check_document(b'{}', 'oci-layout')", id="a document"),
    ],
)
def test_control_c_before_the_validator_is_there_is_no_panic(read: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED.format(read)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
