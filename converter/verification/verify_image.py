"""Whether an image is what trusted people signed: its own signatures, or its origin records, which lead to others.

A record leads from a converted image back to what was signed, or to a record of an earlier conversion. The order
matters: signatures are verified over the bytes that a record holds, then the content is proven, and only a record for
which both succeed counts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import field, replace
from functools import cached_property

from converter import formats
from converter.errors import ConverterError, NotFound, Untrusted, within
from converter.model import media_types as types
from converter.model.content import Known, open_missing
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.image import Dependency, Image, Item
from converter.model.limits import enforce_limits
from converter.model.platform import Platform, choose_platform, only_platform
from converter.model.reference import FULL_NAME, NAMES, Location, Reference
from converter.ports import Fetch, Finder, Source
from converter.stores import StoreOptions, open_source, recognised
from converter.streams.workers import Workers
from converter.system import cores
from converter.transform import one_platform, whole_item
from converter.trust.identity import name_of
from converter.trust.origin_record import find_records, read_record
from converter.trust.signature import SignatureVerdict
from converter.verification.judgement import Judgement, TracedConversion, has_good, judge
from converter.verification.proof import IDENTICAL, Proof, prove, prove_signed
from converter.verification.rebuilt_source import Converted, OriginalSource
from converter.verification.unverified import StoredImage, names_in_store
from converter.verification.wanted import ORIGIN, SIGNATURE, Wanted

MAX_DEPTH = 8
"""The most successive conversions."""

RECORDS_MOST = 32
"""The most records tried for one image, including those of earlier conversions; each costs as much as reading it."""

Steps = tuple[TracedConversion, ...]
"""The way back to what was signed, the last conversion first."""


def verify(reference: Reference, wanted: Wanted, store: StoreOptions | None = None) -> Judgement:
    """Verify every signature of an image. A failure is not raised: the judgement is then not ``ok``, and says why.

    Raises Usage if ``wanted`` names no key, Invalid for a malformed key, policy or image.
    """
    wanted.check()
    location, options = Location.parse(reference), store or StoreOptions()
    with enforce_limits(options.limits), open_source(location, options) as source, within(str(reference)):
        stored = StoredImage(source, recognised(location, source), source.resolve(location.name))
        judgement = judge_with_records(stored, wanted)
        by_its_bytes = any(one.ok and not one.by_content for one in judgement.verdicts)
        if judgement.steps or not judgement.ok or not by_its_bytes:
            return judgement
        try:
            return replace(judgement, content=prove_signed_at(source, judgement.root, wanted.platform))
        except ConverterError as error:
            return replace(judgement, unmet=(str(error),))


def judge_with_records(stored: StoredImage, wanted: Wanted) -> Judgement:
    """Whether an image is signed as required, itself or by way of its origin records.

    If the image itself is signed, its content is not read. If ``wanted.platform`` selects an image of an index, either
    of the two may be signed; if it is the image, that becomes the judgement's root.
    """
    judgement = judge_either(stored, wanted, _judge_one)
    by_name = any(one.ok and one.identity for one in judgement.all_verdicts)
    if not judgement.ok or not by_name or wanted.identity or wanted.map_identity:
        return judgement
    names = names_in_store(stored)
    if len(names) < 2:
        return judgement
    fact = f"the image has several names: ask for it by one of {', '.join(names)}"
    return replace(judgement, steps=(), content=None, unmet=(fact,))


def _judge_one(stored: StoredImage, wanted: Wanted) -> Judgement:
    """The same for one root, an index or an image, without a look at the other."""
    judgement = judge(stored, wanted)
    asked_for = ORIGIN in wanted.require
    if asked_for:
        decided = SIGNATURE in wanted.require and not has_good(SIGNATURE, judgement.verdicts)
    else:
        decided = judgement.ok or SIGNATURE in wanted.require
    if decided or any(one.broken for one in judgement.verdicts):
        return judgement
    # Those who signed an image need not also have signed what it was converted from.
    before = wanted if judgement.ok else replace(wanted, signed=judgement.signed)
    with Workers(cores()) as workers:
        steps, problems = _Tracing(workers).trace(stored, before)
    if steps:
        return replace(judgement, unmet=(), steps=steps, content=steps[0].proof)
    missing = ("no valid origin record (--require origin)",) if asked_for else ()
    # An image with a record was not signed itself: only why the record does not count is news.
    own = judgement.unmet if judgement.verdicts or not problems else ()
    return replace(judgement, unmet=(*problems, *own, *missing))


def judge_either(
    stored: StoredImage, wanted: Wanted, judge_one: Callable[[StoredImage, Wanted], Judgement] = judge
) -> Judgement:
    """The judgement of an index or, if that is not ok, of its image for ``wanted.platform`` (empty: of no image).

    Raises NotFound if no image suits, and what ``of_platform`` raises.
    """
    index = judge_one(stored, wanted)
    if index.ok or not wanted.platform or index.root.media_type not in types.INDEXES:
        return index
    _, root = image_for(stored.source.fetch, index.root, wanted.platform)
    stored = replace(stored, root=replace(root, annotations=stored.root.annotations))
    image = judge_one(stored, replace(wanted, signed=index.signed))
    unmet = () if image.ok else tuple(dict.fromkeys((*index.unmet, *image.unmet)))
    return replace(image, verdicts=(*index.verdicts, *image.verdicts), unmet=unmet)


def image_for(fetch: Fetch, index: Descriptor, platform: str) -> tuple[Image, Descriptor]:
    """The image of an index for a platform, and its root; raises what ``of_platform`` raises."""
    item = of_platform(fetch, index, platform)
    if not isinstance(item, Image) or item.original is None:
        raise Untrusted(f"the index lists no image for {platform}, but {item}")
    return item, item.original.manifest.descriptor


def of_platform(fetch: Fetch, root: Descriptor, platform: str) -> Item:
    """The image for a platform; raises Untrusted if it is for another one than the index lists it under."""
    read, wanted = formats.item_reader(fetch), Platform.parse(platform)
    item = one_platform(read(root), wanted, read)
    if (
        isinstance(item, Image)
        and root.media_type not in types.SINGLE_FILE_TYPES
        and choose_platform(wanted, (item.platform,)) is None
    ):
        raise Untrusted(f"the image is for {item.platform}, not for {wanted}")
    return item


def prove_signed_at(source: Source, root: Descriptor, platform: str = "") -> Proof:
    """The proof of an image that is itself signed; missing parts are reported as not covered.

    With ``platform``, only of that image of an index; raises NotFound if its documents are missing.
    """

    def fetch(descriptor: Descriptor) -> Known:
        try:
            return source.fetch(descriptor)
        except NotFound as error:
            return Known(descriptor, open_missing(error))  # raised only if it is read

    try:
        item = of_platform(fetch, root, platform) if platform else whole_item(fetch, root)
    except NotFound as error:
        if platform:
            raise
        return Proof(level=IDENTICAL, uncovered=(f"the content is not all here: {error}",))
    return replace(prove_signed(root, item), platform=platform)


@frozen(kw_only=False)
class _Tracing:
    """One search: the records ``tried`` in it are bounded, whatever images they are of."""

    workers: Workers
    tried: list[Digest] = field(default_factory=list)

    def trace(self, stored: StoredImage, wanted: Wanted, depth: int = 0) -> tuple[Steps, list[str]]:
        """Follow the origin records of an image to originals that are signed as ``wanted``.

        Returns the steps and, if there are none, the problems, one for each record. The root is annotated with the
        names that its store gives it. Of an index, only the image for ``wanted.platform`` is proven, if one is given.
        Raises what reading the image itself raises.
        """
        records = find_records(stored.source.attachments(stored.root.digest), stored.source.fetch)
        problems: list[str] = []
        if depth == MAX_DEPTH:
            return (), problems
        for descriptor in records:
            if len(self.tried) == RECORDS_MOST:
                problems.append(f"more than {RECORDS_MOST} origin records on the way back")
                break
            self.tried.append(descriptor.digest)
            try:
                with within(f"origin record {str(descriptor.digest)[:19]}"):
                    return self._steps(descriptor, stored, wanted, depth), []
            except ConverterError as error:
                problems.append(str(error))
        return (), problems

    def _steps(self, descriptor: Descriptor, stored: StoredImage, wanted: Wanted, depth: int) -> Steps:
        """The steps by way of one record; raises Untrusted if it leads to nothing that is signed as wanted."""
        fetch, root = stored.source.fetch, stored.root
        record = read_record(descriptor, fetch, root)
        if wanted.platform and root.media_type in types.INDEXES:
            image, alone = image_for(fetch, root, wanted.platform)
            record = record.of_one(str(image.platform))
            here = Converted(root=alone, item=image, fetch=fetch)
        else:
            here = Converted(root=root, item=whole_item(fetch, root), fetch=fetch)
        wanted = replace(wanted, platform=only_platform(record.settings.platforms))
        names = {key: text for key, text in root.annotations.items() if key in NAMES}
        with ExitStack() as files:
            original = OriginalSource(record, here, files=files, workers=self.workers)
            signed = replace(record.root, annotations=names or _own_names(here.item))
            before = StoredImage(original, stored.location, signed)
            judgement = judge_either(before, wanted)
            further: Steps = ()
            if judgement.ok:
                signed = judgement.root
                _check_name(replace(before, root=signed), wanted)
            else:
                behind = replace(wanted, signed=judgement.signed)
                further, problems = self.trace(before, behind, depth + 1)
                if not further:
                    raise Untrusted("; ".join((*problems, *judgement.unmet)))
            of_dependencies = replace(wanted, identity="", require=frozenset())
            dependencies = _Dependencies(original, stored.location, of_dependencies)
            proven = prove(original, signed, finder=dependencies.find)
            if changes := record.settings.changes:
                # Nobody has signed the record: it may say how the image came to be, not what may run.
                raise Untrusted(f"the layers are as signed, the configuration is not: {'; '.join(changes)}")
        verdicts = (*judgement.verdicts, *dependencies.verdicts)
        step = TracedConversion(record=descriptor.digest, root=signed.bare(), verdicts=verdicts, proof=proven)
        return (step, *further)


def _check_name(signed: StoredImage, wanted: Wanted) -> None:
    """Raises Untrusted if the name within a signed ACI is not the one that the image has now."""
    root = signed.root
    expected = name_of(signed.location, root, wanted.identity)
    if root.media_type not in types.SINGLE_FILE_TYPES or wanted.map_identity or expected is None:
        return
    item = formats.item_reader(signed.source.fetch)(root)
    named = name_of(Location(transport="", path=""), replace(root, annotations=_own_names(item)))
    if named is None:
        return
    other_tag = named.tag and expected.tag and named.tag != expected.tag
    if named.name != expected.name or other_tag:
        raise Untrusted(f'signature is for the name "{named}": expected "{expected}" (--identity)')


@frozen(kw_only=False)
class _Dependencies:
    """The ACIs that an ACI depended on, from its record or rebuilt (aci.md, "Dependency Matching").

    If the signed image names one by its image ID, that suffices; if not, it has to be signed like the image itself, as
    rkt required. ``verdicts`` are those on the ones that had to be signed.
    """

    original: OriginalSource
    location: Location
    wanted: Wanted
    verdicts: list[SignatureVerdict] = field(default_factory=list)

    def find(self, dependency: Dependency) -> Known | None:
        """A Finder; raises Untrusted if the ACI has to be signed and is not."""
        known = self._found(dependency)
        if known is not None and not dependency.pinned:
            judgement = judge(StoredImage(self.original, self.location, known.descriptor), self.wanted)
            self.verdicts.extend(judgement.verdicts)
            judgement.require()
        return known

    @cached_property
    def _found(self) -> Finder:
        with within("dependencies"):
            return formats.finder_among(self.original.images())


def _own_names(item: Item) -> dict[str, str]:
    """The name that an ACI states for itself, as annotations; other images are named by their stores."""
    name = item.notes.name if isinstance(item, Image) else ""
    return {FULL_NAME: name} if name else {}
