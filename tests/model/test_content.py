from __future__ import annotations

import pytest

from converter.model.content import GZIP, Derived, Known, Layer
from converter.model.descriptor import Descriptor, Digest

BLOB = Known(Descriptor.of(b"blob", "text/plain"), lambda: (b"blob",))
UNSIZED = Known(Descriptor(media_type="text/plain", digest=Digest.of(b"blob"), size=-1), lambda: (b"blob",))


@pytest.mark.parametrize(
    "layer, told",
    [
        pytest.param(Layer(content=BLOB), (Digest.of(b"blob"), 4, "text/plain"), id="a blob"),
        pytest.param(Layer(content=UNSIZED), (Digest.of(b"blob"), None, "text/plain"), id="a blob of unknown size"),
        pytest.param(
            Layer(content=Derived(inputs=(Layer(content=BLOB),), compression=GZIP)), (None, None, ""), id="one to make"
        ),
    ],
)
def test_a_layer_says_what_its_blob_is(layer: Layer, told: tuple[Digest | None, int | None, str]) -> None:
    assert (layer.digest, layer.size, layer.media_type) == told
