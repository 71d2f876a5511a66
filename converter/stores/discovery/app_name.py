"""The name and labels by which an image is discovered (appc spec 0.8.11, discovery.md; types.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from converter.errors import Invalid
from converter.model.appc import IDENTIFIER, platform_labels
from converter.model.frozen import frozen
from converter.model.platform import host_platform

DEFAULT_VERSION = "latest"


@frozen
class AppName:
    """An AC Identifier, which also says where to look, and the labels that the image must have."""

    name: str
    labels: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``NAME[:VERSION][,LABEL=VALUE…]``; raises Invalid."""
        start, *rest = text.split(",")
        name, colon, version = start.partition(":")
        labels = {"version": version} if colon else {}
        for part in rest:
            label, equals, value = part.partition("=")
            if not equals or not value or label == "name" or label in labels or not IDENTIFIER.fullmatch(label):
                raise Invalid(f'invalid label "{part[:100]}" in "{text[:200]}": expected LABEL=VALUE, each label once')
            labels[label] = value
        if not IDENTIFIER.fullmatch(name) or "//" in name or (colon and not version):
            raise Invalid(f'invalid name "{text[:200]}": expected NAME[:VERSION][,LABEL=VALUE…] in lower case')
        if "/" in version:
            raise Invalid(
                f'invalid version "{version[:100]}" in "{text[:200]}": it must not contain "/" (names have no port)'
            )
        if any(ord(character) <= 32 or ord(character) == 127 for value in labels.values() for character in value):
            raise Invalid(f'invalid name "{text[:200]}": spaces and control characters are not allowed')
        return cls(name=name, labels=labels)

    def completed(self) -> AppName:
        """The same with what templates need and the user omitted: version ``latest``, and this machine's platform.

        As with an index of several platforms, the image then depends on the machine.
        """
        here = host_platform()
        labels = {"version": DEFAULT_VERSION, "os": here.os, "arch": here.architecture, **platform_labels(here)}
        return AppName(name=self.name, labels={**labels, **self.labels})

    def places(self) -> list[str]:
        """The places to look, in order: the name, then each of its parents up to the host."""
        parts = self.name.split("/")
        return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]

    def __str__(self) -> str:
        return ",".join([self.name, *(f"{label}={value}" for label, value in self.labels.items())])
