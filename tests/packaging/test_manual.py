"""What is made from the commands when they are packaged: manual pages and completion."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converter.cli.commands import COMMANDS
from distribution.completions import PLACES, scripts
from distribution.manual import Page, Text, pages, roff
from tests.interop.tools import need

PAGES = {page.file: page for page in pages()}


def test_each_command_and_subcommand_has_a_page() -> None:
    assert set(PAGES) >= {"transship", "transship-cache-prune", *(f"transship-{name}" for name in COMMANDS)}


def test_a_page_tells_every_option_with_its_meaning() -> None:
    options = dict(PAGES["transship-convert"].options)
    assert options["--overwrite"].startswith("Replace a file")
    assert options["-h, --help"]
    assert all(options.values())


@pytest.mark.interop
@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_say_about_a_page(name: str) -> None:
    need("groff")
    command = ["groff", "-man", "-Tascii", "-ww", "-z"]
    done = subprocess.run(command, input=roff(PAGES[name]), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_text_is_taken_for_a_request_of_roff() -> None:
    page = Page("x", "y", "x", (Text(".so /etc/passwd\n'\\n", kept=True),), (), (), ())
    assert "\\&.so /etc/passwd\n\\(aq\\en" in roff(page)


def test_each_shell_gets_its_script() -> None:
    made = scripts()
    assert set(made) == set(PLACES.values())
    assert "complete -o nosort -o default -F _transship_completion" in made[PLACES["bash"]]
    assert made[PLACES["zsh"]].startswith("#compdef transship")
    assert "complete --no-files --command transship" in made[PLACES["fish"]]


def test_the_places_are_those_that_the_page_for_scripts_names() -> None:
    page = (Path(__file__).parents[2] / "docs/scripts.md").read_text()
    assert all(place in page for place in PLACES.values())
