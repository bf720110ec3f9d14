"""What a report page is made of: figures with their words, and tables."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure", "Table"]


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of every row is the row's header.

    Attributes
    ----------
    numeric : bool
        Whether every column after the first is set flush right.
    note : str
        Printed under the table.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: bool = True
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with what a reader who cannot see it needs, and its numbers one click away."""

    key: str
    title: str
    svg: str
    alt: str
    caption: str = ""
    numbers: Table | None = None
