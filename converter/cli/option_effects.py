"""Which options have an effect where: one that would be silently ignored is refused, with the reason.

``PLACES`` says for each option of the command line at which transports it has an effect, ``EXCLUSIVE`` which options
cannot be combined, ``REQUIRES`` which need another one. All others have an effect everywhere. docs/options.md shows the
tables; a test compares both with the options that there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from converter.cli.flags import parameter_name
from converter.errors import ConverterError, Usage
from converter.model.frozen import frozen
from converter.model.reference import Location
from converter.model.transport import reference_start, transports_where

BARE_PATH = ""
"""A path without a transport, as a source."""


@frozen(kw_only=False)
class Place:
    """The transports of the source, or of a destination, where an option has an effect; ``both``: it takes both.

    ``instead`` is the same option for the other end, if it has one.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    why: str
    both: bool = False
    instead: str = ""


_REGISTRY = transports_where(lambda kind: kind.access == "registry")
_NETWORK = transports_where(lambda kind: kind.over_network)
_REMOTE = transports_where(lambda kind: not kind.on_disk)
_REMOTE_WRITTEN = transports_where(lambda kind: not kind.on_disk and kind.is_written)
_FROM_ACI = (*transports_where(lambda kind: kind.has_acis), BARE_PATH)
_TO_ACI = transports_where(lambda kind: kind.has_acis and kind.is_written)
_BLOB_FILES = transports_where(lambda kind: kind.has_blob_files)
_TREE = transports_where(lambda kind: kind.is_tree)
_WRITTEN = transports_where(lambda kind: kind.is_written)
_WEB = Place(_NETWORK, _REGISTRY, "it is for a registry")

PLACES: Mapping[str, Place] = {
    "--authfile": _WEB,
    "--creds": _WEB,
    "--anonymous": _WEB,
    "--cert-dir": _WEB,
    "--tls-verify": _WEB,
    "--retries": _WEB,
    "--timeout": Place(_REMOTE, _REMOTE_WRITTEN, "it is for a registry or an Engine"),
    "--src-creds": Place(_NETWORK, (), "the source is no registry", instead="; for a destination: --dest-creds"),
    "--src-cert-dir": Place(_NETWORK, (), "the source is no registry", instead="; for a destination: --dest-cert-dir"),
    "--src-tls-verify": Place(
        _NETWORK, (), "the source is no registry", instead="; for a destination: --dest-tls-verify"
    ),
    "--dest-creds": Place((), _REGISTRY, "no destination is a registry", instead="; for a source: --src-creds"),
    "--dest-cert-dir": Place((), _REGISTRY, "no destination is a registry", instead="; for a source: --src-cert-dir"),
    "--dest-tls-verify": Place(
        (), _REGISTRY, "no destination is a registry", instead="; for a source: --src-tls-verify"
    ),
    "--devices": Place((), _TREE, "only rootfs: and bundle: have device nodes"),
    "--layered": Place((), _TO_ACI, "only aci: can be one file a layer"),
    "--rkt-dev-links": Place((), _TO_ACI, "only an ACI has them"),
    "--compress": Place((), _WRITTEN, "a tree has no layers"),
    "--aci-path": Place(_FROM_ACI, _TO_ACI, "only an ACI has dependencies"),
    "--download-foreign": Place(_REGISTRY, (), "only a registry tells where foreign layers are"),
    "--link": Place((*_BLOB_FILES, BARE_PATH), _BLOB_FILES, "only oci: and dir: have files to share", both=True),
}

EXCLUSIVE: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "convert": (
        ("--squash", "--layered", "one is a single layer, the other one ACI for each"),
        ("--dry-run", "--digestfile", "a dry run writes nothing"),
        ("--no-cache", "--cache-blobs", "blobs are kept in the cache"),
        ("--no-attachments", "--origin", "an origin record is an attachment"),
        ("--no-attachments", "--content-trust", "what it attaches would be left behind"),
        ("--remove-signatures", "--content-trust", "what it attaches would be removed"),
        ("--anonymous", "--creds", "one sends credentials, the other none"),
        ("--anonymous", "--authfile", "one sends credentials, the other none"),
        ("--creds", "--authfile", "both say which credentials to send"),
    ),
    "sync": (
        ("--anonymous", "--creds", "one sends credentials, the other none"),
        ("--anonymous", "--authfile", "one sends credentials, the other none"),
    ),
    "serve": (
        ("--anonymous", "--creds", "one sends credentials, the other none"),
        ("--anonymous", "--authfile", "one sends credentials, the other none"),
    ),
    "validate": (("--format", "--json", "both say how to print"),),
    "ls": (("--long", "--json", "the JSON always has everything"),),
    "cat": (("--json", "PATH", "the file is printed as it is"),),
    "completion": (("--json", "SHELL", "the script is printed as it is"),),
    "profile": (("--sign-by", "--json", "an envelope is JSON already"),),
}
"""For each command, pairs of options (or an argument) that cannot be combined, and why."""

