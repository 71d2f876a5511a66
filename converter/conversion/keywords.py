"""The options of a conversion as keyword arguments, which may be strings as on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypedDict, get_args, get_origin, get_type_hints

from converter.conversion.attachments import ALWAYS, MODES
from converter.conversion.job import Options
from converter.errors import Usage
from converter.model.content import Compression
from converter.model.platform import Platform
from converter.signing import Signing
from converter.stores import StoreOptions
from converter.transform.changes import check_instructions
from converter.verification.wanted import Wanted


class Keywords(TypedDict, total=False):
    """The fields of Options. ``compress`` may be a string as on the command line, paths may be strings, and a single
    value may stand for several.
    """

    to: str
    platforms: str | Platform | Iterable[str | Platform]
    compress: Compression | str | None
    squash: bool
    layered: bool
    all_images: bool
    called: str
    aci_paths: str | PathLike[str] | Iterable[str | PathLike[str]]
    preserve_digests: bool
    strict: bool
    dry_run: bool
    overwrite: bool
    epoch: int | None
    jobs: int
    attachments: bool
    remove_signatures: bool
    wanted: Wanted | None
    signing: Signing | None
    origin: str
    content_trust: Mapping[str, bytes]
    rkt_dev_links: bool
    changes: str | Iterable[str]
    download_foreign: bool
    cache: str | PathLike[str] | None
    cache_blobs: int
    link: bool
    store: StoreOptions
    target_store: StoreOptions | None


def options_from(keywords: Keywords) -> Options:
    """The Options for the keywords.

    Raises TypeError for an unknown keyword or a value of the wrong type, Usage for a meaningless value.
    """
    values: dict[str, Any] = dict(keywords)
    _check_types(values)
    if isinstance(values.get("compress"), str):
        values["compress"] = Compression.parse(values["compress"])
    if "platforms" in values:
        values["platforms"] = tuple(map(str, _several(values["platforms"])))
    if "changes" in values:
        values["changes"] = check_instructions(_several(values["changes"]))
    if "aci_paths" in values:
        values["aci_paths"] = tuple(map(Path, _several(values["aci_paths"])))
    if values.get("cache") is not None:
        values["cache"] = Path(values["cache"])
    return Options(**values)


def _check_types(values: Mapping[str, Any]) -> None:
    hints = get_type_hints(Keywords)
    for name, value in values.items():
        if name not in hints:
            raise TypeError(f'unknown keyword "{name}" (one of: {", ".join(hints)})')
        hint = hints[name]
        kinds = [get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
        if not isinstance(value, tuple(kinds)):
            expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} is {value!r}: expected {expected}")
        if isinstance(value, int) and value < 0:
            raise Usage(f"{name} is {value}: expected 0 or more")
    if values.get("origin", ALWAYS) not in MODES:
        raise Usage(f'unknown origin "{values["origin"]}" (one of: {", ".join(MODES)})')


def _several(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | PathLike | Platform) else value
