from __future__ import annotations

import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import converter
from converter import errors
from converter.errors import ConverterError
from converter.functions import Keywords, options_from
from converter.model.content import KEEP, ZSTD, Compression

PUBLIC = {
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
}
"""A promise: a name goes only with a new major version."""

EXAMPLE = Path(__file__).parent.parent / "fixtures/images/docker-image/valid-newest.tar"

ALIASES = {"Event", "Report", "__version__"}


def test_the_public_names_are_these() -> None:
    assert set(converter.__all__) == PUBLIC
    assert list(converter.__all__) == sorted(converter.__all__)
    assert set(dir(converter)) == PUBLIC


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
        pytest.param(
            {"platforms": [converter.Platform.parse("linux/arm64"), "linux/amd64"]},
            converter.Options(platforms=("linux/arm64", "linux/amd64")),
            id="platforms",
        ),
        pytest.param({"cache": "c"}, converter.Options(cache=Path("c")), id="a cache as a text"),
        pytest.param(
            {"content_trust": {"root.json": b"{}"}, "epoch": None, "cache": None},
            converter.Options(content_trust={"root.json": b"{}"}),
            id="a mapping, and what is not said",
        ),
        pytest.param({"squash": True, "jobs": 3}, converter.Options(squash=True, jobs=3), id="the rest as it is"),
    ],
)
def test_keywords(keywords: Keywords, expected: converter.Options) -> None:
    assert options_from(keywords) == expected


@pytest.mark.parametrize(
    "keywords, error, fact",
    [
        pytest.param({"compress": "lzma"}, converter.Usage, "gzip", id="no compression"),
        pytest.param({"compress": 3}, TypeError, "compress is 3: expected Compression", id="a level alone"),
        pytest.param({"strict": "no"}, TypeError, "strict is 'no': expected bool", id="a text that would be true"),
        pytest.param({"jobs": "2"}, TypeError, "jobs is '2': expected int", id="a number as text"),
        pytest.param({"jobs": -2}, converter.Usage, "jobs is -2: expected 0 or more", id="fewer than no threads"),
        pytest.param({"platforms": 3}, TypeError, "platforms is 3: expected str", id="no platform"),
        pytest.param({"origin": "now"}, converter.Usage, 'unknown origin "now" \\(one of: always', id="no mode"),
        pytest.param({"content_trust": b"{}"}, TypeError, "expected Mapping", id="no mapping"),
        pytest.param({"store": None}, TypeError, "store is None: expected StoreOptions", id="no options"),
        pytest.param({"platform": "all"}, TypeError, 'unknown keyword "platform" \\(one of: to', id="no keyword"),
    ],
)
def test_a_keyword_that_cannot_be_meant_is_refused(keywords: Any, error: type[Exception], fact: str) -> None:
    with pytest.raises(error, match=fact):
        converter.convert("oci:a", "oci:b", **keywords)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda wrong: converter.convert(wrong, "oci:b"), id="a source"),
        pytest.param(lambda wrong: converter.convert(EXAMPLE, wrong), id="a destination"),
        pytest.param(converter.open_image, id="an image"),
        pytest.param(converter.names, id="a place of images"),
        pytest.param(lambda wrong: converter.sync(wrong, "oci:b"), id="a place to copy"),
        pytest.param(lambda wrong: converter.sync(EXAMPLE, wrong), id="a place to copy to"),
        pytest.param(converter.validate_image, id="an image to validate"),
        pytest.param(lambda wrong: converter.sign(wrong, converter.Signing(makers=())), id="an image to sign"),
        pytest.param(
            lambda wrong: converter.verify(wrong, converter.Wanted(keys=(("a", b""),))), id="an image to verify"
        ),
        pytest.param(lambda wrong: converter.validate_document(wrong, "oci-index"), id="a document"),
    ],
)
@pytest.mark.parametrize("wrong", [None, ["oci:a"], {}, 3], ids=repr)
def test_what_is_no_reference_is_a_type_error(call: Callable[[Any], object], wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"(reference|document)( is)? of type {type(wrong).__name__}"):
        call(wrong)


def test_a_path_is_a_reference_whatever_colons_it_has(tmp_path: Path) -> None:
    path = tmp_path / "docker:app"
    converter.convert(EXAMPLE, f"oci:{tmp_path / 'layout'}")
    (tmp_path / "layout").rename(path)
    assert isinstance(converter.open_image(path), converter.Image)
    assert converter.validate_image(path).valid
    assert converter.convert(path, f"aci:{tmp_path / 'app.aci'}").source == str(path)
    with pytest.raises(converter.Usage, match="destination"):
        converter.convert(path, tmp_path / "out")


def test_all_images_of_a_place_are_brought_to_another(tmp_path: Path) -> None:
    for name in ("app:1", "app:2"):
        converter.convert(EXAMPLE, f"oci:{tmp_path / 'here'}:{name}")
    place, events = f"oci:{tmp_path / 'there'}", list[converter.Event]()

    done = converter.sync(f"oci:{tmp_path / 'here'}", place, rename="new:{tag}", report=events.append, all_images=True)

    # Both are brought at once: either may be first.
    assert sorted(converter.names(place)) == ["new:1", "new:2"]
    assert [(one.destination, one.state) for one in done.outcomes] == [
        (f"{place}:new:1", "written"),
        (f"{place}:new:2", "written"),
    ]
    assert sorted(event.name for event in events if isinstance(event, converter.Finished)) == ["new:1", "new:2"]
    again = converter.sync(f"oci:{tmp_path / 'here'}", place, rename="new:{tag}", images=1, per_host=1)
    assert (again.counts["there"], again.failed) == (2, False)


def test_limits_hold_for_all_images(tmp_path: Path) -> None:
    store = converter.StoreOptions(limits=converter.Limits(layers=0))
    done = converter.sync(EXAMPLE, f"oci:{tmp_path / 'out'}", keep_going=True, store=store)
    assert done.failed
    assert all("(limit: layers)" in one.error for one in done.outcomes)


def test_many_threads_convert_into_one_layout(tmp_path: Path) -> None:
    def one(number: int) -> object:
        return converter.convert(EXAMPLE, f"oci:{tmp_path / 'layout'}:{number}").digest

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one, range(16)))) == 1
    assert all(converter.open_image(f"oci:{tmp_path / 'layout'}:{number}") for number in range(16))


@pytest.mark.parametrize("name", sorted(name for name in PUBLIC if inspect.isfunction(getattr(converter, name))))
def test_another_process_can_be_told_to_call_a_function(name: str) -> None:
    function = getattr(converter, name)
    assert pickle.loads(pickle.dumps(function)) is function
