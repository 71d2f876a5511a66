from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from converter.errors import Denied, Invalid, Unsupported
from converter.stores.hosts import Hosts
from converter.stores.options import StoreOptions
from converter.stores.registry.auth import Authorizer, Challenge, parse_challenges
from converter.stores.registry.credentials import Credentials
from converter.stores.registry.wire import Request
from tests.stores.registry.fake import FakeRegistry, Fault, Refuse, Stall, first
from tests.stores.registry.pushing import PLAIN, data, pull, push, seed, source_of

LAYER = data(100_000)
USER = ("user", "pässword:with:colons")
KNOWN = replace(PLAIN, credentials=USER)
BASIC, BEARER = Challenge("basic", {"realm": "x"}), Challenge("bearer", {})


@pytest.mark.parametrize(
    "headers, found",
    [
        pytest.param(['Basic realm="x"'], [Challenge("basic", {"realm": "x"})], id="basic"),
        pytest.param(
            ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"'],
            [Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})],
            id="a comma within quotes",
        ),
        pytest.param(
            ['Negotiate, BEARER Realm=x , service = "a\\"b"'],
            [Challenge("negotiate", {}), Challenge("bearer", {"realm": "x", "service": 'a"b'})],
            id="several in one header, in any case",
        ),
        pytest.param(
            ["Basic", "Bearer realm=x"], [Challenge("basic", {}), Challenge("bearer", {"realm": "x"})], id="two"
        ),
        pytest.param(
            ["Negotiate TlR=, Basic realm=x"],
            [Challenge("negotiate", {}), Challenge("tlr", {}), Challenge("basic", {"realm": "x"})],
            id="one after a scheme with data instead of parameters",
        ),
        pytest.param(['Basic realm="x", Bearer realm="'], [BASIC, BEARER, Challenge("realm", {})], id="one cut off"),
        pytest.param(["realm=x, Basic"], [Challenge("basic", {})], id="a parameter of no scheme"),
        pytest.param(["", ",", "="], [], id="nothing"),
    ],
)
def test_challenges_are_read(headers: list[str], found: list[Challenge]) -> None:
    assert list(parse_challenges(headers)) == found


@given(st.lists(st.text(st.characters(max_codepoint=0x17F))))
def test_any_header_is_read(headers: list[str]) -> None:
    parse_challenges(headers)


def test_basic_authentication(registry: FakeRegistry) -> None:
    registry.basic = USER
    push(registry, [LAYER], options=KNOWN)
    assert pull(registry, options=KNOWN) == [LAYER]
    assert len([one for one in registry.requests if "authorization" not in one.headers]) == 2, "each begins without"


@pytest.mark.parametrize("options", [KNOWN, replace(PLAIN, credentials=("user", "wrong")), PLAIN])
@pytest.mark.parametrize("tokens", [False, True])
def test_who_may_not_is_refused(registry: FakeRegistry, options: StoreOptions, tokens: bool) -> None:
    seed(registry, [LAYER])
    registry.basic = ("another", "secret")
    registry.token_life = 60 if tokens else None
    name = options.credentials[0] if options.credentials else None
    said = f'rejected the password of "{name}" \\(' if name else f"requires a login: .*`podman login {registry.host}`"
    with pytest.raises(Denied, match=said) as caught:
        pull(registry, options=options)
    assert "wrong" not in str(caught.value)
    assert len(registry.requests) < 7


@pytest.mark.parametrize("basic", [pytest.param(None, id="anonymous"), pytest.param(USER, id="with credentials")])
def test_tokens(registry: FakeRegistry, basic: tuple[str, str] | None) -> None:
    registry.token_life = 60
    registry.basic = basic
    push(registry, [LAYER], options=KNOWN if basic else PLAIN)
    asked = registry.seen("GET", "/token")
    assert len(asked) == 1
    assert asked[0].query["scope"] == "repository:app:pull,push"
    assert asked[0].query["service"] == "fake"
    assert pull(registry, options=KNOWN if basic else PLAIN) == [LAYER]
    assert registry.seen("GET", "/token")[1].query["scope"] == "repository:app:pull"


def test_a_token_that_ends_is_renewed_in_the_middle(registry: FakeRegistry) -> None:
    registry.token_life = 0.3
    registry.ends_tokens = False
    parts = [data(50_000, number) for number in range(3)]
    registry.fault = lambda request: Stall(seconds=0.1) if "/uploads/" in request.path else None
    push(registry, parts, options=replace(PLAIN, chunk=30_000))
    assert len(registry.seen("GET", "/token")) > 2
    registry.fault = lambda request: Stall(seconds=0.1) if "/blobs/" in request.path else None
    assert pull(registry) == parts


