"""An interrupted run ends at once: it waits neither for a block nor for a registry."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from converter.model.descriptor import Descriptor
from tests.builders import add_image, tar
from tests.builders.memory import MemoryStore
from tests.cli.test_run import HEARS, start
from tests.patience import PATIENCE
from tests.stores.registry.fake import FakeRegistry, Fault, Refuse, Request
from tests.sync.entries import serve

MAIN = HEARS + "import sys; from converter.cli.main import main; sys.exit(main(sys.argv[1:]))"
PATIENT = (
    "from converter.stores import hosts; from converter.streams import workers\n"
    "hosts.LAST_SECONDS = workers.GRACE = 60\n"
)
"""Lets a process on a busy machine have all the time that it needs for its last words."""

LONG = 2 * PATIENCE
"""Seconds that a registry which hangs does not answer."""


@pytest.fixture(scope="module")
def image() -> tuple[MemoryStore, Descriptor]:
    """Three layers of digits in a random order: they take long to pack."""
    store = MemoryStore()
    digits = [random.Random(layer).randbytes(6_000_000).hex().encode() for layer in range(3)]
    return store, add_image(store, tars=[tar({"file": one}) for one in digits], name="")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["sync", "{place}", "oci:{out}"], id="sync"),
        pytest.param(["convert", "{place}:0", "oci:{out}:x"], id="convert"),
        pytest.param(["convert", "{place}:0", "oci-archive:{out}", "--jobs", "1"], id="convert by one thread"),
    ],
)
@pytest.mark.parametrize("hangs", [pytest.param(True, id="hanging"), pytest.param(False, id="packing")])
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
def test_a_signal_ends_it_soon_and_nothing_is_left(
    command: Sequence[str],
    hangs: bool,
    number: signal.Signals,
    status: int,
    image: tuple[MemoryStore, Descriptor],
    tmp_path: Path,
) -> None:
    begun, over = threading.Event(), threading.Event()
    store, root = image
    layers = {str(digest) for digest, data in store.blobs.items() if len(data) > 1_000_000}

    def fault(request: Request) -> Fault:
        if request.path.rpartition("/")[2] in layers:
            begun.set()
            if hangs:
                over.wait(LONG)
        return None

    with FakeRegistry() as registry:
        serve(registry, store, [root])
        registry.fault = fault
        place = f"docker://{registry.host}/team/app"
        words = [word.format(place=place, out=tmp_path / "out") for word in command]
        options = ("--tls-verify=false", "--compress", "zstd:19", "--no-cache", "--quiet")
        with start(*words, *options, source=MAIN) as process:
            assert begun.wait(LONG)
            time.sleep(1)  # in which it gets to work
            process.send_signal(number)
            began = time.monotonic()
            out, err = process.communicate(timeout=LONG)
            seconds = time.monotonic() - began
            over.set()

    assert (process.returncode, out, err) == (status, "", "transship: interrupted\n")
    assert list(tmp_path.iterdir()) == []
    # Two on a machine that has nothing else to do.
    assert seconds < PATIENCE


@pytest.mark.parametrize("command", ["convert", "sync"])
@pytest.mark.parametrize(
    "number, status",
    [
        pytest.param(signal.SIGINT, 130, id="Control-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
        pytest.param(None, 1, id="another layer that fails"),
    ],
)
def test_uploads_under_way_are_cancelled(
    command: str, number: signal.Signals | None, status: int, image: tuple[MemoryStore, Descriptor]
) -> None:
    store, root = image
    layers = 3  # all at once
    begun, over = threading.Semaphore(0), threading.Event()

    with FakeRegistry() as source, FakeRegistry() as target:

        def fault(request: Request) -> Fault:
            if request.method == "DELETE":
                over.set()
            if request.method != "PUT":
                return None
            begun.release()
            if number is None and len(target.seen("PUT")) == layers:
                return Refuse(status=400)
            over.wait(LONG)
            return None

        serve(source, store, [root])
        target.fault = fault
        place, to = f"docker://{source.host}/team/app", f"docker://{target.host}/team"
        words = [command, f"{place}:0", f"{to}/app:0"] if command == "convert" else [command, place, to]
        options = ("--src-tls-verify=false", "--dest-tls-verify=false", "--no-cache", "--quiet", f"--jobs={layers}")
        with start(*words, *options, source=PATIENT + MAIN) as process:
            for _ in range(layers):
                assert begun.acquire(timeout=LONG)
            if number is not None:
                process.send_signal(number)
            _, err = process.communicate(timeout=LONG)
        assert process.returncode == status, err
        assert not target.uploads
        assert not target["team/app"].tags
