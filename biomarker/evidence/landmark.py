"""Groups that form after treatment began: compared from a landmark on, or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biomarker.cohort import Cohort
from biomarker.errors import CohortError, NotEstimableError, UsageError
from biomarker.evidence.calibration import Nested, draw_until_clear
from biomarker.evidence.interaction import ratio_from_draws
from biomarker.evidence.regressions import HazardRegression
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.study import Study

__all__ = [
    "LandmarkResult",
    "landmark_association",
    "landmark_response",
    "refuse_post_baseline",
]

Bools = npt.NDArray[np.bool_]

_FIX = (
    "Members must live long enough to become members, so a comparison from the start credits them "
    "with that time. Name a landmark: groups are fixed there and patients still at risk are "
    "followed from it."
)


@dataclass(frozen=True)
class LandmarkResult:
    """How the hazard after a landmark differs between groups fixed at it.

    Attributes
    ----------
    group, endpoint, unit : str
    landmark : float
        In the endpoint's unit; time is counted from here.
    n_used : int
        Patients still at risk just after the landmark.
    n_excluded, n_excluded_events, n_excluded_censored : int
        Patients whose event, or whose end of follow-up, came by the landmark.
    n_members, n_others, events_members, events_others : int
        Among those used, with events after the landmark.
    n_later : int
        Among the others, those who became members after the landmark.
    hazard_ratio, low, high : float
        Members over others after the landmark; below 1: members fare better. An association among
        patients who reached the landmark, which membership need not have caused.
    p : float
        Calibrated by redrawing outcomes under no association; the interval excludes 1 exactly when
        it is below ``alpha``.
    p_asymptotic, monte_carlo_error, alpha : float
    penalised : bool
        Whether a group without events (or the like) called for Firth's likelihood.
    n_draws, seed : int
    """

    group: str
    endpoint: str
    unit: str
    landmark: float
    n_used: int
    n_excluded: int
    n_excluded_events: int
    n_excluded_censored: int
    n_members: int
    n_others: int
    events_members: int
    events_others: int
    n_later: int
    hazard_ratio: float
    low: float
    high: float
    p: float
    p_asymptotic: float
    monte_carlo_error: float
    alpha: float
    penalised: bool
    n_draws: int
    seed: int

    @property
    def sentence(self) -> str:
        """What was compared, among whom, and who was left out."""
        unit = f" {self.unit}" if self.unit else ""
        group, endpoint = self.group or "members", self.endpoint or "the event"
        return (
            f"Among {self.n_used} patients still at risk at the landmark of {self.landmark:g}{unit}"
            f" ({self.n_members} {group}, {self.n_others} others; {self.n_excluded} excluded, "
            f"{self.n_excluded_events} of them for an earlier event), the hazard ratio for "
            f"{endpoint} thereafter was {self.hazard_ratio:.3g}, {1 - self.alpha:.0%} interval "
            f"{self.low:.3g} to {self.high:.3g}: an association, not an effect of membership."
        )


def refuse_post_baseline(study: Study, name: str) -> None:
    """Refuse a grouping that forms after treatment began where baseline groups are compared.

    Parameters
    ----------
    study : Study
    name : str
        A column or an endpoint.

    Raises
    ------
    UsageError
        If it is declared post-baseline or is itself an endpoint; the message names the fix.
    """
    column = study.columns.get(name)
    formed_later = column is not None and column.role in ("post_baseline", "endpoint")
    if name in study.endpoints or formed_later:
        raise UsageError(
            f"groups must be known before treatment began; got {name!r}, known only afterwards. "
            f"{_FIX} See landmark_association."
        )


def landmark_association(
    y: SurvivalOutcome,
    group: npt.ArrayLike,
    *,
    landmark: float | None = None,
    known_at: npt.ArrayLike | None = None,
    strata: npt.ArrayLike | None = None,
    group_name: str = "",
    endpoint: str = "",
    unit: str = "",
    seed: int = 0,
    alpha: float = 0.05,
) -> LandmarkResult:
    r"""Compare responders, say, with others from a landmark on.

    Patients with T > L are used, T - L is their outcome, and membership is what was known at L:
    the group, so far as ``known_at`` <= L. The hazard ratio is Cox's, within strata; its p-value
    redraws outcomes under no association, with follow-up redrawn within strata.

    Assumes that censoring after L says nothing about the event to come within stratum and group,
    and proportional hazards after L. Without a landmark members have lived long enough to become
    members, which makes them look better where nothing is (immortal time): that call is refused.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
        From the start of treatment.
    group : array-like of bool or 0/1, shape (n_patients,)
        Whether the patient ever became a member.
    landmark : float
        A time chosen before outcomes were looked at; must be given.
    known_at : float, or array-like of shape (n_patients,)
        When membership was known: one time by which it was known of everybody, at most the
        landmark, or each member's own (others' values are not used). Must be given.
    strata : array-like, shape (n_patients,), optional
        Patients are compared within strata: the arm, in a trial.
    group_name, endpoint, unit : str
        For the record.
    seed : int
    alpha : float

    Returns
    -------
    LandmarkResult

    Raises
    ------
    UsageError
        Without landmark or ``known_at``, or where membership was settled only after the landmark.
    CohortError
        If a member is said to have joined after leaving follow-up, or an input is malformed.
    NotEstimableError
        If a group is empty at the landmark, or the hazard ratio has no finite value.

    Notes
    -----
    Patients with the event, or last seen, exactly at the landmark are excluded. Cost: 999 refits of
    one column, 3,999 where p lies near alpha.

    References
    ----------
    Anderson, Cain and Gelber (1983), Journal of Clinical Oncology 1:710.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> rng = np.random.default_rng(1)
    >>> y = survival_outcome(np.ones(60), rng.exponential(12.0, 60) + 0.1)
    >>> responded = (rng.random(60) < 0.5) & (y["duration"] > 2.0)
    >>> found = landmark_association(y, responded, landmark=3.0, known_at=2.0)
    >>> found.n_used + found.n_excluded, found.low < 1.0 < found.high
    (60, True)
    """
    outcome = check_survival_outcome(y)
    n = len(outcome)
    member = _members(group, n)
    if landmark is None or known_at is None:
        lacking = "landmark" if landmark is None else "known_at"
        raise UsageError(f"{lacking} must be given for a post-baseline grouping; got none. {_FIX}")
    limit = float(landmark)
    if not (math.isfinite(limit) and limit > 0.0):
        raise UsageError(f"landmark must be finite and greater than 0; got {limit:g}.")
    joined = _joined_by(limit, member, known_at, outcome)
    codes = None
    if strata is not None:
        codes = np.unique(np.asarray(strata), return_inverse=True)[1].reshape(-1).astype(np.int64)
        if codes.shape != (n,):
            raise CohortError(f"strata must hold {n} labels; got {codes.size}.")
    used = outcome["duration"] > limit
    left_out = outcome[~used]
    inside, event = joined[used], outcome["event"][used]
    n_members, n_others = int(inside.sum()), int((~inside).sum())
    if min(n_members, n_others) == 0:
        raise NotEstimableError(
            f"both groups must have patients at risk at the landmark ({limit:g}); got {n_members} "
            f"member(s) and {n_others} other(s). Choose another landmark."
        )
    later = outcome[used].copy()
    later["duration"] -= limit
    within = None if codes is None else codes[used]
    by = None if within is None else within.astype(np.float64)
    regression = HazardRegression(later, within, by)
    column = inside.astype(np.float64)[:, None]
    rows = np.flatnonzero(used).astype(np.int64)
    question = Nested.ask(regression, column - column.mean(), 0, rows, n)
    draws = draw_until_clear([question], seed, ("landmark", group_name, endpoint), alpha)
    found = ratio_from_draws(question, draws[:, 0], seed, alpha)
    return LandmarkResult(
        group_name, endpoint, unit, limit,
        len(later), len(left_out), int(left_out["event"].sum()), int((~left_out["event"]).sum()),
        n_members, n_others, int(event[inside].sum()), int(event[~inside].sum()),
        int((member[used] & ~inside).sum()),
        found.ratio, found.low, found.high, found.p, found.p_asymptotic, found.monte_carlo_error,
        alpha, question.penalised, found.n_draws, seed,
    )  # fmt: skip


def landmark_response(
    cohort: Cohort,
    response: str,
    endpoint: str,
    *,
    landmark: float | None = None,
    known_at: npt.ArrayLike | None = None,
    seed: int = 0,
    alpha: float = 0.05,
) -> LandmarkResult:
    """Compare survival of responders and others from a landmark on, within arm.

    Parameters
    ----------
    cohort : Cohort
        One row a patient.
    response, endpoint : str
        A response endpoint, and a survival endpoint of the same patients.
    landmark : float
    known_at : float, or array-like of shape (n_rows,)
        As in :func:`landmark_association`, in the survival endpoint's unit.
    seed : int
    alpha : float

    Returns
    -------
    LandmarkResult

    Raises
    ------
    UsageError
        As in :func:`landmark_association`; or if an endpoint is not of the kind needed, or patients
        repeat.
    """
    for name, kind in ((response, "response"), (endpoint, "survival")):
        if name not in cohort.outcomes or cohort.outcomes[name].kind != kind:
            known = [n for n, outcome in cohort.outcomes.items() if outcome.kind == kind]
            raise UsageError(f"{name!r} must be a {kind} endpoint; those declared are {known}.")
    if cohort.n_patients < cohort.n_rows:
        raise UsageError(
            f"cohort must hold one row a patient; got {cohort.n_rows} rows of "
            f"{cohort.n_patients} patients. Keep one row of each."
        )
    groups, times = cohort.outcomes[response], cohort.outcomes[endpoint]
    both = groups.included & times.included
    since = known_at
    if known_at is not None and np.ndim(known_at) > 0:
        since = np.asarray(known_at, dtype=np.float64)
        if since.shape != (cohort.n_rows,):
            raise CohortError(
                f"known_at must hold one time a row ({cohort.n_rows}); got shape {since.shape}."
            )
        since = since[both]
    treated = cohort.treated
    return landmark_association(
        times.y[both[times.included]],
        groups.y[both[groups.included]],
        landmark=landmark,
        known_at=since,
        strata=None if treated is None else treated[both],
        group_name=response,
        endpoint=endpoint,
        unit=getattr(times.endpoint, "unit", ""),
        seed=seed,
        alpha=alpha,
    )


def _members(group: npt.ArrayLike, n: int) -> Bools:
    """Pass membership through as booleans."""
    values = np.asarray(group)
    if values.shape != (n,):
        raise CohortError(f"group must have shape ({n},); got {values.shape}.")
    if values.dtype != np.bool_ and not np.all(np.isin(values, (0, 1))):
        raise CohortError("group must hold only 0/1 or booleans; got other values.")
    return values.astype(np.bool_)


def _joined_by(
    landmark: float, member: Bools, known_at: npt.ArrayLike, y: SurvivalOutcome
) -> Bools:
    """Who was known to be a member at the landmark."""
    since = np.asarray(known_at, dtype=np.float64)
    if since.ndim == 0:
        if not since <= landmark:
            raise UsageError(
                f"known_at must be at most the landmark ({landmark:g}); got {float(since):g}. A "
                "group settled later cannot be fixed there: move the landmark, or give each "
                "member's own time."
            )
        return member
    if since.shape != member.shape:
        raise CohortError(f"known_at must be one time or {len(member)}; got shape {since.shape}.")
    absent = int(np.count_nonzero(~np.isfinite(since[member])))
    if absent:
        raise CohortError(f"known_at must be finite for every member; got {absent} without a time.")
    after = int(np.count_nonzero(since[member] > y["duration"][member]))
    if after:
        raise CohortError(
            f"known_at must be at most the patient's own duration; got {after} member(s) who "
            "joined after leaving follow-up. Check units and dates."
        )
    joined: Bools = member & (since <= landmark)
    return joined
