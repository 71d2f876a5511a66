"""Whether a tree has exactly the content that a profile states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from converter.compare_images import Difference, changed_members, changed_properties, paired, type_name
from converter.errors import Invalid, Unsupported, within
from converter.profile import mtree
from converter.profile.contents import UNDESCRIBED, Contents
from converter.profile.mtree import File
from converter.profile.statement import Attributes, Profile
from converter.streams.tar import fields

_KEYWORDS = {
    "mode": b"mode",
    "mtime": b"time",
    "target": b"link",
    "device": b"device",
    "size": b"size",
    "content": b"sha256digest",
}
"""Property → the keyword that states it; a property that is not stated is not compared."""


def compare_profile(profile: Profile, contents: Contents, config: Mapping[str, Any] | None) -> Iterator[Difference]:
    """Every difference, configuration first, then by path: ``a`` is what the profile states, ``b`` what was found.

    Nothing is compared outside the scope of ``contents``, which may be narrower than the profile's. A ``config`` of
    None is that of a tree which has none. Raises Unsupported for a narrower scope where only the digest is stated.
    """
    if profile.config is not None and config is not None:
        yield from changed_members("config", profile.config, config)
    if contents.scope == profile.scope and contents.digest == profile.digest:
        # Only what the text does not state can differ.
        for path in _unlike(profile, contents):
            file = File(path, UNDESCRIBED)
            yield from _compare_files(*_with_attributes(file, file, profile, contents), frozenset(), times=False)
    elif profile.lines is not None:
        yield from _compare_texts(profile, profile.lines, contents)
    elif contents.scope == profile.scope:
        yield Difference(path="/", what="content digest", a=str(profile.digest), b=str(contents.digest))
    else:
        more = ", ".join(sorted({*contents.scope.ignored} - {*profile.scope.ignored}))
        raise Unsupported(f"only the digest of the whole content is stated, and {more} cannot be compared")


def as_process(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an image's configuration that a runtime's bundle repeats (image-spec 1.1.1, conversion.md)."""
    usual = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return {
        "args": [*config["entrypoint"], *config["cmd"]] or ["/bin/sh"],
        "env": {**usual, **config["env"]},
        "working_dir": config["working_dir"],
    }


def _compare_texts(profile: Profile, lines: Iterable[bytes], contents: Contents) -> Iterator[Difference]:
    """The differences between two texts, by path. A line that both have need not be parsed."""
    covers, unlike = contents.scope.covers(), frozenset(_unlike(profile, contents))
    stated = (line for line in _read_lines(lines, profile.where) if covers(line.path))
    for path, one, other in paired(stated, _read_lines(contents.lines()), bytes):
        if one is None or other is None:
            a, b = (None if line is None else type_name(line.parse()[0].node) for line in (one, other))
            yield Difference(path=_shown(path), what="entry", a=a, b=b)
        elif one.text != other.text or path in unlike:
            file, keywords = one.parse()
            pair = _with_attributes(file, other.parse()[0], profile, contents)
            yield from _compare_files(*pair, keywords, times=profile.scope.times)


class _Line(NamedTuple):
    """A line of a canonical text; ``where`` is what an error begins with, empty for a text that was made here."""

    path: bytes
    number: int
    text: bytes
    where: str

    def parse(self) -> tuple[File, frozenset[bytes]]:
        """The file, and the keywords stated for it. Raises Invalid."""
        with within(self.where):
            return mtree.parse_line(self.number, self.text)


def _read_lines(lines: Iterable[bytes], where: str = "") -> Iterator[_Line]:
    """The lines about files. Raises Invalid if they are not in the order of their paths."""
    last: _Line | None = None
    with within(where):
        for number, text in mtree.numbered(lines):
            line = _Line(mtree.parse_path(number, text), number, text, where)
            if last is not None and line.path <= last.path:
                raise Invalid(
                    f"not a profile, in line {number}: {_shown(line.path)} comes after {_shown(last.path)}: "
                    "the paths must be sorted by their bytes"
                )
            yield line
            last = line


def _compare_files(one: File, other: File, keywords: frozenset[bytes], *, times: bool) -> Iterator[Difference]:
    """The differences of two files with the same path, as far as the keywords in ``keywords`` and ``xattrs`` say."""
    a, b = one.node, other.node
    if a.type != b.type:
        yield Difference(path=_shown(one.path), what="type", a=type_name(a), b=type_name(b))
        return
    for what, of_a, of_b in changed_properties(a, b):
        if what == "owner":
            compared = b"uid" in keywords and b"gid" in keywords
        elif what == "mtime":
            compared = times and b"time" in keywords
        else:
            compared = what == "xattrs" or _KEYWORDS[what] in keywords
        if compared and not (what == "size" and a.type != fields.FILE):
            yield Difference(path=_shown(one.path), what=what, a=of_a, b=of_b)


def _unlike(profile: Profile, contents: Contents) -> list[bytes]:
    """The paths of files whose extended attributes are not those stated."""
    stated, there, covers = profile.attributes, contents.attributes, contents.scope.covers()
    if stated is None:
        return []
    return sorted(path for path in {*stated, *there} if covers(path) and stated.get(path, {}) != there.get(path, {}))


def _with_attributes(one: File, other: File, profile: Profile, contents: Contents) -> tuple[File, File]:
    """The two files, which have one path, with their extended attributes; without, where none are stated."""
    if profile.attributes is None:
        return one, other
    return _with(profile.attributes, one), _with(contents.attributes, other)


def _with(attributes: Attributes, file: File) -> File:
    found = attributes.get(file.path, {})
    return File(file.path, file.node._replace(xattrs=tuple(sorted(found.items()))))


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")
