"""Whether an image is what trusted people signed: its own signatures, or its origin records, which lead to others."""

from __future__ import annotations

from dataclasses import replace

from converter.errors import ConverterError, within
from converter.model.limits import enforce_limits
from converter.model.reference import Location, Reference
from converter.stores import StoreOptions, open_source, recognised
from converter.verification.judgement import Judgement, has_good, image_within, judge
from converter.verification.trace import prove_signed_at, trace
from converter.verification.unverified import StoredImage, names_in_store
from converter.verification.wanted import ORIGIN, SIGNATURE, Wanted


def verify(reference: Reference, wanted: Wanted, store: StoreOptions | None = None) -> Judgement:
    """Verify every signature of an image. A failure is not raised: the judgement is then not ``ok``, and says why.

    Raises Usage if ``wanted`` names no key, Invalid for a malformed key, policy or image.
    """
    wanted.check()
    location, options = Location.parse(reference), store or StoreOptions()
    with enforce_limits(options.limits), open_source(location, options) as source, within(str(reference)):
        stored = StoredImage(source, recognised(location, source), source.resolve(location.name))
        judgement = judge_with_records(stored, wanted)
        if not any(one.ok and not one.by_content for one in judgement.verdicts) or not judgement.ok or judgement.steps:
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
    judgement = _judge_with_records(stored, wanted)
    image = image_within(stored, judgement, wanted.platform)
    if image is not None:
        judgement = judgement.or_image(_judge_with_records(image, wanted.without_signers(judgement.signed)))
    if not judgement.ok or wanted.identity or wanted.map_identity:
        return judgement
    verdicts = [*judgement.verdicts, *(verdict for step in judgement.steps for verdict in step.verdicts)]
    names = names_in_store(stored) if any(one.ok and one.identity for one in verdicts) else ()
    if len(names) < 2:
        return judgement
    fact = f"the image has several names: ask for it by one of {', '.join(names)}"
    return replace(judgement, steps=(), content=None, unmet=(fact,))


def _judge_with_records(stored: StoredImage, wanted: Wanted) -> Judgement:
    judgement = judge(stored, wanted)
    asked_for = ORIGIN in wanted.require
    decided = judgement.ok or SIGNATURE in wanted.require
    if asked_for:
        decided = SIGNATURE in wanted.require and not has_good(SIGNATURE, judgement.verdicts)
    if decided or any(one.broken for one in judgement.verdicts):
        return judgement
    # Those who signed this image need not also have signed what it was converted from.
    before = wanted if judgement.ok else wanted.without_signers(judgement.signed)
    found = trace(stored, before)
    if found.steps:
        return replace(judgement, unmet=(), steps=found.steps, content=found.steps[0].proof)
    missing = ("no valid origin record (--require origin)",) if asked_for else ()
    # An image with a record was not signed itself: only why the record does not count is news.
    own = judgement.unmet if judgement.verdicts or not found.problems else ()
    return replace(judgement, unmet=(*found.problems, *own, *missing))
