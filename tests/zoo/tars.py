"""Tars that somebody made to harm whoever reads them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.zoo.heads import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    END,
    FIFO,
    HARD,
    REGULAR,
    SIZE,
    Head,
    base256,
    entry,
    extended,
    folder,
    hardlink,
    long_name,
    padded,
    pax,
    record,
    symlink,
)

FILE = entry("file", b"content\n")
NAMES: dict[str, bytes] = {
    "up": b"../evil",
    "up and up": b"../../../../../../../../tmp/zoo-evil",
    "up inside": b"a/../../evil",
    "up at the end": b"a/b/../../..",
    "absolute": b"/zoo-evil",
    "absolute twice": b"//zoo-evil",
    "dots": b"./.././evil",
    "only dots": b"..",
    "dot": b".",
    "slash": b"/",
    "nothing": b"",
    "newline": b"new\nline",
    "carriage return": b"transship: \rdone",
    "escape": b"\x1b]0;owned\x07\x1b[2Jx",
    "bell": b"\x07",
    "8-bit control": "\x9b31mred".encode(),
    "not UTF-8": b"\xff\xfe\x80",
    "surrogates": b"\xed\xa0\x80",
    "right to left": "\u202etxt.exe".encode(),
    "zero width": "a\u200bb".encode(),
    "line separator": "a\u2028b".encode(),
    "tag characters": "a\U000e0041".encode(),
    "dash": b"--checkpoint-action=exec=sh",
    "shell": b"$(touch zoo-evil)",
    "backtick": b"`touch zoo-evil`",
    "backslash": b"..\\..\\evil",
    "drive": b"C:\\evil",
    "device": b"NUL",
    "long": b"n" * 300,
    "longer than a path": b"/".join([b"d" * 200] * 40),
    "longer than the limit": b"/".join([b"d" * 200] * 200),
    "longest part": b"x" * 255 + b"y",
    "deep": b"d/" * 400 + b"f",
    "deeper than the limit": b"d/" * 2000 + b"f",
    "slashes": b"a" + b"/" * 1000 + b"b",
    "whiteout of nothing": b".wh.",
    "whiteout of dot": b".wh..",
    "whiteout of dots": b".wh...",
    "whiteout of a whiteout": b".wh..wh.x",
    "whiteout below": b"a/.wh.",
    "whiteout of an opaque": b".wh..wh..wh..opq",
    "opaque root": b".wh..wh..opq",
    "whiteout in a whiteout": b".wh.a/b",
    "whiteout up": b"../.wh.etc",
    "whiteout by a path": b".wh.a/../../etc",
    "aufs": b".wh..wh.plnk",
    "proc": b"proc/self/mem",
    "dev": b"dev/sda",
    "manifest": b"manifest",
    "rootfs": b"rootfs",
    "composed": "caf\u00e9".encode(),
}


def names() -> Iterator[tuple[str, bytes]]:
    """Each name on a file, a directory, a symlink, in a PAX record and in GNU's."""
    for told, name in NAMES.items():
        yield f"file called {told}", entry(name, b"evil") + END
        yield f"directory called {told}", folder(name) + FILE + END
        yield f"symlink called {told}", symlink(name, b"/etc/passwd") + END
        yield f"hard link to {told}", FILE + hardlink("l", name) + END
        yield f"symlink to {told}, and a file through it", symlink("l", name) + entry("l/f", b"evil") + END
        yield f"long name {told}", long_name(name + b"\0") + FILE + END
    yield "path record with a NUL", pax(path=b"a\0b") + FILE + END
    yield "link record with a NUL", pax(linkpath=b"a\0b") + symlink("l", b"x") + END
    yield "composed and decomposed", entry("caf\u00e9", b"1") + entry("cafe\u0301", b"2") + END
    yield "names that differ by case", entry("A", b"1") + entry("a", b"2") + END
    yield "name with a NUL inside", entry(b"a\0b", b"x") + END
    yield "prefix with dots", entry("f", b"x", prefix=b"../..") + END
    yield "absolute prefix", entry("f", b"x", prefix=b"/etc") + END


