from __future__ import annotations

from typing import Any

import pytest

from converter.stores.rootfs.sink import is_limited, is_root, rootless_config

SYS = {
    "destination": "/sys",
    "type": "none",
    "source": "/sys",
    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
}


def config(*mounts: dict[str, Any], uid: int = 0) -> dict[str, Any]:
    return {
        "process": {"user": {"uid": uid, "gid": 0}, "cwd": "/srv"},
        "root": {"path": "rootfs"},
        "mounts": list(mounts),
        "linux": {
            "resources": {"devices": []},
            "namespaces": [{"type": "pid"}, {"type": "network"}],
            "maskedPaths": ["/proc/kcore"],
        },
    }


def mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


@pytest.mark.parametrize(
    "given, wanted",
    [
        pytest.param(mount("/proc", "proc", "nosuid"), [mount("/proc", "proc", "nosuid")], id="what anybody may"),
        pytest.param(
            mount("/dev/pts", "devpts", "mode=0620", "gid=5"),
            [mount("/dev/pts", "devpts", "mode=0620")],
            id="nobody is named whom the namespace does not know",
        ),
        pytest.param(mount("/sys", "sysfs", "ro"), [SYS], id="/sys is the machine's, as its network is"),
        pytest.param(mount("/sys/fs/cgroup", "cgroup", "ro"), [], id="control groups are root's"),
    ],
)
def test_mounts_are_those_that_an_ordinary_user_may_make(given: dict[str, Any], wanted: list[dict[str, Any]]) -> None:
    assert rootless_config(config(given), 1000, 1001)["mounts"] == wanted


def test_the_user_is_root_in_a_namespace_of_his_own() -> None:
    before = config(uid=1000)
    after = rootless_config(before, 1000, 1001)

    assert after["process"] == {"user": {"uid": 0, "gid": 0}, "cwd": "/srv"}
    assert after["linux"] == {
        "namespaces": [{"type": "pid"}, {"type": "user"}],
        "maskedPaths": ["/proc/kcore"],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1001, "size": 1}],
    }
    assert (is_root(before), is_root(after)) == (False, True)
    assert before == config(uid=1000), "what was given is as it was"


@pytest.mark.parametrize(
    "resources, limited",
    [
        pytest.param({"devices": []}, False, id="devices alone"),
        pytest.param({"devices": [], "memory": {"limit": 4096}}, True, id="memory"),
    ],
)
def test_limits_are_those_that_need_control_groups(resources: dict[str, Any], limited: bool) -> None:
    given = config()
    given["linux"]["resources"] = resources
    assert is_limited(given) == limited
