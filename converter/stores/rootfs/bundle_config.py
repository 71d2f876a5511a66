"""The configuration of an image, as far as a bundle's ``config.json`` tells it (runtime-spec 1.0.2, config.md).

The annotations are those that conversion.md of the image-spec defines; what is left of them are labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converter.errors import Invalid, within
from converter.model.document import load_object
from converter.model.limits import Limits
from converter.model.platform import Platform
from converter.stores.media.directory import DirectoryMedium

NAME = "config.json"
_IMAGE = "org.opencontainers.image."
_DERIVED = (
    "os",
    "architecture",
    "variant",
    "os.version",
    "os.features",
    "author",
    "created",
    "stopSignal",
    "exposedPorts",
)
"""What other members of an image's configuration say; the rest of the annotations are its labels."""


def read(bundle: Path, here: Platform, limits: Limits) -> tuple[dict[str, Any], Platform]:
    """The members of an image configuration, and the platform: that of the annotations, else ``here``.

    Raises Invalid where a member has another type than the specification says, NotFound, StorageFailed.
    """
    with within(NAME):
        config = load_object(DirectoryMedium(bundle, limits).read_document(NAME), limits)
        process = _object(config, "process")
        annotations = _strings(config, "annotations")
    derived = {key: annotations[_IMAGE + key] for key in _DERIVED if annotations.get(_IMAGE + key)}
    labels = {key: value for key, value in annotations.items() if key.removeprefix(_IMAGE) not in derived}
    run = {
        "User": _user(process),
        "ExposedPorts": {port: {} for port in derived.get("exposedPorts", "").split(",") if port},
        "Env": _list(process, "env"),
        "Cmd": _list(process, "args"),
        "WorkingDir": process.get("cwd", ""),
        "Labels": labels,
        "StopSignal": derived.get("stopSignal", ""),
    }
    members: dict[str, Any] = {"config": {key: value for key, value in run.items() if value}}
    members |= {key: derived[key] for key in ("author", "created") if key in derived}
    platform = Platform(
        os=derived.get("os", here.os),
        architecture=derived.get("architecture", here.architecture),
        variant=derived.get("variant", "" if "architecture" in derived else here.variant),
    )
    return members, platform


def _user(process: Mapping[str, Any]) -> str:
    user = _object(process, "user")
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    if not isinstance(uid, int) or not isinstance(gid, int):
        raise Invalid("process.user: uid and gid are numbers")
    return f"{uid}:{gid}" if uid or gid else ""


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise Invalid(f'"{name}" is not an object')
    return value


def _strings(document: Mapping[str, Any], name: str) -> dict[str, str]:
    value = _object(document, name)
    if not all(isinstance(one, str) for one in value.values()):
        raise Invalid(f'"{name}" has a value that is not a string')
    return dict(value)


def _list(document: Mapping[str, Any], name: str) -> list[str]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Invalid(f'"{name}" is not a list of strings')
    return value
