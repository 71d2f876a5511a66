"""What only ACI files do: signatures and dependencies beside them, pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from converter.errors import AlreadyExists, Invalid, NotFound, Unsupported
from converter.model import media_types as types
from converter.model.content import Blocks
from converter.model.descriptor import Descriptor, Digest
from converter.model.image import Attachment
from converter.model.reference import Location
from converter.stores import StoreOptions, open_sink, require_new
from tests.stores.copying import files, sink_at, source_at
from tests.stores.kinds import ON_DISK
from tests.stores.test_contract import write as write_kind

IMAGE, OTHER, SIGNATURE = b"an image", b"a dependency", b"-----BEGIN PGP SIGNATURE-----"
ROOT = Descriptor.of(IMAGE, types.ACI)
REPLACING = StoreOptions(overwrite=True)


def write(
    path: Path,
    image: bytes = IMAGE,
    *,
    signed: Blocks = (),
    dependencies: tuple[bytes, ...] = (),
    options: StoreOptions = REPLACING,
) -> None:
    with open_sink(Location(transport="aci", path=str(path)), options) as sink:
        for data in dependencies:
            sink.put((data,), types.ACI)
        root = sink.put((image,), types.ACI)
        sink.name("ignored", root)
        if signed:
            sink.attach(Attachment(subject=root.digest, descriptor=sink.put(signed, types.PGP_SIGNATURE)))


def test_a_signature_lies_beside_its_image(tmp_path: Path) -> None:
    write(tmp_path / "app.aci", signed=(SIGNATURE,))
    assert files(tmp_path) == {"app.aci": IMAGE, "app.aci.asc": SIGNATURE}
    with source_at("aci", tmp_path / "app.aci") as source:
        assert source.resolve("").bare() == ROOT
        (attachment,) = source.attachments(ROOT.digest)
        assert attachment.descriptor.media_type == types.PGP_SIGNATURE
        assert source.fetch(attachment.descriptor).read() == SIGNATURE
        assert not list(source.attachments(Digest.of(b"another")))


def test_an_image_without_a_signature_has_no_attachment(tmp_path: Path) -> None:
    write(tmp_path / "app.aci")
    with source_at("aci", tmp_path / "app.aci") as source:
        assert not list(source.attachments(ROOT.digest))
        with pytest.raises(NotFound):
            source.fetch(Descriptor.of(b"another", types.ACI))
        with pytest.raises(NotFound):
            source.resolve("name")


@pytest.mark.parametrize(
    "image, left",
    [
        pytest.param(IMAGE, True, id="the same image keeps its signature"),
        pytest.param(b"other", False, id="another image of that length does not get it"),
        pytest.param(b"another image", False, id="another image does not get it"),
    ],
)
def test_a_signature_goes_with_what_it_speaks_of(tmp_path: Path, image: bytes, left: bool) -> None:
    write(tmp_path / "app.aci", signed=(SIGNATURE,))
    write(tmp_path / "app.aci", image)
    assert (tmp_path / "app.aci.asc").exists() == left


@pytest.mark.parametrize(
    "taken",
    [
        pytest.param("app.aci", id="the image's place"),
        pytest.param("app.aci.asc", id="the signature's place"),
        pytest.param("app.aci.origin", id="the place of what an earlier image had beside it"),
    ],
)
def test_where_a_place_is_taken_in_the_meantime_nothing_is_written_beside_it(tmp_path: Path, taken: str) -> None:
    def signature() -> Iterator[bytes]:
        yield SIGNATURE
        (tmp_path / taken).write_bytes(b"theirs")

    with pytest.raises(AlreadyExists, match=rf"{taken} already exists"):
        write(tmp_path / "app.aci", signed=signature(), dependencies=(OTHER,), options=StoreOptions())
    assert files(tmp_path) == {taken: b"theirs"}


@pytest.mark.parametrize("beside", ["app.aci.asc", "app.aci.origin"])
def test_a_pipe_beside_it_is_not_where_an_image_is_passed_on(tmp_path: Path, beside: str) -> None:
    os.mkfifo(tmp_path / beside)
    location = Location(transport="aci", path=str(tmp_path / "app.aci"))
    for refused in (partial(require_new, location, StoreOptions()), open_sink(location).__enter__):
        with pytest.raises(AlreadyExists, match=rf"{beside} already exists"):
            refused()
    assert [path.name for path in tmp_path.iterdir()] == [beside]


def test_dependencies_lie_beside_what_needs_them(tmp_path: Path) -> None:
    write(tmp_path / "app.aci", dependencies=(OTHER,))
    name = f"app-{Digest.of(OTHER).encoded[:12]}.aci"
    assert files(tmp_path) == {"app.aci": IMAGE, name: OTHER}


def test_one_file_holds_one_image(tmp_path: Path) -> None:
    sink = sink_at("aci", tmp_path / "app.aci")
    sink.name("", ROOT)
    with pytest.raises(Unsupported):
        sink.name("", Descriptor.of(OTHER, types.ACI))
    with pytest.raises(Unsupported):
        sink.attach(Attachment(subject=ROOT.digest, descriptor=Descriptor.of(b"", types.DIR_SIGNATURE)))


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Invalid), sink_at("aci", tmp_path / "app.aci"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["", "no/such/app.aci"])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, path: str) -> None:
    with pytest.raises((Invalid, NotFound)), sink_at("aci", tmp_path / path):
        pass


PIPED = """
import sys
from pathlib import Path
from tests.stores.copying import sink_at, source_at
transport, way = sys.argv[1:]
path = Path("-")
if way == "out":
    from tests.builders.memory import MemoryStore
    from tests.stores.kinds import ON_DISK
    from tests.stores.copying import copy
    kind = next(kind for kind in ON_DISK if kind.name == transport)
    store = MemoryStore()
    copy(store, kind.add(store, 0), sink_at(transport, path))
else:
    with source_at(transport, path) as source:
        print(source.names(), source.fetch(source.resolve("")).read()[:8])
"""


def python(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run([sys.executable, "-c", PIPED, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("transport", ["aci", "oci-archive", "docker-archive"])
def test_standard_streams_are_files_too(transport: str, tmp_path: Path) -> None:
    written = python(transport, "out")
    kind = next(kind for kind in ON_DISK if kind.name == transport)
    write_kind(kind, tmp_path / "target", name="")
    assert files(tmp_path / "target") == {"": written}
    piped = python(transport, "in", stdin=written)
    with (tmp_path / "target").open("rb") as file:
        redirected = subprocess.run(
            [sys.executable, "-c", PIPED, transport, "in"], stdin=file, capture_output=True, check=True
        )
    assert piped == redirected.stdout
    assert piped.startswith(b"('@0',)")


def test_standard_output_has_room_for_one(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(Unsupported, match="1 dependencies"):
        write(Path("-"), dependencies=(OTHER,))
    write(Path("-"), signed=(SIGNATURE,))
    assert capfdbinary.readouterr().out == IMAGE


def test_a_device_is_written_to_and_stays_one() -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


def test_a_symlink_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.aci").write_bytes(b"somebody else's")
    (tmp_path / "app.aci").symlink_to("real.aci")
    write(tmp_path / "app.aci")
    assert not (tmp_path / "app.aci").is_symlink()
    assert (tmp_path / "app.aci").read_bytes() == IMAGE
    assert (tmp_path / "real.aci").read_bytes() == b"somebody else's"


def test_options_are_not_needed(tmp_path: Path) -> None:
    assert open_sink(Location.parse(f"aci:{tmp_path}/app.aci")).accepts == {types.ACI, types.PGP_SIGNATURE}
