"""A CSV or TSV file of any length, block by block: the same checks and the same text as whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from biomarker.errors import CohortError
from pipelines.readers import (
    MAX_GZIP_RATIO,
    RATIO_CHECKED_FROM,
    check_block,
    check_bytes,
    file_fault,
    header_of,
    kind_of,
    parse_block,
)

__all__ = ["header", "text_blocks"]

_BLOCK = 8 * 2**20
_LONGEST = 256 * 2**20  # of a record


def header(path: Path) -> list[str]:
    """Column names, from the first line.

    A compressed file is unfolded as far as shows a bomb, before anything else is loaded for it.
    """
    data, end, given = b"", -1, 0
    seen = 0 if path.suffix.lower() != ".gz" else RATIO_CHECKED_FROM
    for piece in _pieces(path):
        given += len(piece)
        if end < 0:
            data += piece
            end = data.find(b"\n")
            while end >= 0 and data.count(b'"', 0, end) % 2:
                end = data.find(b"\n", end + 1)
        if (end >= 0 or len(data) > _LONGEST) and given > seen:
            break
    if not data:
        raise file_fault(
            path.name, None, "empty", "no bytes", "a header line and one line a patient"
        )
    # Names are only read from bytes that are text; whole lines, so that no character is cut.
    check_bytes(path.name, data[: data.rfind(b"\n") + 1] or data)
    return header_of(path.name, data, delimiter_of(path))


def delimiter_of(path: Path) -> str:
    """A tab for .tsv, else a comma."""
    return "\t" if kind_of(path.name)[0] == ".tsv" else ","


def text_blocks(path: Path, wanted: Sequence[int]) -> Iterator[pa.Table]:
    """Data rows of some columns as text, a few megabytes at a time.

    Parameters
    ----------
    path : path
        .csv or .tsv, also .gz.
    wanted : sequence of int
        Positions of the columns.

    Raises
    ------
    CohortError
        As :func:`pipelines.readers.read_table`, when a damaged block is reached.
    """
    name, delimiter, names = path.name, delimiter_of(path), None
    for data, first, plain in _records(path):
        begins = names is None
        if names is None:
            names = header_of(name, data, delimiter)
        # One pass has found nothing odd: only what it was not sure of is looked at again.
        lines = None if plain else check_block(name, data, delimiter, first)
        table = parse_block(name, data, delimiter, lines, names, first, wanted)
        yield table.slice(1) if begins else table


def _records(path: Path) -> Iterator[tuple[bytes, int, bool]]:
    """Whole records, the file line the first of them stands on, and whether all is plain."""
    from pipelines.text_scan_kernel import scan

    rest, first = bytearray(), 1
    delimiter = np.uint8(ord(delimiter_of(path)))
    for piece in _pieces(path):
        rest += piece
        end, odd, line_ends, folded = scan(np.frombuffer(rest, np.uint8), delimiter)
        if end == 0 and len(rest) > _LONGEST:
            raise file_fault(
                path.name, first, "stray quote", "a quote left open for 256 MB",
                "quotes around whole fields",
            )  # fmt: skip
        if end:
            yield bytes(memoryview(rest)[:end]), first, odd >= end and not folded
            first += line_ends
            del rest[:end]
    if rest or first == 1:
        yield bytes(rest), first, False


def _pieces(path: Path) -> Iterator[bytes]:
    """Bytes of the file, expanded where it is compressed."""
    try:
        with path.open("rb") as handle:
            if path.suffix.lower() != ".gz":
                while piece := handle.read(_BLOCK):
                    yield piece
                return
            yield from _expanded(path.name, iter(lambda: handle.read(2**15), b""))
    except OSError as error:
        raise CohortError(
            f"The input '{path.name}' could not be read: {error.strerror or 'input error'}."
        ) from None


def _expanded(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes of a gzip stream, stopping early where the ratio is that of a bomb."""
    broken = file_fault(
        name, None, "damaged file", "a gzip stream that breaks off", "a whole gzip file"
    )
    stream, taken, given, held = zlib.decompressobj(31), 0, 0, b""
    try:
        for piece in pieces:
            taken += len(piece)
            while piece:
                out = stream.decompress(piece, _BLOCK // 8)
                given += len(out)
                if given > RATIO_CHECKED_FROM and given > MAX_GZIP_RATIO * taken:
                    raise file_fault(
                        name, None, "suspicious compression",
                        f"more than {MAX_GZIP_RATIO} bytes from each compressed one",
                        "an ordinary compressed table",
                    )  # fmt: skip
                held += out
                if len(held) >= _BLOCK:
                    yield held
                    held = b""
                piece = stream.unconsumed_tail
                if stream.eof:
                    # Another member may follow; zero bytes after the last one are padding.
                    piece = stream.unused_data.lstrip(b"\0")
                    if piece:
                        stream = zlib.decompressobj(31)
        if not stream.eof:
            raise broken
    except zlib.error:
        raise broken from None
    if held:
        yield held
