"""``convert``, ``sync`` and ``serve`` as callers from Python have them.

The options of a conversion are keyword arguments, which may be strings as on the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_args, get_origin, get_type_hints

from converter import conversion
from converter.conversion.attachments import ALWAYS, MODES
from converter.errors import Usage
from converter.events import Report
from converter.keyword_names import in_python, naming_keywords, reporting_keywords
from converter.model.content import Compression
from converter.model.limits import enforce_limits
from converter.model.platform import ALL_PLATFORMS, Platform
from converter.model.reference import Location, Reference
from converter.signing import Signing
from converter.stores import StoreOptions
from converter.transform.changes import check_instructions
from converter.verification.wanted import Wanted

if TYPE_CHECKING:
    from converter.conversion.sync import Summary
    from converter.serving import Server


class Keywords(TypedDict, total=False):
    """The fields of Options. ``compress`` may be a string as on the command line, paths may be strings, and a single
    value may stand for several.
    """

    to: str
    platforms: str | Platform | Iterable[str | Platform]
    compress: Compression | str | None
    squash: bool
    layered: bool
    all_images: bool
    called: str
    aci_paths: str | PathLike[str] | Iterable[str | PathLike[str]]
    preserve_digests: bool
    strict: bool
    dry_run: bool
    overwrite: bool
    epoch: int | None
    jobs: int
    attachments: bool
    remove_signatures: bool
    wanted: Wanted | None
    signing: Signing | None
    origin: str
    content_trust: Mapping[str, bytes]
    rkt_dev_links: bool
    changes: str | Iterable[str]
    download_foreign: bool
    cache: str | PathLike[str] | None
    cache_blobs: int
    link: bool
    store: StoreOptions
    target_store: StoreOptions | None


@naming_keywords()
def convert(
    source: Reference, *destinations: Reference, report: Report | None = None, **keywords: Unpack[Keywords]
) -> conversion.Result:
    """Convert the image at ``source`` to every destination, reading it once.

    References are ``TRANSPORT:LOCATION``, as on the command line, or a path to read, whose format its content decides.
    Keywords are the fields of ``Options``; ``compress`` and paths may be strings: ``to="docker"``,
    ``platforms="linux/arm64"``, ``compress="zstd"``, ``strict=True``, ``dry_run=True`` and others. ``report`` may be
    called from several threads at once; an exception from it ends the conversion. Conversions may run concurrently.
    Raises a ConverterError, in which case no destination has changed, or TypeError for invalid arguments.
    """
    return conversion.convert(source, destinations, options_from(keywords), reporting_keywords(report))


@naming_keywords()
def sync(
    source: Reference,
    destination: Reference,
    *,
    rename: str = "",
    images: int | None = None,
    per_host: int | None = None,
    keep_going: bool = False,
    report: Report | None = None,
    **keywords: Unpack[Keywords],
) -> Summary:
    """Convert every image at ``source``, such as a repository, a layout or a registry, to a place in ``destination``.

    What is there already is not sent again, and what images share is read once. ``rename`` is the template of a name at
    the destination, ``images`` how many to process at a time, ``per_host`` how many requests to send to a host at once;
    the other keywords are those of ``convert``. A failed image is an outcome, not an error; without ``keep_going`` no
    further one is begun. Raises Usage, before anything is written, if two images would get the same name.
    """
    from converter.conversion.sync import sync as run
    from converter.conversion.sync.sync_file import SyncEntry, check_template

    options = options_from({**keywords, "all_images": False})  # each job is one image
    entries = [
        SyncEntry(
            source=Location.parse(source),
            to=Location.parse(destination),
            rename=check_template(rename),
            options=options,
        )
    ]
    with enforce_limits(options.store.limits):
        summary = run(
            entries,
            reporting_keywords(report),
            images=images,
            per_host=per_host,
            keep_going=keep_going,
            cache=options.cache,
        )
    return replace(summary, outcomes=tuple(replace(one, error=in_python(one.error)) for one in summary.outcomes))


@naming_keywords()
def serve(
    *sources: Reference,
    folder: Reference,
    shared: Reference | None = None,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    rename: str = "",
    store_size: int | None = None,
    certificate: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    insecure: bool = False,
    report: Report | None = None,
    **keywords: Unpack[Keywords],
) -> Server:
    """A read-only registry over every image at the sources, for ``start`` and ``stop``, or as a context manager.

    ``folder`` is for what is converted, at most ``store_size`` bytes of it; ``shared`` is the repository of a registry
    in which other servers find it too; port 0 is any that is free, and ``host`` of the result says which. A host other
    than this machine needs a ``certificate`` and its ``key`` (PEM), or ``insecure``. ``rename`` is the template of a
    name; the other keywords are those of
    ``convert``, but that all platforms are served unless ``platforms`` says which. Needs ``transship[serve]``. Raises
    Usage, NotFound, Unsupported.
    """
    from converter.conversion.sync.sync_file import SyncEntry, check_template
    from converter.serving import Server, ServerSettings
    from converter.serving.catalogue import PLACE

    options = options_from(keywords)
    options = replace(options, all_images=False, platforms=options.platforms or ALL_PLATFORMS)
    entries = [
        SyncEntry(source=Location.parse(one), to=PLACE, rename=check_template(rename), options=options)
        for one in sources
    ]
    bounds: dict[str, Any] = {} if store_size is None else {"store_size": store_size}
    settings = ServerSettings(
        host=listen[0],
        port=listen[1],
        store=Path(folder),
        shared=None if shared is None else Location.parse(shared),
        certificate=None if certificate is None else Path(certificate),
        key=None if key is None else Path(key),
        insecure=insecure,
        **bounds,
    )
    return Server(entries, settings, options, report=reporting_keywords(report))


def options_from(keywords: Keywords) -> conversion.Options:
    """The Options for the keywords.

    Raises TypeError for an unknown keyword or a value of the wrong type, Usage for a meaningless value.
    """
    values: dict[str, Any] = dict(keywords)
    _check_types(values)
    if isinstance(values.get("compress"), str):
        values["compress"] = Compression.parse(values["compress"])
    values["platforms"] = tuple(map(str, _several(values.get("platforms", ()))))
    values["changes"] = check_instructions(_several(values.get("changes", ())))
    values["aci_paths"] = tuple(map(Path, _several(values.get("aci_paths", ()))))
    if values.get("cache") is not None:
        values["cache"] = Path(values["cache"])
    return conversion.Options(**values)


def _check_types(values: Mapping[str, Any]) -> None:
    hints = get_type_hints(Keywords)
    for name, value in values.items():
        if name not in hints:
            raise TypeError(f'unknown keyword "{name}" (one of: {", ".join(hints)})')
        hint = hints[name]
        kinds = [get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
        if not isinstance(value, tuple(kinds)):
            expected = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} is {value!r}: expected {expected}")
        if isinstance(value, int) and value < 0:
            raise Usage(f"{name} is {value}: expected 0 or more")
    if values.get("origin", ALWAYS) not in MODES:
        raise Usage(f'unknown origin "{values["origin"]}" (one of: {", ".join(MODES)})')


def _several(value: Any) -> Iterable[Any]:
    return (value,) if isinstance(value, str | PathLike | Platform) else value
