from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from converter.errors import Invalid, NotFound
from converter.stores.options import StoreOptions
from converter.stores.registry import connections
from converter.stores.registry.connections import cert_dirs, context_for, folder_of
from tests.stores.certificates import issue


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with one certificate as ca.crt, x.cert and x.key."""
    folder = tmp_path / "made"
    folder.mkdir()
    shutil.copy(issue(folder, "x").cert_path, folder / "ca.crt")
    return folder


def test_certificates_are_loaded(made: Path) -> None:
    context = context_for("reg.test", 443, StoreOptions(cert_dir=made))
    assert any(("commonName", "x") in part for one in context.get_ca_certs() for part in one["subject"])
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_nobody_is_checked_where_the_user_says_so(made: Path) -> None:
    context = context_for("reg.test", 443, StoreOptions(cert_dir=made, tls_verify=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    "folders, host, port, found",
    [
        pytest.param(["a/reg.test:5000"], "reg.test", 5000, "a/reg.test:5000", id="host and port"),
        pytest.param(["a/reg.test"], "reg.test", 5000, None, id="another port"),
        pytest.param(["a/reg.test"], "reg.test", 443, "a/reg.test", id="the port of https need not be named"),
        pytest.param(["b/reg.test", "a/reg.test:443"], "reg.test", 443, "a/reg.test:443", id="the first place with it"),
        pytest.param(["b/reg.test:5000"], "reg.test", 5000, "b/reg.test:5000", id="the second place"),
        pytest.param([], "reg.test", 5000, None, id="none"),
        pytest.param(["a/[::1]:5000", "a/::1:5000"], "::1", 5000, "a/[::1]:5000", id="an address of IPv6, in brackets"),
        pytest.param(["a/[fe80::2]"], "fe80::2", 443, "a/[fe80::2]", id="the same, with the port of https"),
    ],
)
def test_the_folder_of_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str], host: str, port: int, found: str | None
) -> None:
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(connections, "cert_dirs", lambda home: (home / "a", home / "b"))
    assert folder_of(host, port, StoreOptions(environment={"HOME": str(tmp_path)})) == (
        None if found is None else tmp_path / found
    )


@pytest.mark.parametrize(
    "break_it, text",
    [
        pytest.param(lambda folder: (folder / "x.key").unlink(), "has no key", id="a certificate without a key"),
        pytest.param(
            lambda folder: (folder / "x.cert").unlink(),
            "has no cert",
            id="a key without a certificate",
        ),
        pytest.param(lambda folder: (folder / "ca.crt").write_text("x"), "cannot load", id="no certificate"),
        pytest.param(lambda folder: (folder / "x.key").write_text("x"), "cannot load", id="no key"),
    ],
)
def test_certificates_are_refused(made: Path, break_it: object, text: str) -> None:
    assert callable(break_it)
    break_it(made)
    with pytest.raises(Invalid, match=text):
        context_for("reg.test", 443, StoreOptions(cert_dir=made))


def test_a_folder_that_is_named_must_be_there(tmp_path: Path) -> None:
    options = StoreOptions(cert_dir=tmp_path / "missing")
    with pytest.raises(NotFound):
        context_for("reg.test", 443, options)


def test_where_the_field_keeps_certificates() -> None:
    assert cert_dirs(Path("/home"))[0] == Path("/home/.config/containers/certs.d")
