"""Moves the contents of a container image from one format to another, intact.

These are the public names, each imported on first use. Anything not listed here may change.

    >>> import converter
    >>> converter.convert("docker-archive:app.tar", "oci:out:latest")
    >>> converter.diff("app.tar", "oci:out:latest")
    >>> converter.names("oci:out")
    >>> converter.open_image("oci:out:latest")
    >>> converter.serve("oci:out", folder="kept").start()
    >>> converter.sync("docker://registry.example/app", "oci:mirror")
    >>> converter.validate_document(b"{}", kind="oci-manifest")
    >>> converter.validate_image("oci:out:latest").findings
    >>> converter.verify("oci:out:latest", converter.Wanted(keys=keys))
"""

from __future__ import annotations

from converter.version import __version__

TYPE_CHECKING = False  # as in ``typing``, which takes longer to import than all else that ``--version`` needs
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Unpack

    from converter.compare_images import Difference
    from converter.compare_references import diff
    from converter.conversion import LayerResult, Options, Result, TargetResult
    from converter.conversion.keywords import Keywords
    from converter.conversion.sync import Outcome, Summary
    from converter.errors import (
        AlreadyExists,
        CalledOff,
        ConverterError,
        Denied,
        DigestMismatch,
        Invalid,
        LimitExceeded,
        LossRefused,
        NotFound,
        StorageFailed,
        Unreachable,
        Unsupported,
        Untrusted,
        Usage,
    )
    from converter.events import Event, Failed, Finished, Moved, Planned, Report, Started, Warned
    from converter.model.content import Compression, Known, Layer
    from converter.model.descriptor import Descriptor, Digest
    from converter.model.image import Artifact, Image, Index, Loss
    from converter.model.limits import Limits
    from converter.model.platform import Platform
    from converter.model.reference import Reference
    from converter.opened_reference import open_image
    from converter.schema import Finding
    from converter.serving import Server
    from converter.signing import Signed, Signing, sign
    from converter.stores import StoreOptions, names
    from converter.trust.makers import CosignKey, GpgFile, GpgUser
    from converter.validate import Verdict, validate_document, validate_image
    from converter.verification.judgement import Judgement
    from converter.verification.verifying import verify
    from converter.verification.wanted import Wanted

__all__ = [
    "AlreadyExists",
    "Artifact",
    "CalledOff",
    "Compression",
    "ConverterError",
    "CosignKey",
    "Denied",
    "Descriptor",
    "Difference",
    "Digest",
    "DigestMismatch",
    "Event",
    "Failed",
    "Finding",
    "Finished",
    "GpgFile",
    "GpgUser",
    "Image",
    "Index",
    "Invalid",
    "Judgement",
    "Known",
    "Layer",
    "LayerResult",
    "LimitExceeded",
    "Limits",
    "Loss",
    "LossRefused",
    "Moved",
    "NotFound",
    "Options",
    "Outcome",
    "Planned",
    "Platform",
    "Report",
    "Result",
    "Server",
    "Signed",
    "Signing",
    "Started",
    "StorageFailed",
    "StoreOptions",
    "Summary",
    "TargetResult",
    "Unreachable",
    "Unsupported",
    "Untrusted",
    "Usage",
    "Verdict",
    "Wanted",
    "Warned",
    "__version__",
    "convert",
    "diff",
    "names",
    "open_image",
    "serve",
    "sign",
    "sync",
    "validate_document",
    "validate_image",
    "verify",
]

