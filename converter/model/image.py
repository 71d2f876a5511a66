"""Images of any format in one neutral form: what runs, on which platform, from which layers.

Names follow image-spec 1.1.1, config.md. Reading an image never changes its bytes: ``original`` keeps them, and
``foreign`` keeps, by format, what the neutral form cannot express.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, Literal, Protocol, Self, TypeVar

from converter.errors import NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Known, Layer
from converter.model.descriptor import Descriptor, Digest
from converter.model.document import dump_json, member_or_empty, required_member
from converter.model.frozen import frozen
from converter.model.platform import Platform

T = TypeVar("T")

REFERENCE = "vnd.docker.reference.digest"
"""The annotation by which a BuildKit attestation's index entry names the entry it refers to."""

_OF_IMAGES = types.OCI_LAYERS | types.DOCKER_LAYERS | {types.OCI_CONFIG, types.DOCKER_CONFIG}


@frozen
class Loss:
    """Something the target cannot hold: which field, why, and where it is kept instead (empty: nowhere).

    A conversion reports each once, never silently.
    """

    field: str
    reason: str
    kept: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}; {f'kept in {self.kept}' if self.kept else 'not kept'}"


@frozen
class RunConfig:
    """How a container of the image is started. None: not stated by the image; an empty value: stated to be empty."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Mapping[str, Any] | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment, by name."""
        return {name: value for name, _, value in (one.partition("=") for one in self.env)}


@frozen
class History:
    """One step of a build; ``empty_layer`` is true for a step that made no layer. ``created`` is RFC 3339."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@frozen
class Original:
    """The documents an image was read from, byte for byte."""

    format: str
    manifest: Known
    config: Known | None = None


class Facts(Protocol):
    """What a format keeps of an image beyond the neutral form; each format has a type of its own."""

    def to_json(self) -> Mapping[str, Any]:
        """The members of ``inspect --json``."""


CAPABILITIES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"),
    "CAP_AUDIT_WRITE",
)
"""What a container gets by default, in Docker, containerd and rkt alike (appc spec 0.8.11, ace.md)."""


@frozen
class Confinement:
    """What a container of the image may do, if that is less than usual.

    ``capabilities`` are all that it has. ``resources`` are limits as in ``linux.resources`` of a runtime's
    configuration. ``read_only`` are the paths of volumes that must not be written to. ``losses`` are what a runtime's
    configuration loses of a field instead of ``Notes.losses``; None: nothing.
    """

    capabilities: tuple[str, ...] = CAPABILITIES
    resources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    read_only: tuple[str, ...] = ()
    losses: Mapping[str, Loss | None] = field(default_factory=dict)


@frozen
class Notes:
    """What a reader notes about an image beyond what every format can state.

    ``name`` is its Docker reference, as stated by the image or by its store. ``platform`` says how far the format
    states the platform: in full (empty), in part (``assumed``), under a name that only this format has (``nameless``),
    or not, so that the caller has ``chosen`` one. ``depends_on`` are the images that it depends on, until these become
    layers. ``losses`` are what other formats cannot hold, although one may keep some of it. ``unpacked`` means that its
    layers are not compressed only because its store unpacks them.
    """

    name: str = ""
    platform: Literal["", "assumed", "nameless", "chosen"] = ""
    depends_on: tuple[str, ...] = ()
    confinement: Confinement = field(default_factory=Confinement)
    losses: tuple[Loss, ...] = ()
    unpacked: bool = False


@frozen
class Image:
    """One image for one platform; ``layers`` and ``history`` are base first."""

    platform: Platform
    created: str = ""
    author: str = ""
    config: RunConfig = field(default_factory=RunConfig)
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, Facts] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    original: Original | None = None

    def kept(self, kind: type[T]) -> T | None:
        """What a format keeps in ``foreign``, by the type that it has for that; None if there is nothing."""
        return next((facts for facts in self.foreign.values() if isinstance(facts, kind)), None)


@frozen
class Artifact:
    """Something stored like an image that is not one: an attestation, a chart. It is carried whole or not at all."""

    artifact_type: str = ""
    subject: Digest | None = None
    blobs: tuple[Known, ...] = ()
    original: Original

    def __str__(self) -> str:
        """A description for people; one with an image's configuration is named by its first non-image layer."""
        odd = [kind for blob in self.blobs if (kind := blob.descriptor.media_type) not in _OF_IMAGES]
        if self.artifact_type in _OF_IMAGES:
            if any(kind.endswith("+encrypted") for kind in odd):
                return "an image with encrypted layers"
            return f'an image with a layer of the type "{odd[0]}"' if odd else "an image with an empty configuration"
        return f'an artifact of type "{self.artifact_type}"'


