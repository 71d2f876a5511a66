"""Turns the dependencies of an ACI into layers below it (appc spec 0.8.11, aci.md, "Dependency Matching").

Later dependencies override earlier ones, and the image overrides all (ace.md, "Filesystem Setup"): A → [B, C], C → [D]
gives B < D < C < A. A whitelist applies to its image and all below it, but not to siblings. It is applied once all of
them are in place: a hard link that stays keeps its content, even if the file it names lies below and is removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converter.errors import ConverterError, Invalid, NotFound, within
from converter.formats.aci.archive import Keep, UnpackAci, image_id, read_links, read_manifest, read_owners
from converter.formats.aci.reading import Manifest, parse_manifest, paths_of_owners, to_image
from converter.model.content import GZIP, Derived, Known, Layer
from converter.model.descriptor import Digest
from converter.model.frozen import frozen
from converter.model.image import Dependency, Image
from converter.model.limits import current_limits
from converter.ports import Finder
from converter.streams.tar.fields import Budget, check_name_length, clean_name, parent_name

Candidates = Sequence[tuple[Manifest, Known]]
"""The ACIs to choose from, each with its manifest."""

Paths = frozenset[bytes]


def read_candidates(images: Iterable[Known]) -> Candidates:
    """ACIs to choose from; each is read up to its manifest."""
    return [(parse_manifest(read_manifest(known)), known) for known in images]


def best_candidate(candidates: Candidates, dependency: Dependency) -> Known | None:
    """The ACI of that name: given an image ID, the only one or the one with that ID; else one with the labels.

    An image ID may be cut short, as in rkt (aci.md, "Image ID").
    """
    named = [(manifest, root) for manifest, root in candidates if manifest.name == dependency.name]
    if dependency.image_id:
        found = (root for _, root in named if len(named) == 1 or image_id(root).startswith(dependency.image_id))
    else:
        found = (root for manifest, root in named if dependency.labels.items() <= manifest.labels.items())
    return next(found, None)


def resolve_dependencies(image: Image, finder: Finder) -> Image:
    """An edit that adds a layer for each dependency of an ACI and applies its whitelists; other images stay unchanged.

    Raises NotFound naming a missing dependency, Invalid if one depends on itself or is not what was asked for. The
    image ID of a dependency is verified only when its bytes are read.
    """
    manifest, original = image.kept(Manifest), image.original
    if manifest is None or original is None or not (image.notes.depends_on or manifest.path_whitelist):
        return image
    run = _Resolution(finder)
    layers = run.layers(original.manifest, manifest)
    paths = paths_of_owners(manifest)
    owners: dict[str, tuple[int, int]] = {}
    for root in run.roots if paths else ():  # a file may be in any of them; of several, the uppermost counts
        owners |= read_owners(root, paths)
    read = to_image(manifest, owners, len(layers))
    return replace(
        image,
        config=replace(image.config, user=read.config.user),
        layers=tuple(layers),
        history=read.history,
        annotations={**image.annotations, **read.annotations},
        foreign={**image.foreign, "aci": replace(manifest, path_whitelist=())},
        notes=replace(image.notes, depends_on=(), losses=read.notes.losses),
    )


def own_layer(root: Known, image_id: str = "", *, recipe: bool = True) -> Layer:
    """The files of one ACI as a layer; with a ``recipe`` for the way back, unless they are to be changed further."""
    rewrite = UnpackAci(image_id=image_id, recipe=recipe)
    return Layer(content=Derived(inputs=(Layer(content=root),), rewrite=rewrite, compression=GZIP))


def _restricted(keep: Paths | None, roots: Sequence[Known], layers: Sequence[Layer]) -> Layer:
    """The last of these ACIs, whose layers are whole, with just the files in ``keep``, if given; others lie below it.

    What its links need from those is included, with all its names there, so that they remain names of one file.
    """
    if keep is None:
        return layers[-1]
    inputs = layers[-1:]
    if len(roots) > 1:
        own, links = read_links(roots[-1])
        if gone := {*links.values()} - own - keep:
            inputs = layers
            below = (read_links(root)[1] for root in roots[:-1])
            keep &= own | {*links.values()} | _names_of_files(gone, [links, *below])
    return Layer(content=Derived(inputs=tuple(inputs), rewrite=Keep(paths=keep), compression=GZIP))


def _names_of_files(paths: Collection[bytes], links: Iterable[Mapping[bytes, bytes]]) -> set[bytes]:
    """The paths, and all other names of the same files by links, direct or indirect."""
    linked = defaultdict[bytes, list[bytes]](list)
    for name, target in (row for each in links for row in each.items()):
        linked[name].append(target)
        linked[target].append(name)
    found, waiting = set(paths), list(paths)
    while waiting:
        fresh = [name for name in linked[waiting.pop()] if name not in found]
        found.update(fresh)
        waiting += fresh
    return found


@frozen
class _Step:
    """An image whose dependencies, those still ``waiting``, become layers; ``start`` is where theirs begin."""

    root: Known
    manifest: Manifest
    keep: Paths | None
    image_id: str
    waiting: Iterator[Dependency]
    start: int


class _Resolution:
    """One walk through the dependencies, depth first."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._manifests: dict[Digest, Manifest] = {}
        self._way: dict[Digest, _Step] = {}
        """The images on the way to the current one. No recursion: ``--layered`` makes a chain of all layers."""
        self.roots: list[Known] = []
        """The ACIs, base first, one per layer."""

    def layers(self, root: Known, manifest: Manifest) -> list[Layer]:
        """The layers of an image and of all its dependencies, base first."""
        wholes: list[Layer] = []
        found: list[Layer] = []
        self._enter(root, manifest, None, "", 0)
        try:
            while self._way:
                step = next(reversed(self._way.values()))
                dependency = next(step.waiting, None)
                if dependency:
                    with within(f"dependency {dependency.name}"):
                        below = self._finder(dependency)
                        if below is None:
                            where = "add the directory of its .aci file with --aci-path"
                            raise NotFound(f"no image for the dependency {dependency}: {where}")
                        named = self._manifest(below)
                        check_dependency(dependency, below, named)
                        self._enter(below, named, step.keep, dependency.image_id, len(found))
                else:
                    self.roots.append(step.root)
                    wholes.append(own_layer(step.root, step.image_id, recipe=step.keep is None))
                    found.append(_restricted(step.keep, self.roots[step.start :], wholes[step.start :]))
                    self._way.popitem()
        except ConverterError as error:
            error.trail = (*(f"dependency {name}" for name in self._names()[1:]), *error.trail)
            raise
        return found

    def _enter(self, root: Known, manifest: Manifest, keep: Paths | None, image_id: str, start: int) -> None:
        digest = root.descriptor.digest
        if digest in self._way:
            way = " → ".join((*self._names(), manifest.name))
            raise Invalid(f"circular dependency: {way}")
        current_limits().require("layers", len(self.roots) + len(self._way), "dependencies")
        self._way[digest] = _Step(
            root=root,
            manifest=manifest,
            keep=narrow_whitelist(keep, manifest.path_whitelist),
            image_id=image_id,
            waiting=iter(manifest.dependencies),
            start=start,
        )

    def _names(self) -> list[str]:
        return [step.manifest.name for step in self._way.values()]

    def _manifest(self, root: Known) -> Manifest:
        digest = root.descriptor.digest
        if digest not in self._manifests:
            self._manifests[digest] = parse_manifest(read_manifest(root))
        return self._manifests[digest]


