"""Reads blobs, whatever their descriptors claim, and reports false claims (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from converter.errors import ConverterError
from converter.events import Finished, Moved, Planned, Report, Started, silent
from converter.model.content import Open
from converter.model.descriptor import Descriptor, Digest
from converter.model.frozen import frozen
from converter.model.limits import MIB, current_limits
from converter.streams.blocks import Block, Meter, closing, drain, metered
from converter.streams.decompress import decompress_any
from converter.streams.read_ahead import read_ahead
from converter.streams.tar.fields import Budget
from converter.validate.entries import LayerEntries, PendingLinks, SeenLayer, scan_tar
from converter.validate.findings import Findings


@dataclass(eq=False)
class StreamFailed(Exception):
    """Wraps an error of a stream, such as a fault of its compression: it is none of the content that readers parse."""

    error: ConverterError


@frozen(kw_only=False)
class DescriptorClaim:
    """What a descriptor claims about a blob; ``path`` is that of the descriptor itself."""

    descriptor: Descriptor
    path: str

    def of(self, name: str) -> str:
        """The path of a member of the descriptor; just the descriptor's own path if it is not in a document."""
        return f"{self.path}/{name}" if "#" in self.path else self.path


SURPLUS = 64 * MIB
"""The most bytes read of a blob beyond its descriptor's size, to find its true size; a sparse file may have
terabytes."""

TAIL = 10
"""Bytes kept of a blob's end. A gzip stream never ends with as many zeros: one of nothing ends with nine, after a 3."""


@dataclass(slots=True)
class Passing:
    """The bytes of a blob, counted as they pass. Readers cannot close it, as the rest must still be read.

    ``meter`` hashes them; without one, nothing is hashed. No block is read once more than ``most`` bytes have passed.
    """

    blocks: Iterator[Block]
    moved: Callable[[int], None]
    meter: Meter | None
    most: int
    size: int = 0
    tail: bytes = b""

    @property
    def cut(self) -> bool:
        """Whether there were more than ``most`` bytes."""
        return self.size > self.most

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        if self.cut:
            raise StopIteration
        block = next(self.blocks)
        self.size += len(block)
        self.tail = (self.tail + bytes(block[-TAIL:]))[-TAIL:]
        if self.meter is not None:
            self.meter.update(block)
        self.moved(len(block))
        return block


class BlobReader:
    """Reads blobs for one validation. Every method reports what is wrong with the blob and with claims about it."""

    def __init__(self, findings: Findings, report: Report = silent, *, local: bool = True) -> None:
        """``local`` says that blobs are finite, whatever their descriptors claim."""
        self.findings = findings
        self._report = report
        self._local = local
        self._waiting = Budget()
        self._tree = Budget()
        self._planned: set[Digest] = set()

    def plan(self, blobs: Iterable[Descriptor]) -> None:
        """Report what will be read of an image before it begins, or the first blob would be all there is to do."""
        more = {one.digest: max(0, one.size) for one in blobs if one.digest not in self._planned}
        self._planned |= more.keys()
        self._report(Planned(sum(more.values()), len(more)))

    def image(self) -> None:
        """Start another image: the entries of its layers are counted anew."""
        self._tree = Budget()

    def document(self, raw: Open, claim: DescriptorClaim) -> bytes | None:
        """Read a small blob; None if it cannot be read."""
        most = current_limits().document
        with self.reading(raw, claim.path, claim, most) as passing:
            data = b"".join(passing)
            if passing.size <= most:
                return data
        if passing.size > most:
            self.findings.add("image/limit", claim.path, f"more than {most} bytes in a document (limit: document)")
        return None

    def opaque(self, raw: Open, place: str, claim: DescriptorClaim) -> None:
        """Read a blob whose content is not checked."""
        with self.reading(raw, place, claim):
            pass

    def layer(self, raw: Open, place: str, claim: DescriptorClaim | None, algorithm: str = "sha256") -> SeenLayer:
        """Read a layer and everything in it; ``algorithm`` is that of its diff_id."""
        layer = SeenLayer(self.findings, place, PendingLinks(self._waiting))
        with self.reading(raw, place, claim) as passing:
            self._unpack(layer, passing, algorithm)
        return layer

    def _unpack(self, layer: SeenLayer, passing: Passing, algorithm: str) -> None:
        with self.findings.at(layer.place, "image/layer-format"):
            layer.codec, unpacked = decompress_any(passing)
        if layer.codec is None:
            return
        plain = wrap_stream_errors(lambda: unpacked)
        if layer.codec != "none":
            plain = read_ahead(plain)
        # What is not compressed is hashed already, as a blob.
        meter = passing.meter if layer.codec == "none" else None
        if meter is None or meter.algorithm != algorithm:
            meter = Meter(algorithm)
            plain = metered(plain, meter)
        entries = LayerEntries(layer)
        try:
            with closing(plain) as blocks:
                complete = scan_tar(blocks, self.findings, layer.place, entries.visit, self._tree)
                drain(blocks)
            if complete:
                entries.finish()
        except StreamFailed as failed:
            self.findings.report(failed.error, layer.place, "image/layer-format")
            return
        if layer.codec == "gzip" and not any(passing.tail):
            fact = "zeros after the gzip stream: readers written in Go refuse them"
            self.findings.add("image/layer-format", layer.place, fact)
        if meter is not passing.meter or not passing.cut:  # no more is known of a blob that was cut
            layer.diff_id = meter.digest()

    @contextmanager
    def reading(
        self, raw: Open, place: str, claim: DescriptorClaim | None = None, most: int = sys.maxsize
    ) -> Iterator[Passing]:
        """Yield the bytes of a blob, then read the rest, and compare them with what is claimed.

        Errors of reading become findings; those that say nothing about the image are raised.
        """
        size = -1 if claim is None else claim.descriptor.size
        if size >= 0:
            most = min(most, size + SURPLUS if self._local else size)
        if claim is None or claim.descriptor.digest not in self._planned:
            self._report(Planned(max(0, size), 1))
        self._report(Started(place, size))
        with closing(wrap_stream_errors(raw)) as blocks:
            passing = Passing(blocks, lambda count: self._report(Moved(place, count)), self._meter(claim), most)
            try:
                yield passing
                drain(passing)
            except StreamFailed as failed:
                self.findings.report(failed.error, place if claim is None else claim.path)
                return
            finally:
                self._report(Finished(place, passing.size))
        if claim is not None:
            self._compare(passing, claim)

    def _meter(self, claim: DescriptorClaim | None) -> Meter | None:
        """What computes the digest that is claimed; None if there is none, or it cannot be computed."""
        if claim is not None:
            with self.findings.at(claim.of("digest"), "image/descriptor"):
                return Meter(claim.descriptor.digest.algorithm)
        return None

    def _compare(self, passing: Passing, claim: DescriptorClaim) -> None:
        size, digest = claim.descriptor.size, claim.descriptor.digest
        if size not in (-1, passing.size):
            read = "more" if passing.cut else passing.size
            fact = f"size mismatch: expected {size} bytes, read {read}"
            self.findings.add("image/blob-size", claim.of("size"), fact)
        if passing.meter is not None and passing.meter.digest() != digest and not passing.cut:
            fact = f"digest mismatch: expected {digest}, computed {passing.meter.digest()}"
            self.findings.add("image/blob-digest", claim.of("digest"), fact)


def wrap_stream_errors(opened: Open) -> Iterator[Block]:
    """The blocks of what is opened as they are asked for; its errors are raised as StreamFailed."""
    try:
        with closing(opened()) as blocks:
            yield from blocks
    except ConverterError as error:
        raise StreamFailed(error) from error
