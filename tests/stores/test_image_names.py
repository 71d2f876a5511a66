"""Names of images within one store."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time

import pytest

from converter.model import media_types as types
from converter.model.descriptor import Descriptor
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


def test_each_of_thousands_of_names_is_looked_up() -> None:
    roots = [Descriptor.of(str(number).encode(), types.OCI_MANIFEST) for number in range(3000)]
    offers = [ListedImage(root=root, names=Listed((f"app:{number}",))) for number, root in enumerate(roots)]
    image_names = ImageNames(where="here", offers=offers, positions=roots)

    assert [image_names.resolve(name) for name in image_names.names()] == roots
    assert [image_names.resolve(f"docker.io/library/app:{number}") for number in range(3000)] == roots
    assert [image_names.names_of(root) for root in roots] == [(f"app:{number}",) for number in range(3000)]
    assert Listed.looks < 10 * len(roots)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(40_000, id="each of an image of its own"),
        pytest.param(1, id="all of one image, which is listed once for each"),
    ],
)
def test_tens_of_thousands_of_names_are_gathered_in_no_time(images: int) -> None:
    roots = [Descriptor.of(str(number).encode(), types.OCI_MANIFEST) for number in range(images)]
    offers = [ListedImage(roots[number % images], (f"app:{number}",)) for number in range(40_000)]
    started = process_time()
    found = ImageNames(where="here", offers=offers, positions=roots).names_of(roots[0])
    assert process_time() - started < 1
    assert found == tuple(f"app:{number}" for number in range(0, 40_000, images))
