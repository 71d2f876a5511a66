"""Registries and the Docker Engine, with skopeo, podman, oras and cosign at the other side."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.conversion import Options, convert
from converter.errors import Denied, DigestMismatch, Invalid, NotFound, Unreachable
from converter.model import media_types as types
from converter.model.content import known_bytes
from converter.model.descriptor import Descriptor, Digest
from converter.model.reference import Location
from converter.ports import Sink
from converter.stores import names, open_sink, open_source, retry
from converter.stores.options import StoreOptions
from tests.interop import registries, services
from tests.interop.fault_proxy import FaultProxy
from tests.interop.images import Layout
from tests.interop.processes import Registry
from tests.interop.registries import PASSWORD, USER
from tests.interop.services import Dockerd
from tests.interop.tools import need, run
from tests.stores.certificates import issue

PLAIN = StoreOptions(tls_verify=False)


def copy(source: str, target: str, options: StoreOptions = PLAIN, into: StoreOptions | None = None) -> Digest:
    """Convert an image, all of it, with all that is attached to it."""
    told = Options(platforms=("all",), store=options, target_store=into)
    (made,) = convert(source, [target], told).targets
    assert made.digest is not None
    return made.digest


def raw(reference: str, *options: str) -> bytes:
    """A manifest as skopeo gets it."""
    return run("skopeo", "inspect", "--raw", *options, reference).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def at(registry: Registry, name: str) -> str:
    return f"docker://{registry.host}/{name}"


def test_what_we_push_others_pull(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    digest = copy(small_oci.reference, at(registry, "ours:1"))
    assert digest_of(raw(at(registry, "ours:1"), "--tls-verify=false")) == str(digest)
    run("skopeo", "copy", "--src-tls-verify=false", at(registry, "ours:1"), f"oci:{tmp_path}/back:1")
    assert digest_of(raw(f"oci:{tmp_path}/back:1")) == str(digest)


def test_what_others_push_we_pull(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    run("skopeo", "copy", "--dest-tls-verify=false", small_oci.reference, at(registry, "theirs:1"))
    digest = copy(at(registry, "theirs:1"), f"oci:{tmp_path}/back:1")
    assert digest_of(raw(small_oci.reference)) == str(digest)
    assert raw(f"oci:{tmp_path}/back:1") == raw(small_oci.reference)


def test_podman_pulls_what_we_push(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    need("podman")
    copy(small_oci.reference, at(registry, "podman:1"))
    store = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    image = run("podman", *store, "pull", "--quiet", "--tls-verify=false", f"{registry.host}/podman:1").strip()
    config = json.loads(raw(small_oci.reference))["config"]["digest"]
    assert image == config.removeprefix("sha256:")


@pytest.mark.parametrize(
    "form, of_index, of_manifest",
    [
        pytest.param("oci", types.OCI_INDEX, types.OCI_MANIFEST, id="an index of OCI, with an attestation"),
        pytest.param("docker", types.DOCKER_LIST, types.DOCKER_MANIFEST, id="a list of Docker's"),
    ],
)
def test_an_index_is_byte_for_byte_what_skopeo_writes(
    registry: Registry, small_oci: Layout, tmp_path: Path, form: str, of_index: str, of_manifest: str
) -> None:
    here = f"all-{form}"
    convert(small_oci.reference, [at(registry, f"{here}:inner")], Options(to=form, store=PLAIN))
    manifest = raw(at(registry, f"{here}:inner"), "--tls-verify=false")
    entries: list[dict[str, Any]] = [
        Descriptor.of(manifest, of_manifest).to_json() | {"platform": {"os": "linux", "architecture": one}}
        for one in ("amd64", "arm64")
    ]
    with open_sink(Location.parse(at(registry, f"{here}:1")), PLAIN) as sink:
        if form == "oci":
            entries.append(attestation(sink, Descriptor.of(manifest, of_manifest)))
        document = {"schemaVersion": 2, "mediaType": of_index, "manifests": entries}
        index = json.dumps(document, indent=3).encode()
        sink.name("", sink.put((index,), of_index, Descriptor.of(index, of_index)))
    copy(at(registry, f"{here}:1"), at(registry, f"{here}-ours:1"))
    everything = ["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
    run("skopeo", *everything, at(registry, f"{here}:1"), at(registry, f"{here}-theirs:1"))
    ours, theirs = (raw(at(registry, f"{here}-{who}:1"), "--tls-verify=false") for who in ("ours", "theirs"))
    assert ours == theirs == index
    copy(at(registry, f"{here}:1"), f"dir:{tmp_path}/folder")
    assert (tmp_path / "folder/manifest.json").read_bytes() == index


def attestation(sink: Sink, subject: Descriptor) -> dict[str, Any]:
    """What BuildKit puts into an index beside an image: one more manifest, of no platform."""
    statement = b'{"_type": "https://in-toto.io/Statement/v0.1", "predicate": {}}'
    layer = sink.put((statement,), "application/vnd.in-toto+json", Descriptor.of(statement, ""))
    rootfs = {"type": "layers", "diff_ids": [str(layer.digest)]}
    config = json.dumps({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": rootfs}).encode()
    put = sink.put((config,), types.OCI_CONFIG, Descriptor.of(config, types.OCI_CONFIG))
    layers = [layer.to_json() | {"annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}]
    document = {"schemaVersion": 2, "mediaType": types.OCI_MANIFEST, "config": put.to_json(), "layers": layers}
    data = json.dumps(document).encode()
    made = sink.put((data,), types.OCI_MANIFEST, Descriptor.of(data, types.OCI_MANIFEST))
    about = {"vnd.docker.reference.digest": str(subject.digest), "vnd.docker.reference.type": "attestation-manifest"}
    return made.to_json() | {"platform": {"architecture": "unknown", "os": "unknown"}, "annotations": about}


def test_tags_are_listed(registry: Registry, small_oci: Layout) -> None:
    for tag in ("a", "b", "c"):
        copy(small_oci.reference, at(registry, f"tags:{tag}"))
    assert sorted(names(f"docker://{registry.host}/tags", PLAIN)) == ["a", "b", "c"]


def test_all_of_a_registry_is_moved(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    from converter.cli.main import main

    for name in ("whole/a/app:1", "whole/b/app:1", "whole/b/app:2"):
        copy(small_oci.reference, at(registry, name))
    there = f"docker://{registry.host}/whole/"
    with open_source(Location.parse(there), PLAIN) as source:
        assert source.names() == (f"{registry.host}/whole/a/app", f"{registry.host}/whole/b/app")
    assert main(["sync", there, f"oci:{tmp_path}/all", "--src-tls-verify=false", "--quiet", "--no-cache"]) == 0
    moved = json.loads((tmp_path / "all/index.json").read_bytes())["manifests"]
    names = {row["annotations"]["org.opencontainers.image.ref.name"] for row in moved}
    assert names == {"whole/a/app:1", "whole/b/app:1", "whole/b/app:2"}


def test_layers_are_mounted_within_a_registry(registry: Registry, small_oci: Layout) -> None:
    copy(small_oci.reference, at(registry, "mount/from:1"))
    with FaultProxy(registry.host, lambda *_: None) as proxy:
        from_proxy = f"docker://{proxy.host}/mount/from:1"
        copy(from_proxy, f"docker://{proxy.host}/mount/to:1", PLAIN, replace(PLAIN, mount_from=("mount/from",)))
        manifest = len(raw(small_oci.reference))
        assert proxy.up == 2 * manifest, "the manifest goes by digest and by tag, blobs do not go at all"


def test_two_hundred_blobs_arrive_where_every_tenth_request_is_cut(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    blobs = [known_bytes(bytes(f"{number:9}", "ascii") * 4000, types.OCI_LAYER) for number in range(200)]
    size = 36_000
    with FaultProxy(registry.host, lambda number, *_: 12_000 if number % 10 == 0 else None) as proxy:
        location = Location.parse(f"docker://{proxy.host}/faults:1")

        def put(blob: Any) -> None:
            if not sink.has(blob.descriptor):
                sink.put(blob.blocks(), types.OCI_LAYER, blob.descriptor)

        with open_sink(location, PLAIN) as sink, ThreadPoolExecutor(4) as pool:
            list(pool.map(put, blobs))
        uploads = sum(method in {"PUT", "PATCH"} for method, _ in proxy.requests)
        assert proxy.cuts > 40
        assert proxy.up <= size * (len(blobs) + proxy.cuts), "at most one blob is sent again per cut"
        assert uploads <= len(blobs) + proxy.cuts
        proxy.requests.clear()
        proxy.down = proxy.cuts = 0
        with open_source(location, PLAIN) as source, ThreadPoolExecutor(4) as pool:
            got = pool.map(lambda blob: b"".join(source.fetch(blob.descriptor).blocks()), blobs)
            assert [Descriptor.of(data, types.OCI_LAYER) for data in got] == [blob.descriptor for blob in blobs]
        assert proxy.down <= size * len(blobs), "what has arrived is not sent again"


def test_an_upload_that_is_called_off_leaves_no_bytes(registry: Registry) -> None:
    """Between two parts: of a request that is cut, docker-registry 2.8 keeps what it has got, whatever it is told."""
    uploads = registry.folder / "data/docker/registry/v2/repositories/called-off/_uploads"

    def blocks() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(200_000)
        assert len(list(uploads.glob("*/data"))) == 1
        raise KeyboardInterrupt

    options = replace(PLAIN, chunk=200_000)
    with pytest.raises(KeyboardInterrupt), open_sink(Location.parse(at(registry, "called-off:1")), options) as sink:
        sink.put(blocks(), types.OCI_LAYER)
    assert not list(uploads.glob("*/data"))


def test_a_wrong_byte_is_refused_and_nothing_is_tagged(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    copy(small_oci.reference, at(registry, "wrong:1"))
    layer = json.loads(raw(small_oci.reference))["layers"][0]["digest"].removeprefix("sha256:")
    stored = registry.folder / f"data/docker/registry/v2/blobs/sha256/{layer[:2]}/{layer}/data"
    original = stored.read_bytes()
    try:
        stored.write_bytes(original[:500] + bytes((original[500] ^ 1,)) + original[501:])
        with pytest.raises((DigestMismatch, Invalid)):
            copy(at(registry, "wrong:1"), f"oci:{tmp_path}/never:1")
        assert not (tmp_path / "never").exists() or not (tmp_path / "never/index.json").exists()
        # Under another name it is another registry, into which nothing is mounted.
        with FaultProxy(registry.host, lambda *_: None) as proxy:
            with pytest.raises((DigestMismatch, Invalid)):  # whichever notices first, who hashes or who inflates
                copy(at(registry, "wrong:1"), f"docker://{proxy.host}/never:1")
            assert not [path for method, path in proxy.requests if method == "PUT" and "/manifests/" in path]
        with pytest.raises(NotFound):
            names(f"docker://{registry.host}/never", PLAIN)
    finally:
        stored.write_bytes(original)


@pytest.fixture(scope="module")
def with_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("password")
    with services.registry(folder, auth=registries.password_file(folder)) as service:
        yield service


def test_a_password_that_skopeo_has_stored(with_password: Registry, small_oci: Layout, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    login = ["login", "--tls-verify=false", "--authfile", str(authfile), "--username", USER, "--password-stdin"]
    run("skopeo", *login, with_password.host, stdin=PASSWORD.encode())
    options = replace(PLAIN, environment={"REGISTRY_AUTH_FILE": str(authfile)})
    digest = copy(small_oci.reference, at(with_password, "secret:1"), options)
    assert copy(at(with_password, "secret:1"), f"oci:{tmp_path}/back:1", options) == digest
    for wrong in (PLAIN, replace(PLAIN, credentials=(USER, "wrong")), replace(options, anonymous=True)):
        with pytest.raises(Denied):
            copy(at(with_password, "secret:1"), f"oci:{tmp_path}/never:1", wrong)


def test_a_password_from_a_helper(with_password: Registry, small_oci: Layout, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f'#!/bin/sh\nread key\necho \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    copy(small_oci.reference, at(with_password, "helped:1"), replace(PLAIN, environment=environment))


def test_tls_from_an_authority_of_our_own(small_oci: Layout, tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    server = issue(tmp_path, "server", authority)
    client = issue(tmp_path, "client", authority)
    with services.registry(tmp_path, http=registries.tls(server, clients=authority)) as service:
        certs = tmp_path / "home/.config/containers/certs.d" / service.host
        certs.mkdir(parents=True)
        strict = StoreOptions(environment={"HOME": str(tmp_path / "home")}, retries=0)
        with pytest.raises(Unreachable, match="certificate"):
            copy(small_oci.reference, at(service, "tls:1"), strict)
        (certs / "ca.crt").write_bytes(authority.cert_path.read_bytes())
        with pytest.raises(Unreachable, match=r"requires a client certificate .*add X\.cert and X\.key"):
            copy(small_oci.reference, at(service, "tls:1"), strict)
        (certs / "client.cert").write_bytes(client.cert_path.read_bytes())
        (certs / "client.key").write_bytes(client.key_path.read_bytes())
        digest = copy(small_oci.reference, at(service, "tls:1"), strict)
        by_folder = StoreOptions(cert_dir=certs, retries=0)
        assert copy(at(service, "tls:1"), f"oci:{tmp_path}/back:1", by_folder) == digest
        careless = replace(by_folder, cert_dir=None, tls_verify=False)
        with pytest.raises(Unreachable):
            copy(at(service, "tls:1"), f"oci:{tmp_path}/never:1", careless)
        assert digest_of(raw(at(service, "tls:1"), "--cert-dir", str(certs))) == str(digest)


def test_tokens(small_oci: Layout, tmp_path: Path) -> None:
    with (
        registries.token_server(tmp_path) as seller,
        services.registry(tmp_path, auth=seller.auth()) as service,
    ):
        options = replace(PLAIN, credentials=(USER, PASSWORD))
        digest = copy(small_oci.reference, at(service, "group/token:1"), options)
        assert len(seller.asked) == 1
        assert seller.asked[0]["scope"] == ["repository:group/token:pull,push"]
        seller.life = 0.001
        mounted = replace(options, mount_from=("group/token",))
        assert copy(at(service, "group/token:1"), at(service, "group/copy:1"), options, mounted) == digest
        seller.life = 60
        assert len(seller.asked) > 10, "a token that does not hold is bought again for each request"
        scopes = [asked["scope"] for asked in seller.asked]
        assert ["repository:group/copy:pull,push", "repository:group/token:pull"] in scopes, "for the mounts"
        with open_source(Location.parse(f"{at(service, 'group')}/"), options) as source:
            assert source.names() == (f"{service.host}/group/copy", f"{service.host}/group/token")
        assert seller.asked[-1]["scope"] == ["registry:catalog:*"]
        assert scopes[-1] == ["repository:group/copy:pull,push"]
        for wrong in (PLAIN, replace(options, credentials=(USER, "wrong"))):
            with pytest.raises(Denied):
                copy(at(service, "group/token:1"), f"oci:{tmp_path}/never:1", wrong)
        assert digest_of(raw(at(service, "group/copy:1"), "--tls-verify=false", f"--creds={USER}:{PASSWORD}")) == str(
            digest
        )


def test_what_oras_attaches_travels(registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    need("oras")
    copy(small_oci.reference, at(registry, "oras:1"))
    (tmp_path / "note.txt").write_text("a note")
    kinds = ["application/vnd.test.note", "application/vnd.test.other"]
    for kind in kinds:
        attach = ["attach", "--plain-http", "--artifact-type", kind, f"{registry.host}/oras:1"]
        run("oras", *attach, "note.txt:text/plain", cwd=tmp_path)
    copy(at(registry, "oras:1"), f"oci:{tmp_path}/layout:1")
    copy(f"oci:{tmp_path}/layout:1", at(registry, "oras-copy:1"))
    for place in (["--oci-layout", f"{tmp_path}/layout:1"], ["--plain-http", f"{registry.host}/oras-copy:1"]):
        found = json.loads(run("oras", "discover", "--format", "json", *place))
        listed = found.get("referrers") or found.get("manifests")
        assert sorted(one["artifactType"] for one in listed) == kinds
        digest = listed[0]["digest"]
        run("oras", "pull", *place[:-1], place[-1].removesuffix(":1") + f"@{digest}", "-o", tmp_path / "got")
        assert (tmp_path / "got/note.txt").read_text() == "a note"
        (tmp_path / "got/note.txt").unlink()


@pytest.mark.parametrize("docker", ["0", "1"], ids=["under OCI's media types", "under Docker's"])
def test_what_cosign_signs_stays_signed(docker: str, registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    need("cosign")
    environment = {"COSIGN_PASSWORD": "x", "HOME": str(tmp_path), "COSIGN_DOCKER_MEDIA_TYPES": docker}
    run("cosign", "generate-key-pair", cwd=tmp_path, env=environment)
    digest = copy(small_oci.reference, at(registry, f"signed{docker}:1"))
    sign = ["sign", "--key", "cosign.key", "--tlog-upload=false", "--yes", "--allow-http-registry"]
    run("cosign", *sign, f"{registry.host}/signed{docker}@{digest}", cwd=tmp_path, env=environment)
    copy(at(registry, f"signed{docker}:1"), at(registry, f"copied{docker}:1"))
    verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"]
    run("cosign", *verify, f"{registry.host}/copied{docker}@{digest}", cwd=tmp_path, env=environment)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_schema_1_is_pulled(signed: bool, tmp_path: Path) -> None:
    layer = base64.b64decode("H4sIAAAJbogA/2IYBaNgFIxYAAgAAP//Lq+17wAEAAA=")
    document: dict[str, Any] = {
        "schemaVersion": 1,
        "name": "old",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest_of(layer)}],
        "history": [{"v1Compatibility": json.dumps({"id": "a" * 64, "os": "linux", "architecture": "amd64"})}],
    }
    payload = json.dumps(document, indent=3).encode()
    data = payload
    if signed:
        protected = {
            "formatLength": len(payload) - 2,
            "formatTail": base64.urlsafe_b64encode(b"\n}").decode().rstrip("="),
        }
        header = base64.urlsafe_b64encode(json.dumps(protected).encode()).decode().rstrip("=")
        data = payload[:-2] + f',\n   "signatures": [{{"protected": "{header}"}}]\n}}'.encode()
    from tests.stores.registry.fake import FakeRegistry

    with FakeRegistry() as old:
        old.add_blob("old", layer)
        media_type = types.DOCKER_SCHEMA1_SIGNED if signed else types.DOCKER_SCHEMA1
        old["old"].manifests[digest_of(payload)] = (media_type, data)
        old["old"].tags["1"] = digest_of(payload)
        with open_source(Location.parse(f"docker://{old.host}/old@{digest_of(payload)}"), PLAIN) as source:
            root = source.resolve("")
            assert source.fetch(root).read() == data
            blob = Descriptor(media_type="", digest=Digest.parse(digest_of(layer)), size=-1)
            assert b"".join(source.fetch(blob).blocks()) == layer


def test_an_engine_pulls_what_we_push(dockerd: Dockerd, registry: Registry, small_oci: Layout) -> None:
    copy(small_oci.reference, at(registry, "engine:1"))
    dockerd.docker("pull", "--quiet", f"{registry.host}/engine:1")
    config = json.loads(raw(small_oci.reference))["config"]["digest"]
    assert dockerd.docker("inspect", "--format", "{{.Id}}", f"{registry.host}/engine:1").strip() == config


def test_we_pull_what_an_engine_pushes(dockerd: Dockerd, registry: Registry, small_oci: Layout, tmp_path: Path) -> None:
    copy(small_oci.reference, "docker-daemon:pushed:1", StoreOptions(docker_host=dockerd.host))
    dockerd.docker("tag", "pushed:1", f"{registry.host}/pushed:1")
    dockerd.docker("push", "--quiet", f"{registry.host}/pushed:1")
    digest = copy(at(registry, "pushed:1"), f"dir:{tmp_path}/back")
    assert digest_of(raw(at(registry, "pushed:1"), "--tls-verify=false")) == str(digest)


def test_the_command_line_end_to_end(registry: Registry, small_archive: Path, tmp_path: Path) -> None:
    from converter.cli.main import main

    plain = ["--tls-verify=false", "--quiet", "--no-cache"]
    there, back = at(registry, "cli:1"), f"oci:{tmp_path}/back:1"
    assert main(["convert", f"docker-archive:{small_archive}", there, "--to", "oci", *plain]) == 0
    assert main(["convert", there, back, f"aci:{tmp_path}/x.aci", f"docker-archive:{tmp_path}/x.tar", *plain]) == 0
    assert raw(back) == raw(there, "--tls-verify=false")
    assert main(["diff", there, f"docker-archive:{tmp_path}/x.tar", "--tls-verify=false", "--quiet"]) == 0
