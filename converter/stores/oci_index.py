"""The two documents of a layout, which list its images and their names (image-spec 1.1.1, image-layout.md).

What others wrote into ``index.json`` stays: entries, members and their order. Only names move. What is wrong is told to
``Problems``, whose default raises it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from converter.errors import Invalid, NotFound, unless_invalid
from converter.model import media_types as types
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json, go_key, lenient_member, member_or_empty
from converter.model.image import Attachment
from converter.model.problems import RAISE_FIRST, Problems
from converter.model.reference import FULL_NAME, NAMES, REF_NAME
from converter.stores.base_source import ListedImage, full_reference
from converter.stores.media import Medium

INDEX, LAYOUT = "index.json", "oci-layout"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._:@/+-]*[A-Za-z0-9])?"
_ATTACHED = r"(sha256|sha512)-([0-9a-f]{64,128})(\.[a-z]+)?"
_OF_COSIGN = "dev.cosignproject.cosign/"
_SAVED = {f"{_OF_COSIGN}sigs": "sig", f"{_OF_COSIGN}atts": "att"}
"""The annotation ``kind`` of what ``cosign save`` puts beside an image, and how the tag of such a thing ends."""

_OF_MANIFESTS = ("layers", "config", "fslayers", "subject", "blobs")


def check_layout(medium: Medium, problems: Problems = RAISE_FIRST) -> None:
    """Report a missing ``oci-layout``, and a version other than 1.0.0 (which 1.1 uses as well)."""
    with problems.at(LAYOUT, missing="oci/layout-file"):
        if medium.size(LAYOUT) is None:
            raise NotFound(f"no such file: {medium.where} is not an OCI layout")
        version = problems.load_object(medium.read_document(LAYOUT), "oci-layout", LAYOUT).get("imageLayoutVersion")
        if version != "1.0.0":
            raise Invalid(f"imageLayoutVersion {version!r} is not supported (only '1.0.0' is)")


def read_index(data: bytes, problems: Problems = RAISE_FIRST, place: str = INDEX) -> dict[str, Any]:
    """Parse ``index.json``; reports that it is no index, or could be read as something else as well.

    ``manifests`` is an array, or null: Docker writes that for an archive whose images are only in ``manifest.json``.
    """
    index = problems.load_object(data, "oci-index", place)
    with problems.at(place):
        if index.get("schemaVersion") != 2:
            raise Invalid(f"schemaVersion is {index.get('schemaVersion')!r}, not 2")
        if index.get("mediaType") not in (None, "", types.OCI_INDEX):
            raise Invalid(f"mediaType is {index['mediaType']!r}, not {types.OCI_INDEX}")
        for member in index:
            if go_key(member) in _OF_MANIFESTS or (go_key(member) == "manifests" and member != "manifests"):
                raise Invalid(f"an index cannot have the member {member!r} (CVE-2021-41190)")
        member_or_empty(index, "manifests", list)
    return index


def index_entries(index: dict[str, Any], place: str = INDEX) -> tuple[Descriptor, ...]:
    """The entries in order, with their annotations. Raises Invalid for one that is no descriptor."""
    return with_cosign_tags(tuple(index_rows(index, place=place).values()))


def index_rows(index: dict[str, Any], problems: Problems = RAISE_FIRST, place: str = INDEX) -> dict[int, Descriptor]:
    """The entries by their positions, as they are listed; reports each that is no descriptor."""
    found: dict[int, Descriptor] = {}
    for number, value in enumerate(lenient_member(index, "manifests", list)):
        with problems.at(f"{place}#/manifests/{number}", "image/descriptor"):
            found[number] = Descriptor.from_json(value)
    return found


def with_cosign_tags(found: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    """The entries; what ``cosign save`` marks as signatures of the one image gets the tag that it had in a registry."""
    images = [one for one in found if one.annotations.get("kind", "").startswith(f"{_OF_COSIGN}image")]
    if len(images) != 1:
        return found
    start = str(images[0].digest).replace(":", "-")
    tagged = []
    for one in found:
        ending = _SAVED.get(one.annotations.get("kind", ""))
        if ending is not None:
            one = replace(one, annotations={REF_NAME: f"{start}.{ending}", **one.annotations})
        tagged.append(one)
    return tuple(tagged)


def entries_tagged(index: bytes, tag: str) -> Iterator[Descriptor]:
    """The entries of ``index.json`` with a tag of cosign's, whichever repository is before it."""
    # Most layouts lack it, and it takes long to parse all entries of a large one.
    if tag.encode() in index or _OF_COSIGN.encode() in index:
        for entry in index_entries(read_index(index)):
            if entry.annotations.get(REF_NAME, "").rpartition(":")[2] == tag:
                yield entry


