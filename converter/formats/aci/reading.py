"""From the manifest of an ACI to the neutral image (appc spec 0.8.11, aci.md; image-spec 1.1.1, config.md).

The manifest's text is left unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from converter.errors import Invalid, unless_invalid, within
from converter.formats.aci import app as words, kept_annotations as keys
from converter.formats.container_config import UnknownMembers, unknown_members
from converter.formats.documents import require_valid
from converter.model.appc import identifier_and_version, platform_labels, platform_of, reference_of
from converter.model.descriptor import platform_from_json
from converter.model.document import as_known, dump_json, load_object
from converter.model.frozen import frozen
from converter.model.image import Dependency, Facts, History, Image, Loss, Notes, RunConfig
from converter.model.limits import MIB
from converter.model.platform import Platform
from converter.model.reference import NAMES
from converter.schema.go_json import fold_members

KIND = "aci-image-manifest"
VERSION = "0.8.11"
ORDER = ("acKind", "acVersion", "name", "labels", "app", "dependencies", "pathWhitelist", "annotations")
"""The members in the order of the specification."""


@frozen
class Manifest:
    """The content of a manifest; ``document`` is all of it, members under their own names, ``text`` its exact bytes.

    ``app`` is empty if there is none. A manifest is what an image that was an ACI keeps in ``foreign``, without a
    whitelist that its layers obey already.
    """

    text: str
    document: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    app: Mapping[str, Any]
    annotations: Mapping[str, str]
    dependencies: tuple[Dependency, ...]
    path_whitelist: tuple[str, ...]

    @property
    def version(self) -> str:
        """The label ``version``; empty if there is none."""
        return self.labels.get("version", "")

    def to_json(self) -> Mapping[str, Any]:
        members = {
            "manifest": self.text,
            "name": self.name,
            "version": self.version,
            "pathWhitelist": list(self.path_whitelist),
        }
        return {key: value for key, value in members.items() if value}


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest; raises Invalid with what is wrong with it."""
    with within("manifest"):
        require_valid(data, KIND)
        document = as_known(load_object(data), ORDER)
        read = fold_members(document, KIND).value
        if read.get("acKind") != "ImageManifest":
            raise Invalid(f'acKind is "{read.get("acKind")}": expected "ImageManifest"')
    return Manifest(
        text=data.decode(),
        document=document,
        name=read["name"],
        labels=words.pairs_to_mapping(read, "labels"),
        app=complete_app(read.get("app") or {}),
        annotations=words.pairs_to_mapping(read, "annotations"),
        dependencies=tuple(map(_dependency, words.objects_in(read, "dependencies"))),
        path_whitelist=tuple(read.get("pathWhitelist") or ()),
    )


def _dependency(row: Mapping[str, Any]) -> Dependency:
    return Dependency(
        name=row["imageName"],
        image_id=row.get("imageID") or "",
        labels=words.pairs_to_mapping(row, "labels"),
        size=row.get("size"),
    )


_OPTIONAL = {
    "environment": ("value",),
    "isolators": ("name",),
    "mountPoints": ("name", "path"),
    "ports": ("name", "protocol"),
}
"""Members of an app's lists that the specification requires and the reference implementation does not."""


def complete_app(app: Mapping[str, Any]) -> dict[str, Any]:
    """The app with empty strings for absent or null ones, under their own names; nothing else changes."""
    rows = {
        key: [_fill_nulls(as_known(row or {}, names), names) for row in app[key]]
        for key, names in _OPTIONAL.items()
        if app.get(key)
    }
    return {**app, **rows}


