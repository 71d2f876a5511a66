"""Reads blobs, whatever their descriptors claim, and reports false claims (image-spec 1.1.1, descriptor.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from converter.errors import ConverterError
from converter.events import Finished, Moved, Planned, Report, Started, silent
from converter.model.content import Open
from converter.model.descriptor import HEX_LENGTHS, Descriptor, Digest, new_hasher
from converter.model.frozen import frozen
from converter.model.limits import MIB, current_limits
from converter.streams.blocks import Block, Blocks, Meter, closing, drain, metered, peek
from converter.streams.decompress import HEAD, decompress, detect_codec, start_of
from converter.streams.read_ahead import read_ahead
from converter.streams.tar.aci import ReportProblem
from converter.streams.tar.fields import Budget
from converter.validate.entries import LayerEntries, scan_tar
from converter.validate.findings import Findings, path_of_entry


class StreamFailed(Exception):
    """Wraps an error of a stream, so that readers do not take it for a fault in the content they parse."""

    def __init__(self, error: ConverterError) -> None:
        super().__init__(str(error))
        self.error = error


@frozen(kw_only=False)
class DescriptorClaim:
    """What a descriptor claims about a blob; ``path`` is that of the descriptor itself."""

    descriptor: Descriptor
    path: str

    def of(self, name: str) -> str:
        """The path of a member of the descriptor; just the descriptor's own path if it is not in a document."""
        return f"{self.path}/{name}" if "#" in self.path else self.path


@frozen
class SeenLayer:
    """A layer that was read. ``diff_id`` is None if it could not be decompressed, ``codec`` if it is not an archive.

    ``complete`` says whether every entry was visited.
    """

    codec: str | None = None
    diff_id: Digest | None = None
    entries: LayerEntries
    complete: bool = False


SURPLUS = 64 * MIB
"""The most bytes read of a blob beyond its descriptor's size, to find its true size; a sparse file may have
terabytes."""

TAIL = 10
"""Bytes kept of a blob's end. A gzip stream never ends with as many zeros: one of nothing ends with nine, after a 3."""


