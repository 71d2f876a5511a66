"""``transship verify REF --profile``: whether an image or a tree has the content that a profile states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli.environment import store
from converter.cli.flags import flags
from converter.cli.profile import taken
from converter.cli.text import BOLD, GREEN, RED, count, show, show_json
from converter.model.reference import Location
from converter.profile.comparison import as_process, compare
from converter.profile.contents import Scope
from converter.profile.file import Found, load

if TYPE_CHECKING:
    from converter.diff import Difference
    from converter.verification import Wanted

EQUAL, DIFFERENT, UNKNOWN = range(3)
MOST = 10_000
"""The most differences that are shown; all are counted."""


def verify_profile(reference: str, profile: str, wanted: Wanted, scope: Scope, aci_paths: tuple[Path, ...]) -> int:
    """Print every difference, and return the exit status. Raises Untrusted for a statement that is not signed as asked.

    A profile that says which paths it leaves out decides that; ``scope`` is for one that does not.
    """
    flags().failed = UNKNOWN
    trusted = wanted.trusted("") if wanted.sources() else None
    found = load(Path(profile), scope, trusted)
    stated = found.profile
    differences: list[Difference] = []
    total = 0
    with taken(reference, wanted.platform or None, stated.scope, store(), aci_paths) as there:
        config: Mapping[str, Any] | None = there.config
        transport = Location.parse(reference).transport
        if transport == "rootfs":  # a directory or a tar does not say how its container is started
            config = None
        elif transport == "bundle" and stated.config is not None:
            stated, config = replace(stated, config=as_process(stated.config)), as_process(there.config)
        for one in compare(stated, there.contents, config):
            total += 1
            if total <= MOST:
                differences.append(one)
    tell(reference, found, differences, total)
    return DIFFERENT if total else EQUAL


def tell(reference: str, found: Found, differences: list[Difference], total: int) -> None:
    """Print the result, as JSON or as text."""
    if flags().json:
        show_json(
            {
                "reference": reference,
                "content": str(found.profile.digest),
                "signers": [{"key": key, "signer": signer} for key, signer in found.signers],
                "ignored": list(found.profile.scope.ignored),
                "equal": not total,
                "count": total,
                "differences": [_renamed(asdict(one)) for one in differences],
            }
        )
        return
    if flags().quiet:
        return
    for key, signer in found.signers:
        show(f"profile signed by {signer} ({key})", colour=GREEN)
    for one in differences:
        show(f"{one.path}: {sentence(one)}")
    if total > len(differences):
        show(f"and {count(total - len(differences), 'more difference')}")
    show(count(total, "difference") if total else "same content", colour=RED if total else BOLD)


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": row["path"], "what": row["what"], "expected": row["a"], "actual": row["b"]}


def sentence(one: Difference) -> str:
    """A difference as text."""
    from converter.cli.diff import value

    if one.what == "entry":
        return f"missing (expected: {one.a})" if one.b is None else f"not in the profile ({one.b})"
    return f"{one.what}: expected {value(one.a)}, actual {value(one.b)}"
