"""Who is analysed and by which columns: one marker, one endpoint, all patients as randomised."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort, Outcome
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.identity import places
from biomarker.features.encoding import fit_encoder, plan_columns

__all__ = ["AnalysisSet", "analysis_set", "counts", "independent_columns", "ratio_scale"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MISSINGNESS_ALPHA = 0.05
_SMALL_STRATUM = 5
_SIDES = ((0.0, "control"), (1.0, "treated"))


@dataclass(frozen=True, eq=False)
class AnalysisSet:
    """All patients with the outcome known and the marker measured.

    Attributes
    ----------
    rows : ndarray of int, shape (n_patients,)
        Their rows in the cohort.
    places : ndarray of int, shape (n_patients,)
        Their places among the cohort's sorted patients, to which random numbers belong.
    arm : ndarray of float, shape (n_patients,), or None
        1 treated, 0 control; None where the study has one arm.
    marker_columns : ndarray, shape (n_patients, df)
        The marker on its declared transform, centred; in standard deviations where continuous, per
        allele or level where so declared, one 0/1 column per level past the first where
        categorical.
    covariates : ndarray, shape (n_patients, n_covariates)
        Declared covariates, centred; a missing value takes the median or most frequent level and an
        indicator.
    strata : ndarray of int, shape (n_patients,), or None
        Combination of the declared strata, missing as a level of its own. For a response, where
        each has an intercept, those of fewer than 5 patients are taken together.
    contrast : str
        What one unit of the marker is, such as ``per SD``; of several columns the last one's.
    other_contrasts : tuple of str
        Of the columns before the last.
    graded : bool
        Whether the marker has an order, so that ranks mean something; it is one column then.
    missing_differs : bool
        Whether the missing share differs by arm or outcome (p < .05): an exploratory result.
    covariate_names : tuple of str
        Declared covariates, as columns of the file.
    no_outcome_differs : bool
        Whether patients without the outcome differ from the others by arm, or by the marker
        (p < .05): exploratory.
    """

    marker: str
    outcome: Outcome
    rows: Ints
    places: Ints
    n_rows: int
    y: npt.NDArray[np.void]
    arm: Floats | None
    marker_columns: Floats
    covariates: Floats
    strata: Ints | None
    contrast: str
    graded: bool
    missing_differs: bool
    covariate_names: tuple[str, ...] = ()
    other_contrasts: tuple[str, ...] = ()
    no_outcome_differs: bool = False

    @property
    def kind(self) -> str:
        """``survival`` or ``response``."""
        return self.outcome.kind

    @property
    def scale(self) -> str:
        """What ratios are of; see :func:`ratio_scale`."""
        return ratio_scale(self.outcome)

    @property
    def event(self) -> Bools:
        """True where the event, or the response, was seen."""
        return np.asarray(self.y["event"] if self.kind == "survival" else self.y, dtype=np.bool_)

    @property
    def df(self) -> int:
        """Columns the marker takes."""
        return self.marker_columns.shape[1]

    def check_outcomes(self) -> None:
        """Refuse two arms of which one tells nothing, whatever a penalty or a formula says of it.

        Raises
        ------
        NotEstimableError
            If an arm has no event, or no response, or responders alone.
        """
        assert self.arm is not None
        for side, name in _SIDES:
            event = self.event[self.arm == side]
            if not event.any():
                what = "an event" if self.kind == "survival" else "a response"
                raise NotEstimableError(
                    f"{self.outcome.name} must have {what} in each arm; got none among "
                    f"{len(event)} {name} patient(s)."
                )
            if self.kind == "response" and event.all():
                raise NotEstimableError(
                    f"{self.outcome.name} must differ between patients of an arm; all "
                    f"{len(event)} {name} patient(s) responded."
                )

    def check_marker(self) -> None:
        """Refuse a marker that one of two arms cannot tell apart.

        Raises
        ------
        NotEstimableError
            If the marker has one value in an arm, or an arm lacks one of its levels.
        """
        assert self.arm is not None
        for side, name in _SIDES:
            columns = self.marker_columns[self.arm == side]
            still = np.ptp(columns, axis=0) == 0
            if still.all():
                raise NotEstimableError(
                    f"{self.marker} must vary in each arm; all {len(columns)} {name} patient(s) "
                    "have one value."
                )
            if still.any():
                names = (*self.other_contrasts, self.contrast)
                level = names[int(still.argmax())].split(" vs ")[0]
                raise NotEstimableError(
                    f"{self.marker} must have every level in each arm; got no {name} patient with "
                    f"{level!r}. Merge levels."
                )

    def where(self, keep: Bools) -> AnalysisSet:
        """The same columns for some of the patients."""
        return replace(
            self,
            rows=self.rows[keep],
            places=self.places[keep],
            y=self.y[keep],
            arm=None if self.arm is None else self.arm[keep],
            marker_columns=self.marker_columns[keep],
            covariates=self.covariates[keep],
            strata=None if self.strata is None else self.strata[keep],
        )

    @property
    def control(self) -> AnalysisSet:
        """Patients of the control arm; everybody where there is one arm."""
        return self if self.arm is None else self.where(self.arm == 0)


def analysis_set(cohort: Cohort, marker: str, endpoint: str) -> AnalysisSet:
    """Take the patients and columns that answer a question about one marker and endpoint.

    Parameters
    ----------
    cohort : Cohort
    marker : str
        A column declared as marker.
    endpoint : str

    Returns
    -------
    AnalysisSet

    Raises
    ------
    UsageError
        If the name is no declared marker (a post-baseline column never is), or patients repeat.
    NotEstimableError
        If the marker is known for nobody or the same for everybody.
    """
    study = cohort.study
    column = study.columns.get(marker)
    if column is None or column.role != "marker" or marker not in cohort.columns:
        role = "no column of this file" if column is None else f"declared as {column.role}"
        raise UsageError(
            f"markers must be columns declared with role 'marker'; got {marker!r}, {role}. "
            "What is known only after treatment began cannot be a baseline marker."
        )
    if cohort.n_patients < cohort.n_rows:
        raise UsageError(
            f"cohort must hold one row a patient; got {cohort.n_rows} rows of "
            f"{cohort.n_patients} patients. Keep one row of each."
        )
    outcome = cohort.outcomes[endpoint]
    values = cohort.columns[marker].values
    known = outcome.included & ~np.isnan(values)
    rows = np.flatnonzero(known).astype(np.int64)
    y = outcome.y[known[outcome.included]]
    treated = cohort.treated
    arm = None if treated is None else treated[rows].astype(np.float64)
    if len(rows) == 0:
        raise NotEstimableError(f"{marker} must be measured in some patients; got none.")
    columns, contrasts = _marker_columns(cohort, marker, rows)
    names = tuple(n for n in study.with_role("covariate") if n in cohort.columns)
    absent = outcome.included & np.isnan(values)
    return AnalysisSet(
        marker=marker,
        outcome=outcome,
        rows=rows,
        places=places(cohort)[rows],
        n_rows=cohort.n_rows,
        y=y,
        arm=arm,
        marker_columns=columns,
        covariates=_covariates(cohort, names, rows),
        strata=_strata(cohort, rows, outcome.kind == "response"),
        contrast=contrasts[-1],
        other_contrasts=contrasts[:-1],
        graded=column.kind != "categorical",
        missing_differs=_missing_differs(absent, outcome, treated),
        covariate_names=names,
        no_outcome_differs=_no_outcome_differs(values, outcome, treated),
    )


def ratio_scale(outcome: Outcome) -> str:
    """Name of an endpoint's ratio; a hazard among competing events is named cause-specific."""
    if outcome.kind != "survival":
        return "odds ratio"
    competing = getattr(getattr(outcome, "endpoint", None), "competing", False)
    return "cause-specific hazard ratio" if competing else "hazard ratio"


