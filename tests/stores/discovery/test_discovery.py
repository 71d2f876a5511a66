from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from converter.errors import ConverterError, Invalid, NotFound, Unreachable, Unsupported
from converter.model import media_types as types
from converter.model.limits import DEFAULT
from converter.model.reference import Location
from converter.stores.discovery import AppName, Endpoint, open_source, read_page
from converter.stores.options import StoreOptions
from tests.builders.acis import aci_tar, manifest
from tests.stores.registry.fake import Cut, FakeRegistry, Fault, Refuse, Request

APP = AppName(name="example.com/a/b", labels={"version": "1.0", "os": "linux", "arch": "amd64"})


@pytest.mark.parametrize(
    "text, name, labels",
    [
        pytest.param("example.com/app", "example.com/app", {}, id="a name"),
        pytest.param("example.com/app:1.0", "example.com/app", {"version": "1.0"}, id="a version"),
        pytest.param(
            "example.com/app:1.0,os=linux,arch=aarch64",
            "example.com/app",
            {"version": "1.0", "os": "linux", "arch": "aarch64"},
            id="labels",
        ),
        pytest.param("a,channel=a=b", "a", {"channel": "a=b"}, id="a label with an equals sign"),
    ],
)
def test_names_are_read(text: str, name: str, labels: dict[str, str]) -> None:
    assert AppName.parse(text) == AppName(name=name, labels=labels)
    assert list(AppName.parse(text).completed().labels)[:3] == ["version", "os", "arch"]


@pytest.mark.parametrize(
    "system, machine, arch",
    [
        pytest.param("linux", "x86_64", "amd64", id="a PC"),
        pytest.param("linux", "i686", "i386", id="an old PC"),
        pytest.param("linux", "armv7l", "armv7l", id="a processor that appc names as Linux does"),
        pytest.param("linux", "riscv64", "riscv64", id="one that appc does not know"),
        pytest.param("darwin", "x86_64", "amd64", id="a Mac, which runs images for Linux"),
    ],
)
def test_an_image_for_this_machine_is_looked_for(
    system: str, machine: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(machine=machine))
    labels = AppName.parse("example.com/app").completed().labels
    assert labels == {"version": "latest", "os": "linux", "arch": arch}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Example.com/app",
        "a/",
        "a//b",
        "a:",
        "a,x",
        "a,x=",
        "a,name=b",
        "a,x=1,x=2",
        "a:1,version=2",
        "a:1 2",
        "example.com:8080/a",
        "a\n",
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Invalid):
        AppName.parse(text)


def page(*tags: tuple[str, str]) -> str:
    return "<html><head>" + "".join(f'<meta name="{name}" content="{content}">' for name, content in tags)


def endpoint(url: str) -> Endpoint:
    return Endpoint(image=f"{url}.aci", signature=f"{url}.aci.asc")


@pytest.mark.parametrize(
    "text, found",
    [
        pytest.param("", (), id="an empty page"),
        pytest.param(
            page(("ac-discovery", "example.com https://s/{os}/{arch}/{name}-{version}.{ext}")),
            (endpoint("https://s/linux/amd64/example.com/a/b-1.0"),),
            id="a template is filled",
        ),
        pytest.param(
            page(
                ("ac-discovery", "example.com https://a/{os}/{name}-{version}.{ext}"),
                ("ac-discovery", "example.com https://b/{os}/{arch}/{name}-{version}.{ext}"),
                ("ac-discovery", "example.com https://c/{os}/{arch}/{name}-{version}.{ext}"),
            ),
            (
                endpoint("https://b/linux/amd64/example.com/a/b-1.0"),
                endpoint("https://c/linux/amd64/example.com/a/b-1.0"),
            ),
            id="the templates with the most labels win",
        ),
        pytest.param(
            page(("ac-discovery", "example.com https://a/{channel}/{name}.{ext}")),
            (),
            id="a template with a variable that nobody told",
        ),
        pytest.param(page(("ac-discovery", "example.com https://a/{{name}}.{ext}")), (), id="a variable in a variable"),
        pytest.param(page(("ac-discovery", "example.com https://a/{name}.aci")), (), id="a template without ext"),
        pytest.param(page(("ac-discovery", "example.co https://a/{name}.{ext}")), (), id="a part of a name"),
        pytest.param(page(("ac-discovery", "example.com/a/bc https://a/{ext}")), (), id="another name"),
        pytest.param(
            page(("ac-discovery-pubkeys", "example.com/a https://k"), ("ac-discovery-pubkeys", "other https://l")),
            (),
            id="keys, which have no image",
        ),
        pytest.param(
            "<META NAME=ac-discovery CONTENT='example.com https://a/{name}.{ext}' />",
            (endpoint("https://a/example.com/a/b"),),
            id="HTML as people write it",
        ),
    ],
)
def test_pages_are_read(text: str, found: tuple[Endpoint, ...]) -> None:
    assert read_page(text, APP) == found


@given(st.text())
def test_any_page_is_read(text: str) -> None:
    read_page(f"<meta name='ac-discovery' content='{text}", APP)


