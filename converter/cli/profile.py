"""``transship profile``: what an image contains, as a text or as a statement that can be signed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.environment import store, store_options
from converter.cli.flags import Decorator, common, flags, together
from converter.cli.heap import share_heap
from converter.cli.image_options import aci_path_option
from converter.cli.progress import progress
from converter.cli.text import json_text, say
from converter.errors import Unsupported, Usage
from converter.model.frozen import frozen
from converter.model.image import Image
from converter.model.platform import Platform
from converter.profile.contents import VOLATILE, Contents, Scope

if TYPE_CHECKING:
    from converter.cli.reading import Opened
    from converter.model.digest import Digest
    from converter.stores import StoreOptions

EXAMPLES = """\b
Examples:
  transship profile oci:app > app.mtree
  transship profile docker://registry.example/app:1 --sign-by cosign.key -o app.profile
  transship verify rootfs:/proc/4711/root --profile app.profile --key cosign.pub
"""

scope_options: Decorator[Any] = together(
    click.option("--times", is_flag=True, help="Modification times count too."),
    click.option("--ignore", "ignored", multiple=True, metavar="PATH", help="Leave out a path and all below it."),
    click.option(
        "--no-default-ignore",
        "everything",
        is_flag=True,
        help=f"Count what engines put into containers as well: {', '.join(VOLATILE)}.",
    ),
)
"""Gives a command the options that say what of a tree counts."""


def scope_of(*, times: bool, ignored: tuple[str, ...], everything: bool) -> Scope:
    """What of a tree counts. Raises Usage for a path that is not absolute."""
    for path in ignored:
        if not path.startswith("/"):
            raise Usage(f"--ignore {path}: the path must begin with /")
    return Scope(ignored=tuple(sorted({*(() if everything else VOLATILE), *ignored})), times=times)


@frozen(kw_only=False)
class Taken:
    """The contents of an image or a tree; ``image`` is None for a tree, which has no configuration."""

    contents: Contents
    image: Image | None
    opened: Opened | None


@click.command("profile", epilog=EXAMPLES)
@click.argument("reference", metavar="REF")
@click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Which image of an index. Default: this machine's.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to a file.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--sign-by", metavar="FILE", help="Sign the statement with a private key (PEM): a DSSE envelope.")
@scope_options
@aci_path_option
@store_options
@common
def command(
    reference: str,
    platform: str | None,
    output: Path | None,
    overwrite: bool,
    sign_by: str | None,
    times: bool,
    ignored: tuple[str, ...],
    everything: bool,
    aci_paths: tuple[Path, ...],
) -> None:
    """Print what REF contains: its flattened file tree as mtree(5) text, the same for one content in any format.

    With --json it is an in-toto statement, which also says how a container is started and what the image is called by;
    with --sign-by, a signed envelope of one. `verify REF --profile FILE` checks an image or a tree against it.
    """
    from converter.profile import statement

    share_heap()
    scope = scope_of(times=times, ignored=ignored, everything=everything)
    with written_to(output, overwrite=overwrite) as write, taken(reference, platform, scope, store(), aci_paths) as found:
        if not flags().json and sign_by is None:
            for line in found.contents.lines():
                write(line)
            return
        if found.image is None or found.opened is None:
            raise Unsupported(f"{reference} is a tree, not an image: convert it first, or leave --json and --sign-by out")
        from converter.diff import run

        document = statement.state(found.contents, run(found.image.config), subjects(found.opened, found.image))
        if sign_by is None:
            write((json_text(document) + "\n").encode())
        else:
            write(envelope(document, sign_by))


def envelope(document: dict[str, Any], key: str) -> bytes:
    """A signed envelope of a statement; raises Unsupported for a key that cannot sign one."""
    import json

    from converter.cli.signers import maker_of
    from converter.trust import dsse
    from converter.trust.makers import CosignKey

    maker = maker_of(key)
    if not isinstance(maker, CosignKey):
        raise Unsupported(f"{key}: an OpenPGP key cannot sign a statement: use a private key in PEM, such as cosign's")
    payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
    return json.dumps(maker.envelope(dsse.STATEMENT, payload)).encode() + b"\n"


@contextmanager
def taken(
    reference: str,
    platform: str | None,
    scope: Scope,
    options: StoreOptions,
    aci_paths: tuple[Path, ...] = (),
) -> Iterator[Taken]:
    """The contents of what a reference names, read once. Raises what reading raises."""
    from converter.cli.diff import watched
    from converter.cli.reading import reading
    from converter.diff import files

    with ExitStack() as stack:
        opened = stack.enter_context(reading(reference, options, aci_paths))
        image = image_of(opened, platform)
        report = stack.enter_context(progress(quiet=flags().quiet))
        listing = stack.enter_context(files(image, watched(report, image)))
        yield Taken(stack.enter_context(Contents(listing, scope)), image, opened)


def image_of(opened: Opened, platform: str | None) -> Image:
    """The image, or the one of an index for a platform. Raises Unsupported, NotFound."""
    from converter.edits import one_platform
    from converter.model.image import Index

    item = opened.item
    if platform or isinstance(item, Index):
        wanted = Platform.parse(platform) if platform else Platform.here()
        item = one_platform(item, wanted, opened.read)
    if not isinstance(item, Image):
        raise Unsupported(f"{opened.reference} is {item}, not an image of files")
    return opened.whole(item)


def subjects(opened: Opened, image: Image) -> Iterator[tuple[str, Digest]]:
    """What the image is called by today: its manifest, its configuration."""
    original = image.original
    root = original.manifest.descriptor.digest if original else opened.root.digest
    yield "manifest", root
