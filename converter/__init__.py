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
    from typing import Any

    from converter.compare_images import Difference
    from converter.compare_references import diff
    from converter.conversion import LayerResult, Options, Result, TargetResult
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
    from converter.functions import convert, serve, sync
    from converter.model.content import Compression, Known, Layer
    from converter.model.descriptor import Descriptor, Digest
    from converter.model.image import Artifact, Image, Index, Loss
    from converter.model.limits import Limits
    from converter.model.platform import Platform
    from converter.opened_reference import open_image
    from converter.schema import Finding
    from converter.serving import Server
    from converter.signing import Signed, Signing, sign
    from converter.stores import StoreOptions, names
    from converter.trust.makers import CosignKey, GpgFile, GpgUser
    from converter.validate import Verdict, validate_document, validate_image
    from converter.verification.judgement import Judgement
    from converter.verification.verify_image import verify
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
    "converter.functions": ("convert", "serve", "sync"),
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
    "converter.verification.verify_image": ("verify",),
    "converter.verification.wanted": ("Wanted",),
}
"""The modules that define the public names; names not listed are in ``converter.errors``."""

_FUNCTIONS = ("diff", "names", "open_image", "sign", "validate_document", "validate_image", "verify")
"""Those whose errors are to name keywords."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME.get(name, "converter.errors")), name)
    if name in _FUNCTIONS:
        from converter.keyword_names import naming_keywords

        value = naming_keywords()(value)
        value.__module__ = __name__  # there pickle finds it
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
