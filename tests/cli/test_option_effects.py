"""No option is silently ignored: each has an effect where it is given, or is refused."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import click
import pytest

from converter.cli.commands import COMMANDS, GROUPS, transship
from converter.cli.flags import parameter_name
from converter.cli.main import main
from converter.cli.option_effects import EXCLUSIVE, PLACES, REQUIRES
from converter.conversion.sync.sync_file import KEYS
from converter.model.transport import TRANSPORTS
from tests.builders.memory import MemoryStore

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/options.md"


def options(command: str) -> set[str]:
    """The options of a command, and its arguments as the help names them."""
    found = transship.get_command(click.Context(transship), command)
    assert found is not None
    arguments = {one.human_readable_name for one in found.params if isinstance(one, click.Argument)}
    return {name for one in found.params for name in (*one.opts, *one.secondary_opts)} | arguments


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_has_every_option_in_a_group(command: str) -> None:
    found = transship.get_command(click.Context(transship), command)
    assert found is not None
    commands = [found, *getattr(found, "commands", {}).values()]
    shown = {one for each in commands for one in each.get_params(click.Context(each)) if isinstance(one, click.Option)}
    assert set(map(parameter_name, shown)) <= {name for names in GROUPS.values() for name in names}


def rows(what: str, places: Mapping[str, tuple[Collection[str], Collection[str]]]) -> Iterator[str]:
    """The table of options, or of members of a sync file, and transports, as the documentation has it."""
    yield f"| {what} | {' | '.join(TRANSPORTS)} |"
    yield "|---" * (len(TRANSPORTS) + 1) + "|"
    for option, (source, target) in places.items():
        cells = (
            " ".join(word for word, there in (("from", source), ("to", target)) if name in there) for name in TRANSPORTS
        )
        yield f"| `{option}` | {' | '.join(cell or '–' for cell in cells)} |"


@pytest.mark.parametrize(
    "what, places",
    [
        pytest.param("option", {name: (one.source, one.target) for name, one in PLACES.items()}, id="options"),
        pytest.param("member", {name: (one[0], one[1]) for name, one in KEYS.items()}, id="members of a sync file"),
    ],
)
def test_the_documentation_has_the_table(
    what: str, places: Mapping[str, tuple[Collection[str], Collection[str]]]
) -> None:
    table = "\n".join(rows(what, places))
    print(table)  # for who wants to see it: pytest -s
    assert table in PAGE.read_text()


def test_the_table_names_members_that_a_sync_file_has() -> None:
    members = json.loads((ROOT / "schemas/sync.json").read_bytes())["$defs"]["entry"]["properties"]
    assert {*KEYS} <= {*members}


@pytest.mark.parametrize(
    "entry, told",
    [
        pytest.param("from: 'oci:in', tls-verify: no", '"tls-verify" has no effect here: it is for a', id="tls-verify"),
        pytest.param(
            "from: 'oci:in', credentials: {username: a, password: b}",
            '"credentials" has no effect here',
            id="a password",
        ),
        pytest.param("from: 'oci:in', cert-dir: certs", '"cert-dir" has no effect here', id="certificates"),
        pytest.param(
            "from: 'rootfs:tree', tags: [a]", '"tags" has no effect here: the source is one', id="tags of one"
        ),
        pytest.param("from: 'oci:in', to: 'rootfs:t', compress: zstd", '"compress" has no effect here', id="a tree"),
        pytest.param("from: 'oci:in', to: 'bundle:t', format: oci", '"format" has no effect here', id="a bundle"),
    ],
)
def test_a_member_of_a_sync_file_that_would_have_no_effect_is_refused(
    entry: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sync.yaml").write_text(f"images:\n- {{{entry}}}\n")
    assert main(["sync", "sync.yaml", "oci:out"]) == 2
    assert capsys.readouterr().err.startswith(f"transship: sync.yaml > line 2: {told}")


def test_an_option_that_no_image_of_a_sync_file_needs_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sync.yaml").write_text("images:\n- {from: 'oci:in'}\n")
    assert main(["sync", "sync.yaml", "oci:out", "--creds", "me:secret"]) == 2
    assert capsys.readouterr().err.startswith("transship: --creds has no effect here: it is for a registry")


def test_the_documentation_has_the_pairs() -> None:
    text = PAGE.read_text()
    told = [
        f"`{command}`: `{one}` with `{other}`: {why}" for command in EXCLUSIVE for one, other, why in EXCLUSIVE[command]
    ]
    told += [
        f"`{command}`: `{one}` without `{other}`: {why}"
        for command in REQUIRES
        for one, other, why in REQUIRES[command]
    ]
    for row in told:
        assert f"- {row}\n" in text


def test_the_tables_name_options_that_exist() -> None:
    assert {*PLACES} <= {name for command in COMMANDS for name in options(command)}
    for command, pairs in EXCLUSIVE.items():
        assert {name for one, other, _ in pairs for name in (one, other)} <= options(command)
    for command, needs in REQUIRES.items():
        assert {name for one, other, _ in needs for name in (one, other)} <= options(command)


VALUES = {
    "--creds": ["--creds", "me:secret"],
    "--src-creds": ["--src-creds", "me:secret"],
    "--dest-creds": ["--dest-creds", "me:secret"],
    "--authfile": ["--authfile", "auth.json"],
    "--cert-dir": ["--cert-dir", "certs"],
    "--src-cert-dir": ["--src-cert-dir", "certs"],
    "--dest-cert-dir": ["--dest-cert-dir", "certs"],
    "--retries": ["--retries", "1"],
    "--timeout": ["--timeout", "1"],
    "--aci-path": ["--aci-path", "."],
    "--compress": ["--compress", "gzip"],
}
TARGETS = {
    "--compress": "rootfs:out",
    "--aci-path": "oci:out",
    "--link": "oci-archive:out.tar",
}


@pytest.mark.parametrize("option", [*PLACES])
def test_an_option_that_would_have_no_effect_is_refused(
    option: str, layout: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    target = TARGETS.get(option, "oci:out")
    assert main(["convert", "oci:in:app", target, *VALUES.get(option, [option])]) == 2
    assert capsys.readouterr().err.startswith(f"transship: {option} has no effect here: ")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        pytest.param(
            ["convert", "oci:in:app", "oci:out", "--layered"],
            "--layered has no effect here: only aci: can be one file a layer (it takes a destination aci:)",
            id="layers of one file",
        ),
        pytest.param(
            ["convert", "oci:in:app", "aci:x.aci", "--squash", "--layered"],
            "--squash and --layered mean nothing together: one is a single layer, the other one ACI for each",
            id="one layer and many",
        ),
        pytest.param(
            ["validate", "oci:in:app", "--format", "junit", "--json"],
            "--format and --json mean nothing together: both say how to print",
            id="two formats",
        ),
        pytest.param(
            ["inspect", "oci:in:app", "--creds", "me:secret"],
            "--creds has no effect here: it is for a registry (it takes docker:// or appc:)",
            id="credentials for a layout",
        ),
        pytest.param(
            ["convert", "oci:in:app", "oci:out", "--sign-identity", "me"],
            "--sign-identity means nothing without --sign-by: nothing is signed",
            id="a name to sign without a key",
        ),
        pytest.param(
            ["cat", "oci:in:app", "/x", "--json"], "--json: the file is printed as it is", id="a file as JSON"
        ),
    ],
)
def test_what_is_said(arguments: list[str], told: str, layout: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"transship: {told}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["aci:x.aci", "oci:out", "--layered"], id="one of several destinations can have it"),
        pytest.param(["oci:out", "--jobs", "1"], id="an option that has an effect everywhere"),
    ],
)
def test_an_option_with_an_effect_is_accepted(arguments: list[str], layout: MemoryStore) -> None:
    assert main(["convert", "oci:in:app", *arguments, "--quiet"]) == 0
