from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import converter
from converter.conversion.sync import Summary, sync
from converter.errors import Usage
from converter.events import Event, Finished, Moved, Planned, Started, Warned
from converter.model.content import Compression
from converter.signing import Signing
from converter.stores import disk
from converter.trust.makers import GpgFile, Maker
from converter.verification.verify_image import verify
from converter.verification.wanted import Wanted
from tests.builders import add_image, many, tar
from tests.builders.acis import aci_tar, manifest
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.patience import patiently
from tests.stores.registry.fake import Busy, FakeRegistry, Fault, Refuse, Request, Stall, first
from tests.sync.entries import PLAIN, entry, serve
from tests.trust import origins
from tests.trust.making import ecdsa, openpgp, public_pem

ZSTD = Compression("zstd")


def blobs_read(registry: FakeRegistry) -> Counter[str]:
    return Counter(one.path.rpartition("/")[2] for one in registry.seen("GET", "/blobs/"))


def files_read(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file of a layout is read from now on."""
    read, opened = Counter[Path](), disk.open_regular

    def counted(path: Path) -> int:
        read[path] += 1
        return opened(path)

    monkeypatch.setattr(disk, "open_regular", counted)
    return read


def states(summary: Summary) -> dict[str, int]:
    return {state: number for state, number in summary.counts.items() if number}


@pytest.mark.parametrize("rename", [pytest.param("{name}", id="one repository"), pytest.param("r{tag}:x", id="many")])
@pytest.mark.parametrize("compress", [pytest.param(None, id="as they are"), pytest.param(ZSTD, id="packed anew")])
def test_what_images_share_is_read_and_sent_once(
    ours: FakeRegistry, theirs: FakeRegistry, rename: str, compress: Compression | None, tmp_path: Path
) -> None:
    serve(ours, *many(12))
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", rename, compress=compress)]

    summary = sync(entries, cache=tmp_path)

    assert states(summary) == {"written": 12}
    assert set(blobs_read(ours).values()) == {1}
    # 4 base layers, and for each image 2 layers and 1 configuration; those with other digests come from mounts.
    layers_sent = [one for one in theirs.seen("PUT", "/blobs/") if "digest" in one.query]
    assert len({one.query["digest"] for one in layers_sent}) == len(layers_sent) == 4 + 12 * 3
    assert sum(len(repository.tags) for repository in theirs.repositories.values()) == 12
    if rename == "{name}":
        # Whether a blob is there is asked once, and never which tags there are.
        assert set(Counter(one.path for one in theirs.seen("HEAD", "/blobs/")).values()) == {1}
        assert not theirs.seen("GET", "/tags/list")


def test_one_image_for_two_repositories_is_sent_once(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    store, roots = many(1)
    serve(ours, store, roots * 2)
    theirs.fault = first(99, Stall(seconds=0.1), method="PUT", path="/blobs/")

    summary = sync([entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}", "r{tag}:x")])

    assert states(summary) == {"written": 2}
    assert len([one for one in theirs.seen("PUT", "/blobs/") if "digest" in one.query]) == 6 + 1


def test_images_share_connections_and_what_a_token_server_gave(
    ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path
) -> None:
    serve(ours, *many(20))
    ours.token_life = theirs.token_life = 300
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]

    assert states(sync(entries, cache=tmp_path, per_host=3)) == {"written": 20}

    for one in (ours, theirs):
        assert len(one.requests) > 80
        assert one.connections <= 10  # reading and writing, and one that looks for TLS
    assert len(ours.seen("GET", "/token")) == 1
    assert len(theirs.seen("GET", "/token")) == 2  # one to look at what is there, one to write


@pytest.mark.parametrize("compress", [pytest.param(None, id="as they are"), pytest.param(ZSTD, id="packed anew")])
def test_a_second_run_asks_for_documents_alone(
    ours: FakeRegistry, theirs: FakeRegistry, compress: Compression | None, tmp_path: Path
) -> None:
    store, roots = many(5)
    serve(ours, store, roots)
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", compress=compress)]
    first = sync(entries, cache=tmp_path)
    ours.requests.clear()
    theirs.requests.clear()

    second = sync(entries, cache=tmp_path)

    assert states(second) == {"there": 5}
    assert [one.digest for one in second.outcomes] == [one.digest for one in first.outcomes]
    assert sum(blobs_read(ours).values()) == 5  # the configurations
    assert not theirs.seen("POST")
    assert not theirs.seen("PUT")


def test_a_run_that_broke_off_continues_where_it_was(ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path) -> None:
    store, roots = many(6)
    serve(ours, store, roots)
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy", "r{tag}:x", compress=ZSTD)]
    put_before = [0]

    def refuse(request: Request) -> Fault:
        put_before[0] += request.method == "PUT" and "/manifests/x" in request.path
        return Refuse(status=403) if put_before[0] > 3 else None

    theirs.fault = refuse
    broken = sync(entries, cache=tmp_path, images=1)
    assert states(broken) == {"written": 3, "failed": 1, "unstarted": 2}
    assert broken.unstarted == 2
    assert broken.failed
    ours.requests.clear()
    theirs.fault = lambda request: None

    whole = sync(entries, cache=tmp_path)

    assert states(whole) == {"there": 3, "written": 3}
    # What the failed image had sent need not be sent again: 2 images are new, and every configuration is read.
    assert sum(blobs_read(ours).values()) == 6 + 2 * 2


def test_a_layout_holds_all_images_and_each_blob_once(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(6))
    entries = [entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}", compress=ZSTD)]

    summary = sync(entries)

    assert states(summary) == {"written": 6}
    assert set(blobs_read(ours).values()) == {1}
    back = [entry(f"oci:{tmp_path / 'layout'}", f"dir:{tmp_path / 'dirs'}", "{name}/{tag}")]
    assert states(sync(back)) == {"written": 6}
    assert sorted(path.name for path in (tmp_path / "dirs/app").iterdir()) == list("012345")
    assert states(sync(entries)) == {"there": 6}  # without a cache that is only known once they are made


@pytest.mark.parametrize("bare", [pytest.param("", id="by its path alone"), pytest.param("oci:", id="as what it is")])
def test_the_documents_of_a_layout_are_read_as_often_whatever_the_number_of_its_images(
    ours: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: str
) -> None:
    read = files_read(monkeypatch)
    most = []
    for count in (3, 9):
        layout, copy = tmp_path / f"layout{count}", tmp_path / f"copy{count}"
        serve(ours, *many(count))
        sync([entry(f"docker://{ours.host}/team/app", f"oci:{layout}")])
        read.clear()
        for state in ("written", "there"):
            again = sync([entry(f"{bare}{layout}", f"oci:{copy}")], images=2, cache=tmp_path / "cache")
            assert states(again) == {state: count}
        documents = [path for path in (layout / "blobs/sha256").iterdir() if path.stat().st_size < 2000]
        most.append((max(read[path] for path in documents), read[layout / "index.json"]))

    assert most[0] == most[1]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Retry-After": "0"}, id="that says when to come back"),
        pytest.param({}, id="that does not"),
    ],
)
def test_a_registry_that_is_busy_is_neither_flooded_nor_a_failure(
    ours: FakeRegistry, theirs: FakeRegistry, headers: dict[str, str]
) -> None:
    serve(ours, *many(10))
    busy = Busy(3, 0.003, headers)
    ours.fault = busy
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]

    summary = sync(entries, images=8, per_host=3)

    assert states(summary) == {"written": 10}
    assert busy.most <= 3


def test_when_a_registry_asks_one_to_wait_all_do(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(6))
    entries = [entry(f"docker://{ours.host}/team/app", f"docker://{theirs.host}/copy")]

    def wait(seconds: float) -> None:
        began: list[float] = []
        told: list[float] = []

        def once(request: Request) -> Fault:
            began.append(time.monotonic())
            if len(began) == 10:
                told.append(time.monotonic())
                return Refuse(status=429, headers={"Retry-After": f"{seconds:.0f}"})
            # Until that answer is read, others would go on.
            return Stall(seconds=max(0.0, told[0] + seconds / 2 - time.monotonic())) if told else None

        ours.fault = once
        theirs.repositories.clear()
        assert states(sync(entries, images=6, per_host=2)) == {"written": 6}
        assert len(began) > 30
        assert sum(told[0] < one < told[0] + seconds - 0.05 for one in began) <= 6, "some were on their way already"

    patiently(wait, (3, 15, 60))


@pytest.mark.parametrize(
    "keep_going, expected, unstarted",
    [
        pytest.param(True, {"written": 3, "failed": 1}, 0, id="the others are done all the same"),
        pytest.param(False, {"failed": 1, "unstarted": 3}, 3, id="nothing more is begun"),
    ],
)
def test_an_image_that_fails(
    ours: FakeRegistry, tmp_path: Path, keep_going: bool, expected: dict[str, int], unstarted: int
) -> None:
    store, roots = many(4)
    serve(ours, store, roots)
    ours["team/app"].manifests[ours["team/app"].tags["0"]] = ("application/vnd.oci.image.manifest.v1+json", b"{}")
    entries = [entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}")]

    summary = sync(entries, images=1, keep_going=keep_going)

    assert states(summary) == expected
    assert summary.unstarted == unstarted
    assert summary.failed
    assert summary.outcomes[0].source.endswith("/team/app:0")
    assert summary.outcomes[0].error.startswith("digest mismatch: expected"), "its source is told beside it"


def test_an_interrupted_run_says_what_it_did(ours: FakeRegistry, tmp_path: Path) -> None:
    store, roots = many(4)
    serve(ours, store, roots)
    entries = [entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}")]
    ended: list[Summary] = []
    finished = [0]

    def report(event: Event) -> None:
        if isinstance(event, Finished):
            finished[0] += 1
            if finished[0] == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(entries, report, ended=ended.append, images=1)

    (summary,) = ended
    assert [one.state for one in summary.outcomes] == ["written", "written", "unstarted", "unstarted"]
    assert [one.source[-2:] for one in summary.outcomes] == [":0", ":1", ":2", ":3"]
    assert summary.failed


def test_a_repository_that_is_not_there_is_told_as_a_failure(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(1))
    ours.fault = lambda request: Refuse(status=404) if "nothing" in request.path else None
    places = ("nothing", "team/app")
    entries = [entry(f"docker://{ours.host}/{name}", f"oci:{tmp_path / 'layout'}") for name in places]

    assert states(sync(entries, keep_going=True)) == {"written": 1, "failed": 1}


def test_a_source_that_cannot_be_listed_protects_no_file(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(1))
    folder = tmp_path / "out"
    folder.mkdir()
    source, to = f"docker://{ours.host}/team/app", f"docker-archive:{folder}"
    assert states(sync([entry(source, to)])) == {"written": 1}
    entries = [entry(f"oci:{folder}", f"oci:{tmp_path}/layout"), entry(source, to, squash=True)]

    summary = sync(entries, keep_going=True)

    assert [one.state for one in summary.outcomes] == ["failed", "written"]


def test_an_image_whose_name_is_none_at_its_destination_stands_in_nobodys_way(
    tmp_path: Path, theirs: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = MemoryStore()
    for name in ("UPPER/x:1", "a", "b"):
        put(store, add_image(store, name=""), name)

    summary = sync([entry("oci:in", f"docker://{theirs.host}", "{repository}")], keep_going=True)

    assert states(summary) == {"written": 2, "failed": 1}
    assert summary.outcomes[0].source == "oci:in:UPPER/x:1"
    assert summary.outcomes[0].error.startswith("invalid reference")


def test_a_dry_run_writes_nothing_and_knows_what_is_there(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(3))
    layout = f"oci:{tmp_path / 'layout'}"
    assert states(sync([entry(f"docker://{ours.host}/team/app:1", layout)])) == {"written": 1}
    before = (tmp_path / "layout/index.json").read_bytes()

    summary = sync([entry(f"docker://{ours.host}/team/app", layout, dry_run=True)])

    assert [one.state for one in summary.outcomes] == ["planned", "there", "planned"]
    assert all(one.digest and one.before and one.after for one in summary.outcomes)
    assert (tmp_path / "layout/index.json").read_bytes() == before


def test_two_images_for_one_name_are_refused_before_anything_is_done(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(2))
    entries = [entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}", "{name}:same{digest}")]

    with pytest.raises(Usage, match="use other names"):
        sync(entries)

    assert not (tmp_path / "layout").exists()


def test_progress_counts_images_and_all_their_bytes(ours: FakeRegistry, tmp_path: Path) -> None:
    serve(ours, *many(3))
    events: list[Event] = []
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            events.append(event)

    sync([entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}")], report)

    planned = [one for one in events if isinstance(one, Planned)]
    assert sum(one.blobs for one in planned) == 3
    assert sum(one.size for one in planned) == sum(one.size for one in events if isinstance(one, Moved))
    assert {one.name for one in events if isinstance(one, Started)} == {"app:0", "app:1", "app:2"}
    assert Counter(one.name for one in events if isinstance(one, Finished)) == {"app:0": 1, "app:1": 1, "app:2": 1}


def test_attachments_in_a_list_of_tags_are_no_images(ours: FakeRegistry, tmp_path: Path) -> None:
    store, roots = many(1)
    serve(ours, store, roots)
    ours["team/app"].tags[f"sha256-{roots[0].digest.encoded}.sig"] = ours["team/app"].tags["0"]

    summary = sync([entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}", dry_run=True)])

    assert [one.source for one in summary.outcomes] == [f"docker://{ours.host}/team/app:0"]


def test_nobody_is_asked_for_attachments_that_the_list_of_tags_has_not(ours: FakeRegistry, tmp_path: Path) -> None:
    store, roots = many(3)
    serve(ours, store, roots)
    ours.referrers = False
    signature = f"sha256-{roots[1].digest.encoded}.sig"
    ours["team/app"].tags[signature] = ours["team/app"].tags["0"]

    summary = sync([entry(f"docker://{ours.host}/team/app", f"oci:{tmp_path / 'layout'}")], images=1)

    assert states(summary) == {"written": 3}
    assert len(ours.seen("GET", "/referrers/")) == 1
    documents = [one.path.rpartition("/")[2] for one in ours.seen("GET", "/manifests/")]
    assert [name for name in documents if name.startswith("sha256-")] == [signature]


@pytest.mark.parametrize("attachments", [True, False])
def test_what_speaks_of_images_comes_along_or_is_left(
    ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path, attachments: bool
) -> None:
    store, roots = many(1)
    serve(ours, store, roots)
    signature = f"sha256-{roots[0].digest.encoded}.sig"
    ours["team/app"].tags[signature] = ours["team/app"].tags["0"]

    to = f"docker://{theirs.host}/copy"
    entries = [entry(f"docker://{ours.host}/team/app", to, attachments=attachments)]

    assert states(sync(entries, cache=tmp_path)) == {"written": 1}
    assert theirs["copy/app"].tags.keys() == ({"0", signature} if attachments else {"0"})
    assert bool(ours.seen("GET", "/referrers/")) == attachments

    written = len(theirs.seen("PUT", ""))
    assert states(sync(entries, cache=tmp_path)) == {"there": 1}
    assert len(theirs.seen("PUT", "")) == written
    theirs["copy/app"].tags.pop(signature, None)
    assert states(sync(entries, cache=tmp_path)) == {"written" if attachments else "there": 1}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param((ecdsa(0), ecdsa(1)), id="cosign's"),
        pytest.param((GpgFile(bytes(openpgp())), GpgFile(bytes(openpgp("other")))), id="OpenPGP's"),
    ],
)
def test_what_is_signed_is_not_signed_again_but_by_another_key(
    made: tuple[Maker, Maker], ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path
) -> None:
    serve(ours, *many(2))

    def run(*makers: Maker) -> dict[str, int]:
        signing = Signing(makers=makers)
        to = f"docker://{theirs.host}/copy"
        return states(sync([entry(f"docker://{ours.host}/team/app", to, signing=signing)], cache=tmp_path))

    first, second = made
    assert run(first) == {"written": 2}
    assert run(first) == {"there": 2}
    assert run(first, second) == {"written": 2}
    assert run(second) == run(first, second) == {"there": 2}

    for to in ("oci", "dir", "docker-archive"):
        kept = [entry(f"docker://{theirs.host}/copy/app", f"{to}:{tmp_path}/{to}")]
        assert states(sync(kept, cache=tmp_path)) == {"written": 2}
        assert states(sync(kept, cache=tmp_path)) == {"there": 2}


def test_images_of_one_digest_are_signed_under_each_of_their_names(ours: FakeRegistry, theirs: FakeRegistry) -> None:
    serve(ours, *many(1))
    ours["team/app"].tags["1"] = ours["team/app"].tags["0"]
    both = threading.Barrier(2)

    def wait_for_another_signature(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith(".sig"):
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.5)

    theirs.fault = wait_for_another_signature
    to = f"docker://{theirs.host}/copy"
    signed = [entry(f"docker://{ours.host}/team/app", to, signing=Signing(makers=[ecdsa()]))]

    assert states(sync(signed, images=2)) == {"written": 2}

    theirs.fault = lambda _: None
    wanted = Wanted(keys=(("key", public_pem(ecdsa())),))
    assert [verify(f"{to}/app:{tag}", wanted, PLAIN).unmet for tag in "01"] == [(), ()]


def test_directories_are_images_again_under_the_names_they_had(
    ours: FakeRegistry, theirs: FakeRegistry, tmp_path: Path
) -> None:
    serve(ours, *many(2))
    out = f"dir:{tmp_path}/out"
    sync([entry(f"docker://{ours.host}/team/app", out, "{repository}")])

    scoped = sync([entry(out, f"docker://{theirs.host}/scoped", "{repository}")])
    one = sync([entry(f"{out}/team/app:1", f"docker://{theirs.host}/one")])

    assert states(scoped) == {"written": 2}
    assert theirs["scoped/team/app"].tags == ours["team/app"].tags
    assert states(one) == {"written": 1}
    assert theirs["one/app"].tags == {"1": ours["team/app"].tags["1"]}


@pytest.mark.parametrize("transport, fact", [("dir", "is not a dir: image"), ("aci", "no *.aci file below")])
def test_a_directory_without_any_image_is_told_as_a_failure(transport: str, fact: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    summary = sync([entry(f"{transport}:{tmp_path}/empty", "oci:out")])

    assert fact in summary.outcomes[0].error


@pytest.mark.parametrize(
    "names, brought, warned",
    [
        pytest.param(["app:1", ""], ["app:1"], 1, id="left behind when its name moved on"),
        pytest.param(["", ""], ["in:0", "in:1"], 0, id="like all others"),
        pytest.param(["app:1", "app:2"], ["app:1", "app:2"], 0, id="in no image"),
    ],
)
def test_in_a_layout_no_name_is(names: list[str], brought: list[str], warned: int, tmp_path: Path) -> None:
    store = MemoryStore()
    for number, name in enumerate(names):
        put(store, add_image(store, tars=[tar({"a": bytes([number])})], name=""), name, where=str(tmp_path / "in"))
    events: list[Event] = []

    summary = sync([entry(f"oci:{tmp_path}/in", f"oci:{tmp_path}/out")], events.append)

    assert [one.destination.rpartition("out:")[2] for one in summary.outcomes] == brought
    assert sum(isinstance(event, Warned) for event in events) == warned


def test_the_store_of_rkt_is_a_directory_of_acis(tmp_path: Path) -> None:
    stored = tmp_path / f"cas/blob/sha512/ab/sha512-ab{'0' * 62}"
    described = Path(str(stored).replace("/blob/", "/imageManifest/"))
    for path, data in ((stored, aci_tar(manifest(name="example.com/app"))), (described, b"{}")):
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    summary = sync([entry(f"aci:{tmp_path}/cas", f"oci:{tmp_path}/out")])

    assert [one.destination for one in summary.outcomes if one.state == "written"] == [f"oci:{tmp_path}/out:app:latest"]


def test_a_directory_of_acis_is_read_under_the_names_of_their_manifests(tmp_path: Path) -> None:
    store = MemoryStore()
    for name in ("one/app:1", "two/app:2"):
        put(store, add_image(store, name=""), name, where=str(tmp_path / "in"))
    sync([entry(f"oci:{tmp_path}/in", f"aci:{tmp_path}/acis", "{repository}", layered=True)])
    assert len([*(tmp_path / "acis").rglob("*.aci")]) > 2

    summary = sync([entry(f"aci:{tmp_path}/acis", f"oci:{tmp_path}/out", "{repository}")])

    assert [one.destination for one in summary.outcomes] == [
        f"oci:{tmp_path}/out:one/app:1",
        f"oci:{tmp_path}/out:two/app:2",
    ]


@pytest.mark.parametrize(
    "to, changed, again",
    [
        pytest.param("docker://{host}/copy", False, "there", id="a registry has it"),
        pytest.param("oci:{folder}/out", False, "there", id="a layout has it"),
        pytest.param("docker://{host}/copy", True, "written", id="a registry has another"),
        pytest.param("oci:{folder}/out", True, "written", id="a layout has another"),
        pytest.param("dir:{folder}/out", False, "written", id="a directory is written whole"),
        pytest.param("oci-archive:{folder}/out", False, "written", id="an archive is written whole"),
    ],
)
def test_an_aci_is_there_if_what_was_made_of_it_is(
    theirs: FakeRegistry, tmp_path: Path, to: str, changed: bool, again: str
) -> None:
    file = tmp_path / "app.aci"
    file.write_bytes(aci_tar(manifest()))
    signing = Signing(makers=[ecdsa()], identity="registry.example/app:1")
    entries = [entry(f"aci:{file}", to.format(host=theirs.host, folder=tmp_path), signing=signing)]
    assert states(sync(entries)) == {"written": 1}
    if changed:
        file.write_bytes(aci_tar(manifest(app={"exec": ["/other"], "user": "0", "group": "0"})))

    summary = sync(entries)

    assert states(summary) == {again: 1}
    (place,) = (one.destination for one in summary.outcomes)
    found = verify(place, Wanted(keys=(("key", public_pem(ecdsa())),), identity=signing.identity), PLAIN).verdicts
    assert [one.ok for one in found] == [True], "it is signed, and once"


@pytest.mark.parametrize(
    "to, file, again",
    [
        pytest.param("docker-archive:{}/out", "out/in-app.tar", "there", id="archives of Docker"),
        pytest.param("oci-archive:{}/out", "out/in-app.tar", "there", id="archives of OCI"),
        pytest.param("dir:{}/out", "out/in:app/manifest.json", "there", id="directories"),
        pytest.param("aci:{}/out", "out/in-app.aci", "written", id="ACIs, whose digest nobody foresees"),
        pytest.param("rootfs:{}/out", "out/in:app/etc", "failed", id="root file systems, which are never written over"),
    ],
)
def test_every_image_becomes_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, file: str, again: str
) -> None:
    monkeypatch.chdir(tmp_path)
    store = MemoryStore()
    put(store, add_image(store, name=""), "app")

    summary = sync([entry("oci:in", to.format(tmp_path))], cache=tmp_path / "cache")

    assert states(summary) == {"written": 1}
    assert (tmp_path / file).exists()
    assert states(sync([entry("oci:in", to.format(tmp_path))], cache=tmp_path / "cache")) == {again: 1}


@pytest.mark.parametrize("transport", ["oci", "dir", "docker-archive", "aci", "rootfs"])
def test_where_every_image_fails_no_folder_is_left(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = MemoryStore()
    put(store, add_image(store, name=""), "app")
    layer = max((tmp_path / "in/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer.write_bytes(bytes(layer.stat().st_size))

    summary = sync([entry("oci:in", f"{transport}:{tmp_path}/new/out")])

    assert states(summary) == {"failed": 1}
    assert not (tmp_path / "new").exists()


def test_an_aci_that_was_converted_comes_back_byte_for_byte(tmp_path: Path) -> None:
    converter.convert(origins.aci(tmp_path / "app.aci"), f"oci:{tmp_path}/mirror")

    summary = sync([entry(f"oci:{tmp_path}/mirror", f"aci:{tmp_path}/back")])

    assert states(summary) == {"written": 1}
    (back,) = (tmp_path / "back").rglob("*.aci")
    assert back.read_bytes() == (tmp_path / "app.aci").read_bytes()
    assert back.with_suffix(".aci.asc").read_bytes() == (tmp_path / "app.aci.asc").read_bytes()
