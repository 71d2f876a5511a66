from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from converter.cli import commands
from converter.cli.flags import Flags, common, flags
from converter.cli.main import main
from converter.errors import Invalid, NotFound, Usage, within
from tests.patience import PATIENCE


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A command ``try`` that raises what the test puts there, and tells what it was asked."""
    there: dict[str, object] = {}

    @click.command("try")
    @click.option("--number", type=int)
    @common
    def attempt(number: int | None) -> int | None:
        asked = flags()
        there["asked"] = {"quiet": asked.quiet, "json": asked.json, "debug": asked.debug}
        asked.failed = 2 if "failed" in there else 1
        error = there.get("error")
        if isinstance(error, BaseException):
            with within("app:1"), within("layer[3]"):
                raise error
        return number

    class Loader:
        command = attempt

    monkeypatch.setitem(commands.COMMANDS, "try", ("tried", "Try."))
    monkeypatch.setitem(sys.modules, "tried", Loader)
    return there


@pytest.mark.parametrize(
    "error, status, line",
    [
        pytest.param(
            Invalid("11 diff_ids for 12 layers"),
            1,
            "transship: app:1 > layer[3]: 11 diff_ids for 12 layers\n",
            id="a refusal is one line with its trail",
        ),
        pytest.param(
            NotFound("no image named '\x1b]0;x\x07\n'"),
            1,
            "transship: app:1 > layer[3]: no image named '\\x1b]0;x\\x07\\n'\n",
            id="nothing in it steers the terminal",
        ),
        pytest.param(Usage("both at once"), 2, "transship: app:1 > layer[3]: both at once\n", id="usage is 2"),
        pytest.param(KeyboardInterrupt(), 130, "transship: interrupted\n", id="Control-C is 130"),
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device", b"/mnt/\xff"),
            1,
            "transship: /mnt/\\xff: no space left on device\n",
            id="what the system says, with the file",
        ),
        pytest.param(OSError("odd"), 1, "transship: odd\n", id="or without one"),
        pytest.param(
            MemoryError(),
            1,
            "transship: out of memory (--jobs 1 needs less)\n",
            id="memory",
        ),
        pytest.param(RecursionError("deep"), 1, "transship: the input is nested too deeply\n", id="recursion"),
        pytest.param(
            ValueError("the password is 1234"),
            1,
            "transship: internal error (ValueError): please report it, with the output of --debug\n",
            id="what nobody expected is one line too, without what it holds",
        ),
        pytest.param(SystemExit(3), 3, "", id="an exit is an exit"),
        pytest.param(SystemExit("text"), 1, "", id="also a strange one"),
    ],
)
def test_whatever_ends_a_command_is_a_status_and_at_most_one_line(
    error: BaseException, status: int, line: str, command: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    command["error"] = error
    assert main(["try"]) == status
    assert capsys.readouterr() == ("", line)


def test_a_command_may_fail_with_a_status_of_its_own(
    command: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    command |= {"error": Invalid("this is not that"), "failed": True}
    assert main(["try"]) == 2


def test_the_status_of_a_command_is_what_it_returns(command: dict[str, object]) -> None:
    assert main(["try"]) == 0
    assert main(["try", "--number", "1"]) == 1


def test_only_debug_shows_where_an_error_comes_from(
    command: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    command["error"] = ValueError("odd \x1b[2J")
    assert main(["try", "--debug"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert "ValueError: odd \\x1b[2J" in told
    assert told.splitlines()[-1].startswith("transship: internal error")


@pytest.mark.parametrize(
    "arguments, asked",
    [
        pytest.param(["try"], {}, id="nothing asked"),
        pytest.param(["--json", "try"], {"json": True}, id="before the command"),
        pytest.param(["try", "--json"], {"json": True}, id="behind it"),
        pytest.param(["try", "-q"], {"quiet": True}, id="in short"),
        pytest.param(["--quiet", "try", "--debug", "--json"], {"quiet": True, "json": True, "debug": True}, id="both"),
    ],
)
def test_the_flags_of_all_commands_stand_anywhere(
    arguments: list[str], asked: dict[str, bool], command: dict[str, object]
) -> None:
    assert main(arguments) == 0
    assert command["asked"] == {"quiet": False, "json": False, "debug": False} | asked


@pytest.mark.parametrize(
    "arguments, line",
    [
        pytest.param(["--nix"], "unknown option --nix (see transship --help)", id="an unknown option"),
        pytest.param(["try", "--nix"], "try: unknown option --nix (see transship try --help)", id="of a command"),
        pytest.param(
            ["try", "--number", "x\x1b"],
            'try: invalid value for "--number": "x\\x1b" is not a valid integer (see transship try --help)',
            id="a bad value",
        ),
        pytest.param(["try", "x"], 'try: unexpected argument "x" (see transship try --help)', id="an extra argument"),
    ],
)
def test_wrong_usage_is_2_and_one_line(
    arguments: list[str], line: str, command: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"transship: {line}\n"


def test_without_a_command_the_help_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("Usage: transship")


def test_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr()
    assert all(name in told.out for name in commands.COMMANDS)
    assert told.err == ""


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_help_and_the_flags_of_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help-all"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: transship {name}" in told
    assert all(flag in told for flag in ("--quiet", "--json", "--debug"))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param([], id="all"),
        *([name] for name in commands.COMMANDS),
        pytest.param(["cache", "ls"], id="a command of a group"),
        pytest.param(["cache", "prune"], id="another"),
    ],
)
def test_the_help_of_a_command_fits_one_screen(name: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name, "--help"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) <= 24
    assert max(map(len, told)) <= 80
    assert not [line for line in told if line.endswith("…")], "no line is cut"
    assert "--help-all" in told[-1]


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_option_is_in_the_whole_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands.transship.get_command(click.Context(commands.transship), name)
    assert found is not None
    assert main([name, "--help-all"]) == 0
    told = capsys.readouterr().out
    for one in found.params:
        assert not isinstance(one, click.Option) or max(one.opts, key=len) in told


@pytest.mark.parametrize(
    "typed, told",
    [
        pytest.param("copy a.tar oci:x", "did you mean `transship convert a.tar oci:x`?", id="skopeo's word"),
        pytest.param("cp a b", "did you mean `transship convert a b`?", id="crane's word"),
        pytest.param("pull docker://x", "did you mean `transship convert docker://x`?", id="docker's word"),
        pytest.param("push x", "did you mean `transship convert x`?", id="docker's other word"),
        pytest.param("list-tags docker://x/y", "did you mean `transship tags docker://x/y`?", id="skopeo's tags"),
        pytest.param("ls-tags x", "did you mean `transship tags x`?", id="regctl's tags"),
        pytest.param("login reg.test", "`podman login`, `docker login` or `skopeo login`", id="a login"),
        pytest.param("version", "did you mean `transship --version`?", id="git's version"),
        pytest.param("help", "did you mean `transship --help`?", id="git's help"),
        pytest.param("help convert", "did you mean `transship convert --help`?", id="git's help of a command"),
        pytest.param("convrt a b", "did you mean `transship convert a b`?", id="a typo"),
        pytest.param("app.tar oci:x", "the command is missing: `transship convert app.tar oci:x`", id="references"),
        pytest.param("oci:x --json", "the command is missing: `transship inspect oci:x --json`", id="a reference"),
        pytest.param("nix", 'unknown command "nix" (one of: convert, sync,', id="anything else"),
    ],
)
def test_what_was_meant_by_what_is_no_command(typed: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_group_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 2
    told = capsys.readouterr()
    assert "prune" in told.err
    assert told.out == ""


@pytest.mark.parametrize("arguments", [["--version"], ["--debug", "--version"]])
def test_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from converter import __version__

    assert main(arguments) == 0
    assert capsys.readouterr().out == f"transship {__version__}\n"


def start(*arguments: str, source: str = "", **more: Any) -> subprocess.Popen[str]:
    """A process of its own, whose output this process reads."""
    call = [sys.executable, *(("-c", source) if source else ("-m", "converter")), *arguments]
    return subprocess.Popen(call, text=True, **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more))


WAITS = """
import sys, time
from converter.cli import commands
from converter.cli.main import main
import click

