"""Annotations that keep what a format cannot express, so that converting back restores it.

Those below ``appc.io/docker/`` that docker2aci writes have its names and its form. What is kept holds for as long as it
still says what the manifest itself says; whoever edits the manifest edits the image.
"""

from __future__ import annotations

from converter.model.naming import FULL_NAME, REF_NAME

DOCKER = "appc.io/docker/"
ORIGINAL_NAME = DOCKER + "originalname"
REGISTRY = DOCKER + "registryurl"
REPOSITORY = DOCKER + "repository"
"""rkt makes implicit volumes of mount points only where it finds this one."""
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
"""A date that is none of RFC 3339's."""
COMMENT = "docker-comment"

OCI = "appc.io/oci/"
PLATFORM = OCI + "platform"
ANNOTATIONS = OCI + "annotations"
"""Annotations whose names are no AC Identifiers, or mean something else to appc."""

ACI = "appc.io/aci/"
MANIFEST = ACI + "manifest"
"""In an OCI manifest: that of the ACI it was made of, verbatim."""
RECIPE = ACI + "recipe"
"""At a layer of an OCI manifest: how to make the ACI's tar of the layer's, bit for bit."""
OWNERS = ACI + "owners"
"""The numbers behind the paths that the manifest gives for a user or a group."""

KEPT = (DOCKER, OCI, ACI)

AUTHORS = "authors"
AUTHOR = "author"
"""What docker2aci calls it where the image had a schema 2 manifest; read by what reads its images."""
CREATED_ON = "created"
WELL_KNOWN = {
    "homepage": "org.opencontainers.image.url",
    "documentation": "org.opencontainers.image.documentation",
}
"""Annotations of appc that OCI has other names for."""
DATED = {CREATED_ON: "org.opencontainers.image.created", AUTHORS: "org.opencontainers.image.authors"}
"""Those that an image's configuration has too."""
OF_APPC = frozenset((AUTHORS, AUTHOR, CREATED_ON, COMMENT, *WELL_KNOWN))

NAMES = frozenset((REF_NAME, FULL_NAME))
"""Annotations that say what an image is called where it lies, not what it is."""