def links() -> Iterator[tuple[str, bytes]]:
    """Links that lead out, around, or to each other."""
    yield "symlink to itself", symlink("l", b"l") + entry("l/f", b"x") + END
    yield "symlinks in a circle", symlink("a", b"b") + symlink("b", b"a") + entry("a/f", b"x") + END
    yield "hard links in a circle", hardlink("a", b"b") + hardlink("b", b"a") + END
    yield "hard link to itself", hardlink("a", b"a") + END
    yield "hard link to a directory", folder("d") + hardlink("l", b"d") + END
    yield "hard link to a symlink", symlink("s", b"/etc/passwd") + hardlink("l", b"s") + END
    yield "hard link through a symlink", symlink("s", b"/etc") + hardlink("l", b"s/passwd") + END
    yield "hard link that is written to", symlink("s", b"/tmp/zoo-evil") + hardlink("l", b"s") + entry("l", b"x") + END
    yield "hard link to what comes later", hardlink("l", b"f") + entry("f", b"x") + END
    yield "hard link with data", entry("f", b"x") + entry("l", b"data", kind=HARD, link=b"f") + END
    yield "hard link to a device", entry("d", kind=CHARACTER) + hardlink("l", b"d") + END
    yield (
        "symlink, then a directory in its place",
        symlink("d", b"/tmp") + folder("d") + entry("d/zoo-evil", b"x") + END,
    )
    yield "root is a symlink", symlink(".", b"/tmp") + entry("zoo-evil", b"x") + END
    yield "root is a file", entry(".", b"x") + END
    yield "symlink without a target", symlink("l", b"") + END
    yield "a chain of symlinks", b"".join(symlink(f"l{n}", b"l%d" % (n + 1)) for n in range(5000)) + END
    yield (
        "a chain of hard links",
        FILE + hardlink("l0", b"file") + b"".join(hardlink(f"l{n}", b"l%d" % (n - 1)) for n in range(1, 5000)) + END,
    )
    yield "hard links backwards", b"".join(hardlink(f"l{n}", b"l%d" % (n + 1)) for n in range(3000)) + END
    yield (
        "symlinks that multiply",
        b"".join(symlink(f"l{n}", b"/".join([b"l%d" % (n + 1)] * 8)) for n in range(40)) + (entry("l0/f", b"x") + END),
    )
    yield "whiteout of a symlink's target", symlink("l", b"/etc") + entry("l/.wh.passwd") + END
    yield "opaque through a symlink", symlink("l", b"/etc") + entry("l/.wh..wh..opq") + END
    yield "file in place of a directory", folder("d") + entry("d/a", b"x") + entry("d", b"f") + entry("d/b", b"x") + END
    yield "one name a thousand times", b"".join(entry("f", b"%d" % n) for n in range(1000)) + END
    yield "kinds that take turns", (entry("f", b"x") + folder("f") + symlink("f", b"x")) * 300 + END
    yield "files that are below files", entry("a", b"x") + entry("a/b", b"x") + entry("a/b/c", b"x") + END


