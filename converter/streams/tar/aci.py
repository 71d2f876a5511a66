"""Turns an ACI's tar into a layer's and back, bit for bit (appc spec 0.8.11, aci.md, "Image Archives").

What the layer cannot hold (the manifest's place, headers that prefixing does not restore, anything after the last
entry) goes into a *recipe*, a short text for an annotation. On the way back the recipe is untrusted input: all of it
must fit the layer.
"""

from __future__ import annotations

import base64
import json
import posixpath
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from converter.errors import Invalid, LimitExceeded, Unsupported, within
from converter.model.document import load_object, required_member
from converter.model.limits import GIB, KIB, current_limits
from converter.model.media_types import CODECS
from converter.streams.blocks import Block, Blocks, closing, join_blocks, peek, zeros
from converter.streams.decompress import HEAD, decompress_any
from converter.streams.tar.changesets import WHITEOUT
from converter.streams.tar.entry import Cursor, Entry
from converter.streams.tar.fields import (
    DIR,
    END,
    FILE,
    FILES,
    MANIFEST,
    ROOTFS,
    padding_bytes,
    padding_size,
    quoted_name,
    type_in_words,
)
from converter.streams.tar.headers import add_prefix, strip_prefix
from converter.streams.tar.scan import Scanner, scan_entries

ReportProblem = Callable[[str, bytes | None, str], None]
"""Takes what is wrong with an archive: the rule of validation, the name of an entry (None: the archive), and a fact."""

LONGEST = 512 * KIB
"""Characters of a recipe, at most. An ACI that would need more cannot be recreated bit for bit."""

MOST_HEADERS = 32 * LONGEST
"""Bytes of a recipe's headers, at most; in the text their trailing NULs are only counted."""

MOST_ZEROS = 1 * GIB
"""NULs after the last entry of an ACI that can be recreated; more are taken for an attack."""

VERSION = 1


