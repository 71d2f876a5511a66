"""An ACI that has become a layer becomes the same file again, with its signature, where its origin record says how."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from converter.conversion import attachments
from converter.conversion.attachments import Attached
from converter.conversion.origin import Before
from converter.errors import ConverterError
from converter.formats.aci.archive import image_id
from converter.formats.aci.rewrites import RebuildAci
from converter.model import media_types as types
from converter.model.content import Derived, Known
from converter.plan import Copy, Make, Node
from converter.streams.content import remade
from converter.streams.workers import Workers
from converter.trust import origin
from converter.verification.original import Original, consumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The ACI as it was, and what spoke of it."""

    node: Node
    attached: tuple[Attached, ...]


def restored(plan: Node, before: Before, files: ExitStack, jobs: int) -> Restored | None:
    """The file that ``plan`` makes anew, from the image's origin record; None where that does not give the same ACI.

    Both are read whole and compared by their image ID, for a record is nothing to be trusted.
    """
    if not isinstance(plan, Make) or not isinstance(plan.content, Derived):
        return None
    if not isinstance(plan.content.rewrite, RebuildAci):
        return None
    for descriptor in origin.find((one.attachment for one in before.attached), before.fetch):
        with suppress(ConverterError):
            found = origin.read(descriptor, before.fetch, before.root)
            if found.record.root.media_type == types.ACI:
                workers = files.enter_context(Workers(jobs))
                original = Original(
                    found, fetch=before.fetch, root=before.root, item=before.item, files=files, workers=workers
                )
                aci = original.fetch(found.record.root)
                if image_id(aci) == _image_id(plan.content):
                    return _restored(aci, original)
    return None


def _image_id(content: Derived) -> str:
    digest, _ = remade(content, lambda blocks: consumed(blocks, content.algorithm))
    return f"{digest.algorithm}-{digest.encoded}"


def _restored(aci: Known, original: Original) -> Restored:
    attached = attachments.find(original, [aci.descriptor.digest]).attached
    return Restored(node=Copy(content=aci, media_type=types.ACI, label="image"), attached=attached)
