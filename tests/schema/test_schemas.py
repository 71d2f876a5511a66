"""The schema files stand on their own: described, self-contained, and readable by any validator."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from converter.errors import Usage
from converter.formats.container_config import UnknownMembers
from converter.model.content import Known, Layer
from converter.model.describe import describe
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Artifact, History, Image, Index, IndexEntry, Item, Original, RunConfig
from converter.model.platform import Platform
from converter.schema import KINDS, bundled_schema, check_document, schema_of

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(path for path in (ROOT / "schemas").glob("*.json") if path.stem not in ("policy", "sync"))
"""Those of documents of images; tests/trust/test_policy.py and tests/sync look at those of policies and sync files."""
BASE = "https://schemas.transship.invalid/1/"
file = pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FILES])


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def nodes(schema: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield place, schema
        for word in ("properties", "$defs"):
            for name, part in schema.get(word, {}).items():
                yield from nodes(part, f"{place}/{word}/{name}")
        for word in ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else"):
            yield from nodes(schema.get(word), f"{place}/{word}")
        for index, part in enumerate(schema.get("allOf", ())):
            yield from nodes(part, f"{place}/allOf/{index}")


def test_each_kind_has_a_schema() -> None:
    assert {path.stem for path in FILES} - {"common", "docker-common", "aci-common", "verdicts", "profile"} == set(
        KINDS
    )


@file
def test_it_is_a_schema_of_2020_12_with_its_own_name(path: Path) -> None:
    loaded = load(path)

    jsonschema.Draft202012Validator.check_schema(loaded)
    assert loaded["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert loaded["$id"] == BASE + path.name


@file
def test_each_member_has_a_title_a_description_and_its_section(path: Path) -> None:
    bare = [
        place
        for place, node in nodes(load(path))
        if re.search(r"/(properties|\$defs)/[^/]+$", place)
        # What a condition adds is described where the member is.
        and not re.search(r"/(if|then|else|allOf)/", place)
        and not (node.get("title") and node.get("description", "").endswith(".") and node.get("$comment"))
    ]

    assert bare == []


@file
def test_each_item_is_described(path: Path) -> None:
    places = ((place, node) for place, node in nodes(load(path)) if re.search(r"/(items|additionalProperties)$", place))
    assert [place for place, node in places if not (node.get("title") and node.get("description"))] == []


@file
def test_references_lead_to_neighbours(path: Path) -> None:
    for place, node in nodes(load(path)):
        if "$ref" in node:
            name, _, fragment = node["$ref"].partition("#")
            target: Any = load(path.with_name(name)) if name else load(path)
            for part in fragment.split("/")[1:]:
                assert part in target, (place, node["$ref"])
                target = target[part]


@file
def test_patterns_are_read_alike_by_every_engine(path: Path) -> None:
    for place, node in nodes(load(path)):
        pattern = node.get("pattern", "")
        # No look-around, no back-references, no lazy or possessive repeats, no named classes outside brackets.
        assert not re.search(r"\(\?|\\[1-9]|[*+?}][?+]|\\[dDwWbBAZzp]", pattern), place
        if pattern.endswith("$"):
            assert (
                node.get("not") == {"type": "string", "pattern": "[\\r\\n]"}
                or "\\s" in pattern
                or re.search(r"\[\^.\]\+\$$", pattern)
            ), f"{place}: in Python $ takes a final line break"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_refers_to_nothing_outside(kind: str) -> None:
    whole = bundled_schema(kind)

    embedded = {part["$id"] for part in (whole, *whole.get("$defs", {}).values()) if "$id" in part}
    for _, node in nodes(whole):
        name = node.get("$ref", "#").partition("#")[0]
        assert not name or BASE + name in embedded
    jsonschema.Draft202012Validator.check_schema(whole)
    # Without a network: it raises where something is missing.
    jsonschema_rs.validator_for(whole, offline=True)


def test_what_is_given_out_can_be_changed_without_harm() -> None:
    schema_of("oci-layout")["properties"].clear()
    bundled_schema("oci-manifest")["$defs"].clear()

    assert schema_of("oci-layout")["properties"]
    assert bundled_schema("oci-manifest")["$defs"]


def test_an_unknown_kind_is_wrong_usage() -> None:
    with pytest.raises(Usage, match='unknown kind "oci"'):
        schema_of("oci")


def test_the_readme_lists_every_file() -> None:
    readme = (ROOT / "schemas/README.md").read_text()

    assert [path.name for path in FILES if f"`{path.name}`" not in readme] == []


def test_the_readmes_example_runs() -> None:
    readme = (ROOT / "schemas/README.md").read_text()
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example

    run = subprocess.run([sys.executable, "-c", example[1]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "ValidationError: 'config' is a required property" in run.stderr


def known(name: str) -> Known:
    descriptor = Descriptor.of(name.encode(), "application/octet-stream")
    return Known(descriptor=descriptor, raw=lambda: iter([name.encode()]))


ARTIFACT = Artifact(original=Original(format="oci", manifest=known("b")))


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Image(platform=Platform(os="linux", architecture="amd64")), id="an image with nothing"),
        pytest.param(
            Image(
                platform=Platform(os="linux", architecture="arm", variant="v7", os_version="6", os_features=("f",)),
                config=RunConfig(
                    user="0",
                    exposed_ports=("80/tcp",),
                    env=("A=b",),
                    entrypoint=("/bin/app",),
                    cmd=(),
                    volumes=("/data",),
                    working_dir="/",
                    labels={"k": "v"},
                    stop_signal="SIGTERM",
                    healthcheck={"Test": ("NONE",)},
                    shell=("/bin/sh",),
                    on_build=("RUN true",),
                ),
                layers=(Layer(content=known("layer"), diff_id=Digest.of(b"tar")),),
                history=(History(created="2020", created_by="ADD", author="a", comment="c", empty_layer=True),),
                created="2020",
                author="Ada",
                annotations={"k": "v"},
                foreign={"docker": UnknownMembers({"docker_version": "20"})},
                original=Original(format="docker", manifest=known("manifest"), config=known("config")),
            ),
            id="an image with everything",
        ),
        pytest.param(
            Index(
                entries=(
                    IndexEntry(descriptor=known("a").descriptor),
                    IndexEntry(
                        descriptor=known("b").descriptor,
                        item=Artifact(original=Original(format="oci", manifest=known("b"))),
                    ),
                ),
                annotations={"k": "v"},
            ),
            id="an index with an artifact",
        ),
    ],
)
def test_the_neutral_model_is_described_as_its_schema_promises(item: Item) -> None:
    assert check_document(json.dumps(describe(item)).encode(), "image", "strict") == ()
