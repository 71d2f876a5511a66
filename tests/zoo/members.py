"""The animals of the zoo: each is a name, files for a directory, and the command lines to run there.

``in`` is where an animal lives, ``out`` where commands may write; nothing else may change.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.zoo import documents, packed
from tests.zoo.heads import END, Head, entry, folder, hardlink, symlink
from tests.zoo.tars import FILE, NAMES, tars

Command = tuple[str, ...]
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An animal. ``make`` fills the directory ``in``, in which it is called."""

    name: str
    make: Callable[[], object]
    commands: tuple[Command, ...]


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def digest(data: bytes) -> str:
    """As documents spell it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def row(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """A descriptor."""
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def config(diff_ids: list[str], **more: Any) -> dict[str, Any]:
    """An image's config."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-05-06T07:08:09Z",
        "config": {
            "User": "1000:1000",
            "Env": ["PATH=/bin"],
            "Entrypoint": ["/bin/app"],
            "Cmd": ["x"],
            "Labels": {"a": "b"},
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-05-06T07:08:09Z", "created_by": "step"} for _ in diff_ids],
        **more,
    }


@dataclass(slots=True)
class Layout:
    """An OCI layout, part by part."""

    config: Any
    manifest: Any
    index: Any
    blobs: list[bytes]
    layout: bytes = LAYOUT

    def write(self, where: str = "layout") -> None:
        """Put it there; a part that is bytes is written as it is, and descriptors follow what they describe."""
        base = Path(where)
        (base / "blobs/sha256").mkdir(parents=True)
        for data in self.blobs:
            put(base, data)
        (base / "oci-layout").write_bytes(self.layout)
        (base / "index.json").write_bytes(self.index if isinstance(self.index, bytes) else documents.text(self.index))


def put(base: Path, data: bytes) -> None:
    """A blob under its digest."""
    (base / "blobs/sha256" / hashlib.sha256(data).hexdigest()).write_bytes(data)


def always(value: Any) -> Callable[[Any], Any]:
    """Whatever a document was, this is in its place."""
    return lambda _: value


def layout(
    layers: list[tuple[bytes, bytes]] | None = None,
    *,
    config_of: Callable[[Any], Any] = lambda x: x,
    manifest_of: Callable[[Any], Any] = lambda x: x,
    index_of: Callable[[Any], Any] = lambda x: x,
    layer_type: str = OCI_LAYER,
) -> Layout:
    """A layout of blobs and their plain tars, whose documents may be changed before they are written."""
    layers = [(FILE + END, FILE + END)] if layers is None else layers
    made = config_of(config([digest(plain) for _, plain in layers]))
    raw = made if isinstance(made, bytes) else documents.text(made)
    body = manifest_of(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": row(raw, OCI_CONFIG),
            "layers": [row(blob, layer_type) for blob, _ in layers],
            "annotations": {"a": "b"},
        }
    )
    manifest = body if isinstance(body, bytes) else documents.text(body)
    index = index_of(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                row(
                    manifest,
                    OCI_MANIFEST,
                    platform={"os": "linux", "architecture": "amd64"},
                    annotations={"org.opencontainers.image.ref.name": "app"},
                )
            ],
        }
    )
    return Layout(made, body, index, [*(blob for blob, _ in layers), raw, manifest])


def to(source: str, *targets: str, more: Command = ()) -> Iterator[Command]:
    """Conversions of a source to each target, one by one."""
    for target in targets:
        yield ("convert", "--no-cache", "--overwrite", *more, source, target)


ROOTFS = "rootfs:out/rootfs"
EVERY = ("oci:out/oci:app", "oci-archive:out/o.tar:app", "docker-archive:out/d.tar:app", "dir:out/dir", "aci:out/a.aci")


def looked_at(source: str) -> tuple[Command, ...]:
    """The commands that only read."""
    return (
        ("inspect", source),
        ("inspect", "--json", source),
        ("tags", source),
        ("validate", source),
        ("validate", "--profile", "strict", "--format", "junit", source),
        ("diff", source, source),
        ("verify", source),
    )


