"""Names of the annotations that keep what a format cannot express, so that converting back restores it.

Those below ``appc.io/docker/`` that docker2aci writes have its names and its form. A kept value applies only as long as
it agrees with the manifest: editing the manifest edits the image.
"""

from __future__ import annotations

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
VOLUMES = DOCKER + "volumes"
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
