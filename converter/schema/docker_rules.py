"""Rules of Docker's documents that no schema states (manifest-v2-2.md, moby image/spec).

Those of the history and the signatures of schema 1 have a module of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.model import media_types as types
from converter.schema import docker_v1_rules
from converter.schema.finding import Hit, Rule
from converter.schema.shared_checks import (
    TIMES,
    ambiguous_members,
    bad_diff_id,
    bad_digest,
    bad_ports,
    bad_variable,
    go_time_form,
    history_mismatch,
    impossible_time,
    not_go_time,
    of_found,
    of_texts,
    only_types,
    values_at,
    wrong_form,
)


def times(document: Any) -> Iterator[tuple[str, str]]:
    """The times of steps and of a configuration."""
    yield from docker_v1_rules.step_times(document)
    yield from values_at(str, document, *TIMES)


def health_durations(document: Any) -> Iterator[Hit]:
    """Durations of a health check of less than a millisecond, in nanoseconds, and negative counts."""
    for where, number in values_at(int, document, *_DURATIONS):
        if number != 0 and number < _MILLISECOND:
            yield where, f"{number} nanoseconds: expected 0, or at least {_MILLISECOND}"
    for where, number in values_at(int, document, "config/Healthcheck/Retries"):
        if number < 0:
            yield where, f"expected at least 0, found {number}"


def health_test(document: Any) -> Iterator[Hit]:
    """Health check tests that do not begin with their type."""
    for where, test in values_at(list, document, "config/Healthcheck/Test"):
        if test and isinstance(test[0], str) and test[0] not in {"NONE", "CMD", "CMD-SHELL", ""}:
            yield f"{where}/0", f'unknown type of health check "{test[0][:60]}" (one of: NONE, CMD, CMD-SHELL)'


_DURATIONS = tuple(f"config/Healthcheck/{name}" for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"))
_MILLISECOND = 1_000_000
_V2 = "distribution manifest-v2-2.md, "
_SPEC = "moby image/spec v1.2, "
_AMBIGUOUS = "GHSA-qq97-vm5h-rrhg; GHSA-77vh-xpmg-72qh"

RULES = (
    Rule(
        name="docker/ambiguous-schema1",
        title="A schema1 manifest has no member of another kind of manifest (CVE-2021-41190).",
        spec=_AMBIGUOUS,
        kinds=("docker-schema1",),
        check=lambda document: ambiguous_members(document, "fsLayers", "history"),
    ),
    Rule(
        name="docker/ambiguous",
        title="A schema2 manifest has no member of another kind of manifest (CVE-2021-41190).",
        spec=_AMBIGUOUS,
        kinds=("docker-schema2",),
        check=lambda document: ambiguous_members(document, "config", "layers"),
    ),
    Rule(
        name="docker/ambiguous-list",
        title="A manifest list has no member of another kind of manifest (CVE-2021-41190).",
        spec=_AMBIGUOUS,
        kinds=("docker-manifest-list",),
        check=lambda document: ambiguous_members(document, "manifests"),
    ),
    Rule(
        name="docker/digest-encoding",
        title="Digests have the length of their algorithm and lower-case hex digits.",
        spec=_V2 + "Image Manifest Field Descriptions: digest",
        kinds=("docker-schema1", "docker-schema2", "docker-manifest-list"),
        check=of_texts(bad_digest, "config/digest", "layers/*/digest", "manifests/*/digest", "fsLayers/*/blobSum"),
    ),
    Rule(
        name="docker/config-media-type",
        title="The configuration of an image has Docker's media type.",
        spec=_V2 + "Image Manifest Field Descriptions: config, mediaType",
        kinds=("docker-schema2",),
        check=of_texts(only_types(types.DOCKER_CONFIG), "config/mediaType"),
        compat=None,
        note="Old engines pushed application/octet-stream, and plug-ins have a type of their own.",
    ),
    *docker_v1_rules.RULES,
    Rule(
        name="docker/diff-id",
        title="A diff_id is a digest of a registered algorithm.",
        spec=_SPEC + "Image JSON: rootfs, diff_ids",
        kinds=("docker-config",),
        check=of_texts(bad_diff_id, "rootfs/diff_ids/*"),
        note="The engine takes any text until it unpacks the layer, which then fails.",
    ),
    Rule(
        name="docker/rootfs-type",
        title="A root file system is made of layers.",
        spec=_SPEC + "Image JSON: rootfs, type",
        kinds=("docker-config",),
        check=of_texts(
            wrong_form(r"(?s)(?!layers(\+base)?\Z).*", 'unknown rootfs type "{:.60}" (one of: layers, layers+base)'),
            "rootfs/type",
        ),
        compat="warning",
        note="The engine does not look.",
    ),
    Rule(
        name="docker/timestamp-form",
        title="A time is written as RFC 3339 says, to the letter.",
        spec="RFC 3339, section 5.6",
        kinds=("docker-config", "docker-schema1"),
        check=of_found(times, go_time_form),
        compat="warning",
        note="Go takes an hour of one digit, a comma before a fraction, and an offset of 24:00.",
    ),
    Rule(
        name="docker/timestamp-for-go",
        title="A time has T and Z in capitals, and no leap second.",
        spec="RFC 3339, section 5.6",
        kinds=("docker-config", "docker-schema1"),
        check=of_found(times, not_go_time),
        strict=None,
        note="RFC 3339 allows small letters and leap seconds; the engine, which is written in Go, reads neither.",
    ),
    Rule(
        name="docker/config-history",
        title="As many steps of the history made a layer as there are layers.",
        spec=_SPEC + "Image JSON: history",
        kinds=("docker-config",),
        check=history_mismatch,
        compat="warning",
        note="The engine refuses more steps than layers, and takes fewer.",
    ),
    Rule(
        name="docker/command-list",
        title="A command is a list of strings.",
        spec=_SPEC + "Image JSON: Cmd, Entrypoint",
        kinds=("docker-config",),
        check=of_texts(
            wrong_form("(?s).*", 'expected a list of strings, found the string "{:.60}"'),
            "config/Cmd",
            "config/Entrypoint",
            "config/Shell",
        ),
        compat="warning",
        note="Until version 28, the engine takes a string for a list of one; since version 29, it refuses the image.",
    ),
    Rule(
        name="docker/environment",
        title="A variable is NAME=VALUE.",
        spec=_SPEC + "Image JSON: Env",
        kinds=("docker-config",),
        check=of_texts(bad_variable, "config/Env/*"),
        compat="warning",
        note="The engine takes a name alone for a variable that is unset.",
    ),
    Rule(
        name="docker/exposed-ports",
        title="An exposed port is PORT, PORT/tcp or PORT/udp.",
        spec=_SPEC + "Image JSON: ExposedPorts",
        kinds=("docker-config",),
        check=bad_ports,
        compat="warning",
        note="The engine takes any text until a container runs.",
    ),
    Rule(
        name="docker/timestamp",
        title="A time is one that a clock shows.",
        spec="RFC 3339, section 5.7",
        kinds=("docker-config",),
        check=of_texts(impossible_time, *TIMES),
    ),
    Rule(
        name="docker/health-duration",
        title="Durations of a health check are 0 or a millisecond at least, its count is not negative.",
        spec="docker engine API, ContainerConfig: Healthcheck",
        kinds=("docker-config",),
        check=health_durations,
        compat="warning",
        note="The engine checks this where a container is made.",
    ),
    Rule(
        name="docker/health-test",
        title="The test of a health check begins with NONE, CMD or CMD-SHELL.",
        spec="docker engine API, ContainerConfig: Healthcheck, Test",
        kinds=("docker-config",),
        check=health_test,
        compat="warning",
        note="The engine checks this where a container is made.",
    ),
    Rule(
        name="docker/archive-path",
        title="Paths in manifest.json lead nowhere outside the archive.",
        spec=_SPEC + "Combined Image JSON + Filesystem Changeset Format",
        kinds=("docker-archive-manifest",),
        check=of_texts(
            wrong_form(r"(?s)(.*/)?\.\.(/.*)?|.*\0.*", 'path "{:.100}" leads out of the archive'),
            "*/Config",
            "*/Layers/*",
        ),
    ),
    Rule(
        name="docker/archive-path-absolute",
        title="Paths in manifest.json are relative.",
        spec=_SPEC + "Combined Image JSON + Filesystem Changeset Format",
        kinds=("docker-archive-manifest",),
        check=of_texts(
            wrong_form("(?s)/.*", 'path "{:.100}" is absolute: expected one relative to the archive'),
            "*/Config",
            "*/Layers/*",
        ),
        compat="warning",
        note="The engine looks for such a path within the archive, where Buildpacks put it.",
    ),
    Rule(
        name="docker/archive-tag",
        title="Names in manifest.json have a tag.",
        spec=_SPEC + "Combined Image JSON + Filesystem Changeset Format",
        kinds=("docker-archive-manifest",),
        check=of_texts(wrong_form("(?s)(.*/)?[^/:]*", 'name "{:.100}" has no tag: expected NAME:TAG'), "*/RepoTags/*"),
        compat="warning",
        note="Archives without tags exist.",
    ),
)