def test_a_token_that_is_refused_in_the_middle_is_renewed(registry: FakeRegistry) -> None:
    registry.token_life = 60

    def forget(request: object) -> None:
        if len(registry.requests) % 7 == 0:
            registry.tokens.clear()

    registry.fault = forget  # a rule that does no harm but this
    parts = [data(50_000, number) for number in range(6)]
    push(registry, parts)
    assert pull(registry) == parts


def test_threads_share_a_token(registry: FakeRegistry) -> None:
    registry.token_life = 60
    root = seed(registry, [LAYER])
    registry.fault = first(1, Stall(seconds=0.1), path="token")
    with source_of(registry) as source, ThreadPoolExecutor(8) as pool:
        for fetched in pool.map(lambda _: source.resolve(""), range(8)):
            assert fetched == root
    assert len(registry.seen("GET", "/token")) == 1


def test_a_token_server_that_is_away_is_waited_for(registry: FakeRegistry) -> None:
    registry.token_life = 60
    seed(registry, [LAYER])
    registry.fault = first(3, Refuse(status=503), path="token")
    assert pull(registry) == [LAYER]


def test_a_given_token_is_sent_as_it_is(registry: FakeRegistry) -> None:
    registry.token_life = 60
    registry.tokens["given"] = time.monotonic() + 60
    seed(registry, [LAYER])
    assert pull(registry, options=replace(PLAIN, token="given")) == [LAYER]
    assert not registry.seen("GET", "/token")


@pytest.mark.parametrize("tokens", [pytest.param(True, id="tokens"), pytest.param(False, id="basic")])
def test_a_password_that_changes_in_mid_run_is_picked_up(registry: FakeRegistry, tmp_path: Path, tokens: bool) -> None:
    root = seed(registry, [LAYER])
    registry.token_life = 0.2 if tokens else None
    registry.ends_tokens = False
    registry.basic = ("user", "old")
    authfile = tmp_path / "auth.json"

    def login(password: str) -> None:
        pair = base64.b64encode(f"user:{password}".encode()).decode()
        authfile.write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))

    login("old")
    with Hosts() as hosts:
        options = replace(PLAIN, authfile=authfile, hosts=hosts)
        for password in ("old", "new"):
            registry.basic = ("user", password)
            login(password)
            time.sleep(0.3)
            with source_of(registry, options=options) as source:
                assert source.resolve("") == root


@pytest.mark.parametrize(
    "fault, options, told",
    [
        pytest.param(None, PLAIN, "requires a login: --creds, --authfile, or `podman login", id="no login"),
        pytest.param(
            None,
            replace(PLAIN, delegated=True, environment={"HOME": "/home/worker", "REGISTRY_AUTH_FILE": "/w/auth.json"}),
            "on this worker, which has none in /w/auth.json",
            id="no login on a worker",
        ),
        pytest.param(
            None,
            replace(PLAIN, environment={"HOME": "/nowhere", "REGISTRY_AUTH_FILE": "/nowhere/auth.json"}),
            "as REGISTRY_AUTH_FILE names /nowhere/auth.json, which does not exist (",
            id="no such auth file",
        ),
        pytest.param(
            None,
            replace(PLAIN, credentials=("user", "")),
            'requires a password for "user": --creds USER:PASSWORD (',
            id="a user without a password",
        ),
        pytest.param(
            None, replace(PLAIN, credentials=("user", "no")), 'rejected the password of "user" (', id="a wrong password"
        ),
        pytest.param(
            Refuse(status=403, body=b'{"errors": [{"code": "DENIED", "message": "not yours"}]}'),
            KNOWN,
            'does not allow "user" to pull from app (denied: not yours)',
            id="a missing right",
        ),
    ],
)
def test_what_a_refused_login_is_told(registry: FakeRegistry, fault: Fault, options: StoreOptions, told: str) -> None:
    seed(registry, [LAYER])
    registry.token_life = 60
    registry.basic = USER
    registry.fault = lambda request: fault if "/v2/app" in request.path and "authorization" in request.headers else None
    with pytest.raises(Denied) as caught:
        pull(registry, options=options)
    assert told in str(caught.value)
    assert "GET" not in str(caught.value)


