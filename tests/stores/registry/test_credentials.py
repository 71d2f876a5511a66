from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from converter.errors import Denied, Invalid, NotFound
from converter.stores.options import StoreOptions
from converter.stores.registry.credentials import Credentials, auth_files, find_credentials

HUB = "https://index.docker.io/v1/"


def auth(user: str, password: str = "p") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def user(name: str, password: str = "p") -> Credentials:
    return Credentials(username=name, password=password)


@pytest.fixture
def helpers(tmp_path: Path) -> str:
    """A folder with helpers that answer with their name and what they were asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {
        "good": 'read key; printf \'{"Username": "good", "Secret": "%s"}\' "$key"',
        "token": 'printf \'{"Username": "<token>", "Secret": "t"}\'',
        "empty": "echo credentials not found in native keychain; exit 1",
        "failing": "echo secret secret >&2; exit 3",
        "mumbling": "echo secret",
    }
    for name, script in scripts.items():
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return f"{folder}:/bin:/usr/bin"


def look(tmp_path: Path, path: str, *documents: dict[str, Any] | str, name: str = "reg.test:5000/a/b") -> Any:
    environment = {"PATH": path, "XDG_RUNTIME_DIR": str(tmp_path / "none"), "HOME": str(tmp_path)}
    for document, file in zip(documents, (".config/containers/auth.json", ".docker/config.json"), strict=False):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(document if isinstance(document, str) else json.dumps(document))
    host, _, repository = name.partition("/")
    return find_credentials(host, repository, StoreOptions(environment=environment))


@pytest.mark.parametrize(
    "documents, name, found",
    [
        pytest.param([{}], "reg.test/a", None, id="an empty file says nothing"),
        pytest.param([""], "reg.test/a", None, id="a file without a byte says nothing"),
        pytest.param([{"auths": None}], "reg.test/a", None, id="null says nothing"),
        pytest.param([{"auths": {"reg.test": {}}}], "reg.test/a", None, id="an empty entry says nothing"),
        pytest.param([{"auths": {"reg.test": auth("h")}}], "reg.test/a/b", user("h"), id="the host"),
        pytest.param([{"auths": {"reg.test": auth("h")}}], "reg.test:5000/a", None, id="another port is another host"),
        pytest.param(
            [{"auths": {"reg.test": auth("h"), "reg.test/a": auth("n"), "reg.test/a/b": auth("r")}}],
            "reg.test/a/b",
            user("r"),
            id="the repository before the namespace before the host",
        ),
        pytest.param(
            [{"auths": {"reg.test": auth("h"), "reg.test/a": auth("n")}}], "reg.test/a/c", user("n"), id="the namespace"
        ),
        pytest.param(
            [{"auths": {"reg.test": auth("h"), "reg.test/a": auth("n")}}],
            "reg.test/ab",
            user("h"),
            id="a namespace ends at a slash",
        ),
        pytest.param(
            [{"auths": {HUB: auth("hub")}}], "docker.io/library/a", user("hub"), id="Docker's own, as it writes it"
        ),
        pytest.param([{"auths": {"docker.io": auth("hub")}}], "docker.io/library/a", user("hub"), id="Docker's own"),
        pytest.param(
            [{"auths": {"https://reg.test/v1/": auth("old")}}], "reg.test/a", user("old"), id="an older spelling"
        ),
        pytest.param(
            [{"auths": {"reg.test": {"username": "u", "password": "p"}}}], "reg.test/a", user("u"), id="in plain text"
        ),
        pytest.param(
            [{"auths": {"reg.test": auth("u", "p:q")}}], "reg.test/a", user("u", "p:q"), id="a password with a colon"
        ),
        pytest.param(
            [{"auths": {"reg.test": {"auth": "dXNl\ncjpwYXNz\n"}}}],
            "reg.test/a",
            user("user", "pass"),
            id="with line breaks",
        ),
        pytest.param(
            [{"auths": {"registry-1.docker.io": auth("hub")}}],
            "docker.io/library/a",
            user("hub"),
            id="Docker's own, where it is",
        ),
        pytest.param(
            [{"auths": {HUB: auth("hub")}}],
            "registry-1.docker.io/a/b",
            user("hub"),
            id="Docker's own, asked where it is",
        ),
        pytest.param(
            [{"auths": {"index.docker.io": auth("hub")}}], "docker.io/a/b", user("hub"), id="Docker's own, as it was"
        ),
        pytest.param(
            [{"auths": {"reg.test": {**auth("u"), "identitytoken": "i"}}}],
            "reg.test/a",
            Credentials(username="u", password="p", identity_token="i"),
            id="an identity token",
        ),
        pytest.param(
            [{"auths": {"else.test": auth("e")}}, {"auths": {"reg.test": auth("second")}}],
            "reg.test/a",
            user("second"),
            id="the second file, where the first does not know",
        ),
        pytest.param(
            [{"auths": {"reg.test": auth("first")}}, {"auths": {"reg.test/a": auth("second")}}],
            "reg.test/a",
            user("first"),
            id="the first file, where it knows",
        ),
        pytest.param(
            [{"auths": {"reg.test": auth("h")}, "credHelpers": {"reg.test": "good"}}],
            "reg.test/a",
            user("good", "reg.test"),
            id="a helper before what stands beside it",
        ),
        pytest.param(
            [{"auths": {"reg.test": {}}, "credsStore": "good"}], "reg.test/a", user("good", "reg.test"), id="a store"
        ),
        pytest.param(
            [{"credsStore": "good"}], "docker.io/library/a", user("good", HUB), id="a store, for Docker's own"
        ),
        pytest.param(
            [{"credsStore": "empty"}, {"auths": {"reg.test": auth("h")}}],
            "reg.test/a",
            user("h"),
            id="a store without it",
        ),
        pytest.param(
            [{"credHelpers": {"reg.test": "token"}}],
            "reg.test/a",
            Credentials(identity_token="t"),
            id="a helper's token",
        ),
    ],
)
def test_credentials_are_found(
    tmp_path: Path, helpers: str, documents: list[dict[str, Any] | str], name: str, found: Credentials | None
) -> None:
    assert look(tmp_path, helpers, *documents, name=name) == found


@pytest.mark.parametrize(
    "document, error, text",
    [
        pytest.param("secret", Invalid, "not a JSON object", id="no JSON"),
        pytest.param('{"auths": {"secret": 1, "secret": 2}}', Invalid, "not a JSON object", id="a key twice"),
        pytest.param({"auths": {"reg.test:5000": {"auth": "?secret"}}}, Invalid, "in base64", id="no base64"),
        pytest.param({"credsStore": "failing"}, Denied, "status 3", id="a helper that fails"),
        pytest.param({"credsStore": "mumbling"}, Denied, "no Username", id="a helper that makes no sense"),
        pytest.param({"credsStore": "absent"}, Denied, "not on PATH", id="a helper that is not there"),
        pytest.param({"credsStore": "../../bin/sh"}, Invalid, "expected NAME for", id="a helper with a path"),
    ],
)
def test_credentials_cannot_be_read(
    tmp_path: Path, helpers: str, document: dict[str, Any] | str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        look(tmp_path, helpers, document)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        find_credentials("reg.test", "a", StoreOptions(authfile=tmp_path / "missing"))


def test_given_credentials_win() -> None:
    assert find_credentials("reg.test", "a", StoreOptions(credentials=("u", "p"))) == user("u")


def test_the_anonymous_look_for_none(tmp_path: Path) -> None:
    options = StoreOptions(anonymous=True, authfile=tmp_path / "missing")
    assert find_credentials("reg.test", "a", options) is None


@pytest.mark.parametrize(
    "environment, files",
    [
        pytest.param(
            {"REGISTRY_AUTH_FILE": "/f", "DOCKER_CONFIG": "/d"}, ["/f"], id="one that is named excludes others"
        ),
        pytest.param(
            {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_CONFIG_HOME": "/c", "DOCKER_CONFIG": "/d"},
            ["/run/user/7/containers/auth.json", "/c/containers/auth.json", "/d/config.json"],
            id="the field's order",
        ),
        pytest.param(
            {},
            [
                f"/run/containers/{os.getuid()}/auth.json",
                "/home/.config/containers/auth.json",
                "/home/.docker/config.json",
            ],
            id="what holds where nothing is said",
        ),
    ],
)
def test_files_are_looked_at_in_order(environment: dict[str, str], files: list[str]) -> None:
    options = StoreOptions(environment={"HOME": "/home", **environment})
    assert [str(path) for path in auth_files(options)] == files
