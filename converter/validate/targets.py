"""Opens what a reference names as it lies there: the stores that convert refuse what is to be looked at here."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from converter.errors import ConverterError, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Known
from converter.model.descriptor import Descriptor
from converter.model.document import read
from converter.model.frozen import frozen
from converter.model.image import Attachment
from converter.model.reference import Location
from converter.ports import Source
from converter.stores import StoreOptions, oci_index, open_source
from converter.stores.directory import MANIFEST, VERSION, is_image
from converter.stores.docker_archive import manifest_json, repositories
from converter.stores.media import Medium
from converter.stores.media.archive import STDIN, TarMedium, open_bytes
from converter.stores.media.directory import DirectoryMedium
from converter.streams.blocks import COPY_BLOCK, file_blocks
from converter.streams.detect import HEAD, detect, start_of
from converter.validate import UNKNOWN
from converter.validate.acis import check_aci
from converter.validate.blobs import Blobs
from converter.validate.findings import Findings
from converter.validate.layouts import LayoutCheck
from converter.validate.saved import SavedCheck
from converter.validate.walk import Walk


@frozen(kw_only=False)
class Target:
    """What is looked at, by whom, and what was found of it."""

    location: Location
    options: StoreOptions
    blobs: Blobs

    @property
    def path(self) -> Path:
        """Where it lies, for what lies on a disk."""
        return Path(self.location.path)


def examine(target: Target) -> str:
    """Look at all that a reference names, tell what is wrong with it, and give its kind.

    Raises NotFound where there is nothing, and what says that it could not be looked at: Unreachable, Denied,
    StorageFailed, Usage.
    """
    look = _BY_TRANSPORT.get(target.location.transport, _source)
    return look(target)


def examine_source(source: Source, name: str, blobs: Blobs) -> str:
    """As ``examine``, of an image in a source that is open already."""
    findings = blobs.findings
    try:
        root = source.resolve(name)
    except Invalid as error:
        findings.failed("", error)
        return UNKNOWN
    if root.media_type == types.ACI:
        check_aci(source.fetch(root).raw, blobs)
        return "aci-image"
    walk = Walk(source.fetch, blobs)
    walk.item(root, "manifest", "")
    try:
        attached = list(source.attachments(root.digest))
    except ConverterError as error:
        findings.failed("referrers", error)
        attached = []
    for number, attachment in enumerate(attached):
        if attachment.descriptor.media_type in types.MANIFESTS | types.INDEXES:
            _attached(attachment, f"referrers/{number}", walk, findings)
    return _kind(walk)


def _attached(attachment: Attachment, place: str, walk: Walk, findings: Findings) -> None:
    descriptor = attachment.descriptor
    walk.item(descriptor, place, place)
    seen = walk.seen.get(descriptor.digest)
    subject = None if seen is None else seen.document.get("subject")
    told = subject.get("digest") if isinstance(subject, dict) else None
    if seen is not None and told != str(attachment.subject) and (subject is not None or not attachment.tag):
        fact = f"got the subject {str(told)[:150]}, want {attachment.subject}, which it is attached to"
        findings.add("image/referrer", f"{place}/manifest", fact)


def _source(target: Target) -> str:
    with open_source(target.location, target.options) as source:
        kind = examine_source(source, target.location.name, target.blobs)
    # An Engine's images are Docker's, also where it keeps OCI's manifests.
    return "docker-image" if target.location.transport == "docker-daemon" else kind


def _medium(target: Target, medium: Callable[[], Medium], look: Callable[[Medium], str]) -> str:
    """Open a medium and look at it. What is no medium at all is no image, nor is one whose names lead nowhere."""
    try:
        with closing(medium()) as opened:
            return look(opened)
    except (Invalid, Unsupported) as error:
        target.blobs.findings.failed("", error)
        return UNKNOWN


def _layout(target: Target) -> str:
    return _medium(target, lambda: _lying(target), lambda medium: _layout_on(target, medium))


def _layout_on(target: Target, medium: Medium) -> str:
    check = LayoutCheck(medium, target.blobs)
    check.run(target.location.name)
    return _kind(check.walk)


def _saved(target: Target) -> str:
    return _medium(target, lambda: _lying(target), lambda medium: _saved_on(target, medium))


def _saved_on(target: Target, medium: Medium) -> str:
    SavedCheck(medium, target.blobs).run(target.location.name)
    return "docker-image"


def _lying(target: Target) -> Medium:
    """A directory, or a tar of one; ``oci:`` is a directory alone."""
    limits = target.options.limits
    if target.location.transport == "oci" or target.path.is_dir():
        return DirectoryMedium(target.path, limits)
    return TarMedium(target.path, limits)


def _directory(target: Target) -> str:
    return _medium(target, lambda: _lying(target), lambda medium: _directory_on(target, medium))


def _directory_on(target: Target, medium: Medium) -> str:
    findings = target.blobs.findings
    if medium.size(VERSION) is not None and not is_image(target.path):
        findings.add("dir/version", VERSION, f"got another version in {medium.where}, want 1.x")
    try:
        data = medium.read_document(MANIFEST)
    except ConverterError as error:
        findings.failed(MANIFEST, error)
        return UNKNOWN
    value = read(data, target.options.limits).value
    said = value.get("mediaType") if isinstance(value, dict) else None
    root = Descriptor.of(data, said if isinstance(said, str) else "")

    def fetch(descriptor: Descriptor) -> Known:
        encoded = descriptor.digest.encoded
        for name in (*((MANIFEST,) if descriptor.digest == root.digest else ()), encoded, f"{encoded}.manifest.json"):
            size = medium.size(name)
            if size is not None:
                return Known(descriptor.sized(size), partial(medium.open, name))
        if descriptor.urls:
            return Known(descriptor, lambda: (), absent=True)
        raise NotFound(f"got no blob {descriptor.digest} in {medium.where}, want it")

    walk = Walk(fetch, target.blobs)
    walk.item(root, MANIFEST, "")
    return _kind(walk)


def _aci(target: Target) -> str:
    file = open_bytes(target.path)
    try:
        return _aci_in(target, file)
    finally:
        os.close(file)


def _aci_in(target: Target, file: int) -> str:
    if str(target.path) not in STDIN and target.path.suffix != ".aci":
        fact = f"got the name {target.path.name!r}, want one that ends in .aci"
        target.blobs.findings.add("aci/archive-suffix", "", fact)
    size = os.fstat(file).st_size
    if size > target.options.limits.layer:
        fact = f"got {size} bytes, want at most {target.options.limits.layer} (limit: layer)"
        target.blobs.findings.add("image/limit", "", fact)
    else:
        check_aci(lambda: file_blocks(file, 0, size, COPY_BLOCK), target.blobs)
    return "aci-image"


def _bare(target: Target) -> str:
    """What lies under a path, told by its content, and an ACI by its name."""
    if target.path.is_dir():
        return (
            _directory(target)
            if is_image(target.path)
            else _medium(target, lambda: _lying(target), lambda medium: _on_medium(target, medium))
        )
    if target.path.suffix == ".aci":
        return _aci(target)
    file = open_bytes(target.path)
    try:
        if detect(os.pread(file, HEAD, 0)) in {None, "openpgp"}:
            head = os.pread(file, HEAD, 0)
            fact = f"got data that starts with {start_of(head)}, want an archive, perhaps compressed"
            target.blobs.findings.add("image/unreadable", "", fact)
            return UNKNOWN
        return _medium(
            target,
            lambda: TarMedium(target.path, target.options.limits, os.dup(file)),
            lambda medium: _on_medium(target, medium, file),
        )
    finally:
        os.close(file)


def _on_medium(target: Target, medium: Medium, file: int | None = None) -> str:
    names = set(medium.names())
    if names & {manifest_json.NAME, repositories.NAME}:
        return _saved_on(target, medium)
    if names & {oci_index.LAYOUT, oci_index.INDEX}:
        return _layout_on(target, medium)
    if file is not None and any(name.split("/")[0] in {"manifest", "rootfs"} for name in names):
        return _aci_in(target, file)
    fact = f"got {medium.where}, which is no image of a known kind, want TRANSPORT:PATH"
    target.blobs.findings.add("image/unreadable", "", fact)
    return UNKNOWN


def _kind(walk: Walk) -> str:
    """By the first document that was read."""
    for seen in walk.seen.values():
        return "docker-image" if "docker" in seen.descriptor.media_type else "oci-image"
    return "oci-image"


_BY_TRANSPORT: dict[str, Callable[[Target], str]] = {
    "": _bare,
    "aci": _aci,
    "dir": _directory,
    "docker-archive": _saved,
    "oci": _layout,
    "oci-archive": _layout,
}
"""How what lies on a disk is opened; all else by its own store."""
