"""The images of a source to convert, with their attachments, read once they are signed as required."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from converter import formats
from converter.conversion.attachments import PlannedAttachment, find_attachments, require_signed, without_signatures
from converter.conversion.job import Options
from converter.errors import NotFound, Usage
from converter.model.descriptor import Descriptor
from converter.model.frozen import frozen
from converter.model.image import Image, Index, Item, Loss, subject_digests
from converter.model.limits import current_limits
from converter.model.platform import host_platform, only_platform
from converter.model.reference import Location, name_at_source
from converter.model.settings import Settings
from converter.ports import Source
from converter.transform import lost_attestations, select_platforms


@frozen
class SelectedImage:
    """An image of the source before its conversion: its name there, its root, and the part that is converted.

    ``called`` is its name outside the source, from ``name_at_source``.
    """

    source: Source
    name: str
    root: Descriptor
    item: Item
    attached: tuple[PlannedAttachment, ...] = ()
    unread: tuple[Loss, ...] = ()
    called: str = ""
    settings: Settings = field(default_factory=Settings)


def select_images(source: Source, location: Location, options: Options) -> list[SelectedImage]:
    """The images to convert, read as far as the options require."""
    if options.all_images and (asked := _asked_for(location)):
        raise Usage(f'--all-images cannot be used for the one image "{asked}": leave out its name or the option')
    names = source.names() if options.all_images else (location.name,)
    current_limits().require("images", len(names), "images")
    selected = [_select_image(source, location, name, options) for name in names]
    if options.content_trust and options.keeps_origin:
        return _with_content_trust(selected, options.content_trust)
    return selected


def _select_image(source: Source, location: Location, name: str, options: Options) -> SelectedImage:
    known = formats.with_media_type(source.fetch(_resolve(source, name)))
    root, platforms = known.descriptor, platforms_of(options)
    require_signed(source, replace(location, name=name), root, options.wanted, only_platform(platforms))
    called = options.called or name_at_source(location, name, root)
    whole = formats.decode(known, source.fetch)
    if not isinstance(whole, Index):
        platforms = options.platforms
    item = select_platforms(whole, platforms, formats.item_reader(source.fetch))
    subjects = subject_digests(root, item) if options.attachments else ()
    attached, unread = find_attachments(source, subjects)
    if options.remove_signatures:
        attached = without_signatures(attached)
    settings = options.settings
    if isinstance(whole, Index) and isinstance(item, Image) and not options.platforms:
        # To repeat this conversion, another machine must choose the same image of the index.
        settings = replace(settings, platforms=(str(item.platform),))
    return SelectedImage(
        source=source,
        name=name,
        root=root,
        item=item,
        attached=attached,
        unread=(*lost_attestations(whole, item), *unread, *source.losses),
        called=called,
        settings=settings,
    )


def _asked_for(location: Location) -> str:
    """The image that the source's reference names; empty if it names none."""
    if name := location.image_name:
        return name.tag or str(name.digest or "")
    return location.name


def platforms_of(options: Options) -> tuple[str, ...]:
    """The platforms to take of an index: this machine's unless others are asked for."""
    return options.platforms or (str(host_platform()),)


def _resolve(source: Source, name: str) -> Descriptor:
    try:
        return source.resolve(name)
    except NotFound as error:
        if name or not source.local or len(source.names()) < 2:
            raise
        raise NotFound(f"{error.fact}; or --all-images") from None


def _with_content_trust(selected: list[SelectedImage], files: Mapping[str, bytes]) -> list[SelectedImage]:
    """The same images with the caller's Docker Content Trust documents attached; raises Usage if they match none."""
    from converter.trust import content_trust

    found = [one for one in selected if content_trust.list_manifest(files, one.source.fetch(one.root).read())]
    if not found:
        fact = "the documents say nothing about this image: expected root.json, and targets with its digest"
        raise Usage(f"{fact} (--content-trust)")
    return [_with_documents(one, files) if one in found else one for one in selected]


def _with_documents(selected: SelectedImage, files: Mapping[str, bytes]) -> SelectedImage:
    from converter.conversion.target_attachments import manifest_attachment
    from converter.trust.stored_signatures import content_trust_artifact

    artifact = content_trust_artifact(files, selected.root)
    attachment = manifest_attachment(artifact, selected.root.digest, "")
    return replace(selected, attached=(*selected.attached, attachment))
