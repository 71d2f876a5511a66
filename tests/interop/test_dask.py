"""Many images by a real Dask cluster: a scheduler and workers, each a process, between real registries."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dask.config
import pytest
from distributed import Client

from converter import validate_image
from converter.cli.main import main
from converter.cli.shared_options import environment_variables
from converter.conversion.job import Job
from converter.conversion.remote import Assignment, portable_job
from converter.conversion.sync import Helpers, sync
from converter.conversion.sync.cluster import Cluster, program_version, run_assignment
from converter.errors import Unreachable, Unsupported
from converter.events import Event, Warned
from converter.model.content import Compression
from converter.model.descriptor import Digest
from converter.model.reference import Location
from tests.builders import add_image, many
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.interop import registries, services
from tests.interop.dask_cluster import ROOT, DaskCluster, dask_cluster
from tests.interop.fault_proxy import FaultProxy
from tests.interop.processes import Registry
from tests.interop.registries import PASSWORD, USER
from tests.interop.wiretap import wiretap
from tests.patience import patiently
from tests.stores.registry.fake import Busy, FakeRegistry, Fault, Refuse, Request, Stall
from tests.sync.entries import OPTIONS, PLAIN, entry, fill, serve
from tests.sync.test_sync import states

IMAGES = 20
REPOSITORY = "dask/app"
ZSTD = Compression("zstd")
PLAINLY = {"DASK_DISTRIBUTED__COMM__COMPRESSION": "null"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    """Two workers of one thread each."""
    with dask_cluster(tmp_path / "dask", workers=2) as service:
        yield service


@pytest.fixture(scope="module")
def unique(registry: Registry) -> int:
    """Twenty images of 12 layers, of which all share 8; the bytes of all that is there, once."""
    return fill(registry, REPOSITORY, *many(IMAGES, base=8, own=4))


def helpers(cluster: DaskCluster) -> Helpers:
    return partial(Cluster, cluster.address, environment_variables)


def test_bytes_read_are_those_that_differ_and_a_second_run_reads_documents(
    registry: Registry, unique: int, cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with FaultProxy(registry.host, lambda number, method, path: None) as proxy:
        command = ("sync", f"docker://{proxy.host}/{REPOSITORY}", f"docker://{registry.host}/twice")
        options = ["--tls-verify=false", "--rename", "r{tag}:x", "--compress", "zstd", "--quiet"]
        options += ["--scheduler", cluster.address]

        assert main([*command, *options, "--report", str(tmp_path / "first.json")]) == 0
        read_first, proxy.down = proxy.down, 0
        assert main([*command, *options, "--report", str(tmp_path / "second.json")]) == 0

    first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["written"] == second["there"] == IMAGES
    assert first["fetched"] == unique
    assert unique <= read_first < unique * 1.02
    assert proxy.down < IMAGES * 8000
    here = [entry(f"docker://{registry.host}/{REPOSITORY}", f"oci:{tmp_path / 'here'}", compress=ZSTD)]
    assert {one.digest for one in sync(here).outcomes} == {one["digest"] for one in first["outcomes"]}


def test_a_worker_killed_halfway_loses_nothing(
    registry: Registry, unique: int, cluster: DaskCluster, tmp_path: Path
) -> None:
    def halfway(number: int, method: str, path: str) -> None:
        if number == IMAGES * 4:
            cluster.kill_worker(0)

    with FaultProxy(registry.host, halfway) as proxy:
        entries = [
            entry(f"docker://{proxy.host}/{REPOSITORY}", f"docker://{registry.host}/killed", "r{tag}:x", compress=ZSTD)
        ]
        summary = sync(entries, helpers=helpers(cluster))

    assert cluster.workers[0].poll() is not None
    assert states(summary) == {"written": IMAGES}
    for number in range(IMAGES):
        verdict = validate_image(f"docker://{registry.host}/killed/r{number}:x", store=PLAIN)
        assert not verdict.findings


def test_an_image_that_costs_too_many_workers_is_a_failure_and_the_others_are_done(
    registry: Registry, unique: int, tmp_path: Path
) -> None:
    patience = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    blobs = many(IMAGES, base=8, own=4)[0].blobs
    layers = {str(digest) for digest, data in blobs.items() if len(data) > 10_000}
    turn = threading.Lock()
    with dask_cluster(tmp_path / "dask", workers=2, env=patience) as cluster:

        def halfway(number: int, method: str, path: str) -> None:
            # While a layer is asked for, as only workers do: one that is idle costs no image.
            is_layer = method == "GET" and path.rpartition("/")[2] in layers
            if number >= IMAGES * 4 and is_layer and turn.acquire(blocking=False):
                cluster.kill_worker(0)
                cluster.kill_worker(1)
                cluster.add_worker()

        with FaultProxy(registry.host, halfway) as proxy:
            source = f"docker://{proxy.host}/{REPOSITORY}"
            entries = [entry(source, f"docker://{registry.host}/costly", "r{tag}:x", compress=ZSTD)]
            summary = sync(entries, keep_going=True, helpers=helpers(cluster))

    # All that it had been given.
    assert summary.counts["failed"] > 0
    assert summary.counts["written"] == IMAGES - summary.counts["failed"] > IMAGES // 2
    assert any("1 workers died of move-sha256:" in one.error for one in summary.outcomes)


def test_a_registry_that_is_busy_is_neither_flooded_nor_a_failure(cluster: DaskCluster) -> None:
    busy = Busy(4, 0.005, {"Retry-After": "0"}, together=2)
    with FakeRegistry() as ours, FakeRegistry() as theirs:
        serve(ours, *many(8))
        ours.fault = busy
        entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]

        summary = sync(entries, images=8, per_host=2, helpers=helpers(cluster))

    assert states(summary) == {"written": 8}
    assert busy.most == 2


def test_when_a_registry_asks_one_worker_to_wait_all_do(cluster: DaskCluster) -> None:
    def wait(seconds: float) -> None:
        began: list[float] = []
        told: list[float] = []

        def once(request: Request) -> Fault:
            began.append(time.monotonic())
            if not told and len(began) > 20 and "/blobs/" in request.path:
                told.append(time.monotonic())
                return Refuse(status=429, headers={"Retry-After": f"{seconds:.0f}"})
            # Word goes by way of the scheduler; until it has arrived, others would go on.
            return Stall(seconds=max(0.0, told[0] + seconds / 2 - time.monotonic())) if told else None

        with FakeRegistry() as ours, FakeRegistry() as theirs:
            serve(ours, *many(12))
            ours.fault = once
            entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]
            events: list[Event] = []
            summary = sync(entries, events.append, helpers=helpers(cluster), images=6, per_host=4)

        assert states(summary) == {"written": 12}
        waits = [event.fact for event in events if isinstance(event, Warned) and "retrying in" in event.fact]
        assert waits, "whoever runs the cluster is told of it"
        assert all(fact.startswith(f"{ours.host}: ") for fact in waits)
        assert len(began) > 40
        assert sum(told[0] < one < told[0] + seconds - 0.05 for one in began) <= 8, "some were on their way already"

    patiently(wait, (3, 15, 60))


def test_workers_use_the_credentials_that_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "registry"
    folder.mkdir()
    with (
        services.registry(folder, auth=registries.password_file(folder)) as closed,
        FakeRegistry() as ours,
        dask_cluster(tmp_path / "dask", workers=1) as cluster,
    ):
        serve(ours, *many(2))
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {closed.host: {"username": USER, "password": PASSWORD}}}))
        command = ("sync", f"docker://{ours.host}/team/app", f"docker://{closed.host}/copy", "--tls-verify=false")
        options = ("--scheduler", cluster.address, "--keep-going", "--dest-creds", f"{USER}:{PASSWORD}")

        assert main([*command, *options]) == 1
        assert re.search(r"worker tcp://\S+: \S+ requires a login", capsys.readouterr().out)

        cluster.kill_worker(0)
        cluster.wait_for_workers(0)
        cluster.add_worker({"REGISTRY_AUTH_FILE": str(auth)}).wait_for_workers(1)

        assert main([*command, *options]) == 0
        assert "2 images: 2 copied" in capsys.readouterr().out


def test_neither_a_secret_nor_a_layer_goes_by_the_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of this process, whose options hold a password, and of a worker, whose auth file does."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "registry"
    folder.mkdir()
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    auth = tmp_path / "auth.json"
    store, roots = many(3)
    with (
        services.registry(folder, auth=registries.password_file(folder)) as closed,
        FakeRegistry() as ours,
        dask_cluster(tmp_path / "dask", workers=0, env=PLAINLY) as cluster,
        wiretap(cluster.port) as tap,
        dask.config.set({"distributed.comm.compression": None}),
    ):
        serve(ours, store, roots)
        auth.write_text(json.dumps({"auths": {closed.host: {"auth": basic.decode()}}}))
        cluster.port = tap.port
        cluster.add_worker({"REGISTRY_AUTH_FILE": str(auth), **PLAINLY}).wait_for_workers(1)
        command = ("sync", f"docker://{ours.host}/team/app", f"docker://{closed.host}/copy", "--tls-verify=false")
        options = ("--scheduler", cluster.address, "--src-creds", "us:a.password.of.ours")

        assert main([*command, *options, "--dest-creds", f"{USER}:{PASSWORD}"]) == 0

    assert "3 images: 3 copied" in capsys.readouterr().out
    layers = json.loads(store.blobs[roots[0].digest])["layers"]
    assert layers[0]["digest"].encode() in tap.bytes, "digests go by it, in plain text"
    for secret in (PASSWORD.encode(), basic, b"a.password.of.ours"):
        assert secret not in tap.bytes
    for data in store.blobs.values():
        assert data[:64] not in tap.bytes


def test_directories_that_all_see_will_do(
    cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = MemoryStore()
    for name in ("amd64", "arm64"):
        put(store, add_image(store, config={"os": "linux", "architecture": name}, name=""), name)
    options = ("--scheduler", cluster.address, "--quiet")

    assert main(["sync", "oci:in", "oci:packed", "--compress", "zstd", *options]) == 0
    assert main(["sync", "oci:packed", "docker-archive:files", *options]) == 0

    for name in ("amd64", "arm64"):
        assert main(["diff", f"oci:in:{name}", f"docker-archive:files/in-{name}.tar"]) == 0
    assert not capsys.readouterr().err


def test_a_cluster_without_workers_or_without_a_scheduler_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:

        def connect(seconds: float) -> None:
            monkeypatch.setattr("converter.conversion.sync.cluster.CONNECT", seconds)
            with pytest.raises(Unreachable, match=r"no worker at tcp://127\.0\.0\.1:\d+ within"):
                sync([], helpers=helpers(cluster))

        patiently(connect, (0.5, 5, 50))
        address = cluster.address

    assert main(["sync", "oci:in", "oci:out", "--scheduler", address]) == 1
    assert f"cannot connect to the scheduler {address}" in capsys.readouterr().err


def test_a_worker_with_another_library_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "zstandard-0.1.dist-info").mkdir()
    (tmp_path / "zstandard-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: zstandard\nVersion: 0.1\n")
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        cluster.add_worker({"PYTHONPATH": f"{tmp_path}:{ROOT}"}).wait_for_workers(1)

        with pytest.raises(Unsupported, match=r"the worker tcp://\S+ has zstandard 0\.1: expected \d\S+, as here"):
            sync([], helpers=helpers(cluster))


def test_a_worker_with_other_files_of_the_same_version_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("converter", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "converter/plan.py").open("a") as file:
        file.write("# another commit\n")
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        cluster.add_worker({"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}).wait_for_workers(1)
        wanted = re.escape(program_version())

        with pytest.raises(Unsupported, match=rf"the worker tcp://\S+ has transship \S+ \(\w+\): expected {wanted}"):
            sync([], helpers=helpers(cluster))


def test_a_worker_of_another_version_that_comes_later_is_refused_by_itself(cluster: DaskCluster) -> None:
    place = Location.parse("docker://registry.example/app")
    job = portable_job(Job(source=place, destinations=(place,), options=OPTIONS))
    task = Assignment(job=job, root=Digest.parse("sha256:" + "0" * 64))

    with Client(cluster.address, set_as_default=False) as client:
        failed = client.submit(run_assignment, task, environment_variables, 2, "0.0.0").result()

    assert isinstance(failed, Unsupported)
    assert "expected 0.0.0" in failed.fact
