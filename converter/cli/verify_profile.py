"""``transship verify REF --profile``: whether an image or a tree has the content that a profile states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli.environment import store_from_options
from converter.cli.flags import flags
from converter.cli.profile import ignored_paths
from converter.cli.profile_subject import Profiled, owner_without_rights, profiled
from converter.cli.report_files import write_reports
from converter.cli.text import BOLD, GREEN, RED, YELLOW, show, show_json
from converter.errors import Untrusted, Usage, count
from converter.model import media_types as types
from converter.model.frozen import frozen
from converter.profile.comparison import as_process, compare_profile
from converter.profile.contents import Scope
from converter.profile.file import Found, attached_profiles, load_profile

if TYPE_CHECKING:
    from converter.comparison import Difference
    from converter.trust.trusted import Trusted
    from converter.verification.wanted import Wanted

ATTACHED = "attached"
"""Stands for the profiles that are stored with the image, in place of the name of a file."""

EQUAL, DIFFERENT, UNKNOWN = range(3)
MOST_SHOWN = 10_000
"""The most differences that are shown; all are counted."""


def verify_profile(reference: str, profile: str, wanted: Wanted, scope: Scope, aci_paths: tuple[Path, ...]) -> int:
    """Print every difference, and return the exit status. Raises Untrusted for a statement that is not signed as asked.

    A profile that says which paths it leaves out decides that; ``scope`` is for one that does not. The paths of
    ``--ignore`` are left out of both.
    """
    flags().failed = UNKNOWN
    if wanted.require:
        raise Usage(f"--require {min(wanted.require)} cannot be used with --profile")
    with profiled(reference, wanted.platform or None, store_from_options(), aci_paths) as there:
        there.own = owner_without_rights(there.directory)
        asked: list[Trusted | None] = [*wanted.each(), *_under_policy(there, wanted)]
        further = ignored_paths()
        results = [_closest(there, _candidates(there, profile, trusted, scope), further) for trusted in asked or [None]]
    result = next((one for one in results if one.total), results[0])
    signers = dict.fromkeys(signer for one in results for signer in one.found.signers)
    show_result(reference, replace(result, found=replace(result.found, signers=tuple(signers))))
    return DIFFERENT if result.total else EQUAL


@frozen(kw_only=False)
class ProfileResult:
    """A profile, and how the content differs from it: the first differences, and the number of all.

    Paths in ``ignored`` were left out because the profile or the caller says so, those in ``mounts`` because another
    file system lies over them. The owners of files of the user ``own`` were not compared, but taken for root.
    """

    found: Found
    differences: tuple[Difference, ...]
    total: int
    ignored: tuple[str, ...]
    mounts: tuple[str, ...]
    own: int | None = None


def _under_policy(there: Profiled, wanted: Wanted) -> Iterator[Trusted]:
    policy = wanted.read_policy()
    if policy is not None:
        from converter.trust.naming import name_of
        from converter.verification.policy_check import trusted_by_requirement

        named = not there.location.kind.is_tree
        name = name_of(there.location, there.opened.root, wanted.identity) if named else None
        yield from trusted_by_requirement(there.location, name, policy, wanted, wanted.trusted(""))


def _candidates(there: Profiled, profile: str, trusted: Trusted | None, scope: Scope) -> Sequence[Found]:
    """The profile in a file, or all that are attached to the image; raises Untrusted if none is signed as asked."""
    if profile != ATTACHED:
        return (load_profile(Path(profile), scope, trusted),)
    from converter.trust import stored_signatures

    source, root, image = there.opened.source, there.opened.root, there.image
    own = [image.original.manifest.descriptor.digest] if image.original else []
    digests = dict.fromkeys((root.digest, *own))
    listed = [one for digest in digests for one in source.attachments(digest)]
    found, problems = attached_profiles(
        stored_signatures.find_signatures(listed, source.fetch, b"", root.retyped(types.OCI_MANIFEST)), trusted
    )
    if not found:
        why = "; ".join(problems) or "nothing is attached that states one; --profile FILE takes it from a file"
        raise Untrusted(f"no attached profile counts: {why}")
    # Unsigned profiles may come from anybody, so only one of them is read.
    return found if trusted is not None else found[:1]


def _closest(there: Profiled, candidates: Sequence[Found], further: tuple[str, ...]) -> ProfileResult:
    """The first profile that the content has or, if it has none, the first of all; without the ``further`` paths."""
    results = (_compared(there, one, further) for one in candidates)
    first = next(results)
    return first if not first.total else next((one for one in results if not one.total), first)


def _compared(there: Profiled, found: Found, further: tuple[str, ...]) -> ProfileResult:
    stated = found.profile
    counted = replace(stated.scope, ignored=tuple(sorted({*stated.scope.ignored, *further})))
    kind = there.location.kind
    # A directory or a tar does not say how its container is started.
    config: Mapping[str, Any] | None = None if kind.is_tree and not kind.is_bundle else there.config
    if kind.is_bundle and stated.config is not None:
        stated, config = replace(stated, config=as_process(stated.config)), as_process(there.config)
    contents = there.contents(counted)
    rows = compare_profile(stated, contents, config)
    shown = tuple(islice(rows, MOST_SHOWN))
    mounts = tuple(path for path in contents.scope.ignored if path not in counted.ignored)
    return ProfileResult(found, shown, len(shown) + sum(1 for _ in rows), counted.ignored, mounts, there.own)


def show_result(reference: str, result: ProfileResult) -> None:
    """Print the result, as JSON or as text."""
    found = result.found
    document = {
        "reference": reference,
        "content": str(found.profile.digest),
        "signers": [{"key": key, "signer": signer} for key, signer in found.signers],
        "ignored": list(result.ignored),
        "mounts": list(result.mounts),
        "owners_compared": result.own is None,
        "equal": not result.total,
        "count": result.total,
        "differences": [_renamed(asdict(one)) for one in result.differences],
    }
    sides = (f"the profile {found.profile.digest}", reference)
    write_reports(document, "difference", sides, result.differences, command="verify")
    if flags().json:
        show_json(document)
        return
    if flags().quiet:
        return
    for key, signer in found.signers:
        show(f"profile signed by {signer} ({key})", colour=GREEN)
    if result.ignored:
        show(f"left out: {', '.join(result.ignored)}")
    if result.mounts:
        show(f"left out, as other file systems are mounted there: {', '.join(result.mounts)}", colour=YELLOW)
    if result.own is not None:
        show(f"owners not compared: what belongs to user {result.own} counts as root's", colour=YELLOW)
    for one in result.differences:
        show(f"{one.path}: {describe_difference(one)}")
    if result.total > len(result.differences):
        show(f"and {count(result.total - len(result.differences), 'more difference')}")
    same = "same content"
    if found.profile.config is None:
        same = "same files (a plain mtree text says nothing of the configuration)"
    show(count(result.total, "difference") if result.total else same, colour=RED if result.total else BOLD)


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": row["path"], "what": row["what"], "expected": row["a"], "actual": row["b"]}


def describe_difference(one: Difference) -> str:
    """A difference as text."""
    from converter.cli.diff import value

    if one.what == "entry":
        return f"missing (expected: {one.a})" if one.b is None else f"not in the profile ({one.b})"
    return f"{one.what}: expected {value(one.a)}, actual {value(one.b)}"
