"""Any document is judged; nothing is raised."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from converter.schema import FAMILIES, KINDS, STRICTNESS_LEVELS, check_document, guess_kind

NAMES = sorted(
    {
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "data", "annotations"),
        *("rootfs", "diff_ids", "history", "empty_layer", "created", "v1Compatibility", "fsLayers", "signatures"),
        *("protected", "Config", "RepoTags", "Layers", "Healthcheck", "Test", "Env", "ExposedPorts", "platform", "os"),
        *("acKind", "acVersion", "name", "labels", "value", "app", "apps", "isolators", "ports", "port", "count"),
        *("environment", "volumes", "imageID", "hostIP", "pathWhitelist", "request", "limit", "subject", "kind"),
    }
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(("os", "linux", "arch", "created", "PodManifest", "sha256:00", "resource/cpu", "1K", "0.0.0")),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=4)), inner)
    ),
    max_leaves=25,
)


@given(value=documents, kind=st.sampled_from(KINDS))
def test_any_json_is_judged(value: Any, kind: str) -> None:
    for profile in STRICTNESS_LEVELS:
        for finding in check_document(json.dumps(value).encode(), kind, profile):
            assert finding.path == "" or finding.path.startswith("/")


@given(data=st.binary(max_size=200), kind=st.sampled_from(KINDS))
def test_any_bytes_are_judged(data: bytes, kind: str) -> None:
    check_document(data, kind)
    assert guess_kind(data) in {None, *FAMILIES}
