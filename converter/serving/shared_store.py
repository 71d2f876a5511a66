"""An image store that is shared through a registry: what one server makes, the others find there.

Each repository that is served is one below ``docker://HOST/REPO``. An image is an artifact in it, tagged with the
image's key: its configuration is the image's record, its layers are all blobs, so that no garbage collection takes
them. The folder keeps what is in use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from converter.errors import ConverterError, NotFound, Usage
from converter.events import Report, Warned
from converter.model import media_types as types
from converter.model.content import Known, known_bytes
from converter.model.descriptor import Descriptor
from converter.model.document import load_object, required_member
from converter.model.reference import ImageName, Location
from converter.serving.image_store import ImageStore, ServedImage
from converter.stores import StoreOptions, open_sink, open_source
from converter.streams.blocks import RereadableBlocks

RECORD = "application/vnd.transship.served.v1+json"
"""The media type of an image's record."""

BYTES = "application/octet-stream"
"""The media type of a blob in the artifact: a document is stored like any other."""

T = TypeVar("T")


class SharedStore(ImageStore):
    """A folder whose images are also in a registry. If that fails, they are served from the folder, with a warning."""

    def __init__(
        self,
        folder: Path,
        most: int,
        policies: frozenset[str],
        *,
        place: Location,
        options: StoreOptions,
        report: Report,
    ) -> None:
        """``place`` is ``docker://HOST/REPO``. Raises Usage for anything else."""
        if place.kind.access != "registry" or place.is_registry or not _is_repository(place.path):
            raise Usage(f"invalid store {place}: expected a folder, or docker://HOST/REPO")
        self._place, self._options, self._report = place, replace(options, hints=False), report
        super().__init__(folder, most, policies)

    def refresh(self, name: str = "") -> None:
        """Bring the images that other servers have made of a repository."""
        if name:
            keys: tuple[str, ...] = self._tried(lambda: self._keys(name), ())
            for key in keys:
                if key not in self._images:
                    self.bring(key, name)

    def bring(self, key: str, name: str) -> ServedImage | None:
        return self._tried(lambda: self._fetched(key, name), None)

    def add(self, image: ServedImage, name: str, tag: str) -> ServedImage:
        """Keep an image here and there; other servers find it once this returns."""
        added = super().add(image, name, tag)
        self._tried(lambda: self._pushed(added, name), None)
        return added

    def _keys(self, name: str) -> tuple[str, ...]:
        with open_source(self._at(name), self._options) as source:
            return source.names()

    def _fetched(self, key: str, name: str) -> ServedImage:
        place = self._at(name, key)
        with open_source(place, self._options) as source, self.filling():
            manifest = load_object(source.fetch(source.resolve("")).read())
            record = source.fetch(Descriptor.from_json(required_member(manifest, "config", dict))).read()
            image = ServedImage.from_json(load_object(record))
            if image.key != key:
                raise NotFound(f"{place} is the record of another image")
            for blob in image.blobs:
                if not self.has(blob):
                    self.take(source.fetch(blob.retyped(BYTES)).blocks(), blob)
        return super().add(image, name, image.names.get(name, key))

    def _pushed(self, image: ServedImage, name: str) -> None:
        record = known_bytes(json.dumps(image.to_json()).encode(), RECORD)
        layers = {blob.digest: blob.retyped(BYTES) for blob in image.blobs}
        document = {
            "schemaVersion": 2,
            "mediaType": types.OCI_MANIFEST,
            "artifactType": RECORD,
            "config": record.descriptor.to_json(),
            "layers": [layer.to_json() for layer in layers.values()],
        }
        manifest = known_bytes(json.dumps(document).encode(), types.OCI_MANIFEST)
        with open_sink(self._at(name, image.key), self._options) as sink:
            for layer in layers.values():
                if not sink.has(layer):
                    sink.put(RereadableBlocks(Known(layer, partial(self.blocks, layer.digest)).blocks), BYTES, layer)
            for made in (record, manifest):
                sink.put(made.blocks(), made.descriptor.media_type, made.descriptor)
            sink.name("", manifest.descriptor)

    def _at(self, name: str, key: str = "") -> Location:
        return replace(self._place, path=f"{self._place.path}/{name}{':' if key else ''}{key}")

    def _tried(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except NotFound:
            return otherwise
        except ConverterError as error:
            self._report(Warned(f"the shared store does not answer: {error}"))
            return otherwise


def _is_repository(path: str) -> bool:
    try:
        name = ImageName.parse(path)
    except ConverterError:
        return False
    return not (name.tag or name.digest)
