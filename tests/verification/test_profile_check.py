"""An image's content is compared with a profile in one way, for ``verify --profile`` and for attestations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import converter
from converter.cli.main import main
from converter.errors import Untrusted
from converter.model.reference import Location
from converter.profile.contents import Scope
from converter.stores import StoreOptions, open_source
from converter.verification.profile_check import StoredContent, check_profile, note_on_content
from converter.verification.unverified import StoredImage
from converter.verification.wanted import Wanted

Opened = Callable[[str], StoredContent]
BEFORE, COMMAND = {"app": "1", "log": "1"}, 'CMD ["/app"]'


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens the content of a stored image."""
    with ExitStack() as files:

        def open_content(reference: str) -> StoredContent:
            location = Location.parse(reference)
            source = files.enter_context(open_source(location, StoreOptions()))
            return StoredContent(StoredImage(source, location, source.resolve(location.name)), files, None)

        yield open_content


def image(folder: Path, texts: dict[str, str], command: str) -> str:
    (folder / "tree").mkdir(parents=True)
    for name, text in texts.items():
        (folder / "tree" / name).write_text(text)
    converter.convert(f"rootfs:{folder}/tree", f"oci:{folder}/l:app", changes=[command])
    return f"oci:{folder}/l:app"


@pytest.fixture
def stated(tmp_path: Path) -> Path:
    """The statement about an image of two files, in a file."""
    file = tmp_path / "stated.json"
    assert main(["profile", image(tmp_path / "before", BEFORE, COMMAND), "--json", "-o", str(file)]) == 0
    return file


@pytest.mark.parametrize(
    "texts, command, told, without_log",
    [
        pytest.param(BEFORE, COMMAND, "", 0, id="the same"),
        pytest.param({**BEFORE, "app": "2"}, COMMAND, "/app: content", 1, id="another content of a file"),
        pytest.param({**BEFORE, "log": "2"}, COMMAND, "/log: content", 0, id="another log"),
        pytest.param(BEFORE, 'CMD ["/sh"]', "config: cmd", 1, id="another command"),
        pytest.param(
            {**BEFORE, **dict.fromkeys("abcd", "1")},
            COMMAND,
            "/a: entry, /b: entry, /c: entry and 1 more",
            4,
            id="more files than are told",
        ),
    ],
)
def test_a_check_and_an_attestation_find_the_same(
    tmp_path: Path,
    stated: Path,
    opened: Opened,
    texts: dict[str, str],
    command: str,
    told: str,
    without_log: int,
) -> None:
    actual = opened(image(tmp_path / "after", texts, command))
    result = check_profile(actual, stated, Wanted(), Scope())
    assert (result.total == 0) == (not told)
    assert check_profile(actual, stated, Wanted(), Scope(), ("/log",)).total == without_log
    document = json.loads(stated.read_bytes())
    if not told:
        assert note_on_content(actual, document) == "the same content"
    else:
        with pytest.raises(Untrusted) as caught:
            note_on_content(actual, document)
        assert str(caught.value) == f"the profile states another content: {told}"


def test_an_image_that_states_nothing_has_no_profile_that_counts(tmp_path: Path, opened: Opened) -> None:
    actual = opened(image(tmp_path / "before", BEFORE, COMMAND))
    with pytest.raises(Untrusted, match="nothing is attached that states one"):
        check_profile(actual, None, Wanted(), Scope())