def numbers() -> Iterator[tuple[str, bytes]]:
    """Sizes, owners, times and sums that are none, or that no file could have."""
    sizes = {
        "negative": base256(-1),
        "most negative": base256(-(2**63)),
        "2^63": base256(2**63),
        "2^95 - 1": b"\x80" + b"\xff" * 11,
        "8 EiB": base256(2**63 - 1),
        "8 GiB in octal": b"7" * 11 + b"\0",
        "twelve digits": b"777777777777",
        "no digits": b"garbage!!!!\0",
        "digits above 7": b"99999999999\0",
        "minus sign": b"-0000000001\0",
        "spaces": b" " * 12,
        "empty": bytes(12),
        "embedded NUL": b"1\x0000000000\0\0",
        "plus sign": b"+0000000001\0",
        "underscore": b"0_000000001\0",
        "other digits": "\u0661".encode() * 6,
    }
    for told, size in sizes.items():
        yield f"size {told}", Head(size=size).packed() + END
        yield f"size {told} of a directory", Head(size=size, kind=DIRECTORY).packed() + FILE + END
        yield f"size {told} of a PAX header", Head(size=size, kind=b"x").packed() + FILE + END
        yield f"size {told} of a global header", Head(size=size, kind=b"g").packed() + FILE + END
        yield f"size {told} of a long name", Head(size=size, kind=b"L").packed() + FILE + END
        for field in ("uid", "mtime", "mode", "major"):
            width = 12 if field == "mtime" else 8
            kind = CHARACTER if field == "major" else REGULAR
            yield f"{field} {told}", Head(kind=kind, **{field: size[:width]}).packed() + END
    for told, value in {
        "negative": b"-1",
        "huge": b"9" * 30,
        "huger": b"9" * 5000,
        "of a million digits": b"9" * 900_000,
        "hexadecimal": b"0x10",
        "fraction": b"1.5",
        "empty": b"",
        "infinite": b"inf",
        "no number": b"nan",
        "exponent": b"1e400",
        "too far": b"9223372036854775807",
        "spaces": b" 1 ",
    }.items():
        for key in (b"size", b"uid", b"mtime", b"GNU.sparse.realsize", b"GNU.sparse.size", b"GNU.sparse.numblocks"):
            yield f"PAX {key.decode()} {told}", pax(raw=((key, value),)) + FILE + END
            yield f"global {key.decode()} {told}", pax(b"g", raw=((key, value),)) + FILE + END
    yield "wrong checksum", Head(checksum=b"000001\0 ").packed() + END
    yield "checksum of letters", Head(checksum=b"abcdefgh").packed() + END
    yield "checksum negative", Head(checksum=base256(-1, 8)).packed() + END
    yield "no magic", Head(magic=b"").packed() + END
    yield "unknown kind", Head(kind=b"Z").packed() + END
    yield "kind NUL", Head(kind=b"\0", name=b"d/").packed() + END
    yield "kind 8-bit", Head(kind=b"\xff").packed() + END
    yield "contiguous file", entry("f", b"x", kind=b"7") + END
    for vendor in "DMNVXAES":
        yield f"vendor kind {vendor}", entry("f", b"x", kind=vendor.encode()) + FILE + END
    for told, kind in {"character": CHARACTER, "block": BLOCK, "fifo": FIFO}.items():
        yield f"{told} device", entry("dev", kind=kind, major=b"0000010\0", minor=b"0000000\0") + END
        yield f"{told} device with data", entry("dev", b"data", kind=kind) + END
    yield "setuid", entry("sh", b"x", mode=b"0006755\0") + END
    yield "all bits of the mode", entry("sh", b"x", mode=b"7777777\0") + END


