"""The configuration document that Docker and OCI share (image-spec 1.1.1, config.md; moby image spec v1.2).

Its digest is the image's ID, so its bytes stay unchanged if nothing in them has to change; otherwise only the members
concerned are changed. Members that no specification names stay in the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field
from operator import attrgetter
from typing import Any

from converter.errors import unless_invalid
from converter.model.descriptor import Digest, platform_from_json, platform_to_json
from converter.model.document import (
    as_known,
    dump_json,
    expect_type,
    lenient_member,
    load_object,
    member_or_empty,
    text_list,
)
from converter.model.frozen import frozen
from converter.model.image import History, Image, RunConfig, is_from, stored_config

_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")
_STEP = ("created", "author", "created_by", "comment", "empty_layer")
_TOP = ("created", "author", *_PLATFORM, "config", "rootfs", "history")
_RUN = {
    "User": "user",
    "ExposedPorts": "exposed_ports",
    "Env": "env",
    "Entrypoint": "entrypoint",
    "Cmd": "cmd",
    "Healthcheck": "healthcheck",
    "Volumes": "volumes",
    "WorkingDir": "working_dir",
    "OnBuild": "on_build",
    "Labels": "labels",
    "StopSignal": "stop_signal",
    "Shell": "shell",
}
"""The members of ``config`` that are named here, in the order in which they are added, and the fields for them."""
_STATED = attrgetter("platform", "config", "history", "created", "author")
"""What a configuration says of an image, besides the diff_ids of its layers."""
_NOTHING_STATED = RunConfig()
_NEW = {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
"""What every configuration has, even a new one."""


@frozen(kw_only=False)
class UnknownMembers:
    """Members of a configuration that no specification names, in document form."""

    members: Mapping[str, Any]

    def to_json(self) -> Mapping[str, Any]:
        return self.members


@frozen
class Schema1:
    """What only a manifest of schema 1 says: the name and tag it was pushed under, and the ID of its last layer."""

    name: str
    tag: str
    id: str

    def to_json(self) -> Mapping[str, Any]:
        return asdict(self)


def unknown_members(image: Image) -> Mapping[str, Any]:
    """The members that the image keeps of a configuration, and that no specification names."""
    kept = image.kept(UnknownMembers)
    return kept.members if kept else {}


@frozen
class ContainerConfig:
    """What a configuration document says: an image without its layers, and their diff_ids, base first.

    ``rest`` holds the members not named here, in document form.
    """

    image: Image
    diff_ids: tuple[Digest, ...]
    rest: Mapping[str, Any] = field(default_factory=dict)


def from_json(document: Mapping[str, Any]) -> ContainerConfig:
    """Read a parsed configuration; raises Invalid with the member that is wrong."""
    document = _as_known(document)
    run = member_or_empty(document, "config", dict)
    rest = {key: value for key, value in document.items() if key not in _TOP}
    rest_of_run = {key: value for key, value in run.items() if key not in _RUN}
    if rest_of_run:
        rest["config"] = rest_of_run
    image = Image(
        platform=platform_from_json(document),
        config=_run_config(run),
        history=tuple(map(_history, member_or_empty(document, "history", list))),
        created=member_or_empty(document, "created", str),
        author=member_or_empty(document, "author", str),
    )
    rootfs = member_or_empty(document, "rootfs", dict)
    return ContainerConfig(image=image, diff_ids=tuple(map(Digest.parse, text_list(rootfs, "diff_ids"))), rest=rest)


def encode(image: Image, diff_ids: tuple[Digest, ...], format_name: str) -> bytes:
    """The document of an image whose layers have these diff_ids, as Docker or OCI spells it.

    It is the document that the image was read from, if any and if nothing differs.
    """
    stored = stored_config(image)
    found = {**_NEW, **unknown_members(image)} if stored is None else _as_known(load_object(stored.read()))
    document = dict(found)
    if format_name == "oci" and not is_from(image, "oci"):
        _become_oci(document)
    before = from_json(document)
    # Compared as read, in which the order of ports counts: a document that --change has only sorted is written anew.
    same = diff_ids == before.diff_ids and _STATED(image) == _STATED(before.image)
    if stored is not None and same and document == found:
        return stored.read()
    _patch(document, before, image, diff_ids)
    if stored is None and image.kept(Schema1) is not None:
        return _as_pulled(document)
    return dump_json(document)


def _as_known(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as the Engine, which ignores the case of member names, sees it: Guix writes ``env`` for ``Env``."""
    found = as_known(document, _TOP)
    run, history = found.get("config"), found.get("history")
    if isinstance(run, dict):
        found["config"] = as_known(run, _RUN)
    if isinstance(history, list):
        found["history"] = [as_known(step, _STEP) if isinstance(step, dict) else step for step in history]
    return found


