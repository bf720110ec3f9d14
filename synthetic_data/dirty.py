"""Faults as real files have them, planted on request, with a list of what was planted where."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from biomarker.errors import StudyError

__all__ = ["FAULTS", "make_dirty"]

Rows = npt.NDArray[np.int64]
_CCR5 = {
    "WT/WT": ("+/+", "II", "0", "wt/wt"),
    "WT/d32": ("+/D32", "DI", "1", "d32/WT", "WT/\N{GREEK CAPITAL LETTER DELTA}32"),
    "d32/d32": ("D32/D32", "DD", "2"),
}
_HISTOLOGY = {
    "clear_cell": ("ccRCC", "conventional", "clear", "Clear Cell"),
    "papillary": ("Papillary ", "pRCC"),
    "chromophobe": ("Chromophobe",),
    "unclassified": ("NOS",),
}


def _numbers(frame: pd.DataFrame, column: str, rows: Rows, factor: float) -> list[object]:
    """Values of some rows times a factor, as numbers; missing stays missing."""
    values = pd.to_numeric(frame[column].iloc[rows], errors="coerce")
    return [None if pd.isna(v) else float(v) * factor for v in values]


def _recode(
    frame: pd.DataFrame, column: str, rows: Rows, variants: dict[str, tuple[str, ...]]
) -> list[object]:
    """Another spelling of each level, chosen by position so that all occur."""
    values = frame[column].iloc[rows].tolist()
    return [variants[v][i % len(variants[v])] if v in variants else v for i, v in enumerate(values)]


def _text(
    frame: pd.DataFrame, column: str, rows: Rows, form: Callable[[float], str]
) -> list[object]:
    """Numbers of some rows written another way."""
    values = pd.to_numeric(frame[column].iloc[rows], errors="coerce")
    return [None if pd.isna(v) else form(float(v)) for v in values]


Planter = Callable[[pd.DataFrame, str, Rows], list[object]]

# name: (column, what it is in words, how)
FAULTS: dict[str, tuple[str, str, Planter]] = {
    "vegf_ng_per_ml": (
        "vegf",
        "ng/mL written in a pg/mL column",
        lambda f, c, r: _numbers(f, c, r, 1e-3),
    ),
    "vegf_plasma": (
        "vegf",
        "plasma instead of serum (about a third)",
        lambda f, c, r: _numbers(f, c, r, 1 / 3.3),
    ),
    "vegf_not_detected": (
        "vegf",
        "a below-limit code that names no limit",
        lambda f, c, r: ["ND" if i % 2 else "BDL" for i in range(len(r))],
    ),
    "vegf_comma": (
        "vegf",
        "a decimal comma",
        lambda f, c, r: _text(f, c, r, lambda v: f"{v:.1f}".replace(".", ",")),
    ),
    "fibronectin_g_per_l": (
        "fibronectin",
        "g/L written in a mg/L column",
        lambda f, c, r: _numbers(f, c, r, 1e-3),
    ),
    "fibronectin_mg_per_dl": (
        "fibronectin",
        "mg/dL written in a mg/L column",
        lambda f, c, r: _numbers(f, c, r, 0.1),
    ),
    "caix_fraction": (
        "caix",
        "a fraction instead of a percentage",
        lambda f, c, r: _numbers(f, c, r, 0.01),
    ),
    "caix_range": (
        "caix",
        "a range or a bound instead of a number",
        lambda f, c, r: _text(f, c, r, lambda v: ">85" if v > 85 else f"{v:g}-{v + 5:g}"),
    ),
    "ccr5_coding": (
        "ccr5",
        "another coding of the genotype",
        lambda f, c, r: _recode(f, c, r, _CCR5),
    ),
    "histology_coding": (
        "histology",
        "another word for the type",
        lambda f, c, r: _recode(f, c, r, _HISTOLOGY),
    ),
    "sex_coding": (
        "sex",
        "initials",
        lambda f, c, r: _recode(f, c, r, {"male": ("M", "m"), "female": ("F", "f")}),
    ),
    "grade_roman": (
        "grade",
        "roman numerals or GX",
        lambda f, c, r: _recode(
            f, c, r, {"1": ("I",), "2": ("II", "G2"), "3": ("III", "2-3"), "4": ("IV", "GX")}
        ),
    ),
    "os_days": (
        "os_months",
        "days in a column of months",
        lambda f, c, r: _numbers(f, c, r, 30.4375),
    ),
    "os_zero": ("os_months", "a duration of zero", lambda f, c, r: [0.0] * len(r)),
    "os_censored_text": (
        "os_months",
        "a bound instead of a time",
        lambda f, c, r: _text(f, c, r, lambda v: f">{v:.0f}"),
    ),
    "event_words": (
        "os_event",
        "words instead of 0 and 1",
        lambda f, c, r: _recode(
            f.assign(**{c: f[c].astype(str)}), c, r, {"1": ("dead", "yes"), "0": ("alive", "no")}
        ),
    ),
    "duplicate_id": (
        "patient_id",
        "the identifier of another patient",
        lambda f, c, r: f[c].iloc[(r + 1) % len(f)].tolist(),
    ),
    "id_spaces": (
        "patient_id",
        "an identifier with a space around it",
        lambda f, c, r: [f" {v}" if i % 2 else f"{v} " for i, v in enumerate(f[c].iloc[r])],
    ),
}


def make_dirty(
    frame: pd.DataFrame,
    seed: int,
    rate: float = 0.02,
    faults: Iterable[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Plant faults in a copy of a cohort and list them.

    Parameters
    ----------
    frame : DataFrame, shape (n_patients, n_columns)
        A clean cohort.
    seed : int
        Same seed, same faults.
    rate : float, default 0.02
        Share of rows each fault is planted in, at least one row; a cell takes one fault at most.
    faults : iterable of str, optional
        Names from :data:`FAULTS`; by default every fault whose column the frame has.

    Returns
    -------
    dirty : DataFrame
        Same shape; touched columns hold mixed objects, as a spreadsheet would.
    planted : DataFrame, shape (n_planted, 6)
        Columns row (from 0), column, fault, what, clean, dirty.

    Raises
    ------
    StudyError
        If a fault is unknown or its column absent, or the rate is not in (0, 0.5].

    Examples
    --------
    >>> clean = pd.DataFrame({"vegf": [400.0, 300.0, 250.0]})
    >>> dirty, planted = make_dirty(clean, seed=1, faults=["vegf_ng_per_ml"])
    >>> len(planted), planted["column"].iloc[0]
    (1, 'vegf')
    """
    if not 0.0 < rate <= 0.5:
        raise StudyError(f"rate must be above 0 and at most 0.5; got {rate!r}.")
    if faults is None:
        names = [name for name, (column, _, _) in FAULTS.items() if column in frame]
    else:
        names = list(faults)
    for name in names:
        if name not in FAULTS:
            raise StudyError(f"faults must be known; got {name!r}. Known: {', '.join(FAULTS)}.")
        if FAULTS[name][0] not in frame:
            raise StudyError(f"fault {name!r} needs the column {FAULTS[name][0]!r}: not there.")
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(0xD1277,)))
    dirty = frame.copy()
    taken: dict[str, set[int]] = {}
    planted = []
    for name in names:
        column, what, plant = FAULTS[name]
        used = taken.setdefault(column, set())
        present = np.flatnonzero(frame[column].notna().to_numpy())
        free = np.asarray([i for i in present if i not in used], dtype=np.int64)
        count = min(len(free), max(1, round(rate * len(frame))))
        rows = np.sort(rng.choice(free, count, replace=False))
        used.update(int(r) for r in rows)
        values = plant(frame, column, rows)
        cells, clean = dirty[column].tolist(), frame[column].tolist()
        for row, value in zip(rows.tolist(), values, strict=True):
            if value != clean[row]:
                cells[row] = value
                planted.append((row, column, name, what, clean[row], value))
        dirty[column] = pd.Series(cells, index=dirty.index, dtype=object)
    columns = ["row", "column", "fault", "what", "clean", "dirty"]
    return dirty, pd.DataFrame(planted, columns=columns)
