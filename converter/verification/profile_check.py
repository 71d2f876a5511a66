"""Whether an image or a tree has the content that a profile states: which profiles count, and what is compared.

``check_profile`` looks for profiles, in a file or attached, and everybody who is asked for has to have signed one that
fits. ``note_on_content`` is for an attestation among the other signatures of an image: it comes with its signature
verified, and may not be about an index, of which ``check_profile`` takes one image. What counts as the same content is
one question for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from converter.compare_images import Difference, file_tree, run_config
from converter.errors import ConverterError, Untrusted
from converter.model import media_types as types
from converter.model.frozen import frozen
from converter.model.image import Image, subject_digests
from converter.model.reference import Location
from converter.ports import Finder
from converter.profile import statement
from converter.profile.compare_profile import as_process, compare_profile
from converter.profile.contents import (
    ENGINES_DIRECTORIES,
    ENGINES_ROOT_MODE,
    IGNORED_BY_DEFAULT,
    Contents,
    Scope,
    of_layers,
)
from converter.profile.statement import Found, attached_profiles, load_profile

if TYPE_CHECKING:
    from converter.trust.signature import Trusted
    from converter.verification.unverified import StoredImage
    from converter.verification.wanted import Wanted

MOST_KEPT = 10_000
"""The most differences that a result has; all are counted."""
MOST_TOLD = 3
"""The most differences in one message."""


class ActualContent(Protocol):
    """What is compared with a profile: an image, or a deployed tree. What is asked for is read then, and only once."""

    location: Location

    @property
    def stored(self) -> StoredImage:
        """Where it is stored, and its root; of a directory, all files are read for that."""

    @property
    def image(self) -> Image:
        """The one image that it is."""

    @property
    def config(self) -> Mapping[str, Any]:
        """How a container of it is started."""

    def contents(self, counted: Scope) -> Contents:
        """The files in that scope, without what is mounted over them."""


@frozen(kw_only=False)
class ProfileResult:
    """A profile, and how the content differs from it: the first differences, and the number of all.

    Paths in ``ignored`` were left out because the profile or the caller says so, those in ``mounts`` because another
    file system lies over them. The configuration was not compared if the profile states none, or if there is none, as
    in a directory. What differs as an engine makes it differ is in ``by_engine``, and does not count.
    """

    found: Found
    differences: tuple[Difference, ...]
    total: int
    ignored: tuple[str, ...]
    mounts: tuple[str, ...]
    by_engine: tuple[Difference, ...] = ()


def check_profile(
    actual: ActualContent, file: Path | None, wanted: Wanted, scope: Scope, ignored: tuple[str, ...] = ()
) -> ProfileResult:
    """Compare the content with the profile in a file, or with those that are attached, of which one has to fit.

    Each source of keys in ``wanted``, and each requirement of its policy, has to have signed such a profile; without
    any of them, it need not be signed. ``scope`` is for a text, which says nothing of it; a statement has its own. The
    ``ignored`` paths are left out of both. Raises Untrusted if no profile is signed as wanted.
    """
    asked: list[Trusted | None] = [*wanted.each(), *_under_policy(actual, wanted)]
    results = [_closest(actual, _candidates(actual, file, trusted, scope), ignored) for trusted in asked or [None]]
    result = next((one for one in results if one.total), results[0])
    signers = dict.fromkeys(signer for one in results for signer in one.found.signers)
    return replace(result, found=replace(result.found, signers=tuple(signers)))


def note_on_content(actual: ActualContent, document: Mapping[str, Any]) -> str:
    """The note on a profile whose signature is verified; raises Untrusted if the content is not what it states."""
    result = _compared(actual, Found(profile=statement.read(document)))
    if result.total:
        told = ", ".join(f"{one.path}: {one.what}" for one in result.differences[:MOST_TOLD])
        more = f" and {result.total - MOST_TOLD} more" if result.total > MOST_TOLD else ""
        raise Untrusted(f"the profile states another content: {told}{more}")
    left_out = [path for path in result.ignored if path not in IGNORED_BY_DEFAULT]
    return f"the same content, without {', '.join(left_out)}" if left_out else "the same content"


class StoredContent:
    """The content of an image in an open source, the same in any format and for any digest.

    ``files`` deletes what is kept of it; ``find`` finds the ACIs that the image depends on.
    """

    def __init__(self, stored: StoredImage, files: ExitStack, find: Finder | None) -> None:
        self.stored = stored
        self.location = stored.location
        self._find = find or (lambda _: None)
        self._files = files
        self._read: dict[Scope, Contents] = {}

    @cached_property
    def image(self) -> Image:
        """The image, with its dependencies. Raises Untrusted for an index, or if a dependency is missing."""
        from converter import formats

        item = formats.item_reader(self.stored.source.fetch)(self.stored.root)
        if not isinstance(item, Image):
            raise Untrusted("a profile speaks of one image: choose it with --platform")
        try:
            return formats.resolve_dependencies(item, self._find)
        except ConverterError as error:
            raise Untrusted(f"the content is not all here: {error} (--aci-path says where to look)") from None

    @property
    def config(self) -> Mapping[str, Any]:
        """How a container of it is started."""
        return run_config(self.image.config)

    def contents(self, counted: Scope) -> Contents:
        """The files in that scope. Raises what reading raises."""
        if counted not in self._read:
            with file_tree(self.image) as listing:
                self._read[counted] = self._files.enter_context(of_layers(listing, counted))
        return self._read[counted]


def _under_policy(actual: ActualContent, wanted: Wanted) -> Iterator[Trusted]:
    policy = wanted.read_policy()
    if policy is not None:
        from converter.trust.identity import name_of
        from converter.verification.policy_check import trusted_by_requirement

        location = actual.location
        name = None if location.kind.is_tree else name_of(location, actual.stored.root, wanted.identity)
        yield from trusted_by_requirement(location, name, policy, wanted, wanted.trusted(""))


def _candidates(actual: ActualContent, file: Path | None, trusted: Trusted | None, scope: Scope) -> Sequence[Found]:
    """The profile in a file, or all that are attached to the image; raises Untrusted if none is signed as asked."""
    if file is not None:
        return (load_profile(file, scope, trusted),)
    from converter.trust import stored_signatures

    source, root = actual.stored.source, actual.stored.root
    listed = [one for digest in subject_digests(root, actual.image) for one in source.attachments(digest)]
    signatures = stored_signatures.find_signatures(listed, source.fetch, b"", root.retyped(types.OCI_MANIFEST))
    found, problems = attached_profiles(signatures, trusted)
    if not found:
        why = "; ".join(problems) or "nothing is attached that states one; --profile FILE takes it from a file"
        raise Untrusted(f"no attached profile counts: {why}")
    # Unsigned profiles may come from anybody, so only one of them is read.
    return found if trusted is not None else found[:1]


def _closest(actual: ActualContent, candidates: Sequence[Found], ignored: tuple[str, ...]) -> ProfileResult:
    """The first profile that the content has or, if it has none, the first of all."""
    results = (_compared(actual, one, ignored) for one in candidates)
    first = next(results)
    return first if not first.total else next((one for one in results if not one.total), first)


def _compared(actual: ActualContent, found: Found, ignored: tuple[str, ...] = ()) -> ProfileResult:
    """The content compared with one profile, in the profile's scope without the ``ignored`` paths."""
    stated = found.profile
    counted = replace(stated.scope, ignored=tuple(sorted({*stated.scope.ignored, *ignored})))
    kind = actual.location.kind
    # A directory or a tar does not say how its container is started.
    config: Mapping[str, Any] | None = None if kind.is_tree and not kind.is_bundle else actual.config
    if kind.is_bundle and stated.config is not None:
        stated, config = replace(stated, config=as_process(stated.config)), as_process(actual.config)
    contents = actual.contents(counted)
    rows = compare_profile(stated, contents, config)
    deployed = kind.is_tree and {*IGNORED_BY_DEFAULT} <= {*stated.scope.ignored}
    kept: list[Difference] = []
    by_engine: list[Difference] = []
    for one in islice(rows, MOST_KEPT):
        (by_engine if deployed and _is_by_engine(one) else kept).append(one)
    total = len(kept) + sum(1 for _ in rows)
    mounts = tuple(path for path in contents.scope.ignored if path not in counted.ignored)
    return ProfileResult(found, tuple(kept), total, counted.ignored, mounts, tuple(by_engine))


def _is_by_engine(one: Difference) -> bool:
    if one.what == "mode":
        return (one.path, one.b) == ("/", ENGINES_ROOT_MODE)
    return one.path in ENGINES_DIRECTORIES and (one.what, one.a, one.b) == ("entry", None, "directory")