def _fill_nulls(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {**row, **{name: "" for name in names if row.get(name) is None}}


def render_manifest(document: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest to be written; raises Invalid if it violates the specification."""
    ordered = {key: document[key] for key in ORDER if key in document}
    data = dump_json(ordered | {key: value for key, value in document.items() if key not in ordered})
    with within("written manifest"):
        require_valid(data, KIND)
    return data


Owners = Mapping[str, tuple[int, int]]
"""Paths in the rootfs, and the IDs of the user and group that own them."""

MANIFEST_MOST = 1 * MIB
"""Bytes of a manifest that is kept as an annotation, at most: registries refuse documents of more than 4 MiB."""


def to_image(manifest: Manifest, owners: Owners | None = None, layers: int = 1) -> Image:
    """The image without its layers and its original, with a history fitted to the number of layers."""
    owners = owners or {}
    annotations = manifest.annotations
    platform, basis = _read_platform(manifest)
    config = _read_config(manifest, owners)
    notes = Notes(
        name=reference_to(manifest),
        platform=basis,
        depends_on=tuple(map(str, manifest.dependencies)),
        confinement=words.confinement_of(manifest.app),
        losses=tuple(_losses(manifest, config, basis)),
    )
    return Image(
        platform=platform,
        config=config,
        history=fit_history(keys.kept(annotations, keys.HISTORY, keys.as_history) or (), layers),
        created=annotations.get(keys.CREATED_ON) or annotations.get(keys.CREATED, ""),
        author=annotations.get(keys.AUTHORS) or annotations.get(keys.AUTHOR, ""),
        annotations=_read_annotations(manifest, owners),
        foreign=_read_foreign(manifest),
        notes=notes,
    )


def fit_history(history: Sequence[History], layers: int) -> tuple[History, ...]:
    """The steps of a build, with exactly ``layers`` (at least one) of them marked as making a layer: the last that did.

    If too few did, any step may count; if there are too few steps, the history is empty rather than false.
    """
    makers = [number for number, step in enumerate(history) if not step.empty_layer]
    if len(makers) < layers:
        makers = list(range(len(history)))
    if len(makers) < layers:
        return ()
    chosen = set(makers[-layers:])
    return tuple(replace(step, empty_layer=number not in chosen) for number, step in enumerate(history))


def paths_of_owners(manifest: Manifest) -> frozenset[str]:
    """The files whose owner or group the app runs as."""
    named = manifest.app.get("user", ""), manifest.app.get("group", "")
    return frozenset(who for who in named if who.startswith("/"))


def _read_platform(manifest: Manifest) -> tuple[Platform, Literal["", "assumed", "nameless"]]:
    labels = {key: value for key, value in manifest.labels.items() if key in ("arch", "os")}
    original = keys.kept(manifest.annotations, keys.PLATFORM, platform_from_json)
    if original is not None and platform_labels(original) == labels:
        return original, ""
    return platform_of(labels)


def _read_config(manifest: Manifest, owners: Owners) -> RunConfig:
    labels = {key: value for key, value in manifest.labels.items() if key not in ("version", "os", "arch")}
    app, annotations = manifest.app, manifest.annotations
    if not app:
        return RunConfig(labels=labels)
    entrypoint, cmd = _read_command(manifest)
    exposed = keys.kept_texts(annotations, keys.EXPOSED_PORTS, words.ports, words.objects_in(app, "ports"))
    env = keys.kept_texts(annotations, keys.ENV, words.environment, words.objects_in(app, "environment"))
    directory = app.get("workingDirectory") or ""
    working_dir = annotations.get(keys.WORKING_DIR, "")
    if words.working_directory(working_dir) != directory:
        working_dir = directory
    return RunConfig(
        user=_read_user(manifest, owners),
        exposed_ports=exposed or words.exposed_of(app),
        env=env or words.env_of(app),
        entrypoint=entrypoint,
        cmd=cmd,
        volumes=tuple(dict.fromkeys(point["path"] for point in words.objects_in(app, "mountPoints"))),
        working_dir=working_dir,
        labels=labels | (app.get("userLabels") or {}),
        stop_signal=annotations.get(keys.STOP_SIGNAL, ""),
        healthcheck=keys.kept(annotations, keys.HEALTHCHECK, keys.as_object),
        shell=keys.kept(annotations, keys.SHELL, keys.as_texts),
        on_build=keys.kept(annotations, keys.ON_BUILD, keys.as_texts),
    )


def _read_command(manifest: Manifest) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    execute = tuple(manifest.app.get("exec") or ())
    entrypoint = keys.kept(manifest.annotations, keys.ENTRYPOINT, keys.as_texts)
    cmd = keys.kept(manifest.annotations, keys.CMD, keys.as_texts)
    if (entrypoint or ()) + (cmd or ()) == execute:
        return entrypoint, cmd
    return execute, None


def _read_user(manifest: Manifest, owners: Owners) -> str:
    user, group = manifest.app["user"], manifest.app["group"]
    original = manifest.annotations.get(keys.USER, "")
    if original:
        if words.user_and_group(original) in ((user, group), (user, "")):
            return original
    elif (user, group) == ("0", "0") and keys.is_converted(manifest.annotations):
        return ""
    # In appc, a path as the user means the file's owner, and as the group, the file's group.
    if user in owners:
        user = owners[user][0]
    if group in owners:
        group = owners[group][1]
    return f"{user}:{group}"


def _read_annotations(manifest: Manifest, owners: Owners) -> dict[str, str]:
    """Annotations under their own names, except those with OCI names; the manifest itself comes last."""
    annotations = manifest.annotations
    converted = keys.is_converted(annotations)
    renamed = keys.WELL_KNOWN if converted else keys.WELL_KNOWN | keys.DATED
    found = {name: annotations[key] for key, name in renamed.items() if key in annotations}
    if not converted:
        found |= manifest.app.get("userAnnotations") or {}
    for key, value in annotations.items():
        if not key.startswith(keys.KEPT) and key not in keys.OF_APPC:
            found[key] = value
    found |= keys.kept(annotations, keys.ANNOTATIONS, keys.as_text_map) or {}
    if len(manifest.text) <= MANIFEST_MOST:
        found[keys.MANIFEST] = manifest.text
    if owners:
        found[keys.OWNERS] = dump_json(dict(sorted(owners.items()))).decode()
    return found


def reference_to(manifest: Manifest) -> str:
    """The Docker reference for an ACI: the one that it was made from, if it still has that name."""
    own = manifest.name, manifest.version
    original = manifest.annotations.get(keys.ORIGINAL_NAME)
    return original if original and identifier_and_version(original) == own else reference_of(*own)


def _read_foreign(manifest: Manifest) -> dict[str, Facts]:
    docker = dict(_kept_members(manifest))
    if comment := manifest.annotations.get(keys.COMMENT):
        docker["comment"] = comment
    if not docker:
        return {"aci": manifest}
    return {"aci": manifest, "docker": UnknownMembers(docker)}


def _kept_members(manifest: Manifest) -> Mapping[str, Any]:
    """Members of a Docker configuration that no specification names."""
    return keys.kept(manifest.annotations, keys.CONFIG, keys.as_rest) or {}


def _losses(manifest: Manifest, config: RunConfig, basis: str) -> Iterator[Loss]:
    """What no other format holds, one row per field, with the place where an OCI image keeps it."""
    kept = keys.MANIFEST if len(manifest.text) <= MANIFEST_MOST else ""

    def row(field: str, reason: str) -> Loss:
        return Loss(field=field, reason=reason, kept=kept)

    if basis == "assumed":
        yield row("platform", f"other formats must name one in full: {platform_of(manifest.labels)[0]} is assumed")
    app = manifest.app
    groups = [] if words.lacks_group(config.user) else words.supplementary_groups(app)
    limits = words.isolators(_kept_members(manifest).get("config") or {}).values()
    lost: dict[str, Sequence[object]] = {
        "app.supplementaryGIDs": groups,
        "app.eventHandlers": [handler["name"] for handler in words.objects_in(app, "eventHandlers")],
        "app.isolators": [row["name"] for row in words.objects_in(app, "isolators") if row not in limits],
        "app.ports.socketActivated": _names_of(app, "ports", "socketActivated"),
        "app.mountPoints.readOnly": _names_of(app, "mountPoints", "readOnly"),
    }
    for field, values in lost.items():
        if values:
            yield row(field, words.no_equivalent(values))
    if config.user.startswith("/") or ":/" in config.user:
        yield row("app.user", f"the file whose owner is meant is not in the image ({config.user})")
    if not kept:
        yield row("manifest", f"{len(manifest.text)} characters are too long for an annotation")


def _names_of(app: Mapping[str, Any], key: str, flag: str) -> list[str]:
    """The names of the ports, or mount points, that have a flag."""
    return [row["name"] for row in words.objects_in(app, key) if row.get(flag)]


def baseline_of(image: Image) -> Image | None:
    """What the manifest says that the image was read from, and which it keeps; without layers, and comparable.

    None if the image was not an ACI, or if the manifest it carries is invalid.
    """
    manifest, text = image.kept(Manifest), image.annotations.get(keys.MANIFEST)
    if manifest is None and text:
        manifest = unless_invalid(parse_manifest, text.encode())
    if manifest is None:
        return None
    return comparable_image(to_image(manifest, _owners_kept(image.annotations)))


def comparable_image(image: Image) -> Image:
    """The image with its unordered parts sorted, and without the names it has where it is stored."""
    config = replace(
        image.config,
        exposed_ports=tuple(sorted(image.config.exposed_ports)),
        volumes=tuple(sorted(image.config.volumes)),
    )
    annotations = {key: value for key, value in image.annotations.items() if key not in NAMES}
    return replace(image, config=config, annotations=annotations)


def is_unchanged(before: Image, image: Image) -> bool:
    """Whether an image still equals ``before``, which is comparable; layers are not compared."""
    like_before = replace(
        comparable_image(image),
        layers=before.layers,
        original=before.original,
        foreign=before.foreign,
        notes=before.notes,
    )
    return like_before == before and unknown_members(image) == unknown_members(before)


def _owners_kept(annotations: Mapping[str, str]) -> Owners:
    """The owners that ``_read_annotations`` has kept; malformed ones are ignored."""
    owners = {}
    for path, pair in (keys.kept(annotations, keys.OWNERS, keys.as_object) or {}).items():
        match pair:
            case [int(uid), int(gid)]:
                owners[path] = uid, gid
    return owners
