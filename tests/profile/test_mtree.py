"""The text of a profile is read back as it was written, also by other programs."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from converter.errors import Invalid
from converter.profile import mtree
from converter.profile.mtree import File
from converter.streams.tar import fields
from converter.streams.tar.listing import Node

SHA = bytes(range(32))


def node(kind: bytes = fields.FILE, **more: object) -> Node:
    return Node(type=kind, mode=0o644, uid=0, gid=0, mtime_ns=0)._replace(**more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "file, line",
    [
        pytest.param(
            File(b"", node(fields.DIR, mode=0o755)), b". type=dir mode=0755 uid=0 gid=0\n", id="the root is a dot"
        ),
        pytest.param(
            File(b"a/b", node(size=3, sha256=SHA, uid=5, gid=7)),
            b"./a/b type=file mode=0644 uid=5 gid=7 size=3 sha256digest=" + SHA.hex().encode() + b"\n",
            id="a file has its size and the digest of its content",
        ),
        pytest.param(
            File(b"l", node(fields.SYMLINK, linkname=b"a b")),
            b"./l type=link uid=0 gid=0 link=a\\040b\n",
            id="a link has its target, and no mode",
        ),
        pytest.param(
            File(b"null", node(fields.CHAR, device=(1, 3))),
            b"./null type=char mode=0644 uid=0 gid=0 device=native,1,3\n",
            id="a device has its numbers",
        ),
        pytest.param(File(b"p", node(fields.FIFO)), b"./p type=fifo mode=0644 uid=0 gid=0\n", id="a pipe"),
        pytest.param(
            File(b"a\\b#\n\xff", node(fields.FIFO)),
            b"./a\\134b\\043\\012\\377 type=fifo mode=0644 uid=0 gid=0\n",
            id="a name with what would end it",
        ),
    ],
)
def test_a_file_is_one_line(file: File, line: bytes) -> None:
    assert mtree.format_line(file) == line
    read, _ = mtree.parse_line(1, line)
    assert mtree.format_line(read) == line


def test_a_time_is_told_only_when_it_counts() -> None:
    file = File(b"p", node(fields.FIFO, mtime_ns=1_500_000_001))
    assert b"time" not in mtree.format_line(file)
    assert mtree.format_line(file, times=True).endswith(b" time=1.500000001\n")
    read, told = mtree.parse_line(1, mtree.format_line(file, times=True))
    assert read == file
    assert b"time" in told


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"a type=dir", id="a path that depends on the lines before"),
        pytest.param(b"./a", id="no type"),
        pytest.param(b"./a type=door", id="an unknown type"),
        pytest.param(b"./a type=file colour=red", id="an unknown keyword"),
        pytest.param(b"./a type=file mode=9", id="a mode that is not octal"),
        pytest.param(b"./a type=file size", id="a keyword without a value"),
        pytest.param(b"./a type=file sha256digest=xyz", id="a digest that is not hexadecimal"),
        pytest.param(b"/set type=file", id="a default for the lines that follow"),
    ],
)
def test_another_text_is_refused_with_the_number_of_its_line(line: bytes) -> None:
    with pytest.raises(Invalid, match="not a profile, in line 2: "):
        [mtree.parse_line(*one) for one in mtree.numbered([mtree.FIRST, line])]


names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


@given(names, names, st.integers(0, 0o7777), st.integers(0, 2**32 - 2), st.integers(-(2**40), 2**70))
def test_what_is_written_is_read(path: bytes, target: bytes, mode: int, owner: int, time: int) -> None:
    for one in (
        node(fields.FIFO, mode=mode, uid=owner, mtime_ns=time),
        node(fields.SYMLINK, mode=0, linkname=target, gid=owner, mtime_ns=time),
        node(size=time % 2**63, sha256=SHA, mode=mode, mtime_ns=time),
    ):
        line = mtree.format_line(File(path, one), times=True)
        assert line.isascii()
        assert line.count(b"\n") == 1
        read, _ = mtree.parse_line(1, line)
        assert read == File(path, one)
