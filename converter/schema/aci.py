"""Rules of App Container documents that no schema states (appc spec 0.8.11; its schema package where that differs)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from converter.model.appc import ARCHITECTURES
from converter.model.document import go_key
from converter.schema.finding import Hit
from converter.schema.forms import find_faults, go_time_form, is_web_url, no_time, not_go_time, repeated_members
from converter.schema.walk import lists_at, numbers_at, objects_at, strings_at

KINDS = {"ImageManifest": "aci-image-manifest", "PodManifest": "aci-pod-manifest"}
ISOLATORS = frozenset(
    (
        "os/linux/apparmor-profile",
        "os/linux/capabilities-remove-set",
        "os/linux/capabilities-retain-set",
        "os/linux/cpu-shares",
        "os/linux/no-new-privileges",
        "os/linux/oom-score-adj",
        "os/linux/seccomp-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/selinux-context",
        "os/unix/sysctl",
        "resource/block-bandwidth",
        "resource/block-iops",
        "resource/cpu",
        "resource/memory",
        "resource/network-bandwidth",
    )
)
_ONCE = frozenset(
    (
        "os/linux/apparmor-profile",
        "os/linux/cpu-shares",
        "os/linux/oom-score-adj",
        "os/linux/seccomp-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/selinux-context",
        "os/unix/sysctl",
    )
)
_ONCE_A_POD = frozenset(("os/linux/selinux-context", "os/unix/sysctl"))
_APPS = ("app", "apps/*/app")
_LABELS = ("labels", "dependencies/*/labels", "apps/*/image/labels")
_NOTES = ("annotations", "apps/*/annotations")
_IDENTIFIERS = (
    "name",
    "dependencies/*/imageName",
    "apps/*/image/name",
    *(f"{path}/*/name" for path in (*_LABELS, *_NOTES)),
    *(f"{path}/isolators/*/name" for path in _APPS),
    "isolators/*/name",
)
_NAMES = (
    "apps/*/name",
    "apps/*/mounts/*/volume",
    "apps/*/mounts/*/appVolume/name",
    "volumes/*/name",
    "ports/*/name",
    "ports/*/podPort/name",
    *(f"{app}/{part}/*/name" for app in _APPS for part in ("mountPoints", "ports")),
)
_PORTS = (*(f"{app}/ports/*" for app in _APPS), "ports/*/podPort")
_IDENTIFIER = r"[a-z0-9]+([-._~/][a-z0-9]+)*"
_NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
_IMAGE_ID = r"sha512-[0-9a-f]{128}"
_PART = r"(0|[1-9][0-9]*)"
_WORD = r"(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = rf"{_PART}\.{_PART}\.{_PART}(-{_WORD}(\.{_WORD})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkKMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?"
_NO_NUMBER = r"[+-]?\.?([numkKMGTPE]|[KMGT]i|[eE][+-]?[0-9]+)|[+-]?\.|[+-]"


def actual_kind(document: Any, kind: str) -> str:
    """The kind that an App Container document states, if it is not the requested one.

    The reference decides by a manifest's acKind; no kind can be requested of it.
    """
    if kind not in KINDS.values() or not isinstance(document, dict):
        return kind
    told = document.get(kind_member(document))
    return KINDS.get(told, kind) if isinstance(told, str) else kind


def own_members(document: Any, known: Collection[str]) -> Any:
    """The members that the document's kind defines: a pod, for example, has no labels, and any in it mean nothing."""
    if not isinstance(document, dict):
        return document
    return {key: value for key, value in document.items() if key in known}


def kind_member(document: dict[str, Any]) -> str:
    """The key under which a document states its kind; Go reads keys case-insensitively."""
    return next((key for key in document if go_key(key) == "ackind" and "acKind" not in document), "acKind")


def label_name(document: Any) -> Iterator[Hit]:
    """Labels called name."""
    for where, text in strings_at(document, *(f"{path}/*/name" for path in _LABELS)):
        if text == "name":
            yield where, 'a label must not be called "name": it would be taken for the name of the image'


def os_arch(document: Any) -> Iterator[Hit]:
    """Pairs of operating system and processor that are not known."""
    for where, labels in lists_at(document, *_LABELS):
        values = {_name(label): label.get("value", "") for label in labels if isinstance(label, dict)}
        system, arch = values.get("os"), values.get("arch")
        if not isinstance(system, str):
            continue
        if system not in ARCHITECTURES:
            yield where, f'unknown os "{system[:60]}" (one of: {", ".join(ARCHITECTURES)})'
        elif isinstance(arch, str) and arch not in ARCHITECTURES[system]:
            known = ", ".join(ARCHITECTURES[system])
            yield where, f'unknown arch "{arch[:60]}" for {system} (one of: {known})'


def created(document: Any) -> Iterator[Hit]:
    """Annotations created that are not a time."""
    return find_faults(_annotations(document, "created"), no_time)