def _become_oci(document: dict[str, Any]) -> None:
    """Docker's document as OCI spells it: commands are lists, and what the Engine does not look at is there."""
    for key in ("architecture", "os"):
        document.setdefault(key, "")
    run = member_or_empty(document, "config", dict)
    lists = {key: [run[key]] for key in ("Entrypoint", "Cmd", "Shell") if isinstance(run.get(key), str)}
    if lists:
        document["config"] = {**run, **lists}
    rootfs = member_or_empty(document, "rootfs", dict)
    if rootfs.get("type") != "layers+base":  # of Windows alone, where the layers of the base are elsewhere
        document["rootfs"] = {**rootfs, "type": "layers"}


def _as_pulled(document: Mapping[str, Any]) -> bytes:
    """The bytes that Docker makes of a schema 1 image on pulling it, so that the image has the same ID here as there.

    Go sorts the members of a map, and escapes characters special to HTML. An image made before Docker 1.8.3 is
    rewritten by Docker from what its current Engine knows of it; that is not reproduced here.
    """
    ordered = dict(sorted(document.items()))
    if "history" in ordered:
        ordered["history"] = [{key: row[key] for key in _STEP if key in row} for row in ordered["history"]]
    text = dump_json(ordered).decode()
    return re.sub("[<>&\u2028\u2029]", lambda mark: f"\\u{ord(mark[0]):04x}", text).encode()


def _patch(document: dict[str, Any], before: ContainerConfig, image: Image, diff_ids: Iterable[Digest]) -> None:
    """Write into the document what differs from its previous state."""
    if before.image.platform != image.platform:
        for key in _PLATFORM:
            document.pop(key, None)
        document |= platform_to_json(image.platform)
    run = document.get("config") or {}
    new_run = dict(run)
    _set_changed(new_run, _run_json(before.image.config), _run_json(image.config))
    had = _top_json(before.image, before.diff_ids, run)
    _set_changed(document, had, _top_json(image, diff_ids, new_run))


def _set_changed(document: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for key, value in after.items():
        if value != before[key]:
            set_member(document, key, value)


def _top_json(image: Image, diff_ids: Iterable[Digest], run: Mapping[str, Any]) -> dict[str, Any]:
    """All members named here, but for those of the platform; None for those that the document leaves out."""
    return {
        "created": image.created or None,
        "author": image.author or None,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": list(map(str, diff_ids))},
        "history": list(map(history_json, image.history)) or None,
    }


def _run_json(config: RunConfig) -> dict[str, Any]:
    """All members named here; None for those that the document leaves out, as the image does not state them."""
    members: dict[str, Any] = {}
    for key, name in _RUN.items():
        value = getattr(config, name)
        if value == getattr(_NOTHING_STATED, name):
            members[key] = None
        elif key in ("ExposedPorts", "Volumes"):
            members[key] = {each: {} for each in value}
        elif isinstance(value, tuple):
            members[key] = list(value)
        else:
            members[key] = value
    return members


def set_member(document: dict[str, Any], key: str, value: Any) -> None:
    """Set a member of a document, or remove it if the value is None."""
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value


def _run_config(run: Mapping[str, Any]) -> RunConfig:
    labels = member_or_empty(run, "Labels", dict)
    return RunConfig(
        user=member_or_empty(run, "User", str),
        exposed_ports=tuple(member_or_empty(run, "ExposedPorts", dict)),
        env=text_list(run, "Env"),
        entrypoint=_command(run, "Entrypoint"),
        cmd=_command(run, "Cmd"),
        volumes=tuple(member_or_empty(run, "Volumes", dict)),
        working_dir=member_or_empty(run, "WorkingDir", str),
        labels={key: value if isinstance(value, str) else "" for key, value in labels.items()},
        stop_signal=member_or_empty(run, "StopSignal", str),
        # These are Docker's alone: whatever else reads an OCI configuration ignores them, of whatever type.
        healthcheck=lenient_member(run, "Healthcheck", dict) or None,
        shell=unless_invalid(_command, run, "Shell"),
        on_build=unless_invalid(_optional_list, run, "OnBuild"),
    )


def _command(run: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """A command and its arguments; to the Engine, a string stands for a list of one."""
    command = run.get(key)
    return (command,) if isinstance(command, str) else _optional_list(run, key)


def _optional_list(run: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    return None if run.get(key) is None else text_list(run, key)


def _history(step: Any) -> History:
    step = expect_type({} if step is None else step, dict, "history")
    return History(
        created=member_or_empty(step, "created", str),
        created_by=member_or_empty(step, "created_by", str),
        author=member_or_empty(step, "author", str),
        comment=member_or_empty(step, "comment", str),
        empty_layer=member_or_empty(step, "empty_layer", bool),
    )


def history_json(step: History) -> dict[str, Any]:
    """A row of ``history``, without what is empty."""
    return {key: value for key, value in asdict(step).items() if value}
