"""Checks of App Container documents that no schema states (appc spec 0.8.11; its schema package where that differs)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from converter.model.appc import ARCHITECTURES
from converter.model.document import go_key
from converter.schema.finding import Hit
from converter.schema.lookup import lists_at, objects_at, strings_at
from converter.schema.shared_checks import is_web_url

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
ONCE = frozenset(
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
ONCE_A_POD = frozenset(("os/linux/selinux-context", "os/unix/sysctl"))
APPS = ("app", "apps/*/app")
LABELS = ("labels", "dependencies/*/labels", "apps/*/image/labels")
NOTES = ("annotations", "apps/*/annotations")
IDENTIFIERS = (
    "name",
    "dependencies/*/imageName",
    "apps/*/image/name",
    *(f"{path}/*/name" for path in (*LABELS, *NOTES)),
    *(f"{path}/isolators/*/name" for path in APPS),
    "isolators/*/name",
)
NAMES = (
    "apps/*/name",
    "apps/*/mounts/*/volume",
    "apps/*/mounts/*/appVolume/name",
    "volumes/*/name",
    "ports/*/name",
    "ports/*/podPort/name",
    *(f"{app}/{part}/*/name" for app in APPS for part in ("mountPoints", "ports")),
)
PORTS = (*(f"{app}/ports/*" for app in APPS), "ports/*/podPort")
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
    stated = document.get(kind_member(document))
    return KINDS.get(stated, kind) if isinstance(stated, str) else kind


def own_members(document: Any, known: Collection[str]) -> Any:
    """The members that the document's kind defines: a pod, for example, has no labels, and any in it mean nothing."""
    if not isinstance(document, dict):
        return document
    return {key: value for key, value in document.items() if key in known}


def kind_member(document: dict[str, Any]) -> str:
    """The key under which a document states its kind; Go reads keys case-insensitively."""
    return next((key for key in document if go_key(key) == "ackind" and "acKind" not in document), "acKind")


def label_name(text: str) -> str:
    """Why a label may not have a name; like the functions below, empty if nothing is wrong."""
    return 'a label must not be called "name": it would be taken for the name of the image' if text == "name" else ""


def url(text: str) -> str:
    """Why an annotation is not a web URL."""
    return "" if is_web_url(text) else f'invalid URL "{text[:100]}": expected http or https'


def version_zero(text: str) -> str:
    """Why a version is 0.0.0."""
    return f'version "{text}" is not above 0.0.0' if re.fullmatch(r"0+\.0+\.0+-?\+?", text) else ""


def version_strict(text: str) -> str:
    """Why a version is not one of SemVer 2.0.0."""
    written = re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+([-+].*)?", text)
    return (
        f'invalid version "{text[:60]}": expected SemVer 2.0.0' if written and not re.fullmatch(_SEMVER, text) else ""
    )


def identifier_marks(text: str) -> str:
    """Why two separators of an identifier are in a row."""
    twice = re.search(r"[._~/-]{2}", text) and not re.fullmatch(_IDENTIFIER, text)
    return f'"{text[:100]}" has two of -._~/ in a row' if twice else ""


def name_marks(text: str) -> str:
    """Why two separators of a name are in a row."""
    return f'"{text[:100]}" has two - in a row' if "--" in text and not re.fullmatch(_NAME, text) else ""


def image_id(text: str) -> str:
    """Why an image ID is not a full SHA-512 in lower-case hex."""
    if re.fullmatch(_IMAGE_ID, text) or not re.fullmatch(r"sha512-[^-]+", text):
        return ""
    return f'invalid image ID "{text[:150]}": expected sha512- and 128 lower-case hex digits'


def environment_letters(text: str) -> str:
    """Why the name of a variable has a dot or a minus."""
    if re.fullmatch(r"[A-Za-z_]\w*[.-][\w.-]*", text, re.ASCII):
        return f'invalid name of a variable "{text[:100]}": expected letters, digits and _'
    return ""


def group(number: int) -> str:
    """Why a group ID is negative."""
    return f"group {number} is negative" if number < 0 else ""


def port_count(number: int) -> str:
    """Why a range of ports has no port."""
    return "" if number else "a range of 0 ports: expected at least 1"


def quantity_kilo(text: str) -> str:
    """Why thousands are written K instead of k."""
    wrong = text.strip(" ").endswith("K")
    return f'invalid quantity "{text[:60]}": thousands are k, and 1024 is Ki' if wrong else ""


def quantity_digits(text: str) -> str:
    """Why a quantity has no digits."""
    return f'quantity "{text[:60]}" has no digits: it is read as 0' if re.fullmatch(_NO_NUMBER, text.strip(" ")) else ""


