from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from converter.formats import aci, oci, runtime
from converter.formats.aci.app import confinement_of, parse_quantity
from converter.formats.runtime import runtime_config
from converter.model.content import LayerFacts, known_bytes
from converter.model.image import CAPABILITIES
from tests.builders.acis import aci as an_aci, manifest
from tests.formats.running import BUNDLE

RETAIN, REMOVE = "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"
WITHOUT_CHOWN = [one for one in CAPABILITIES if one != "CAP_CHOWN"]


def row(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    "isolator, says, whole",
    [
        pytest.param(row(RETAIN, {"set": ["CAP_KILL"]}), {"capabilities": ["CAP_KILL"]}, True, id="what is retained"),
        pytest.param(
            row(RETAIN, {"set": ["CAP_KILL", "CAP_SYS_ADMIN"]}),
            {"capabilities": ["CAP_KILL"]},
            False,
            id="more than is usual is not given",
        ),
        pytest.param(row(REMOVE, {"set": ["CAP_CHOWN"]}), {"capabilities": WITHOUT_CHOWN}, True, id="what is removed"),
        pytest.param(
            row(REMOVE, {"set": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}),
            {"capabilities": WITHOUT_CHOWN},
            True,
            id="what nobody has is removed, too",
        ),
        pytest.param(
            row("resource/memory", {"limit": "128Mi", "request": 4096}),
            {"memory": {"limit": 128 << 20, "reservation": 4096}},
            True,
            id="memory",
        ),
        pytest.param(
            row("resource/memory", {"limit": "1e9", "request": "1k"}),
            {"memory": {"reservation": 1000}},
            False,
            id="a spelling that is not read",
        ),
        pytest.param(
            row("resource/cpu", {"limit": "500m", "request": "250m", "default": False}),
            {"cpu": {"quota": 50_000, "shares": 256, "period": 100_000}},
            True,
            id="processors",
        ),
        pytest.param(row("resource/cpu", {"limit": "1m"}), {}, False, id="less than a kernel takes"),
        pytest.param(row("os/linux/cpu-shares", 512), {"cpu": {"shares": 512}}, True, id="shares"),
        pytest.param(row("os/linux/no-new-privileges", True), {}, True, id="no new privileges, as for every container"),
        pytest.param(row("os/linux/no-new-privileges", False), {}, False, id="new privileges are not given"),
        pytest.param(row("os/linux/seccomp-retain-set", {"set": ["@appc.io/all"]}), {}, False, id="another isolator"),
    ],
)
def test_an_isolator(isolator: dict[str, Any], says: dict[str, Any], whole: bool) -> None:
    found = confinement_of({"isolators": [isolator]})
    told: dict[str, Any] = dict(found.resources)
    if found.capabilities != CAPABILITIES:
        told["capabilities"] = list(found.capabilities)
    assert told == says
    assert (found.losses["app.isolators"] is None) is whole


@pytest.mark.parametrize(
    "text, number",
    [
        ("1", 1),
        ("0.5", Fraction(1, 2)),
        ("300m", Fraction(3, 10)),
        ("123Mi", 128974848),
        ("125952Ki", 128974848),
        ("2G", 2_000_000_000),
        (7, 7),
        ("-1", None),
        ("1e3", None),
        ("", None),
        (None, None),
        (True, None),
    ],
)
def test_a_quantity(text: Any, number: Fraction | int | None) -> None:
    assert parse_quantity(text) == number


def test_a_bundle_holds_what_a_runtime_has_a_word_for() -> None:
    app = {
        "exec": ["/bin/app"],
        "user": "1000",
        "group": "1000",
        "supplementaryGIDs": [5, 6],
        "isolators": [row(RETAIN, {"set": ["CAP_KILL"]}), row("resource/memory", {"limit": "1Gi"})],
        "mountPoints": [{"name": "a", "path": "/a", "readOnly": True}, {"name": "b", "path": "/b"}],
    }
    image = aci.decode(an_aci(manifest(app=app)), lambda _: known_bytes(b"", ""))

    assert [loss.field for loss in runtime.losses(image, BUNDLE)] == []
    assert len([*oci.losses(image)]) == 3
    config = runtime_config(image, LayerFacts())
    assert config["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [5, 6]}
    assert config["process"]["capabilities"]["bounding"] == ["CAP_KILL"]
    assert config["linux"]["resources"]["memory"] == {"limit": 1 << 30}
    only = {mount["destination"]: "ro" in mount["options"] for mount in config["mounts"] if mount["type"] == "tmpfs"}
    assert (only["/a"], only["/b"]) == (True, False)


def test_what_a_runtime_has_no_word_for_is_told_alone() -> None:
    isolators = [row("resource/cpu", {"limit": "1"}), row("os/linux/oom-score-adj", 5)]
    app = {"exec": ["/bin/app"], "user": "0", "group": "0", "isolators": isolators}
    image = aci.decode(an_aci(manifest(app=app)), lambda _: known_bytes(b"", ""))

    (loss,) = runtime.losses(image, BUNDLE)
    assert (loss.field, loss.kept) == ("app.isolators", "")
    assert loss.reason == "other formats have no word for it (os/linux/oom-score-adj)"
