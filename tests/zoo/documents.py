"""JSON that somebody made to harm whoever parses it, as text and in the place of any member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.changing import at, changed, places, without

TEXTS: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "true": b"true",
    "number": b"0",
    "string": b'"x"',
    "empty array": b"[]",
    "empty object": b"{}",
    "array of nulls": b"[null,null]",
    "deep arrays": b"[" * 100_000,
    "deep arrays that end": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "65 deep": b"[" * 65 + b"]" * 65,
    "number of a million digits": b'{"schemaVersion":' + b"9" * 1_000_000 + b"}",
    "fraction of a million digits": b'{"schemaVersion":0.' + b"9" * 1_000_000 + b"}",
    "exponent": b'{"schemaVersion":1e999999999}',
    "not a number": b'{"schemaVersion":NaN}',
    "infinity": b'{"schemaVersion":-Infinity}',
    "not UTF-8": b'{"a":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "NUL": b"\0",
    "half a surrogate": b'{"schemaVersion":2,"mediaType":"\\ud800"}',
    "surrogate as a key": b'{"\\udfff":1}',
    "cut": b'{"schemaVersion":2,',
    "trailing data": b"{}{}",
    "comment": b"{}//x",
    "single quotes": b"{'a':1}",
    "key twice": b'{"schemaVersion":2,"schemaVersion":2}',
    "key twice by case": b'{"schemaVersion":2,"SchemaVersion":1}',
    "hundred thousand keys": b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    "one key often": b"{" + b",".join(b'"k":1' for n in range(100_000)) + b"}",
    "hundred keys often": b"{" + b",".join(b'"k%d":1' % (n % 100) for n in range(200_000)) + b"}",
    "thirty thousand keys twice": b"{" + b",".join(b'"k%d":1' % (n % 30_000) for n in range(60_000)) + b"}",
    "million small arrays": b"[" + b",".join([b"[]"] * 1_000_000) + b"]",
    "million objects": b"[" + b",".join([b"{}"] * 1_000_000) + b"]",
    "five megabytes": b'{"a":"' + b"x" * 5_000_000 + b'"}',
    "four megabytes of one text": b'{"a":"' + b"x" * 4_000_000 + b'"}',
    "four megabytes of escapes": b'{"a":"' + b"\\u001b" * 600_000 + b'"}',
    "escapes in a key": b'{"\\u001b[2J\\u001b]0;owned\\u0007":1}',
    "white space": b" " * 3_000_000 + b"{}",
    "new lines": b"\n" * 3_000_000 + b"{]",
    "prototype": b'{"__proto__":{"schemaVersion":2},"__class__":1}',
    "gzip": b"\x1f\x8b\x08\0",
    "PEM": b"-----BEGIN PGP SIGNED MESSAGE-----\n",
    "YAML": b"a: &a [*a]\n",
    "XML": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
}

STEER = "\x1b]0;owned\x07\x1b[2J\u202e\nx"
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "2^63": 2**63,
    "2^63 - 1": 2**63 - 1,
    "a fraction": 1.5,
    "an empty text": "",
    "a text that steers": STEER,
    "a path up": "../../../../tmp/zoo-evil",
    "an absolute path": "/etc/passwd",
    "a NUL": "a\0b",
    "a long text": "x" * 200_000,
    "an empty array": [],
    "an empty object": {},
    "an array of arrays": [[[[]]]],
    "an array of nulls": [None] * 10,
    "an object of objects": {"a": {"b": {}}},
    "a surrogate": "\ud800",
    "a digest of nothing": "sha256:",
    "a digest with a path": "sha256:../../../etc/passwd",
    "an unknown digest": "md5:" + "0" * 32,
    "a short digest": "sha256:abc",
    "a digest of upper case": "sha256:" + "A" * 64,
    "a digest of what is not there": "sha256:" + "0" * 64,
    "a local file": "file:///etc/passwd",
    "a link-local address": "http://169.254.169.254/latest/meta-data",
    "a time that is none": "9999999-99-99T99:99:99Z",
    "a shell's text": "$(touch zoo-evil);`touch zoo-evil`",
}


def mutations(document: Any) -> Iterator[tuple[str, Any]]:
    """The document with one member, wherever it is, another value, gone, or there twice over."""
    for path in places(document):
        where = "/" + "/".join(map(str, path))
        for told, value in VALUES.items():
            yield f"{where} is {told}", changed(document, path, value)
        if path and isinstance(path[-1], str):
            yield f"{where} in capitals", renamed(document, path, path[-1].upper())
        if path:
            yield f"{where} is not there", without(document, path)
        if isinstance(at(document, path), list):
            yield f"{where} a thousand times as long", changed(document, path, at(document, path) * 1000)


def renamed(value: Any, path: tuple[Any, ...], name: str) -> Any:
    """The document with a member called otherwise."""
    return changed(value, path[:-1], {**without(at(value, path[:-1]), path[-1:]), name: at(value, path)})


def text(value: Any) -> bytes:
    """The document, also one that no UTF-8 can hold."""
    return json.dumps(value).encode()
