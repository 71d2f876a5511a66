"""The options of a conversion as keywords, with texts where a person would type them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from converter.conversion.options import Options
from converter.model.compression import Compression
from converter.signing import Signing
from converter.stores import StoreOptions
from converter.verification.wanted import Wanted


class Keywords(TypedDict, total=False):
    """The fields of Options; ``compress`` may be a text as on the command line, paths may be texts, and one is enough
    where there may be several.
    """

    to: str
    platforms: str | Iterable[str]
    compress: Compression | str | None
    squash: bool
    layered: bool
    all_images: bool
    aci_paths: Path | str | Iterable[Path | str]
    preserve_digests: bool
    strict: bool
    dry_run: bool
    epoch: int | None
    jobs: int
    attachments: bool
    remove_signatures: bool
    wanted: Wanted | None
    signing: Signing | None
    origin: str
    content_trust: Mapping[str, bytes]
    rkt_dev_links: bool
    download_foreign: bool
    cache: Path | str | None
    cache_blobs: int
    link: bool
    store: StoreOptions
    target_store: StoreOptions | None


def options(keywords: Keywords) -> Options:
    """The options that keywords say; raises Usage for a compression that is none, TypeError for an unknown keyword."""
    told: dict[str, Any] = dict(keywords)
    compress = told.get("compress")
    if isinstance(compress, str):
        told["compress"] = Compression.parse(compress)
    for several in ("platforms", "aci_paths"):
        if isinstance(told.get(several), str | Path):
            told[several] = (told[several],)
    if "platforms" in told:
        told["platforms"] = tuple(told["platforms"])
    if "aci_paths" in told:
        told["aci_paths"] = tuple(map(Path, told["aci_paths"]))
    if isinstance(told.get("cache"), str):
        told["cache"] = Path(told["cache"])
    return Options(**told)
