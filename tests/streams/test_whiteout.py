from __future__ import annotations

import pytest

from converter.errors import Invalid
from converter.streams.tar.changesets import Empties, Ignored, Removes, Whiteout, whiteout

MEANS = [
    pytest.param(b"etc/passwd", None, id="an ordinary file is none"),
    pytest.param(b"etc/x.wh.y", None, id="the prefix within a name is none"),
    pytest.param(b"", None, id="the root is none"),
    pytest.param(b".wh.etc", Removes(b"etc"), id="at the top it removes a top-level name"),
    pytest.param(b"etc/.wh.passwd", Removes(b"etc/passwd"), id="it removes its sibling"),
    pytest.param(b"etc/.wh..hidden", Removes(b"etc/.hidden"), id="it removes a dot file"),
    pytest.param(b"etc/.wh.caf\xe9", Removes(b"etc/caf\xe9"), id="it removes a name that is no UTF-8"),
    pytest.param(b"etc/.wh..wh..opq", Empties(b"etc"), id="the opaque marker empties its directory"),
    pytest.param(b".wh..wh..opq", Empties(b""), id="the opaque marker may empty the root"),
    pytest.param(b".wh..wh.aufs", Ignored(), id="a name of aufs is ignored"),
    pytest.param(b".wh..wh.plnk/12.34", Ignored(), id="what is in a directory of aufs is ignored"),
    pytest.param(b"a/.wh..wh.orph/.wh.x", Ignored(), id="also when it looks like a whiteout itself"),
]


@pytest.mark.parametrize("path, want", MEANS)
def test_whiteout(path: bytes, want: Whiteout | None) -> None:
    assert whiteout(path) == want


REFUSED = [
    pytest.param(b"a/.wh.", id="one without a name"),
    pytest.param(b".wh..", id="one of the directory itself"),
    pytest.param(b"a/.wh...", id="one of the directory above"),
    pytest.param(b".wh.a/b", id="a file below a whiteout"),
]


@pytest.mark.parametrize("path", REFUSED)
def test_refused(path: bytes) -> None:
    with pytest.raises(Invalid, match="whiteout "):
        whiteout(path)
