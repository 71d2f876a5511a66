"""One ACI a layer: each over the one below."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from converter.errors import Invalid, Unsupported
from converter.formats import aci as aci_format
from converter.formats.aci import resolve_dependencies
from converter.formats.aci.archive import image_id, read_manifest
from converter.formats.aci.reading import parse_manifest
from converter.model import media_types as types
from converter.model.content import NONE, Known, Layer, known_bytes
from converter.model.image import History, RunConfig
from converter.model.settings import Settings
from converter.plan import Make
from converter.streams.squash import squash
from tests.builders.acis import docker_image, files_of, layer, manifest_of, tar_of
from tests.formats.running import Ran, run
from tests.strategies.tar import File, archive

LAYERED = Settings(layered=True)


def layered(*layers: Layer, config: RunConfig | None = None) -> list[Known]:
    """The ACIs, base first."""
    ran: Ran = run(aci_format.encode(docker_image(*layers, config=config), frozenset(), LAYERED))
    return [known_bytes(data, types.ACI) for data in ran.blobs]


LAYERS = (
    layer(File("etc", "dir", mode=0o755), File("etc/a", data=b"a"), File("etc/b", data=b"b"), File("opt/x/y")),
    layer(File("etc/.wh.a"), File("etc/c", "link", target="etc/b"), File("opt/x/.wh..wh..opq"), File("opt/x/z")),
    layer(File("etc/a", data=b"again"), File("opt/x", data=b"a file now")),
)


def test_each_names_the_one_below_by_its_id_its_labels_and_its_size() -> None:
    acis = layered(*LAYERS)
    documents = [manifest_of(root) for root in acis]
    assert "dependencies" not in documents[0]
    for below, root, document in zip(documents, acis, documents[1:], strict=False):
        assert document["dependencies"] == [
            {
                "imageName": below["name"],
                "imageID": image_id(root),
                "labels": below["labels"],
                "size": root.descriptor.size,
            }
        ]
    assert documents[2]["name"] == "docker.io/library/app"
    assert documents[0]["name"].startswith("docker.io/library/app-sha256-")
    assert [document.get("app", {}).get("exec") for document in documents] == [None, None, ["/bin/app"]]


def test_the_whitelist_is_what_is_there_with_each_layer() -> None:
    assert [manifest_of(root)["pathWhitelist"] for root in layered(*LAYERS)] == [
        ["/etc", "/etc/a", "/etc/b", "/opt", "/opt/x", "/opt/x/y"],
        ["/etc", "/etc/b", "/etc/c", "/opt", "/opt/x", "/opt/x/z"],
        ["/etc", "/etc/a", "/etc/b", "/etc/c", "/opt", "/opt/x"],
    ]


def test_a_file_that_becomes_a_directory_of_its_layer_has_hidden_what_was_below() -> None:
    acis = layered(layer(File("opt/x/y")), layer(File("opt/x"), File("opt/x/z")))
    assert manifest_of(acis[1])["pathWhitelist"] == ["/opt", "/opt/x", "/opt/x/z"]


def test_an_aci_has_the_files_of_its_layer_and_no_whiteouts() -> None:
    found = [
        {key: value for key, value in files_of(root.read()).items() if key != "manifest"} for root in layered(*LAYERS)
    ]
    assert found[1] == {"rootfs": None, "rootfs/opt/x/z": b"", "rootfs/etc/c": "rootfs/etc/b"}
    assert found[2] == {"rootfs": None, "rootfs/etc/a": b"again", "rootfs/opt/x": b"a file now"}


def tar_blocks(content: Layer) -> list[bytes]:
    return [tar_of(content)]


def tree(data: bytes) -> Mapping[str, Any]:
    """What is in each file, with all names of that file; None for a directory."""
    there = {name.strip("./"): value for name, value in files_of(data).items() if name.strip("./")}
    names: dict[str, set[str]] = {}
    contents: dict[str, bytes | None] = {}
    for name, value in there.items():
        names[name] = names[value] | {name} if isinstance(value, str) else {name}
        contents[name] = contents[value] if isinstance(value, str) else value
        for other in names[name]:
            names[other] = names[name]
    return {name: content if content is None else (content, names[name]) for name, content in contents.items()}


LINKED = (
    layer(File("a", data=b"a"), File("d/e")),
    layer(File("d/b", "link", target="a"), File(".wh.a")),
    layer(File("c", "link", target="d/b"), File("d/.wh.b")),
)


FILE, UNLINKED = File("a", data=b"a"), layer(File(".wh.a"))


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(LAYERS, id="whiteouts"),
        pytest.param(LINKED, id="links to what is taken away"),
        pytest.param(
            (layer(FILE), layer(File("b", "link", target="a")), layer(File("c", "link", target="a"), File(".wh.a"))),
            id="links of two layers to what the upper one takes away",
        ),
        pytest.param(
            (layer(FILE, File("b", "link", target="a")), layer(File("c", "link", target="a")), UNLINKED),
            id="a link to what has another name below, and is taken away above",
        ),
        pytest.param(
            (
                layer(FILE, File("b", "link", target="a")),
                layer(File("c", "link", target="b")),
                layer(File("d", "link", target="c"), File("e", "link", target="a"), File(".wh.a"), File(".wh.c")),
            ),
            id="links by way of links",
        ),
        pytest.param(
            (layer(FILE, File("b", "link", target="a")), layer(File("b", data=b"b"), File("c", "link", target="a"))),
            id="a name that is another file by then",
        ),
    ],
)
def test_put_together_they_are_the_image(layers: tuple[Layer, ...]) -> None:
    acis = layered(*layers)
    shelf = {parse_manifest(read_manifest(root)).name: root for root in acis}
    image = resolve_dependencies(
        aci_format.decode(acis[-1], lambda _: acis[-1]), lambda dependency: shelf.get(dependency.name)
    )
    assert len(image.layers) == len(layers)
    assert [(step.created_by, step.empty_layer) for step in image.history] == [
        (f"step {number}", False) for number in range(len(layers))
    ]
    flat, direct = (b"".join(squash([partial(tar_blocks, each) for each in some])) for some in (image.layers, layers))
    assert tree(flat) == tree(direct)


def test_steps_without_a_layer_keep_their_places() -> None:
    source = docker_image(*LAYERS)
    steps = [step for each in source.history for step in (each, History(created_by="idle", empty_layer=True))]
    ran = run(aci_format.encode(replace(source, history=tuple(steps)), frozenset(), LAYERED))
    shelf = {
        parse_manifest(read_manifest(root)).name: root for root in (known_bytes(data, types.ACI) for data in ran.blobs)
    }
    image = aci_format.decode(ran.root, lambda _: ran.root)
    assert [step.empty_layer for step in image.history] == [True, True, True, True, False, True]
    assert resolve_dependencies(image, lambda dependency: shelf.get(dependency.name)).history == tuple(steps)


def test_layers_that_stay_are_no_loss() -> None:
    fields = {loss.field for loss in aci_format.losses(docker_image(*LAYERS), frozenset(), LAYERED)}
    assert fields == {"history"}


def test_the_same_image_gives_the_same_acis() -> None:
    assert [root.descriptor for root in layered(*LAYERS)] == [root.descriptor for root in layered(*LAYERS)]


def test_an_image_of_one_layer_is_one_aci() -> None:
    (root,) = layered(LAYERS[0])
    assert "pathWhitelist" not in manifest_of(root)


def test_the_compression_is_that_which_was_asked_for() -> None:
    node = aci_format.encode(docker_image(*LAYERS), frozenset(), replace(LAYERED, compress=NONE))
    assert isinstance(node, Make)
    assert all(data[:2] != b"\x1f\x8b" for data in run(node).blobs)


PASSWD = File("etc/passwd", data=b"app:x:1:2::/:\n")


@pytest.mark.parametrize(
    "layers, group",
    [
        pytest.param([[PASSWD], [File("a")]], "2", id="in the base"),
        pytest.param([[File("a")], [PASSWD]], "2", id="in the top layer"),
        pytest.param([[File("etc/group", data=b"g:x:9:app\n")], [PASSWD]], "2", id="beside a file of groups"),
        pytest.param([[PASSWD], [File("etc/passwd", data=b"app:x:1:3::/:\n")]], "3", id="in both"),
        pytest.param([[File("a")], [File("b")]], "app", id="nowhere"),
    ],
)
def test_the_group_of_a_user_is_looked_up_in_all_layers(layers: list[list[File]], group: str) -> None:
    acis = layered(*(layer(*files) for files in layers), config=RunConfig(user="app"))
    assert manifest_of(acis[-1])["app"]["group"] == group


def test_a_name_that_is_not_utf_8_cannot_be_whitelisted() -> None:
    odd = Layer(content=known_bytes(gzip.compress(archive([File("a\udcff")], "gnu")), types.OCI_LAYER_GZIP))
    with pytest.raises(Unsupported, match="UTF-8"):
        layered(LAYERS[0], odd)


def test_what_leads_out_of_the_root_is_refused() -> None:
    with pytest.raises(Invalid):
        layered(LAYERS[0], layer(File("../a")))


def test_hundreds_of_layers_are_no_recursion() -> None:
    assert len(layered(*[layer(File("a"))] * 400)) == 400