@dataclass(slots=True, kw_only=True)
class Recipe:
    """The parts of a recipe; ordinals count the entries of the layer."""

    place: int = 0
    """How many entries of the layer precede the manifest."""
    manifest: bytes = b""
    """The header blocks of the manifest."""
    fill: bytes = b""
    """The padding after its content."""
    headers: dict[int, bytes] = field(default_factory=dict)
    """Header blocks, by ordinal, that prefixing the layer's does not restore."""
    missing: int = 0
    """The bytes of the last entry's padding that are absent; then nothing follows it."""
    zeros: int = 0
    """NULs after the last entry."""
    tail: bytes = b""
    """What follows these."""
    _size: int = 0

    def add_header(self, ordinal: int, raw: bytes) -> None:
        """Add ``raw``, unless the recipe is already too large to write."""
        if self._size < LONGEST:
            self.headers[ordinal] = raw
            self._size += len(raw.rstrip(b"\0"))

    def measure_end(self, blocks: Blocks) -> None:
        """Read the end of the archive; of garbage, at most ``LONGEST`` bytes are kept, more than a recipe can hold."""
        for block in blocks:
            rest = bytes(block) if self.tail else bytes(block).lstrip(b"\0")
            self.zeros += len(block) - len(rest)
            self.tail += rest[: LONGEST - len(self.tail)]

    def text(self) -> str | None:
        """The recipe as JSON; None if it would exceed ``LONGEST`` characters."""
        if self._size >= LONGEST or self.zeros > MOST_ZEROS:
            return None
        document = {
            "version": VERSION,
            "place": self.place,
            "manifest": _encode_headers(self.manifest),
            "fill": _encode_headers(self.fill),
            "headers": {str(ordinal): _encode_headers(raw) for ordinal, raw in self.headers.items()},
            "missing": self.missing,
            "zeros": self.zeros,
            "tail": _encode_headers(self.tail),
        }
        text = json.dumps(document, separators=(",", ":"))
        return text if len(text) <= LONGEST else None

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Read a recipe; raises Invalid or LimitExceeded if it is malformed."""
        if len(text) > LONGEST:
            raise LimitExceeded(f"recipe has {len(text)} characters: at most {LONGEST} are allowed")
        with within("recipe"):
            document = load_object(text.encode())
            headers = required_member(document, "headers", dict)
        if document.get("version") != VERSION:
            raise Invalid(f"recipe: unsupported version: expected {VERSION}")
        read = cls(
            missing=_count(document, "missing", 511),
            zeros=_count(document, "zeros", MOST_ZEROS),
            tail=_decode_headers(document.get("tail")),
            place=_count(document, "place", current_limits().entries),
            manifest=_decode_headers(document.get("manifest")),
            fill=_decode_headers(document.get("fill")),
            headers=_read_headers(headers),
        )
        if read.missing and (read.zeros or read.tail):
            raise Invalid('recipe: "missing" contradicts "zeros" and "tail"')
        return read


def _encode_headers(data: bytes) -> str:
    """Base64 plus the number of NULs that follow, since most of a header is NULs."""
    short = data.rstrip(b"\0")
    encoded = base64.b64encode(short).decode("ascii")
    return f"{encoded}+{len(data) - len(short)}"


def _decode_headers(text: Any) -> bytes:
    try:
        encoded, _, zeros = text.rpartition("+")
        data = base64.b64decode(encoded, validate=True)
        if zeros.isascii() and zeros.isdigit() and int(zeros) <= LONGEST:
            return data + bytes(int(zeros))
    except (AttributeError, ValueError):
        pass
    raise Invalid("recipe: invalid bytes: expected base64, a plus sign, and a number of zeros")


def _read_headers(headers: dict[str, Any]) -> dict[int, bytes]:
    found = {}
    size = 0
    for key, value in headers.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise Invalid(f'recipe: invalid header number "{key:.40}"')
        found[int(key)] = data = _decode_headers(value)
        size += len(data)
        if size > MOST_HEADERS:
            raise LimitExceeded(f"recipe: more than {MOST_HEADERS} bytes of headers")
    return found


def _count(document: dict[str, Any], key: str, most: int) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Invalid(f'recipe: "{key}" is out of range: expected 0 to {most}')
    return value


def raise_problem(rule: str, _name: bytes | None, fact: str) -> None:
    """Raise what is wrong. Raises Invalid."""
    raise (LimitExceeded if rule == "image/limit" else Invalid)(f"ACI: {fact}")


class AciEntries:
    """The entries of an ACI, checked one after the other."""

    def __init__(self, tell: ReportProblem = raise_problem) -> None:
        self._tell = tell
        self._most = current_limits().document
        self.files: dict[bytes, bool] = {}
        """For each path whether it is not a directory."""

    def add(self, entry: Entry) -> bytes:
        """Check the next entry; its path, empty if it is the root itself, or one that is not allowed."""
        name, written = entry.name, entry.written
        if b".." in name.split(b"/"):
            self._tell("aci/archive-name", written, f'the name {quoted_name(written)} contains ".."')
            name = posixpath.normpath(name)
        absolute = written[:1] == b"/"
        if not absolute and name in {b"", b"."} and entry.type == DIR:
            return b""
        if absolute or name.partition(b"/")[0] not in {MANIFEST, ROOTFS} or name.startswith(MANIFEST + b"/"):
            fact = f'the entry {quoted_name(written)} is neither "manifest" nor "rootfs", nor in "rootfs"'
            self._tell("aci/archive-top-level", written, fact)
            return b""
        if name in self.files:
            self._tell("aci/archive-duplicate", name, f"the entry {quoted_name(name)} occurs more than once")
            return b""
        self.files[name] = entry.type != DIR
        if name == ROOTFS and entry.type != DIR:
            self._tell("aci/archive-rootfs", name, f"rootfs is {type_in_words(entry.type)}, not a directory")
        return name

    def has_document(self, entry: Entry) -> bool:
        """Whether the entry for the manifest can be read."""
        if entry.type != FILE or entry.sparse:
            kind = "a sparse file" if entry.type == FILE else type_in_words(entry.type)
            self._tell("aci/archive-manifest", MANIFEST, f"manifest is {kind}, not a regular file")
        elif entry.size > self._most:
            fact = f"the manifest has {entry.size} bytes: at most {self._most} are allowed (limit: document)"
            self._tell("image/limit", MANIFEST, fact)
        else:
            return True
        return False

    def finish(self) -> None:
        """Check that nothing is missing."""
        for name, rule in ((MANIFEST, "aci/archive-manifest"), (ROOTFS, "aci/archive-rootfs")):
            if name not in self.files:
                self._tell(rule, None, f"no entry {quoted_name(name)}")


def tar_of(packed: Blocks) -> Iterator[Block]:
    """The tar in a file that is an ACI; what comes first is read at once.

    Raises Unsupported if it shows a format that an ACI may not have.
    """
    head, whole = peek(packed, HEAD)
    codec, blocks = decompress_any(whole)
    if "aci" not in CODECS[codec].formats:
        raise Unsupported(f"an ACI cannot be compressed with {codec} (gzip, bzip2, xz or none: aci.md, Image Archives)")
    if codec == "none" and head[257:262] != b"ustar":
        fact = "the tar has no magic number (v7)" if head else "the file is empty"
        raise Unsupported(f"{fact}, but an ACI must be a ustar")
    return blocks


def manifest_in(packed: Blocks) -> bytes:
    """The manifest in a file that is an ACI; reading stops after it. Raises Invalid if there is none."""
    with closing(tar_of(packed)) as blocks:
        for entry in scan_entries(blocks):
            if entry.name == MANIFEST:
                AciEntries().has_document(entry)
                return b"".join(entry.payload)
    raise Invalid('not an ACI: it has no file "manifest" (other archives: docker-archive: or oci-archive:)')


def unpack_aci(blocks: Blocks, note: Callable[[str], None], *, reserved: bool = False) -> Iterator[Block]:
    """The layer in the uncompressed tar of an ACI: ``rootfs/`` stripped, the manifest left out, the rest verbatim.

    ``rootfs`` itself becomes ``./``, which preserves its mode and owner. ``note`` gets the recipe, before the end,
    unless it would be too large or would not work. Files whose names a layer's reader takes for whiteouts raise
    Unsupported, unless ``reserved``. Raises Invalid if the archive violates the rules for ACIs.
    """
    return join_blocks(_unpack(blocks, note, reserved))


def rebuild_aci(blocks: Blocks, recipe: str, manifest: bytes) -> Iterator[Block]:
    """The tar of the ACI that ``unpack_aci`` turned into the layer ``blocks`` and ``recipe``.

    Raises Invalid if these, or the ``manifest``, do not match. The caller must check by the image ID that it is the
    same ACI.
    """
    read = Recipe.parse(recipe)
    rebuilt = _rebuild(blocks, read, manifest)
    if read.missing:
        rebuilt = _trimmed(rebuilt, read.missing)
    return join_blocks(rebuilt)


def _unpack(blocks: Blocks, note: Callable[[str], None], reserved: bool) -> Iterator[Block]:
    recipe = Recipe()
    contents = AciEntries()
    with closing(blocks) as source:
        scanner = Scanner(Cursor(source))
        globals_before = b""
        ordinal = 0
        rebuildable = True
        for entry in scanner:
            raw = entry.raw
            if entry.type in FILES:
                path = contents.add(entry)
                if not path:
                    rebuildable = False  # ``./``: the reference ignores it, and a layer's root is ``rootfs``
                    continue
                if path == MANIFEST and contents.has_document(entry):
                    globals_before = _take_manifest(entry, ordinal, recipe)
                    continue
                if not reserved and WHITEOUT in entry.name:
                    _refuse_reserved(entry.name)
            out = _strip_rootfs(raw, entry.type)
            if globals_before or _add_rootfs(out, entry.type) != raw:
                recipe.add_header(ordinal, raw)
            yield globals_before + out
            yield from entry.body
            globals_before = b""
            ordinal += 1
        contents.finish()
        recipe.missing = scanner.cursor.missing
        recipe.measure_end(scanner.trailing())
        text = recipe.text() if rebuildable else None
        if text is not None:
            note(text)
        yield END


def _strip_rootfs(raw: bytes, kind: bytes) -> bytes:
    return strip_prefix(raw) if kind in FILES else raw  # GNU's records have titles, not names


def _add_rootfs(raw: bytes, kind: bytes) -> bytes:
    return add_prefix(raw) if kind in FILES else raw


def _take_manifest(entry: Entry, ordinal: int, recipe: Recipe) -> bytes:
    """Put everything but the manifest's content into the recipe; returns the global PAX headers before it."""
    body = b"".join(entry.body)
    recipe.place = ordinal
    recipe.manifest = entry.raw
    recipe.fill = body[entry.size :]
    return entry.extra.globals if entry.extra else b""