def records() -> Iterator[tuple[str, bytes]]:
    """PAX headers that lie."""
    lies = {
        "length too long": b"999 path=x\n",
        "length too short": b"5 path=x\n",
        "length zero": b"0 path=x\n",
        "length negative": b"-10 path=x\n",
        "length of many digits": b"9" * 5000 + b" path=x\n",
        "length without a space": b"10path=xx\n",
        "length of letters": b"ab path=x\n",
        "length one": b"1 ",
        "no newline": b"10 path=xyz",
        "no equals sign": b"8 path\n\n",
        "no key": b"5 =x\n\n",
        "key of many bytes": record(b"k" * 500_000, b"v"),
        "value of many bytes": record(b"comment", b"v" * 1_000_000),
        "value over the limit": record(b"comment", b"v" * 2_000_000),
        "attribute over the limit": record(b"SCHILY.xattr.user.x", b"v" * 100_000),
        "attribute with an escape": record(b"SCHILY.xattr.user.\x1b[2J", b"v"),
        "attribute without a name": record(b"SCHILY.xattr.", b"v"),
        "attribute of security": record(b"SCHILY.xattr.security.capability", b"\1\0\0\2" + b"\xff" * 16),
        "attribute of trust": record(b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
        "attribute in broken base64": record(b"LIBARCHIVE.xattr.user.x", b"!!!"),
        "attribute with a broken percent": record(b"LIBARCHIVE.xattr.user.%zz", b"eA=="),
        "thousands of records": b"".join(record(b"k%d" % n, b"v") for n in range(60_000)),
        "thousands of attributes": b"".join(record(b"SCHILY.xattr.user.%d" % n, b"v") for n in range(20_000)),
        "the same key often": b"".join(record(b"path", b"p%d" % n) for n in range(50_000)),
        "keys not UTF-8": record(b"\xff\xfe", b"\xff"),
        "charset": record(b"hdrcharset", b"BINARY") + record(b"path", b"\xff\xfe"),
        "charset unknown": record(b"hdrcharset", b"\x1b[31m"),
        "path empty": record(b"path", b""),
        "path of a thousand dots": record(b"path", b"../" * 1000),
        "user name with an escape": record(b"uname", b"\x1b[2J"),
        "sparse major": record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0"),
        "sparse map odd": record(b"GNU.sparse.map", b"0,1,2") + record(b"GNU.sparse.size", b"10"),
        "sparse map huge": record(b"GNU.sparse.map", b"0," + b"9" * 40) + record(b"GNU.sparse.size", b"9" * 18),
        "sparse map overlapping": record(b"GNU.sparse.map", b"0,4,2,4") + record(b"GNU.sparse.size", b"8"),
        "sparse map backwards": record(b"GNU.sparse.map", b"4,4,0,4") + record(b"GNU.sparse.size", b"8"),
        "sparse map of letters": record(b"GNU.sparse.map", b"a,b") + record(b"GNU.sparse.size", b"8"),
        "sparse of an exbibyte": record(b"GNU.sparse.map", b"0,8") + record(b"GNU.sparse.size", b"%d" % 2**60),
        "sparse of a tebibyte": record(b"GNU.sparse.map", b"%d,8" % (2**40 - 8))
        + record(b"GNU.sparse.size", b"%d" % 2**40),
        "sparse version": record(b"GNU.sparse.major", b"9" * 30) + record(b"GNU.sparse.minor", b"x"),
        "sparse name up": record(b"GNU.sparse.name", b"../../zoo-evil")
        + record(b"GNU.sparse.map", b"0,8")
        + record(b"GNU.sparse.size", b"8"),
    }
    for told, data in lies.items():
        yield f"PAX header: {told}", extended(data) + FILE + END
        yield f"global header: {told}", extended(data, b"g") + FILE + END
        yield f"PAX header cut: {told}", extended(data)[: SIZE + len(data) // 2]
    yield "PAX header before nothing", extended(record(b"path", b"x")) + END
    yield "PAX header at the end", extended(record(b"path", b"x"))
    yield "PAX headers in a row", extended(record(b"path", b"x")) * 5000 + FILE + END
    yield "global headers in a row", pax(b"g", comment=b"x") * 5000 + FILE + END
    yield (
        "global headers, each another",
        b"".join(pax(b"g", raw=((b"k%d" % n, b"v" * 400),)) for n in range(5000)) + (FILE + END),
    )
    yield "global path for every file", pax(b"g", path=b"x") + FILE * 50 + END
    yield "global size for every file", pax(b"g", size=b"100") + FILE * 50 + END
    yield "long names in a row", long_name(b"x\0") * 5000 + FILE + END
    yield "long name of a gigabyte", Head(name=b"././@LongLink", kind=b"L", size=2**30).packed() + FILE + END
    yield "PAX header of a gigabyte", Head(kind=b"x", size=2**30).packed() + FILE + END
    yield "long name and PAX path", long_name(b"one\0") + pax(path=b"two") + FILE + END
    yield "long name without NUL", long_name(b"x" * 512) + FILE + END
    yield "long link before a file", long_name(b"x\0", b"K") + FILE + END
    yield "PAX header for a PAX header", pax(size=b"512") + pax(path=b"x") + FILE + END
    yield (
        "many attributes on many files",
        b"".join(pax(raw=((b"SCHILY.xattr.user.x", b"v" * 60_000),)) + entry(f"f{n}") for n in range(100)) + END,
    )


def sparse() -> Iterator[tuple[str, bytes]]:
    """GNU's sparse files of old, and the map that stands before the data."""

    def old(*pairs: tuple[int, int], real: int, extend: bytes = b"\0") -> bytes:
        body = b"".join(b"%011o\0%011o\0" % pair for pair in pairs[:4]).ljust(96, b"\0")
        rest = bytes(12) * 2 + bytes(12) + bytes(4) + b"\0" + body + extend + b"%011o\0" % real
        return rest.ljust(SIZE - 345, b"\0")

    def head(rest: bytes, data: bytes = b"x" * 8) -> bytes:
        return Head(kind=b"S", size=len(data), magic=b"ustar  \0", rest=rest).packed() + padded(data)

    yield "sparse, as it should be", head(old((0, 8), real=4096)) + END
    yield "sparse larger than it says", head(old((0, 8), real=4)) + END
    yield "sparse that overlaps", head(old((0, 8), (4, 8), real=64)) + END
    yield "sparse of eight gigabytes", head(old((2**33 - 9, 8), real=2**33 - 1)) + END
    yield "sparse whose map goes on", head(old((0, 8), real=64, extend=b"\1")) + END
    more = (b"%011o\0%011o\0" % (0, 0)) * 21 + b"\1" + bytes(7)
    yield (
        "sparse whose map never ends",
        Head(kind=b"S", size=8, magic=b"ustar  \0", rest=old((0, 8), real=64, extend=b"\1")).packed() + more * 20_000,
    )
    one = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
    for told, table in {
        "as it should be": b"1\n0\n8\n",
        "of a billion": b"1000000000\n0\n8\n",
        "of digits without end": b"9" * 4096,
        "negative": b"-1\n0\n8\n",
        "of letters": b"x\n0\n8\n",
        "empty": b"",
        "backwards": b"2\n8\n8\n0\n8\n",
        "beyond": b"1\n99999999999999999999\n8\n",
    }.items():
        data = padded(table) + b"x" * 8
        yield f"sparse map {told}", extended(one + record(b"GNU.sparse.realsize", b"64")) + entry("f", data) + END
        yield f"sparse map {told}, no size", extended(one) + entry("f", data) + END


def shapes() -> Iterator[tuple[str, bytes]]:
    """Archives that are cut, empty, long or no archives."""
    whole = folder("d") + entry("d/f", b"x" * 1000) + END
    yield "nothing", b""
    yield "one block of zeros", bytes(SIZE)
    yield "zeros", bytes(1024 * SIZE)
    yield "only the end", END
    yield "no end", whole[: -2 * SIZE]
    yield "half an end", whole[:-SIZE]
    yield "garbage behind the end", whole + b"garbage" * 100
    yield "another archive behind the end", whole + entry("../evil", b"x") + END
    yield "zeros between", FILE + bytes(SIZE) + FILE + END
    yield "text", b"this is no archive\n" * 100
    yield "0xff", b"\xff" * 5000
    for cut in (1, 100, 511, 512, 513, 600, 1024, 1025, 1536, 2000):
        yield f"cut at {cut}", whole[:cut]
    for at in range(0, SIZE, 37):
        yield f"byte {at} flipped", whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :]
    yield "twenty thousand files", b"".join(Head(name=b"f%d" % n).packed() for n in range(20_000)) + END
    yield "twenty thousand folders", b"".join(folder("/".join(f"{n:05d}")) for n in range(20_000)) + END
    yield "twenty thousand whiteouts", b"".join(Head(name=b".wh.f%d" % n).packed() for n in range(20_000)) + END
    yield "deep folders, each its own", b"".join(folder(b"%d/" % n + b"d/" * 500) for n in range(900)) + END
    yield "deep folders, many", b"".join(folder("d/" * 200 + str(n)) for n in range(300)) + END


def tars() -> Iterator[tuple[str, bytes]]:
    """All of them, each with a sentence."""
    for group in (names, links, numbers, records, sparse, shapes):
        yield from group()
