"""Whether a tree has exactly the content that a profile states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

from converter.compare_images import Difference, changed_members, changed_properties, type_name
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
    covers, unlike = contents.scope.covers(), frozenset(map(mtree.first_word, _unlike(profile, contents)))
    stated, there = _Text(lines, profile.where), _Text(contents.lines())
    while stated or there:
        if stated.line == there.line and stated.line.split(b" ", 1)[0] not in unlike:
            stated.advance()
            there.advance()
        elif stated and not covers(stated.file.path):
            stated.advance()
        elif stated and (not there or stated.file.path < there.file.path):
            yield Difference(path=_shown(stated.file.path), what="entry", a=type_name(stated.file.node), b=None)
            stated.advance()
        elif not stated or there.file.path < stated.file.path:
            yield Difference(path=_shown(there.file.path), what="entry", a=None, b=type_name(there.file.node))
            there.advance()
        else:
            pair = _with_attributes(stated.file, there.file, profile, contents)
            yield from _compare_files(*pair, stated.keywords, times=profile.scope.times)
            stated.advance()
            there.advance()


class _Text:
    """A canonical text at one of its lines, which is parsed when it is looked into; false after the last."""

    def __init__(self, lines: Iterable[bytes], where: str = "") -> None:
        """``where`` is what an error begins with; empty for a text that was made here."""
        self._where = where
        self._lines = mtree.numbered(lines)
        self._last: bytes | None = None
        self.advance()

    def __bool__(self) -> bool:
        return self.line != b""

    def advance(self) -> None:
        """Go to the next line."""
        self._number, self.line = next(self._lines, (0, b""))
        self._parsed: tuple[File, frozenset[bytes]] | None = None

    @property
    def keywords(self) -> frozenset[bytes]:
        """The keywords of the line."""
        return self._entry[1]

    @property
    def file(self) -> File:
        return self._entry[0]

    @property
    def _entry(self) -> tuple[File, frozenset[bytes]]:
        if self._parsed is None:
            with within(self._where) if self._where else nullcontext():
                self._parsed = self._read()
        return self._parsed

    def _read(self) -> tuple[File, frozenset[bytes]]:
        file, keywords = mtree.parse_line(self._number, self.line)
        if self._last is not None and file.path <= self._last:
            raise Invalid(
                f"not a profile, in line {self._number}: {_shown(file.path)} comes after {_shown(self._last)}: "
                "the paths must be sorted by their bytes"
            )
        self._last = file.path
        return file, keywords


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
