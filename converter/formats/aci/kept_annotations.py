"""Annotations that keep what a format cannot express, so that converting back restores it: their names and values.

Those below ``appc.io/docker/`` that docker2aci writes have its names and its form. A kept value applies only as long as
it agrees with the manifest: editing the manifest edits the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from converter.errors import unless_invalid
from converter.formats import container_config
from converter.model.document import expect_type, load_json
from converter.model.image import History

DOCKER = "appc.io/docker/"
ORIGINAL_NAME = DOCKER + "originalname"
REGISTRY = DOCKER + "registryurl"
REPOSITORY = DOCKER + "repository"
"""rkt creates implicit volumes for mount points only if this one is present."""
IMAGE_ID = DOCKER + "imageid"
MANIFEST_HASH = DOCKER + "manifesthash"
ENTRYPOINT = DOCKER + "entrypoint"
CMD = DOCKER + "cmd"
USER = DOCKER + "user"
ENV = DOCKER + "env"
EXPOSED_PORTS = DOCKER + "exposedports"
WORKING_DIR = DOCKER + "workingdir"
HEALTHCHECK = DOCKER + "healthcheck"
STOP_SIGNAL = DOCKER + "stopsignal"
SHELL = DOCKER + "shell"
ON_BUILD = DOCKER + "onbuild"
HISTORY = DOCKER + "history"
CONFIG = DOCKER + "config"
"""Members of the configuration that no specification names."""
CREATED = DOCKER + "created"
"""A date that is not RFC 3339."""
COMMENT = "docker-comment"

OCI = "appc.io/oci/"
PLATFORM = OCI + "platform"
ANNOTATIONS = OCI + "annotations"
"""Annotations whose names are not AC Identifiers, or have another meaning in appc."""

ACI = "appc.io/aci/"
MANIFEST = ACI + "manifest"
"""In an OCI manifest: that of the ACI it was made from, verbatim."""
OWNERS = ACI + "owners"
"""The IDs behind the paths that the manifest gives for a user or a group."""

KEPT = (DOCKER, OCI, ACI)

AUTHORS = "authors"
AUTHOR = "author"
"""docker2aci's name for it if the image had a schema 2 manifest; readers of its images read this one."""
CREATED_ON = "created"
WELL_KNOWN = {
    "homepage": "org.opencontainers.image.url",
    "documentation": "org.opencontainers.image.documentation",
}
"""appc annotations that have other names in OCI."""
DATED = {CREATED_ON: "org.opencontainers.image.created", AUTHORS: "org.opencontainers.image.authors"}
"""Annotations that an image's configuration has too."""
OF_APPC = frozenset((AUTHORS, AUTHOR, CREATED_ON, COMMENT, *WELL_KNOWN))

T = TypeVar("T")


def is_converted(annotations: Mapping[str, str]) -> bool:
    """Whether the image was once a Docker or OCI image."""
    return IMAGE_ID in annotations or REPOSITORY in annotations


def kept(annotations: Mapping[str, str], key: str, read: Callable[[Any], T]) -> T | None:
    """The JSON value that is kept there; None if there is none, or a malformed one."""
    text = annotations.get(key)
    if text is None:
        return None
    return unless_invalid(lambda data: read(load_json(data)), text.encode())


def kept_texts(
    annotations: Mapping[str, str], key: str, say: Callable[[tuple[str, ...]], tuple[object, object]], present: object
) -> tuple[str, ...]:
    """The texts that are kept there, if ``say`` still makes of them what the manifest has; none otherwise."""
    texts = kept(annotations, key, as_texts) or ()
    return texts if say(texts)[0] == present else ()


def as_texts(value: Any) -> tuple[str, ...]:
    """A list of strings; like the functions below, raises Invalid for anything else."""
    return tuple(expect_type(each, str) for each in expect_type(value, list))


def as_object(value: Any) -> Mapping[str, Any]:
    """An object."""
    return expect_type(value, dict)


def as_text_map(value: Any) -> dict[str, str]:
    """An object of strings."""
    return {key: expect_type(each, str) for key, each in as_object(value).items()}


def as_history(value: Any) -> tuple[History, ...]:
    """The steps of a build, as in a configuration."""
    return container_config.from_json({"history": value}).image.history


def as_rest(value: Any) -> Mapping[str, Any]:
    """Members of a configuration that no specification names."""
    return container_config.from_json(as_object(value)).rest