REQUIRES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "convert": (("--sign-identity", "--sign-by", "nothing is signed"),),
    "sync": (("--sign-identity", "--sign-by", "nothing is signed"),),
    "verify": (
        ("--times", "--profile", "only a profile has times"),
        ("--ignore", "--profile", "only a profile has paths"),
        ("--no-default-ignore", "--profile", "only a profile has paths"),
        ("--certificate-identity", "--certificate-chain", "no certificate is looked at"),
    ),
}
"""For each command, options that need another one, and why."""

SOURCES = ("source", "sources", "reference", "first", "second", "targets")
TARGETS = ("destinations", "destination")

SYNC_FILES = (".yaml", ".yml", ".json")
"""What the names of files of ``sync`` end in."""


def check_options(context: click.Context) -> None:
    """Raise Usage for the first option on the command line that would have no effect."""
    command = str(context.info_name)
    given = _stated_options(context)
    for one, other, why in EXCLUSIVE.get(command, ()):
        if one in given and other in given:
            raise Usage(f"{one} and {other} mean nothing together: {why}" if other.startswith("-") else f"{one}: {why}")
    for one, other, why in REQUIRES.get(command, ()):
        if one in given and other not in given:
            raise Usage(f"{one} means nothing without {other}: {why}")
    sources, targets = _locations(context.params, SOURCES), _locations(context.params, TARGETS)
    if sources is None or context.params.get("configs"):
        return  # a file names them
    if command == "serve":
        targets = [*_REGISTRY]  # what is served is one
    check_places(context, sources, targets or ())


def check_places(context: click.Context, sources: Iterable[str], targets: Collection[str]) -> None:
    """Raise Usage for the first option that would have no effect at any of these transports."""
    given = _stated_options(context)
    for one, place in PLACES.items():
        there = bool({*sources} & {*place.source}), bool({*targets} & {*place.target})
        has_effect = all(there) if place.both else any(there)
        if one in given and not has_effect:
            where = _where(place, has_target=bool(targets))
            raise Usage(f"{one} has no effect here: {place.why}{where}{place.instead}")


def _where(place: Place, *, has_target: bool) -> str:
    ends = [("a source", place.source), ("a destination", place.target)] if has_target else [("", place.source)]
    starts = [(end, [reference_start(one) or "a path" for one in there]) for end, there in ends]
    offers = [f"{end} {' or '.join(there)}".strip() for end, there in starts if there]
    return f" (it takes {(' and ' if place.both else ' or ').join(offers)})" if offers else ""


def _stated_options(context: click.Context) -> set[str]:
    """The options and arguments that the command line states, by the longest name of those it can have."""
    given = set()
    for one in context.command.params:
        if one.name and context.get_parameter_source(one.name) == click.core.ParameterSource.COMMANDLINE:
            switched_off = context.params.get(one.name) is False and one.secondary_opts
            given.add(max(one.secondary_opts, key=len) if switched_off else parameter_name(one))
    return given


def references(params: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The references among the arguments that have these names."""
    found: list[str] = []
    for name in names:
        value = params.get(name)
        found += value if isinstance(value, tuple) else [value] if value else []
    return found


def _locations(params: Mapping[str, Any], names: Sequence[str]) -> list[str] | None:
    """The transports of the references among the arguments; None if a file of ``sync`` names them."""
    texts = references(params, names)
    if "rename" in params and any(Path(text).suffix.lower() in SYNC_FILES for text in texts):
        return None
    return [_transport(text) for text in texts]


def _transport(text: str) -> str:
    try:
        return Location.parse(text).transport
    except ConverterError:
        return BARE_PATH  # an error in it is reported where it is used
