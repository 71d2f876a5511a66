"""The differences between a converted image and what it should be, in terms that show what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converter.compare_images import compare_trees
from converter.errors import Invalid, Untrusted
from converter.model.document import dump_json, json_pointer, load_object
from converter.model.frozen import frozen
from converter.model.limits import current_limits
from converter.streams.blocks import Blocks, closing
from converter.streams.tar.entry import Cursor, Entry
from converter.streams.tar.fields import DIR, FILE, MANIFEST, ROOTFS, parse_number, quoted_name
from converter.streams.tar.headers import Headers
from converter.streams.tar.listing import TreeListing
from converter.streams.tar.pax import XATTR
from converter.streams.tar.scan import Scanner
from converter.streams.tar.tree import list_tree

ALTERNATIVE_CONTENT = (
    "appc.io/",
    "com.amazon.soci.",
    "containerd.io/snapshot/",
    "io.containers.estargz.",
    "io.github.containers.zstd-chunked.",
    "com.github.containerd.",
    "io.containerd.",
)
"""Annotations that make a runtime take a layer's content from elsewhere than its tar, and those from which an ACI is
rebuilt: a later conversion would pass off what they say as signed."""


_IN_THE_TREE = frozenset(
    (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"atime", b"ctime", b"uname", b"gname")
)
"""PAX records that a file tree already reflects, or that no extractor obeys."""

HeaderFields = tuple[tuple[bytes, bytes], ...]


@frozen
class AciContents:
    """The files of an ACI, including ``rootfs`` and ``manifest``, what else their headers say, and its manifest.

    The caller closes ``files``.
    """

    files: TreeListing
    headers: Mapping[bytes, HeaderFields]
    manifest: bytes


def read_contents(blocks: Blocks) -> AciContents:
    """Read the tar of an ACI; raises Invalid if two readers may see different content in it."""
    manifest: list[bytes] = []
    headers: dict[bytes, HeaderFields] = {}

    def watched() -> Iterator[bytes | memoryview]:
        with closing(blocks) as source:
            scanner = Scanner(Cursor(source))
            for entry in scanner:
                name = entry.name
                if name in headers:
                    raise Invalid(f"entry {quoted_name(name)} occurs twice")
                _check_headers(entry)
                headers[name] = _headers_of(entry)
                yield entry.raw
                if name == MANIFEST:
                    current_limits().require("document", entry.size, "bytes of the manifest")
                    manifest.append(b"".join(entry.payload))
                    yield manifest[0] + bytes(-len(manifest[0]) % 512)
                else:
                    yield from entry.body
            for rest in scanner.trailing():
                if bytes(rest).strip(b"\0"):
                    raise Invalid("data after the last entry")
                yield rest

    files = list_tree([watched])
    if lost := headers.keys() - {row.path for row in files if row.record}:
        files.close()
        # A runtime may see what a tree omits: a whiteout is a plain file to it, and a replaced link exists for a while.
        raise Invalid(f"entry {quoted_name(min(lost))} does not make a file that stays")
    return AciContents(files=files, headers=headers, manifest=b"".join(manifest))


def _check_headers(entry: Entry) -> None:
    """Raises Invalid for headers that readers understand in different ways.

    Go's archive/tar applies neither global PAX headers nor Solaris's; GNU tar skips a directory's payload; a prefix is
    read from other headers than POSIX's by some, and is shorter in those of star; to some, a file whose name ends with
    a slash is a directory.
    """
    extra, head = entry.extra, entry.head
    what = "a size" if entry.type != FILE and parse_number(head[124:136], "size") else ""
    slash = entry.written.endswith(b"/") and entry.type != DIR
    if slash or head[156:157] not in (entry.type, b"\0" if entry.type == FILE else entry.type):
        what = "a type that its name contradicts"
    if extra is not None:
        what = "a global PAX header" if extra.globals or extra.inherited else what
        what = "a PAX header of Solaris" if any(one.flag == b"X" for one in Headers(extra.records).records) else what
    unused = {b"ustar\x0000": head[500:], b"ustar  \0": head[345:], bytes(8): head[257:]}.get(head[257:265])
    if unused is None or any(unused):
        what = "fields of another dialect"
    if what:
        raise Invalid(f"entry {quoted_name(entry.name)} has {what}, which readers understand in different ways")


def _headers_of(entry: Entry) -> HeaderFields:
    """What an extractor may apply and a tree does not hold: owner names, ACLs, labels."""
    owners = ((b"uname", entry.uname), (b"gname", entry.gname))
    records = (
        (key, value)
        for key, value in entry.pax.items()
        if key not in _IN_THE_TREE and not key.startswith((XATTR, b"GNU.sparse."))
    )
    return tuple(sorted((*(one for one in owners if one[1]), *records)))


def require_same_contents(found: AciContents, expected: AciContents) -> None:
    """Raises Untrusted with the first difference between the ACIs."""
    if found.manifest != expected.manifest:
        require_same("manifest", load_object(found.manifest), load_object(expected.manifest))
    for difference in compare_trees(found.files, expected.files):
        path = difference.path.removeprefix("/rootfs") or "/"
        raise Untrusted(f"{path}: {difference.what}: {_differ(difference.a, difference.b)}")
    for name in sorted(found.headers.keys() | expected.headers.keys()):
        if (one := found.headers.get(name)) != (other := expected.headers.get(name)):
            path = "/" + name.removeprefix(ROOTFS).removeprefix(b"/").decode("utf-8", "surrogateescape")
            raise Untrusted(f"{path}: expected {_describe_header(other)}, found {_describe_header(one)}")


def _describe_header(headers: HeaderFields | None) -> str:
    """What a header says, for display; None is that of a directory that is only implied by an entry in it."""
    if headers is None:
        return "no entry"
    members = " and ".join(f"{key.decode('ascii', 'backslashreplace')} {quoted_name(value)}" for key, value in headers)
    return f"an entry with {members}" if members else "an entry without names and labels"


def require_same(what: str, found: Any, expected: Any) -> None:
    """Raises Untrusted with the first member of a document that differs."""
    for path, one, other in differing_members(found, expected):
        raise Untrusted(f"{what}: {path or '/'}: {_differ(one, other)}")


def require_same_manifest(found: Mapping[str, Any], expected: Mapping[str, Any]) -> tuple[str, ...]:
    """The differing annotations, which nothing vouches for, as facts; raises Untrusted for any other difference."""
    uncovered = []
    for path, one, other in differing_members(found, expected):
        parts = path.split("/")[1:]
        if "annotations" not in parts:
            raise Untrusted(f"manifest: {path}: {_differ(one, other)}")
        keys = parts[parts.index("annotations") + 1 :] or (one or {}).keys()
        for key in keys:
            name = str(key).replace("~1", "/")
            if name.startswith(ALTERNATIVE_CONTENT):
                raise Untrusted(
                    f'manifest: annotation "{name}" is not as signed, and changes what is made of the image'
                )
        uncovered.append(f"the manifest's {path}")
    return tuple(uncovered)


def differing_members(found: Any, expected: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The smallest members in which two documents differ: their JSON pointer, and both values (None: nothing)."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys((*expected, *found)):
            yield from differing_members(found.get(key), expected.get(key), path + json_pointer(key))
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differing_members(one, other, f"{path}/{place}")
    elif found != expected:
        yield path, found, expected


def _differ(found: Any, expected: Any) -> str:
    return f"expected {_text(expected)}, found {_text(found)}"


def _text(value: Any) -> str:
    if value is None:
        return "nothing"
    shown = dump_json(value).decode()
    return shown if len(shown) <= 100 else shown[:97] + "..."
