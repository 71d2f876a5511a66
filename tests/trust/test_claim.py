"""Claims are read strictly: containers-signature(5), "JSON processing and forward compatibility"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from converter.errors import Invalid, Unsupported
from converter.model.digest import Digest
from converter.trust.claim import ATOMIC, COSIGN, Claim, digest_matches
from tests.trust.making import MANIFEST, NAME, claim

GOOD: dict[str, Any] = {
    "critical": {
        "type": ATOMIC,
        "image": {"docker-manifest-digest": f"sha256:{'0' * 64}"},
        "identity": {"docker-reference": NAME},
    },
    "optional": {"creator": "somebody 1.0", "timestamp": 1483228800, "other": [1]},
}


def changed(path: str, value: object) -> bytes:
    document = json.loads(json.dumps(GOOD))
    *parents, last = path.split("/")
    holder = document
    for part in parents:
        holder = holder[part]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(document).encode()


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
    data = changed("optional", None)[:-1] + b', "optional": null}'
    with pytest.raises(Invalid):
        Claim.parse(data, ATOMIC)
    assert Claim.parse(data.replace(ATOMIC.encode(), COSIGN.encode()), COSIGN).identity == NAME


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed("critical", None), id="nothing critical"),
        pytest.param(changed("optional", None), id="nothing optional"),
        pytest.param(changed("other", {}), id="an unknown member at the top"),
        pytest.param(changed("critical/other", {}), id="an unknown critical member"),
        pytest.param(changed("critical/image/other", ""), id="an unknown member of the image"),
        pytest.param(changed("critical/identity/other", ""), id="an unknown member of the identity"),
        pytest.param(changed("critical/type", COSIGN), id="another type"),
        pytest.param(changed("critical/type", None), id="no type"),
        pytest.param(changed("critical/image/docker-manifest-digest", "sha256:0"), id="no digest"),
        pytest.param(changed("critical/identity/docker-reference", 1), id="a name that is a number"),
        pytest.param(changed("optional/creator", 1), id="a creator that is a number"),
        pytest.param(changed("optional/timestamp", 1.5), id="half a second"),
        pytest.param(changed("optional/timestamp", "1"), id="a time that is a text"),
        pytest.param(changed("optional/timestamp", True), id="a time that is true"),
        pytest.param(changed("optional/timestamp", 2**63 - 1), id="a time that is 2^63 once it is rounded"),
        pytest.param(changed("optional/timestamp", 1e300), id="a time that is no time"),
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
    assert digest_matches(MANIFEST, digest)
    assert not digest_matches(MANIFEST + b" ", digest)


def test_an_algorithm_that_cannot_be_computed_matches_nothing() -> None:
    with pytest.raises(Unsupported):
        digest_matches(MANIFEST, Digest.parse("md5:d41d8cd98f00b204e9800998ecf8427e"))
