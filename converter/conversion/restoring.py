"""Restores the file of an ACI that became a layer, with its signature, if its origin record says how."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace

from converter.conversion import attachments
from converter.conversion.selection import SelectedImage
from converter.errors import ConverterError
from converter.formats.aci.archive import ExamineAci, RebuildAci, image_id, read_manifest
from converter.formats.aci.reading import parse_manifest
from converter.model import media_types as types
from converter.model.content import Derived, Known
from converter.plan import Copy, Make, Node
from converter.ports import Finder
from converter.streams.blocks import digest_and_size
from converter.streams.uncompressed import read_derived
from converter.streams.workers import Workers
from converter.trust import origin_record
from converter.verification import proof
from converter.verification.rebuilt_source import Converted, OriginalSource


def restore_aci(
    plan: Node, before: SelectedImage, files: ExitStack, jobs: int, finder: Finder | None = None
) -> tuple[Node, SelectedImage] | None:
    """The file that ``plan`` would make anew, restored from the image's origin record, and the image with what referred
    to that file; None if the record does not give the same ACI.

    Both are read whole and compared by image ID, because a record is not to be trusted. An ACI that had dependencies
    differs from the self-contained one: it is restored if ``finder`` finds all of them and the image is proven to be
    what they make together.
    """
    if not isinstance(plan, Make) or not isinstance(plan.content, Derived):
        return None
    rebuilt = isinstance(plan.content.rewrite, RebuildAci)
    if not rebuilt and finder is None:
        return None
    for descriptor in origin_record.find_records((one.attachment for one in before.attached), before.fetch):
        with suppress(ConverterError):
            found = origin_record.read_record(descriptor, before.fetch, before.root)
            if found.record.root.media_type == types.ACI:
                workers = files.enter_context(Workers(jobs))
                here = Converted(root=before.root, item=before.item, fetch=before.fetch)
                original = OriginalSource(found, here, files=files, workers=workers)
                aci = original.fetch(found.record.root)
                if rebuilt:
                    same = image_id(aci) == _image_id(plan.content)
                else:
                    same = finder is not None and _is_of(aci, original, finder)
                if same:
                    attached = attachments.find_attachments(original, [aci.descriptor.digest]).attached
                    node = Copy(
                        content=aci, media_type=types.ACI, examine=ExamineAci(), algorithm="sha512", label="image"
                    )
                    return node, replace(before, attached=attached)
    return None


def _is_of(aci: Known, original: OriginalSource, finder: Finder) -> bool:
    """Whether the image is what the ACI and its dependencies make; raises if the proof fails."""
    if not parse_manifest(read_manifest(aci)).dependencies:
        return False
    proof.prove(original, original.record.root, finder=finder)
    return True


def _image_id(content: Derived) -> str:
    meter, _ = read_derived(content, lambda blocks: digest_and_size(blocks, content.algorithm))
    return meter.digest().dashed
