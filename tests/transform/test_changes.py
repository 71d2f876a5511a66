"""Instructions that change how a container is started: as in a Dockerfile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.errors import LimitExceeded, Usage
from converter.model.image import Image, RunConfig
from converter.model.platform import Platform
from converter.transform.changes import apply_changes, check_instructions

BEFORE = RunConfig(
    env=("PATH=/bin", "A=1"), cmd=("old",), working_dir="/srv", labels={"a": "b"}, exposed_ports=("80/tcp",)
)

LONG = "x" * 1_000_000
DEEP = "[" * 100_000


def after(*instructions: str, before: RunConfig = BEFORE) -> RunConfig:
    return apply_changes(Image(platform=Platform(os="linux", architecture="amd64"), config=before), instructions).config


@pytest.mark.parametrize(
    "instruction, wanted",
    [
        pytest.param('CMD ["/app", "-v"]', {"cmd": ("/app", "-v")}, id="a command as a list"),
        pytest.param("CMD /app -v", {"cmd": ("/bin/sh", "-c", "/app -v")}, id="a command as a line for the shell"),
        pytest.param("CMD [/app]", {"cmd": ("/bin/sh", "-c", "[/app]")}, id="what only looks like a list is a line"),
        pytest.param("CMD []", {"cmd": None}, id="no command any more"),
        pytest.param("CMD [ ]", {"cmd": None}, id="a list with nothing but a space in it is no command either"),
        pytest.param(f"CMD {DEEP}", {"cmd": ("/bin/sh", "-c", DEEP)}, id="lists too deep to be read are a line"),
        pytest.param(
            'entrypoint ["/app"]', {"entrypoint": ("/app",), "cmd": None}, id="an entry point ends the command"
        ),
        pytest.param("ENV B=2", {"env": ("PATH=/bin", "A=1", "B=2")}, id="a new variable comes last"),
        pytest.param("ENV A=2", {"env": ("PATH=/bin", "A=2")}, id="a variable keeps its place"),
        pytest.param('ENV B="x y" C=z', {"env": ("PATH=/bin", "A=1", "B=x y", "C=z")}, id="several variables"),
        pytest.param("ENV B x  y", {"env": ("PATH=/bin", "A=1", "B=x  y")}, id="the older form takes the whole line"),
        pytest.param("ENV PATH=/x:$PATH", {"env": ("PATH=/x:/bin", "A=1")}, id="a variable is expanded"),
        pytest.param("ENV B=${C:-d}${A:+e}", {"env": ("PATH=/bin", "A=1", "B=de")}, id="a variable with a default"),
        pytest.param("ENV B='$A' C=\\$A", {"env": ("PATH=/bin", "A=1", "B=$A", "C=$A")}, id="what is quoted stays"),
        pytest.param("EXPOSE 53/UDP 80", {"exposed_ports": ("53/udp", "80/tcp")}, id="ports, each once"),
        pytest.param("EXPOSE 8000-8001", {"exposed_ports": ("80/tcp", "8000/tcp", "8001/tcp")}, id="a range of ports"),
        pytest.param(
            f"LABEL c={'${A:-' * 200_000}",
            {"labels": {"a": "b", "c": "${A:-" * 200_000}},
            id="braces left open, in due time",
        ),
        pytest.param('LABEL "c d"=e', {"labels": {"a": "b", "c d": "e"}}, id="a label with a quoted name"),
        pytest.param(f"LABEL c={LONG}", {"labels": {"a": "b", "c": LONG}}, id="a long value, in due time"),
        pytest.param("ONBUILD RUN make $A", {"on_build": ("RUN make $A",)}, id="a trigger, not expanded"),
        pytest.param("STOPSIGNAL SIGINT", {"stop_signal": "SIGINT"}, id="a signal"),
        pytest.param("USER 5:7", {"user": "5:7"}, id="a user"),
        pytest.param("VOLUME /b /a", {"volumes": ("/a", "/b")}, id="volumes, sorted"),
        pytest.param('VOLUME ["/a b"]', {"volumes": ("/a b",)}, id="a volume in a list"),
        pytest.param("WORKDIR app/../x", {"working_dir": "/srv/x"}, id="a directory below the one before"),
        pytest.param("WORKDIR /", {"working_dir": "/"}, id="an absolute directory"),
    ],
)
def test_an_instruction_changes_what_it_says_and_nothing_else(instruction: str, wanted: dict[str, object]) -> None:
    assert after(instruction) == replace(BEFORE, **wanted)  # type: ignore[arg-type]  # of any member


@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param([f"ENV A{n + 1}={f'$A{n}' * 40}" for n in range(10)], id="variables of variables of variables"),
        pytest.param([f"LABEL a{n}=$A0" for n in range(100)], id="one long variable many times"),
        pytest.param([f"ENV B{n}=x" for n in range(10_000)], id="thousands of variables, one by one"),
        pytest.param(["EXPOSE 1-65535"] * 1000, id="all ports again and again"),
    ],
)
def test_instructions_that_would_grow_without_end_are_refused(instructions: list[str]) -> None:
    with pytest.raises(LimitExceeded, match=r"over all changes: at most 4194304 are allowed \(limit: document\)"):
        after(*instructions, before=RunConfig(env=(f"A0={'x' * 100_000}",)))


def test_a_command_given_before_an_entry_point_stays() -> None:
    found = after('CMD ["-v"]', 'ENTRYPOINT ["/app"]')
    assert (found.entrypoint, found.cmd) == (("/app",), ("-v",))


def test_a_line_is_for_the_shell_of_the_image() -> None:
    assert after("CMD dir", before=RunConfig(shell=("cmd", "/S", "/C"))).cmd == ("cmd", "/S", "/C", "dir")


@pytest.mark.parametrize(
    "instruction, reason",
    [
        pytest.param("RUN make", 'unknown instruction "RUN"', id="an instruction that builds"),
        pytest.param("ENV", "needs a value", id="a variable without anything"),
        pytest.param("ENV A=1 B", '"B" is not NAME=VALUE', id="a variable without a value"),
        pytest.param("ENV A='x", "no closing '", id="an open quote"),
        pytest.param("EXPOSE http", 'invalid port "http"', id="a port by name"),
        pytest.param("EXPOSE 9-1", "invalid range of ports", id="a range that runs backwards"),
        pytest.param("USER a b", "USER takes one value, not 2", id="two users"),
    ],
)
def test_a_wrong_instruction_is_refused(instruction: str, reason: str) -> None:
    with pytest.raises(Usage, match=reason):
        check_instructions([instruction])


@pytest.mark.parametrize("target", ["oci:{}/oci", "docker-archive:{}/a.tar:app:1", "aci:{}/app.aci"])
def test_an_image_of_any_format_is_changed(tmp_path: Path, target: str) -> None:
    (tmp_path / "tree").mkdir()
    first, second = target.format(tmp_path), f"oci:{tmp_path}/second"
    converter.convert(f"rootfs:{tmp_path}/tree", first, changes='CMD ["/app"]')
    result = converter.convert(first, second, changes=["ENV A=1", "USER 5:7"])
    image = converter.open_image(second)
    assert isinstance(image, Image)
    assert (image.config.cmd, image.config.env, image.config.user) == (("/app",), ("A=1",), "5:7")
    assert not result.targets[0].preserved