class Site:
    """Everything that the web has, behind a proxy: URL → answer."""

    def __init__(self, proxy: FakeRegistry) -> None:
        self.answers: dict[str, bytes | Fault] = {}
        self.asked: list[str] = []
        self.proxy_authorizations: list[str] = []
        proxy.fault = self._answer
        environment = {"http_proxy": proxy.url, "https_proxy": proxy.url}
        self.options = StoreOptions(tls_verify=False, retries=1, environment=environment)

    def _answer(self, request: Request) -> Fault:
        url = f"http://{request.headers['host']}{request.path}"
        self.asked.append(url)
        self.proxy_authorizations.append(request.headers.get("proxy-authorization", ""))
        answer = self.answers.get(url, Refuse(status=404))
        return Refuse(status=200, body=answer) if isinstance(answer, bytes) else answer


@pytest.fixture
def site() -> Iterator[Site]:
    with FakeRegistry() as proxy:
        yield Site(proxy)


def aci(name: str = "example.com/a/b", **labels: str) -> bytes:
    return aci_tar(manifest(name, labels=[{"name": label, "value": value} for label, value in labels.items()]))


PAGE = page(("ac-discovery", "example.com http://store.test/{name}-{version}-{os}-{arch}.{ext}")).encode()
REF = "example.com/a/b:1.0,os=linux,arch=amd64"
IMAGE = "http://store.test/example.com/a/b-1.0-linux-amd64.aci"
LABELS = {"version": "1.0", "os": "linux", "arch": "amd64"}


def get(site: Site, reference: str = REF, options: StoreOptions | None = None) -> tuple[bytes, list[str]]:
    with open_source(Location(transport="appc", path=reference), options or site.options) as source:
        root = source.resolve("")
        assert root.media_type == types.ACI
        return source.fetch(root).read(), [one.descriptor.media_type for one in source.attachments(root.digest)]


@pytest.mark.parametrize("place", ["example.com/a/b", "example.com/a", "example.com"])
def test_an_image_is_found_at_its_name_or_above_it(site: Site, place: str) -> None:
    site.answers = {f"http://{place}": PAGE, IMAGE: aci(**LABELS)}
    site.answers |= {f"http://{place}/": PAGE}
    assert get(site) == (aci(**LABELS), [])


def test_its_signature_is_got_beside_it(site: Site) -> None:
    site.answers = {"http://example.com/a/b": PAGE, IMAGE: aci(**LABELS), f"{IMAGE}.asc": b"signature"}
    assert get(site) == (aci(**LABELS), [types.PGP_SIGNATURE])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * (DEFAULT.document + 1), id="more than a document may have"),
    ],
)
def test_an_image_has_no_signature_whatever_its_host_says_of_that(site: Site, body: bytes) -> None:
    site.answers = {"http://example.com/a/b": PAGE, IMAGE: aci(**LABELS)}
    site.answers[f"{IMAGE}.asc"] = Refuse(status=404, body=body)
    assert get(site) == (aci(**LABELS), [])


def test_the_next_place_is_tried(site: Site) -> None:
    two = PAGE + page(("ac-discovery", "example.com http://other.test/{name}-{version}-{os}-{arch}.{ext}")).encode()
    site.answers = {"http://example.com/a/b": two, IMAGE.replace("store", "other"): aci(**LABELS)}
    assert get(site) == (aci(**LABELS), [])


@pytest.mark.parametrize(
    "image, error, text",
    [
        pytest.param(aci("example.com/a/c", **LABELS), Invalid, 'expected "example.com/a/b"', id="another name"),
        pytest.param(aci(**LABELS | {"version": "2"}), Invalid, 'version="2": expected "1.0"', id="another version"),
        pytest.param(aci(version="1.0", os="linux"), Invalid, 'no label "arch"', id="a label that is not there"),
        pytest.param(
            aci_tar(manifest("example.com/a/b", labels=5)), Invalid, 'no label "version"', id="labels that are no list"
        ),
        pytest.param(
            aci_tar(manifest("example.com/a/b", labels=[{"name": []}])), Invalid, 'no label "version"', id="no name"
        ),
        pytest.param(b"x" * 600, Invalid, "is not a tar", id="no archive"),
        pytest.param(Refuse(status=404), NotFound, "404", id="nothing there"),
        pytest.param(Cut(after=-1), Unreachable, "closed connection", id="a connection that breaks"),
        pytest.param(
            Refuse(status=302, headers={"Location": "http://169.254.169.254/"}),
            Unsupported,
            "link-local",
            id="a redirect",
        ),
    ],
)
def test_an_image_is_refused(site: Site, image: bytes | Fault, error: type[ConverterError], text: str) -> None:
    site.answers = {"http://example.com/a/b": PAGE, IMAGE: image}
    with pytest.raises(error, match=text):
        get(site)


def test_nobody_knows_the_name(site: Site) -> None:
    with pytest.raises(NotFound, match="no host serves"):
        get(site)
    assert {"http://example.com/a/b", "http://example.com/a"} <= set(site.asked)


def test_a_proxy_may_want_a_password(site: Site) -> None:
    site.answers = {"http://example.com/a/b": PAGE, IMAGE: aci(**LABELS)}
    proxy = site.options.environment["http_proxy"].replace("http://", "http://us%40er:pass@")
    get(site, options=replace(site.options, environment={"http_proxy": proxy, "https_proxy": proxy}))
    assert set(site.proxy_authorizations) == {"Basic dXNAZXI6cGFzcw=="}


def test_http_is_spoken_only_when_asked(site: Site) -> None:
    site.answers = {"http://example.com/a/b": PAGE, IMAGE: aci(**LABELS)}
    with pytest.raises(NotFound, match=r"over HTTPS \(--tls-verify=false"):
        get(site, options=replace(site.options, tls_verify=True))
    assert not site.asked
