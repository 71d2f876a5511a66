"""The options of a conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from converter.model.frozen import frozen
from converter.model.settings import Settings
from converter.stores import StoreOptions
from converter.system import cores

if TYPE_CHECKING:
    from converter.signing import Signing
    from converter.verification.wanted import Wanted


@frozen
class Options(Settings):
    """Options of a conversion: its settings, and what its result does not depend on.

    ``called`` is the name of the image where a format has one in it, in place of its name at the source;
    ``overwrite`` lets a file that exists be replaced, unless it is read; ``jobs`` 0 means one thread per processor;
    ``cache`` is the folder that remembers what was verified, or None, and ``cache_blobs`` how many bytes of made or
    fetched blobs it may hold; ``link`` lets unchanged blobs share the source's files; ``origin`` is when to write an
    origin record: ``always`` when the digest changes, ``signed`` when the digest of a signed image does, or ``never``;
    ``content_trust`` holds Docker Content Trust documents, by name, to carry along; ``target_store`` is how to access
    destinations, None for the same as the source.
    """

    all_images: bool = False
    called: str = ""
    aci_paths: tuple[Path, ...] = ()
    preserve_digests: bool = False
    strict: bool = False
    dry_run: bool = False
    overwrite: bool = False
    jobs: int = 0
    attachments: bool = True
    remove_signatures: bool = False
    wanted: Wanted | None = None
    signing: Signing | None = None
    origin: str = "signed"
    content_trust: Mapping[str, bytes] = field(default_factory=dict)
    download_foreign: bool = False
    cache: Path | None = None
    cache_blobs: int = 0
    link: bool = False
    store: StoreOptions = field(default_factory=StoreOptions)
    target_store: StoreOptions | None = None

    @property
    def settings(self) -> Settings:
        """The settings alone."""
        return Settings(**{one.name: getattr(self, one.name) for one in fields(Settings)})

    @property
    def keeps_origin(self) -> bool:
        """Whether what refers to the image may go along in an origin record."""
        return self.attachments and not self.remove_signatures

    @property
    def writing(self) -> StoreOptions:
        """How to access destinations."""
        return self.target_store or self.store

    @property
    def threads(self) -> int:
        """How many threads to use."""
        return self.jobs or cores()
