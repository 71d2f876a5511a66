"""From the manifest of an ACI to the neutral image (appc spec 0.8.11, aci.md; image-spec 1.1.1, config.md).

The manifest's text is left unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from converter.errors import Invalid, unless_invalid, within
from converter.formats.aci import app as words, kept_annotations as keys
from converter.formats.aci.kept_annotations import KeptAnnotations
from converter.formats.container_config import UnknownMembers, unknown_members
from converter.formats.documents import require_valid
from converter.model.appc import identifier_and_version, platform_labels, platform_of, reference_of
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

    It is what an image that was an ACI keeps in ``foreign``, without a whitelist that its layers obey already.
    """

    text: str
    document: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    app: Mapping[str, Any] | None
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
        read = as_read(document)
        if read.get("acKind") != "ImageManifest":
            raise Invalid(f'acKind is "{read.get("acKind")}": expected "ImageManifest"')
    return Manifest(
        text=data.decode(),
        document=document,
        name=read["name"],
        labels=pairs_to_mapping(read, "labels"),
        app=read.get("app"),
        annotations=pairs_to_mapping(read, "annotations"),
        dependencies=tuple(
            Dependency(
                name=row["imageName"],
                image_id=row.get("imageID") or "",
                labels=pairs_to_mapping(row, "labels"),
                size=row.get("size"),
            )
            for row in read.get("dependencies") or ()
        ),
        path_whitelist=tuple(read.get("pathWhitelist") or ()),
    )


_OPTIONAL = {
    "environment": ("value",),
    "isolators": ("name",),
    "mountPoints": ("name", "path"),
    "ports": ("name", "protocol"),
}
"""Members of an app's lists that the specification requires and the reference implementation does not."""


