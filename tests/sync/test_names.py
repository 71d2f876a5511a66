from __future__ import annotations

import pytest

from converter.conversion.sync.jobs import DEFAULT, SourceName, destination_of
from converter.conversion.sync.sync_file import check_template
from converter.errors import ConverterError, Invalid, Usage
from converter.model.reference import Location

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "source, to, template, expected",
    [
        pytest.param(
            "docker://a.example/x/app:1", "docker://b.example", DEFAULT, "docker://b.example/app:1", id="host"
        ),
        pytest.param(
            "docker://a.example/x/app:1", "docker://b.example/t/", DEFAULT, "docker://b.example/t/app:1", id="a prefix"
        ),
        pytest.param(
            "docker://a.example/x/app:1",
            "docker://b.example",
            "{host}/{repository}",
            "docker://b.example/a.example/x/app:1",
            id="what skopeo calls scoped",
        ),
        pytest.param(
            f"docker://a.example/app@{DIGEST}",
            "docker://b.example",
            DEFAULT,
            f"docker://b.example/app@{DIGEST}",
            id="a digest stays one",
        ),
        pytest.param(
            "docker://app", "oci:d", "{repository}:v{tag}", "oci:d:library/app:vlatest", id="a tag of its own"
        ),
        pytest.param(
            "docker://app:1", "docker://b.example", "{name}:new", "docker://b.example/app:new", id="another tag"
        ),
        pytest.param("docker://a.example/x/app:1", "dir:/d/", DEFAULT, "dir:/d/app:1", id="a directory each"),
        pytest.param("docker://a.example/x/app:1", "aci:d", "{repository}", "aci:d/x/app-1.aci", id="a file each"),
        pytest.param(
            "docker://a.example/app:1", "docker-archive:d", DEFAULT, "docker-archive:d/app-1.tar", id="archives"
        ),
        pytest.param("docker://a.example/app:1", "docker-daemon:", DEFAULT, "docker-daemon:app:1", id="the Engine"),
        pytest.param("oci:/x/lay:1", "docker://b.example", DEFAULT, "docker://b.example/lay:1", id="a tag of a layout"),
        pytest.param(
            "oci:/x/lay:a.example/y/app:1", "docker://b.example", DEFAULT, "docker://b.example/app:1", id="a full name"
        ),
        pytest.param("docker-daemon:x/app:1.2", "oci:d", DEFAULT, "oci:d:app:1.2", id="an image of the Engine"),
        pytest.param("docker-daemon:app", "oci:d", DEFAULT, "oci:d:app:latest", id="one with the usual tag"),
        pytest.param("dir:/x/app:1", "docker://b.example", DEFAULT, "docker://b.example/app:1", id="a directory"),
        pytest.param(f"dir:x/app@{DIGEST}", "oci:d", DEFAULT, f"oci:d:app@{DIGEST}", id="a directory with a digest"),
        pytest.param("dir:/x/app.d", "oci:d", DEFAULT, "oci:d:app:latest", id="a directory with another name"),
        pytest.param("docker-archive:/x/A.tar:@1", "oci:d", DEFAULT, "oci:d:a:1", id="an image without a name"),
    ],
)
def test_where_an_image_goes(source: str, to: str, template: str, expected: str) -> None:
    location = Location.parse(source)

    assert str(destination_of(Location.parse(to), SourceName.of(location, location.name), template)) == expected


@pytest.mark.parametrize(
    "name, to, template, error",
    [
        pytest.param("../../etc/x:1", "dir:d", "{repository}", Invalid, id="a name that leads out"),
        pytest.param("a/x:1", "dir:d", "/{name}", Invalid, id="a name from the root"),
        pytest.param("a/X:1", "docker://b.example", DEFAULT, Invalid, id="a name that registries refuse"),
        pytest.param("a/x:1", "oci:d:name", DEFAULT, Usage, id="a destination with a name"),
        pytest.param("a/x:1", "appc:d", DEFAULT, Usage, id="a destination that nobody writes"),
    ],
)
def test_what_is_no_name_is_refused(name: str, to: str, template: str, error: type[ConverterError]) -> None:
    with pytest.raises(error):
        destination_of(Location.parse(to), SourceName.of(Location.parse("oci:lay"), name), template)


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(Usage, match=r"unknown field \{x\}"):
        check_template("{x}")