def narrow_whitelist(keep: Paths | None, whitelist: tuple[str, ...]) -> Paths | None:
    """The paths that may stay if ``whitelist`` applies too; an empty one does not restrict (aci.md, pathWhitelist).

    Raises LimitExceeded: a path of a megabyte has half a million directories above it.
    """
    if not whitelist:
        return keep
    paths: set[bytes] = set()
    budget = Budget()
    for text in whitelist:
        path = clean_name(text.encode())
        check_name_length(path, budget.limits)
        while path not in paths:
            paths.add(path)
            budget.add(len(path))
            path = parent_name(path)
    return frozenset(paths if keep is None else paths & keep)


def check_dependency(dependency: Dependency, found: Known, manifest: Manifest) -> None:
    """Raise Invalid unless an image is the one that a dependency asks for; its ID, if given, is checked elsewhere.

    The ID is that of the unpacked image, as rkt stores it; the size is that of the file that was built.
    """
    if manifest.name != dependency.name:
        raise Invalid(f"the image is named {manifest.name}: expected {dependency.name}")
    if dependency.image_id:
        return
    if dependency.size is not None and found.descriptor.size != dependency.size:
        raise Invalid(f"size mismatch: expected {dependency.size} bytes, found {found.descriptor.size}")
    for label, value in dependency.labels.items():
        if manifest.labels.get(label) != value:
            there = f'"{manifest.labels[label]}"' if label in manifest.labels else "missing"
            raise Invalid(f'label "{label}" of the image is {there}: expected "{value}"')