def everything(source: str) -> tuple[Command, ...]:
    """Every command, and a conversion to every target."""
    return (
        *looked_at(source),
        *to(source, *EVERY, ROOTFS, "bundle:out/bundle"),
        *to(source, "docker-archive:out/q.tar:app", more=("--squash",)),
        *to(source, "oci:out/z:app", more=("--compress", "zstd:1", "--all-images")),
        *to(source, "dir:out/l", more=("--dry-run", "--json")),
    )


def in_layers() -> Iterator[Member]:
    """Each tar as the only layer, as the upper one, and compressed."""
    source = "oci:in/layout:app"
    for told, data in tars():
        made = layout([(data, data)])
        commands = (
            ("validate", source),
            *to(source, "aci:out/a.aci", ROOTFS, "oci-archive:out/o.tar:app"),
            *to(source, "docker-archive:out/q.tar:app", more=("--squash",)),
        )
        yield Member(name=f"layer: {told}", make=made.write, commands=commands)
    for told, data in tars():
        base = folder("a") + symlink("etc", b"/tmp") + hardlink("h", b"etc") + entry("x/y/z", b"z") + END
        made = layout([(base, base), (data, data)])
        commands = (("diff", "--json", source, source), *to(source, "rootfs:out/flat.tar", "bundle:out/bundle"))
        yield Member(name=f"upper layer: {told}", make=made.write, commands=commands)
    for told, data in packed.streams():
        made = layout([(data, packed.PLAIN)], layer_type=f"{OCI_LAYER}+gzip")
        commands = (("validate", source), *to(source, "oci:out/oci:app", "aci:out/a.aci", ROOTFS))
        yield Member(name=f"packed layer: {told}", make=made.write, commands=commands)
        unpacked = unpack(data)
        if unpacked is not None:
            made = layout([(data, unpacked)], layer_type=f"{OCI_LAYER}+gzip")
            yield Member(name=f"packed layer, rightly hashed: {told}", make=made.write, commands=commands)


def unpack(data: bytes) -> bytes | None:
    """What gzip holds, if it is not too much."""
    try:
        return gzip.decompress(data) if len(data) < 100_000 else None
    except (OSError, EOFError, ValueError, zlib.error):
        return None


