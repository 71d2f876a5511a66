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
from converter.model.image import Artifact, Image, Index, Item, Loss, subject_digests
from converter.model.limits import current_limits
from converter.model.platform import host_platform, only_platform
from converter.model.reference import Location, name_at_source
from converter.model.settings import Settings
from converter.ports import Fetch, Source
from converter.transform import lost_attestations, select_platforms


@frozen
class SelectedImage:
    """An image of the source before its conversion: its name there, its root, and the part that is converted.

    ``called`` is its name outside the source, from ``name_at_source``; ``local`` means that opening its layers costs
    little.
    """

    name: str
    root: Descriptor
    item: Item
    fetch: Fetch
    attached: tuple[PlannedAttachment, ...] = ()
    unread: tuple[Loss, ...] = ()
    local: bool
    unpacked: bool = False
    called: str = ""
    settings: Settings = field(default_factory=Settings)


def select_images(source: Source, location: Location, options: Options) -> list[SelectedImage]:
    """The images to convert, read as far as the options require."""
    if options.all_images and (asked := _asked_for(location)):
        raise Usage(f'--all-images cannot be used for the one image "{asked}": leave out its name or the option')
    names = source.names() if options.all_images else (location.name,)
    current_limits().require("images", len(names), "images")
    selected = []
    for one in names:
        known = formats.with_media_type(source.fetch(_resolve(source, one)))
        root = known.descriptor
        require_signed(source, replace(location, name=one), root, options.wanted, only_platform(platforms_of(options)))
        name = options.called or name_at_source(location, one, root)
        whole, read = formats.decode(known, source.fetch), formats.item_reader(source.fetch)
        item = select_platforms(whole, platforms_of(options) if isinstance(whole, Index) else options.platforms, read)
        attached, unread = find_attachments(source, subject_digests(root, item)) if options.attachments else ((), ())
        if options.remove_signatures:
            attached = without_signatures(attached)
        selected.append(
            SelectedImage(
                name=one,
                root=root,
                item=item,
                attached=attached,
                unread=(*lost_attestations(whole, item), *unread, *source.losses),
                fetch=source.fetch,
                local=source.local,
                unpacked=source.unpacked,
                called=name,
                settings=_settings(options, whole, item),
            )
        )
    if options.content_trust and options.keeps_origin:
        return _with_content_trust(selected, options.content_trust)
    return selected


def _asked_for(location: Location) -> str:
    """The image that the source's reference names; empty if it names none."""
    if name := location.image_name:
        return name.tag or str(name.digest or "")
    return location.name


def platforms_of(options: Options) -> tuple[str, ...]:
    """The platforms to take of an index: this machine's unless others are asked for."""
    return options.platforms or (str(host_platform()),)


def _settings(options: Options, whole: Item, item: Item) -> Settings:
    """The settings that repeat this conversion: another machine must choose the same image of an index."""
    if isinstance(whole, Index) and isinstance(item, Image) and not options.platforms:
        return replace(options.settings, platforms=(str(item.platform),))
    return options.settings


def _resolve(source: Source, name: str) -> Descriptor:
    try:
        return source.resolve(name)
    except NotFound as error:
        if name or not source.local or len(source.names()) < 2:
            raise
        raise NotFound(f"{error.fact}; or --all-images") from None


def _with_content_trust(selected: list[SelectedImage], files: Mapping[str, bytes]) -> list[SelectedImage]:
    """The same images with the caller's Docker Content Trust documents attached; raises Usage if they match none."""
    from converter.trust import content_trust, stored_signatures

    found = [one for one in selected if content_trust.list_manifest(files, one.fetch(one.root).read())]
    if not found:
        fact = "the documents say nothing about this image: expected root.json, and targets with its digest"
        raise Usage(f"{fact} (--content-trust)")
    return [
        _with_artifact(one, stored_signatures.content_trust_artifact(files, one.root)) if one in found else one
        for one in selected
    ]


def _with_artifact(selected: SelectedImage, made: Artifact) -> SelectedImage:
    """The same image with an artifact about it attached."""
    from converter.conversion.target_attachments import manifest_attachment

    attached = (*selected.attached, manifest_attachment(made, selected.root.digest, ""))
    return replace(selected, attached=attached)
