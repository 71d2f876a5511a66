from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import converter
from converter import errors
from converter.conversion.keywords import Keywords, options
from converter.errors import ConverterError
from converter.model.compression import KEEP, ZSTD, Compression

PUBLIC = {
    "Artifact",
    "CalledOff",
    "Compression",
    "ConverterError",
    "Denied",
    "Descriptor",
    "Digest",
    "DigestMismatch",
    "Event",
    "Finding",
    "Image",
    "Index",
    "Invalid",
    "LayerResult",
    "LimitExceeded",
    "Limits",
    "Loss",
    "LossRefused",
    "NotFound",
    "Options",
    "Platform",
    "Report",
    "Result",
    "StorageFailed",
    "StoreOptions",
    "TargetResult",
    "Unreachable",
    "Unsupported",
    "Untrusted",
    "Usage",
    "Verdict",
    "__version__",
    "convert",
    "open_image",
    "validate_document",
    "validate_image",
}
"""A promise: a name goes only with a new major version."""

ALIASES = {"Event", "Report", "__version__"}


def test_the_public_names_are_these() -> None:
    assert set(converter.__all__) == PUBLIC
    assert list(converter.__all__) == sorted(converter.__all__)
    assert set(dir(converter)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - ALIASES))
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(converter, name))


def test_every_error_is_public() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ConverterError)]
    assert {kind.__name__ for kind in kinds} <= PUBLIC


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        converter.nothing  # noqa: B018 - asking is the test


def test_importing_the_package_imports_nothing_else() -> None:
    source = (
        "import sys; import converter;print(*sorted(name for name in sys.modules if name.split('.')[0] == 'converter'))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["converter", "converter.version"]


def test_the_function_is_not_hidden_by_a_module() -> None:
    source = "import converter, converter.conversion; converter.Options; assert callable(converter.convert)"
    subprocess.run([sys.executable, "-c", source], check=True)


def test_keywords_are_the_fields_of_the_options() -> None:
    assert set(Keywords.__annotations__) == {field.name for field in dataclasses.fields(converter.Options)}


@pytest.mark.parametrize(
    "keywords, expected",
    [
        pytest.param({}, converter.Options(), id="nothing said is the default"),
        pytest.param({"compress": "keep"}, converter.Options(compress=KEEP), id="keep is said"),
        pytest.param(
            {"compress": "zstd:3"},
            converter.Options(compress=Compression("zstd", 3)),
            id="a text as on the command line",
        ),
        pytest.param({"compress": ZSTD}, converter.Options(compress=ZSTD), id="or a compression"),
        pytest.param({"platforms": ["all"]}, converter.Options(platforms=("all",)), id="any iterable"),
        pytest.param({"platforms": "linux/arm64"}, converter.Options(platforms=("linux/arm64",)), id="one platform"),
        pytest.param({"aci_paths": "a"}, converter.Options(aci_paths=(Path("a"),)), id="one path"),
        pytest.param({"aci_paths": ["a"]}, converter.Options(aci_paths=(Path("a"),)), id="paths as texts"),
        pytest.param({"cache": "c"}, converter.Options(cache=Path("c")), id="a cache as a text"),
        pytest.param({"squash": True, "jobs": 3}, converter.Options(squash=True, jobs=3), id="the rest as it is"),
    ],
)
def test_keywords(keywords: Keywords, expected: converter.Options) -> None:
    assert options(keywords) == expected


def test_a_compression_that_is_none_is_refused() -> None:
    with pytest.raises(converter.Usage, match="gzip"):
        options({"compress": "lzma"})


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="nothing"):
        converter.convert("oci:a", "oci:b", nothing=1)  # type: ignore[call-arg]  # the type checker says so too
