"""``transship profile``: what an image contains, as a text or as a statement that can be signed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.command import Command
from converter.cli.environment import store, store_options
from converter.cli.files import check_writable, write_blocks
from converter.cli.flags import common, flags, hidden, together, told
from converter.cli.heap import share_heap
from converter.cli.image_options import aci_path_option, overwrite_option
from converter.cli.progress import progress
from converter.cli.text import show, show_json
from converter.errors import Unsupported, Usage
from converter.model.digest import Digest
from converter.model.frozen import frozen
from converter.model.image import Image
from converter.model.platform import Platform, host
from converter.profile.contents import VOLATILE, Contents, Scope

if TYPE_CHECKING:
    from converter.cli.reading import OpenedReference
    from converter.stores import StoreOptions

EXAMPLES = """\b
Examples:
  transship profile oci:app > app.mtree
  transship profile docker://registry.example/app:1 --sign-by cosign.key > app.profile
  transship verify rootfs:/proc/4711/root --profile app.profile --key cosign.pub
"""

_GROUP = "scope"

scope_options = together(
    hidden(_GROUP, "--times", is_flag=True, help="Modification times count too."),
    hidden(_GROUP, "--ignore", multiple=True, metavar="PATH", help="Leave out a path and all below it (repeatable)."),
    hidden(
        _GROUP,
        "--no-default-ignore",
        is_flag=True,
        help=f"Count what engines put into containers as well: {', '.join(VOLATILE)}.",
    ),
)
"""Gives a command the options that say what of a tree counts; ``scope()`` returns their value."""


def scope() -> Scope:
    """What of a tree counts. Raises Usage for a path that is not absolute."""
    given = told(_GROUP)
    for path in given["ignore"]:
        if not path.startswith("/"):
            raise Usage(f"--ignore {path}: the path must begin with /")
    usual = () if given["no_default_ignore"] else VOLATILE
    return Scope(ignored=tuple(sorted({*usual, *given["ignore"]})), times=given["times"])


@click.command("profile", cls=Command, epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Which image of an index. Default: this machine's.")
@click.option("--sign-by", metavar="FILE", help="Sign the statement with a private key (PEM): a DSSE envelope.")
@click.option(
    "--output",
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there, not to standard output.",
)
@click.option("--attach", is_flag=True, help="Store the signed statement with the image, where cosign finds it.")
@overwrite_option
@scope_options
@aci_path_option
@store_options
@common
def command(
    reference: str,
    platform: str | None,
    sign_by: str | None,
    aci_paths: tuple[Path, ...],
    **where: Any,
) -> None:
    """Print what REF contains: its flattened file tree as mtree(5) text, the same for one content in any format.

    With --json it is an in-toto statement, which also says how a container is started and what the image is called by;
    with --sign-by, a signed envelope of one. `verify REF --profile FILE` checks an image or a tree against it.
    """
    share_heap()
    output, attach, overwrite = where["output"], where["attach"], where["overwrite"]
    if attach and sign_by is None:
        raise Usage("--attach stores a signed statement: add --sign-by KEY")
    if output is not None:
        check_writable((output,), overwrite=overwrite)
    with taken(reference, platform, store(), aci_paths) as found:
        if sign_by is None and not flags().json:
            blocks: Iterable[bytes] = found.contents(scope()).lines()
        else:
            document = found.statement(scope())
            if sign_by is None:
                blocks = (json.dumps(document, indent=2).encode() + b"\n",)
            else:
                blocks = (envelope(document, sign_by),)
                if attach:
                    store_with(found, document, sign_by)
        if output is not None:
            write_blocks(output, blocks, overwrite=overwrite)
        elif not attach:
            sys.stdout.buffer.writelines(blocks)


def store_with(found: Taken, document: dict[str, Any], key: str) -> None:
    """Store a signed statement with the image, and say where."""
    from converter.profile import statement
    from converter.signing.attesting import attest

    if found.image.original is None:
        raise Unsupported(f"{found.opened.reference} has no manifest of its own to attach to")
    image = found.image.original.manifest.descriptor
    data = envelope(statement.brief(document), key)
    made = attest(found.opened.reference, image, data, statement.PREDICATE, found.opened.store)
    if flags().json:
        show_json({"reference": found.opened.reference, "signatures": [asdict(made)]})
    elif not flags().quiet:
        show(f"attached to {made.covers}: {made.kind} ({made.location})")


def envelope(document: dict[str, Any], key: str) -> bytes:
    """A signed envelope of a statement; raises Unsupported for a key that cannot sign one."""
    from converter.cli.signers import maker_of
    from converter.trust import dsse
    from converter.trust.makers import CosignKey

    maker = maker_of(key)
    if not isinstance(maker, CosignKey):
        raise Unsupported(f"{key}: an OpenPGP key cannot sign a statement: use a private key in PEM, such as cosign's")
    payload = json.dumps(document, separators=(",", ":")).encode()
    return json.dumps(maker.envelope(dsse.STATEMENT, payload)).encode() + b"\n"


@frozen(kw_only=False)
class Taken:
    """An image, and its contents, which are read once for each scope."""

    image: Image
    opened: OpenedReference
    read: dict[Scope, Contents]

    def contents(self, counted: Scope) -> Contents:
        """The files in that scope. Raises what reading raises."""
        from converter.cli.diff import watched
        from converter.diff import files

        if counted not in self.read:
            with progress(quiet=flags().quiet) as report, files(self.image, watched(report, self.image)) as listing:
                self.read[counted] = self.opened.files.enter_context(Contents(listing, counted))
        return self.read[counted]

    @property
    def config(self) -> Mapping[str, Any]:
        """How a container of the image is started."""
        from converter.diff import run

        return run(self.image.config)

    def statement(self, counted: Scope) -> dict[str, Any]:
        """The statement about them."""
        from converter.profile import statement

        return statement.state(self.contents(counted), self.config, subjects(self.opened, self.image))


@contextmanager
def taken(
    reference: str, platform: str | None, options: StoreOptions, aci_paths: tuple[Path, ...] = ()
) -> Iterator[Taken]:
    """What a reference names. Raises what reading raises."""
    from converter.cli.reading import reading

    with reading(reference, options, aci_paths) as opened:
        yield Taken(image_of(opened, platform), opened, {})


def image_of(opened: OpenedReference, platform: str | None) -> Image:
    """The image, or the one of an index for a platform. Raises Unsupported, NotFound."""
    from converter.model.image import Index
    from converter.transform.platforms import one_platform

    item = opened.item
    if platform or isinstance(item, Index):
        item = one_platform(item, Platform.parse(platform) if platform else host(), opened.read)
    if not isinstance(item, Image):
        raise Unsupported(f"{opened.reference} is {item}, not an image of files")
    return opened.whole(item)


def subjects(opened: OpenedReference, image: Image) -> Iterator[tuple[str, Digest]]:
    """What the image is called by today: the digest of its manifest or ACI, and its image ID if that is another."""
    if image.original is None:
        return
    root = image.original.manifest.descriptor.digest
    yield "manifest", root
    if image.original.config is not None:
        yield "image ID", image.original.config.descriptor.digest
    elif image.original.format == "aci":
        from converter.formats.aci.archive import image_id

        yield "image ID", Digest.parse(image_id(opened.source.fetch(opened.root)).replace("-", ":", 1))
