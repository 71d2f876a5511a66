"""Where fuzzers start: small inputs of every kind, from the zoo and from the corpus of what once crashed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.zoo import documents, packed, tars
from tests.zoo.heads import END, entry, folder
from tests.zoo.members import ACI_MANIFEST, layout

CORPUS = Path(__file__).parent / "corpus"
MOST = 20_000

KINDS = {
    "tar": "tar",
    "flattened": "tar",
    "aci": "aci",
    "packed": "packed",
    "references": "name",
    "keys": "corpus",
    "signatures": "corpus",
    "certificates": "corpus",
    "evidence": "corpus",
    "entries_of_rekor": "corpus",
    "origins": "corpus",
    "sync_file": "corpus",
    "headers": "corpus",
    "credentials": "corpus",
    "page": "corpus",
}
"""What a target eats beside its corpus; the others eat JSON."""


def seeds(target: str) -> Iterator[bytes]:
    """Those of a target: what was found once, and a few of each kind."""
    for path in sorted(CORPUS.glob(f"{target}/*")):
        yield path.read_bytes()
    yield from (data for data in _kinds(KINDS.get(target, "json")) if len(data) <= MOST)


def _kinds(kind: str) -> Iterator[bytes]:
    match kind:
        case "tar":
            yield from (data for _, data in tars.tars())
        case "aci":
            head = entry("manifest", documents.text(ACI_MANIFEST)) + folder("rootfs")
            yield from (head + data for _, data in tars.tars())
        case "packed":
            yield from (data for told, data in packed.streams() if "bomb" not in told)
            yield packed.zstd_raw(tars.FILE + END)
        case "name":
            yield from tars.NAMES.values()
            yield from (b"docker://u@h:1/a/b:c@sha256:0", b"oci:a:b", b"appc:a.b/c:1,os=linux", b"layers=2K", b"zstd:3")
        case "corpus":
            return
        case _:
            yield from documents.TEXTS.values()
            made = layout()
            for document in (made.config, made.manifest, made.index, ACI_MANIFEST):
                yield json.dumps(document).encode()
                yield from (documents.text(value) for _, value in list(documents.mutations(document))[::17])