@click.command()
def command():
    try:
        print("ready", flush=True)
        time.sleep(3600)
    finally:
        print("cleaned", flush=True)

commands.COMMANDS["wait"] = ("__main__", "Wait.")
sys.exit(main(["wait"]))
"""


HEARS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
"""Whoever runs the tests in the background may have told all that he starts to ignore these."""


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str)
def test_a_signal_lets_a_command_clean_up(number: signal.Signals, status: int) -> None:
    with start(source=HEARS + WAITS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (status, "cleaned\n", "transship: interrupted\n")


def test_a_hang_up_that_nohup_ignores_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    source += WAITS.replace("time.sleep(3600)", "sys.stdin.read()")
    with start(source=source, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate("", timeout=PATIENCE)
    assert process.returncode == 0


ARGUMENTS = pytest.mark.parametrize("arguments", [("schema", "oci-manifest"), ("--version",)])


@ARGUMENTS
def test_a_reader_that_has_seen_enough_is_no_error(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with start(*arguments, stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, "")


@ARGUMENTS
def test_a_full_disk_behind_standard_output_is_told(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, start(*arguments, stdout=full) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, "transship: cannot write standard output: no space left on device\n")


def test_a_full_disk_behind_standard_error_leaves_the_status_as_it_is() -> None:
    with Path("/dev/full").open("w") as full, start("inspect", "oci:none", stderr=full) as process:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 1


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_crash(closing: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m converter schema {closing}', sys.executable],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_output_is_no_crash_in_a_locale_of_seven_bits() -> None:
    source = (
        "from converter.cli.text import show\nfrom converter.cli.run import reconfigure\nreconfigure()\nshow('✓ é')"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (0, "\\u2713 \\xe9\n")


def test_settings_stand_for_themselves_outside_a_command() -> None:
    with click.Context(click.Command("alone")):
        assert vars(flags()) == vars(Flags())


def complete(words: str, shell: str = "bash") -> list[str]:
    """What a shell is offered for the last of the words."""
    environment = os.environ | {
        "_TRANSSHIP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "converter"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completion_offers_commands_options_and_choices() -> None:
    assert complete("transship con") == ["convert"]
    assert "--squash" in complete("transship convert --s")
    assert complete("transship convert --to a") == ["aci"]
    assert complete("transship convert --compress g") == ["gzip"]


@pytest.mark.parametrize(
    "shell, files",
    [("bash", "complete -o nosort -o default -F"), ("zsh", "        _files\n"), ("fish", "complete --force-files")],
)
@pytest.mark.filterwarnings("default")  # click says on standard error that it cannot find bash's version
def test_completion_scripts_are_printed_and_offer_files(
    shell: str, files: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_TRANSSHIP_COMPLETE" in script
    assert files in script


AT_A_MOMENT = (
    HEARS
    + """