def counts(cohort: Cohort, marker: str, endpoint: str) -> dict[str, int]:
    """Patients and events by arm, and who is missing, whether or not anything can be fitted.

    Parameters
    ----------
    cohort : Cohort
        In a file with one arm everybody counts as treated, unless the study says control.
    marker, endpoint : str

    Returns
    -------
    dict
        ``n_treated``, ``n_control``, ``events_treated`` and ``events_control`` of those with marker
        and outcome; ``n_missing``, ``missing_treated``, ``missing_control`` and
        ``missing_with_event`` of those with the outcome alone; ``no_outcome_treated`` and
        ``no_outcome_control``.
    """
    outcome = cohort.outcomes[endpoint]
    treated = cohort.treated
    if treated is None:
        treated = np.full(cohort.n_rows, cohort.study.single_arm != "control")
    event = np.zeros(cohort.n_rows, dtype=np.bool_)
    event[outcome.included] = outcome.event
    unknown = np.isnan(cohort.columns[marker].values)
    known, absent, gone = (
        outcome.included & ~unknown, outcome.included & unknown, ~outcome.included
    )  # fmt: skip
    groups = {
        "n_treated": known & treated,
        "n_control": known & ~treated,
        "events_treated": known & treated & event,
        "events_control": known & ~treated & event,
        "n_missing": absent,
        "missing_treated": absent & treated,
        "missing_control": absent & ~treated,
        "missing_with_event": absent & event,
        "no_outcome_treated": gone & treated,
        "no_outcome_control": gone & ~treated,
    }
    return {name: int(who.sum()) for name, who in groups.items()}


