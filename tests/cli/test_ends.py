from __future__ import annotations

from pathlib import Path

import pytest

from converter.cli.main import main
from tests.stores.registry.fake import FakeRegistry
from tests.stores.registry.pushing import seed


def test_each_end_has_its_own_credentials(here: Path) -> None:
    with FakeRegistry() as one, FakeRegistry() as other:
        seed(one, [])
        one.basic, other.basic = ("a", "1"), ("b", "2:3")
        ends = [f"docker://{one.host}/app:1", f"docker://{other.host}/app:2"]
        plain = ["--src-tls-verify=false", "--dest-tls-verify", "false"]
        assert main(["convert", *ends, *plain, "--src-creds", "a:1", "--dest-creds=b:2:3"]) == 0
        assert other["app"].tags == {"2": one["app"].tags["1"]}
        assert main(["tags", f"docker://{other.host}/app", "--tls-verify=false", "--creds", "b:2:3"]) == 0
        assert main(["inspect", ends[0], "--tls-verify=false", "--creds", "a:wrong"]) == 1


def test_credentials_have_a_user(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tags", "docker://reg.test/app", "--creds", ":secret"]) == 2
    assert "secret" not in capsys.readouterr().err
