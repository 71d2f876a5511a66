"""Rules of App Container documents that no schema states (appc spec 0.8.11; its schema package where that differs).

Those of isolators and those of pods alone have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from converter.model.appc import ARCHITECTURES
from converter.model.document import lenient_member
from converter.schema import isolator_rules, pod_rules
from converter.schema.finding import Hit, Rule
from converter.schema.isolator_rules import BOTH, SPEC, in_apps
from converter.schema.shared_checks import (
    Check,
    go_time_form,
    is_url,
    no_time,
    not_go_time,
    of_found,
    of_numbers,
    of_texts,
    repeated_members,
    values_at,
    wrong_form,
)

LABELS = ("labels", "dependencies/*/labels", "apps/*/image/labels")
NOTES = ("annotations", "apps/*/annotations")
IDENTIFIERS = (
    "name",
    "dependencies/*/imageName",
    "apps/*/image/name",
    *(f"{path}/*/name" for path in (*LABELS, *NOTES)),
    *in_apps("isolators/*/name"),
    "isolators/*/name",
)
NAMES = (
    "apps/*/name",
    "apps/*/mounts/*/volume",
    "apps/*/mounts/*/appVolume/name",
    "volumes/*/name",
    "ports/*/name",
    "ports/*/podPort/name",
    *in_apps("mountPoints/*/name", "ports/*/name"),
)
PORTS = (*in_apps("ports/*"), "ports/*/podPort")
_PART = r"(0|[1-9][0-9]*)"
_WORD = r"(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = rf"{_PART}\.{_PART}\.{_PART}(-{_WORD}(\.{_WORD})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"


def url(text: str) -> str:
    """Why an annotation is not a web URL; its query is not checked, and its host may be missing."""
    web = text.lower().startswith(("http:", "https:"))
    return "" if web and is_url(text) else f'invalid URL "{text[:100]}": expected http or https'


def group(number: int) -> str:
    """Why a group ID is negative."""
    return f"group {number} is negative" if number < 0 else ""


def port_count(number: int) -> str:
    """Why a range of ports has no port."""
    return "" if number else "a range of 0 ports: expected at least 1"


def os_arch(document: Any) -> Iterator[Hit]:
    """Pairs of operating system and processor that are not known."""
    for where, labels in values_at(list, document, *LABELS):
        values = {
            lenient_member(label, "name", str): label.get("value", "") for _, label in values_at(dict, labels, "*")
        }
        system, arch = values.get("os"), values.get("arch")
        if not isinstance(system, str):
            continue
        known = ARCHITECTURES.get(system)
        if known is None:
            yield where, f'unknown os "{system[:60]}" (one of: {", ".join(ARCHITECTURES)})'
        elif isinstance(arch, str) and arch not in known:
            yield where, f'unknown arch "{arch[:60]}" for {system} (one of: {", ".join(known)})'


def port_range(document: Any) -> Iterator[Hit]:
    """Port ranges that end above 65535."""
    for where, port in values_at(dict, document, *PORTS):
        first, count = port.get("port"), port.get("count")
        if isinstance(first, int) and isinstance(count, int) and first + count > 65536:
            yield where, f"the range of ports ends at {first + count - 1}: the highest port is 65535"


def of_notes(why: Callable[[str], str], *names: str) -> Check:
    """The check of a rule on the values of the annotations of these names; ``why`` is as in ``of_found``."""

    def values(document: Any) -> Iterator[tuple[str, str]]:
        for where, note in values_at(dict, document, *(f"{path}/*" for path in NOTES)):
            value = note.get("value", "")
            if lenient_member(note, "name", str) in names and isinstance(value, str):
                yield f"{where}/value" if "value" in note else where, value

    return of_found(values, why)


_MANIFEST = SPEC + "aci.md, Image Manifest Schema: "

OTHER_KIND = Rule(
    name="aci/kind",
    title="The document is of the kind that was asked for.",
    spec=SPEC + "types.md, AC Kind Type",
    kinds=BOTH,
    compat="warning",
    strict=None,
    note="The reference goes by acKind, whatever it was asked for; under strict the schema says it.",
)
RULES = (
    OTHER_KIND,
    Rule(
        name="aci/label-repeated",
        title="Labels have different names.",
        spec=_MANIFEST + "labels",
        kinds=BOTH,
        check=lambda document: repeated_members(document, "label", *LABELS),
    ),
    Rule(
        name="aci/label-name",
        title="No label is called name.",
        spec=_MANIFEST + "labels",
        kinds=BOTH,
        check=of_texts(
            wrong_form("name", 'a label must not be called "name": it would be taken for the name of the image'),
            *(f"{path}/*/name" for path in LABELS),
        ),
    ),
    Rule(
        name="aci/label-os-arch",
        title="The labels os and arch are a pair that is known (linux/arm64 is aarch64).",
        spec=_MANIFEST + "labels: os, arch",
        kinds=BOTH,
        check=os_arch,
        note="arch means nothing, and is not checked, where there is no os.",
    ),
    Rule(
        name="aci/annotation-repeated",
        title="Annotations have different names.",
        spec=_MANIFEST + "annotations",
        kinds=BOTH,
        check=lambda document: repeated_members(document, "annotation", *NOTES),
    ),
    Rule(
        name="aci/annotation-created",
        title="The annotation created is an RFC 3339 time.",
        spec=SPEC + "types.md, Timestamps Type",
        kinds=BOTH,
        check=of_notes(no_time, "created"),
    ),
    Rule(
        name="aci/annotation-created-for-go",
        title="The annotation created has T and Z in capitals, and no leap second.",
        spec=SPEC + "types.md, Timestamps Type",
        kinds=BOTH,
        check=of_notes(not_go_time, "created"),
        strict=None,
        note="RFC 3339 allows small letters and leap seconds; the reference, which is Go's reader of times, does not.",
    ),
    Rule(
        name="aci/annotation-created-form",
        title="The annotation created is written as RFC 3339 says, to the letter.",
        spec=SPEC + "types.md, Timestamps Type",
        kinds=BOTH,
        check=of_notes(go_time_form, "created"),
        compat="warning",
        note="The reference, which is Go's reader of times, takes one digit, a comma, and an offset of 24:60.",
    ),
    Rule(
        name="aci/annotation-url",
        title="The annotations homepage and documentation are http or https URLs.",
        spec=_MANIFEST + "annotations: homepage, documentation",
        kinds=BOTH,
        check=of_notes(url, "homepage", "documentation"),
    ),
    Rule(
        name="aci/version-zero",
        title="acVersion is not 0.0.0.",
        spec=SPEC + "types.md, AC Version Type",
        kinds=BOTH,
        check=of_texts(wrong_form(r"0+\.0+\.0+-?\+?", 'version "{}" is not above 0.0.0'), "acVersion"),
    ),
    Rule(
        name="aci/version-semver",
        title="acVersion is a version of SemVer 2.0.0.",
        spec=SPEC + "types.md, AC Version Type",
        kinds=BOTH,
        check=of_texts(
            wrong_form(
                rf"(?!{_SEMVER}\Z)[0-9]+\.[0-9]+\.[0-9]+([-+].*)?", 'invalid version "{:.60}": expected SemVer 2.0.0'
            ),
            "acVersion",
        ),
        compat="warning",
        note="The reference takes leading zeros, and anything after - or +.",
    ),
    Rule(
        name="aci/identifier-marks",
        title="An identifier has no two of -._~/ in a row.",
        spec=SPEC + "types.md, AC Identifier Type",
        kinds=BOTH,
        check=of_texts(wrong_form(r"(?s).*[._~/-]{2}.*", '"{:.100}" has two of -._~/ in a row'), *IDENTIFIERS),
        compat="warning",
        note="The reference takes them; names such as example.com/~bob/db are in its tests.",
    ),
    Rule(
        name="aci/name-marks",
        title="A name has no two - in a row.",
        spec=SPEC + "types.md, AC Name Type",
        kinds=BOTH,
        check=of_texts(wrong_form("(?s).*--.*", '"{:.100}" has two - in a row'), *NAMES),
        compat="warning",
        note="The reference takes them.",
    ),
    Rule(
        name="aci/image-id",
        title="An image ID is sha512- and 128 lower-case hex digits.",
        spec=SPEC + "types.md, Image ID Type",
        kinds=BOTH,
        check=of_texts(
            wrong_form(
                r"(?!sha512-[0-9a-f]{128}\Z)sha512-[^-]+",
                'invalid image ID "{:.150}": expected sha512- and 128 lower-case hex digits',
            ),
            "dependencies/*/imageID",
            "apps/*/image/id",
        ),
        compat="warning",
        note="The reference takes anything after sha512-; the text's own example is sha512-….",
    ),
    Rule(
        name="aci/event-handler-repeated",
        title="An app has one handler of each event.",
        spec=_MANIFEST + "app, eventHandlers",
        kinds=BOTH,
        check=lambda document: repeated_members(document, "event handler", *in_apps("eventHandlers")),
    ),
    Rule(
        name="aci/environment-repeated",
        title="A variable is set once.",
        spec=_MANIFEST + "app, environment",
        kinds=BOTH,
        check=lambda document: repeated_members(document, "variable", *in_apps("environment")),
    ),
    Rule(
        name="aci/environment-letters",
        title="A variable's name has letters, digits and _ alone.",
        spec=_MANIFEST + "app, environment",
        kinds=BOTH,
        check=of_texts(
            wrong_form(
                r"(?a)[A-Za-z_]\w*[.-][\w.-]*", 'invalid name of a variable "{:.100}": expected letters, digits and _'
            ),
            *in_apps("environment/*/name"),
        ),
        compat="warning",
        note="The reference takes dots and minuses as well.",
    ),
    Rule(
        name="aci/supplementary-gid",
        title="Numbers of groups are not negative.",
        spec=_MANIFEST + "app, supplementaryGIDs",
        kinds=BOTH,
        check=of_numbers(group, *in_apps("supplementaryGIDs/*")),
        compat="warning",
        note="The reference takes any integer.",
    ),
    Rule(
        name="aci/port-range",
        title="A range of ports ends at 65535 at most.",
        spec=_MANIFEST + "app, ports, count",
        kinds=BOTH,
        check=port_range,
    ),
    Rule(
        name="aci/port-count",
        title="A range of ports has at least one.",
        spec=_MANIFEST + "app, ports, count",
        kinds=BOTH,
        check=of_numbers(port_count, *(f"{path}/count" for path in PORTS)),
        compat="warning",
        note="The reference reads 0 as 1.",
    ),
    *isolator_rules.RULES,
    Rule(
        name="aci/path-whitelist",
        title="Paths of the whitelist are absolute.",
        spec=_MANIFEST + "pathWhitelist",
        kinds=("aci-image-manifest",),
        check=of_texts(wrong_form("(?s)(?!/).*", 'path "{:.100}" is not absolute'), "pathWhitelist/*"),
        compat="warning",
        note="The reference takes any text.",
    ),
    Rule(
        name="aci/mount-path",
        title="A mount has a path.",
        spec=_MANIFEST + "app, mountPoints",
        kinds=BOTH,
        check=of_texts(wrong_form("", "the path is empty"), *in_apps("mountPoints/*/path"), "apps/*/mounts/*/path"),
        compat="warning",
        note="The reference asks for it on its command line alone.",
    ),
    *pod_rules.RULES,
)
