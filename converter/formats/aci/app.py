"""How a program is run, converted between appc's terms and those of Docker and of runtimes (appc spec 0.8.11).

What one side cannot hold is returned along with the result; the order of all results is fixed. Isolators (ace.md)
follow config-linux.md. An image may ask for less than a container gets by default, never for more: widening it is up to
whoever runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from posixpath import normpath
from typing import Any

from converter.errors import Unsupported
from converter.formats.accounts import has_account, process_user
from converter.model.appc import sanitised_name
from converter.model.content import LayerFacts
from converter.model.document import go_key
from converter.model.image import CAPABILITIES, Confinement, Loss
from converter.model.limits import current_limits

Member = dict[str, Any]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z_0-9.-]*")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z0-9]*))?")
_ROOT = "0"
PORT_MOST = 65535

PERIOD = 100_000
"""Microseconds over which CPU use is counted: the kernel's default."""

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|[KMGTPE]i?|k|)")
_POWERS = {letter: power for power, letter in enumerate("KMGTPE", 1)}


def user_and_group(user: str) -> tuple[str, str]:
    """The user and group in Docker's ``USER[:GROUP]``; the group is empty if not given. An empty user is root.

    As in the Engine, anything after a second colon is ignored.
    """
    name, group, *_ = f"{user}:".split(":")
    return name or _ROOT, group if name or group else _ROOT


def lacks_group(user: str) -> bool:
    """Whether an image leaves the groups of its user to its account files."""
    return bool(user) and not user_and_group(user)[1]


def with_groups(document: Mapping[str, Any], user: str, facts: LayerFacts) -> Mapping[str, Any]:
    """The manifest with the groups of its user in the account files; unchanged if ``user`` is empty.

    An ACI must state them, where an image leaves them to the Engine (conversion.md). A user without an account keeps
    its own name or number as its group, with a warning: the group cannot be known.
    """
    if not user:
        return document
    try:
        found = process_user(user, facts.passwd, facts.group) if has_account(user, facts.passwd) else {}
    except Unsupported:  # a number that no group can have
        found = {}
    if not found:
        facts.warning = f'no user "{user}" in /etc/passwd of the image: the ACI has it as its group, too'
        return document
    app = {**document["app"], "group": str(found["gid"])}
    if found.get("additionalGids") and "supplementarygids" not in map(go_key, app):
        app["supplementaryGIDs"] = found["additionalGids"]
    return {**document, "app": app}


def environment(env: Iterable[str]) -> tuple[list[Member], list[str]]:
    """The variables in order, and the settings that are not variables: without ``=``, or with an illegal name.

    Of two settings of a variable the last wins, at the position of the first, as in the Engine.
    """
    found: dict[str, str] = {}
    rest = []
    for setting in env:
        variable, equals, value = setting.partition("=")
        if equals and _VARIABLE.fullmatch(variable):
            found[variable] = value
        else:
            rest.append(setting)
    return mapping_to_pairs(found), rest


def pairs_to_mapping(document: Mapping[str, Any], key: str) -> dict[str, str]:
    """A list of name and value pairs as a mapping."""
    return {row.get("name") or "": row.get("value") or "" for row in objects_in(document, key)}


def mapping_to_pairs(values: Mapping[str, str]) -> list[Member]:
    """The reverse of ``pairs_to_mapping``: the list as it is written."""
    return [{"name": name, "value": value} for name, value in values.items()]


def env_of(app: Mapping[str, Any]) -> tuple[str, ...]:
    """Docker's ``NAME=VALUE``."""
    return tuple(f"{variable['name']}={variable['value']}" for variable in objects_in(app, "environment"))


def ports(exposed: Iterable[str]) -> tuple[list[Member], list[str]]:
    """The ports by name, and what is not a port; ``80`` and ``80/tcp`` are one, a range is a port with a count."""
    found: dict[tuple[int, int, str], str] = {}
    rest = []
    for text in sorted(exposed):
        match = _PORT.fullmatch(text)
        first = int(match[1]) if match else 0
        last = int(match[2]) if match and match[2] else first
        if match is None or not 1 <= first <= last <= PORT_MOST:
            rest.append(text)
            continue
        key = first, last - first + 1, (match[3] or "tcp").lower()
        # Of two spellings, the longer is more precise and names the port.
        found[key] = max(found.get(key, ""), sanitised_name(text), key=len)
    taken: set[str] = set()
    rows = [
        {
            "name": free_name(found[key], taken),
            "protocol": key[2],
            "port": key[0],
            "count": key[1],
            "socketActivated": False,
        }
        for key in sorted(found)
    ]
    return sorted(rows, key=lambda row: str(row["name"])), rest


def exposed_of(app: Mapping[str, Any]) -> tuple[str, ...]:
    """Docker's ``PORT/PROTOCOL``, in order, each once, with counts expanded.

    Raises LimitExceeded: thousands of ports may count 65,535 each.
    """
    spans = [
        (range(port["port"], min(port["port"] + (port.get("count") or 1), PORT_MOST + 1)), port["protocol"])
        for port in objects_in(app, "ports")
    ]
    current_limits().require("json_values", sum(len(numbers) for numbers, _ in spans), "ports")
    return tuple(dict.fromkeys(f"{number}/{protocol}" for numbers, protocol in spans for number in numbers))