_HOMES = {
    "converter.conversion.sync": ("Outcome", "Summary"),
    "converter.conversion": ("LayerResult", "Options", "Result", "TargetResult"),
    "converter.compare_images": ("Difference",),
    "converter.compare_references": ("diff",),
    "converter.opened_reference": ("open_image",),
    "converter.events": ("Event", "Failed", "Finished", "Moved", "Planned", "Report", "Started", "Warned"),
    "converter.model.content": ("Compression", "Descriptor", "Digest", "Known", "Layer"),
    "converter.model.image": ("Artifact", "Image", "Index", "Loss"),
    "converter.model.limits": ("Limits",),
    "converter.model.platform": ("Platform",),
    "converter.schema": ("Finding",),
    "converter.serving": ("Server",),
    "converter.signing": ("Signed", "Signing", "sign"),
    "converter.stores": ("StoreOptions", "names"),
    "converter.trust.makers": ("CosignKey", "GpgFile", "GpgUser"),
    "converter.validate": ("Verdict", "validate_document", "validate_image"),
    "converter.verification.judgement": ("Judgement",),
    "converter.verification.verifying": ("verify",),
    "converter.verification.wanted": ("Wanted",),
}
"""The modules that define the public names; names not listed are in ``converter.errors``."""

_FUNCTIONS = ("diff", "names", "open_image", "sign", "validate_document", "validate_image", "verify")
"""Those whose errors are to name keywords."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}


def convert(
    source: Reference, *destinations: Reference, report: Report | None = None, **keywords: Unpack[Keywords]
) -> Result:
    """Convert the image at ``source`` to every destination, reading it once.

    References are ``TRANSPORT:LOCATION``, as on the command line, or a path to read, whose format its content decides.
    Keywords are the fields of ``Options``; ``compress`` and paths may be strings: ``to="docker"``,
    ``platforms="linux/arm64"``, ``compress="zstd"``, ``strict=True``, ``dry_run=True`` and others. ``report`` may be
    called from several threads at once; an exception from it ends the conversion. Conversions may run concurrently.
    Raises a ConverterError, in which case no destination has changed, or TypeError for invalid arguments.
    """
    from converter.conversion import convert as run
    from converter.conversion.keywords import options_from
    from converter.keyword_names import naming_keywords, reporting_keywords

    with naming_keywords():
        return run(source, destinations, options_from(keywords), reporting_keywords(report))


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
    from dataclasses import replace

    from converter.conversion.keywords import options_from
    from converter.conversion.sync import Run
    from converter.conversion.sync import sync as run
    from converter.conversion.sync.sync_file import SyncEntry, check_template
    from converter.keyword_names import in_python, naming_keywords, reporting_keywords
    from converter.model.limits import enforce_limits
    from converter.model.reference import Location

    options = options_from({**keywords, "all_images": False})  # each job is one image
    place, to = Location.parse(source), Location.parse(destination)
    entries = [SyncEntry(source=place, to=to, rename=check_template(rename), options=options)]
    bounds = Run(images=images, per_host=per_host, keep_going=keep_going, cache=options.cache)
    with enforce_limits(options.store.limits), naming_keywords():
        summary = run(entries, bounds, reporting_keywords(report))
    return replace(summary, outcomes=tuple(replace(one, error=in_python(one.error)) for one in summary.outcomes))


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
    from dataclasses import replace
    from pathlib import Path

    from converter.conversion.keywords import options_from
    from converter.conversion.sync.sync_file import SyncEntry, check_template
    from converter.keyword_names import naming_keywords, reporting_keywords
    from converter.model.platform import ALL_PLATFORMS
    from converter.model.reference import Location
    from converter.serving import Server, ServerSettings
    from converter.serving.catalogue import PLACE

    options = options_from(keywords)
    options = replace(options, all_images=False, platforms=options.platforms or ALL_PLATFORMS)
    entries = [
        SyncEntry(source=Location.parse(one), to=PLACE, rename=check_template(rename), options=options)
        for one in sources
    ]
    settings = ServerSettings(
        host=listen[0],
        port=listen[1],
        store=Path(folder),
        shared=None if shared is None else Location.parse(shared),
        certificate=None if certificate is None else Path(certificate),
        key=None if key is None else Path(key),
        insecure=insecure,
    )
    if store_size is not None:
        settings = replace(settings, store_size=store_size)
    with naming_keywords():
        return Server(entries, settings, options, report=reporting_keywords(report))


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME.get(name, "converter.errors")), name)
    if name in _FUNCTIONS:
        from converter.keyword_names import naming_keywords

        value = naming_keywords()(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
