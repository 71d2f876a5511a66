from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from converter.errors import LimitExceeded
from converter.formats.aci import app
from converter.formats.aci.app import with_groups
from converter.model.content import LayerFacts


@pytest.mark.parametrize(
    "user, found",
    [
        pytest.param("", ("0", "0"), id="nobody is root"),
        pytest.param("app", ("app", ""), id="a user without a group"),
        pytest.param("1000:", ("1000", ""), id="an empty group is none"),
        pytest.param("1000:100", ("1000", "100"), id="a user and a group"),
        pytest.param(":100", ("0", "100"), id="a group alone"),
        pytest.param("1000:100:44", ("1000", "100"), id="what stands behind the group is nothing"),
    ],
)
def test_docker_says_user_and_group_in_one(user: str, found: tuple[str, str]) -> None:
    assert app.user_and_group(user) == found


PASSWD = (
    "root:x:0:0::/:\nnobody:x:65534:65533::/:\nno:x:7\n"
    "1000:x:5:6::/:\napp:x:1000:2000::/:\nbad:x:9:nine::/:\n"
    "big:x:8:99999999999::/:"
)
GROUP = "root:x:0:\nwheel:x:10:root,app\nvideo:x:44:app\n"


@pytest.mark.parametrize(
    "user, groups",
    [
        pytest.param("nobody", {"group": "65533"}, id="that of the account"),
        pytest.param("app", {"group": "2000", "supplementaryGIDs": [10, 44]}, id="and those that name it"),
        pytest.param("1000", {"group": "2000"}, id="a number has that of its account alone"),
        pytest.param("no", None, id="a row that is too short"),
        pytest.param("bad", None, id="a group that is no number"),
        pytest.param("big", None, id="a group that no system has"),
        pytest.param("other", None, id="a name that is not there"),
        pytest.param("12345", None, id="a number that is not there"),
    ],
)
def test_the_groups_of_a_user_are_those_that_the_engine_runs_it_in(user: str, groups: dict[str, Any] | None) -> None:
    app, facts = {"user": user, "group": user}, LayerFacts(passwd=PASSWD, group=GROUP)
    assert with_groups({"app": app}, user, facts) == {"app": app | (groups or {})}
    assert bool(facts.warning) is not bool(groups)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("supplementaryGIDs", id="as the text spells them, and the reference writes them"),
        pytest.param("supplementaryGids", id="as the text spells them elsewhere"),
    ],
)
def test_groups_that_an_aci_has_stay(name: str) -> None:
    app = {"user": "app", "group": "app", name: [7]}
    assert with_groups({"app": app}, "app", LayerFacts(passwd=PASSWD, group=GROUP)) == {"app": app | {"group": "2000"}}


@pytest.mark.parametrize(
    "env, variables, rest",
    [
        pytest.param(["A=1", "B="], {"A": "1", "B": ""}, [], id="settings"),
        pytest.param(["A=1", "B=2", "A=3=4"], {"A": "3=4", "B": "2"}, [], id="the last of a name wins, in its place"),
        pytest.param(["A", "=1", "0A=1", "ä=1", "A B=1"], {}, ["A", "=1", "0A=1", "ä=1", "A B=1"], id="no variables"),
        pytest.param(["my.app-name=1", "A\n=1"], {"my.app-name": "1"}, ["A\n=1"], id="dots, dashes, and no line feed"),
    ],
)
def test_variables(env: list[str], variables: dict[str, str], rest: list[str]) -> None:
    assert app.environment(env) == ([{"name": name, "value": value} for name, value in variables.items()], rest)


def port(name: str, number: int, protocol: str = "tcp", count: int = 1) -> dict[str, Any]:
    return {"name": name, "protocol": protocol, "port": number, "count": count, "socketActivated": False}


