"""Whether an image has the content that a signed profile states, which holds in any format and for any digest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from converter import comparison, formats
from converter.errors import ConverterError, Untrusted
from converter.model.image import Image
from converter.ports import Finder
from converter.profile import statement
from converter.profile.comparison import compare_profile
from converter.profile.contents import IGNORED_BY_DEFAULT, Contents, Scope, of_layers
from converter.verification.question import Stored

_TOLD = 3
"""The most differences listed in a message."""


class Content:
    """The content of an image, which is read when the first statement asks for it, once for each scope.

    ``files`` deletes what is kept of it; ``find`` finds the ACIs that the image depends on.
    """

    def __init__(self, stored: Stored, files: ExitStack, find: Finder | None) -> None:
        self._stored = stored
        self._find = find or (lambda _: None)
        self._files = files
        self._read: dict[Scope, Contents] = {}

    def check(self, said: Mapping[str, Any]) -> str:
        """Compare the content with a statement whose signature is verified; returns a note. Raises Untrusted if they
        differ.
        """
        stated = statement.read(said)
        found = [
            f"{one.path}: {one.what}"
            for one in compare_profile(stated, self._contents(stated.scope), comparison.run_config(self._image.config))
        ]
        if found:
            more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
            raise Untrusted(f"the profile states another content: {', '.join(found[:_TOLD])}{more}")
        further = [path for path in stated.scope.ignored if path not in IGNORED_BY_DEFAULT]
        return f"the same content, without {', '.join(further)}" if further else "the same content"

    @cached_property
    def _image(self) -> Image:
        fetch, root = self._stored.source.fetch, self._stored.root
        item = formats.decode(formats.with_media_type(fetch(root)), fetch)
        if not isinstance(item, Image):
            raise Untrusted("a profile speaks of one image: choose it with --platform")
        try:
            return formats.resolve_dependencies(item, self._find)
        except ConverterError as error:
            raise Untrusted(f"the content is not all here: {error} (--aci-path says where to look)") from None

    def _contents(self, scope: Scope) -> Contents:
        if scope not in self._read:
            with comparison.file_tree(self._image) as listing:
                self._read[scope] = self._files.enter_context(of_layers(listing, scope))
        return self._read[scope]
