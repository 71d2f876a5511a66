"""``transship profile``: what an image contains, as a text or a statement; ``verify --profile`` compares with one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.commands import LayerCommand
from converter.cli.flags import FilePath, combine_options, common, flags, hidden_option, hidden_values
from converter.cli.progress import progress
from converter.cli.shared_options import (
    aci_path_option,
    check_outputs,
    overwrite_option,
    store_from_options,
    store_options,
    this_platform_option,
    write_file,
    write_reports,
)
from converter.cli.text import BOLD, GREEN, RED, YELLOW, Part, show_as_asked
from converter.errors import Unsupported, Usage, count, within
from converter.events import Finished, Moved
from converter.model.descriptor import Digest
from converter.model.document import shown_value
from converter.model.image import Image, Index
from converter.model.platform import host_platform
from converter.model.reference import Location
from converter.profile import statement
from converter.profile.contents import IGNORED_BY_DEFAULT, Contents, Scope, of_layers
from converter.stores import StoreOptions, open_source, recognised
from converter.streams.blocks import Blocks
from converter.system import cores

if TYPE_CHECKING:
    from converter.compare_images import Difference
    from converter.opened_reference import OpenedReference
    from converter.stores.rootfs import RootfsSource
    from converter.verification.profile_check import ProfileResult
    from converter.verification.unverified import StoredImage
    from converter.verification.wanted import Wanted

EXAMPLES = """\b
Examples:
  transship profile oci:app > app.mtree
  transship profile docker://registry.example/app:1 --sign-by cosign.key > app.profile
  transship verify rootfs:/proc/4711/root --profile app.profile --key cosign.pub
