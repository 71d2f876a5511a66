"""The rules for names are those of containers-policy.json(5)."""

from __future__ import annotations

import pytest

from converter.model.reference import ImageName
from converter.trust.identity import (
    ANY,
    AS_ASKED,
    EXACT_REFERENCE,
    EXACT_REPOSITORY,
    MATCH_DIGEST_OR_EXACT,
    MATCH_EXACT,
    MATCH_REPOSITORY,
    REMAP,
    IdentityRule,
)

DIGEST, OTHER_DIGEST = f"@sha256:{'1' * 64}", f"@sha256:{'2' * 64}"
TAGGED = IdentityRule(kind=AS_ASKED)
EXACT, BY_DIGEST, REPOSITORY = (
    IdentityRule(kind=MATCH_EXACT),
    IdentityRule(kind=MATCH_DIGEST_OR_EXACT),
    IdentityRule(kind=MATCH_REPOSITORY),
)
MIRROR = IdentityRule(kind=REMAP, prefix="mirror.example:5000/vendor", signed_prefix="vendor.example")
REFERENCE = IdentityRule(kind=EXACT_REFERENCE, reference="vendor.example/app:1")
BOTH = IdentityRule(kind=EXACT_REFERENCE, reference=f"vendor.example/app:1{DIGEST}")
SHORT = IdentityRule(kind=REMAP, prefix="mirror.example/library/app", signed_prefix="app")
VENDOR = IdentityRule(kind=EXACT_REPOSITORY, reference="vendor.example/app")


@pytest.mark.parametrize(
    "rule, signed, wanted, expected",
    [
        pytest.param(IdentityRule(), "h.io/a:1", "h.io/a:1", True, id="the same name"),
        pytest.param(IdentityRule(), "h.io/a:1", "h.io/a:2", False, id="another tag"),
        pytest.param(IdentityRule(), "h.io/b:1", "h.io/a:1", False, id="another repository"),
        pytest.param(IdentityRule(), "h.io/a", "h.io/a:1", True, id="signed without a tag, as cosign does"),
        pytest.param(IdentityRule(), "h.io/ab", "h.io/a:1", False, id="signed without a tag, of another repository"),
        pytest.param(IdentityRule(), "h.io/a:1", f"h.io/a{DIGEST}", True, id="asked for by digest"),
        pytest.param(IdentityRule(), "h.io/b:1", f"h.io/a{DIGEST}", False, id="asked for by digest elsewhere"),
        pytest.param(IdentityRule(), "busybox:1", "docker.io/library/busybox:1", True, id="a short name"),
        pytest.param(IdentityRule(), "not a name", "h.io/a:1", False, id="no name"),
        pytest.param(IdentityRule(), "h.io/a:1", None, False, id="nobody knows the name"),
        pytest.param(TAGGED, "h.io/a", "h.io/a:1", False, id="signed without a tag, where tags are usual"),
        pytest.param(TAGGED, "h.io/a", "h.io/a", True, id="signed and asked for without a tag"),
        pytest.param(TAGGED, "h.io/a:latest", "h.io/a", True, id="asked for without a tag"),
        pytest.param(TAGGED, "h.io/a:1", "h.io/a", False, id="asked for without a tag, signed with another"),
        pytest.param(IdentityRule(kind=ANY), "h.io/a:1", None, True, id="any name will do"),
        pytest.param(EXACT, "h.io/a:1", "h.io/a:1", True, id="exact: the same"),
        pytest.param(EXACT, "h.io/a:1", f"h.io/a{DIGEST}", False, id="exact: by digest"),
        pytest.param(EXACT, "h.io/a", "h.io/a:1", False, id="exact: without a tag"),
        pytest.param(BY_DIGEST, "h.io/a:1", f"h.io/a{DIGEST}", True, id="by digest: any tag"),
        pytest.param(BY_DIGEST, "h.io/a", f"h.io/a{DIGEST}", False, id="by digest: not without a tag"),
        pytest.param(BY_DIGEST, "h.io/a:2", "h.io/a:1", False, id="by digest: another tag"),
        pytest.param(REPOSITORY, "h.io/a:2", "h.io/a:1", True, id="repository: another tag"),
        pytest.param(REPOSITORY, "h.io/a", "h.io/a:1", True, id="repository: no tag"),
        pytest.param(REPOSITORY, "h.io/ab:1", "h.io/a:1", False, id="repository: a longer name"),
        pytest.param(REFERENCE, "vendor.example/app:1", "h.io/a:1", True, id="exact reference: whatever it goes by"),
        pytest.param(REFERENCE, "vendor.example/app:1", None, True, id="exact reference: even nothing"),
        pytest.param(REFERENCE, "vendor.example/app:2", "vendor.example/app:2", False, id="exact reference: another"),
        pytest.param(BOTH, f"vendor.example/app:1{DIGEST}", None, True, id="a tag and a digest, and both signed"),
        pytest.param(BOTH, f"vendor.example/app:1{OTHER_DIGEST}", None, False, id="a tag and a digest: another digest"),
        pytest.param(BOTH, "vendor.example/app:1", None, False, id="a tag and a digest: the tag alone"),
        pytest.param(EXACT, f"h.io/a:1{DIGEST}", "h.io/a:1", False, id="exact: more is signed"),
        pytest.param(REPOSITORY, f"h.io/a:1{DIGEST}", "h.io/a:2", True, id="repository: whatever is signed of it"),
        pytest.param(SHORT, "app:1", "mirror.example/library/app:1", False, id="a mirror of a short name"),
        pytest.param(VENDOR, "vendor.example/app:9", "h.io/a:1", True, id="exact repository"),
        pytest.param(VENDOR, "vendor.example/apps:9", "h.io/a:1", False, id="exact repository: another"),
        pytest.param(MIRROR, "vendor.example/p/a:1", "mirror.example:5000/vendor/p/a:1", True, id="a mirror"),
        pytest.param(MIRROR, "vendor.example/p/a:2", "mirror.example:5000/vendor/p/a:1", False, id="a mirror, its tag"),
        pytest.param(MIRROR, "h.io/a:1", "h.io/a:1", True, id="what is no mirror stays"),
        pytest.param(MIRROR, "vendor.example/x:1", "mirror.example:5000/vendorx/x:1", False, id="half a part is none"),
        pytest.param(MIRROR, "vendor.examplex/x:1", "mirror.example:5000/vendorx/x:1", False, id="nor the rest of one"),
    ],
)
def test_names(rule: IdentityRule, signed: str, wanted: str | None, expected: bool) -> None:
    assert rule.matches(signed, None if wanted is None else ImageName.parse(wanted)) is expected
