"""Documents that are read: a sound one is not checked again, any other is."""

from __future__ import annotations

import pytest

from converter import schema
from converter.cache import VerifiedCache
from converter.errors import Invalid
from converter.formats.documents import read_document, remember_sound, require_valid
from converter.model import media_types as types
from converter.model.content import Known, blocks_of
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json

LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


def test_a_sound_document_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with remember_sound(VerifiedCache()):
        require_valid(LAYOUT, "oci-layout")
        monkeypatch.setattr(schema, "check_document", pytest.fail)
        require_valid(LAYOUT, "oci-layout")


@pytest.mark.parametrize(
    "data, kind",
    [
        pytest.param(LAYOUT + b" ", "oci-layout", id="other bytes are another document"),
        pytest.param(LAYOUT, "oci-index", id="it is no document of another kind"),
    ],
)
def test_nothing_else_is_thought_sound(data: bytes, kind: str) -> None:
    memory = VerifiedCache()
    with remember_sound(memory):
        require_valid(LAYOUT, "oci-layout")
        assert not memory.is_valid_document(Digest.of(data), kind)


def test_a_configuration_may_say_anything_for_a_media_type() -> None:
    rootfs = {"type": "layers", "diff_ids": []}
    data = dump_json({"architecture": "amd64", "os": "linux", "rootfs": rootfs, "mediaType": {}})
    known = Known(Descriptor(media_type=types.OCI_CONFIG, digest=Digest.of(data), size=len(data)), blocks_of(data))
    assert read_document(known)["mediaType"] == {}


def test_what_was_wrong_is_wrong_again() -> None:
    with remember_sound(VerifiedCache()):
        for _ in range(2):
            with pytest.raises(Invalid, match="imageLayoutVersion"):
                require_valid(b'{"imageLayoutVersion": "2.0.0"}', "oci-layout")


def test_nothing_is_remembered_where_nobody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_valid(LAYOUT, "oci-layout")
    checked: list[str] = []

    def check(_data: bytes, kind: str) -> tuple[()]:
        checked.append(kind)
        return ()

    monkeypatch.setattr(schema, "check_document", check)
    require_valid(LAYOUT, "oci-layout")
    assert checked == ["oci-layout"]
