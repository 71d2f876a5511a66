"""What differs between a converted image and what it had to be, told so that a person sees what was done to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from converter.diff import Tree, trees
from converter.errors import Invalid, Untrusted
from converter.model.document import dump, pointer
from converter.model.limits import in_force
from converter.streams import Blocks
from converter.streams.blocks import closing
from converter.streams.tar.cursor import Cursor
from converter.streams.tar.entry import Entry
from converter.streams.tar.scan import Scanner
from converter.streams.tar.tree import tree

LAZY = (
    "containerd.io/snapshot/",
    "io.containers.estargz.",
    "io.github.containers.zstd-chunked.",
    "com.github.containerd.",
    "io.containerd.",
)
"""Annotations of a layer that make a runtime take its content from somewhere else than its tar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aci:
    """The files of an ACI, ``rootfs`` and ``manifest`` among them, and its manifest."""

    files: Tree
    manifest: bytes


def read_aci(blocks: Blocks) -> Aci:
    """Read the tar of an ACI; raises Invalid where two readers may see two things in it."""
    manifest: list[bytes] = []

    def watched() -> Iterator[bytes | memoryview]:
        with closing(blocks) as source:
            scanner = Scanner(Cursor(source))
            seen: set[bytes] = set()
            for entry in scanner:
                if entry.name in seen:
                    raise Invalid(f"got the entry {entry.name!r} twice, want it once")
                seen.add(entry.name)
                yield entry.raw
                if entry.name == b"manifest":
                    manifest.append(_small(entry))
                    yield manifest[0] + bytes(-len(manifest[0]) % 512)
                else:
                    yield from entry.body
            for rest in scanner.trailing():
                if bytes(rest).strip(b"\0"):
                    raise Invalid("got something behind the last entry, want nothing")
                yield rest

    files = tree([watched])
    return Aci(files=files, manifest=b"".join(manifest))


def _small(entry: Entry) -> bytes:
    if entry.size > (most := in_force().document):
        raise Invalid(f"got a manifest of {entry.size} bytes, want at most {most} (limit: document)")
    return b"".join(entry.payload)


def require_same_aci(got: Aci, want: Aci) -> None:
    """Raises Untrusted with the first thing that the ACIs do not agree about."""
    if got.manifest != want.manifest:
        from converter.model.document import load_object

        require_same("manifest", load_object(got.manifest), load_object(want.manifest))
    for difference in trees(got.files, want.files):
        path = difference.path.removeprefix("/rootfs") or "/"
        raise Untrusted(f"{path}: got the {difference.what} {_text(difference.a)}, want {_text(difference.b)}")


def require_same(what: str, got: Any, want: Any) -> None:
    """Raises Untrusted with the first member of a document that is another."""
    for path, one, other in members(got, want):
        raise Untrusted(f"{what}: got {_text(one)} at {path or '/'}, want {_text(other)}")


def manifests(got: Mapping[str, Any], want: Mapping[str, Any]) -> tuple[str, ...]:
    """The annotations that nothing vouches for, as facts; raises Untrusted for anything else that is another."""
    uncovered = []
    for path, one, other in members(got, want):
        parts = path.split("/")[1:]
        if "annotations" not in parts:
            raise Untrusted(f"manifest: got {_text(one)} at {path}, want {_text(other)}")
        keys = parts[parts.index("annotations") + 1 :] or (one or {}).keys()
        for key in keys:
            name = str(key).replace("~1", "/")
            if parts[0] == "layers" and name.startswith(LAZY):
                raise Untrusted(f"manifest: got the annotation {name!r} of a layer, which steers what is read of it")
        uncovered.append(f"the manifest's {path}")
    return tuple(uncovered)


def members(got: Any, want: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The smallest members in which two documents differ: their place, and what each has there (None: nothing)."""
    if isinstance(got, dict) and isinstance(want, dict):
        for key in dict.fromkeys((*want, *got)):
            yield from members(got.get(key), want.get(key), path + pointer(key))
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        for place, (one, other) in enumerate(zip(got, want, strict=True)):
            yield from members(one, other, f"{path}/{place}")
    elif got != want:
        yield path, got, want


def _text(value: Any) -> str:
    shown = dump(value).decode()
    return shown if len(shown) <= 100 else shown[:97] + "..."