def created_for_go(document: Any) -> Iterator[Hit]:
    """Annotations created that RFC 3339 allows and Go does not read."""
    return find_faults(_annotations(document, "created"), not_go_time)


def created_form(document: Any) -> Iterator[Hit]:
    """Annotations created that are not written exactly as RFC 3339 requires."""
    return find_faults(_annotations(document, "created"), go_time_form)


def url(document: Any) -> Iterator[Hit]:
    """Annotations homepage and documentation that are not web URLs."""
    for where, text in _annotations(document, "homepage", "documentation"):
        if not is_web_url(text):
            yield where, f'invalid URL "{text[:100]}": expected http or https'


def version_zero(document: Any) -> Iterator[Hit]:
    """The version 0.0.0."""
    for where, text in strings_at(document, "acVersion"):
        if re.fullmatch(r"0+\.0+\.0+-?\+?", text):
            yield where, f'version "{text}" is not above 0.0.0'


def version_strict(document: Any) -> Iterator[Hit]:
    """Versions that are not SemVer 2.0.0."""
    for where, text in strings_at(document, "acVersion"):
        if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([-+].*)?", text) and not re.fullmatch(_SEMVER, text):
            yield where, f'invalid version "{text[:60]}": expected SemVer 2.0.0'


def identifier_marks(document: Any) -> Iterator[Hit]:
    """Identifiers with two separators in a row."""
    for where, text in strings_at(document, *_IDENTIFIERS):
        if re.search(r"[._~/-]{2}", text) and not re.fullmatch(_IDENTIFIER, text):
            yield where, f'"{text[:100]}" has two of -._~/ in a row'


def name_marks(document: Any) -> Iterator[Hit]:
    """Names with two separators in a row."""
    for where, text in strings_at(document, *_NAMES):
        if "--" in text and not re.fullmatch(_NAME, text):
            yield where, f'"{text[:100]}" has two - in a row'


def image_id(document: Any) -> Iterator[Hit]:
    """Image IDs that are not a full SHA-512 in lower-case hex."""
    for where, text in strings_at(document, "dependencies/*/imageID", "apps/*/image/id"):
        if re.fullmatch(r"sha512-[^-]+", text) and not re.fullmatch(_IMAGE_ID, text):
            yield where, f'invalid image ID "{text[:150]}": expected sha512- and 128 lower-case hex digits'


def event_handlers(document: Any) -> Iterator[Hit]:
    """Second handlers of the same event in an app."""
    return repeated_members(document, "event handler", *(f"{app}/eventHandlers" for app in _APPS))


def environment(document: Any) -> Iterator[Hit]:
    """Variables that are set twice."""
    return repeated_members(document, "variable", *(f"{app}/environment" for app in _APPS))


def environment_letters(document: Any) -> Iterator[Hit]:
    """Names of variables with a dot or a minus."""
    for where, text in strings_at(document, *(f"{app}/environment/*/name" for app in _APPS)):
        if re.fullmatch(r"[A-Za-z_]\w*[.-][\w.-]*", text, re.ASCII):
            yield where, f'invalid name of a variable "{text[:100]}": expected letters, digits and _'


def groups(document: Any) -> Iterator[Hit]:
    """Negative group IDs."""
    for where, number in numbers_at(document, *(f"{app}/supplementaryGIDs/*" for app in _APPS)):
        if number < 0:
            yield where, f"group {number} is negative"


def port_range(document: Any) -> Iterator[Hit]:
    """Port ranges that end above 65535."""
    for where, port in objects_at(document, *_PORTS):
        first, count = port.get("port"), port.get("count")
        if isinstance(first, int) and isinstance(count, int) and first + count > 65536:
            yield where, f"the range of ports ends at {first + count - 1}: the highest port is 65535"


def port_count(document: Any) -> Iterator[Hit]:
    """Port ranges without a port."""
    for where, count in numbers_at(document, *(f"{path}/count" for path in _PORTS)):
        if count == 0:
            yield where, "a range of 0 ports: expected at least 1"


