"""The configuration of an image, as far as a bundle's ``config.json`` states it (runtime-spec 1.0.2, config.md).

The annotations are those that conversion.md of the image-spec defines; what is left of them are labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter.errors import within
from converter.model.document import load_object
from converter.model.members import member_or_empty, text_list, text_map
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


def read(bundle: Path, here: Platform) -> tuple[dict[str, Any], Platform]:
    """The members of an image configuration, and the platform: that of the annotations, else ``here``.

    Raises Invalid where a member has another type than the specification says, NotFound, StorageFailed.
    """
    with within(NAME):
        config = load_object(DirectoryMedium(bundle).read_document(NAME))
        process = member_or_empty(config, "process", dict)
        annotations = text_map(config, "annotations")
        env, command = text_list(process, "env"), text_list(process, "args")
        user = member_or_empty(process, "user", dict)
        uid, gid = member_or_empty(user, "uid", int), member_or_empty(user, "gid", int)
    derived = {key: annotations[_IMAGE + key] for key in _DERIVED if annotations.get(_IMAGE + key)}
    labels = {key: value for key, value in annotations.items() if key.removeprefix(_IMAGE) not in derived}
    run = {
        "User": f"{uid}:{gid}" if uid or gid else "",
        "ExposedPorts": {port: {} for port in derived.get("exposedPorts", "").split(",") if port},
        "Env": list(env),
        "Cmd": list(command),
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
