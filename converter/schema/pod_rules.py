"""The rules of pod manifests alone: how apps, volumes and ports fit together (appc spec 0.8.11, pods.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.schema.finding import Hit, Rule
from converter.schema.shared_checks import of_numbers, of_texts, repeated_members, values_at


def host_address(text: str) -> str:
    """Why a host address is not an IP address."""
    return f'invalid IP address "{text[:60]}"' if text and not _version(text) else ""


def host_address_4(text: str) -> str:
    """Why a host address is not IPv4."""
    return f'"{text[:60]}" is not an IPv4 address' if not text or _version(text) == 6 else ""


def host_port(number: int) -> str:
    """Why a host port is out of range."""
    return f"port {number} is out of range: expected 1 to 65535" if number == 0 or number > 65535 else ""


def port_names(document: Any) -> Iterator[Hit]:
    """Ports of a pod's apps that are called like one before."""
    seen: set[str] = set()
    for where, name in values_at(str, document, "apps/*/app/ports/*/name"):
        if name in seen:
            yield where, f'a second port named "{name[:100]}" in the pod'
        seen.add(name)


def _version(text: str) -> int:
    """4 or 6, for an address of that version of IP; 0 for any other text."""
    from ipaddress import ip_address

    try:
        # Python accepts a zone after the address, Go does not.
        return ip_address(text.replace("%", " ")).version
    except ValueError:
        return 0


_POD = "appc spec 0.8.11, pods.md, Pod Manifest Schema: "
_PODS = ("aci-pod-manifest",)

RULES = (
    Rule(
        name="aci/app-repeated",
        title="Apps of a pod have different names.",
        spec=_POD + "apps, name",
        kinds=_PODS,
        check=lambda document: repeated_members(document, "app", "apps"),
    ),
    Rule(
        name="aci/volume-repeated",
        title="Volumes of a pod have different names.",
        spec=_POD + "volumes, name",
        kinds=_PODS,
        check=lambda document: repeated_members(document, "volume", "volumes"),
    ),
    Rule(
        name="aci/port-repeated",
        title="Ports of a pod's apps have different names.",
        spec=_POD + "ports, name",
        kinds=_PODS,
        check=port_names,
        compat="warning",
        note="The reference does not compare them.",
    ),
    Rule(
        name="aci/host-address",
        title="hostIP is an IP address.",
        spec=_POD + "ports, hostIP",
        kinds=_PODS,
        check=of_texts(host_address, "ports/*/hostIP"),
    ),
    Rule(
        name="aci/host-address-4",
        title="hostIP is an IPv4 address.",
        spec=_POD + "ports, hostIP",
        kinds=_PODS,
        check=of_texts(host_address_4, "ports/*/hostIP"),
        compat="warning",
        note="The reference takes IPv6 as well.",
    ),
    Rule(
        name="aci/host-port",
        title="hostPort is from 1 to 65535.",
        spec=_POD + "ports, hostPort",
        kinds=_PODS,
        check=of_numbers(host_port, "ports/*/hostPort"),
        compat="warning",
        note="The reference takes any number that is not negative.",
    ),
)
