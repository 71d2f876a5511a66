from __future__ import annotations

import io
import json
import tarfile
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st

from converter.errors import ConverterError, Invalid, Unsupported
from converter.streams.tar.aci import LONGEST, manifest_in, rebuild_aci, unpack_aci
from converter.streams.tar.fields import DIR, END, LINK, SYMLINK, padding_bytes
from converter.streams.tar.pax import make_header
from converter.streams.tar.scan import scan_entries
from tests.strategies.tar import File, archive, cuts, dialects, files, pieces

MANIFEST = b'{"acKind":"ImageManifest"}'
ROOTFS = make_header(name=b"rootfs", type=DIR, mode=0o750, uid=7)


def manifest(name: bytes = b"manifest") -> bytes:
    return make_header(name=name, size=len(MANIFEST)) + MANIFEST + padding_bytes(len(MANIFEST))


def unpacked(data: bytes, where: Sequence[int] = ()) -> tuple[bytes, str]:
    recipes: list[str] = []
    layer = b"".join(unpack_aci(pieces(data, where), recipes.append, reserved=True))
    return layer, recipes[0]


def listed(files: list[File], place: int) -> list[File]:
    """``files`` as those of an ACI, each name once, and its manifest somewhere among them."""
    inside = []
    for file in {file.name.replace("./", "").strip("/"): file for file in files}.values():
        target = f"rootfs/{file.target}" if file.type == "link" else file.target
        inside.append(replace(file, name=f"rootfs/{file.name}", target=target))
    whole = [File("rootfs", "dir", mode=0o755), *inside]
    whole.insert(place % (len(whole) + 1), File("manifest", data=MANIFEST))
    return whole


endings = st.sampled_from([b"", END, END * 10, b"\0" * 700, END + b"garbage\0", END + b"x" + END])


@given(files, dialects, st.integers(0, 9), endings, cuts)
def test_what_is_unpacked_is_rebuilt_bit_for_bit(
    some: list[File], dialect: str, place: int, ending: bytes, where: list[int]
) -> None:
    try:
        data = archive(listed(some, place), dialect, ending=False) + ending
    except ValueError:  # ustar cannot hold such a name
        assume(False)
        raise
    layer, recipe = unpacked(data, where)
    assert b"".join(rebuild_aci(pieces(layer, where), recipe, MANIFEST)) == data
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert "manifest" not in tar.getnames()


@given(st.integers(1, 511), st.booleans(), st.integers(1, 511))
def test_an_archive_whose_last_padding_is_missing_is_rebuilt_without_it(size: int, last: bool, cut: int) -> None:
    file = make_header(name=b"rootfs/f", size=size) + b"f" * size + padding_bytes(size)
    data = ROOTFS + (file + manifest() if last else manifest() + file)
    data = data[: len(data) - min(cut, (512 - len(MANIFEST)) if last else (512 - size))]
    layer, recipe = unpacked(data, [5000])
    assert b"".join(rebuild_aci([layer], recipe, MANIFEST)) == data


def test_the_layer_has_the_rootfs_itself_so_that_its_mode_and_owner_stay() -> None:
    layer, _ = unpacked(manifest() + ROOTFS + make_header(name=b"rootfs/etc", type=DIR) + END)
    root, etc = scan_entries([layer])
    assert (root.name, root.mode, root.uid, root.written) == (b"", 0o750, 7, b"./")
    assert etc.name == b"etc"


def test_hard_links_lose_the_prefix_and_symbolic_links_keep_their_target() -> None:
    hard = make_header(name=b"rootfs/hard", type=LINK, linkname=b"rootfs/file")
    soft = make_header(name=b"rootfs/soft", type=SYMLINK, linkname=b"rootfs/file")
    layer, _ = unpacked(manifest() + ROOTFS + make_header(name=b"rootfs/file") + hard + soft + END)
    assert [entry.linkname for entry in scan_entries([layer])] == [b"", b"", b"file", b"rootfs/file"]


def test_global_records_before_the_manifest_stay_in_the_layer() -> None:
    records = b"15 uname=alice\n"
    shared = (
        make_header(name=b"pax_global_header", type=b"g", size=len(records)) + records + padding_bytes(len(records))
    )
    data = shared + manifest() + ROOTFS + END
    layer, recipe = unpacked(data)
    assert [entry.uname for entry in scan_entries([layer])] == [b"alice"]
    assert b"".join(rebuild_aci([layer], recipe, MANIFEST)) == data


F = make_header(name=b"rootfs/f")

