"""What real registries do that the specification does not say or leaves open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from converter.errors import ConverterError, Denied, Invalid, NotFound, Unreachable, Unsupported
from converter.model import media_types as types
from converter.model.descriptor import Descriptor
from converter.model.reference import Location
from converter.stores import StoreOptions, open_source
from converter.stores.registry.auth import Challenge, best_challenge
from converter.stores.registry.urls import redirect_target
from converter.stores.registry.wire import basic_header
from tests.patience import patiently
from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Refuse, Request, Stall, first
from tests.stores.registry.pushing import PLAIN, data, in_pieces, pull, push, seed, sink_of, source_of

LAYER = data(900_000)
USER = ("user", "password")


@pytest.fixture
def bucket(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    """Where the registry keeps its blobs: addresses there are signed for GET alone, and each knows who may use it."""
    with FakeRegistry() as there:

        def redirect(request: Request) -> Fault:
            away = request.method in ("GET", "HEAD") and request.path.partition("/blobs/")[2] in registry["app"].blobs
            return Refuse(status=307, headers={"Location": f"{there.url}{request.path}?sign=ed"}) if away else None

        def once(request: Request) -> Fault:
            return Refuse(status=403) if request.method == "HEAD" or "authorization" in request.headers else None

        registry.fault, there.fault = redirect, once
        there.repositories = registry.repositories
        yield there


def test_a_blob_that_only_get_may_see_is_there(registry: FakeRegistry, bucket: FakeRegistry) -> None:
    seed(registry, [LAYER])
    registry.basic = USER
    known = replace(PLAIN, credentials=USER)
    push(registry, [LAYER], "app:2", known)
    assert not registry.uploads
    assert not registry.seen("POST")
    assert pull(registry, "app:2", known) == [LAYER]
    assert {one.headers.get("range") for one in bucket.seen("GET")} == {"bytes=0-0", None}


def test_the_size_of_a_blob_that_only_get_may_see(registry: FakeRegistry, bucket: FakeRegistry) -> None:
    seed(registry, [LAYER])
    told = Descriptor.of(LAYER, types.DOCKER_LAYER_GZIP)
    with source_of(registry) as source:
        assert source.fetch(replace(told, size=-1)).descriptor == told
        with pytest.raises(NotFound, match="blob unknown: sha256:"):
            source.fetch(replace(Descriptor.of(b"other", types.DOCKER_LAYER_GZIP), size=-1))
    assert bucket.seen("GET")


def test_a_blob_of_which_only_a_part_is_told_has_no_size(registry: FakeRegistry) -> None:
    def answer(request: Request) -> Fault:
        part = Refuse(status=206, headers={"Content-Range": "bytes 0-0/*"}, body=b"x")
        return Refuse(status=403) if request.method == "HEAD" else part

    registry.fault = answer
    with source_of(registry) as source, pytest.raises(Invalid, match="does not say how large"):
        source.fetch(replace(Descriptor.of(LAYER, types.DOCKER_LAYER_GZIP), size=-1))


@pytest.mark.parametrize("status", [400, 403, 405])
def test_what_may_not_be_looked_for_is_sent(registry: FakeRegistry, status: int) -> None:
    registry.fault = lambda one: Refuse(status=status) if one.method in ("HEAD", "GET") else None
    push(registry, [LAYER])
    registry.fault = lambda one: None
    assert pull(registry) == [LAYER]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_one_is_is_asked_at_the_root_alone(registry: FakeRegistry, status: int) -> None:
    seed(registry, [LAYER])
    registry.token_life, registry.basic = 60, USER
    registry.scope = "repository:user/image:pull"
    registry.forbidden_scopes = {registry.scope}
    registry.fault = lambda one: (
        Refuse(status=status) if one.path.startswith("/v2/app") and "authorization" not in one.headers else None
    )
    known = replace(PLAIN, credentials=USER)
    assert pull(registry, options=known) == [LAYER]
    push(registry, [LAYER], "app:2", known)
    assert len(registry.seen("GET", "/v2/$")) == 2, "once by who reads, once by who writes"
    with pytest.raises((Denied, NotFound)):
        pull(registry)


@pytest.mark.parametrize(
    "body, said",
    [
        pytest.param(b'{"errors":[{"code":"DENIED","message":"m"}]}', "denied: m", id="an error"),
        pytest.param(b'{"errors":[{"code":"DENIED"}]}', "denied", id="without a text"),
        pytest.param(b'{"errors":[{"code":403,"message":"m"}]}', "forbidden: m", id="with the status"),
        pytest.param(b'{"code":40312,"message":"m"}', "40312: m", id="with a number of its own"),
        pytest.param(b'{"code":"TOOMANYREQUESTS","message":"m"}', "too many requests: m", id="with a code of one word"),
        pytest.param(b'\xef\xbb\xbf{"code":"DENIED","message":"m"}', "denied: m", id="after a byte order mark"),
        pytest.param(b'{"errors":[{"status":403,"message":"m"}]}', "forbidden: m", id="of Artifactory"),
        pytest.param(b'{"details":"m"}', "forbidden: m", id="of Docker Hub's token server"),
        pytest.param(b'{"error":"invalid_grant","error_description":"m"}', "forbidden: m", id="of OAuth"),
        pytest.param(b'{"errors":null}', "forbidden", id="null"),
        pytest.param(b'{"errors":{"code":1}}', "forbidden", id="no list"),
        pytest.param(b'["m"]', "forbidden", id="no object"),
        pytest.param(b"<html>", "forbidden", id="a web page"),
    ],
)
def test_what_a_registry_says_of_a_refusal_is_told(registry: FakeRegistry, body: bytes, said: str) -> None:
    registry.fault = lambda one: Refuse(status=403, body=body)
    with pytest.raises(Denied, match=rf"login: .* \({said}\)$"):
        pull(registry)


def test_a_mount_asks_for_more_rights_alone(registry: FakeRegistry) -> None:
    seed(registry, [LAYER], "shared")
    registry.token_life = 60
    registry.forbidden_scopes = {"repository:secret:pull"}
    push(registry, [LAYER], options=replace(PLAIN, mount_from=("secret", "shared")))
    assert registry.received < len(LAYER), "the layer was mounted"
    push(registry, [LAYER], "another:1", replace(PLAIN, mount_from=("secret",)))
    assert registry.received > len(LAYER), "the layer was sent"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_parts_are_taken_by_any_success(registry: FakeRegistry, status: int) -> None:
    registry.patched = status
    with sink_of(registry) as sink:
        made = sink.put(in_pieces(LAYER, 70_000), types.OCI_LAYER)
    assert registry["app"].blobs[str(made.digest)] == LAYER


def test_a_host_that_will_not_begin_in_the_middle_begins_anew(registry: FakeRegistry) -> None:
    seed(registry, [LAYER])
    cut = first(1, Cut(after=400_000), path="/blobs/")
    registry.fault = lambda one: Refuse(status=416) if "range" in one.headers else cut(one)
    assert pull(registry) == [LAYER]
    assert [one.headers.get("range") is None for one in registry.seen("GET", "/blobs/")] == [True, False, True]


@pytest.mark.parametrize(
    "location, where",
    [
        pytest.param("/v2/a/blobs/uploads/1?_state=x", "https://host:8443/v2/a/blobs/uploads/1?_state=x", id="a path"),
        pytest.param("http://host/v2/a?_state=x", "https://host:8443/v2/a?_state=x", id="behind a proxy with TLS"),
        pytest.param("http://host:8443/v2/a", "https://host:8443/v2/a", id="behind one that passes the port"),
        pytest.param("https://other/v2/a", "https://other/v2/a", id="another host"),
        pytest.param("http://other/v2/a", None, id="another host, without TLS"),
    ],
)
def test_where_an_upload_goes_on(location: str, where: str | None) -> None:
    if where is None:
        with pytest.raises(Unsupported, match="from https to http"):
            redirect_target("https://host:8443/v2/a/blobs/uploads/", location)
    else:
        assert redirect_target("https://host:8443/v2/a/blobs/uploads/", location) == where


@pytest.mark.parametrize(
    "link",
    [
        pytest.param('</v2/app/tags/list?last=a>; rel="next"', id="as the specification has it"),
        pytest.param('<http://inside:8081/v2/app/tags/list?last=a>; rel="next"', id="with the host behind a proxy"),
        pytest.param('</repository/docker/v2/app/tags/list?last=a>; rel="next"', id="with a path of Nexus's own"),
        pytest.param('</v2/tags/list?last=a>; rel="next"', id="without the repository key of Artifactory"),
        pytest.param("</v2/app/tags/list?last=a>", id="without a relation"),
        pytest.param('<?last=z>; rel="first", <?last=a>; rel="next"', id="beside another"),
    ],
)
def test_a_link_to_the_next_page(registry: FakeRegistry, link: str) -> None:
    pages = {None: (b'{"tags":["a"]}', {"Link": link}), "a": (b'{"tags":["b"]}', {})}

    def answer(request: Request) -> Fault:
        body, headers = pages[request.query.get("last")]
        return Refuse(status=200, body=body, headers=headers)

    registry.fault = answer
    with source_of(registry, "app") as source:
        assert source.names() == ("a", "b")


@pytest.mark.parametrize(
    "page, found",
    [
        pytest.param(b'{"name":"app","tags":null}', [], id="null"),
        pytest.param(b'{"name":"app","tags":[]}', [], id="none"),
        pytest.param(b'{"tags":["1","sha256:%064d"]}' % 0, ["1"], id="a digest, which is no tag"),
    ],
)
def test_a_list_of_tags(registry: FakeRegistry, page: bytes, found: list[str]) -> None:
    registry.fault = lambda one: Refuse(status=200, body=page)
    with source_of(registry, "app") as source:
        assert list(source.names()) == found


BASIC, BEARER = Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "https://host/token"})


@pytest.mark.parametrize(
    "offered, chosen",
    [
        pytest.param([BASIC, BEARER], BEARER, id="both: a token"),
        pytest.param([BEARER, BASIC], BEARER, id="both, the other way round"),
        pytest.param([Challenge("bearer", {}), BASIC], BASIC, id="a token that nobody sells"),
    ],
)
def test_a_choice_of_ways_to_authenticate(offered: list[Challenge], chosen: Challenge) -> None:
    assert best_challenge(offered) == chosen


@pytest.mark.parametrize("status", [400, 403, 405, 412])
def test_a_tag_that_may_never_change_may_be_what_it_is(registry: FakeRegistry, status: int) -> None:
    push(registry, [LAYER])
    registry.fault = first(99, Refuse(status=status), method="PUT", path="manifests/1")
    push(registry, [LAYER])
    with pytest.raises((Denied, Unreachable), match=r"forbidden|cannot write|cannot upload"):
        push(registry, [LAYER[1:]])


def test_a_registry_that_takes_a_dash_for_a_colon_has_no_referrers(registry: FakeRegistry) -> None:
    inner = seed(registry, [LAYER])
    index = json.dumps({"schemaVersion": 2, "mediaType": types.OCI_INDEX, "manifests": [inner.to_json()]}).encode()
    root = Descriptor.of(index, types.OCI_INDEX)
    registry.referrers = False
    registry.add_manifest("app", types.OCI_INDEX, index, str(root.digest).replace(":", "-"))
    with source_of(registry) as source:
        assert not list(source.attachments(root.digest))


def test_a_repository_that_is_served_elsewhere(registry: FakeRegistry) -> None:
    with FakeRegistry() as there:
        registry.fault = lambda one: Refuse(
            status=307, headers={"Location": f"{there.url}{one.path.replace('app', 'k8s/app')}?{urlencode(one.query)}"}
        )
        push(registry, [LAYER])
        assert pull(registry) == [LAYER]
        assert there["k8s/app"].tags


@pytest.mark.parametrize(
    "proxy, told",
    [
        pytest.param("127.0.0.1:9", "through the proxy 127.0.0.1:9: .*[(]HTTPS_PROXY, ", id="that is not there"),
        pytest.param("http://me:secret@127.0.0.1:9", "the proxy 127.0.0.1:9: ", id="without what opens it"),
        pytest.param("socks5://127.0.0.1:9", "unsupported proxy .socks5:", id="of another kind"),
    ],
)
def test_a_proxy_is_told_of(proxy: str, told: str) -> None:
    options = StoreOptions(environment={"https_proxy": proxy}, retries=0)
    with (
        open_source(Location.parse("docker://registry.test/app:1"), options) as source,
        pytest.raises(ConverterError, match=told),
    ):
        source.resolve("")


def test_a_proxy_for_plain_http_is_told_of() -> None:
    options = replace(PLAIN, environment={"http_proxy": "127.0.0.1:9"}, retries=0)
    with (
        open_source(Location.parse("docker://registry.invalid/app:1"), options) as source,
        pytest.raises(ConverterError, match=r"through the proxy 127\.0\.0\.1:9: .*[(]HTTP_PROXY, "),
    ):
        source.resolve("")


@pytest.mark.parametrize(
    "login, username",
    [
        pytest.param("me:p%40ss", "me", id="in ASCII"),
        pytest.param("Zo%C3%AB:p%40ss", "Zoë", id="with a letter of Latin-1"),
        pytest.param("%C5%81ucja:p%40ss", "Łucja", id="with a letter outside Latin-1"),
    ],
)
def test_a_proxy_with_a_login_gets_it_in_utf_8(registry: FakeRegistry, login: str, username: str) -> None:
    options = replace(PLAIN, environment={"http_proxy": f"http://{login}@{registry.host}"}, retries=0)
    with (
        open_source(Location.parse("docker://registry.invalid/app:1"), options) as source,
        pytest.raises(NotFound),
    ):
        source.resolve("")
    sent = {one.headers["proxy-authorization"] for one in registry.seen("GET")}
    assert sent == {basic_header(username, "p@ss")}


def test_a_registry_without_tls_is_told_of(registry: FakeRegistry) -> None:
    with pytest.raises(Unreachable, match="--tls-verify=false"):
        pull(registry, options=replace(PLAIN, tls_verify=True, retries=0))


@pytest.mark.parametrize(
    "part, told",
    [
        pytest.param(slice(400_000, None), {}, id="that does not say which"),
        pytest.param(
            slice(400_000, 500_000), {"Content-Range": "bytes 400000-499999/900000"}, id="smaller than what was asked"
        ),
        pytest.param(slice(0, None), {"Content-Range": "bytes 0-899999/900000"}, id="from the start"),
    ],
)
def test_a_download_goes_on_from_a_part(registry: FakeRegistry, part: slice, told: dict[str, str]) -> None:
    seed(registry, [LAYER])
    cut = first(1, Cut(after=400_000), path="/blobs/")
    partial = first(1, Refuse(status=206, headers=told, body=LAYER[part]), path="/blobs/")
    registry.fault = lambda one: partial(one) if "range" in one.headers else cut(one)
    assert pull(registry) == [LAYER]
    assert all("range" in one.headers for one in registry.seen("GET", "/blobs/")[1:])


def test_a_registry_may_take_its_time_over_a_blob(registry: FakeRegistry) -> None:
    def pushed(timeout: float) -> None:
        registry.fault = lambda one: Stall(seconds=2 * timeout) if one.method == "PUT" else None
        push(registry, [LAYER], options=replace(PLAIN, timeout=timeout, retries=0))
        assert registry["app"].tags

    patiently(pushed, (0.2, 2, 20))


@pytest.mark.parametrize("status", [400, 403])
def test_what_is_not_there_may_be_forbidden(registry: FakeRegistry, status: int) -> None:
    root = seed(registry, [LAYER])

    def forbid(request: Request) -> Fault:
        there = (*registry["app"].manifests, *registry["app"].blobs, *registry["app"].tags)
        return None if request.path.endswith(there) else Refuse(status=status)

    registry.fault = forbid
    with source_of(registry) as source:
        assert not list(source.attachments(root.digest))
