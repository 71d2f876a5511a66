"""Judges the corpus with other validators, and writes where they and this project differ.

``python -m tests.interop.conformance`` writes docs/conformance.md anew.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT4

from tests import corpus
from tests.interop import conformance_images as images
from tests.interop.peers import OFFICIAL_SCHEMAS

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs/conformance.md"
BASE = "https://official.invalid/"
#: For each kind what oci-image-tool calls it, and the file of the official schema.
KINDS = {
    "oci-manifest": ("manifest", "image-manifest-schema.json"),
    "oci-index": ("imageIndex", "image-index-schema.json"),
    "oci-config": ("config", "config-schema.json"),
    "oci-descriptor": (None, "content-descriptor.json"),
    "oci-layout": (None, "image-layout-schema.json"),
}
WHY = {
    "json/ambiguous-key": "Both accept the document, but each reads another one of the two members.",
    "json/depth": "A parser may accept any depth; our limit keeps a document from exhausting the memory.",
    "json/duplicate-key": "Python's parser silently takes the last of two.",
    "json/number": "Python's parser accepts NaN and infinities, which are not JSON.",
    "json/number-range": "Python's integers have any size; Go's have 64 bits.",
    "json/syntax": "Python's parser, given bytes, accepts a byte order mark; Go's does not.",
    "oci/ambiguous": "No schema forbids further members. Readers do, since CVE-2021-41190.",
    "oci/ambiguous-index": "No schema forbids further members. Readers do, since CVE-2021-41190.",
    "oci/data-base64": "The official schema names the encoding and does not check it. Go's decoder does, but for"
    " line breaks, which it passes over and other decoders refuse.",
    "oci/digest-encoding": "The official schema knows the grammar of digests but no algorithms; go-digest knows them.",
    "oci/diff-id": "The official schema accepts any string. No layer has such a diff_id, so it cannot be unpacked.",
    "oci/digest-syntax": "Python's `$` also matches before a final line break.",
    "oci/environment": "The official schema accepts any string; oci-image-tool itself requires NAME=VALUE.",
    "oci/environment-line": "oci-image-tool refuses a line break in a value, by accident of its pattern. Every runtime"
    " accepts it, and so do we, with a warning.",
    "oci/media-type-syntax": "The official pattern of 1.1.0 has `&-^` in brackets, a range that holds `/` and `;`; and"
    " Python's `$` also matches before a final line break.",
    "oci/reference-digest-encoding": "The official schema knows the grammar of digests, and no algorithm; containerd,"
    " the Engine and podman refuse such a digest.",
    "oci/size": "The official schema of 1.1.0 accepts negative sizes, and numbers slightly beyond 64 bits.",
    "oci/timestamp-for-go": "RFC 3339 allows lower-case letters, and Python's checker accepts them; Go does not.",
    "oci/timestamp-syntax": "Python's checker of date-time accepts a final line break.",
    "oci/url-blank": "Go accepts spaces after the host; Python's checker of uri does not.",
    "oci/url-characters": "Go accepts letters beyond ASCII, braces and the like; Python's checker of uri does not.",
    "oci/url-for-go": "Python's checker of uri accepts an escaped letter in a host, as RFC 3986 does; Go does not.",
    "oci/url-syntax": "Python's checker of uri accepts a final line break.",
    "schema/oci-descriptor/type": "The official schema of a descriptor does not know platform.",
}
"""For each rule in which a document may differ the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One document and the verdicts on it; ``tool`` is None where oci-image-tool has no such kind."""

    name: str
    kind: str
    rules: tuple[str, ...]
    ours: bool
    tool: bool | None
    official: bool

    @property
    def agreed(self) -> bool:
        """Whether all say the same."""
        return {self.ours, self.official, self.ours if self.tool is None else self.tool} == {self.ours}


def rows() -> Iterator[Row]:
    """The verdicts on every OCI document of the corpus; ours are those that the corpus promises."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "document.json")
        for case in corpus.documents():
            if case.kind in KINDS:
                name, schema = KINDS[case.kind]
                path.write_bytes(case.data)
                yield Row(
                    name=case.name,
                    kind=case.kind,
                    rules=tuple(case.rules),
                    ours=case.valid,
                    tool=None if name is None else oci_image_tool(name, path),
                    official=official(schema, path),
                )


def oci_image_tool(name: str, path: Path) -> bool:
    """What oci-image-tool says."""
    command = ["oci-image-tool", "validate", "--type", name, str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def official(schema: str, path: Path) -> bool:
    """What the official schemas say, as Python reads them, formats included."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return bool(official_validator(schema).is_valid(document))


@cache
def official_validator(name: str) -> Any:
    folder = Path(OFFICIAL_SCHEMAS).parent
    files = {path.name: _without_ids(json.loads(path.read_bytes())) for path in folder.glob("*.json")}
    # Their ids lead to a web server, and their references to files beside them: one base for both.
    resources = ((BASE + key, DRAFT4.create_resource(file | {"id": BASE + key})) for key, file in files.items())
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(resources)
    checker = jsonschema.Draft4Validator.FORMAT_CHECKER
    return jsonschema.Draft4Validator(files[name] | {"id": BASE + name}, registry=registry, format_checker=checker)


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(member) for key, member in value.items() if key != "id"}
    return [_without_ids(item) for item in value] if isinstance(value, list) else value


def render(judged: list[Row]) -> str:
    """docs/conformance.md."""
    lines = [HEAD]
    for kind in KINDS:
        of_kind = [row for row in judged if row.kind == kind]
        counts = Counter(row.agreed for row in of_kind)
        tool = "no such type" if KINDS[kind][0] is None else str(sum(row.tool == row.ours for row in of_kind))
        same = sum(row.official == row.ours for row in of_kind)
        lines.append(f"| {kind} | {len(of_kind)} | {counts[True]} | {tool} | {same} |")
    lines.append(MIDDLE)
    for rule in sorted(WHY):
        differing = [row for row in judged if not row.agreed and rule in row.rules]
        if differing:
            lines += [f"### {rule}", "", WHY[rule], "", "| document | transship | oci-image-tool | official schemas |"]
            lines.append("|---|---|---|---|")
            lines += [
                f"| {row.name} | {_says(row.ours)} | {_says(row.tool)} | {_says(row.official)} |" for row in differing
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _says(verdict: bool | None) -> str:
    return {None: "", True: "valid", False: "invalid"}[verdict]


HEAD = """\
# Conformance

This page compares this project's verdicts on the OCI documents of [`fixtures/`](../fixtures/README.md) with those of
two others:

- **oci-image-tool** `validate`, of Debian: the reference validator of image-spec, in Go;
- **the official schemas** of image-spec 1.1.0 (Debian's golang-github-opencontainers-image-spec-dev), read by Python's
  jsonschema with formats checked: the result of using the schemas with a common validator.

`python -m tests.interop.conformance` writes this page, and a test keeps it true. Ours are the verdicts under `compat`,
the default.

| kind | documents | all agree | oci-image-tool agrees | official schemas agree |
|---|---|---|---|---|"""
MIDDLE = """
Docker's and App Container's documents have no official schemas to compare with. Their rules were read off the reference
implementations: containers/image, and the schema package of appc/spec.

## Where they differ, and why
"""

if __name__ == "__main__":
    DOCUMENT.write_text(render(list(rows())) + "\n" + images.render(list(images.rows())))
