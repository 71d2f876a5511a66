"""A profile as an in-toto statement, which can be signed (in-toto Statement v1).

The first subject is the content digest, which survives every conversion; the others are the image's current names. The
predicate says how the content was written down, and what a file's line cannot: extended attributes, and how a container
is started.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from converter.errors import Invalid
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.limits import MIB
from converter.profile.contents import Contents, Scope, digest_of
from converter.streams.blocks import Block
from converter.trust.signature import PROFILE
from converter.version import __version__

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = PROFILE
METHOD = "mtree"
CONTENT = "content"
"""The name of the first subject."""

MOST_ATTACHED = MIB
"""The most bytes of the text in a statement that is stored with an image; a longer one is left out."""

Attributes = Mapping[bytes, Mapping[bytes, bytes]]
"""Extended attributes by path."""


@frozen
class Profile:
    """What an image contains. ``lines`` is the canonical text, None if only its digest is stated. ``attributes`` and
    ``config`` are None if they are not stated, and then not compared. ``where`` is the file with the text, for
    messages.
    """

    digest: Digest
    lines: Iterable[bytes] | None
    scope: Scope
    attributes: Attributes | None = None
    config: Mapping[str, Any] | None = None
    where: str = ""


def make_statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]]
) -> dict[str, Any]:
    """The statement about a tree and its ``config``; ``subjects`` are the names and digests of the image itself."""
    return _statement(contents, config, subjects, b"".join(contents.blocks()).decode())


def write_statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]]
) -> Iterator[Block]:
    """The same statement in JSON, of which memory holds one block at a time."""
    document = json.dumps(_statement(contents, config, subjects, ""), indent=2)
    before, _, after = document.rpartition('""')  # the text is the last member of the last member
    yield f'{before}"'.encode()
    for block in contents.blocks():
        yield json.dumps(bytes(block).decode("ascii"))[1:-1].encode()
    yield f'"{after}\n'.encode()


def _statement(
    contents: Contents, config: Mapping[str, Any], subjects: Iterable[tuple[str, Digest]], text: str
) -> dict[str, Any]:
    named = [(CONTENT, contents.digest), *subjects]
    attributes = {
        _escaped(b"/" + path): {
            _escaped(name): base64.b64encode(value).decode() for name, value in sorted(rows.items())
        }
        for path, rows in contents.attributes.items()
    }
    return {
        "_type": TYPE,
        "subject": [{"name": name, "digest": {one.algorithm: one.encoded}} for name, one in named],
        "predicateType": PREDICATE,
        "predicate": {
            "creator": f"transship {__version__}",
            "serialization": {
                "method": METHOD,
                "hash_type": "sha256",
                "times": contents.scope.times,
                "ignore_paths": list(contents.scope.ignored),
            },
            "config": dict(config),
            "attributes": attributes,
            "content": text,
        },
    }


def without_text(statement: Mapping[str, Any]) -> dict[str, Any]:
    """The same statement without a long text: the digest alone says then which content is meant."""
    predicate = statement["predicate"]
    if len(predicate["content"]) <= MOST_ATTACHED:
        return dict(statement)
    return {**statement, "predicate": {name: value for name, value in predicate.items() if name != "content"}}


def read(document: Mapping[str, Any]) -> Profile:
    """The profile in a statement. Raises Invalid if it is another statement, or if its parts contradict each other."""
    if document.get("_type") != TYPE or document.get("predicateType") != PREDICATE:
        kind = document.get("predicateType")
        other = f"a statement of the type {kind}" if isinstance(kind, str) else "JSON, but no statement"
        raise Invalid(f"not a profile: {other} (`transship profile --json` makes one)")
    try:
        predicate = document["predicate"]
        form = predicate["serialization"]
        if form["method"] != METHOD or form["hash_type"] != "sha256":
            raise Invalid(f"unknown serialization {form['method']!r} with {form['hash_type']!r}")
        (stated,) = (one["digest"] for one in document["subject"] if one["name"] == CONTENT)
        digest = Digest.parse(f"sha256:{stated['sha256']}")
        content = predicate.get("content")
        scope = Scope(ignored=tuple(sorted({*form["ignore_paths"]})), times=bool(form["times"]))
        lines = None if content is None else tuple(content.encode().splitlines(keepends=True))
        found = Profile(
            digest=digest,
            lines=lines,
            scope=scope,
            attributes={
                _bytes(path).removeprefix(b"/"): {
                    _bytes(name): base64.b64decode(value, validate=True) for name, value in rows.items()
                }
                for path, rows in predicate["attributes"].items()
            },
            config=predicate["config"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"malformed profile: {error}") from None
    if lines is not None and digest_of(lines) != digest:
        raise Invalid(f"digest mismatch: the profile states {digest}, its content has {digest_of(lines)}")
    return found


def _escaped(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