"""

ATTACHED = "attached"
"""Stands for the profiles that are stored with the image, in place of the name of a file."""

EQUAL, DIFFERENT, UNKNOWN = range(3)

_GROUP = "scope"

scope_options = combine_options(
    hidden_option(_GROUP, "--times", is_flag=True, help="Include modification times."),
    hidden_option(
        _GROUP,
        "--ignore",
        multiple=True,
        metavar="PATH",
        help="Leave out a path and all below it; of /, only the directory itself (repeatable).",
    ),
    hidden_option(
        _GROUP,
        "--no-default-ignore",
        is_flag=True,
        help=f"Include what engines put into containers: {', '.join(IGNORED_BY_DEFAULT)}.",
    ),
)
"""Gives a command the options that say which part of a tree counts; ``scope()`` returns their value."""


def scope() -> Scope:
    """The part of a tree that counts. Raises Usage for a path that is not absolute."""
    given = hidden_values(_GROUP)
    for path in given["ignore"]:
        if not path.startswith("/"):
            raise Usage(f"--ignore {path}: the path must begin with /")
    usual = () if given["no_default_ignore"] else IGNORED_BY_DEFAULT
    return Scope(ignored=tuple(sorted({*usual, *given["ignore"]})), times=given["times"])


@click.command("profile", cls=LayerCommand, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@this_platform_option
@click.option("--sign-by", metavar="FILE", help="Sign the statement with a private key (PEM): a DSSE envelope.")
@click.option(
    "--output",
    "-o",
    "output",
    type=FilePath(),
    metavar="FILE",
    help="Write to this file, not to standard output.",
)
@click.option("--attach", is_flag=True, help="Store the signed statement with the image (where cosign finds it).")
@overwrite_option
@scope_options
@aci_path_option
@store_options
@common
def command(
    reference: str,
    platform: str | None,
    sign_by: str | None,
    output: Path | None,
    aci_paths: tuple[Path, ...],
    *,
    attach: bool,
    overwrite: bool,  # noqa: ARG001 - what is written asks for it
) -> None:
    """Print what REF contains: its flattened file tree as mtree(5) text, which is the same in any format.

    With --json it is an in-toto statement, which also says how a container is started and which digests the image has.
    With --sign-by it is a signed envelope of a statement. `verify REF --profile FILE` compares an image or a tree
    with it.
    """
    if attach and sign_by is None:
        raise Usage("--attach stores a signed statement: add --sign-by KEY")
    check_outputs(output)
    with profiled(reference, platform, store_from_options(), aci_paths) as found:
        if sign_by is not None:
            document = statement.make_statement(*found.stated(scope()))
            blocks: Blocks = (envelope(document, sign_by),)
            if attach:
                store_with(found, document, sign_by)
        elif flags().json:
            blocks = statement.write_statement(*found.stated(scope()))
        else:
            blocks = found.contents(scope()).blocks()
        if output is not None:
            write_file(output, blocks)
        elif not attach:
            sys.stdout.buffer.writelines(blocks)  # unchanged on terminals too: it is a document


def store_with(found: Profiled, document: dict[str, Any], key: str) -> None:
    """Store a signed statement with the image, and say where."""
    from converter.signing import attest

    if found.image.original is None:
        raise Unsupported(f"{found.reference} has no manifest of its own to attach to")
    image = found.image.original.manifest.descriptor
    data = envelope(statement.without_text(document), key)
    made = attest(found.reference, image, data, statement.PREDICATE, found.store)
    text = f"attached to {made.covers}: {made.kind} ({made.location})"
    show_as_asked({"reference": found.reference, "signatures": [asdict(made)]}, [(text, "")])


def envelope(document: dict[str, Any], key: str) -> bytes:
    """A signed envelope of a statement; raises Unsupported for a key that cannot sign one."""
    from converter.cli.signature_options import maker_of
    from converter.trust import cosign
    from converter.trust.makers import CosignKey

    maker = maker_of(key)
    if not isinstance(maker, CosignKey):
        raise Unsupported(
            f"{key} is no private key in PEM, such as cosign's: a statement cannot be signed with OpenPGP"
        )
    payload = json.dumps(document, separators=(",", ":")).encode()
    return json.dumps(maker.envelope(cosign.STATEMENT, payload)).encode() + b"\n"


class Profiled:
    """An image, or a deployed tree. Its contents are read once for each scope.

    In a directory, files of the user ``own`` whose owner nobody has recorded count as root's.
    """

    def __init__(
        self,
        reference: str,
        platform: str | None,
        options: StoreOptions,
        aci_paths: tuple[Path, ...],
        files: ExitStack,
    ) -> None:
        self.reference = reference
        self.store = options
        self.own: int | None = None
        self._platform = platform
        self._aci_paths = aci_paths
        self._files = files
        self._read: dict[Scope, Contents] = {}
        location = Location.parse(reference)
        self.source = files.enter_context(open_source(location, options))
        self.location = recognised(location, self.source)

    def contents(self, counted: Scope) -> Contents:
        """The files in that scope, without what is mounted over them. Raises what reading raises."""
        if counted not in self._read:
            self._read[counted] = self._files.enter_context(self._contents(counted))
        return self._read[counted]

    @cached_property
    def opened(self) -> OpenedReference:
        """The image's documents; for a directory, all files are read to know its digest."""
        from converter.opened_reference import opened_from

        return opened_from(self.source, self.reference, self.store, self._files, self._aci_paths)

    @property
    def stored(self) -> StoredImage:
        """The same, as verification takes it."""
        from converter.verification.unverified import StoredImage

        return StoredImage(self.source, self.location, self.opened.root)

    @cached_property
    def image(self) -> Image:
        """The image, or the one of an index for a platform. Raises Unsupported, NotFound."""
        return image_of(self.opened, self._platform)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """How a container of it is started."""
        from converter.compare_images import run_config

        if not self.location.kind.is_tree:
            return run_config(self.image.config)
        from converter.formats.container_config import from_json

        return run_config(from_json(self._tree.members).image.config)

    def stated(self, counted: Scope) -> tuple[Contents, Mapping[str, Any], Iterator[tuple[str, Digest]]]:
        """What the statement about it says."""
        return self.contents(counted), self.config, self._subjects()

    def _contents(self, counted: Scope) -> Contents:
        with progress() as report:
            if self.directory is not None:
                from converter.profile.directory_contents import of_directory

                def moved(size: int) -> None:
                    report(Moved("files", size))

                with within(self.reference):
                    found = of_directory(self.directory, counted, cores(), moved, self.own)
                report(Finished("files", -1))
                return found
            from converter.compare_images import file_tree
            from converter.compare_references import watched

            with file_tree(self.image, watched(report, self.image)) as listing:
                return of_layers(listing, counted)

    @property
    def directory(self) -> Path | None:
        """Where the files are, if they are in a directory."""
        return self._tree.directory if self.location.kind.is_tree else None

    @property
    def _tree(self) -> RootfsSource:
        from converter.stores.rootfs import RootfsSource

        assert isinstance(self.source, RootfsSource)
        return self.source

    def _subjects(self) -> Iterator[tuple[str, Digest]]:
        """The image's current names: the digest of its manifest or ACI, and its image ID if that is another.

        A directory has none: it is no image yet.
        """
        if self.directory is not None:
            return
        original = self.image.original
        if original is None:
            return
        yield "manifest", original.manifest.descriptor.digest
        from converter.cli.image_rows import image_id_of

        if found := image_id_of(replace(self.opened, item=self.image)):
            yield "image ID", Digest.parse(found.replace("-", ":", 1))


