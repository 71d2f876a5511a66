from __future__ import annotations

from pathlib import Path

import pytest

import converter
from converter.cache import VerifiedCache
from converter.conversion.job import Job, Options, Shared, for_run
from converter.model.reference import Location
from converter.stores import StoreOptions
from converter.stores.hosts import Hosts
from converter.stores.options import Inputs
from converter.streams.workers import Workers
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import PLAIN, seed

ONE, OTHER = StoreOptions(timeout=1), StoreOptions(timeout=2)
HOSTS = Hosts()


def stores_of(options: Options, source: str, destination: str) -> tuple[StoreOptions, StoreOptions]:
    """How the source and the destination of a conversion are accessed."""
    place = Location.parse(destination)
    options = for_run(options, HOSTS, Inputs())
    job = Job(source=Location.parse(source), destinations=(place,), options=options)
    with Workers(1) as workers, Shared(VerifiedCache(), workers) as shared:
        return job.options.store, shared.store(job, place)


@pytest.mark.parametrize(
    "source, destination, mount_from",
    [
        pytest.param("docker://reg.test/a/b:1", "docker://reg.test/c:1", ("a/b",), id="within a registry"),
        pytest.param("docker://reg.test/a:1", "docker://reg.test:5000/c:1", (), id="from one registry to another"),
        pytest.param("docker://a", "docker://docker.io/b", ("library/a",), id="Docker's own"),
        pytest.param("oci:a", "docker://reg.test/c:1", (), id="from a layout"),
        pytest.param("docker://reg.test/a:1", "oci:a", (), id="into a layout"),
    ],
)
def test_blobs_are_mounted_within_a_registry(source: str, destination: str, mount_from: tuple[str, ...]) -> None:
    _, found = stores_of(Options(store=ONE), source, destination)
    assert found == StoreOptions(timeout=1, mount_from=mount_from, hosts=HOSTS)


def test_each_end_is_spoken_to_in_its_own_way() -> None:
    options = Options(store=ONE, target_store=OTHER, download_foreign=True)
    source, target = stores_of(options, "oci:a", "oci:b")
    assert source == StoreOptions(timeout=1, download_foreign=True, hosts=HOSTS)
    assert target == StoreOptions(timeout=2, hosts=HOSTS)


def test_a_conversion_within_a_registry_moves_no_layer() -> None:
    with FakeRegistry() as registry:
        root = seed(registry, [])
        registry.received = 0
        where = f"docker://{registry.host}"
        converter.convert(f"{where}/app:1", f"{where}/copy:1", store=PLAIN)
        assert registry["copy"].tags == {"1": str(root.digest)}
        assert registry["copy"].blobs == registry["app"].blobs
        assert not registry.seen("PUT", "/uploads/")


def test_credentials_of_each_end_go_there(tmp_path: Path) -> None:
    with FakeRegistry() as one, FakeRegistry() as other:
        seed(one, [])
        one.basic, other.basic = ("a", "1"), ("b", "2")
        converter.convert(
            f"docker://{one.host}/app:1",
            f"docker://{other.host}/app:1",
            store=StoreOptions(tls_verify=False, credentials=one.basic),
            target_store=StoreOptions(tls_verify=False, credentials=other.basic),
        )
        assert other["app"].tags == one["app"].tags
