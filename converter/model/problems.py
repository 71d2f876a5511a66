"""Receives what is wrong with something while it is read: a conversion raises the first, ``validate`` collects all."""

from __future__ import annotations

from typing import Any

from converter.errors import ConverterError, Invalid, NotFound, Unsupported, within
from converter.model.document import expect_type, load_json
from converter.model.frozen import frozen

ABOUT_THE_IMAGE = (Invalid, NotFound, Unsupported)
"""Errors that say what is wrong with an image. All others mean that it could not be read, and end that."""

UNREADABLE = "image/unreadable"
"""The rule for what no other rule explains."""


class Problems:
    """Raises the first problem. A subclass may collect them; then the reader passes over what is wrong.

    ``place`` is a file, or a JSON pointer into one: ``index.json#/manifests/0``. ``rule`` is the name of the rule of
    validation that is broken.
    """

    def load(self, data: bytes, kind: str, place: str) -> Any:
        """The value of a JSON document; ``kind`` is that of its schema, which only a validator looks at."""
        del kind
        with within(place):
            return load_json(data)

    def load_object(self, data: bytes, kind: str, place: str) -> dict[str, Any]:
        """The same of a document that is an object; empty if it is not, which is a problem."""
        value = self.load(data, kind, place)
        with self.at(place):
            return expect_type(value, dict)
        return {}

    def report(self, error: ConverterError, place: str, rule: str = UNREADABLE) -> None:
        """Take a problem at a place. Raises it, here."""
        del rule
        with within(place):
            raise error

    def at(self, place: str, rule: str = UNREADABLE, *, missing: str = "") -> Reporting:
        """Report what a ``with`` block raises about the image; ``missing`` is the rule if something is not there."""
        return Reporting(self, place, rule, missing or rule)


@frozen(kw_only=False)
class Reporting:
    """A context manager that reports the error that ends it."""

    problems: Problems
    place: str
    rule: str
    missing: str

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, ABOUT_THE_IMAGE):
            return False
        self.problems.report(error, self.place, self.missing if isinstance(error, NotFound) else self.rule)
        return True


RAISE_FIRST = Problems()
"""Raises whatever is reported."""