@pytest.mark.parametrize(
    "exposed, ports, rest",
    [
        pytest.param(["6379/tcp"], [port("6379-tcp", 6379)], [], id="a port"),
        pytest.param(["1234"], [port("1234", 1234)], [], id="tcp is what is meant"),
        pytest.param(["80", "80/tcp"], [port("80-tcp", 80)], [], id="two spellings of one port"),
        pytest.param(["80/"], [port("80", 80)], [], id="no protocol is tcp, as in the Engine"),
        pytest.param(["53/udp", "53/tcp"], [port("53-tcp", 53), port("53-udp", 53, "udp")], [], id="two protocols"),
        pytest.param(["8000-8010/tcp"], [port("8000-8010-tcp", 8000, count=11)], [], id="a range"),
        pytest.param(["1/SCTP"], [port("1-sctp", 1, "sctp")], [], id="upper case"),
        pytest.param(["65535"], [port("65535", 65535)], [], id="the last port"),
        pytest.param(
            ["70000", "0", "http", "9-8", "1-65536", "-1", "80/tcp\n", "٣"],
            [],
            ["-1", "0", "1-65536", "70000", "80/tcp\n", "9-8", "http", "٣"],
            id="what is no port",
        ),
    ],
)
def test_ports(exposed: list[str], ports: list[dict[str, Any]], rest: list[str]) -> None:
    assert app.ports(exposed) == (ports, rest)


def test_a_count_is_as_many_ports() -> None:
    ports = [
        port("b", 8000, count=3),
        port("a", 8001),
        {"name": "c", "port": 9, "protocol": "udp"},
        port("d", 1, count=0),
    ]
    assert app.exposed_of({"ports": ports}) == ("8000/tcp", "8001/tcp", "8002/tcp", "9/udp", "1/tcp")


def test_counts_make_no_more_ports_than_a_document_may_have_values() -> None:
    with pytest.raises(LimitExceeded, match=r"327675000 ports: at most 200000 are allowed \(limit: json_values\)"):
        app.exposed_of({"ports": [port(f"p{number}", 1, count=65535) for number in range(5000)]})


@pytest.mark.parametrize(
    "volumes, points",
    [
        pytest.param(["/data"], [("volume-data", "/data")], id="a volume"),
        pytest.param(["/"], [("volume", "/")], id="the root"),
        pytest.param(["/var//lib/_x/"], [("volume-var-lib--x", "/var//lib/_x/")], id="what is cleaned in the name"),
        pytest.param(
            ["/a.b", "/a-b", "/a/b"],
            [("volume-a-b", "/a-b"), ("volume-a-b-1", "/a.b"), ("volume-a-b-2", "/a/b")],
            id="names that collide are numbered",
        ),
        pytest.param(
            ["/a/1", "/a", "/a/", "/A"],
            [("volume-a", "/A"), ("volume-a-1", "/a"), ("volume-a-1-1", "/a/1"), ("volume-a-2", "/a/")],
            id="a number that is a name of its own",
        ),
    ],
)
def test_volumes(volumes: list[str], points: list[tuple[str, str]]) -> None:
    found = [(point["name"], point["path"]) for point in app.mount_points(volumes)]
    assert sorted(found) == sorted(points)
    assert found == [(point["name"], point["path"]) for point in app.mount_points(reversed(volumes))]


@pytest.mark.parametrize(
    "run, isolators, used",
    [
        pytest.param({}, {}, set(), id="no limits"),
        pytest.param({"Memory": 0, "CpuShares": 0}, {}, set(), id="no limits, said in numbers"),
        pytest.param({"Memory": 12345}, {"resource/memory": {"limit": "12345"}}, {"Memory"}, id="memory"),
        pytest.param({"CpuShares": 2}, {"os/linux/cpu-shares": 2}, {"CpuShares"}, id="shares"),
        pytest.param({"CpuShares": 1}, {}, set(), id="fewer shares than there can be"),
        pytest.param({"CpuShares": 262145}, {}, set(), id="more shares than there can be"),
        pytest.param({"Memory": True, "CpuShares": "9"}, {}, set(), id="what is no number"),
    ],
)
def test_limits_of_old_become_isolators(run: dict[str, Any], isolators: dict[str, Any], used: set[str]) -> None:
    found = app.isolators(run)
    assert ({row["name"]: row["value"] for row in found.values()}, {*found}) == (isolators, used)


@given(st.lists(st.from_regex(r"[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp))?", fullmatch=True)))
def test_ports_do_not_depend_on_their_order(exposed: list[str]) -> None:
    found, rest = app.ports(exposed)
    again, same = app.ports(list(reversed(exposed)))
    assert (found, sorted(rest)) == (again, sorted(same))
    names = [row["name"] for row in found]
    assert len(names) == len(set(names))
    assert all(row["port"] + row["count"] <= 65536 for row in found)