def _refuse_reserved(name: bytes) -> None:
    if any(part.startswith(WHITEOUT) for part in name.split(b"/")):
        raise Unsupported(f"ACI: a layer cannot hold a file named {quoted_name(name)}: it would be read as a whiteout")


def _rebuild(blocks: Blocks, recipe: Recipe, manifest: bytes) -> Iterator[Block]:
    inserted = _manifest_entry(recipe, manifest)
    ordinal = 0
    for entry in scan_entries(blocks):
        moved = b""
        if ordinal == recipe.place:
            yield inserted.raw + manifest + recipe.fill
            moved = inserted.extra.globals if inserted.extra else b""
        raw = entry.raw
        header = recipe.headers.get(ordinal)
        if header is not None and (
            _blocks_of_one(header) != header or moved + _strip_rootfs(header, entry.type) != raw
        ):
            raise Invalid(
                f"recipe: header of entry {ordinal} does not match the layer's entry {quoted_name(entry.name)}"
            )
        yield _add_rootfs(raw, entry.type) if header is None else header
        yield from entry.body
        ordinal += 1
    if ordinal == recipe.place:
        yield inserted.raw + manifest + recipe.fill
    if ordinal < recipe.place or any(number >= ordinal for number in recipe.headers):
        raise Invalid(f"recipe: describes more entries than the {ordinal} of the layer")
    yield from zeros(recipe.zeros)
    yield recipe.tail


def _blocks_of_one(headers: bytes) -> bytes | None:
    """The header blocks of the first entry that untrusted bytes begin with; None if these are malformed."""
    with suppress(Invalid):
        return next((entry.raw for entry in scan_entries([headers])), None)
    return None


def _trimmed(blocks: Blocks, missing: int) -> Iterator[Block]:
    """``blocks`` without the ``missing`` bytes at their end, which are some; the first ones may become empty."""
    rest = b""
    for block in blocks:
        rest += bytes(block)
        yield rest[:-missing]
        rest = rest[-missing:]


def _manifest_entry(recipe: Recipe, manifest: bytes) -> Entry:
    """The manifest's entry as the recipe has it; raises Invalid if it does not fit this manifest."""
    size = len(manifest)
    entries = list(scan_entries([recipe.manifest, manifest, padding_bytes(size)]))
    found = [(entry.name, entry.type, entry.size, entry.raw) for entry in entries]
    expected = [(MANIFEST, FILE, size, recipe.manifest)]
    if found != expected or len(recipe.fill) != padding_size(size):
        raise Invalid(f"recipe: header does not match a manifest of {size} bytes")
    return entries[0]
