"""The configuration of a container run by an ordinary user (runtime-spec 1.0.2, config-linux.md, "Namespaces").

The user is root in a user namespace, and owns all files in it; the kernel allows mapping no other IDs. What requires
the machine's root is left out, as by ``runc spec --rootless`` and ``umoci unpack --rootless``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ROOT = {"uid": 0, "gid": 0}
_FOR_ROOT = ("uid=", "gid=")
"""Mount options with IDs that the namespace does not have."""


def rootless_config(config: dict[str, Any], uid: int, gid: int) -> dict[str, Any]:
    """The same container for this user and group ID. It uses the machine's network."""
    linux = {key: value for key, value in config["linux"].items() if key != "resources"}
    spaces = [one for one in linux["namespaces"] if one["type"] != "network"]
    return {
        **config,
        "process": {**config["process"], "user": _ROOT},
        "mounts": list(_mounts(config["mounts"])),
        "linux": {
            **linux,
            "uidMappings": [{"containerID": 0, "hostID": uid, "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": gid, "size": 1}],
            "namespaces": [*spaces, {"type": "user"}],
        },
    }


def is_root(config: dict[str, Any]) -> bool:
    """Whether the container's process already runs as root."""
    return bool(config["process"]["user"] == _ROOT)


def is_limited(config: dict[str, Any]) -> bool:
    """Whether memory or processors are limited, which takes control groups."""
    return bool(config["linux"]["resources"].keys() - {"devices"})


def _mounts(mounts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for mount in mounts:
        if mount["destination"] == "/sys":
            # Only the owner of the network namespace, here the machine, may mount a new sysfs.
            options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
            yield {"destination": "/sys", "type": "none", "source": "/sys", "options": options}
        elif mount["type"] != "cgroup":
            kept = [one for one in mount.get("options", ()) if not one.startswith(_FOR_ROOT)]
            yield {**mount, "options": kept} if kept else mount