def mount_points(volumes: Iterable[str]) -> list[Member]:
    """One mount point per volume, sorted by name; names are docker2aci's, independent of the order of the volumes."""
    taken: set[str] = set()
    rows = []
    for path in sorted(volumes):
        inside = normpath("/" + path).strip("/")
        rows.append({"name": free_name(sanitised_name(f"volume-{inside}"), taken), "path": path})
    return sorted(rows, key=lambda row: str(row["name"]))


def working_directory(path: str) -> str:
    """The path made absolute, or empty."""
    return path if path.startswith("/") or not path else f"/{path}"


def isolators(run: Mapping[str, Any]) -> dict[str, Member]:
    """The limits of an early Docker configuration as isolators, by the member that each represents."""
    found: dict[str, Member] = {}
    shares, memory = _whole_number(run, "CpuShares"), _whole_number(run, "Memory")
    if shares in range(2, 262145):
        found["CpuShares"] = {"name": "os/linux/cpu-shares", "value": shares}
    if memory > 0:
        found["Memory"] = {"name": "resource/memory", "value": {"limit": str(memory)}}
    return found


def objects_in(app: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; empty where it is absent or null."""
    return app.get(key) or []


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or the first of ``name-1``, ``name-2`` … that is not ``taken``; adds it to ``taken``."""
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate)
    return candidate


def _whole_number(run: Mapping[str, Any], key: str) -> int:
    value = run.get(key)
    return value if isinstance(value, int) and value is not True else 0


def confinement_of(app: Mapping[str, Any]) -> Confinement:
    """What a configuration is to say; isolators that it does not express completely are lost."""
    capabilities: tuple[str, ...] = CAPABILITIES
    resources: dict[str, dict[str, int]] = {"memory": {}, "cpu": {}}
    expressed = set()
    rows = objects_in(app, "isolators")
    for row in rows:
        name, value = row["name"], row["value"]
        whole = False
        match name:
            case "os/linux/capabilities-retain-set":
                capabilities = tuple(one for one in capabilities if one in value["set"])
                whole = set(value["set"]) <= set(CAPABILITIES)
            case "os/linux/capabilities-remove-set":
                capabilities = tuple(one for one in capabilities if one not in value["set"])
                whole = True
            case "resource/memory":
                names = {"limit": ("limit", 1, 1), "request": ("reservation", 1, 1)}
                resources["memory"], whole = _limits(value, names)
            case "os/linux/cpu-shares":
                resources["cpu"]["shares"] = value
                whole = True
            case "resource/cpu":
                names = {"limit": ("quota", PERIOD, 1000), "request": ("shares", 1024, 2)}
                limits, whole = _limits(value, names)
                if "quota" in limits:
                    limits["period"] = PERIOD
                resources["cpu"] |= limits
            case "os/linux/no-new-privileges":
                whole = value is True
        if whole:
            expressed.add(name)
    left = [row["name"] for row in rows if row["name"] not in expressed]
    isolators = Loss(field="app.isolators", reason=no_equivalent(left)) if left else None
    return Confinement(
        capabilities=capabilities,
        resources={kind: limits for kind, limits in resources.items() if limits},
        groups=tuple(number for number in supplementary_groups(app) if 0 <= number < 1 << 32),
        read_only=tuple(point["path"] for point in objects_in(app, "mountPoints") if point.get("readOnly")),
        losses={"app.isolators": isolators, "app.supplementaryGIDs": None, "app.mountPoints.readOnly": None},
    )


def no_equivalent(values: Iterable[object]) -> str:
    """Why a field is lost, including its values."""
    return f"other formats have no word for it ({', '.join(map(str, values))})"


def supplementary_groups(app: Mapping[str, Any]) -> Sequence[int]:
    """The supplementary groups; the reference ignores case in keys, and the text spells this one in two ways."""
    return next((value or () for key, value in app.items() if go_key(key) == "supplementarygids"), ())


def _limits(value: Mapping[str, Any], called: Mapping[str, tuple[str, int, int]]) -> tuple[dict[str, int], bool]:
    """The quantities under a runtime's names, each in the runtime's unit, and whether none is missing.

    Values that no kernel would accept are left out: less than the given minimum, or more than 64 bits.
    """
    found = {}
    for key, (name, by, least) in called.items():
        number = parse_quantity(value.get(key))
        if number is not None and least <= int(number * by) < 1 << 63:
            found[name] = int(number * by)
    return found, len(found) == len(value.keys() & called.keys())


def parse_quantity(text: Any) -> Fraction | None:
    """Parse ``"64Mi"``, ``"1.5G"``, ``"500m"`` or 4096; None for any other spelling."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    number, suffix = Fraction(match[1]), match[2]
    if suffix == "m":
        return number / 1000
    unit = 1024 if suffix.endswith("i") else 1000
    return number * int(unit ** _POWERS.get(suffix[:1].upper(), 0))
