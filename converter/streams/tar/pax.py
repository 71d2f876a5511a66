"""PAX records: ``LENGTH KEY=VALUE`` lines that say what a header cannot (POSIX.1-2001 pax, "Extended Header")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converter.errors import Invalid, LimitExceeded
from converter.model.limits import Limits
from converter.streams.tar.names import shown

XATTR = b"SCHILY.xattr."
_NAMES = frozenset({b"path", b"linkpath", b"uname", b"gname", b"GNU.sparse.name"})
_SPARSE_PAIR = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})


def pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """The records of ``data`` in order, repeated keys included; raises Invalid when a length or a name lies."""
    found = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position : max(space, position)]
        if not digits.isdigit():
            raise Invalid(f"PAX record: got {shown(data[position : position + 20])}, want a length and a space")
        end = position + int(digits)
        if end > len(data) or data[max(space + 1, end - 1) : end] != b"\n":
            raise Invalid(f"PAX record: got the length {int(digits)}, want one that ends at a line feed")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not key or not equals or b"\0" in key:
            raise Invalid(f"PAX record: got {shown(data[space + 1 : end - 1])}, want KEY=VALUE")
        if key in _NAMES and b"\0" in value:
            raise Invalid(f"PAX record {shown(key)}: got {shown(value)}, want a name without NUL")
        found.append((key, value))
        position = end
    return found


def parse(data: bytes, limits: Limits) -> dict[bytes, bytes]:
    """The records of ``data``; the last of a key wins, an empty value means "as if the key were not there".

    The repeated ``GNU.sparse.offset`` and ``.numbytes`` of sparse format 0.0 become the ``GNU.sparse.map`` of 0.1.
    """
    records = {}
    sparse = []
    for key, value in pairs(data):
        if key in _SPARSE_PAIR:
            sparse.append(value)
        if len(value) > limits.xattr and key.startswith(XATTR):
            raise LimitExceeded(
                f"extended attribute {shown(key)}: got {len(value)} bytes, "
                f"want at most {limits.xattr} (the limit 'xattr')"
            )
        records[key] = value
    if sparse:
        records[b"GNU.sparse.map"] = b",".join(sparse)
    return records


def record(key: bytes, value: bytes) -> bytes:
    """One record; its length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def joined(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The payload of a PAX header that holds ``records``, in that order."""
    return b"".join(record(key, value) for key, value in records)


def integer(records: Mapping[bytes, bytes], key: bytes) -> int:
    """The decimal number under ``key``; raises Invalid when it is none."""
    value = records[key]
    digits = value.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 20:
        raise Invalid(f"PAX record {shown(key)}: got {shown(value)}, want a decimal number")
    return int(value)


def nanoseconds(value: bytes, key: bytes) -> int:
    """A PAX time (decimal seconds since 1970, with any fraction) in nanoseconds, rounded down."""
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not (whole + fraction).isdigit() or len(value) > 64:
        raise Invalid(f"PAX record {shown(key)}: got {shown(value)}, want seconds as a decimal number")
    exact = int(whole or b"0") * 10**9 + int(fraction[:9].ljust(9, b"0"))
    if not value.startswith(b"-"):
        return exact
    return -exact - (fraction[9:].strip(b"0") != b"")


def seconds(nanoseconds: int) -> bytes:
    """``nanoseconds`` since 1970 as a PAX time: the shortest decimal that is exact."""
    sign, whole = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    fraction = f"{whole % 1_000_000_000:09d}".rstrip("0")
    return f"{sign}{whole // 1_000_000_000}{'.' if fraction else ''}{fraction}".encode()
