"""Registries: reads and writes any that speak the distribution API (distribution-spec 1.1; Docker Registry v2)."""

from __future__ import annotations

import re
from dataclasses import replace

from converter.errors import Usage
from converter.model.reference import ImageName, Location
from converter.ports import Sink, Source
from converter.stores.base_source import NameListing
from converter.stores.options import StoreOptions
from converter.stores.registry.client import Client
from converter.stores.registry.lists import list_repositories
from converter.stores.registry.sink import RegistrySink
from converter.stores.registry.source import RegistrySource

__all__ = ["open_sink", "open_source"]


def open_source(location: Location, options: StoreOptions) -> Source:
    """The repository of ``docker://HOST/REPO[:TAG|@DIGEST]``, or the list of all repositories of ``docker://HOST/`` or
    below ``docker://HOST/PREFIX/``; makes no request yet. Raises Invalid.
    """
    if location.is_registry:
        return _all_of(location, options)
    return RegistrySource(_image_name(location), options)


def _all_of(location: Location, options: StoreOptions) -> NameListing:
    below = ImageName.parse(f"{location.path}x")
    prefix = below.repository.removesuffix("x")

    def listed() -> tuple[str, ...]:
        with Client.of(replace(below, repository=""), options) as client:
            found = [name for name in list_repositories(client) if name.startswith(prefix)]
        return tuple(f"{below.host}/{name}" for name in found)

    return NameListing(f"docker://{location.path}", f"docker://{location.path}NAME", listed)


def open_sink(location: Location, options: StoreOptions) -> Sink:
    """The same, for writing."""
    return RegistrySink(_image_name(location), options)


_HOST_ALONE = re.compile(r"(localhost|[0-9]+(\.[0-9]+){3})(:[0-9]+)?")
"""What is a host of a registry, though in form an image of Docker Hub with its tag."""


def _image_name(location: Location) -> ImageName:
    if _HOST_ALONE.fullmatch(location.path):
        raise Usage(f"{location} names no repository: {location}/REPO[:TAG], or {location}/ for all there are")
    return ImageName.parse(location.path)
