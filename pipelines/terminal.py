"""How results and progress look on a terminal: aligned tables on stdout, progress on stderr."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

__all__ = ["Progress", "table"]

_WIDEST = 44


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as an aligned table; long cells wrap, numbers stand to the right.

    Examples
    --------
    >>> print(table([{"arm": "control", "events": 12}, {"arm": "treated", "events": 7}]))
    arm      events
    -------  ------
    control      12
    treated       7
    """
    if not rows:
        return "(none)"
    columns = list(rows[0]) if columns is None else list(columns)
    cells = [[textwrap.wrap(str(row.get(c, "")), _WIDEST) or [""] for c in columns] for row in rows]
    widths = [
        max(len(name), *(len(line) for row in cells for line in row[i]))
        for i, name in enumerate(columns)
    ]
    right = [all(isinstance(row.get(c), (int, float)) for row in rows) for c in columns]

    def line(parts: Sequence[str]) -> str:
        out = [
            part.rjust(width) if to_right else part.ljust(width)
            for part, width, to_right in zip(parts, widths, right, strict=True)
        ]
        return "  ".join(out).rstrip()

    lines = [line(columns), "  ".join("-" * width for width in widths)]
    for row in cells:
        for depth in range(max(len(cell) for cell in row)):
            lines.append(line([cell[depth] if depth < len(cell) else "" for cell in row]))
    return "\n".join(lines)


class Progress:
    """One line a stage on stderr: what, how far, how long; rewritten in place on a terminal.

    Parameters
    ----------
    stream : text stream, optional
        Default stderr; None of its output is ever a result.
    quiet : bool
        Say nothing.
    """

    def __init__(self, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.quiet = quiet
        self.live = self.stream.isatty()
        self._stage = ""
        self._since = time.monotonic()
        self._shown = 0.0

    def stage(self, text: str) -> None:
        """Begin a stage; the one before is closed with its time."""
        self.done()
        self._stage, self._since = text, time.monotonic()
        if self.live:
            self._write(f"  {text} ...")

    def step(self, done: int, total: int) -> None:
        """Say how far the stage is; at most ten times a second, and only on a terminal."""
        now = time.monotonic()
        if self.live and (now - self._shown > 0.1 or done == total):
            self._shown = now
            filled = int(20 * done / max(total, 1))
            self._write(f"  {self._stage}  [{'#' * filled}{'.' * (20 - filled)}] {done}/{total}")

    def done(self) -> None:
        """Close the stage with its time."""
        if self._stage:
            seconds = time.monotonic() - self._since
            self._write(f"  {self._stage}  {seconds:.1f} s", end="\n")
        self._stage = ""

    def _write(self, text: str, end: str = "") -> None:
        if not self.quiet:
            self.stream.write(f"\r\x1b[K{text}{end}" if self.live else f"{text}{end}")
            self.stream.flush()
