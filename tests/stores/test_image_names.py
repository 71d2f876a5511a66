"""Names of images within one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import process_time

import pytest

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import ImageName
from converter.stores import base_source
from converter.stores.base_source import ImageNames, ListedImage


class Listed(tuple[str, ...]):
    """Names that count how often they are looked at."""

    __slots__ = ()
    looks = 0

    def __iter__(self) -> Iterator[str]:
        Listed.looks += 1
        return super().__iter__()

    def __contains__(self, name: object) -> bool:
        Listed.looks += 1
        return super().__contains__(name)


def parsed_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are parsed from now on."""
    parse, parsed = ImageName.parse, list[str]()

    def recorded(text: str) -> ImageName:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(ImageName, "parse", recorded)
    return parsed


ROOTS = [Descriptor.of(str(number).encode(), types.OCI_MANIFEST) for number in range(3000)]


@pytest.mark.parametrize(
    "roots",
    [
        pytest.param(ROOTS, id="each of thousands of images has a name"),
        pytest.param(ROOTS[:1] * len(ROOTS), id="one image has thousands of names"),
    ],
)
def test_each_of_thousands_of_names_is_looked_up(roots: Sequence[Descriptor], monkeypatch: pytest.MonkeyPatch) -> None:
    Listed.looks = 0
    parsed = parsed_names(monkeypatch)
    offers = [ListedImage(root=root, names=Listed((f"app:{number}",))) for number, root in enumerate(roots)]
    image_names = ImageNames(where="here", offers=offers, positions=roots)
    full = [f"docker.io/library/app:{number}" for number in range(len(roots))]

    assert [image_names.resolve(name) for name in image_names.names()] == roots
    assert [image_names.resolve(name) for name in full] == roots
    found = [image_names.references_to(root) for root in roots]
    assert all(name in references for name, references in zip(full, found, strict=True))
    assert Listed.looks < 10 * len(roots)
    assert len(parsed) < 10 * len(roots)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(40_000, id="each of an image of its own"),
        pytest.param(1, id="all of one image, which is listed once for each"),
    ],
)
def test_tens_of_thousands_of_names_are_gathered_in_no_time(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_source, "full_reference", str)
    roots = [Descriptor.of(str(number).encode(), types.OCI_MANIFEST) for number in range(images)]
    offers = [ListedImage(roots[number % images], (f"app:{number}",)) for number in range(40_000)]
    started = process_time()
    found = ImageNames(where="here", offers=offers, positions=roots).references_to(roots[0])
    assert process_time() - started < 1
    assert list(found) == [f"app:{number}" for number in range(0, 40_000, images)]