def test_where_credentials_come_from_is_told(registry: FakeRegistry, tmp_path: Path) -> None:
    seed(registry, [LAYER])
    registry.basic = USER
    authfile = tmp_path / "auth.json"
    authfile.write_text(json.dumps({"auths": {registry.host: {"username": "me", "password": "secret"}}}))
    with pytest.raises(Denied, match=f'rejected the password of "me" from {authfile} '):
        pull(registry, options=replace(PLAIN, authfile=authfile))
    helper = tmp_path / "docker-credential-x"
    helper.write_text('#!/bin/sh\necho \'{"Username": "me", "Secret": "no"}\'\n')
    helper.chmod(0o755)
    authfile.write_text(json.dumps({"credsStore": "x"}))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with pytest.raises(Denied, match=rf"from docker-credential-x \({authfile}\) "):
        pull(registry, options=replace(PLAIN, authfile=authfile, environment=environment))


SCOPES = frozenset(("repository:a:pull",))


class Issuer:
    """Answers for a token server, and holds what was asked."""

    def __init__(self, answer: bytes = b'{"access_token": "t", "expires_in": 100}') -> None:
        self.answer = answer
        self.asked: list[tuple[Request, str | None]] = []

    def __call__(self, request: Request, authorization: str | None) -> bytes:
        self.asked.append((request, authorization))
        return self.answer


def authorizer(issuer: Issuer, credentials: Credentials | None = None, clock: list[float] | None = None) -> Authorizer:
    now = clock or [0.0]
    return Authorizer(lambda: "https://registry.test", lambda: credentials, issuer, lambda: now[0])


def bearer(realm: str = "https://auth.test/token?x=1") -> tuple[Challenge, ...]:
    return (Challenge("bearer", {"realm": realm, "service": "s", "scope": "repository:b:pull"}),)


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    issuer, clock = Issuer(), [0.0]
    auth = authorizer(issuer, clock=clock)
    assert auth.header(SCOPES) is None
    assert auth.renew(bearer(), SCOPES, None)
    clock[0] = 89
    assert auth.header(SCOPES) == "Bearer t"
    assert len(issuer.asked) == 1
    clock[0] = 91
    assert auth.header(SCOPES) == "Bearer t"
    assert len(issuer.asked) == 2


def test_an_identity_token_buys_tokens_by_oauth() -> None:
    issuer = Issuer()
    authorizer(issuer, Credentials(identity_token="i+d")).renew(bearer(), SCOPES, None)
    request, authorization = issuer.asked[0]
    assert (request.method, request.url, authorization) == ("POST", "https://auth.test/token?x=1", None)
    assert request.body == (
        b"grant_type=refresh_token&service=s&client_id=transship"
        b"&scope=repository%3Aa%3Apull+repository%3Ab%3Apull&refresh_token=i%2Bd"
    )


@pytest.mark.parametrize(
    "realm",
    [
        pytest.param("https://registry.test/token", id="as it should be"),
        pytest.param("http://registry.test/token", id="as who does not know of the proxy with TLS before it"),
        pytest.param("/token", id="a path"),
    ],
)
def test_a_token_is_bought_at_the_realm(realm: str) -> None:
    issuer = Issuer()
    authorizer(issuer).renew(bearer(realm), SCOPES, None)
    assert issuer.asked[0][0].url.partition("?")[0] == "https://registry.test/token"


def test_the_scopes_of_the_challenge_are_asked_for_too() -> None:
    issuer = Issuer()
    authorizer(issuer).renew(bearer(), SCOPES, None)
    assert issuer.asked[0][0].url.endswith("?x=1&service=s&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull")


@pytest.mark.parametrize(
    "offered, answer, error",
    [
        pytest.param(bearer("http://auth.test/"), b"", Unsupported, id="a step down to http"),
        pytest.param(bearer("https://169.254.169.254/"), b"", Unsupported, id="a link-local address"),
        pytest.param(bearer("file:///etc/passwd"), b"", Invalid, id="a file"),
        pytest.param(bearer("https://["), b"", Invalid, id="no URL"),
        pytest.param(bearer(""), b"", Denied, id="no realm"),
        pytest.param(bearer(), b"[]", Invalid, id="an answer that is no object"),
        pytest.param(bearer(), b"{}", Invalid, id="an answer without a token"),
        pytest.param(bearer(), b'{"token": "a\\r\\nHost: b"}', Invalid, id="a token that would be a header"),
        pytest.param((Challenge("digest", {}),), b"", Denied, id="an unknown scheme"),
    ],
)
def test_no_token_is_got_from(offered: tuple[Challenge, ...], answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        authorizer(Issuer(answer), Credentials(username="u", password="p")).renew(offered, SCOPES, None)


def test_secrets_do_not_show() -> None:
    shown = repr(Credentials(username="u", password="secret", identity_token="secret", registry_token="secret"))
    assert "secret" not in shown
