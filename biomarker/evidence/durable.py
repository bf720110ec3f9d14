"""Who is still event-free at a milestone, and for how long, by arm and by level of a marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import longest_tau
from biomarker.evidence.analysis_set import AnalysisSet, analysis_set
from biomarker.evidence.landmark import refuse_post_baseline
from biomarker.outcomes import SurvivalOutcome
from biomarker.survival.pseudo_observations import Measure

__all__ = ["MilestoneContrast", "milestone_contrasts", "unsupported_milestones"]

Bools = npt.NDArray[np.bool_]
Levels = list[tuple[str, Bools]]

_SHARE = 0.10
_FEWEST = 5  # patients at risk below which a cell's curve rests on single patients
_GROUPS = {
    2: ("at most median", "above median"),
    3: ("lowest third", "middle third", "highest third"),
}


@dataclass(frozen=True)
class MilestoneContrast:
    """One measure at one time in one level of a marker, treated beside control.

    Attributes
    ----------
    marker, endpoint : str
    level : str
        A declared level, or a part of a continuous marker.
    measure : {"survival", "restricted_mean"}
        Share still event-free at the milestone, or mean event-free time up to it.
    at : float
        The milestone, in ``unit``.
    unit : str
    treated, treated_low, treated_high, control, control_low, control_high : float
        Probabilities, with log-log intervals; or times in ``unit``.
    difference, difference_low, difference_high : float
        Treated - control; positive: the treatment gains.
    n_treated, n_control : int
        Patients of this level.
    at_risk_treated, at_risk_control : int
        Of these, still at risk at the milestone.
    display_only : bool
        True where a continuous marker was cut to be shown: no test of the marker is made here, and
        the cut claims nothing.
    alpha : float
    """

    marker: str
    endpoint: str
    level: str
    measure: Measure
    at: float
    unit: str
    treated: float
    treated_low: float
    treated_high: float
    control: float
    control_low: float
    control_high: float
    difference: float
    difference_low: float
    difference_high: float
    n_treated: int
    n_control: int
    at_risk_treated: int
    at_risk_control: int
    display_only: bool
    alpha: float


def milestone_contrasts(
    cohort: Cohort,
    marker: str,
    endpoint: str,
    horizons: Sequence[float] | None = None,
    alpha: float = 0.05,
    groups: Literal[2, 3] = 2,
) -> tuple[MilestoneContrast, ...]:
    r"""Survival at milestones and restricted means, treated against control, by marker level.

    Within each level, Kaplan-Meier curves of the arms: S(t) with log-log intervals and its
    difference with the interval that these imply,
    :math:`d - \sqrt{(S_1 - l_1)^2 + (u_0 - S_0)^2}` to
    :math:`d + \sqrt{(u_1 - S_1)^2 + (S_0 - l_0)^2}`; and the mean event-free time up to t, with
    normal intervals kept within 0 and t. Assumes censoring independent of the outcome within arm
    and level; no hazards are assumed proportional. Levels are not compared with each other here:
    whether the treatment's effect differs by the marker is the interaction test's question.

    Parameters
    ----------
    cohort : Cohort
        With two arms.
    marker : str
        Declared as marker. A continuous one is cut at its median (or thirds) for display only.
    endpoint : str
        A survival endpoint.
    horizons : sequence of float, optional
        Milestones in the endpoint's unit; by default the study's declared ones. Where it declares
        none, its tau, else the longest supported time, for the restricted mean alone.
    alpha : float
        1 minus the coverage of each interval, unadjusted for their number.
    groups : {2, 3}
        Parts of a continuous marker.

    Returns
    -------
    tuple of MilestoneContrast
        By horizon, measure (survival first), then level.

    Raises
    ------
    UsageError
        With one arm, a response endpoint, a grouping formed after treatment began (the message
        names the landmark), or a milestone at which some arm and level has fewer than 10% or 5
        patients at risk; :func:`unsupported_milestones` says which.
    NotEstimableError
        If a level has no patient in an arm.

    Notes
    -----
    A cell without an event by t has S(t) = 1; its lower limit is the exact one for the patients
    still at risk, (alpha / 2) ** (1 / at risk), since Greenwood's variance is 0 there. Interval of
    a difference: Zou and Donner (2008), Statistics in Medicine 27:1693. With some 30
    patients in a cell the restricted mean's intervals cover 92 to 94%, those of survival 95 to 97%.

    References
    ----------
    Royston and Parmar (2013), BMC Medical Research Methodology 13:152.
    """
    data, levels, cut = _levels(cohort, marker, endpoint, groups)
    times, measures = _milestones(data, levels, horizons)
    refused = _refused(data, levels, times)
    if refused:
        raise UsageError(
            f"horizons must leave at least {_SHARE:.0%} and {_FEWEST} patients at risk in each arm "
            f"and level; got {'; '.join(refused.values())}. Leave these out."
        )
    return tuple(
        _contrast(data, level, inside, measure, at, cut, alpha)
        for at in times
        for measure in measures
        for level, inside in levels
    )


def unsupported_milestones(
    cohort: Cohort,
    marker: str,
    endpoint: str,
    horizons: Sequence[float] | None = None,
    groups: Literal[2, 3] = 2,
) -> dict[float, str]:
    """Why each milestone that cannot be judged cannot; empty where all can.

    Parameters and errors as in :func:`milestone_contrasts`, which raises where this is not empty.

    Returns
    -------
    dict of float to str
        Milestone to the arm, level and number at risk that fall short.
    """
    data, levels, _ = _levels(cohort, marker, endpoint, groups)
    times, _ = _milestones(data, levels, horizons)
    return _refused(data, levels, times)


def _levels(
    cohort: Cohort, marker: str, endpoint: str, groups: int
) -> tuple[AnalysisSet, Levels, bool]:
    """Patients, the levels they are in, and whether the levels are cut from a continuum."""
    refuse_post_baseline(cohort.study, marker)
    if endpoint not in cohort.outcomes or cohort.outcomes[endpoint].kind != "survival":
        raise UsageError(f"endpoint must be a survival endpoint; got {endpoint!r}.")
    if groups not in _GROUPS:
        raise UsageError(f"groups must be 2 or 3; got {groups}.")
    data = analysis_set(cohort, marker, endpoint)
    if data.arm is None:
        raise UsageError("cohort must have a treated and a control arm; got one arm.")
    column, values = cohort.study.columns[marker], cohort.columns[marker].values[data.rows]
    if column.kind == "continuous":
        edges = np.quantile(values, np.arange(1, groups) / groups)
        code = np.searchsorted(edges, values, side="left")
        names = dict(enumerate(_GROUPS[groups]))
    else:
        code = values.astype(np.int64)
        names = dict(enumerate(column.levels))
    levels = [(names[int(c)], np.asarray(code == c)) for c in np.unique(code)]
    for level, inside in levels:
        for name, side in (("treated", 1.0), ("control", 0.0)):
            if not np.any(inside & (data.arm == side)):
                raise NotEstimableError(
                    f"{marker} must have {name} patients at every level; got none at {level!r}."
                )
    return data, levels, column.kind == "continuous"


def _milestones(
    data: AnalysisSet, levels: Levels, horizons: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[Measure, ...]]:
    """The times asked about, and what is asked there."""
    both: tuple[Measure, ...] = ("survival", "restricted_mean")
    if horizons is not None:
        times = tuple(float(t) for t in horizons)
        if not times or not all(math.isfinite(t) and t > 0.0 for t in times):
            raise UsageError("horizons must be finite times greater than 0; got some otherwise.")
        return times, both
    declared: tuple[float, ...] = getattr(data.outcome.endpoint, "horizons", ())
    if declared:
        return declared, both
    tau = getattr(data.outcome.endpoint, "tau", None)
    longest = min(longest_tau(data.where(inside), _SHARE) for _, inside in levels)
    return (longest if tau is None else float(tau),), ("restricted_mean",)


def _refused(data: AnalysisSet, levels: Levels, times: Sequence[float]) -> dict[float, str]:
    """The first cell that falls short at each time."""
    unit = getattr(data.outcome.endpoint, "unit", "")
    found: dict[float, str] = {}
    for at in times:
        for level, inside in levels:
            for name, side in (("treated", 1.0), ("control", 0.0)):
                duration = data.y["duration"][inside & (data.arm == side)]
                left = int(np.count_nonzero(duration >= at))
                if left < max(_FEWEST, _SHARE * len(duration)):
                    found.setdefault(
                        at,
                        f"{at:g} {unit}: {left} of {len(duration)} {name} patients at risk "
                        f"({level})",
                    )
    return found


def _contrast(
    data: AnalysisSet,
    level: str,
    inside: Bools,
    measure: Measure,
    at: float,
    cut: bool,
    alpha: float,
) -> MilestoneContrast:
    """Both arms of one level, and their difference."""
    sides = [data.y[inside & (data.arm == side)] for side in (1.0, 0.0)]
    numbers = [len(y) for y in sides]
    left = [int(np.count_nonzero(y["duration"] >= at)) for y in sides]
    one = _survival if measure == "survival" else _restricted_mean
    (treated, low1, high1), (control, low0, high0) = (one(y, at, alpha) for y in sides)
    gap = treated - control
    return MilestoneContrast(
        data.marker, data.outcome.name, level, measure, at,
        getattr(data.outcome.endpoint, "unit", ""),
        treated, low1, high1, control, low0, high0,
        gap,
        gap - math.hypot(treated - low1, high0 - control),
        gap + math.hypot(high1 - treated, control - low0),
        numbers[0], numbers[1], left[0], left[1], cut, alpha,
    )  # fmt: skip


def _survival(y: SurvivalOutcome, at: float, alpha: float) -> tuple[float, float, float]:
    """Kaplan-Meier at one time with its log-log interval."""
    from biomarker.survival.curves import kaplan_meier

    curve = kaplan_meier(y, alpha=alpha)
    value = float(curve.survival_at([at])[0])
    low, high = (float(bound[0]) for bound in curve.interval_at([at]))
    return value, _without_events(y, at, alpha) if value == 1.0 else low, high


def _restricted_mean(y: SurvivalOutcome, at: float, alpha: float) -> tuple[float, float, float]:
    """Area under the curve with its normal interval, kept within 0 and the limit."""
    from biomarker.survival.curves import restricted_mean

    found = restricted_mean(y, at, alpha=alpha)
    # The mean is at least the limit times the share that reaches it.
    seen = found.standard_error > 0.0
    low = found.low if seen else at * _without_events(y, at, alpha)
    return found.value, low, found.high


def _without_events(y: SurvivalOutcome, at: float, alpha: float) -> float:
    """Exact lower limit of survival where nobody had the event by then."""
    reached = int(np.count_nonzero(y["duration"] >= at))
    return float((alpha / 2.0) ** (1.0 / reached))
