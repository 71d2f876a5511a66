from __future__ import annotations

import pickle
import random
import re
import threading
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.conversion import Options
from converter.conversion.job import Job
from converter.conversion.remote import Assignment, RemoteAnswer, perform_assignment, portable_job
from converter.conversion.sync import sync
from converter.conversion.sync.cluster import require_same_versions
from converter.errors import ConverterError, DigestMismatch, Unsupported
from converter.events import Event, Finished, Moved, Planned, Report, Started, silent
from converter.model import media_types as types
from converter.model.content import Compression, Derived, Layer, known_bytes
from converter.model.reference import Location
from converter.plan import Copy, Make
from converter.signing import Signing
from converter.stores import StoreOptions
from converter.stores.hosts import Hosts
from converter.stores.registry.client import Rejected
from converter.streams.workers import Workers
from converter.verification.wanted import Wanted
from tests.builders import add_image, many, tar
from tests.builders.memory import MemoryStore
from tests.stores.registry.fake import FakeRegistry, Fault, Refuse, Request
from tests.sync.entries import OPTIONS, entry, serve
from tests.sync.test_sync import blobs_read, states

ZSTD = Compression("zstd")
SECRET = "hunter2"


class Nearby:
    """A machine of another process's memory: what goes there and comes back has been pickled."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.images = 4
        self.fetched = 0
        self.pickles: list[bytes] = []
        self.keys: Counter[str] = Counter()
        self._environment = environment or {}
        self._lock = threading.Lock()

    def __call__(self, hosts: Hosts) -> AbstractContextManager[Nearby]:
        return nullcontext(self)

    def run(self, assignment: Assignment, report: Report) -> RemoteAnswer:
        data = pickle.dumps(assignment)
        there: Assignment = pickle.loads(data)
        with Workers(2) as workers:
            done = perform_assignment(there, self._environment, Hosts(), report, workers)
        answer: RemoteAnswer | ConverterError = pickle.loads(pickle.dumps(done))
        with self._lock:
            self.pickles.append(data)
            self.keys[there.key] += 1
        if isinstance(answer, ConverterError):
            raise answer
        with self._lock:
            self.fetched += answer.fetched
        return answer


def test_the_largest_layers_of_an_image_are_begun_first(
    ours: FakeRegistry, theirs: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converter.conversion.remote.LEAVES_AT_ONCE", 1)
    store = MemoryStore()
    sizes = (1_000, 50_000, 8_000, 20_000)
    noise = [tar({f"file{size}": random.Random(size).randbytes(size)}) for size in sizes]
    serve(ours, store, [add_image(store, tars=noise, name="")])
    begun: list[int] = []

    class Watching(Nearby):
        def run(self, assignment: Assignment, report: Report) -> RemoteAnswer:
            begun.append(assignment.size)
            return super().run(assignment, report)

    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]
    assert states(sync(entries, helpers=Watching())) == {"written": 1}
    assert begun == sorted(begun, reverse=True)
    assert len(begun) == len(sizes)


@pytest.mark.parametrize("rename", [pytest.param("{name}", id="one repository"), pytest.param("r{tag}:x", id="many")])
@pytest.mark.parametrize("compress", [pytest.param(None, id="as they are"), pytest.param(ZSTD, id="packed anew")])
def test_each_blob_is_moved_once_and_all_images_are_as_if_made_here(
    ours: FakeRegistry, theirs: FakeRegistry, rename: str, compress: Compression | None
) -> None:
    store, roots = many(8)
    serve(ours, store, roots)
    source, nearby = f"docker://{ours.host}/team/app", Nearby()

    here = sync([entry(source, f"docker://{theirs.host}/here", rename, compress=compress)])
    ours.requests.clear()
    theirs.repositories.clear()
    there = sync([entry(source, f"docker://{theirs.host}/there", rename, compress=compress)], helpers=nearby)

    assert states(there) == {"written": 8}
    assert [one.digest for one in there.outcomes] == [one.digest for one in here.outcomes]
    assert [one.after for one in there.outcomes] == [one.after for one in here.outcomes]
    # 4 layers that all have, and for each image 2 layers; its configuration is a document, and read here.
    assert set(nearby.keys.values()) == {1}
    assert len(nearby.keys) == 4 + 8 * 2
    assert set(blobs_read(ours).values()) == {1}
    assert there.fetched == here.fetched


def test_a_second_run_has_no_tasks(ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(3))
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", compress=ZSTD)]
    assert states(sync(entries, cache=tmp_path, helpers=Nearby())) == {"written": 3}

    again = Nearby()

    assert states(sync(entries, cache=tmp_path, helpers=again)) == {"there": 3}
    assert not again.keys


def test_what_was_packed_by_a_run_that_broke_off_is_not_read_again(
    ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path
) -> None:
    serve(ours, *many(3))
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", compress=ZSTD)]
    theirs.fault = lambda request: Refuse(status=403) if "/manifests/" in request.path else None
    assert states(sync(entries, cache=tmp_path, keep_going=True, helpers=Nearby())) == {"failed": 3}
    theirs.fault = lambda request: None
    ours.requests.clear()

    assert states(sync(entries, cache=tmp_path, helpers=Nearby())) == {"written": 3}

    assert sum(blobs_read(ours).values()) == 3  # the configurations


def test_a_registry_without_mounts_gets_a_blob_for_each_repository(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(2, base=2, own=1))
    theirs.fault = lambda request: Refuse(status=403) if "mount" in request.query else None
    nearby = Nearby()
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", "r{tag}:x")]

    assert states(sync(entries, images=1, helpers=nearby)) == {"written": 2}

    # By tasks, every one: this process moves documents alone.
    assert len(nearby.keys) == 4 + 2
    assert nearby.fetched == sum(size(ours, digest) * count for digest, count in blobs_read(ours).items()) - configs(
        ours
    )


def size(registry: FakeRegistry, digest: str) -> int:
    return len(registry["team/app"].blobs[digest])


def configs(registry: FakeRegistry) -> int:
    return sum(len(data) for data in registry["team/app"].blobs.values() if data.startswith(b"{"))


@pytest.mark.parametrize(
    "to, rename, moves, wholes",
    [
        pytest.param("oci:{}/layout", "{name}", 6, 0, id="a layout gets layers, then what names them"),
        pytest.param("dir:{}", "{name}/{tag}", 0, 2, id="a directory of one image is made by one machine"),
        pytest.param("docker-archive:{}", "{name}-{tag}", 0, 2, id="so is an archive"),
        pytest.param("aci:{}", "{name}-{tag}", 0, 2, id="and an ACI"),
    ],
)
def test_what_can_be_shared_is(
    ours: FakeRegistry, tmp_path: Path, to: str, rename: str, moves: int, wholes: int
) -> None:
    serve(ours, *many(2, base=2, own=2))
    nearby, here, there = Nearby(), tmp_path / "here", tmp_path / "there"
    source = f"docker://{ours.host}/team/app"

    expected = sync([entry(source, to.format(here), rename)])
    summary = sync([entry(source, to.format(there), rename)], helpers=nearby)

    assert states(summary) == {"written": 2}
    assert [one.digest for one in summary.outcomes] == [one.digest for one in expected.outcomes]
    assert Counter(key.partition("-")[0] for key in nearby.keys) == Counter(move=moves, image=wholes)
    assert files(there) == files(here)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.json"  # lists images in the order in which they were done
    }


def test_squashed_images_are_made_by_one_machine(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(2))
    nearby = Nearby()
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", squash=True)]

    assert states(sync(entries, helpers=nearby)) == {"written": 2}

    assert {key.partition("-")[0] for key in nearby.keys} == {"image"}
    assert len(theirs["copy/app"].tags) == 2


def test_a_dry_run_needs_nobody(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(1))

    def nobody(hosts: Hosts) -> AbstractContextManager[Nearby]:
        raise AssertionError("was called")

    entries = [entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}", dry_run=True)]

    assert states(sync(entries, helpers=nobody)) == {"planned": 1}


def test_progress_adds_up(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(3))
    events: list[Event] = []
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]

    sync(entries, events.append, Nearby())

    planned = [one for one in events if isinstance(one, Planned)]
    assert sum(one.blobs for one in planned) == 3
    assert sum(one.size for one in planned) == sum(one.size for one in events if isinstance(one, Moved))
    assert {one.name for one in events if isinstance(one, Started)} == {"app:0", "app:1", "app:2"}
    assert Counter(one.name for one in events if isinstance(one, Finished)) == {"app:0": 1, "app:1": 1, "app:2": 1}


def test_a_failure_elsewhere_is_told_as_one_here(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    store, roots = many(2, base=1, own=1)
    serve(ours, store, roots)
    broken = max(ours["team/app"].blobs, key=lambda digest: len(ours["team/app"].blobs[digest]))
    data = ours["team/app"].blobs[broken]
    ours["team/app"].blobs[broken] = data[:-1] + bytes((data[-1] ^ 1,))
    source, to = f"docker://{ours.host}/team/app", f"docker://{theirs.host}"

    here = sync([entry(source, f"{to}/here")], keep_going=True)
    there = sync([entry(source, f"{to}/there")], keep_going=True, helpers=Nearby())

    assert states(there) == states(here)
    assert [one.error for one in there.outcomes] == [one.error for one in here.outcomes]
    assert any("digest mismatch: expected" in one.error for one in there.outcomes)


@pytest.mark.parametrize(
    "error, kind",
    [
        pytest.param(DigestMismatch("this is not that"), DigestMismatch, id="of a kind that callers know"),
        pytest.param(Rejected("too large", 413), ConverterError, id="of a kind that only a store knows"),
    ],
)
def test_an_error_comes_back_as_it_was(error: ConverterError, kind: type[ConverterError]) -> None:
    error.trail = ("image", "layer[0]")

    back = pickle.loads(pickle.dumps(error))

    assert isinstance(back, kind)
    assert type(back).__module__ == "converter.errors"
    assert str(back) == str(error)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            replace(OPTIONS, store=StoreOptions(credentials=("user", SECRET))), id="a password for the source"
        ),
        pytest.param(
            replace(OPTIONS, target_store=StoreOptions(credentials=("user", SECRET))), id="a password for the target"
        ),
        pytest.param(replace(OPTIONS, store=StoreOptions(token=SECRET)), id="a token"),
        pytest.param(replace(OPTIONS, store=StoreOptions(environment={"PASS": SECRET})), id="a variable"),
        pytest.param(replace(OPTIONS, store=StoreOptions(docker_host=SECRET)), id="where a daemon is"),
        pytest.param(replace(OPTIONS, signing=Signing(makers=[], identity=SECRET)), id="who signs"),
        pytest.param(replace(OPTIONS, wanted=Wanted(keys=(("a", SECRET.encode()),))), id="whom one trusts"),
        pytest.param(replace(OPTIONS, store=StoreOptions(hosts=Hosts(2), report=print)), id="what cannot be pickled"),
    ],
)
def test_no_secret_is_in_a_task(options: Options) -> None:
    place = Location.parse("docker://registry.example/app")
    job = portable_job(Job(source=place, destinations=(place,), options=options))
    blob = known_bytes(b"data", types.OCI_LAYER)

    for leaf in (Copy(content=blob, media_type=types.OCI_LAYER), None):
        assignment = Assignment(job=job, root=blob.descriptor.digest, leaf=leaf)
        assert SECRET.encode() not in pickle.dumps(assignment)


def test_a_worker_has_its_own_credentials(ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(2))
    ours.basic = theirs.basic = ("user", SECRET)
    given = StoreOptions(tls_verify=False, credentials=("user", SECRET))
    source, to = f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy"
    entries = [entry(source, to, options=replace(OPTIONS, store=given, target_store=given))]
    auths = {host: {"username": "user", "password": SECRET} for host in (ours.host, theirs.host)}
    (tmp_path / "auth.json").write_text(str({"auths": auths}).replace("'", '"'))
    knows, knows_not = Nearby({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}), Nearby({"HOME": str(tmp_path)})

    denied = sync(entries, keep_going=True, helpers=knows_not)
    done = sync(entries, helpers=knows)

    assert states(denied) == {"failed": 2}
    assert "requires a login" in denied.outcomes[0].error
    assert states(done) == {"written": 2}
    assert not any(SECRET.encode() in one for one in (*knows.pickles, *knows_not.pickles))


JOB = Job(
    source=Location.parse("docker://a.example/app:1"),
    destinations=(Location.parse("docker://b.example/app:1"),),
    options=OPTIONS,
)


def layer(data: bytes = b"x", **more: Any) -> Copy:
    content = known_bytes(data, types.OCI_LAYER)
    return Copy(content=content, media_type=types.OCI_LAYER, **more)


MOVE = Assignment(job=JOB, root=layer().content.descriptor.digest, leaf=layer(), how="sha256 zstd 1")


@pytest.mark.parametrize(
    "change, same",
    [
        pytest.param({"leaf": layer(label="layer[7]")}, True, id="which layer of an image it is does not matter"),
        pytest.param(
            {"job": replace(JOB, source=Location.parse("docker://a.example/other:2"))}, True, id="nor whence it comes"
        ),
        pytest.param(
            {"job": replace(JOB, destinations=(Location.parse("docker://b.example/other:2"),))},
            True,
            id="nor which repository of a registry gets it first",
        ),
        pytest.param(
            {"job": replace(JOB, destinations=(Location.parse("docker://c.example/app:1"),))},
            False,
            id="the registry does",
        ),
        pytest.param(
            {"job": replace(JOB, destinations=(Location.parse("oci:/layout:1"),))}, False, id="the layout does"
        ),
        pytest.param({"how": "sha256 zstd 2"}, False, id="how it is packed does, by which version of the library"),
        pytest.param({"leaf": layer(b"y")}, False, id="the content does"),
        pytest.param({"apart": True}, False, id="the repository does where nothing can be mounted"),
    ],
)
def test_keys_are_of_content_packing_and_target(change: dict[str, Any], same: bool) -> None:
    assert (replace(MOVE, **change).key == MOVE.key) is same


def test_a_worker_that_packs_in_another_way_is_refused(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    store, roots = many(1, base=1, own=0)
    serve(ours, store, roots)
    blob = next(known_bytes(data, types.OCI_LAYER_GZIP) for data in store.blobs.values() if data.startswith(b"\x1f"))
    job = Job(
        source=Location.parse(f"docker://{ours.host}/team/app"),
        destinations=(Location.parse(f"docker://{theirs.host}/copy"),),
        options=OPTIONS,
    )
    content = Derived(inputs=(Layer(content=blob),), compression=ZSTD)
    leaf = Make(content=content, media_type=types.OCI_LAYER_ZSTD)
    assignment = Assignment(job=job, root=blob.descriptor.digest, leaf=leaf, how="sha256 zstd 0.1")

    with Workers(1) as workers:
        failed = perform_assignment(assignment, {}, Hosts(), silent, workers)

    assert isinstance(failed, ConverterError)
    assert "not as 'sha256 zstd 0.1' like the other machines" in failed.fact
    assert not blobs_read(ours)


def test_whoever_is_asked_to_wait_tells_the_others() -> None:
    told: list[tuple[str, float]] = []
    hosts = Hosts(2)
    hosts.on_back_off = lambda host, seconds: told.append((host, seconds))
    with FakeRegistry() as registry:
        serve(registry, *many(1, base=1, own=1))
        refused = iter([Refuse(status=429, headers={"Retry-After": "0"})])

        def busy(request: Request) -> Fault:
            return next(refused, None)

        registry.fault = busy
        job = Job(
            source=Location.parse(f"docker://{registry.host}/team/app"),
            destinations=(Location.parse(f"docker://{registry.host}/copy"),),
            options=OPTIONS,
        )
        digest, data = next(iter(registry["team/app"].blobs.items()))
        assert str(layer(data).content.descriptor.digest) == digest
        assignment = Assignment(job=job, root=layer(data).content.descriptor.digest, leaf=layer(data))

        with Workers(1) as workers:
            perform_assignment(assignment, {}, hosts, silent, workers)

        assert told == [(registry.host, 0.0)]


def test_what_needs_keys_is_done_here(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(2))
    nearby = Nearby()
    options = replace(OPTIONS, squash=True, signing=Signing(makers=[], identity=""))
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", options=options)]

    assert states(sync(entries, helpers=nearby)) == {"written": 2}

    assert not nearby.keys


HERE = {"transship": "1.0", "zstandard": "0.25", "dask": "2026.8", "python": "3.11.7.final.0"}


@pytest.mark.parametrize(
    "scheduler, worker, fact",
    [
        pytest.param({}, {}, "", id="all the same"),
        pytest.param({}, {"python": "3.11.9.final.0"}, "", id="another patch of Python"),
        pytest.param({"transship": None, "zstandard": None}, {}, "", id="a scheduler that has not got what packs"),
        pytest.param({"dask": "2025.1"}, {}, "the scheduler has dask 2025.1: expected 2026.8", id="another scheduler"),
        pytest.param(
            {}, {"python": "3.12.1.final.0"}, "the worker tcp://w has python 3.12: expected 3.11", id="a Python"
        ),
        pytest.param({}, {"zstandard": "0.22"}, "the worker tcp://w has zstandard 0.22: expected 0.25", id="a library"),
        pytest.param(
            {}, {"transship": None}, "the worker tcp://w has no transship: expected 1.0", id="a worker without"
        ),
    ],
)
def test_versions_are_compared(scheduler: dict[str, str | None], worker: dict[str, str | None], fact: str) -> None:
    found = {
        "client": {"packages": HERE},
        "scheduler": {"packages": HERE | scheduler},
        "workers": {"tcp://w": {"packages": HERE | worker}},
    }
    if not fact:
        require_same_versions(found)
        return
    with pytest.raises(Unsupported, match=re.escape(f"{fact}, as here")):
        require_same_versions(found)