def artifact_manifest(
    config: Descriptor, layers: Iterable[Descriptor], artifact_type: str, subject: Descriptor | None
) -> bytes:
    """The manifest of an artifact that refers to ``subject``, if it has one."""
    members = {
        "schemaVersion": 2,
        "mediaType": types.OCI_MANIFEST,
        "artifactType": artifact_type or None,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
        "subject": None if subject is None else subject.bare().to_json(),
    }
    return dump_json({name: value for name, value in members.items() if value is not None})


@frozen
class IndexEntry:
    """One entry of an index; ``item`` is None until what the descriptor names has been read."""

    descriptor: Descriptor
    item: Item | None = None


@frozen
class Index:
    """Several images under one name, usually one per platform."""

    entries: tuple[IndexEntry, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    original: Original | None = None


Item = Image | Index | Artifact


def is_from(item: Item, format_name: str) -> bool:
    """Whether an item was read from that format."""
    return item.original is not None and item.original.format == format_name


def stored_config(item: Item) -> Known | None:
    """The configuration that an image was read from; None if there is none."""
    return item.original.config if item.original is not None else None


@frozen
class Dependency:
    """An image whose files lie below another's: an empty ``image_id``, or ``size`` None (else bytes), matches any."""

    name: str
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def pinned(self) -> bool:
        """Whether it identifies its image byte for byte, by an image ID that is at least half its full length."""
        return len(self.image_id) >= len("sha512-") + 64

    def __str__(self) -> str:
        version = self.labels.get("version")
        more = [f"{key}={value}" for key, value in self.labels.items() if key != "version"]
        return ",".join([f"{self.name}:{version}" if version else self.name, *more])


@frozen
class Attachment:
    """Something that refers to an image: a signature, an attestation, an SBOM.

    ``tag`` is the tag under which cosign and the referrers fallback store it; empty for a true referrer.
    """

    subject: Digest
    descriptor: Descriptor
    tag: str = ""

    @property
    def bare_tag(self) -> str:
        """The tag without the repository that a layout may prefix to it."""
        return self.tag.rpartition(":")[2]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read one from a record; raises Invalid."""
        return cls(
            subject=Digest.parse(required_member(value, "subject", str)),
            descriptor=Descriptor.from_json(value.get("descriptor")),
            tag=member_or_empty(value, "tag", str),
        )

    def to_json(self) -> dict[str, Any]:
        """As records have it."""
        tag = {"tag": self.tag} if self.tag else {}
        return {"subject": str(self.subject), "descriptor": self.descriptor.to_json(), **tag}


def single_image(item: Item, target: str) -> Image:
    """The one image, with the bytes of all its layers, that ``target`` can be made of; raises Unsupported."""
    if not isinstance(item, Image):
        if isinstance(item, Artifact):
            raise Unsupported(f"cannot write {target} of {item}: expected an image")
        raise Unsupported(f"cannot write {target} for several platforms: choose one with --platform")
    if any(layer.absent for layer in item.layers):
        raise Unsupported("a foreign layer has no bytes here: convert from a registry with --download-foreign")
    return item


def images_of(item: Item) -> Iterator[Image]:
    """An image, or the images of an index that have been read, in index order; artifacts are left out."""
    if isinstance(item, Image):
        yield item
    elif isinstance(item, Index):
        for entry in item.entries:
            if entry.item is not None:
                yield from images_of(entry.item)


def edit_images(edit: Callable[[Image], Image], item: Item) -> Item:
    """The item with the edit applied to it if it is an image, or to every image of an index that has been read."""
    if isinstance(item, Image):
        return edit(item)
    if isinstance(item, Index):
        entries = []
        for entry in item.entries:
            if entry.item is not None:
                entry = replace(entry, item=edit_images(edit, entry.item))
            entries.append(entry)
        return replace(item, entries=tuple(entries))
    return item


def subject_digests(root: Descriptor, item: Item) -> Iterator[Digest]:
    """The digests that a referrer may name as its subject: those of the root and of every image it lists."""
    yield root.digest
    if item.original is not None and item.original.manifest.descriptor.digest != root.digest:
        yield item.original.manifest.descriptor.digest
    for entry in item.entries if isinstance(item, Index) else ():
        yield entry.descriptor.digest


def losses_elsewhere(image: Image, target: str, *, annotated: bool = False) -> Iterator[Loss]:
    """What an image loses in the format ``target``; if that is ``annotated``, it may keep something in annotations.

    Raises Unsupported if its platform has no name there, NotFound if images that it depends on are no layers yet.
    """
    notes = image.notes
    if notes.platform == "nameless":
        raise Unsupported(f"the platform {image.platform} has no name in {target}: give one with --platform")
    if notes.depends_on:
        missing = ", ".join(notes.depends_on)
        raise NotFound(f"no image for {missing}: add the directory of its .aci file with --aci-path")
    for loss in notes.losses:
        if loss.field != "platform" or notes.platform != "chosen":
            yield loss if annotated else replace(loss, kept="")
