from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import converter
from converter.conversion.job import Job
from converter.conversion.sync.jobs import Unlisted, plan_jobs
from converter.conversion.sync.semver import version_range
from converter.errors import Usage
from converter.events import Event, Warned
from tests.builders import add_image
from tests.builders.memory import MemoryStore
from tests.cli.conftest import put
from tests.sync.entries import entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image of each kind, and files that are none."""
    store = MemoryStore()
    put(store, add_image(store), "team/app:1", where=str(tmp_path / "made"))
    places = ("docker-archive:{}/saved.tar:team/saved:1", "oci-archive:{}/sub/packed.tar:team/packed:2", "aci:{}/a.aci")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for place in (*places, "oci:{}/sub/layout:team/layout:3", "dir:{}/sub/directory:4"):
        converter.convert(f"oci:{tmp_path}/made", place.format(tmp_path / "in"))
    (tmp_path / "in" / "README.txt").write_text("no image")
    return tmp_path / "in"


def names(source: str, to: str = "oci:out") -> list[str]:
    return [job.destination.name for job in plan_jobs([entry(source, to)]) if isinstance(job, Job)]


@pytest.mark.parametrize(
    "start, found",
    [
        pytest.param("", ["app:1", "saved:1", "directory:4", "layout:3", "packed:2"], id="without a transport, all"),
        pytest.param("docker-archive:", ["saved:1", "packed:2"], id="archives, which docker load reads all"),
        pytest.param("oci-archive:", ["saved:1", "packed:2"], id="archives of layouts, as docker save writes, too"),
        pytest.param("oci:", ["layout:3"], id="layouts"),
        pytest.param("dir:", ["directory:4"], id="directories"),
        pytest.param("aci:", ["app:1"], id="ACIs"),
    ],
)
def test_a_folder_stands_for_the_images_below_it(folder: Path, start: str, found: list[str]) -> None:
    assert names(f"{start}{folder}") == found


def test_a_file_that_is_no_image_is_one_that_fails(folder: Path) -> None:
    (folder / "broken.tar").write_bytes(b"nothing of the kind")
    found = list(plan_jobs([entry(f"docker-archive:{folder}", "oci:out")]))
    assert [type(one) for one in found] == [Unlisted, Job, Job]


@pytest.mark.parametrize("start", ["", "oci:", "dir:"])
def test_a_folder_that_may_not_be_entered_fails_alone(
    folder: Path, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "closed").mkdir()
    is_file = Path.is_file

    def refuse(path: Path) -> bool:  # as Python does before 3.14
        if path.parent.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    failed, other = plan_jobs([entry(f"{start}{folder}", "oci:out"), entry(f"oci:{folder}/sub/layout", "oci:out")])
    assert isinstance(failed, Unlisted)
    assert isinstance(other, Job)
    assert failed.error.fact == f"cannot read {folder}/closed: permission denied"


def _remove_archives(folder: Path) -> None:
    (folder / "saved.tar").unlink()
    (folder / "sub" / "packed.tar").unlink()


def _remove_all(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
    folder.mkdir()


def _break_link(folder: Path) -> None:
    _remove_all(folder)
    (folder / "manifest.json").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "start, remove, told",
    [
        pytest.param(
            "docker-archive:",
            _remove_archives,
            r"no archives \(\*\.tar, .*\) below \S+ \(for images of any kind: \S+/in, without docker-archive:\)",
            id="of other kinds alone",
        ),
        pytest.param("docker-archive:", _remove_all, r"no archives \(.*\) below \S+/in$", id="of archives"),
        pytest.param("oci:", _remove_all, r"no OCI layouts below \S+/in$", id="of layouts"),
        pytest.param("aci:", _remove_all, r"no \*\.aci file below \S+/in$", id="of ACIs"),
        pytest.param("", _remove_all, r"no images below \S+/in$", id="of anything"),
        pytest.param("", _break_link, r"no images below \S+/in$", id="but for a table that leads nowhere"),
    ],
)
def test_an_empty_folder_fails(folder: Path, start: str, remove: Callable[[Path], None], told: str) -> None:
    remove(folder)
    (found,) = plan_jobs([entry(f"{start}{folder}", "oci:out")])
    assert isinstance(found, Unlisted)
    with pytest.raises(type(found.error), match=told):
        raise found.error


@pytest.mark.parametrize(
    "start, to",
    [
        pytest.param("aci:", "aci:{}", id="the folder itself"),
        pytest.param("docker-archive:", "docker-archive:{}/new", id="a new one in it"),
        pytest.param("", "oci:{}/layout", id="a layout among images of all kinds"),
        pytest.param("aci:", "aci:{}/../in/new", id="spelled in another way"),
    ],
)
def test_what_would_be_a_source_of_the_next_run_is_refused(folder: Path, start: str, to: str) -> None:
    with pytest.raises(Usage, match="where the next run would find it as a source: choose another folder"):
        names(f"{start}{folder}", to.format(folder))


@pytest.mark.parametrize(
    "start, to",
    [
        pytest.param("aci:", "oci:{}/layout", id="of another kind"),
        pytest.param("aci:", "aci:{}-new", id="beside it"),
    ],
)
def test_a_destination_that_is_no_source_may_be_anywhere(folder: Path, start: str, to: str) -> None:
    assert len(list(plan_jobs([entry(f"{start}{folder}", to.format(folder))]))) == 1


SEMVER, WORD = version_range(">= 3"), re.compile("^[12]$").match


@pytest.mark.parametrize(
    "source, takes, found",
    [
        pytest.param("", SEMVER, ["directory:4", "layout:3"], id="a folder"),
        pytest.param("", WORD, ["app:1", "saved:1", "packed:2"], id="a folder, by a regular expression"),
        pytest.param("aci:", WORD, ["app:1"], id="ACIs, by their manifests"),
        pytest.param("aci:", SEMVER, [], id="none of the ACIs"),
        pytest.param("dir:", SEMVER, ["directory:4"], id="directories, by their names"),
        pytest.param("dir:", WORD, [], id="none of the directories"),
        pytest.param("docker-archive:", WORD, ["saved:1", "packed:2"], id="archives"),
        pytest.param("oci:", SEMVER, ["layout:3"], id="layouts"),
    ],
)
def test_images_are_chosen_by_the_tags_that_their_names_have(
    folder: Path, source: str, takes: Callable[[str], object], found: list[str]
) -> None:
    told: list[Event] = []
    asked = replace(entry(f"{source}{folder}", "oci:out"), takes=lambda tag: bool(takes(tag)))
    planned = plan_jobs([asked], told.append)
    assert [job.destination.name for job in planned if isinstance(job, Job)] == found
    none = Warned(f"{source}{folder}: no image has a tag that is asked for")
    assert told == ([] if found else [none])


@pytest.mark.parametrize(
    "source, tag, found",
    [
        pytest.param("aci:{}", "1", ["app:1"], id="of a folder of ACIs"),
        pytest.param("aci:{}/a.aci", "1", ["app:1"], id="of an ACI"),
        pytest.param("aci:{}", "2", 'no image with the tag "2" in ', id="of no ACI"),
        pytest.param("aci:{}/a.aci", "2", 'no image with the tag "2" in ', id="that an ACI does not have"),
        pytest.param("dir:{}", "4", ["directory:4"], id="of a folder of directories"),
        pytest.param("dir:{}", "5", 'no image with the tag "5" in ', id="of no directory"),
    ],
)
def test_a_tag_is_that_of_an_image_or_fails(folder: Path, source: str, tag: str, found: list[str] | str) -> None:
    (one,) = plan_jobs([replace(entry(source.format(folder), "oci:out"), references=(tag,))])
    if isinstance(one, Job):
        assert [one.destination.name] == found
    else:
        assert str(found) in str(one.error)


def test_an_aci_whose_tag_cannot_be_read_is_not_left_out(folder: Path) -> None:
    (folder / "broken.aci").write_bytes(b"nothing of the kind")
    asked = replace(entry(f"aci:{folder}", "oci:out"), takes=lambda tag: tag == "1")
    assert [type(one) for one in plan_jobs([asked])] == [Job, Unlisted]


def test_tags_are_chosen_from_one_archive_not_from_a_folder(folder: Path) -> None:
    asked = replace(entry(f"docker-archive:{folder}", "oci:out"), references=("team/saved:1",))
    with pytest.raises(Usage, match="is a folder: name the archive or layout in it to choose tags from"):
        list(plan_jobs([asked]))


@pytest.mark.parametrize(
    "source", ["docker://reg.test/app:1", "docker-daemon:app", "oci:layout:1", "appc:example.com/app"]
)
def test_no_tags_are_chosen_beside_one_image(source: str) -> None:
    asked = replace(entry(source, "oci:out"), references=("2",))
    with pytest.raises(Usage, match=f"{source} names one image, so no tags can be chosen beside it"):
        list(plan_jobs([asked]))


def test_one_file_is_written_once_whatever_leads_to_it(folder: Path) -> None:
    (folder.parent / "out").mkdir()
    (folder.parent / "link").symlink_to("out")
    places = [folder.parent / "out", folder.parent / "link"]
    source = f"dir:{folder}/sub/directory:4"
    same = [entry(source, f"docker-archive:{place}") for place in places]
    assert [job.destination.path for job in plan_jobs(same) if isinstance(job, Job)] == [f"{places[0]}/directory-4.tar"]
    other = [same[0], entry(source, f"oci-archive:{places[1]}")]
    with pytest.raises(Usage, match="would both become oci-archive:"):
        list(plan_jobs(other))


def test_a_host_that_no_image_names_cannot_be_in_its_new_name(folder: Path) -> None:
    found = plan_jobs([entry(f"docker-archive:{folder}/saved.tar", "oci:out", "{host}/{repository}")])
    (image,) = found
    assert isinstance(image, Unlisted)
    assert image.error.fact == 'the image names no host for "{host}/{repository}": leave out {host}'