def listed_image(entry: Descriptor) -> ListedImage:
    """The names of an entry: in full if that is known, else its reference name."""
    short, full = entry.annotations.get(REF_NAME, ""), entry.annotations.get(FULL_NAME, "")
    names = dict.fromkeys(name for name in (full, short) if name)
    listed = short if not full or _tag_of(short) else full
    tags = tuple(dict.fromkeys(tag for tag in map(_tag_of, names) if tag))
    return ListedImage(root=entry, names=(listed,) if listed else (), aliases=tuple(names), tags=tags)


def attached_to(entry: Descriptor) -> Digest | None:
    """The subject that an entry's tag states, in the naming of cosign and of the referrers API's fallback."""
    match = _match_attachment(entry.annotations.get(REF_NAME, ""))
    return unless_invalid(Digest.parse, f"{match[1]}:{match[2]}") if match else None


def shares_its_tag(entry: Descriptor) -> bool:
    """Whether an entry's tag is that of the fallback, which any number of referrers may have."""
    match = _match_attachment(entry.annotations.get(REF_NAME, ""))
    return match is not None and not match[3]


def _match_attachment(name: str) -> re.Match[str] | None:
    return re.fullmatch(_ATTACHED, _tag_of(name) or name)


def name_annotations(name: str) -> dict[str, str]:
    """The annotations for a name, which may come from an image. Raises Invalid for one that a layout cannot hold
    (annotations.md).
    """
    if not name:
        return {}
    if not re.fullmatch(_NAME, name):
        form = "letters and digits, with ._:@/+- between (:NAME after the path gives another)"
        raise Invalid(f'invalid name "{name}" in a layout: expected {form}')
    full = full_name(name)
    return {REF_NAME: name, FULL_NAME: full} if full else {REF_NAME: name}


def docker_annotations(name: str) -> dict[str, str]:
    """The annotations of Docker and containerd for a reference: in full, and its tag."""
    full = full_reference(name)
    return {FULL_NAME: full, REF_NAME: _tag_of(full)}


def full_name(name: str) -> str:
    """The reference in full; empty if the name is only a tag."""
    return full_reference(name) if re.search("[:/]", name) else ""


def named_entry(root: Descriptor, names: Mapping[str, str]) -> Descriptor:
    """An entry under exactly these names, which are annotations."""
    kept = {key: text for key, text in root.annotations.items() if key not in NAMES}
    return replace(root, annotations={**kept, **names})


def attachment_entry(attachment: Attachment) -> Descriptor:
    """An entry under the attachment's tag, or without a name: its document says what it refers to."""
    return named_entry(attachment.descriptor, {REF_NAME: attachment.tag} if attachment.tag else {})


_Row = dict[str, Any]
"""An entry as JSON."""
_Numbered = dict[int, _Row]

_last: dict[bytes | None, tuple[dict[str, Any], _Rows]] = {}
"""The last index rendered, parsed: adding image after image need not parse all entries each time. Whoever takes it out,
changes it.
"""


def render_index(old: bytes | None, added: Iterable[Descriptor]) -> tuple[bytes, list[tuple[str, int]]]:
    """``index.json`` with these entries added, to which their names move; unchanged bytes if nothing changes.

    Also returns the names that meant another image before, each with the position that this image has now.
    """
    kept = _last.pop(old, None)
    index, rows = kept or _parse_index(old)
    before = dict(rows.by_number)
    for entry in added:
        _insert(rows, entry)
    index["manifests"] = list(rows.by_number.values())
    made = old if old is not None and rows.by_number == before else dump_json(index)
    _last.clear()
    _last[made] = index, rows
    return made, list(_moved_names(before, rows.by_number))


