"""Rules of Docker's documents that no schema states (manifest-v2-1.md, manifest-v2-2.md, moby image/spec).

The steps of a schema 1 manifest are JSON within JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from converter.errors import Invalid, unless_invalid
from converter.model import media_types as types
from converter.model.document import (
    as_known,
    decode_base64url,
    go_names,
    lenient_member,
    load_object,
    member_or_empty,
    text_list,
)
from converter.schema.compiled import engine_refuses
from converter.schema.finding import Hit, Rule
from converter.schema.shared_checks import (
    Check,
    ambiguous_members,
    bad_diff_id,
    bad_digest,
    bad_ports,
    bad_variable,
    find_faults,
    find_members,
    go_time_form,
    history_mismatch,
    impossible_time,
    no_time,
    not_go_time,
    of_texts,
    only_types,
    values_at,
    wrong_form,
)

_TYPES: dict[str, type] = {
    "parent": str,
    "comment": str,
    "author": str,
    "throwaway": bool,
    "container_config": dict,
}
_MEMBERS = ("id", "created", *_TYPES)
"""The members that every step may have; rules of their own look at the first two."""
_known = go_names(_MEMBERS)


def history_length(document: Any) -> Iterator[Hit]:
    """A history whose steps do not match the layers in number."""
    for _, layers in values_at(list, document, "fsLayers"):
        for where, history in values_at(list, document, "history"):
            if len(history) != len(layers):
                yield where, f"{len(history)} steps of history for {len(layers)} layers: expected one for each"


def step_members(document: Any) -> Iterator[Hit]:
    """Steps of history that are not a JSON object with an ID, or whose members have wrong types."""
    for where, text in values_at(str, document, "history/*/v1Compatibility"):
        try:
            step = _parse_step(text)
        except Invalid as error:
            yield where, str(error)
            continue
        if not re.fullmatch("[0-9a-f]{64}", lenient_member(step, "id", str)):
            yield where, f'invalid id "{str(step.get("id"))[:80]}": expected 64 lower-case hex digits'
        yield from ((where, fact) for fact in _wrong_types(step))
        if where == "/history/0/v1Compatibility":  # the newest, which the Engine makes a configuration of
            refused = engine_refuses({key: value for key, value in step.items() if key not in (*_MEMBERS, "Size")})
            yield from ((where, f"{path[1:].replace('/', '.')}: {fact}") for path, fact in refused)


def step_spelling(document: Any) -> Iterator[Hit]:
    """Members of steps that Go takes for others."""
    for where, text in values_at(str, document, "history/*/v1Compatibility"):
        for key in unless_invalid(load_object, text.encode("utf-8", "replace")) or ():
            name = _known(key)
            if name != key:
                yield where, f'key "{key[:60]}" is spelled in the wrong case: expected "{name}"'


def step_parents(document: Any) -> Iterator[Hit]:
    """Steps whose parent is not the next step, or, for the last, not empty."""
    steps = _steps(document)
    for index, (where, step) in enumerate(steps):
        parent = step.get("parent") or ""
        below = steps[index + 1][1].get("id") if index + 1 < len(steps) else ""
        if parent != below and step.get("id") != below:
            yield where, f'parent is "{str(parent)[:80]}": expected "{str(below)[:80]}", the id of the next step'


def step_repeated(document: Any) -> Iterator[Hit]:
    """IDs that are repeated, but not in a row."""
    seen: set[str] = set()
    last = ""
    for where, step in _steps(document):
        name = str(step.get("id"))
        if name in seen and name != last:
            yield where, f'id "{name[:80]}" is used again'
        seen.add(name)
        last = name


def signature_headers(document: Any) -> Iterator[Hit]:
    """Protected headers that do not say how the signed text is assembled."""
    for where, text in values_at(str, document, "signatures/*/protected"):
        try:
            header = json.loads(decode_base64url(text))
        except (Invalid, ValueError, RecursionError):
            yield where, "the protected header is not JSON in base64url"
            continue
        length, tail = (header.get("formatLength"), header.get("formatTail")) if isinstance(header, dict) else (None, 0)
        if not isinstance(length, int) or length < 0 or not isinstance(tail, str):
            yield where, "the protected header has no formatLength and formatTail"


def _wrong_types(step: dict[str, Any]) -> Iterator[str]:
    for name, kind in _TYPES.items():
        try:
            member_or_empty(step, name, kind)
        except Invalid as error:
            yield str(error)
    if unless_invalid(text_list, lenient_member(step, "container_config", dict), "Cmd") is None:
        yield "container_config.Cmd: expected an array of strings"


def _parse_step(text: str) -> dict[str, Any]:
    """One step, with its members under the names that Go takes them for; raises Invalid."""
    return as_known(load_object(text.encode("utf-8", "replace")), _MEMBERS)


def step_times(document: Any) -> Iterator[tuple[str, str]]:
    """The times of steps."""
    times = ((where, step.get("created")) for where, step in _steps(document))
    return ((where, str(time)) for where, time in times if time is not None)


def _steps(document: Any) -> list[tuple[str, dict[str, Any]]]:
    """The steps of a schema1 history, newest first; none if any cannot be read."""
    found = []
    for where, text in find_members(document, "history/*/v1Compatibility"):
        step = unless_invalid(_parse_step, str(text))
        if step is None:
            return []
        found.append((where, step))
    return found


def of_times(why: Callable[[str], str]) -> Check:
    """The check of a rule on the times of steps and of a configuration; ``why`` is as in ``find_faults``."""
    return lambda document: find_faults(chain(step_times(document), values_at(str, document, *_TIMES)), why)


def health_durations(document: Any) -> Iterator[Hit]:
    """Durations of a health check of less than a millisecond, in nanoseconds, and negative counts."""
    for where, number in values_at(int, document, *(f"config/Healthcheck/{name}" for name in _DURATIONS)):
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


_TIMES = ("created", "history/*/created")
_DURATIONS = ("Interval", "Timeout", "StartPeriod", "StartInterval")
_MILLISECOND = 1_000_000
_V1, _V2 = "distribution manifest-v2-1.md, ", "distribution manifest-v2-2.md, "
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
    Rule(
        name="docker/history-length",
        title="A schema1 manifest has as many steps of history as layers.",
        spec=_V1 + "Manifest Field Descriptions: history",
        kinds=("docker-schema1",),
        check=history_length,
    ),
    Rule(
        name="docker/v1-configuration",
        title="Each step of a schema1 history is a JSON object whose id is 64 hex digits, and its members have types.",
        spec=_V1 + "Manifest Field Descriptions: history, v1Compatibility",
        kinds=("docker-schema1",),
        check=step_members,
    ),
    Rule(
        name="docker/v1-key-case",
        title="The members of a step are spelt as they are known.",
        spec=_V1 + "Manifest Field Descriptions: history, v1Compatibility",
        kinds=("docker-schema1",),
        check=step_spelling,
        compat="warning",
        note="Go reads them without regard to case.",
    ),
    Rule(
        name="docker/v1-parent",
        title="The parent of each step is the next one in the list, and the last has none.",
        spec=_V1 + "Manifest Field Descriptions: history, v1Compatibility",
        kinds=("docker-schema1",),
        check=step_parents,
    ),
    Rule(
        name="docker/v1-repeated-id",
        title="The same id stands twice only in a row.",
        spec=_V1 + "Manifest Field Descriptions: history, v1Compatibility",
        kinds=("docker-schema1",),
        check=step_repeated,
    ),
    Rule(
        name="docker/v1-created",
        title="The time of a step is an RFC 3339 time.",
        spec=_V1 + "Manifest Field Descriptions: history, v1Compatibility",
        kinds=("docker-schema1",),
        check=lambda document: find_faults(step_times(document), no_time),
    ),
    Rule(
        name="docker/signature-protected",
        title="The protected header of a signature is JSON with formatLength and formatTail.",
        spec=_V1 + "Signed Manifests: protected",
        kinds=("docker-schema1",),
        check=signature_headers,
    ),
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
        check=of_times(go_time_form),
        compat="warning",
        note="Go takes an hour of one digit, a comma before a fraction, and an offset of 24:00.",
    ),
    Rule(
        name="docker/timestamp-for-go",
        title="A time has T and Z in capitals, and no leap second.",
        spec="RFC 3339, section 5.6",
        kinds=("docker-config", "docker-schema1"),
        check=of_times(not_go_time),
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
        check=of_texts(impossible_time, *_TIMES),
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