def as_read(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the reference implementation reads it: keys in any case, null and absent strings as empty."""
    document = fold_members(document, KIND).value
    app = document.get("app")
    return {**document, "app": complete_app(app)} if app else document


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


def pairs_to_mapping(document: Mapping[str, Any], key: str) -> dict[str, str]:
    """A list of name and value pairs as a mapping."""
    return {row.get("name") or "": row.get("value") or "" for row in document.get(key) or ()}


def mapping_to_pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The reverse of ``pairs_to_mapping``: the list as it is written."""
    return [{"name": name, "value": value} for name, value in values.items()]


Owners = Mapping[str, tuple[int, int]]
"""Paths in the rootfs, and the IDs of the user and group that own them."""

MANIFEST_MOST = 1 * MIB
"""Bytes of a manifest that is kept as an annotation, at most: registries refuse documents of more than 4 MiB."""


def to_image(manifest: Manifest, owners: Owners | None = None, layers: int = 1) -> Image:
    """The image without its layers and its original, with a history fitted to the number of layers."""
    kept = KeptAnnotations(manifest.annotations)
    platform, basis = _read_platform(manifest, kept)
    config = _read_config(manifest, kept, owners or {})
    annotations = manifest.annotations
    return Image(
        platform=platform,
        config=config,
        history=fit_history(kept.get(keys.HISTORY, keys.as_history) or (), layers),
        created=annotations.get(keys.CREATED_ON) or kept.text(keys.CREATED),
        author=annotations.get(keys.AUTHORS) or annotations.get(keys.AUTHOR) or "",
        annotations=_read_annotations(manifest, kept) | _owners(owners or {}),
        foreign=_read_foreign(manifest, kept),
        notes=Notes(
            name=reference_to(manifest),
            platform=basis,
            depends_on=tuple(map(str, manifest.dependencies)),
            confinement=words.confinement_of(manifest.app or {}),
            losses=tuple(_losses(manifest, kept, config, basis)),
        ),
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
    app = manifest.app or {}
    return frozenset(who for who in (app.get("user", ""), app.get("group", "")) if who.startswith("/"))


def _read_platform(manifest: Manifest, kept: KeptAnnotations) -> tuple[Platform, Literal["", "assumed", "nameless"]]:
    labels = {key: manifest.labels[key] for key in ("arch", "os") if key in manifest.labels}
    original = kept.while_it_says(keys.PLATFORM, keys.as_platform, platform_labels, labels)
    return platform_of(labels) if original is None else (original, "")


def _read_config(manifest: Manifest, kept: KeptAnnotations, owners: Owners) -> RunConfig:
    app = manifest.app
    if app is None:
        return RunConfig(labels=_other_labels(manifest))
    entrypoint, cmd = _read_command(app, kept)

    def texts(key: str, say: Callable[[tuple[str, ...]], object], member: str) -> tuple[str, ...] | None:
        return kept.while_it_says(key, keys.as_texts, say, list(words.objects_in(app, member)))

    directory, original = app.get("workingDirectory") or "", kept.text(keys.WORKING_DIR)
    return RunConfig(
        user=_read_user(app, kept, owners),
        exposed_ports=texts(keys.EXPOSED_PORTS, lambda found: words.ports(found)[0], "ports") or words.exposed_of(app),
        env=texts(keys.ENV, lambda found: words.environment(found)[0], "environment") or words.env_of(app),
        entrypoint=entrypoint,
        cmd=cmd,
        volumes=texts(keys.VOLUMES, words.mount_points, "mountPoints")
        or tuple(dict.fromkeys(point["path"] for point in words.objects_in(app, "mountPoints"))),
        working_dir=original if words.working_directory(original) == directory else directory,
        labels=_other_labels(manifest) | dict(app.get("userLabels") or {}),
        stop_signal=kept.text(keys.STOP_SIGNAL),
        healthcheck=kept.get(keys.HEALTHCHECK, keys.as_object),
        shell=kept.get(keys.SHELL, keys.as_texts),
        on_build=kept.get(keys.ON_BUILD, keys.as_texts),
    )


def _read_command(
    app: Mapping[str, Any], kept: KeptAnnotations
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    execute = tuple(app.get("exec") or ())
    entrypoint, cmd = kept.get(keys.ENTRYPOINT, keys.as_texts), kept.get(keys.CMD, keys.as_texts)
    if (entrypoint or ()) + (cmd or ()) == execute:
        return entrypoint, cmd
    return execute, None


def _read_user(app: Mapping[str, Any], kept: KeptAnnotations, owners: Owners) -> str:
    user, group = app["user"], app["group"]
    original = kept.text(keys.USER)
    if original and words.user_and_group(original) in ((user, group), (user, "")):
        return original
    if kept.converted and not original and (user, group) == ("0", "0"):
        return ""
    # In appc, a path as the user means the file's owner, and as the group, the file's group.
    return f"{owners[user][0] if user in owners else user}:{owners[group][1] if group in owners else group}"


def _other_labels(manifest: Manifest) -> dict[str, str]:
    return {key: value for key, value in manifest.labels.items() if key not in ("version", "os", "arch")}


def _read_annotations(manifest: Manifest, kept: KeptAnnotations) -> dict[str, str]:
    """Annotations under their own names, except those with OCI names; the manifest itself comes last."""
    own = {
        key: value
        for key, value in manifest.annotations.items()
        if not key.startswith(keys.KEPT) and key not in keys.OF_APPC
    } | (kept.get(keys.ANNOTATIONS, keys.as_text_map) or {})
    found = {name: manifest.annotations[key] for key, name in keys.WELL_KNOWN.items() if key in manifest.annotations}
    if not kept.converted:
        found |= {name: manifest.annotations[key] for key, name in keys.DATED.items() if key in manifest.annotations}
        found |= dict((manifest.app or {}).get("userAnnotations") or {})
    found |= own
    if len(manifest.text) <= MANIFEST_MOST:
        found[keys.MANIFEST] = manifest.text
    return found


def _owners(owners: Owners) -> dict[str, str]:
    return {keys.OWNERS: dump_json({path: list(owners[path]) for path in sorted(owners)}).decode()} if owners else {}


def reference_to(manifest: Manifest) -> str:
    """The Docker reference for an ACI: the one that it was made from, if it still has that name."""
    original = KeptAnnotations(manifest.annotations).text(keys.ORIGINAL_NAME)
    same = bool(original) and identifier_and_version(original) == (manifest.name, manifest.version)
    return original if same else reference_of(manifest.name, manifest.version)


def _read_foreign(manifest: Manifest, kept: KeptAnnotations) -> dict[str, Facts]:
    docker = dict(kept.get(keys.CONFIG, keys.as_rest) or {})
    if comment := kept.text(keys.COMMENT):
        docker["comment"] = comment
    return {"aci": manifest, "docker": UnknownMembers(docker)} if docker else {"aci": manifest}


def _losses(manifest: Manifest, kept_here: KeptAnnotations, config: RunConfig, basis: str) -> Iterator[Loss]:
    """What no other format holds, one row per field, with the place where an OCI image keeps it."""
    kept = keys.MANIFEST if len(manifest.text) <= MANIFEST_MOST else ""

    def row(field: str, reason: str) -> Loss:
        return Loss(field=field, reason=reason, kept=kept)

    if basis == "assumed":
        yield row("platform", f"other formats must name one in full: {platform_of(manifest.labels)[0]} is assumed")
    app = manifest.app or {}
    known, _ = words.isolators((kept_here.get(keys.CONFIG, keys.as_rest) or {}).get("config") or {})
    for field, values in (
        ("app.supplementaryGIDs", () if words.lacks_group(config.user) else words.supplementary_groups(app)),
        ("app.eventHandlers", [handler["name"] for handler in words.objects_in(app, "eventHandlers")]),
        ("app.isolators", [row["name"] for row in words.objects_in(app, "isolators") if row not in known]),
        ("app.ports.socketActivated", [p["name"] for p in words.objects_in(app, "ports") if p.get("socketActivated")]),
        ("app.mountPoints.readOnly", [p["name"] for p in words.objects_in(app, "mountPoints") if p.get("readOnly")]),
    ):
        if values:
            yield row(field, words.no_equivalent(values))
    if config.user.startswith("/") or ":/" in config.user:
        yield row("app.user", f"the file whose owner is meant is not in the image ({config.user})")
    if not kept:
        yield row("manifest", f"{len(manifest.text)} characters are too long for an annotation")


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
    """Whether an image, made comparable, still equals ``before``; layers are not compared."""
    return replace(
        image,
        layers=before.layers,
        original=before.original,
        foreign=before.foreign,
        notes=before.notes,
    ) == before and unknown_members(image) == unknown_members(before)


def _owners_kept(annotations: Mapping[str, str]) -> Owners:
    found = KeptAnnotations(annotations).get(keys.OWNERS, keys.as_object) or {}
    return {
        path: (pair[0], pair[1])
        for path, pair in found.items()
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, int) for number in pair)
    }
