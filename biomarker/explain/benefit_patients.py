"""The patients a benefit model is fitted to, and the columns it may give two parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set, independent_columns
from biomarker.evidence.benefit_models import BenefitData
from biomarker.explain.benefit_refits import BenefitDesign
from biomarker.explain.sources import level_names
from biomarker.features.encoding import fit_encoder, plan_columns

__all__ = ["benefit_design", "design_note", "source_columns"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_FEWEST = 5
STRATUM = "strata of the study"


def benefit_design(
    cohort: Cohort, endpoint: str, markers: tuple[str, ...], claimed: frozenset[str]
) -> tuple[BenefitDesign, Ints, int]:
    """Take the patients who have every marker, and the columns a model of benefit can carry.

    Parameters
    ----------
    cohort : Cohort
        One row a patient.
    endpoint : str
    markers : tuple of str
        Of two that say the same, the later one gives way.
    claimed : frozenset of str
        Keep their interaction even if some level has hardly an event.

    Returns
    -------
    design : BenefitDesign
    rows : ndarray of int, shape (n_patients,)
        Their rows in the cohort.
    n_missing : int
        Patients with the outcome known who lack some marker.

    Raises
    ------
    UsageError, NotEstimableError
        As for :func:`biomarker.evidence.analysis_set.analysis_set`.

    Notes
    -----
    Levels with fewer than five events in all are left out; those with fewer in some arm keep a
    prognostic part alone, as :func:`design_note` says.
    """
    sets = [analysis_set(cohort, marker, endpoint) for marker in dict.fromkeys(markers)]
    included = cohort.outcomes[endpoint].included
    known = included.copy()
    for one in sets:
        here = np.zeros(cohort.n_rows, dtype=np.bool_)
        here[one.rows] = True
        known &= here
    parts = [one.where(known[one.rows]) for one in sets]
    first = parts[0]
    assert first.arm is not None
    markers_found = np.column_stack([part.marker_columns for part in parts])
    sources = tuple(part.marker for part in parts for _ in range(part.df))
    covariates, covariate_sources = _covariates(cohort, first)
    strata = first.strata
    if first.kind == "response" and strata is not None:
        # An intercept a stratum is a column a stratum past the first: a share of the prediction.
        levels = (strata[:, None] == np.unique(strata)[None, 1:]).astype(np.float64)
        covariates = np.column_stack([covariates, levels])
        covariate_sources += (STRATUM,) * levels.shape[1]
        strata = None
    kept = _independent(np.column_stack([markers_found, covariates]))
    every = np.column_stack([markers_found, covariates])
    names = (*sources, *covariate_sources)
    treated, event = first.arm == 1.0, first.event
    # A level with hardly an event in some arm has no finite interaction in many refits.
    frequent = {j for j in kept if _events(every[:, j], event, treated, first.kind) >= _FEWEST}
    seen = {j for j in kept if _events(every[:, j], event, None, first.kind) >= _FEWEST}
    # A claimed marker is not left without any.
    spared = claimed - {names[j] for j in frequent}
    acting = [j for j in kept if j < len(sources) and (j in frequent or names[j] in spared)]
    others = [j for j in kept if j not in acting and j in seen]
    data = BenefitData(
        every[:, others],
        every[:, acting],
        treated,
        first.y,
        "restricted_mean",
        float("nan"),
        strata,
    )
    design = BenefitDesign(data, tuple(names[j] for j in others), tuple(names[j] for j in acting))
    return design, first.rows, int(included.sum() - known.sum())


def design_note(design: BenefitDesign, markers: list[str]) -> str:
    """What was not given a predictive part, and why."""
    silent = [m for m in markers if m in design.covariate_sources]
    dropped = [m for m in markers if m not in design.sources]
    said = (
        ("covariates have no interaction in this model", bool(design.covariate_sources)),
        (
            f"levels with fewer than {_FEWEST} events in some arm have no interaction: "
            f"{', '.join(silent)}",
            bool(silent),
        ),
        (f"left out as a combination of other columns: {', '.join(dropped)}", bool(dropped)),
    )
    return "; ".join(words for words, holds in said if holds)


def _events(column: Floats, event: Bools, treated: Bools | None, kind: str) -> int:
    """Fewest events (for a response, of either answer) with one of two values, in either arm."""
    distinct = np.unique(column)
    if len(distinct) > 2:
        return int(event.sum())
    sides = [column == value for value in distinct]
    if treated is not None:
        sides = [side & arm for side in sides for arm in (treated, ~treated)]
    answers = [event] if kind == "survival" else [event, ~event]
    return min(int(np.sum(side & answer)) for side in sides for answer in answers)


def _independent(columns: Floats) -> list[int]:
    """Positions of columns that vary and are no combination of those before."""
    kept: list[int] = []
    for column in independent_columns(columns).T:
        # Kept columns come in order, and each is the first that equals it.
        start = kept[-1] + 1 if kept else 0
        places = range(start, columns.shape[1])
        kept.append(next(j for j in places if np.array_equal(columns[:, j], column)))
    return kept


def _covariates(cohort: Cohort, first: AnalysisSet) -> tuple[Floats, tuple[str, ...]]:
    """Declared covariates as centred encoded columns, and the column each is of."""
    known = {n: cohort.columns[n].values[first.rows] for n in first.covariate_names}
    # A missing value counts as one more: its indicator then varies.
    names = tuple(n for n, x in known.items() if not np.isnan(x).all() and len(np.unique(x)) > 1)
    if not names:
        return np.empty((len(first.rows), 0)), ()
    raw = np.column_stack([known[n] for n in names])
    encoder = fit_encoder(plan_columns(cohort.study, names), raw)
    encoded = encoder.transform(raw)
    return np.asarray(encoded - encoded.mean(axis=0)), encoder.sources


def source_columns(cohort: Cohort, design: BenefitDesign, rows: Ints) -> dict[str, Any]:
    """Parsed values of each source, their kinds, levels and units."""
    values: list[Floats] = []
    kinds: list[str] = []
    levels: list[tuple[str, ...]] = []
    units: list[str | None] = []
    for source in design.sources:
        if source == STRATUM:
            codes = design.data.covariates[:, np.array(design.covariate_sources) == STRATUM]
            values.append(codes @ np.arange(1.0, codes.shape[1] + 1.0))
            kinds.append("categorical")
            levels.append(tuple(f"stratum {i + 1}" for i in range(codes.shape[1] + 1)))
            units.append(None)
            continue
        (plan,) = plan_columns(cohort.study, (source,))
        values.append(cohort.columns[source].values[rows])
        kinds.append(plan.rule.kind)
        levels.append(level_names(plan.rule))
        units.append(plan.rule.unit)
    return {
        "columns": np.column_stack(values),
        "kinds": tuple(kinds),
        "levels": tuple(levels),
        "units": tuple(units),
    }
