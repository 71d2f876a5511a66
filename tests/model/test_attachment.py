"""What refers to an image, as records have it: a server's, and those of origins."""

from __future__ import annotations

from typing import Any

import pytest

from converter.errors import Invalid
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment

SUBJECT = Digest.of(b"image")
ENTRY = Descriptor.of(b"signature", "text/plain")
RECORDED = {"subject": str(SUBJECT), "descriptor": ENTRY.to_json()}


@pytest.mark.parametrize(
    "members, tag",
    [
        pytest.param({"tag": "sha256-x.sig"}, "sha256-x.sig", id="a tag"),
        pytest.param({}, "", id="no tag"),
        pytest.param({"tag": ""}, "", id="an empty tag, as servers once wrote it"),
        pytest.param({"tag": None}, "", id="no tag, in JSON's word for nothing"),
    ],
)
def test_an_attachment_is_read(members: dict[str, Any], tag: str) -> None:
    expected = Attachment(subject=SUBJECT, descriptor=ENTRY, tag=tag)
    assert Attachment.from_json({**RECORDED, **members}) == expected
    assert Attachment.from_json(expected.to_json()) == expected


@pytest.mark.parametrize(
    "members, reason",
    [
        pytest.param({"tag": 1}, "tag: expected a string, found a number", id="a tag that is a number"),
        pytest.param({"tag": False}, "tag: expected a string, found a boolean", id="a tag that is false"),
        pytest.param({"tag": []}, "tag: expected a string, found an array", id="a tag that is an empty list"),
        pytest.param({"subject": None}, "subject: expected a string, found null", id="a subject that is nothing"),
        pytest.param({"descriptor": None}, "expected an object, found null", id="a descriptor that is nothing"),
    ],
)
def test_an_attachment_is_refused(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        Attachment.from_json({**RECORDED, **members})
