"""Plans are values, and one function says what becomes of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest

from converter import formats
from converter.formats import aci, docker, oci
from converter.model.content import NONE, ZSTD, Derived, Layer, known_bytes
from converter.model.descriptor import Descriptor
from converter.model.image import Image
from converter.model.settings import Settings
from converter.plan import Copy, Leaf, Made, Make, Node, Verbatim, Write, evaluate, forecast, leaves_below
from converter.transform import squash_layers
from tests.builders import add_image
from tests.builders.memory import MemorySource, MemoryStore

ANY: frozenset[str] = frozenset()


def read() -> Image:
    """The same image, read anew."""
    store = MemoryStore()
    add_image(store)
    source = MemorySource(store)
    item = formats.decode(source.fetch(source.resolve("")), source.fetch)
    assert isinstance(item, Image)
    return item


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(lambda image: oci.encode(image, ANY), id="copied"),
        pytest.param(lambda image: docker.encode(image, ANY), id="in another format"),
        pytest.param(lambda image: oci.encode(image, ANY, Settings(compress=ZSTD)), id="recompressed"),
        pytest.param(lambda image: oci.encode(squash_layers(image), ANY), id="squashed"),
        pytest.param(lambda image: aci.encode(image, ANY), id="as an ACI"),
        pytest.param(lambda image: aci.encode(image, ANY, Settings(layered=True)), id="as an ACI for each layer"),
    ],
)
def test_plans_of_the_same_conversion_are_equal(plan: Callable[[Image], Node]) -> None:
    one, other = plan(read()), plan(read())
    assert (one, hash(one)) == (other, hash(other))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != plan(replace(read(), layers=read().layers[::-1]))


def leaf(text: bytes, diff_id: bool = True) -> Copy:
    content = known_bytes(text, "m")
    digest = content.descriptor.digest if diff_id else None
    return Copy(content=content, media_type="m", find_diff_id=True, diff_id=digest)


def document(*inputs: Node, text: bytes = b"{}") -> Write:
    return Write(media_type="d", inputs=inputs, render=Verbatim(text))


def test_what_depends_on_an_unknown_leaf_is_not_known_either() -> None:
    tree = forecast(document(document(leaf(b"a")), document(leaf(b"b", diff_id=False))))
    assert [one.made is not None for one in (tree, *tree.inputs)] == [False, True, False]


def test_each_node_is_evaluated_once_after_what_it_names() -> None:
    heard: list[str] = []

    def of_leaf(one: Leaf, _made: tuple[Made, ...]) -> Made:
        heard.append(str(one.content.descriptor.size) if isinstance(one, Copy) else "")
        return Made(descriptor=Descriptor.of(b"", "m"))

    def of_document(node: Write, data: bytes) -> Made:
        heard.append(data.decode())
        return Made(descriptor=node.described(data))

    config, equal = (document(leaf(b"a"), leaf(b"bb"), text=b"config") for _ in range(2))
    evaluate(document(config, leaf(b"a"), leaf(b"bb"), equal, text=b"manifest"), of_leaf, of_document)
    assert heard == ["1", "2", "config", "manifest"]


def test_a_chain_may_be_longer_than_the_stack() -> None:
    content = Derived(inputs=(Layer(content=known_bytes(b"", "m")),), compression=NONE)
    node: Make | None = None
    for number in range(3000):
        node = Make(content=content, media_type="m", inputs=(node,) if node else (), label=str(number))
    assert node is not None
    assert [one.label for one in leaves_below(node)] == [str(number) for number in range(3000)]
    tree = evaluate(node, lambda one, made: Made(descriptor=Descriptor.of(one.label.encode(), "m")))
    assert [one.leaf.label for one in tree.layers()] == [str(number) for number in range(3000)]