def _moved_names(before: _Numbered, after: _Numbered) -> Iterator[tuple[str, int]]:
    """The names of the rows that have lost theirs, with their positions now."""
    for position, (number, row) in enumerate(after.items()):
        old = before.get(number, row)
        names = _name_annotations(old)
        if names and not _name_annotations(row):
            name = names.get(REF_NAME) or names[FULL_NAME]
            if not _match_attachment(name):
                yield name, position


def _parse_index(old: bytes | None) -> tuple[dict[str, Any], _Rows]:
    if old is None:
        return {"schemaVersion": 2, "mediaType": types.OCI_INDEX}, _Rows([])
    index = read_index(old)
    index_entries(index)
    return index, _Rows(index.get("manifests") or [])


class _Rows:
    """The entries of an index as JSON, in order, looked up by digest and name, since there may be thousands. They are
    replaced, never changed.
    """

    def __init__(self, rows: list[_Row]) -> None:
        self.by_number: _Numbered = {}
        self._numbers: dict[tuple[str, str], set[int]] = {}
        self.unused = itertools.count()
        for row in rows:
            self.put(next(self.unused), row)

    def put(self, number: int, row: _Row) -> None:
        self.by_number[number] = row
        for key in _lookup_keys(row):
            self._numbers.setdefault(key, set()).add(number)

    def like(self, row: _Row) -> list[tuple[int, _Row]]:
        """The rows, with their numbers, that may share its digest or one of its names."""
        numbers = {number for key in _lookup_keys(row) for number in self._numbers.get(key, ())}
        return [(number, self.by_number[number]) for number in sorted(numbers & self.by_number.keys())]


def _lookup_keys(row: _Row) -> Iterator[tuple[str, str]]:
    names = _name_annotations(row)
    short = names.get(REF_NAME, "")
    full = names.get(FULL_NAME) or full_name(short)
    for key, text in (("", row["digest"]), (REF_NAME, short), (FULL_NAME, full)):
        if text:
            yield key, text


def _insert(rows: _Rows, entry: Descriptor) -> None:
    row = entry.to_json()
    names = _name_annotations(row)
    attached = re.fullmatch(_ATTACHED, names.get(REF_NAME, ""))
    same = []
    for number, value in rows.like(row):
        shared = _shared_names(value, names)
        if value["digest"] == row["digest"]:
            same.append((number, value))
        elif shared and attached:
            # Any number of referrers have the tag of the fallback. Of cosign's, the new one takes the place of the old,
            # which without its tag would refer to nothing, and look like an image.
            if attached[3]:
                del rows.by_number[number]
        elif shared:
            kept = {key: text for key, text in value["annotations"].items() if key not in shared}
            rest = {**value, "annotations": kept}
            if not kept:
                del rest["annotations"]
            rows.put(number, rest)
    if same and not names:
        return
    under_it = [one for one in same if _shared_names(one[1], names)]
    nameless = [one for one in same if not _name_annotations(one[1])]
    if not under_it and not nameless:
        rows.put(next(rows.unused), row)
        return
    number, value = (under_it or nameless)[0]
    annotations = {**(value.get("annotations") or {}), **row["annotations"]}
    rows.put(number, {**value, "annotations": annotations})


def _name_annotations(value: _Row) -> dict[str, str]:
    return {key: text for key, text in (value.get("annotations") or {}).items() if key in NAMES}


def _shared_names(value: _Row, names: dict[str, str]) -> set[str]:
    """The annotations of an entry that state one of these names. Equal tags under different full names do not."""
    own = _name_annotations(value)
    short = own.get(REF_NAME, "")
    full, other = own.get(FULL_NAME) or full_name(short), names.get(FULL_NAME)
    if full and other:
        return set(own) if full == other else set()
    return {REF_NAME} if short and short == names.get(REF_NAME) else set()


def _tag_of(name: str) -> str:
    """The tag of a reference; empty if the name has none, or is only a tag."""
    head, _, tail = name.rpartition(":")
    return tail if head and "/" not in tail else ""
