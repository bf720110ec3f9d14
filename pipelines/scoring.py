"""Score a cohort file: one output row per input row, refusing rather than guessing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from biomarker.errors import UsageError
from biomarker.parsing import id_array, to_arrow
from pipelines.bundle import Bundle, load_bundle
from pipelines.row_scores import OUTPUT_NAMES, FileMarks, RowScorer, repeated_in
from pipelines.score_parts import plain_text, write_table
from pipelines.storage import atomic_file, same_file

__all__ = ["OUTPUT_NAMES", "Scored", "score", "score_table", "table_from_frame", "write_scores"]


@dataclass(frozen=True)
class Scored:
    """Scores and how they came about.

    Attributes
    ----------
    table : pyarrow Table
        The id column first, then the numbers, then ``status`` and ``reason``.
    counts : dict
        Rows by status.
    reasons : dict
        ``code:column`` to the number of rows it stands on.
    ignored : tuple of str
        Columns of the file that neither the model nor its study knows.
    support : dict
        As :attr:`ScoredRows.support`.
    """

    table: pa.Table
    counts: dict[str, int]
    reasons: dict[str, int]
    ignored: tuple[str, ...] = ()
    support: dict[str, Any] = field(default_factory=dict)


def score(
    source: str | Path | Any,
    model: str | Path | Bundle,
    *,
    out: str | Path | None = None,
    drivers: int = 0,
    allow_undeclared: bool = False,
    store: str | Path | None = None,
) -> Scored:
    """Score a file or a frame.

    Parameters
    ----------
    source : path, pandas DataFrame or pyarrow Table
    model : Bundle, bundle folder, or ``models:/NAME@ALIAS`` in the tracking store
    out : path, optional
        .parquet or .csv file to write, whole or not at all.
    drivers : int
        How many of each row's largest contributions to add, with sign, on the model's margin.
    allow_undeclared : bool
        Leave aside columns that the study does not name instead of refusing the file.

    Raises
    ------
    SchemaError
        If the file lacks a column the model needs; nothing is written.
    CohortError
        If the file itself is damaged, or its ids are neither text nor whole numbers.
    """
    if out is not None and isinstance(source, (str, Path)) and same_file(source, out):
        raise UsageError(
            f"out must not be the file that is scored; got '{Path(out).name}' for both. "
            "Name another file: the patients' data would be replaced."
        )
    bundle = model if isinstance(model, Bundle) else resolve_bundle(model, store)
    if isinstance(source, (str, Path)):
        from pipelines.readers import read_table

        table = read_table(source).table
    elif isinstance(source, pa.Table):
        table = source
    else:
        table = table_from_frame(source)
    scored = score_table(bundle, table, drivers=drivers, allow_undeclared=allow_undeclared)
    if out is not None:
        write_scores(scored.table, out)
    return scored


def table_from_frame(frame: Any) -> pa.Table:
    """A pandas frame as an Arrow table; text stays text, NaN in typed data is missing."""
    if not (hasattr(frame, "iloc") and getattr(frame, "ndim", 0) == 2):
        raise UsageError(
            "The rows to score must be a file, a pandas DataFrame or a pyarrow Table; got "
            f"{type(frame).__name__}."
        )
    return pa.Table.from_arrays(
        [to_arrow(frame.iloc[:, i]) for i in range(frame.shape[1])],
        names=[str(name) for name in frame.columns],
    )


def resolve_bundle(model: str | Path, store: str | Path | None = None) -> Bundle:
    """A bundle from its folder, or from the registry where the name starts with ``models:/``."""
    if str(model).startswith("models:/"):
        from pipelines.tracking import registered_bundle

        return load_bundle(registered_bundle(str(model), store))
    return load_bundle(model)


def score_table(
    bundle: Bundle, table: pa.Table, *, drivers: int = 0, allow_undeclared: bool = False
) -> Scored:
    """Score an Arrow table in memory; as :func:`score`."""
    scorer = RowScorer(bundle, drivers)
    ignored = scorer.check(list(table.column_names), allow_undeclared)
    marks = FileMarks(_repeated_ids(scorer, table))
    found = scorer.score(table, marks)
    encoder = bundle.encoder
    other = frozenset(c.name for c in encoder.columns if c.other_unit(found.units[c.name]))
    if other:
        # Rare, and known only once every value has been read: read them again as what they are.
        found = scorer.score(table, FileMarks(marks.repeated, other))
    reasons = dict(Counter(found.reasons).most_common())
    return Scored(plain_text(found.table), found.counts, reasons, ignored, found.support)


def _repeated_ids(scorer: RowScorer, table: pa.Table) -> Any:
    name = scorer.bundle.id_column
    if not scorer.unique_ids or name is None or name not in table.column_names:
        return None
    return repeated_in(id_array(table[name]))


def write_scores(table: pa.Table, out: str | Path, spreadsheet: bool = False) -> None:
    """Write scores as Parquet or CSV by the file's ending, whole or not at all.

    Raises
    ------
    StorageError
        If the target cannot be written.
    """
    path = Path(out)
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"The output must end in .parquet or .csv; got '{path.name}'. Rename it.")
    with atomic_file(path) as temporary:
        write_table(table, temporary, path.suffix, spreadsheet)