def quantity_form(text: str) -> str:
    """Why a quantity is not written as the text says."""
    number = re.fullmatch(f"{_NUMBER}|{_NO_NUMBER}", text.strip(" "))
    if number is None or re.fullmatch(r"[0-9]+(\.[0-9]+)?(m|[KMGTPE]i?)?", text):
        return ""
    return f'invalid quantity "{text[:60]}": expected digits, and E P T G M K, Ei Pi Ti Gi Mi Ki or m'


def whitelisted(text: str) -> str:
    """Why a whitelisted path is not absolute."""
    return "" if text.startswith("/") else f'path "{text[:100]}" is not absolute'


def mount_path(text: str) -> str:
    """Why a mount point has no path."""
    return "" if text else "the path is empty"


def host_address(text: str) -> str:
    """Why a host address is not an IP address."""
    return f'invalid IP address "{text[:60]}"' if text and not _is_address(text, "") else ""


def host_address_4(text: str) -> str:
    """Why a host address is not IPv4."""
    other = not text or (_is_address(text, "") and not _is_address(text, "4"))
    return f'"{text[:60]}" is not an IPv4 address' if other else ""


def host_port(number: int) -> str:
    """Why a host port is out of range."""
    return f"port {number} is out of range: expected 1 to 65535" if number == 0 or number > 65535 else ""


def os_arch(document: Any) -> Iterator[Hit]:
    """Pairs of operating system and processor that are not known."""
    for where, labels in lists_at(document, *LABELS):
        values = {_name(label): label.get("value", "") for label in labels if isinstance(label, dict)}
        system, arch = values.get("os"), values.get("arch")
        if not isinstance(system, str):
            continue
        if system not in ARCHITECTURES:
            yield where, f'unknown os "{system[:60]}" (one of: {", ".join(ARCHITECTURES)})'
        elif isinstance(arch, str) and arch not in ARCHITECTURES[system]:
            known = ", ".join(ARCHITECTURES[system])
            yield where, f'unknown arch "{arch[:60]}" for {system} (one of: {known})'


def port_range(document: Any) -> Iterator[Hit]:
    """Port ranges that end above 65535."""
    for where, port in objects_at(document, *PORTS):
        first, count = port.get("port"), port.get("count")
        if isinstance(first, int) and isinstance(count, int) and first + count > 65536:
            yield where, f"the range of ports ends at {first + count - 1}: the highest port is 65535"


def isolator_known(document: Any) -> Iterator[Hit]:
    """Isolators of an app that the specification does not define."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in APPS)):
        name = isolator.get("name", "")
        if isinstance(name, str) and name not in ISOLATORS:
            yield f"{where}/name" if "name" in isolator else where, f'unknown isolator "{name[:100]}"'


def isolator_value(document: Any) -> Iterator[Hit]:
    """Isolators without a value, including unknown ones."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in APPS), "isolators/*"):
        if "value" not in isolator and _name(isolator) not in ISOLATORS:
            yield where, '"value" is missing'


def port_names(document: Any) -> Iterator[Hit]:
    """Ports of a pod's apps that are called like one before."""
    seen: set[str] = set()
    for where, name in strings_at(document, "apps/*/app/ports/*/name"):
        if name in seen:
            yield where, f'a second port named "{name[:100]}" in the pod'
        seen.add(name)


def _name(item: dict[str, Any]) -> str:
    name = item.get("name")
    return name if isinstance(name, str) else ""


def quantities(document: Any) -> Iterator[tuple[str, str]]:
    """The requests and limits of resource isolators; other isolators may have members of these names, too."""
    for where, isolator in objects_at(document, *(f"{app}/isolators/*" for app in APPS), "isolators/*"):
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


def notes(document: Any, *names: str) -> Iterator[tuple[str, str]]:
    """The values of the annotations of these names."""
    for where, note in objects_at(document, *(f"{path}/*" for path in NOTES)):
        value = note.get("value", "")
        if _name(note) in names and isinstance(value, str):
            yield f"{where}/value" if "value" in note else where, value


def more_than_once(document: Any, once: frozenset[str], *paths: str) -> Iterator[Hit]:
    """Isolators of the lists at the paths that apply to a whole app or pod, and are there more than once."""
    for where, isolators in lists_at(document, *paths):
        names = Counter(_name(item) for item in isolators if isinstance(item, dict))
        for name in sorted(once & names.keys()):
            if names[name] > 1:
                yield where, f"{names[name]} isolators {name}: only one is allowed"


def conflicting(document: Any, one: str, other: str) -> Iterator[Hit]:
    """Apps with two isolators of which one retains what the other removes."""
    for where, isolators in lists_at(document, *(f"{app}/isolators" for app in APPS)):
        names = {_name(item) for item in isolators if isinstance(item, dict)}
        if {one, other} <= names:
            yield where, f"{one} and {other} exclude each other"
