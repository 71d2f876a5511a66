"""Archives of ``docker save``, of both old generations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.zoo import documents, packed
from tests.zoo.heads import END, entry, folder, symlink
from tests.zoo.members import Member, config, digest, file, looked_at, to
from tests.zoo.tars import FILE, NAMES, tars

SAVED_CONFIG = documents.text(config([digest(FILE + END)]))
SAVED_ROW = {"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}


def saved(rows: Any = (SAVED_ROW,), more: bytes = b"", data: bytes = SAVED_CONFIG, layer: bytes = FILE + END) -> bytes:
    """What ``docker save`` of 1.10 wrote."""
    table = rows if isinstance(rows, bytes) else documents.text(list(rows) if isinstance(rows, tuple) else rows)
    files = entry("layer.tar", layer) + entry("config.json", data) + entry("manifest.json", table)
    return more + files + END


def old(layers: Mapping[str, Any], table: Any) -> bytes:
    """What it wrote before."""
    made = b""
    for name, document in layers.items():
        data = document if isinstance(document, bytes) else documents.text(document)
        made += folder(name) + entry(f"{name}/json", data) + entry(f"{name}/layer.tar", FILE + END)
    return made + entry("repositories", table if isinstance(table, bytes) else documents.text(table)) + END


A, B, C = "a" * 64, "b" * 64, "c" * 64
LAYER = {"id": A, "created": "2014-01-01T00:00:00Z", "os": "linux", "architecture": "amd64", "config": {"Cmd": ["x"]}}


def as_saved() -> Iterator[Member]:
    """Archives of ``docker save``."""
    source = "docker-archive:in/d.tar"
    short = (("inspect", source), ("validate", source), *to(source, "oci:out/oci:app"))
    for told, data in tars():
        if not told.startswith(("directory called", "hard link to", "long name")):
            made = saved(more=data.removesuffix(END))
            commands = (("tags", "in/d.tar"), ("validate", "in/d.tar"), *to(source, "oci:out/oci:app"))
            yield Member(name=f"saved: {told}", make=file("d.tar", made), commands=commands)
    for told, data in packed.streams():
        commands = (("inspect", "in/d.tar"), *to(source, "oci:out/oci:app"), ("tags", "oci-archive:in/d.tar"))
        yield Member(name=f"packed saved: {told}", make=file("d.tar", data), commands=commands)
        yield Member(name=f"saved with layer: {told}", make=file("d.tar", saved(layer=data)), commands=short)
    for told, data in documents.TEXTS.items():
        yield Member(name=f"saved: manifest.json {told}", make=file("d.tar", saved(data)), commands=looked_at(source))
        yield Member(name=f"saved: config {told}", make=file("d.tar", saved(data=data)), commands=short)
        made = old({A: data}, {"app": {"1": A}})
        yield Member(name=f"saved of old: json {told}", make=file("d.tar", made), commands=short)
        yield Member(
            name=f"saved of old: repositories {told}", make=file("d.tar", old({A: LAYER}, data)), commands=short
        )
    for told, value in documents.mutations([SAVED_ROW]):
        yield Member(name=f"saved: manifest.json {told}", make=file("d.tar", saved(value)), commands=short)
    for told, value in documents.mutations(config([digest(FILE + END)])):
        made = saved(data=documents.text(value))
        commands = (*short, *to(source, "aci:out/a.aci", "bundle:out/bundle"))
        yield Member(name=f"saved: config {told}", make=file("d.tar", made), commands=commands)
    for told, value in documents.mutations({**LAYER, "parent": B}):
        made = old({A: value, B: {**LAYER, "id": B}}, {"app": {"1": A}})
        yield Member(name=f"saved of old: json {told}", make=file("d.tar", made), commands=short)
    for told, value in documents.mutations({"app": {"1": A}}):
        yield Member(
            name=f"saved of old: repositories {told}", make=file("d.tar", old({A: LAYER}, value)), commands=short
        )
    loops = {
        "parent of itself": {A: {**LAYER, "parent": A}},
        "parents in a circle": {A: {**LAYER, "parent": B}, B: {**LAYER, "id": B, "parent": A}},
        "parent up": {A: {**LAYER, "parent": "../../x"}},
        "parent absolute": {A: {**LAYER, "parent": "/etc/passwd"}},
        "two thousand parents": {
            f"{n:064x}": {**LAYER, "id": f"{n:064x}", "parent": f"{n + 1:064x}"} for n in range(2000)
        },
    }
    for told, layers in loops.items():
        made = old(layers, {"app": {"1": next(iter(layers))}})
        yield Member(name=f"saved of old: {told}", make=file("d.tar", made), commands=(*short, *looked_at("in/d.tar")))
    for told, name in NAMES.items():
        for key in ("Config", "Layers", "RepoTags"):
            raw = name.decode("utf-8", "surrogateescape")
            value = raw if key == "Config" else [raw]
            made = saved(({**SAVED_ROW, key: value},), more=entry(name, b"{}"))
            yield Member(name=f"saved: {key} {told}", make=file("d.tar", made), commands=short)
        made = saved(({**SAVED_ROW, "Layers": ["l"]},), more=symlink("l", name) + entry(name, FILE + END))
        yield Member(name=f"saved: layer is a link to {told}", make=file("d.tar", made), commands=short)
    rows = tuple({**SAVED_ROW, "RepoTags": [f"app:{n}"]} for n in range(5000))
    yield Member(name="saved: five thousand images", make=file("d.tar", saved(rows)), commands=looked_at(source))
    many = {**SAVED_ROW, "Layers": ["layer.tar"] * 5000}
    data = documents.text(config([digest(FILE + END)] * 5000))
    yield Member(name="saved: five thousand layers", make=file("d.tar", saved((many,), data=data)), commands=short)
    linked = b"".join(symlink(f"l{n}", b"l%d" % (n + 1)) for n in range(3000)) + symlink("l3000", b"l0")
    made = saved(({**SAVED_ROW, "Layers": ["l0"]},), more=linked)
    yield Member(name="saved: layer behind links in a circle", make=file("d.tar", made), commands=short)