class Passing:
    """The bytes of a blob, counted and hashed as they pass. Readers cannot close it, as the rest must still be read."""

    def __init__(self, blocks: Iterator[Block], moved: Callable[[int], None], algorithm: str, most: int | None) -> None:
        """Without ``algorithm``, nothing is hashed. No block is read once more than ``most`` bytes have passed."""
        self._blocks = blocks
        self._moved = moved
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm) if algorithm else None
        self._most = most
        self.size = 0
        self.tail = b""
        self.failed = False

    @property
    def cut(self) -> bool:
        """Whether there were more than ``most`` bytes."""
        return self._most is not None and self.size > self._most

    @property
    def digest(self) -> Digest | None:
        """The digest of the bytes so far; None without an algorithm."""
        return None if self._hasher is None else Digest(self._algorithm, self._hasher.hexdigest())

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        if self.cut:
            raise StopIteration
        try:
            block = next(self._blocks)
        except ConverterError as error:
            raise StreamFailed(error) from error
        self.size += len(block)
        self.tail = (self.tail + bytes(block[-TAIL:]))[-TAIL:]
        if self._hasher is not None:
            self._hasher.update(block)
        self._moved(len(block))
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
        kept: list[Block] = []
        with self.reading(raw, claim.path, claim, most=current_limits().document) as passing:
            kept.extend(passing)
        if passing.failed:
            return None
        if passing.size > current_limits().document:
            fact = f"more than {current_limits().document} bytes in a document (limit: document)"
            self.findings.add("image/limit", claim.path, fact)
            return None
        return b"".join(kept)

    def opaque(self, raw: Open, place: str, claim: DescriptorClaim) -> None:
        """Read a blob whose content is not checked."""
        with self.reading(raw, place, claim):
            pass

    def layer(self, raw: Open, place: str, claim: DescriptorClaim | None, algorithm: str = "sha256") -> SeenLayer:
        """Read a layer and everything in it; ``algorithm`` is that of its diff_id."""
        tell = finding_reporter(self.findings, place)
        order = self.findings.applies("tar/whiteout-order")
        layer = SeenLayer(entries=LayerEntries(tell, order, self._waiting))
        with self.reading(raw, place, claim) as passing:
            layer = self._unpacked(passing, place, layer.entries, algorithm)
        if layer.codec == "none" and passing.digest is not None and passing.digest.algorithm == algorithm:
            # It is uncompressed, and was already hashed as a blob.
            return replace(layer, diff_id=None if passing.failed or passing.cut else passing.digest)
        return layer

    def _unpacked(self, passing: Passing, place: str, entries: LayerEntries, algorithm: str) -> SeenLayer:
        head, whole = peek(passing, HEAD)
        codec = detect_codec(head) if head else "none"
        if codec is None or codec == "openpgp":
            fact = f"data that starts with {start_of(head)} is not a tar, nor a compressed one"
            self.findings.add("image/layer-format", place, fact)
            return SeenLayer(entries=entries)
        hashed_already = codec == "none" and passing.digest is not None and passing.digest.algorithm == algorithm
        meter = None if hashed_already else Meter(algorithm)
        plain = wrap_stream_errors(decompress(whole, codec))
        if codec != "none":
            plain = read_ahead(plain)
        if meter is not None:
            plain = metered(plain, meter)
        try:
            with closing(plain) as blocks:
                complete = scan_tar(blocks, finding_reporter(self.findings, place), entries.visit, self._tree)
                drain(blocks)
            complete = complete and entries.finish()
        except StreamFailed as failed:
            self.findings.report(failed.error, place, "image/layer-format")
            return SeenLayer(codec=codec, entries=entries)
        finally:
            entries.forget()
        if codec == "gzip" and not any(passing.tail):
            fact = "zeros after the gzip stream: readers written in Go refuse them"
            self.findings.add("image/layer-format", place, fact)
        diff_id = None if meter is None else meter.digest()
        return SeenLayer(codec=codec, diff_id=diff_id, entries=entries, complete=complete)

    @contextmanager
    def reading(
        self, raw: Open, place: str, claim: DescriptorClaim | None = None, most: int | None = None
    ) -> Iterator[Passing]:
        """Yield the bytes of a blob, then read the rest, and compare them with what is claimed.

        Errors of reading become findings; those that say nothing about the image are raised.
        """
        size = -1 if claim is None else claim.descriptor.size
        if size >= 0:
            bound = size + SURPLUS if self._local else size
            most = bound if most is None else min(bound, most)
        if claim is None or claim.descriptor.digest not in self._planned:
            self._report(Planned(max(0, size), 1))
        self._report(Started(place, size))
        with closing(_reopened(raw)) as blocks:
            passing = Passing(blocks, lambda count: self._report(Moved(place, count)), self._algorithm(claim), most)
            try:
                yield passing
                drain(passing)
            except StreamFailed as failed:
                passing.failed = True
                self.findings.report(failed.error, place if claim is None else claim.path)
            finally:
                self._report(Finished(place, passing.size))
        if claim is not None and not passing.failed:
            self._compare(passing, claim)

    def _algorithm(self, claim: DescriptorClaim | None) -> str:
        if claim is None:
            return ""
        algorithm = claim.descriptor.digest.algorithm
        if algorithm in HEX_LENGTHS:
            return algorithm
        fact = f'unsupported digest algorithm "{algorithm}" (one of: {", ".join(HEX_LENGTHS)})'
        self.findings.add("image/descriptor", claim.of("digest"), fact)
        return ""

    def _compare(self, passing: Passing, claim: DescriptorClaim) -> None:
        size, digest = claim.descriptor.size, claim.descriptor.digest
        if size not in (-1, passing.size):
            read = "more" if passing.cut else passing.size
            fact = f"size mismatch: expected {size} bytes, read {read}"
            self.findings.add("image/blob-size", claim.of("size"), fact)
        found = passing.digest
        if found is not None and found != digest and not passing.cut:
            fact = f"digest mismatch: expected {digest}, computed {found}"
            self.findings.add("image/blob-digest", claim.of("digest"), fact)


def wrap_stream_errors(blocks: Blocks) -> Iterator[Block]:
    """Uncompressed blocks whose errors are raised as StreamFailed: a fault of the compression is not one of the
    content.
    """
    try:
        yield from blocks
    except ConverterError as error:
        raise StreamFailed(error) from error


def finding_reporter(findings: Findings, place: str) -> ReportProblem:
    """Returns a function that adds findings about the tar at a place."""

    def tell(rule: str, name: bytes | None, fact: str) -> None:
        findings.add(rule, place if name is None else path_of_entry(place, name), fact)

    return tell


def _reopened(raw: Open) -> Iterator[Block]:
    with closing(raw()) as source:
        yield from source
