"""Fixtures and markers that validate images, for test suites of programs that write them (entry point ``pytest11``).

It is loaded wherever pytest and this package are installed, so it does nothing until it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from converter.schema import Finding, Strictness
    from converter.validate import Verdict

MARKERS = (
    "valid_image(*references, profile='compat', warnings=False, ignore=()): fails unless these images are valid",
    "valid_document(*paths, kind=None, profile='compat', warnings=False, ignore=()): likewise of JSON documents",
)

Document = bytes | str | os.PathLike[str] | Mapping[str, Any] | Sequence[Any]
"""A document's bytes, the path of a file, or a value to be written as JSON."""


class ValidatesImage(Protocol):
    """The type of the fixture ``validate_image``."""

    def __call__(
        self,
        reference: str | os.PathLike[str],
        profile: Strictness = "compat",
        *,
        warnings: bool = False,
        ignore: Collection[str] = (),
    ) -> Verdict: ...


class ValidatesDocument(Protocol):
    """The type of the fixture ``validate_document``."""

    def __call__(
        self,
        document: Document,
        kind: str | None = None,
        profile: Strictness = "compat",
        *,
        warnings: bool = False,
        ignore: Collection[str] = (),
    ) -> tuple[Finding, ...]: ...


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Validate what the markers name, after the fixtures are set up and before the test runs."""
    checks: dict[str, Callable[..., Any]] = {"valid_image": _check_image, "valid_document": _check_document}
    for name, check in checks.items():
        for marker in item.iter_markers(name):
            if not marker.args:
                pytest.fail(f"the marker {name} needs an argument: what to validate", pytrace=False)
            for target in marker.args:
                value = _filled_in(target, item)
                try:
                    check(value, **marker.kwargs)
                except AssertionError as error:
                    # Without a traceback: no line of the test failed, and those of this file help nobody.
                    raise pytest.fail.Exception(str(error), pytrace=False) from None
    return (yield)


@pytest.fixture(scope="session")
def validate_image() -> ValidatesImage:
    """A function of a reference (``oci:PATH:NAME``, a path …) that fails the test if the image is invalid.

    With ``warnings``, warnings count too; the rules in ``ignore`` do not count. The verdict it returns has all
    findings.
    """
    return _check_image


@pytest.fixture(scope="session")
def validate_document() -> ValidatesDocument:
    """A function of a JSON document and its kind (guessed without one): fails the test if the document is invalid."""
    return _check_document


def _check_image(
    reference: str | os.PathLike[str],
    profile: Strictness = "compat",
    *,
    warnings: bool = False,
    ignore: Collection[str] = (),
) -> Verdict:
    __tracebackhide__ = True
    from converter.errors import ConverterError
    from converter.validate import validate_image as validate

    try:
        verdict = validate(reference, profile)
        _require_valid(f"{os.fspath(reference)}: {verdict.kind}", verdict.findings, warnings, ignore)
    except ConverterError as error:
        raise AssertionError(_message_of(error)) from None
    return verdict


def _check_document(
    document: Document,
    kind: str | None = None,
    profile: Strictness = "compat",
    *,
    warnings: bool = False,
    ignore: Collection[str] = (),
) -> tuple[Finding, ...]:
    __tracebackhide__ = True
    from converter.errors import ConverterError, Usage
    from converter.schema import guess_kind
    from converter.validate import validate_document as validate

    try:
        name, data = _name_and_bytes(document)
        actual = kind or guess_kind(data)
        if actual is None:
            raise Usage(f"cannot tell the kind of {name}: add the argument kind")
        findings = validate(data, actual, profile)
        _require_valid(f"{name}: {actual}", findings, warnings, ignore)
    except (ConverterError, OSError) as error:
        raise AssertionError(_message_of(error)) from None
    return findings


def _name_and_bytes(document: Document) -> tuple[str, bytes]:
    if isinstance(document, bytes):
        return "document", document
    if isinstance(document, str | os.PathLike):
        return os.fspath(document), Path(document).read_bytes()
    from converter.model.document import dump_json

    return "document", dump_json(document)


def _message_of(error: Exception) -> str:
    """What is wrong, in one line: the lines of this package in a traceback help nobody."""
    from converter.errors import from_system
    from converter.keyword_names import in_python

    return in_python(str(from_system(error) if isinstance(error, OSError) else error))


def _require_valid(title: str, findings: Sequence[Finding], warnings: bool, ignore: Collection[str]) -> None:
    """Raise AssertionError with all findings if one of them counts as a failure. Raises Usage."""
    __tracebackhide__ = True
    passed_over = {ignore} if isinstance(ignore, str) else set(ignore)
    if passed_over:
        from converter.errors import Usage
        from converter.validate import all_rules

        for name in passed_over - {rule.name for rule in all_rules()}:
            # It would have no effect.
            raise Usage(f'unknown rule "{name}" in ignore: `transship validate --list-rules` prints all')
    counted = [one for one in findings if one.rule not in passed_over]
    wrong = any(one.severity == "error" for one in counted)
    if wrong or (warnings and counted):
        lines = (f"  {one.severity}: {one.path or '/'}: {one.message}  [{one.rule}; {one.spec}]" for one in counted)
        verdict = "invalid" if wrong else "valid, with warnings, which count here"
        raise AssertionError("\n".join((f"{title}: {verdict}", *lines)))


def _filled_in(target: Any, item: pytest.Item) -> Any:
    """The target with the values of fixtures in place of their names in braces."""
    values: Mapping[str, Any] = getattr(item, "funcargs", {})
    if not isinstance(target, str) or "{" not in target:
        return target
    try:
        return target.format_map(values)
    except KeyError as error:
        fact = f'no fixture "{error.args[0]}", which "{target}" names: the test must ask for it'
        raise pytest.fail.Exception(fact, pytrace=False) from None