ACCEPTED = [
    pytest.param(manifest() + ROOTFS + END, id="manifest and rootfs"),
    pytest.param(ROOTFS + F + manifest() + END, id="the manifest last"),
    pytest.param(
        manifest(b"./manifest") + make_header(name=b"./rootfs", type=DIR) + END, id="names that begin with ./"
    ),
    pytest.param(manifest() + ROOTFS, id="no end-of-archive blocks"),
    pytest.param(
        manifest() + ROOTFS + make_header(name=b"rootfs/l", type=LINK, linkname=b"rootfs/gone") + END,
        id="a hard link that dangles",
    ),
    pytest.param(manifest() + F + ROOTFS + END, id="a file before the rootfs it is in"),
]


@pytest.mark.parametrize("data", ACCEPTED)
def test_accepted(data: bytes) -> None:
    layer, recipe = unpacked(data)
    assert b"".join(rebuild_aci([layer], recipe, MANIFEST)) == data


SPARSE = {b"GNU.sparse.map": b"0,2", b"GNU.sparse.numblocks": b"1", b"GNU.sparse.size": b"9"}
SPARSE_MANIFEST = make_header(name=b"manifest", records=SPARSE, size=2) + b"{}" + bytes(510)

REFUSED = [
    pytest.param(ROOTFS, 'no entry "manifest"', id="no manifest"),
    pytest.param(manifest(), 'no entry "rootfs"', id="no rootfs"),
    pytest.param(manifest() + F, 'no entry "rootfs"', id="only something in the rootfs"),
    pytest.param(manifest() + ROOTFS + manifest(), '"manifest" occurs more than once', id="two manifests"),
    pytest.param(manifest() + ROOTFS + F + F, '"rootfs/f" occurs more than once', id="a name twice"),
    pytest.param(
        manifest() + ROOTFS + F + make_header(name=b"./rootfs/f"),
        '"rootfs/f" occurs more than once',
        id="a name twice in two spellings",
    ),
    pytest.param(
        manifest() + ROOTFS + make_header(name=b"rootfs/d", type=DIR) + make_header(name=b"rootfs/d"),
        '"rootfs/d" occurs more than once',
        id="a directory and a file of one name",
    ),
    pytest.param(
        manifest() + ROOTFS + make_header(name=b"other"), 'the entry "other" is neither', id="another top-level name"
    ),
    pytest.param(
        manifest() + ROOTFS + make_header(name=b"rootfs-evil/x"),
        'the entry "rootfs-evil/x" is neither',
        id="rootfs-evil",
    ),
    pytest.param(manifest() + ROOTFS + make_header(name=b"rootfs/../x"), r'contains "\.\."', id="an escape"),
    pytest.param(manifest() + make_header(name=b"rootfs"), "not a directory", id="rootfs is a file"),
    pytest.param(
        manifest() + make_header(name=b"rootfs", type=SYMLINK, linkname=b"/"), "not a directory", id="rootfs is a link"
    ),
    pytest.param(
        make_header(name=b"manifest", type=SYMLINK, linkname=b"x") + ROOTFS,
        "not a regular file",
        id="manifest is a link",
    ),
    pytest.param(make_header(name=b"manifest", type=DIR) + ROOTFS, "not a regular file", id="manifest is a directory"),
    pytest.param(SPARSE_MANIFEST + ROOTFS, "is a sparse file, not a regular file", id="manifest is a sparse file"),
    pytest.param(manifest() + ROOTFS + make_header(name=b"manifest/x"), '"manifest/x"', id="something in the manifest"),
    pytest.param(manifest(b"/manifest") + ROOTFS, 'the entry "/manifest" is neither', id="an absolute name"),
    pytest.param(
        manifest() + ROOTFS + make_header(name=b"rootfs/l", type=LINK, linkname=b"manifest"),
        '"manifest" is not below "rootfs/"',
        id="a hard link out of the rootfs",
    ),
]


@pytest.mark.parametrize("data, message", REFUSED)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        unpacked(data + END)


@pytest.mark.parametrize(
    "entry, message",
    [
        pytest.param(make_header(name=b"manifest", type=DIR), "manifest is a directory, not a reg", id="a directory"),
        pytest.param(SPARSE_MANIFEST, "manifest is a sparse file, not a regular file", id="a sparse file"),
    ],
)
def test_what_is_no_manifest_is_not_read_as_one(entry: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        manifest_in([entry + END])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b".wh.x", id="a whiteout"),
        pytest.param(b".wh.", id="a whiteout of nothing"),
        pytest.param(b".wh..wh..opq", id="an opaque whiteout"),
        pytest.param(b"a/.wh..wh.plnk/1", id="a file in a directory of aufs"),
        pytest.param(b".wh.a/b", id="a file below a whiteout"),
    ],
)
def test_a_name_that_a_layer_reserves_is_refused_unless_it_may_be_there(name: bytes) -> None:
    data = manifest() + ROOTFS + make_header(name=b"rootfs/" + name) + END
    with pytest.raises(Unsupported, match="would be read as a whiteout"):
        list(unpack_aci([data], lambda _: None))
    assert name in b"".join(unpack_aci([data], lambda _: None, reserved=True))


