"""References: names of images, and their locations."""

from __future__ import annotations

import pytest

from converter.errors import Invalid, Usage
from converter.model.reference import ImageName, Location

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "typed, full, familiar",
    [
        pytest.param("busybox", "docker.io/library/busybox", "busybox", id="a bare name is Docker's library"),
        pytest.param("busybox:1", "docker.io/library/busybox:1", "busybox", id="with a tag"),
        pytest.param("team/app", "docker.io/team/app", "team/app", id="no dot, so no host"),
        pytest.param("localhost/app", "localhost/app", "localhost/app", id="localhost is a host"),
        pytest.param("reg:5000/app:x", "reg:5000/app:x", "reg:5000/app", id="a port makes a host"),
        pytest.param("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app", id="an address"),
        pytest.param("index.docker.io/app", "docker.io/library/app", "app", id="the old name of Docker's host"),
        pytest.param(f"a.b/app@{DIGEST}", f"a.b/app@{DIGEST}", "a.b/app", id="by digest"),
    ],
)
def test_image_names(typed: str, full: str, familiar: str) -> None:
    name = ImageName.parse(typed)
    assert str(name) == full
    assert name.familiar == familiar


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("App", id="capitals"),
        pytest.param("0123456789abcdef" * 4, id="the ID of an image"),
        pytest.param("[1.2.3.4]/app", id="brackets about an address that needs none"),
        pytest.param("app:", id="an empty tag"),
        pytest.param("a/../b", id="dots alone"),
        pytest.param("app:-x", id="a tag that starts with a dash"),
        pytest.param(f"app:x@{DIGEST}", id="a tag and a digest"),
        pytest.param("app@sha256:short", id="a digest of the wrong length"),
        pytest.param("app\n", id="a newline"),
        pytest.param("a" * 300, id="too long"),
    ],
)
def test_names_that_are_none(typed: str) -> None:
    with pytest.raises(Invalid):
        ImageName.parse(typed)


@pytest.mark.parametrize(
    "typed, transport, path, name",
    [
        pytest.param("oci:dir/img:a:b", "oci", "dir/img", "a:b", id="the path ends at its first colon"),
        pytest.param(f"oci:img@sha256:{'a' * 64}", "oci", "img", f"@sha256:{'a' * 64}", id="a digest"),
        pytest.param("oci:im@ge:tag", "oci", "im@ge", "tag", id="an at sign that begins no digest"),
        pytest.param("oci:C:\\img:tag", "oci", "C:\\img", "tag", id="a drive letter is not that colon"),
        pytest.param("docker-archive:a.tar:@1", "docker-archive", "a.tar", "@1", id="by position"),
        pytest.param("docker-archive:-", "docker-archive", "-", "", id="standard input"),
        pytest.param("docker://host/repo:tag", "docker", "host/repo:tag", "", id="a registry"),
        pytest.param("docker-daemon:app:1", "docker-daemon", "app:1", "", id="a daemon"),
        pytest.param("dir:/a:b", "dir", "/a:b", "", id="a directory has no names in it"),
        pytest.param("dir:/a@sha256:12", "dir", "/a@sha256:12", "", id="nor digests, which may be part of its own"),
        pytest.param("aci::b", "aci", ":b", "", id="a file whose name begins with a colon"),
        pytest.param("docker-daemon:", "docker-daemon", "", "", id="all of a daemon"),
        pytest.param("app.tar", "", "app.tar", "", id="a bare path"),
        pytest.param("./oci:x", "", "./oci:x", "", id="a path that looks like a transport"),
    ],
)
def test_locations(typed: str, transport: str, path: str, name: str) -> None:
    location = Location.parse(typed)
    assert (location.transport, location.path, location.name) == (transport, path, name)
    assert str(location) == typed


@pytest.mark.parametrize(
    "typed, want",
    [
        pytest.param("", "expected TRANSPORT:LOCATION", id="nothing"),
        pytest.param(
            "nope:x",
            r'^unknown transport "nope": say docker://nope:x \(a registry\), docker-daemon:nope:x ',
            id="a transport that there is not",
        ),
        pytest.param(
            "alpine:-3", r'^unknown transport "alpine" \(one of: docker, [^/]*$', id="one that is no name either"
        ),
        pytest.param("docker_archive:x", r"did you mean docker-archive\?$", id="an underscore"),
        pytest.param("oci-achive:x", r"did you mean oci-archive\?$", id="a slip"),
        pytest.param("containers-storage:x", "not supported: `podman save -o x.tar IMAGE`", id="podman's own storage"),
        pytest.param("docker:x", "docker://HOST/REPO", id="docker without its slashes"),
        pytest.param("oci:", "has no path", id="no path"),
        pytest.param("docker-archive::x", "has no path", id="a name alone"),
    ],
)
def test_locations_that_are_none(typed: str, want: str) -> None:
    with pytest.raises(Usage, match=want):
        Location.parse(typed)
