"""From the neutral image to the manifest of an ACI (appc spec 0.8.11, aci.md; docker2aci's names where it has some).

The manifest that the image was read from, if any, is patched: unchanged parts stay as they were, including isolators
and unknown members. What appc cannot express is kept in annotations and reported as a loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from converter.errors import unless_invalid
from converter.formats import container_config
from converter.formats.aci import app as words, kept_annotations as keys
from converter.formats.aci.reading import VERSION, Manifest, comparable_image, complete_app
from converter.model.appc import IDENTIFIER, identifier_and_version, platform_labels, platform_of, sanitised_identifier
from converter.model.descriptor import platform_to_json
from converter.model.document import as_known, dump_json
from converter.model.image import History, Image, Loss, RunConfig, stored_config
from converter.model.platform import Platform
from converter.model.reference import FULL_NAME, REF_NAME, TITLE, ImageName

UNNAMED = "image"
OF_APP = ("exec", "user", "group", "environment", "ports", "mountPoints", "workingDirectory", "userLabels", "isolators")
"""The members of an app that are written; one in another case would be there a second time."""
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_VERSION = re.compile(r"v?[0-9].*|latest")
_URL = re.compile(r"https?://[^\s/]\S*", re.ASCII)


Part = tuple[Callable[[Image], Any], Callable[["Draft", Any], None]]
"""What of an image a part of a manifest is made of, and how it is written."""


class Draft:
    """A manifest being written, and what it cannot hold. It depends on nothing, and has no whitelist for that.

    ``groupless`` is the user whose group must be looked up in the image; empty if there is none.
    """

    def __init__(self, base: Manifest | None) -> None:
        self.fresh = base is None
        before: Mapping[str, Any] = base.document if base else {"acKind": "ImageManifest", "acVersion": VERSION}
        self.document = {key: value for key, value in before.items() if key not in ("dependencies", "pathWhitelist")}
        self.labels = dict(base.labels) if base else {}
        self.annotations = dict(base.annotations) if base else {}
        self.app = complete_app(as_known(base.document.get("app") or {}, OF_APP)) if base else {}
        self.losses: list[Loss] = []
        self.groupless = ""

    def keep(self, key: str, value: Any, field: str = "", reason: str = "") -> None:
        """Keep ``value`` in an annotation, all but text as JSON; with ``reason``, record a loss.

        None, or an empty text, removes the annotation.
        """
        text = value if value is None or isinstance(value, str) else dump_json(value).decode()
        container_config.set_member(self.annotations, key, text or None)
        if text and reason:
            self.losses.append(Loss(field=field, reason=reason, kept=key))

    def member(self, key: str, value: Any) -> None:
        """Set a member of ``app``; remove it if the value is empty."""
        container_config.set_member(self.app, key, value or None)


def make_manifest(image: Image, before: Image | None) -> Draft:
    """The manifest of an image; that of what it was ``before``, if it was an ACI, is patched."""
    draft = Draft(before.kept(Manifest) if before else None)
    image = replace(image, config=comparable_image(image).config)
    if before is None:
        _provenance(draft, image)
    for read, write_part in _PARTS:
        if before is None or read(before) != read(image):
            write_part(draft, read(image))
    _write_annotations(draft, {} if before is None else before.annotations, image.annotations)
    for key, values in (("labels", draft.labels), ("annotations", draft.annotations)):
        pairs = words.mapping_to_pairs(dict(sorted(values.items())) if draft.fresh else values)
        container_config.set_member(draft.document, key, pairs or None)
    if before is None or before.config != image.config or draft.document.get("app"):
        draft.document["app"] = draft.app
    return draft


def _provenance(draft: Draft, image: Image) -> None:
    """Name the image, which may have a name outside its own documents, and keep what it says of itself."""
    listed_name = image.notes.name
    reference = listed_name if _names_a_repository(listed_name) else _reference(image)
    name, version = identifier_and_version(reference) if reference else _of_layout(image, listed_name)
    draft.document["name"] = name or UNNAMED
    if version:
        draft.labels["version"] = version
    parsed = unless_invalid(ImageName.parse, reference)
    draft.keep(keys.ORIGINAL_NAME, reference)
    draft.keep(keys.REGISTRY, parsed.host if parsed else "")
    draft.keep(keys.REPOSITORY, parsed.repository if parsed else name or UNNAMED)
    config, schema1 = stored_config(image), image.kept(container_config.Schema1)
    if config is not None:
        draft.keep(keys.IMAGE_ID, str(config.descriptor.digest))
    elif schema1 is not None:
        draft.keep(keys.IMAGE_ID, schema1.id)
    if image.original is not None:
        draft.keep(keys.MANIFEST_HASH, str(image.original.manifest.descriptor.digest))


def _of_layout(image: Image, name: str) -> tuple[str, str]:
    """The name and version of an image known only by a layout's short name, which is a tag, as most are, or a name.

    If it has a title as well, it is a tag.
    """
    short = name or image.annotations.get(REF_NAME, "")
    title = sanitised_identifier(image.annotations.get(TITLE, ""))
    return (title, short) if title or _VERSION.fullmatch(short) else (sanitised_identifier(short), "")


def _names_a_repository(text: str) -> bool:
    return ":" in text or "/" in text


def _reference(image: Image) -> str:
    schema1 = image.kept(container_config.Schema1)
    if schema1 and schema1.name:
        return f"{schema1.name}:{schema1.tag}" if schema1.tag else schema1.name
    full = image.annotations.get(FULL_NAME, "")
    name = image.annotations.get(REF_NAME, "")
    return full or (name if _names_a_repository(name) else "")


def _write_platform(draft: Draft, platform: Platform) -> None:
    labels = platform_labels(platform)
    for key in ("arch", "os"):
        draft.labels.pop(key, None)
    draft.labels |= labels
    back, basis = platform_of(labels)
    if not basis and back == platform:
        draft.keep(keys.PLATFORM, "")
        return
    found, asked = back.normalised(), platform.normalised()
    if not platform.variant:
        asked = replace(asked, variant=found.variant)
    reason = ""
    if not labels:
        reason = f"appc has no labels for {platform}"
    elif found != asked:
        reason = "labels of appc name neither a variant nor a version of the system"
    draft.keep(keys.PLATFORM, platform_to_json(platform), "platform", reason)


def _write_command(draft: Draft, command: tuple[tuple[str, ...] | None, tuple[str, ...] | None]) -> None:
    entrypoint, cmd = command
    draft.app["exec"] = [*(entrypoint or ()), *(cmd or ())]
    for key, value in ((keys.ENTRYPOINT, entrypoint), (keys.CMD, cmd)):
        draft.keep(key, value)


def _write_user(draft: Draft, stated: str) -> None:
    user, group = words.user_and_group(stated)
    if words.lacks_group(draft.annotations.get(keys.USER, "")):
        draft.member("supplementaryGIDs", None)  # those of another user
    draft.app |= {"user": user, "group": group or user}
    if not group:
        draft.groupless = user  # the code that packs the layers looks its groups up in them
        draft.keep(keys.USER, stated)
    else:
        converted = draft.fresh or keys.is_converted(draft.annotations)
        there = "" if converted and (user, group) == ("0", "0") else f"{user}:{group}"
        draft.keep(keys.USER, "" if there == stated else stated)


def _write_env(draft: Draft, env: tuple[str, ...]) -> None:
    found, rest = words.environment(env)
    draft.member("environment", found)
    names = ", ".join(repr(setting.partition("=")[0]) for setting in rest)
    whole = env if words.env_of(draft.app) != env else None
    draft.keep(keys.ENV, whole, "config.env", f"appc has no variables of such names: {names}" if rest else "")


def _write_ports(draft: Draft, exposed: tuple[str, ...]) -> None:
    found, rest = words.ports(exposed)
    draft.member("ports", found)
    whole = exposed if set(words.exposed_of(draft.app)) != set(exposed) else None
    reason = f"appc has no such ports: {', '.join(map(repr, rest))}" if rest else ""
    draft.keep(keys.EXPOSED_PORTS, whole, "config.exposed_ports", reason)


def _write_volumes(draft: Draft, volumes: tuple[str, ...]) -> None:
    draft.member("mountPoints", words.mount_points(volumes))


def _write_working_dir(draft: Draft, stated: str) -> None:
    directory = words.working_directory(stated)
    draft.member("workingDirectory", directory)
    draft.keep(keys.WORKING_DIR, "" if directory == stated else stated)


def _write_labels(draft: Draft, labels: Mapping[str, str]) -> None:
    own = {key: value for key, value in labels.items() if draft.labels.get(key) != value}
    draft.member("userLabels", own)


def _kept(name: str, key: str) -> Part:
    """A field that appc cannot express at all."""
    field, reason = f"config.{name}", f"an ACI has no {name.replace('_', ' ')}"

    def write_field(draft: Draft, value: Any) -> None:
        draft.keep(key, value, field, reason)

    return attrgetter(field), write_field


def _complete_app(draft: Draft, _config: RunConfig) -> None:
    """Add what every app must have."""
    for key, value in (("exec", []), ("user", "0"), ("group", "0")):
        draft.app.setdefault(key, value)


def _write_created(draft: Draft, created: str) -> None:
    fits = bool(_TIMESTAMP.fullmatch(created))
    draft.keep(keys.CREATED_ON, created if fits else "")
    draft.keep(keys.CREATED, "" if fits else created, "created", "appc needs a date as in RFC 3339")


def _write_author(draft: Draft, author: str) -> None:
    draft.keep(keys.AUTHORS, author)
    if draft.fresh or keys.AUTHOR in draft.annotations:
        draft.keep(keys.AUTHOR, author)


def _write_history(draft: Draft, history: tuple[History, ...]) -> None:
    steps = list(map(container_config.history_json, history))
    draft.keep(keys.HISTORY, steps or None, "history", "an ACI has no history")


def _write_unknown(draft: Draft, docker: Mapping[str, Any]) -> None:
    """Configuration members that no specification names; resource limits of early Docker become isolators."""
    rest = dict(container_config.from_json(docker).rest)
    comment = rest.pop("comment", None)
    if isinstance(comment, str):
        draft.keep(keys.COMMENT, comment)
    run = rest.get("config") or {}
    isolators = words.isolators(run)
    if isolators and draft.fresh:
        draft.member("isolators", list(isolators.values()))
    unknown = [key for key, value in rest.items() if value and key != "config"]
    unknown += [key for key, value in run.items() if value and key not in isolators]
    reason = f"an ACI has no {', '.join(sorted(unknown))}" if unknown else ""
    draft.keep(keys.CONFIG, rest or None, "config", reason)


_PARTS: Sequence[Part] = (
    (attrgetter("platform"), _write_platform),
    (attrgetter("config.entrypoint", "config.cmd"), _write_command),
    (attrgetter("config.user"), _write_user),
    (attrgetter("config.env"), _write_env),
    (attrgetter("config.exposed_ports"), _write_ports),
    (attrgetter("config.volumes"), _write_volumes),
    (attrgetter("config.working_dir"), _write_working_dir),
    (attrgetter("config.labels"), _write_labels),
    _kept("healthcheck", keys.HEALTHCHECK),
    _kept("stop_signal", keys.STOP_SIGNAL),
    _kept("shell", keys.SHELL),
    _kept("on_build", keys.ON_BUILD),
    (attrgetter("config"), _complete_app),
    (attrgetter("created"), _write_created),
    (attrgetter("author"), _write_author),
    (attrgetter("history"), _write_history),
    (container_config.unknown_members, _write_unknown),
)
"""The parts of a manifest, each written if what it is made of has changed."""


def _write_annotations(draft: Draft, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Annotations under their own names if appc allows them, the others together in one annotation."""
    changed = {name for name, value in after.items() if before.get(name) != value and not name.startswith(keys.ACI)}
    for name in {*before} - {*after}:
        draft.annotations.pop(name, None)
    for name in sorted(filter(_fits, changed)):
        draft.annotations[name] = after[name]
    for name, oci in keys.WELL_KNOWN.items():
        if oci in changed:
            draft.keep(name, after[oci] if _URL.fullmatch(after[oci]) else "")
    kept = keys.kept(draft.annotations, keys.ANNOTATIONS, keys.as_text_map) or {}
    odd = {name: value for name, value in after.items() if not _fits(name) and (name in changed or name in kept)}
    reason = f"appc has no annotations of such names: {', '.join(map(repr, odd))}"
    draft.keep(keys.ANNOTATIONS, odd or None, "annotations", reason if changed & {*odd} else "")


def _fits(name: str) -> bool:
    own = name.startswith(keys.KEPT) or name in keys.OF_APPC
    return not own and IDENTIFIER.fullmatch(name) is not None
