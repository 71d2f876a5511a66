"""``transship verify REF --profile``: whether an image or a tree has the content that a profile states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli.environment import store_from_options
from converter.cli.flags import flags
from converter.cli.profile import ignored_paths
from converter.cli.profile_subject import owner_without_rights, profiled
from converter.cli.report_files import write_reports
from converter.cli.text import BOLD, GREEN, RED, YELLOW, show, show_json
from converter.errors import Usage, count
from converter.profile.contents import Scope
from converter.verification.profile_check import ProfileResult, check_profile

if TYPE_CHECKING:
    from converter.compare_images import Difference
    from converter.verification.wanted import Wanted

ATTACHED = "attached"
"""Stands for the profiles that are stored with the image, in place of the name of a file."""

EQUAL, DIFFERENT, UNKNOWN = range(3)


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
        file = None if profile == ATTACHED else Path(profile)
        result = check_profile(there, file, wanted, scope, ignored_paths())
    show_result(reference, result)
    return DIFFERENT if result.total else EQUAL


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
        "root_mode_compared": not any(one.what == "mode" for one in result.by_engine),
        "made_by_engine": [one.path for one in result.by_engine if one.what == "entry"],
        "equal": not result.total,
        "count": result.total,
        "differences": [_renamed(one.to_json()) for one in result.differences],
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
    for one in result.by_engine:
        if one.what == "mode":
            show(f"mode of {one.path} not compared: it is {one.b}, as podman makes it", colour=YELLOW)
        else:
            show(f"{one.path} not compared: engines make it for files of their own", colour=YELLOW)
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
