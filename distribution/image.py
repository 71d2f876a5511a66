"""Attaches to the image of transship what is known of it: its packages (SPDX 2.3), and an in-toto statement.

``python -m distribution.image REF ROOT.tar STATEMENT.json`` adds them to a layout or a registry as referrers
(image-spec 1.1.1, manifest.md, "Guidelines for Artifact Usage"); `bin/image` does it.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from email.parser import Parser
from pathlib import Path
from typing import Any

from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.descriptor import Descriptor
from converter.model.document import dump_json
from converter.model.image import Attachment, Image
from converter.model.reference import Location
from converter.opened_reference import open_image
from converter.ports import Sink
from converter.stores import open_sink, open_source
from converter.trust.cosign import STATEMENT
from converter.version import __version__

SPDX = "application/spdx+json"
STATUS = "var/lib/dpkg/status"
METADATA = re.compile(r"usr/lib/transship/[^/]+\.dist-info/METADATA")


def main(reference: str, root: Path, statement: Path) -> None:
    """Attach both to the one image that the reference names."""
    image = open_image(reference)
    assert isinstance(image, Image)
    location = Location.parse(reference)
    with open_source(location) as source:
        subject = source.resolve(location.name)
    listed = sbom(f"transship {__version__}", str(subject.digest), image.created, packages(root))
    with open_sink(location) as sink:
        attach(sink, subject, SPDX, json.dumps(listed, indent=1).encode())
        attach(sink, subject, STATEMENT, statement.read_bytes())


def packages(root: Path) -> list[tuple[str, str, str]]:
    """The name, the version and the package URL of each package of Debian's and of Python's in a tar of a root."""
    found: list[tuple[str, str, str]] = []
    with tarfile.open(root) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if name != STATUS and not METADATA.fullmatch(name):
                continue
            file = tar.extractfile(member)
            assert file is not None
            text = file.read().decode()
            found += _debian(text) if name == STATUS else [_python(text)]
    return sorted(found)


def _debian(status: str) -> Iterator[tuple[str, str, str]]:
    for paragraph in status.strip().split("\n\n"):
        told = Parser().parsestr(paragraph, headersonly=True)
        name, version, architecture = told["Package"], told["Version"], told["Architecture"]
        yield name, version, f"pkg:deb/debian/{name}@{version}?arch={architecture}"


def _python(metadata: str) -> tuple[str, str, str]:
    told = Parser().parsestr(metadata, headersonly=True)
    name, version = told["Name"], told["Version"]
    return name, version, f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"


def sbom(name: str, digest: str, created: str, found: Iterable[tuple[str, str, str]]) -> Mapping[str, Any]:
    """What an image with that manifest digest consists of, as an SPDX document."""
    rows = [
        {
            "SPDXID": f"SPDXRef-{number}",
            "name": package,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "externalRefs": [
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}
            ],
        }
        for number, (package, version, locator) in enumerate(found)
    ]
    document = "SPDXRef-DOCUMENT"
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": document,
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{digest.replace(':', '-')}",
        "creationInfo": {"created": created, "creators": [f"Tool: transship-{__version__}"]},
        "packages": rows,
        "relationships": [
            {"spdxElementId": document, "relationshipType": "DESCRIBES", "relatedSpdxElement": row["SPDXID"]}
            for row in rows
        ],
    }


def attach(sink: Sink, subject: Descriptor, kind: str, data: bytes) -> None:
    """Store a document as an artifact of the image."""
    blob, config = known_bytes(data, kind), known_bytes(b"{}", types.OCI_EMPTY)
    manifest = known_bytes(
        dump_json(
            {
                "schemaVersion": 2,
                "mediaType": types.OCI_MANIFEST,
                "artifactType": kind,
                "config": config.descriptor.to_json(),
                "layers": [blob.descriptor.to_json()],
                "subject": subject.bare().to_json(),
            }
        ),
        types.OCI_MANIFEST,
    )
    for known in (config, blob, manifest):
        if not sink.has(known.descriptor):
            sink.put(known.blocks(), known.descriptor.media_type, known.descriptor)
    sink.attach(Attachment(subject=subject.digest, descriptor=replace(manifest.descriptor, artifact_type=kind), tag=""))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
