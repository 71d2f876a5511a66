from __future__ import annotations

import re
from pathlib import Path

import pytest

import converter
from converter.events import Finished, Warned
from converter.keyword_names import KEYWORDS, SWITCHES, in_python, reporting_keywords
from converter.model.content import Known
from tests.test_messages import ROOT, texts
from tests.test_public_names import EXAMPLE

COMMAND_ONLY = frozenset(("profile", "kind", "list-rules"))
"""Options of what only the command line does."""


@pytest.mark.parametrize(
    "message, shown",
    [
        pytest.param("choose one, or --all-images", "choose one, or all_images=True", id="an option without a value"),
        pytest.param("add --to oci", 'add to="oci"', id="one with a value"),
        pytest.param("choose one with --platform", "choose one with platforms=", id="one whose value is to choose"),
        pytest.param("add --tls-verify=false", "add tls_verify=False", id="one that is switched off"),
        pytest.param("(--platform all takes them)", '(platforms="all" takes them)', id="in a sentence"),
        pytest.param("a --rename '{repository}'", 'a rename="{repository}"', id="a value in quotes"),
        pytest.param("run `transship validate --kind x`", "run `transship validate --kind x`", id="of a command"),
        pytest.param("a -- b, --not-ours", "a -- b, --not-ours", id="anything else"),
    ],
)
def test_options_become_keywords(message: str, shown: str) -> None:
    assert in_python(message) == shown


def test_every_option_that_a_message_names_is_known() -> None:
    outside = [path for path in ROOT.rglob("*.py") if "cli" not in path.parts and path.name != "page.py"]
    named = {
        option
        for path in outside
        for text in texts(path.read_text())
        if "\n" not in text and not text.startswith("--")  # gpg's own
        for option in re.findall(r"(?<![\w`-])--([a-z][a-z-]+)", re.sub(r"`+[^`]*`+", "", text))
    }
    assert named - {*KEYWORDS, *SWITCHES, *COMMAND_ONLY} == set()


def test_an_error_names_keywords(tmp_path: Path) -> None:
    for name in ("a", "b"):
        converter.convert(EXAMPLE, f"oci:{tmp_path}/two:{name}", changes=f"USER {name}")
    with pytest.raises(converter.NotFound, match=r"or all_images=True$"):
        converter.convert(f"oci:{tmp_path}/two", f"oci:{tmp_path}/out")
    with pytest.raises(converter.Usage, match=r"keys=, keyrings=, chains=, trust_stores= or policy=$"):
        converter.verify(f"oci:{tmp_path}/two:a", converter.Wanted())
    with pytest.raises(converter.Usage, match='"FROM" in changes='):
        converter.sync(f"oci:{tmp_path}/two", f"oci:{tmp_path}/out", changes="FROM x")
    with pytest.raises(converter.Usage, match='"FROM" in changes='):
        converter.serve(f"oci:{tmp_path}/two", folder=tmp_path / "kept", changes="FROM x")
    with pytest.raises(converter.Usage, match="add certificate= and key=, or insecure=True"):
        converter.serve(f"oci:{tmp_path}/two", folder=tmp_path / "kept", listen=("0.0.0.0", 0))


def test_an_error_that_comes_later_names_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    image = converter.open_image(EXAMPLE)
    assert isinstance(image, converter.Image)
    layer = image.layers[0].content
    assert isinstance(layer, Known)

    def refuse(*_: object) -> None:
        raise converter.Denied("r.example requires a login: --creds, --authfile")

    monkeypatch.setattr("converter.opened_reference.open_source", refuse)
    with pytest.raises(converter.Denied, match=r"requires a login: credentials=, authfile=$"):
        b"".join(map(bytes, layer.blocks()))


def test_a_warning_names_keywords() -> None:
    heard: list[str] = []
    report = reporting_keywords(lambda event: heard.append(getattr(event, "fact", "")))
    report(Warned("cannot write x: add --overwrite"))
    report(Finished("layer[0] --to oci", 1))
    assert heard == ["cannot write x: add overwrite=True", ""]
    reporting_keywords(None)(Warned("nobody listens"))


def test_two_images_are_compared(tmp_path: Path) -> None:
    place = f"oci:{tmp_path}/out"
    converter.convert(EXAMPLE, f"{place}:same")
    converter.convert(EXAMPLE, f"{place}:other", changes="USER nobody")
    assert converter.diff(EXAMPLE, f"{place}:same") == ()
    (found,) = converter.diff(EXAMPLE, f"{place}:other")
    assert isinstance(found, converter.Difference)
    assert (found.path, found.b["User"] if isinstance(found.b, dict) else found.b) == ("config", "nobody")
    with pytest.raises(converter.Usage, match='cannot ignore "size"'):
        converter.diff(EXAMPLE, EXAMPLE, ignore="size")