import atexit, os, sys

moment, number = os.environ["MOMENT"], int(os.environ["NUMBER"])

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == moment:
            signal.raise_signal(number)

sys.meta_path.insert(0, Finder)
if moment == "the end":
    atexit.register(signal.raise_signal, number)
from converter.__main__ import start
sys.exit(start())
"""
)
"""A process that gets a signal when it begins to import a module, or when it ends."""


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str)
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("converter.cli.main", id="before anything of it is imported"),
        pytest.param("converter.cli.run", id="before a command is known"),
        pytest.param("converter.validate", id="once it is known"),
        pytest.param("decimal", id="before a module that panics if it does not get this one"),
        pytest.param("jsonschema_rs", id="before that module"),
        pytest.param("the end", id="when all is done"),
    ],
)
def test_a_signal_is_one_line_at_any_moment(moment: str, number: signal.Signals, status: int, tmp_path: Path) -> None:
    document = tmp_path / "layout.json"
    document.write_text('{"imageLayoutVersion": "1.0.0"}')
    environment = os.environ | {"MOMENT": moment, "NUMBER": str(int(number))}
    arguments = ["validate", "--quiet", "--kind", "oci-layout", str(document)]
    with start(*arguments, source=AT_A_MOMENT, env=environment) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (status, "transship: interrupted\n"), out


def test_a_signal_is_told_as_one_whatever_it_is_made_into(
    command: dict[str, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python before 3.12 does where a class is being made, and modules in C and Rust do."""

    def attempt() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise RuntimeError("error calling __set_name__") from error

    monkeypatch.setattr(sys.modules["tried"], "command", click.command("try")(attempt))
    assert main(["try"]) == 143
    assert capsys.readouterr().err == "transship: interrupted\n"
