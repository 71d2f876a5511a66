"""What an ACI depends on, as layers below it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from converter.errors import DigestMismatch, Invalid, LimitExceeded, NotFound
from converter.formats import aci as aci_format, oci
from converter.formats.aci import resolve_dependencies
from converter.formats.aci.archive import image_id
from converter.model import media_types as types
from converter.model.content import Known, LayerFacts, known_bytes
from converter.model.image import Dependency, Image
from converter.streams.blocks import drain
from converter.streams.uncompressed import read_layers
from tests.builders.acis import aci, aci_tar, docker_image, files_of, layer, manifest, manifest_of, tar_of
from tests.formats.running import run
from tests.strategies.tar import File

Shelf = dict[str, Known]


def depends(*names: str, **more: Any) -> dict[str, Any]:
    return {"dependencies": [{"imageName": name} | more for name in names]}


def read(root: Known) -> Image:
    return aci_format.decode(root, lambda _: root)


def finder(shelf: Shelf) -> Callable[[Dependency], Known | None]:
    return lambda dependency: shelf.get(dependency.name)


def resolved(root: Known, shelf: Shelf) -> Image:
    return resolve_dependencies(read(root), finder(shelf))


def owners(image: Image) -> list[str]:
    """The one file that each layer has of its own, base first."""
    return ["".join(sorted(set(files_of(tar_of(each))) - {".", "shared"})) for each in image.layers]


def box(name: str, *dependencies: str, **more: Any) -> Known:
    """An ACI with a file of its name, and one that all have."""
    files = [File(f"rootfs/{name}", data=name.encode()), File("rootfs/shared", data=name.encode())]
    return aci(manifest(name, **depends(*dependencies), **more), files)


@pytest.mark.parametrize(
    "shelf, order",
    [
        pytest.param({"a": box("a", "b"), "b": box("b")}, "ba", id="one"),
        pytest.param({"a": box("a", "b", "c"), "b": box("b"), "c": box("c", "d"), "d": box("d")}, "bdca", id="a tree"),
        pytest.param(
            {"a": box("a", "b", "c"), "b": box("b", "d"), "c": box("c", "d"), "d": box("d")},
            "dbdca",
            id="one that two depend on",
        ),
    ],
)
def test_later_dependencies_override_earlier_ones_and_the_image_all(shelf: Shelf, order: str) -> None:
    image = resolved(shelf["a"], shelf)
    assert "".join(owners(image)) == order
    files = files_of(run(aci_format.encode(image, frozenset())).root.read())
    assert files["rootfs/shared"] == b"a"
    assert {f"rootfs/{name}" for name in order} < set(files)


def test_an_image_made_whole_depends_on_nothing() -> None:
    image = resolved(box("a", "b", pathWhitelist=["/shared"]), {"b": box("b")})
    document = manifest_of(run(aci_format.encode(image, frozenset())).root)
    assert document == manifest("a")
    assert list(oci.losses(image)) == []


@pytest.mark.parametrize(
    "root, kept",
    [
        pytest.param(box("a", "b", pathWhitelist=["/b", "/shared"]), {"b", "shared"}, id="it holds for all below"),
        pytest.param(box("a", "c", pathWhitelist=[]), {"a", "b", "shared"}, id="an empty one holds nothing back"),
        pytest.param(box("a", "c", "d"), {"a", "b", "d", "shared"}, id="a sibling's own does not hold for it"),
        pytest.param(box("a", "c", pathWhitelist=["/a", "/c"]), {"a"}, id="two hold together"),
        pytest.param(box("a", pathWhitelist=["/a/"]), {"a"}, id="without dependencies"),
        pytest.param(
            aci(
                manifest("a", pathWhitelist=["/x/y"]), [File("rootfs/x", "dir"), File("rootfs/x/y"), File("rootfs/x/z")]
            ),
            {"x", "x/y"},
            id="what lies above a path stays",
        ),
        pytest.param(
            aci(
                manifest("a", pathWhitelist=["/l", "/m"]),
                [File("rootfs/f", data=b"1"), File("rootfs/l", "link", target="rootfs/f"), File("rootfs/m")],
            ),
            {"l", "m"},
            id="a link that stays keeps its content",
        ),
    ],
)
def test_a_whitelist_holds_for_its_image_and_what_is_below(root: Known, kept: set[str]) -> None:
    shelf = {"b": box("b"), "c": box("c", "b", pathWhitelist=["/b", "/shared"]), "d": box("d")}
    image = resolved(root, shelf)
    files = files_of(run(aci_format.encode(image, frozenset())).root.read())
    names = {name.removeprefix("./").removeprefix("rootfs").strip("/") for name in files} - {"", "manifest"}
    assert names == kept
    assert files.get("rootfs/l", b"1") == b"1"


@pytest.mark.parametrize(
    "paths, limit",
    [
        pytest.param(["/" + "d/" * 50_000], "limit: path", id="a path that is too long"),
        pytest.param(["/" + "d/" * 5_000], "limit: path_depth", id="a path that is too deep"),
        pytest.param(
            [f"/{number}{'/dddddddd' * 500}" for number in range(100)], "limit: names", id="all that lies above many"
        ),
    ],
)
def test_a_whitelist_has_the_bounds_of_the_paths_in_it(paths: list[str], limit: str) -> None:
    with pytest.raises(LimitExceeded, match=limit):
        resolved(box("a", pathWhitelist=paths), {})


def test_what_is_changed_gives_no_recipe() -> None:
    image = resolved(box("a", pathWhitelist=["/a"]), {})
    facts = LayerFacts()
    read_layers(image.layers[:1], lambda opens: drain(opens[0]()), facts)
    assert facts == LayerFacts()


def test_a_dependency_that_is_not_there_is_named() -> None:
    root = aci(manifest(**depends("example.com/base", labels=[{"name": "version", "value": "1"}])))
    with pytest.raises(NotFound, match=r"example\.com/base:1"):
        resolved(root, {})


def test_a_circle_is_refused() -> None:
    # An image cannot name its own ID, but a name it can: whoever finds the image again, has a circle.
    a = box("a", "b")
    with pytest.raises(Invalid, match="a → b → a"):
        resolved(a, {"a": a, "b": box("b", "a")})
    with pytest.raises(Invalid, match="a → a"):
        resolved(box("a", "a"), {"a": box("a", "a")})


def test_many_paths_to_one_image_are_refused_before_they_are_walked() -> None:
    shelf = {str(n): box(str(n), str(n + 1), str(n + 1)) for n in range(20)} | {"20": box("20")}
    with pytest.raises(LimitExceeded, match="layers"):
        resolved(shelf["0"], shelf)


def test_a_row_of_images_has_an_end() -> None:
    shelf = {str(n): box(str(n), *([str(n + 1)] if n < 1200 else [])) for n in range(1201)}
    assert len(resolved(shelf["176"], shelf).layers) == 1025
    with pytest.raises(LimitExceeded, match="limit: layers") as refused:
        resolved(shelf["175"], shelf)
    assert len(str(refused.value)) < 300


VERSIONED = aci(manifest("b", labels=[{"name": "version", "value": "1"}, {"name": "os", "value": "linux"}]))


@pytest.mark.parametrize(
    "wanted, fits",
    [
        pytest.param({"labels": [{"name": "version", "value": "1"}]}, True, id="a label that is there"),
        pytest.param({"labels": []}, True, id="no label"),
        pytest.param({"labels": [{"name": "version", "value": "2"}]}, False, id="a label with another value"),
        pytest.param({"labels": [{"name": "env", "value": "x"}]}, False, id="a label that is not there"),
        pytest.param({"size": VERSIONED.descriptor.size}, True, id="the size"),
        pytest.param({"size": 1}, False, id="another size"),
        pytest.param({"imageID": "", "labels": []} | {"imageName": "b"}, True, id="an empty image ID is none"),
    ],
)
def test_a_dependency_is_what_was_asked_for(wanted: dict[str, Any], fits: bool) -> None:
    wanted = {key: value for key, value in wanted.items() if value != ""}
    root = aci(manifest("a", dependencies=[{"imageName": "b"} | wanted]))
    if fits:
        assert len(resolved(root, {"b": VERSIONED}).layers) == 2
    else:
        with pytest.raises(Invalid):
            resolved(root, {"b": VERSIONED})


def test_a_dependency_of_another_name_is_refused() -> None:
    with pytest.raises(Invalid, match="named c"):
        resolved(box("a", "b"), {"b": box("c")})


@pytest.mark.parametrize("length", [7 + 128, 7 + 64], ids=["whole", "cut short, as in rkt's store"])
def test_an_image_id_is_checked_while_it_is_read(length: int) -> None:
    below = box("b")
    right = image_id(below)[:length]
    image = resolved(aci(manifest("a", **depends("b", imageID=right))), {"b": below})
    assert owners(image)[0] == "b"
    other = "sha512-" + "0" * 128
    image = resolved(aci(manifest("a", **depends("b", imageID=other))), {"b": below})
    with pytest.raises(DigestMismatch, match="image ID"):
        tar_of(image.layers[0])


def test_the_image_id_is_that_of_the_tar() -> None:
    tar = aci_tar(manifest())
    assert image_id(known_bytes(tar, types.ACI)) == f"sha512-{hashlib.sha512(tar).hexdigest()}"


def test_the_owner_of_a_file_may_be_found_below() -> None:
    app = {"exec": ["/x"], "user": "/bin/x", "group": "/bin/y"}
    root = aci(manifest("a", app=app, **depends("b")), [File("rootfs/bin/y", uid=1, gid=2)])
    below = aci(manifest("b"), [File("rootfs/bin/x", uid=3, gid=4), File("rootfs/bin/y", uid=5, gid=6)])
    assert read(root).config.user == "/bin/x:2"
    image = resolved(root, {"b": below})
    assert image.config.user == "3:2"
    assert image.notes.losses == ()


def test_other_images_stay_as_they_are() -> None:
    image = docker_image(layer(File("a")))
    assert resolve_dependencies(image, finder({})) is image
    plain = read(aci(manifest()))
    assert resolve_dependencies(plain, finder({})) is plain
