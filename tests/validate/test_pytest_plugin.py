"""The plugin as other projects meet it: pytest runs on a project of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

IMAGES = Path(__file__).parent.parent.parent / "fixtures/images/oci-image"
GOOD, BAD, WARNED = (
    f"oci-archive:{IMAGES / name}.tar" for name in ("valid-two-layers", "layer-is-shorter", "tar-without-an-end")
)
# Whether it is installed as an entry point or not, it is loaded once, and here.
PLUGIN = ("-p", "no:transship", "-p", "converter.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:xdist")

Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a test module, under the strictest settings that a project may have."""
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n")

    def call(text: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess(*PLUGIN)

    return call


def test_a_valid_image_passes_and_its_findings_can_be_seen(run: Run) -> None:
    result = run(
        f"""
        def test_image(validate_image):
            verdict = validate_image({WARNED!r})
            assert verdict.kind == "oci-image"
            assert [one.rule for one in verdict.findings] == ["tar/end-missing"]
        """
    )
    result.assert_outcomes(passed=1)


def test_an_invalid_image_fails_the_test_with_what_is_wrong_with_it(run: Run) -> None:
    result = run(f"def test_image(validate_image):\n    validate_image({BAD!r})\n")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*layer-is-shorter.tar: oci-image: invalid",
            "E*error: manifests/0/manifest#/layers/0/size: size mismatch: expected * bytes, read *",
        ]
    )
    # Where it went wrong is the test, and nothing of the plugin.
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize(
    "call, told",
    [
        pytest.param("validate_image('oci:nowhere')", "nowhere: no such file or directory", id="no image"),
        pytest.param("validate_image('oc:nowhere')", 'unknown transport "oc": did you mean oci?*', id="no transport"),
        pytest.param("validate_document('none.json')", "none.json: no such file or directory", id="no document"),
        pytest.param("validate_document(b'{}')", "cannot tell the kind of document: *", id="a kind that nobody knows"),
        pytest.param(f"validate_image({GOOD!r}, ignore='tar')", 'unknown rule "tar" in ignore: *', id="no such rule"),
    ],
)
def test_an_error_is_one_line_below_that_of_the_test(run: Run, call: str, told: str) -> None:
    result = run(f"def test_it(validate_image, validate_document):\n    {call}\n")

    result.assert_outcomes(failed=1)
    shown = [line for line in result.outlines if line.startswith("E ")]
    assert len(shown) == 1
    result.stdout.fnmatch_lines([f"E       AssertionError: {told}"])
    result.stdout.no_fnmatch_line("*converter/*")


@pytest.mark.parametrize(
    "call, outcome",
    [
        pytest.param(f"validate_image({WARNED!r}, warnings=True)", "failed", id="warnings count where they are to"),
        pytest.param(
            f"validate_image({WARNED!r}, warnings=True, ignore=['tar/end-missing'])", "passed", id="a rule is ignored"
        ),
        pytest.param(
            f"validate_image({WARNED!r}, warnings=True, ignore='tar/end-missing')", "passed", id="a rule alone, too"
        ),
        pytest.param(f"validate_image({GOOD!r}, ignore=['tar/end-mising'])", "failed", id="no rule is called so"),
        pytest.param(f"validate_image({GOOD!r}, 'strict')", "passed", id="a profile is chosen"),
        pytest.param(f"validate_image(pathlib.Path({GOOD[12:]!r}))", "passed", id="a path names an image"),
        pytest.param("validate_image('oci:nowhere')", "failed", id="nothing there fails"),
        pytest.param("validate_document({'imageLayoutVersion': '1.0.0'})", "passed", id="an object is a document"),
        pytest.param("validate_document({'imageLayoutVersion': '2.0.0'})", "failed", id="an invalid one fails"),
        pytest.param("validate_document(b'{}', 'oci-layout')", "failed", id="a kind is asked for"),
        pytest.param("validate_document(b'{}')", "failed", id="a kind that cannot be told fails"),
        pytest.param("validate_document(pathlib.Path('there.json'))", "passed", id="a file is read"),
    ],
)
def test_calls(run: Run, pytester: pytest.Pytester, call: str, outcome: str) -> None:
    pytester.path.joinpath("there.json").write_text('{"imageLayoutVersion": "1.0.0"}')

    result = run(f"import pathlib\n\ndef test_it(validate_image, validate_document):\n    {call}\n")

    result.assert_outcomes(**{outcome: 1})


def test_a_marker_validates_before_the_test_runs(run: Run) -> None:
    result = run(
        f"""
        import pytest

        @pytest.mark.valid_image({GOOD!r}, {WARNED!r})
        def test_good():
            pass

        @pytest.mark.valid_image({GOOD!r}, {BAD!r})
        def test_bad():
            raise RuntimeError("ran all the same")

        @pytest.mark.valid_document("there.json", kind="oci-layout")
        def test_document():
            pass
        """
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*blob-size*"])
    result.stdout.no_fnmatch_line("*ran all the same*")


@pytest.mark.parametrize(
    "marker, said",
    [
        pytest.param(f"valid_image({BAD!r})", "*layer-is-shorter.tar: oci-image: invalid", id="what is wrong"),
        pytest.param(
            f"valid_image({WARNED!r}, warnings=True)", "*oci-image: valid, with warnings, which count here", id="warned"
        ),
        pytest.param("valid_image()", "the marker valid_image needs an argument: what to validate", id="no target"),
        pytest.param(
            "valid_document('{bulit}/index.json')",
            'no fixture "bulit", which "{bulit}/index.json" names: the test must ask for it',
            id="no such fixture",
        ),
    ],
)
def test_a_marker_that_fails_says_why_and_nothing_of_the_plugin(run: Run, marker: str, said: str) -> None:
    result = run(f"import pytest\n\n@pytest.mark.{marker}\ndef test_it(tmp_path):\n    pass\n")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    result.stdout.no_fnmatch_line("During handling *")


def test_a_marker_names_what_a_fixture_has_made(run: Run) -> None:
    result = run(
        f"""
        import shutil
        import pytest

        @pytest.fixture
        def built(tmp_path):
            return shutil.copy({GOOD[12:]!r}, tmp_path / "image.tar")

        @pytest.mark.valid_image("oci-archive:{{built}}")
        def test_built(built):
            pass
        """
    )
    result.assert_outcomes(passed=1)


def test_markers_and_fixtures_are_listed(pytester: pytest.Pytester) -> None:
    markers = pytester.runpytest_inprocess(*PLUGIN, "--markers").stdout.str()
    fixtures = pytester.runpytest_inprocess(*PLUGIN, "--fixtures").stdout.str()

    assert "valid_image(" in markers
    assert "valid_document(" in markers
    assert "validate_image [session scope]" in fixtures
    assert "validate_document [session scope]" in fixtures


def test_loading_it_imports_nothing_that_takes_time() -> None:
    listing = "import sys, converter.pytest_plugin; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-P", "-c", listing], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("converter")} <= {
        "converter",
        "converter.pytest_plugin",
        "converter.version",
    }
    assert not loaded & {"jsonschema_rs", "click", "cryptography", "isal", "zstandard"}
