"""Claims are read strictly: containers-signature(5), "JSON processing and forward compatibility"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from converter.errors import Invalid, Unsupported, Untrusted
from converter.model.descriptor import Digest
from converter.trust.identity import ATOMIC, COSIGN, Claim
from tests.changing import changed, without
from tests.trust.making import MANIFEST, NAME, claim, subject, trusted

GOOD: dict[str, Any] = {
    "critical": {
        "type": ATOMIC,
        "image": {"docker-manifest-digest": f"sha256:{'0' * 64}"},
        "identity": {"docker-reference": NAME},
    },
    "optional": {"creator": "somebody 1.0", "timestamp": 1483228800, "other": [1]},
}


def other(path: str, value: object) -> bytes:
    return json.dumps(changed(GOOD, tuple(path.split("/")), value)).encode()


def lacking(path: str) -> bytes:
    return json.dumps(without(GOOD, tuple(path.split("/")))).encode()


def test_a_claim_says_digest_and_name() -> None:
    found = Claim.parse(json.dumps(GOOD).encode(), ATOMIC)
    assert (str(found.digest), found.identity) == (f"sha256:{'0' * 64}", NAME)


@pytest.mark.parametrize("kind", [ATOMIC, COSIGN])
def test_what_is_rendered_is_read(kind: str) -> None:
    assert Claim.parse(claim().render(kind, "test", 1), kind) == claim()


@pytest.mark.parametrize("member", ["creator", "timestamp"])
def test_what_is_optional_may_be_null(member: str) -> None:
    document = json.loads(json.dumps(GOOD))
    document["optional"][member] = None
    assert Claim.parse(json.dumps(document).encode(), ATOMIC).identity == NAME


def test_optional_may_be_null_to_cosign_alone() -> None:
    data = lacking("optional")[:-1] + b', "optional": null}'
    with pytest.raises(Invalid):
        Claim.parse(data, ATOMIC)
    assert Claim.parse(data.replace(ATOMIC.encode(), COSIGN.encode()), COSIGN).identity == NAME


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lacking("critical"), id="nothing critical"),
        pytest.param(lacking("optional"), id="nothing optional"),
        pytest.param(other("other", {}), id="an unknown member at the top"),
        pytest.param(other("critical/other", {}), id="an unknown critical member"),
        pytest.param(other("critical/image/other", ""), id="an unknown member of the image"),
        pytest.param(other("critical/identity/other", ""), id="an unknown member of the identity"),
        pytest.param(other("critical/type", COSIGN), id="another type"),
        pytest.param(lacking("critical/type"), id="no type"),
        pytest.param(other("critical/image/docker-manifest-digest", "sha256:0"), id="no digest"),
        pytest.param(other("critical/identity/docker-reference", 1), id="a name that is a number"),
        pytest.param(other("optional/creator", 1), id="a creator that is a number"),
        pytest.param(other("optional/timestamp", 1.5), id="half a second"),
        pytest.param(other("optional/timestamp", "1"), id="a time that is a text"),
        pytest.param(other("optional/timestamp", True), id="a time that is true"),
        pytest.param(other("optional/timestamp", 2**63 - 1), id="a time that is 2^63 once it is rounded"),
        pytest.param(other("optional/timestamp", 1e300), id="a time that is no time"),
        pytest.param(b'{"critical":{},' + json.dumps(GOOD).encode()[1:], id="a key that stands twice"),
        pytest.param(json.dumps(GOOD).encode() + b"{}", id="something after the end"),
        pytest.param(b"[]", id="a list"),
    ],
)
def test_what_is_unclear_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        Claim.parse(data, ATOMIC)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_manifest_has_a_digest_of_each_algorithm(algorithm: str) -> None:
    digest = Digest.of(MANIFEST, algorithm)
    trusted().check_digest(subject(), digest)
    with pytest.raises(Untrusted, match="another manifest"):
        trusted().check_digest(subject(MANIFEST + b" "), digest)


def test_an_algorithm_that_cannot_be_computed_matches_nothing() -> None:
    with pytest.raises(Unsupported):
        trusted().check_digest(subject(), Digest.parse("md5:d41d8cd98f00b204e9800998ecf8427e"))
