"""Reads back what annotations keep of another format; nothing is believed that the manifest contradicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from converter.errors import unless_invalid
from converter.formats import container_config
from converter.formats.aci import annotation_names as keys
from converter.model.descriptor import platform_from_json
from converter.model.document import expect_type, load_json
from converter.model.image import History
from converter.model.platform import Platform

T = TypeVar("T")


class KeptAnnotations:
    """The annotations of a manifest. A malformed one is ignored."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations

    @property
    def converted(self) -> bool:
        """Whether the image was once a Docker or OCI image."""
        return keys.IMAGE_ID in self._annotations or keys.REPOSITORY in self._annotations

    def text(self, key: str) -> str:
        """The text kept there; empty if there is none."""
        return self._annotations.get(key, "")

    def get(self, key: str, read: Callable[[Any], T]) -> T | None:
        """The JSON value kept there; None if there is none."""
        text = self._annotations.get(key)
        return None if text is None else unless_invalid(lambda data: read(load_json(data)), text.encode())

    def while_it_says(
        self, key: str, read: Callable[[Any], T], say: Callable[[T], object], present: object
    ) -> T | None:
        """The value kept there, if ``say`` still turns it into what the manifest has: ``present``."""
        value = self.get(key, read)
        return value if value is not None and say(value) == present else None


def texts(value: Any) -> tuple[str, ...]:
    """A list of strings; like the functions below, raises Invalid for anything else."""
    return tuple(expect_type(each, str) for each in expect_type(value, list))


def members(value: Any) -> Mapping[str, Any]:
    """An object."""
    return expect_type(value, dict)


def text_map(value: Any) -> dict[str, str]:
    """An object of strings."""
    return {key: expect_type(each, str) for key, each in members(value).items()}


def history(value: Any) -> tuple[History, ...]:
    """The steps of a build, as in a configuration."""
    return container_config.from_json({"history": value}).history


def rest(value: Any) -> Mapping[str, Any]:
    """Members of a configuration that no specification names."""
    return container_config.from_json(members(value)).rest


def platform(value: Any) -> Platform:
    """A platform, as in a descriptor."""
    return platform_from_json(members(value))