def test_a_name_within_which_the_prefix_is_is_ordinary() -> None:
    data = manifest() + ROOTFS + make_header(name=b"rootfs/etc/x.wh.y") + END
    assert b"etc/x.wh.y" in b"".join(unpack_aci([data], lambda _: None))


def test_a_recipe_that_would_be_too_large_is_none() -> None:
    recipes: list[str] = []
    list(unpack_aci([manifest() + ROOTFS + END + b"x" * LONGEST], recipes.append))
    assert recipes == []


LAYER, RECIPE = unpacked(manifest() + ROOTFS + F + END)


def changed(**values: object) -> str:
    return json.dumps({**json.loads(RECIPE), **values})


def with_header(raw: bytes) -> str:
    return changed(headers={"0": f"{b64encode(raw).decode()}+0"})


LIES = [
    pytest.param("", "recipe: the document is empty", id="nothing"),
    pytest.param("[" * 100_000, "levels deep", id="nesting without end"),
    pytest.param("[]", "expected an object", id="no object"),
    pytest.param(changed(version=2), "unsupported version", id="another version"),
    pytest.param(changed(place=3), "more entries than the 2", id="a place behind the end"),
    pytest.param(changed(place=-1), '"place" is out of range', id="a negative place"),
    pytest.param(changed(zeros=2**50), '"zeros" is out of range', id="an endless end"),
    pytest.param(changed(missing=True), '"missing" is out of range', id="a number that is none"),
    pytest.param(changed(missing=3), '"missing" contradicts', id="an end that is missing and there"),
    pytest.param(changed(manifest="QUJD+9"), "header", id="no header for the manifest"),
    pytest.param(changed(manifest="QUJD"), "invalid bytes", id="bytes without their zeros"),
    pytest.param(changed(fill="+3"), "does not match a manifest", id="another padding"),
    pytest.param(changed(headers=[]), "recipe > headers: expected an object", id="headers that are a list"),
    pytest.param(changed(headers={"x": "+1"}), "header number", id="a header of no entry"),
    pytest.param(
        changed(headers={"7": "+512"}), "more entries than the 2", id="a header of an entry that is not there"
    ),
    pytest.param(
        changed(headers={str(number): "+524288" for number in range(50)}), "bytes of headers", id="headers of gigabytes"
    ),
    pytest.param(with_header(b""), "does not match the layer's entry", id="a header without a byte"),
    pytest.param(with_header(bytes(512)), "does not match the layer's entry", id="the end of an archive as a header"),
    pytest.param(with_header(ROOTFS[:300]), "does not match the layer's entry", id="a header that is cut"),
    pytest.param(with_header(ROOTFS + F), "does not match the layer's entry", id="the headers of two entries"),
    pytest.param(
        with_header(F[:148] + b"999999" + F[154:512]),
        "does not match the layer's entry",
        id="a header with a checksum of other digits",
    ),
    pytest.param(" " * (LONGEST + 1), "characters", id="more than a recipe may be"),
]


@pytest.mark.parametrize("recipe, message", LIES)
def test_a_recipe_that_lies_is_refused(recipe: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        list(rebuild_aci([LAYER], recipe, MANIFEST))


def test_a_recipe_cannot_bring_in_a_header_that_the_layer_does_not_have() -> None:
    other = unpacked(manifest() + make_header(name=b"rootfs", type=DIR, mode=0o777) + F + END)[1]
    with pytest.raises(Invalid, match="does not match the layer's entry"):
        list(rebuild_aci([LAYER], other, MANIFEST))


def test_a_recipe_goes_with_its_manifest() -> None:
    with pytest.raises(Invalid, match="does not match a manifest"):
        list(rebuild_aci([LAYER], RECIPE, MANIFEST + b" "))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything, st.sampled_from(sorted(json.loads(RECIPE))))
def test_no_recipe_makes_it_crash(value: object, key: str) -> None:
    with suppress(ConverterError):
        list(rebuild_aci([LAYER], changed(**{key: value}), MANIFEST))