ACI_MANIFEST: dict[str, Any] = {
    "acKind": "ImageManifest",
    "acVersion": "0.8.11",
    "name": "example.com/app",
    "labels": [{"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}],
    "app": {
        "exec": ["/bin/app"],
        "user": "0",
        "group": "0",
        "environment": [{"name": "A", "value": "b"}],
        "mountPoints": [{"name": "data", "path": "/data", "readOnly": True}],
        "ports": [{"name": "http", "protocol": "tcp", "port": 80}],
        "isolators": [{"name": "resource/memory", "value": {"limit": "1G"}}],
        "workingDirectory": "/",
        "eventHandlers": [{"name": "pre-start", "exec": ["/bin/x"]}],
    },
    "dependencies": [],
    "pathWhitelist": ["/file"],
    "annotations": [{"name": "created", "value": "2024-05-06T07:08:09Z"}],
}


def aci(manifest: Any = ACI_MANIFEST, rest: bytes = entry("rootfs/file", b"x") + END) -> bytes:
    """An ACI with that manifest; ``rest`` follows the directory ``rootfs``."""
    data = manifest if isinstance(manifest, bytes) else documents.text(manifest)
    return entry("manifest", data) + folder("rootfs") + rest


def file(name: str, data: bytes) -> Callable[[], None]:
    """Makes a file."""

    def make() -> None:
        Path(name).write_bytes(data)

    return make


def as_aci() -> Iterator[Member]:
    """ACIs that break the rules, within and around their root file system."""
    source = "aci:in/a.aci"
    short = (("validate", source), ("inspect", source), *to(source, "oci:out/oci:app", ROOTFS))
    for told, name in NAMES.items():
        for kind, data in {
            "file": entry(b"rootfs/" + name, b"x"),
            "directory": folder(b"rootfs/" + name),
            "hard link": entry("rootfs/f", b"x") + hardlink("rootfs/l", name),
            "hard link below rootfs": entry("rootfs/f", b"x") + hardlink("rootfs/l", b"rootfs/" + name),
        }.items():
            yield Member(name=f"aci: {kind} {told}", make=file("a.aci", aci(rest=data + END)), commands=short)
        yield Member(name=f"aci: beside rootfs {told}", make=file("a.aci", aci(rest=entry(name, b"x"))), commands=short)
    for told, data in tars():
        if not told.startswith(("file called", "directory called", "hard link to", "size", "mtime", "mode", "uid")):
            yield Member(name=f"aci: {told}", make=file("a.aci", aci(rest=data)), commands=short)
    one = entry("manifest", documents.text(ACI_MANIFEST))
    broken = {
        "no manifest": folder("rootfs") + END,
        "no rootfs": one + END,
        "two manifests": one + one + folder("rootfs") + END,
        "two rootfs": one + folder("rootfs") + folder("rootfs/") + END,
        "rootfs is a file": one + entry("rootfs") + END,
        "rootfs is a symlink": one + symlink("rootfs", b"/") + END,
        "manifest is a symlink": symlink("manifest", b"/etc/passwd") + folder("rootfs") + END,
        "manifest is a hard link": folder("rootfs")
        + entry("rootfs/m", documents.text(ACI_MANIFEST))
        + hardlink("manifest", b"rootfs/m")
        + END,
        "manifest is a directory": folder("manifest") + folder("rootfs") + END,
        "manifest is a device": entry("manifest", kind=b"3") + folder("rootfs") + END,
        "absolute manifest": entry("/manifest", documents.text(ACI_MANIFEST)) + folder("rootfs") + END,
        "manifest of a gigabyte": Head(name=b"manifest", size=2**30).packed() + bytes(1000),
        "manifest last": folder("rootfs") + one + END,
        "rootfs-evil": one + folder("rootfs") + folder("rootfs-evil") + END,
        "only rootfs/x": one + entry("rootfs/x") + END,
    }
    for told, data in broken.items():
        yield Member(name=f"aci: {told}", make=file("a.aci", data), commands=(*short, *looked_at("in/a.aci")))
    for told, data in packed.streams():
        commands = (*short[:2], *to(source, "oci:out/oci:app"), ("inspect", "in/a.aci"))
        yield Member(name=f"packed aci: {told}", make=file("a.aci", data), commands=commands)
    for told, data in documents.TEXTS.items():
        commands = (*short, *to(source, "aci:out/b.aci"), ("diff", source, source))
        yield Member(name=f"aci: manifest {told}", make=file("a.aci", aci(data)), commands=commands)
    for told, value in documents.mutations(ACI_MANIFEST):
        commands = (("inspect", source), ("validate", source), *to(source, "oci:out/oci:app"))
        yield Member(name=f"aci manifest: {told}", make=file("a.aci", aci(documents.text(value))), commands=commands)
    for told, value in {
        "pod": {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": []},
        "pod with a name": {**ACI_MANIFEST, "acKind": "PodManifest", "apps": []},
        "of another kind": {**ACI_MANIFEST, "acKind": "Evil"},
    }.items():
        yield Member(name=f"aci manifest: {told}", make=file("a.aci", aci(value)), commands=short)
    for told, dependencies in {
        "on itself": [{"imageName": "example.com/app"}],
        "up": [{"imageName": "../../etc/passwd"}],
        "on a shell": [{"imageName": "$(x)", "labels": [{"name": "os", "value": "\x1b[2J"}]}],
        "thousands": [{"imageName": f"example.com/{n}"} for n in range(5000)],
    }.items():
        made = aci({**ACI_MANIFEST, "dependencies": dependencies})
        commands = tuple(to(source, "oci:out/oci:app", "aci:out/b.aci", more=("--aci-path", "in")))
        yield Member(name=f"aci: depends {told}", make=file("a.aci", made), commands=commands)


def as_documents() -> Iterator[Member]:
    """Layouts whose documents lie, and documents on their own."""
    source = "oci:in/layout"
    short = (("inspect", source), ("validate", source), *to(source, "docker-archive:out/d.tar:app"))

    def member(told: str, made: Layout, commands: tuple[Command, ...] = short) -> Member:
        return Member(name=told, make=made.write, commands=commands)

    for told, data in documents.TEXTS.items():
        yield member(f"layout: manifest {told}", layout(manifest_of=always(data)))
        yield member(f"layout: config {told}", layout(config_of=always(data)))
        yield member(
            f"layout: index {told}",
            layout(index_of=always(data)),
            (*looked_at(source), *to("oci:in/good:app", "oci:in/layout:new")),
        )
        made = layout()
        made.layout = data
        yield member(f"layout: oci-layout {told}", made, (*short, ("tags", "in/layout")))
        for kind in KINDS:
            yield Member(
                name=f"{kind}: {told}", make=file("x.json", data), commands=(("validate", "--kind", kind, "in/x.json"),)
            )
    good = layout()
    for told, value in documents.mutations(good.manifest):
        made = layout(manifest_of=always(value))
        yield member(f"layout: manifest {told}", made, (*short, *to(source, "aci:out/a.aci")))
    for told, value in documents.mutations(good.config):
        made = layout(config_of=always(value))
        yield member(f"layout: config {told}", made, (*short, *to(source, "aci:out/a.aci", "bundle:out/bundle")))
    for told, value in documents.mutations(good.index):
        made = layout(index_of=always(value))
        yield member(f"layout: index {told}", made, (*short, ("tags", source), ("diff", source, source)))
    yield from nested()
    many = [(FILE + END, FILE + END)] * 3000
    yield member("layout: three thousand layers", layout(many), (*short, *to(source, "aci:out/a.aci", ROOTFS)))
    rows = {"manifests": [good.index["manifests"][0]] * 10_000}
    yield member(
        "layout: ten thousand entries", layout(index_of=lambda index: {**index, **rows}), (*looked_at(source), *short)
    )
    tags = [
        {**good.index["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": f"{documents.STEER}{n}"}}
        for n in range(3000)
    ]
    yield member("layout: names that steer", layout(index_of=lambda i: {**i, "manifests": tags}), looked_at(source))
    for told, url in {"file": "file:///etc/passwd", "cloud": "http://169.254.169.254/x", "none": "\x1b[2J"}.items():
        layers = [row(b"absent", f"{OCI_LAYER}.nondistributable".replace("layer.v1.tar.", "layer."), urls=[url])]
        layers[0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar"
        made = layout(manifest_of=lambda m, layers=layers: {**m, "layers": layers})  # type: ignore[misc]  # bound
        yield member(f"layout: foreign layer {told}", made, (*short, *to(source, "oci:out/x:app")))


KINDS = (
    "oci-manifest",
    "oci-index",
    "oci-config",
    "oci-descriptor",
    "oci-layout",
    "docker-schema1",
    "docker-schema2",
    "docker-manifest-list",
    "docker-config",
    "docker-archive-manifest",
    "aci-image-manifest",
    "aci-pod-manifest",
    "image",
)


def nested() -> Iterator[Member]:
    """Indexes in indexes."""
    source = "oci:in/layout"
    for told, depth, width in (("deep", 2000, 1), ("wide and deep", 7, 10), ("wide", 3, 1_500), ("a bit deep", 8, 1)):
        made = layout()
        inner = made.index["manifests"][0]
        rows = [{key: value for key, value in inner.items() if key != "annotations"}]
        for _ in range(depth):
            data = documents.text({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows})
            made.blobs.append(data)
            rows = [row(data, OCI_INDEX)] * width
        rows = [{**rows[0], "annotations": {"org.opencontainers.image.ref.name": "app"}}]
        made.index = {"schemaVersion": 2, "manifests": rows}
        commands = (
            *looked_at(source),
            *to(source, "oci:out/o:app", "docker-archive:out/d.tar", more=("--platform", "all")),
            *to(source, "dir:out/dir", "rootfs:out/rootfs"),
            *to(source, "oci:out/z:x", more=("--origin", "always", "--compress", "gzip:1")),
        )
        yield Member(name=f"layout: indexes {told}", make=made.write, commands=commands)