def isolator_known(document: Any) -> Iterator[Hit]:
    """Isolators of an app that the specification does not define."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in _APPS)):
        name = isolator.get("name", "")
        if isinstance(name, str) and name not in ISOLATORS:
            yield f"{where}/name" if "name" in isolator else where, f'unknown isolator "{name[:100]}"'


def isolator_value(document: Any) -> Iterator[Hit]:
    """Isolators without a value, including unknown ones."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in _APPS), "isolators/*"):
        if "value" not in isolator and _name(isolator) not in ISOLATORS:
            yield where, '"value" is missing'


def isolator_once(document: Any) -> Iterator[Hit]:
    """Isolators that apply to a whole app and are there more than once."""
    return _more_than_once(document, _ONCE, *(f"{app}/isolators" for app in _APPS))


def pod_isolator_once(document: Any) -> Iterator[Hit]:
    """Isolators that apply to a whole pod and are there more than once."""
    return _more_than_once(document, _ONCE_A_POD, "isolators")


def isolator_conflict(document: Any) -> Iterator[Hit]:
    """System calls both retained and removed."""
    return _both(document, "os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set")


def capability_conflict(document: Any) -> Iterator[Hit]:
    """Capabilities both retained and removed."""
    return _both(document, "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set")


def quantity_kilo(document: Any) -> Iterator[Hit]:
    """Thousands written K instead of k."""
    for where, text in _quantities(document):
        if text.strip(" ").endswith("K"):
            yield where, f'invalid quantity "{text[:60]}": thousands are k, and 1024 is Ki'


def quantity_digits(document: Any) -> Iterator[Hit]:
    """Quantities without digits."""
    for where, text in _quantities(document):
        if re.fullmatch(_NO_NUMBER, text.strip(" ")):
            yield where, f'quantity "{text[:60]}" has no digits: it is read as 0'


def quantity_form(document: Any) -> Iterator[Hit]:
    """Quantities not written as the text says."""
    for where, text in _quantities(document):
        if re.fullmatch(f"{_NUMBER}|{_NO_NUMBER}", text.strip(" ")) and not re.fullmatch(
            r"[0-9]+(\.[0-9]+)?(m|[KMGTPE]i?)?", text
        ):
            yield where, f'invalid quantity "{text[:60]}": expected digits, and E P T G M K, Ei Pi Ti Gi Mi Ki or m'


def whitelist(document: Any) -> Iterator[Hit]:
    """Whitelisted paths that are not absolute."""
    for where, text in strings_at(document, "pathWhitelist/*"):
        if not text.startswith("/"):
            yield where, f'path "{text[:100]}" is not absolute'


def mount_path(document: Any) -> Iterator[Hit]:
    """Mount points without a path."""
    for where, text in strings_at(document, *(f"{app}/mountPoints/*/path" for app in _APPS), "apps/*/mounts/*/path"):
        if not text:
            yield where, "the path is empty"


def port_names(document: Any) -> Iterator[Hit]:
    """Ports of a pod's apps that are called like one before."""
    seen: set[str] = set()
    for where, name in strings_at(document, "apps/*/app/ports/*/name"):
        if name in seen:
            yield where, f'a second port named "{name[:100]}" in the pod'
        seen.add(name)


def host_address(document: Any) -> Iterator[Hit]:
    """Host addresses that are not IP addresses."""
    for where, text in strings_at(document, "ports/*/hostIP"):
        if text and not _is_address(text, ""):
            yield where, f'invalid IP address "{text[:60]}"'


def host_address_4(document: Any) -> Iterator[Hit]:
    """Host addresses that are not IPv4."""
    for where, text in strings_at(document, "ports/*/hostIP"):
        if not text or (_is_address(text, "") and not _is_address(text, "4")):
            yield where, f'"{text[:60]}" is not an IPv4 address'


def host_port(document: Any) -> Iterator[Hit]:
    """Host ports out of range."""
    for where, number in numbers_at(document, "ports/*/hostPort"):
        if number == 0 or number > 65535:
            yield where, f"port {number} is out of range: expected 1 to 65535"


def _name(item: dict[str, Any]) -> str:
    name = item.get("name")
    return name if isinstance(name, str) else ""


def _quantities(document: Any) -> Iterator[tuple[str, str]]:
    """The requests and limits of resource isolators; other isolators may have members of these names, too."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in _APPS), "isolators/*"):
        if _name(isolator).startswith("resource/"):
            for part, text in strings_at(isolator, "value/request", "value/limit"):
                yield where + part, text


def _is_address(text: str, version: str) -> bool:
    from ipaddress import IPv4Address, ip_address

    try:
        # Python accepts a zone after the address, Go does not.
        address = ip_address(text.replace("%", " "))
    except ValueError:
        return False
    return not version or isinstance(address, IPv4Address)


def _annotations(document: Any, *names: str) -> Iterator[tuple[str, str]]:
    for where, note in objects_at(document, *(f"{path}/*" for path in _NOTES)):
        value = note.get("value", "")
        if _name(note) in names and isinstance(value, str):
            yield f"{where}/value" if "value" in note else where, value


def _more_than_once(document: Any, once: frozenset[str], *paths: str) -> Iterator[Hit]:
    for where, isolators in lists_at(document, *paths):
        names = Counter(_name(item) for item in isolators if isinstance(item, dict))
        for name in sorted(once & names.keys()):
            if names[name] > 1:
                yield where, f"{names[name]} isolators {name}: only one is allowed"


def _both(document: Any, one: str, other: str) -> Iterator[Hit]:
    for where, isolators in lists_at(document, *(f"{app}/isolators" for app in _APPS)):
        names = {_name(item) for item in isolators if isinstance(item, dict)}
        if {one, other} <= names:
            yield where, f"{one} and {other} exclude each other"
