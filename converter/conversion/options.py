"""The options of a conversion."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from converter.model.compression import Compression
from converter.model.frozen import frozen
from converter.stores import StoreOptions

if TYPE_CHECKING:
    from converter.signing import Signing
    from converter.verification.wanted import Wanted


@frozen
class Options:
    """Options of a conversion; the defaults change as little as the target allows.

    ``platforms`` are ``OS/ARCH[/VARIANT]``, or just ``all``; ``compress`` None keeps what the target takes, except for
    layers that are plain only because Docker unpacked them (docs/decisions/0003); ``jobs`` 0 means one thread per
    processor; ``epoch``, in seconds, is used only where a time must be invented; ``cache`` is the folder that remembers
    what was verified, or None, and ``cache_blobs`` how many bytes of made or fetched blobs it may hold; ``link`` lets
    unchanged blobs share the source's files; ``origin`` is when to write an origin record: ``always`` when the digest
    changes, ``signed`` when the digest of a signed image does, or ``never``; ``content_trust`` holds Docker Content
    Trust documents, by name, to carry along; ``target_store`` is how to access destinations, None for the same as the
    source.
    """

    to: str = ""
    platforms: tuple[str, ...] = ()
    compress: Compression | None = None
    squash: bool = False
    layered: bool = False
    all_images: bool = False
    aci_paths: tuple[Path, ...] = ()
    preserve_digests: bool = False
    strict: bool = False
    dry_run: bool = False
    epoch: int | None = None
    jobs: int = 0
    attachments: bool = True
    remove_signatures: bool = False
    wanted: Wanted | None = None
    signing: Signing | None = None
    origin: str = "signed"
    content_trust: Mapping[str, bytes] = field(default_factory=dict)
    rkt_dev_links: bool = False
    download_foreign: bool = False
    cache: Path | None = None
    cache_blobs: int = 0
    link: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)
    target_store: StoreOptions | None = None

    @property
    def keeps_origin(self) -> bool:
        """Whether what refers to the image may go along in an origin record."""
        return self.attachments and not self.remove_signatures

    @property
    def threads(self) -> int:
        """How many threads to use."""
        return self.jobs or len(os.sched_getaffinity(0))
