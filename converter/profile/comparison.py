"""Whether a tree has exactly the content that a profile states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converter.comparison import Difference, changed_members, changed_properties, type_name
from converter.errors import Unsupported
from converter.profile import mtree
from converter.profile.contents import Contents
from converter.profile.mtree import File
from converter.profile.statement import Attributes, Profile
from converter.streams.tar import fields
from converter.streams.tar.node import Node

_KEYWORDS = {
    "mode": b"mode",
    "mtime": b"time",
    "target": b"link",
    "device": b"device",
    "size": b"size",
    "content": b"sha256digest",
}
"""Property → the keyword that tells it; a property that is not told is not compared."""


def compare_profile(profile: Profile, contents: Contents, config: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Every difference, configuration first, then by path: ``a`` is what the profile states, ``b`` what is there.

    Nothing is compared outside the scope of ``contents``, which may be narrower than the profile's. A ``config`` of
    None is that of a tree which has none. Raises Unsupported for a narrower scope where only the digest is stated.
    """
    if profile.config is not None and config is not None:
        yield from changed_members("config", profile.config, config)
    if contents.scope == profile.scope and contents.digest() == profile.digest:
        # Only what the text does not tell can differ.
        yield from _attributes(profile, contents)
    elif profile.lines is not None:
        yield from _trees(mtree.parse_mtree(profile.lines), contents, profile)
    elif contents.scope == profile.scope:
        yield Difference(path="/", what="content digest", a=str(profile.digest), b=str(contents.digest()))
    else:
        more = ", ".join(sorted({*contents.scope.ignored} - {*profile.scope.ignored}))
        raise Unsupported(f"only the digest of the whole content is stated, and {more} cannot be compared")


def as_process(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of an image's configuration a runtime's bundle says again (image-spec 1.1.1, conversion.md)."""
    usual = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return {
        "args": [*config["entrypoint"], *config["cmd"]] or ["/bin/sh"],
        "env": {**usual, **config["env"]},
        "working_dir": config["working_dir"],
    }


def _trees(
    stated: Iterator[tuple[File, frozenset[bytes]]], contents: Contents, profile: Profile
) -> Iterator[Difference]:
    covers, there = contents.scope.covers(), iter(contents)
    one, other = next(stated, None), next(there, None)
    while one is not None or other is not None:
        if one is not None and not covers(one[0].path):
            one = next(stated, None)
        elif one is not None and (other is None or one[0].path < other.path):
            yield Difference(path=_shown(one[0].path), what="entry", a=type_name(one[0].node), b=None)
            one = next(stated, None)
        elif other is not None and (one is None or other.path < one[0].path):
            yield Difference(path=_shown(other.path), what="entry", a=None, b=type_name(other.node))
            other = next(there, None)
        elif one is not None and other is not None:
            (file, told), path = one, other.path
            yield from _file(path, _with_attributes(file, profile.attributes), other.node, told, profile)
            one, other = next(stated, None), next(there, None)


def _file(path: bytes, a: Node, b: Node, told: frozenset[bytes], profile: Profile) -> Iterator[Difference]:
    if a.type != b.type:
        yield Difference(path=_shown(path), what="type", a=type_name(a), b=type_name(b))
        return
    if a == b or (not profile.scope.times and a._replace(mtime_ns=b.mtime_ns) == b):
        return
    for what, of_a, of_b in changed_properties(a, b):
        if what == "xattrs":
            compared = profile.attributes is not None
        elif what == "owner":
            compared = b"uid" in told and b"gid" in told
        elif what == "mtime":
            compared = profile.scope.times and b"time" in told
        else:
            compared = _KEYWORDS[what] in told
        if compared and not (what == "size" and a.type != fields.FILE):
            yield Difference(path=_shown(path), what=what, a=of_a, b=of_b)


def _attributes(profile: Profile, contents: Contents) -> Iterator[Difference]:
    """The files whose extended attributes differ, where all else is known to be the same."""
    if profile.attributes is None:
        return
    for file in contents:
        if file.node.xattrs or file.path in profile.attributes:
            yield from _file(file.path, _with_attributes(file, profile.attributes), file.node, frozenset(), profile)


def _with_attributes(file: File, attributes: Attributes | None) -> Node:
    if attributes is None:
        return file.node
    return file.node._replace(xattrs=tuple(sorted(attributes.get(file.path, {}).items())))


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")
