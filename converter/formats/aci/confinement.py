"""An app's restrictions and resources in a runtime's configuration (appc spec 0.8.11, ace.md, "Isolators").

They follow config-linux.md. An image may ask for less than a container gets by default, never for more: widening it is
up to whoever runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from converter.formats.aci import app as words
from converter.model.document import go_key
from converter.model.image import CAPABILITIES, Confinement, Loss

PERIOD = 100_000
"""Microseconds over which CPU use is counted: the kernel's default."""

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|[KMGTPE]i?|k|)")
_POWERS = {letter: power for power, letter in enumerate("KMGTPE", 1)}


def confinement_of(app: Mapping[str, Any]) -> Confinement:
    """What a configuration is to say; isolators that it does not express completely are lost."""
    capabilities: tuple[str, ...] = CAPABILITIES
    memory: dict[str, int] = {}
    cpu: dict[str, int] = {}
    expressed = set()
    rows = words.objects_in(app, "isolators")
    for row in rows:
        name, value = row["name"], row["value"]
        match name:
            case "os/linux/capabilities-retain-set" | "os/linux/capabilities-remove-set":
                retained = name.endswith("retain-set")
                capabilities = tuple(one for one in capabilities if (one in value["set"]) == retained)
                whole = not retained or set(value["set"]) <= set(CAPABILITIES)
            case "resource/memory":
                memory, whole = _limits(value, {"limit": ("limit", 1, 1), "request": ("reservation", 1, 1)})
            case "os/linux/cpu-shares":
                cpu, whole = {**cpu, "shares": value}, True
            case "resource/cpu":
                made, whole = _limits(value, {"limit": ("quota", PERIOD, 1000), "request": ("shares", 1024, 2)})
                cpu = {**cpu, **made, **({"period": PERIOD} if "quota" in made else {})}
            case "os/linux/no-new-privileges":
                whole = value is True
            case _:
                whole = False
        expressed |= {name} if whole else set()
    left = [row["name"] for row in rows if row["name"] not in expressed]
    isolators = Loss(field="app.isolators", reason=no_equivalent(left)) if left else None
    return Confinement(
        capabilities=capabilities,
        memory=memory,
        cpu=cpu,
        groups=tuple(number for number in supplementary_groups(app) if 0 <= number < 1 << 32),
        read_only=tuple(point["path"] for point in words.objects_in(app, "mountPoints") if point.get("readOnly")),
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
