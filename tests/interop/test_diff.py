"""``diff`` judges every conversion in the tests; here it is tested itself, on images that other tools made."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path

import pytest

import converter
from converter.cli.main import main
from converter.compare_images import compare_trees, file_tree
from converter.streams.tar import fields
from tests import naive_tree
from tests.interop.images import Layout
from tests.interop.tools import run
from tests.trees import described

ENDING = bytes(1024)
"""umoci leaves it out, and tarfile wants it."""


@pytest.mark.parametrize("made", ["small_oci", "awkward_oci"])
def test_a_real_image_is_flattened_as_naively(made: str, request: pytest.FixtureRequest) -> None:
    layout: Layout = request.getfixturevalue(made)
    image = converter.open_image(layout.reference)
    assert isinstance(image, converter.Image)
    listed = file_tree(image)
    found = described(listed)
    layers = []
    for layer in image.layers:
        assert isinstance(layer.content, converter.Known)
        data = b"".join(layer.content.blocks())
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        layers.append(plain + bytes(-len(plain) % 512) + ENDING)
    want = naive_tree.flattened(layers)
    assert set(found) == {path for path, inode in want.items() if inode.told}
    names = naive_tree.names(want)
    for path, (node, links) in found.items():
        inode = want[path]
        assert (node.mode, (node.uid, node.gid), node.mtime_ns) == (inode.mode, inode.owner, inode.mtime_ns), path
        assert (node.linkname, node.device, dict(node.xattrs)) == (inode.target, inode.device, inode.xattrs), path
        assert node.type != fields.FILE or node.sha256 == sha256(inode.data).digest(), path
        assert set(links or (path,)) == (names[path] if node.type != fields.DIR else {path}), path
    assert list(compare_trees(listed, listed)) == []
    listed.close()


def test_what_skopeo_copies_is_the_same(small_oci: Layout, small_archive: Path, small_dir: Path) -> None:
    for copy in (f"docker-archive:{small_archive}", f"dir:{small_dir}"):
        assert main(["diff", small_oci.reference, copy]) == 0


def test_what_umoci_changes_is_found(small_oci: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "layout"
    run("cp", "-r", small_oci.path, changed)
    run("umoci", "config", "--image", f"{changed}:latest", "--config.user", "7:8", "--config.env", "NEW=1")
    extra = tmp_path / "extra"
    extra.write_text("more\n")
    run("umoci", "insert", "--image", f"{changed}:latest", extra, "/extra")
    assert main(["diff", small_oci.reference, f"oci:{changed}:latest"]) == 1
    told = capsys.readouterr().out
    assert "config\n  ~ user: 1000:1000 → 7:8\n  + env NEW: 1\n" in told
    assert "+ extra (file, +5 bytes)" in told
