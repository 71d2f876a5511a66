from __future__ import annotations

from typing import Any

import pytest

from converter.cli.inspect import fill_template
from converter.errors import Usage

DOCUMENT: dict[str, Any] = {
    "digest": "sha256:ab",
    "media_type": "text/x",
    "size": 7,
    "config": {"env": ["A=1", "B=2"], "labels": {"org.example.team": "blue"}},
}


@pytest.mark.parametrize(
    "template, told",
    [
        pytest.param("{{.Digest}}", "sha256:ab", id="as for skopeo and docker"),
        pytest.param("digest", "sha256:ab", id="a path"),
        pytest.param(".digest", "sha256:ab", id="a path with its dot"),
        pytest.param("{{.MediaType}}", "text/x", id="a member whatever its underscores"),
        pytest.param("{{ .Size }}", "7", id="a number"),
        pytest.param("config.env", '["A=1", "B=2"]', id="a list is JSON"),
        pytest.param("config.env.1", "B=2", id="one of a list"),
        pytest.param("config.labels.org.example.team", "blue", id="a key with dots of its own"),
        pytest.param("{{json .Digest}}", '"sha256:ab"', id="a text as JSON"),
        pytest.param("{{.Size}}\\t{{.Digest}}!", "7\tsha256:ab!", id="text between values"),
    ],
)
def test_values_of_a_document(template: str, told: str) -> None:
    assert fill_template(template, DOCUMENT) == told


@pytest.mark.parametrize(
    "template, fact",
    [
        pytest.param(
            "{{.Dgest}}",
            r'unknown member "Dgest" \(available: digest, media_type, size, config\)',
            id="a member that is not there",
        ),
        pytest.param("config.env.2", r'unknown member "config.env.2" \(available: 0, 1\)', id="one too many"),
        pytest.param("digest.x", r'unknown member "digest.x" \(available: none\)', id="a member of a text"),
        pytest.param("{{range .Layers}}", "invalid template", id="what Go can do besides"),
        pytest.param("Digest!", "invalid template", id="no value at all"),
    ],
)
def test_what_is_no_value(template: str, fact: str) -> None:
    with pytest.raises(Usage, match=fact):
        fill_template(template, DOCUMENT)
