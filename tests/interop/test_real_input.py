"""The real input is what it claims to be; otherwise the tests that use it would prove less."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.services import Dockerd
from tests.interop.tools import run


def layers(image: Layout) -> list[dict[str, tarfile.TarInfo]]:
    """The entries of each layer by name, base first."""
    manifest = json.loads(run("skopeo", "inspect", "--raw", image.reference))
    return [entries(image.path / "blobs" / layer["digest"].replace(":", "/")) for layer in manifest["layers"]]


def entries(blob: Path) -> dict[str, tarfile.TarInfo]:
    """The entries of a gzipped layer; the zeros are those that `umoci insert` leaves out after the last file."""
    whole = gzip.decompress(blob.read_bytes()) + bytes(2 * tarfile.BLOCKSIZE)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        return {member.name: member for member in archive}


def test_umoci_wrote_whiteouts_links_and_an_opaque_folder(small_oci: Layout) -> None:
    base, changes, replacements, opaque = layers(small_oci)
    assert {"bin/busybox", "bin/busybox-again", "srv/data/deleted", "srv/fifo", "srv/null"} <= base.keys()
    assert {"srv/data/.wh.deleted", "srv/data/.wh.folder-of-files", "srv/becomes-folder/inner"} <= changes.keys()
    assert base["srv/becomes-file"].isdir()
    assert replacements["srv/becomes-file"].isfile()
    assert replacements["srv/linked-again"].islnk()
    assert {"srv/hidden/.wh..wh..opq", "srv/hidden/only"} <= opaque.keys()


def test_the_base_layer_has_capabilities_and_attributes(small_oci: Layout) -> None:
    headers = {key for entry in layers(small_oci)[0].values() for key in entry.pax_headers}
    assert {"SCHILY.xattr.security.capability", "SCHILY.xattr.user.comment"} <= headers


def test_the_awkward_image_has_links_into_lower_layers_and_whiteouts_below_a_file(awkward_oci: Layout) -> None:
    *_, links, below = layers(awkward_oci)
    assert links["srv/kept-linked"].linkname == "srv/data/kept"
    assert "srv/data/kept" not in links
    assert below["srv/hidden"].isfile()
    assert "srv/hidden/.wh.only" in below


def test_skopeo_made_archives_and_a_folder(small_archive: Path, small_oci_archive: Path, small_dir: Path) -> None:
    with tarfile.open(small_archive) as archive:
        assert "manifest.json" in archive.getnames()
    with tarfile.open(small_oci_archive) as archive:
        assert "oci-layout" in archive.getnames()
    assert (small_dir / "version").is_file()


def test_docker_save_is_of_the_third_generation(small_saved: Path) -> None:
    with tarfile.open(small_saved) as archive:
        names = archive.getnames()
    assert {"manifest.json", "index.json", "oci-layout"} <= set(names)
    assert any(name.startswith("blobs/sha256/") for name in names)


def test_the_engine_runs_the_small_image(small_saved: Path, dockerd: Dockerd) -> None:
    assert dockerd.docker("run", "--rm", "--network=none", dockerd.load(small_saved)) == "it runs\n"


def test_the_registry_takes_the_small_image(small_oci: Layout, registry: Registry) -> None:
    name = f"docker://{registry.host}/sample:latest"
    run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", small_oci.reference, name)
    assert "latest" in run("skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.host}/sample")


def test_a_debian_root_passes_through_umoci_and_the_engine(debian_saved: Path, dockerd: Dockerd) -> None:
    name = dockerd.load(debian_saved)
    command = ("--entrypoint", "/usr/bin/dpkg-query", name, "-W", "-f", "${Package}\n", "libc6")
    assert dockerd.docker("run", "--rm", "--network=none", *command) == "libc6\n"