def _marker_columns(cohort: Cohort, marker: str, rows: Ints) -> tuple[Floats, tuple[str, ...]]:
    """The marker's centred columns, and what one unit of each is."""
    column = cohort.study.columns[marker]
    raw = cohort.columns[marker].values[rows][:, None]
    varies = len(np.unique(raw)) > 1
    if not varies:
        raise NotEstimableError(
            f"{marker} must differ between patients; got one value in {len(rows)} patient(s)."
        )
    encoded = fit_encoder(plan_columns(cohort.study, (marker,)), raw).transform(raw)
    centred = encoded - encoded.mean(axis=0)
    if column.kind == "continuous":
        spread = float(encoded.std(ddof=1))
        unit = "" if column.transform == "identity" else f" of {column.transform}"
        return centred / spread, (f"per SD{unit}",)
    if column.kind == "categorical":
        seen = np.unique(raw[:, 0]).astype(int)
        first, *others = (column.levels[level] for level in seen)
        return centred, tuple(f"{level} vs {first}" for level in others)
    return centred, ("per allele" if column.kind == "genotype" else "per level",)


def _covariates(cohort: Cohort, names: tuple[str, ...], rows: Ints) -> Floats:
    """Declared covariates as centred columns without missing values."""
    # A covariate that nobody has measured adjusts for nothing, and stops nobody else's.
    names = tuple(n for n in names if not np.isnan(cohort.columns[n].values[rows]).all())
    if not names:
        return np.empty((len(rows), 0))
    raw = cohort.matrix(names)[rows]
    try:
        encoded = fit_encoder(plan_columns(cohort.study, names), raw).transform(raw)
    except NotEstimableError:
        return np.empty((len(rows), 0))
    return independent_columns(np.ascontiguousarray(encoded - encoded.mean(axis=0)))


def independent_columns(columns: Floats) -> Floats:
    """Columns that vary, none of them a combination of those before."""
    kept: list[int] = []
    scaled = columns - columns.mean(axis=0)
    size = np.sqrt((scaled**2).sum(axis=0))
    scaled = scaled / np.where(size > 0, size, 1.0)
    for j in range(columns.shape[1]):
        part = scaled[:, [*kept, j]]
        if np.linalg.matrix_rank(part, tol=1e-7) == len(kept) + 1:
            kept.append(j)
    return np.ascontiguousarray(columns[:, kept])


def _strata(cohort: Cohort, rows: Ints, pool: bool) -> Ints | None:
    """One code per combination of declared strata; small ones taken together on demand."""
    names = [n for n in cohort.study.with_role("stratum") if n in cohort.columns]
    if not names:
        return None
    table = np.nan_to_num(cohort.matrix(tuple(names))[rows], nan=-1.0)
    codes = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    if pool:
        sizes = np.bincount(codes)
        small = sizes < _SMALL_STRATUM
        if 0 < sizes[small].sum() < _SMALL_STRATUM:
            # Too few even together: they join the smallest of the others.
            rest = np.flatnonzero(~small)
            small[rest[sizes[rest].argmin()] if len(rest) else []] = True
        codes = np.unique(np.where(small[codes], -1, codes), return_inverse=True)[1]
    return codes.astype(np.int64) if codes.max(initial=0) > 0 else None


def _no_outcome_differs(values: Floats, outcome: Outcome, treated: Bools | None) -> bool:
    """Whether patients without the outcome differ by arm, or by the marker within an arm."""
    from scipy.stats import fisher_exact, mannwhitneyu

    gone = ~outcome.included
    if not gone.any():
        return False
    side = np.zeros(len(gone), dtype=np.bool_) if treated is None else treated
    table = [[np.sum(gone & side), np.sum(~gone & side)],
             [np.sum(gone & ~side), np.sum(~gone & ~side)]]  # fmt: skip
    if fisher_exact(np.array(table))[1] < _MISSINGNESS_ALPHA:
        return True
    known = ~np.isnan(values)
    for here in (side & known, ~side & known):
        one, other = values[here & gone], values[here & ~gone]
        if len(one) and len(other) and mannwhitneyu(one, other).pvalue < _MISSINGNESS_ALPHA:
            return True
    return False


def _missing_differs(absent: Bools, outcome: Outcome, treated: Bools | None) -> bool:
    """Whether patients without the marker differ by arm or by outcome seen."""
    from scipy.stats import fisher_exact

    inside = outcome.included
    gone = absent[inside]
    if not gone.any():
        return False
    sides = [outcome.event] if treated is None else [outcome.event, treated[inside]]
    for side in sides:
        table = [[np.sum(gone & side), np.sum(~gone & side)],
                 [np.sum(gone & ~side), np.sum(~gone & ~side)]]  # fmt: skip
        if fisher_exact(np.array(table))[1] < _MISSINGNESS_ALPHA:
            return True
    return False
