"""Unpacks the layouts of the corpus with other tools, and writes where they and this project differ."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
#: By rule, or by name for images that break none.
WHY = {
    "image/attestation": "oci-image-tool implements image-spec 1.0, without artifacts and the empty configuration.",
    "image/diff-id": "oci-image-tool does not look at diff_ids.",
    "image/diff-id-count": "oci-image-tool does not look at diff_ids; umoci crashes.",
    "image/history-length": "Neither compares the numbers. containerd and others do, and so do we.",
    "image/layer-compression": "umoci goes by the media type; Docker and we go by the bytes, with a warning.",
    "image/layer-format": "oci-image-tool stops reading at the end of the tar.",
    "image/limit": "umoci follows indexes without a limit, oci-image-tool not at all.",
    "image/media-type": "umoci does not look at what a document says of itself (CVE-2021-41190).",
    "image/platform": "oci-image-tool must be told which image of an index is meant; umoci does not compare platforms.",
    "image/referrer": "Neither reads what is attached to an image.",
    "image/subject": "Neither reads what is attached to an image.",
    "oci/environment": "Unpacking does not look at the environment.",
    "oci/layout-name-syntax": "Neither finds an image by such a name.",
    "oci/layout-name": "Both refuse a name that two images have, once it is asked for.",
    "schema/oci-manifest/minItems": "umoci and our reader accept an image without layers; the schema does not.",
    "tar/duplicate-entry": "oci-image-tool follows the text, which forbids it; all others take the last entry.",
    "tar/name-outside": "umoci reads `..` at the root as the root.",
    "tar/root": "oci-image-tool unpacks a file over its directory, or nothing.",
    "tar/type": "umoci and Docker refuse entries of types that they do not know; oci-image-tool skips them.",
    "tar/whiteout-name": "They remove what such a whiteout seems to name, and some fail.",
    "tar-valid-symlink-out-of-the-root": "oci-image-tool refuses a symlink that leads out of the root; at run time such"
    " a link stays within the root.",
    "tar-of-nothing": "oci-image-tool needs the first bytes of every layer to detect its compression.",
    "valid-foreign-layer-elsewhere": "They require every blob in the layout, even if it has URLs elsewhere.",
    "valid-index": "Both must be told which image of an index is meant.",
    "valid-packed-layers": "Both implement image-spec 1.0, which has no zstd.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layout and the verdicts on it."""

    name: str
    rules: tuple[str, ...]
    ours: bool
    tool: bool
    umoci: bool

    @property
    def agreed(self) -> bool:
        """Whether all say the same."""
        return self.ours == self.tool == self.umoci


def rows() -> Iterator[Row]:
    """The verdicts on every layout of the corpus; ours are those that index.json promises."""
    for case in json.loads((FIXTURES / "index.json").read_bytes())["images"]:
        if case["transport"] != "oci-archive":
            continue
        with tempfile.TemporaryDirectory() as folder:
            layout = Path(folder, "layout")
            layout.mkdir()
            subprocess.run(["tar", "-xf", FIXTURES / case["path"], "-C", layout], capture_output=True, check=False)
            called = "a name" if case["path"].endswith("name-with-a-blank.tar") else "latest"
            yield Row(
                name=Path(case["path"]).stem,
                rules=tuple(case["rules"]),
                ours=case["valid"],
                tool=_runs("oci-image-tool", "unpack", "--ref", f"name={called}", layout, Path(folder, "tool")),
                umoci=_runs("umoci", "unpack", "--image", f"{layout}:{called}", Path(folder, "umoci")),
            )


def _runs(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def reasons(row: Row) -> set[str]:
    """The reasons that a difference may have."""
    return WHY.keys() & {row.name, *row.rules}


def render(judged: Sequence[Row]) -> str:
    """The part of docs/conformance.md on images."""
    lines = [HEAD.format(count=len(judged), same=sum(row.agreed for row in judged)), ""]
    for reason, why in WHY.items():
        differing = [row for row in judged if not row.agreed and reason in reasons(row)]
        if differing:
            lines += [
                f"### {reason}",
                "",
                why,
                "",
                "| image | transship | oci-image-tool | umoci |",
                "|---|---|---|---|",
            ]
            lines += [
                f"| {row.name} | {_says(row.ours)} | {_says(row.tool)} | {_says(row.umoci)} |" for row in differing
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _says(verdict: bool) -> str:
    return "valid" if verdict else "invalid"


HEAD = """\
## Whole images

`oci-image-tool validate` follows an image of a layout by its digests and sizes, and looks into no layer. So what is
compared here is what `oci-image-tool unpack` and `umoci unpack` can do with the layouts of the corpus, each as root and
in a directory of its own: {same} of {count} are judged alike by all three. A tool that ends with an error counts as one
that says invalid."""
