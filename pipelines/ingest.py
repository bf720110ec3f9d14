"""A file and a study become a cohort; faults become file lines a person can go to."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from biomarker.cohort import Cohort
from biomarker.errors import CohortError, Fault, StudyError
from biomarker.study import Study
from pipelines.readers import FileTable, read_table

__all__ = ["BUILT_IN", "fault_rows", "load_cohort", "study"]

BUILT_IN = ("il2", "actg175", "gbsg2")


def study(name: str | Path) -> Study:
    """A built-in study by name, or a study from a TOML file.

    Raises
    ------
    StudyError
        If there is neither, or the file is no valid study.

    Examples
    --------
    >>> study("gbsg2").arm_column
    'horTh'
    """
    if str(name) in BUILT_IN:
        text = resources.files("pipelines").joinpath("studies", f"{name}.toml").read_text("utf-8")
        return Study.from_toml(text)
    path = Path(name)
    if not path.is_file():
        raise StudyError(
            f"The study must be {', '.join(BUILT_IN)} or a TOML file; got '{path.name}'. "
            "Draft one with: biomarker study --from FILE.csv"
        )
    try:
        return Study.from_toml(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise StudyError(f"The study file '{path.name}' must be UTF-8 text.") from None
    except OSError as error:
        raise StudyError(
            f"The study file '{path.name}' could not be read: {error.strerror}."
        ) from None


def load_cohort(
    source: str | Path | Any, study: Study | str | Path, *, allow_undeclared: bool = False
) -> Cohort:
    """Read a cohort from a file or a frame and hold it against its study.

    Parameters
    ----------
    source : path, pandas DataFrame or pyarrow Table
    study : Study, or what :func:`study` takes
    allow_undeclared : bool
        Leave out columns the study does not name instead of refusing the table.

    Raises
    ------
    CohortError
        With every fault in ``.faults``; its ``.file`` is set where the source was a file.
    """
    spec = study if isinstance(study, Study) else globals()["study"](study)
    if allow_undeclared:
        spec = spec.model_copy(update={"undeclared_columns": "ignore"})
    if not isinstance(source, (str, Path)):
        return Cohort.from_frame(source, spec)
    file = read_table(source)
    try:
        return Cohort.from_frame(file.table, spec)
    except CohortError as error:
        error.file = file  # type: ignore[attr-defined]  # lets the caller name file lines
        raise


def fault_rows(
    faults: Sequence[Fault], file: FileTable | None, values: bool = False
) -> list[dict[str, str]]:
    """Faults as table rows: file line (row of a Parquet file), column, found, allowed, what to do.

    ``values=True`` shows the values themselves, for a person at their own terminal only.
    """
    rows = []
    place = file.place if file is not None else "line"
    for fault in faults:
        where, found = "", fault.found
        if fault.row is not None:
            where = str(file.line(fault.row)) if file and fault.row >= 0 else str(fault.row + 2)
        if values and file is not None and fault.row is not None and fault.row >= 0:
            column = fault.column
            if column in file.table.column_names:
                found = f"{found} = {file.table[column][fault.row].as_py()!r}"
        rows.append(
            {
                place: where,
                "column": fault.column,
                "fault": fault.kind,
                "found": found,
                "allowed": fault.allowed,
                "what to do": fault.advice,
            }
        )
    return rows
