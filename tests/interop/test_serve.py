"""A registry that converts, with skopeo, podman, oras, Docker, containerd and gpg as its clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

import converter
from converter.compare_images import compare_trees, file_tree
from converter.conversion import Options
from converter.conversion.sync.sync_file import SyncEntry
from converter.model.platform import ALL_PLATFORMS
from converter.model.reference import Location
from converter.serving import Server, ServerSettings
from converter.serving.catalogue import PLACE
from converter.serving.http import LogEntry
from tests.interop import services
from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.services import Dockerd
from tests.interop.signers import Gpg
from tests.interop.tools import need, need_root, run
from tests.stores.certificates import issue

NAMES = ("aci", "saved", "layout", "mirror")
"""The images that are served, each of another kind of source."""


@pytest.fixture(scope="module")
def sources(
    small_oci: Layout, small_archive: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with an ACI; the other images are where their tools have put them."""
    folder = tmp_path_factory.mktemp("acis")
    converter.convert(small_oci.reference, f"aci:{folder}/small.aci")
    run("skopeo", "copy", "--dest-tls-verify=false", small_oci.reference, f"docker://{registry.host}/served:latest")
    return folder


@pytest.fixture(scope="module")
def server(
    small_oci: Layout, small_archive: Path, registry: Registry, sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the small image from an ACI, an archive, a layout and another registry, all with zstd layers."""
    options = Options(platforms=ALL_PLATFORMS, compress=converter.Compression("zstd"), to="oci", store=PLAIN)
    places = (
        f"aci:{sources}",
        f"docker-archive:{small_archive}",
        f"oci:{small_oci.path}",
        f"docker://{registry.host}/served",
    )
    entries = [
        SyncEntry(source=Location.parse(place), to=PLACE, rename=f"{name}:1", options=options)
        for name, place in zip(NAMES, places, strict=True)
    ]
    settings = ServerSettings(port=0, store=tmp_path_factory.mktemp("serve"))
    with Server(entries, settings, options) as made:
        yield made


PLAIN = converter.StoreOptions(tls_verify=False)


def same_tree(found: str, small: Layout) -> None:
    """Nothing differs in the files of two images."""
    one, other = converter.open_image(found), converter.open_image(small.reference)
    assert isinstance(one, converter.Image)
    assert isinstance(other, converter.Image)
    with file_tree(one) as a, file_tree(other) as b:
        assert list(compare_trees(a, b)) == []


@pytest.mark.parametrize("name", NAMES)
def test_skopeo_pulls(server: Server, small_oci: Layout, tmp_path: Path, name: str) -> None:
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{server.host}/{name}:1", f"oci:{tmp_path}/out:1")
    same_tree(f"oci:{tmp_path}/out:1", small_oci)
    raw = json.loads(run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/out:1"))
    assert {one["mediaType"].rpartition("+")[2] for one in raw["layers"]} == {"zstd"}


@pytest.mark.parametrize("name", NAMES)
def test_podman_pulls_and_runs(server: Server, small_oci: Layout, tmp_path: Path, name: str) -> None:
    need("podman")
    store = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    image = run("podman", *store, "pull", "--quiet", "--tls-verify=false", f"{server.host}/{name}:1").strip()
    run("podman", *store, "save", "--quiet", "--format", "docker-archive", "--output", tmp_path / "saved.tar", image)
    same_tree(f"docker-archive:{tmp_path}/saved.tar", small_oci)


@pytest.mark.parametrize("name", NAMES)
def test_oras_pulls_images(server: Server, small_oci: Layout, tmp_path: Path, name: str) -> None:
    need("oras")
    run("oras", "copy", "--from-plain-http", f"{server.host}/{name}:1", "--to-oci-layout", f"{tmp_path}/out:1")
    same_tree(f"oci:{tmp_path}/out:1", small_oci)


def test_oras_pulls_the_files_of_an_artifact(registry: Registry, tmp_path: Path) -> None:
    need("oras")
    note = tmp_path / "note.txt"
    note.write_text("not an image")
    push = ["push", "--plain-http", "--artifact-type", "application/vnd.example.note"]
    run("oras", *push, f"{registry.host}/notes:1", "note.txt:text/plain", cwd=tmp_path)
    with converter.serve(
        f"docker://{registry.host}/notes", folder=tmp_path / "kept", compress="zstd", store=PLAIN
    ) as gateway:
        run("oras", "pull", "--plain-http", f"{gateway.host}/notes:1", "--output", tmp_path / "got")
    assert (tmp_path / "got/note.txt").read_bytes() == note.read_bytes()


def test_oras_lists_and_deletes_nothing(server: Server) -> None:
    need("oras")
    assert run("oras", "repo", "ls", "--plain-http", server.host).split() == sorted(NAMES)
    assert run("oras", "repo", "tags", "--plain-http", f"{server.host}/layout").split() == ["1"]
    manifest = run("oras", "manifest", "fetch", "--plain-http", f"{server.host}/layout:1")
    described = json.loads(run("oras", "manifest", "fetch", "--descriptor", "--plain-http", f"{server.host}/layout:1"))
    assert described["digest"] == f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    refused = run("oras", "manifest", "delete", "--force", "--plain-http", f"{server.host}/layout:1", status=1)
    assert refused == "" or "deleted" not in refused.lower()


@pytest.mark.parametrize("name", NAMES)
def test_docker_pulls(server: Server, small_oci: Layout, dockerd: Dockerd, tmp_path: Path, name: str) -> None:
    reference = f"{server.host}/{name}:1"
    dockerd.docker("pull", "--quiet", reference)
    (tmp_path / "saved.tar").write_bytes(dockerd.save(reference))
    same_tree(f"docker-archive:{tmp_path}/saved.tar", small_oci)


def test_containerd_pulls_through_a_mirror(
    registry: Registry, small_oci: Layout, sources: Path, tmp_path: Path
) -> None:
    """``hosts.toml`` sends what is asked of one registry here, which asks it, and converts."""
    need("containerd", "ctr")
    need_root()
    options = Options(platforms=ALL_PLATFORMS, compress=converter.Compression("zstd"), to="oci", store=PLAIN)
    entry = SyncEntry(source=Location.parse(f"docker://{registry.host}/"), to=PLACE, options=options)
    authority = issue(tmp_path, "gateway")
    settings = ServerSettings(port=0, store=tmp_path / "store", certificate=authority.cert_path, key=authority.key_path)
    seen: list[LogEntry] = []
    with Server([entry], settings, options, log=seen.append) as gateway, services.containerd(tmp_path) as socket:
        hosts = tmp_path / "hosts" / registry.host
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(
            f'server = "http://{registry.host}"\n'
            f'[host."https://{gateway.host}"]\n  capabilities = ["pull", "resolve"]\n  ca = "{authority.cert_path}"\n'
        )
        ctr = ("ctr", "--address", socket)
        run(
            *ctr,
            "image",
            "pull",
            "--snapshotter",
            "native",
            "--hosts-dir",
            tmp_path / "hosts",
            f"{registry.host}/served:latest",
        )
        run(*ctr, "image", "export", tmp_path / "out.tar", f"{registry.host}/served:latest")
    same_tree(f"oci-archive:{tmp_path}/out.tar", small_oci)
    assert any(row.path.startswith("/v2/served/blobs/") and row.status == 200 for row in seen)


def test_gateways_share_a_repository(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    """What one of them converts, the other serves, and skopeo may ask each of them for a part."""
    reports = []
    for name in ("one", "other"):
        with converter.serve(
            small_oci.reference,
            folder=tmp_path / name,
            shared=f"docker://{registry.host}/gateways",
            rename="app:1",
            compress="zstd",
            store=PLAIN,
        ) as gateway:
            run(
                "skopeo",
                "copy",
                "--src-tls-verify=false",
                f"docker://{gateway.host}/app:1",
                f"oci:{tmp_path}/{name}1:1",
            )
            with urlopen(f"{gateway.url}metrics") as answer:
                reports.append(
                    [line for line in answer.read().decode().splitlines() if "conversions_total" in line][-1]
                )
        same_tree(f"oci:{tmp_path}/{name}1:1", small_oci)
    assert reports == ["transship_conversions_total 1", "transship_conversions_total 0"]
    digests = [
        run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{tmp_path}/{name}1:1") for name in ("one", "other")
    ]
    assert len(set(digests)) == 1


def test_rkt_gets_an_aci_of_any_image_and_gpg_verifies_its_own(small_oci: Layout, gpg: Gpg, tmp_path: Path) -> None:
    """Discovery is on the port of HTTP, since names of ACIs have none."""
    need_root()
    folder = tmp_path / "acis"
    folder.mkdir()
    converter.convert(small_oci.reference, f"oci:{tmp_path}/named:127.0.0.9/own:1")
    converter.convert(f"oci:{tmp_path}/named", f"aci:{folder}/own.aci")
    gpg.sign(folder / "own.aci", gpg.key("rkt"))
    options = Options(platforms=ALL_PLATFORMS)
    entries = [
        SyncEntry(source=Location.parse(f"aci:{folder}"), to=PLACE, rename="own:1", options=options),
        SyncEntry(source=Location.parse(small_oci.reference), to=PLACE, rename="other:1", options=options),
    ]
    with Server(entries, ServerSettings(host="127.0.0.9", port=80, store=tmp_path / "store"), options):
        for name in ("own", "other"):
            converter.convert(f"appc:127.0.0.9/{name}:1", f"aci:{tmp_path}/{name}.aci", store=PLAIN)
            same_tree(f"aci:{tmp_path}/{name}.aci", small_oci)
    assert (tmp_path / "own.aci").read_bytes() == (folder / "own.aci").read_bytes()
    gpg.run("--verify", tmp_path / "own.aci.asc", tmp_path / "own.aci")