def image_of(opened: OpenedReference, platform: str | None) -> Image:
    """The image, or the one of an index for a platform. Raises Unsupported; NotFound for an image of another one."""
    from converter.transform import select_platforms

    item = opened.item
    with within(opened.reference):
        if platform or isinstance(item, Index):
            item = select_platforms(item, (platform or str(host_platform()),), opened.read)
        if not isinstance(item, Image):
            raise Unsupported(f"{item} has no files that can be read")
    return opened.whole(item)


@contextmanager
def profiled(
    reference: str, platform: str | None, options: StoreOptions, aci_paths: tuple[Path, ...] = ()
) -> Iterator[Profiled]:
    """Open a reference. Raises what ``converter.open_image`` raises."""
    with ExitStack() as files:
        yield Profiled(reference, platform, options, aci_paths, files)


def owner_without_rights(directory: Path | None) -> int | None:
    """The user who reads the directory, if he owns it and, not being root, could give none of its files away."""
    user = os.geteuid()
    with suppress(OSError):
        if directory is not None and user and directory.stat().st_uid == user:
            return user
    return None


def verify_profile(reference: str, profile: str, wanted: Wanted, scope: Scope, aci_paths: tuple[Path, ...]) -> int:
    """Print every difference, and return the exit status. Raises Untrusted for a statement that is not signed as asked.

    A profile that says which paths it leaves out decides that; ``scope`` is for one that does not. The paths of
    ``--ignore`` are left out of both.
    """
    from converter.verification.profile_check import check_profile

    flags().failed = UNKNOWN
    if wanted.require:
        raise Usage(f"--require {min(wanted.require)} cannot be used with --profile")
    with profiled(reference, wanted.platform or None, store_from_options(), aci_paths) as there:
        there.own = owner_without_rights(there.directory)
        file = None if profile == ATTACHED else Path(profile)
        result = check_profile(there, file, wanted, scope, tuple(hidden_values(_GROUP)["ignore"]))
    show_result(reference, result, there.own)
    return DIFFERENT if result.total else EQUAL


def show_result(reference: str, result: ProfileResult, own: int | None) -> None:
    """Print the result, as JSON or as text. ``own`` is as of Profiled."""
    found = result.found
    document = {
        "reference": reference,
        "content": str(found.profile.digest),
        "signers": [{"key": key, "signer": signer} for key, signer in found.signers],
        "ignored": list(result.ignored),
        "mounts": list(result.mounts),
        "owners_compared": own is None,
        "root_mode_compared": not any(one.what == "mode" for one in result.by_engine),
        "made_by_engine": [one.path for one in result.by_engine if one.what == "entry"],
        "equal": not result.total,
        "count": result.total,
        "differences": [
            {"path": one.path, "what": one.what, "expected": one.a, "actual": one.b} for one in result.differences
        ],
    }
    sides = (f"the profile {found.profile.digest}", reference)
    write_reports(document, "pages.difference", sides, result.differences, command="verify")
    show_as_asked(document, _lines(result, own))


def _lines(result: ProfileResult, own: int | None) -> Iterator[Part]:
    """The result as text."""
    found = result.found
    for key, signer in found.signers:
        yield f"profile signed by {signer} ({key})", GREEN
    if result.ignored:
        yield f"left out: {', '.join(result.ignored)}", ""
    if result.mounts:
        yield f"left out, as other file systems are mounted there: {', '.join(result.mounts)}", YELLOW
    if own is not None:
        yield f"owners not compared: what belongs to user {own} counts as root's", YELLOW
    for one in result.by_engine:
        if one.what == "mode":
            yield f"mode of {one.path} not compared: it is {one.b}, as podman makes it", YELLOW
        else:
            yield f"{one.path} not compared: engines make it for files of their own", YELLOW
    for one in result.differences:
        yield f"{one.path}: {_described(one)}", ""
    if result.total > len(result.differences):
        yield f"and {count(result.total - len(result.differences), 'more difference')}", ""
    same = "same content"
    if found.profile.config is None:
        same = "same files (a plain mtree text says nothing of the configuration)"
    yield count(result.total, "difference") if result.total else same, RED if result.total else BOLD


def _described(one: Difference) -> str:
    """A difference as text."""
    if one.what == "entry":
        return f"missing (expected: {one.a})" if one.b is None else f"not in the profile ({one.b})"
    return f"{one.what}: expected {shown_value(one.a)}, actual {shown_value(one.b)}"
