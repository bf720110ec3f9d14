"""Does a higher risk go with an earlier event? Concordance and areas under the curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.metrics.estimate import (
    Influence,
    MetricEstimate,
    TimedEstimate,
    check_numbers,
    check_response,
    estimate,
    timed_estimate,
)
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.censoring import (
    CensoringDistribution,
    censoring_influence,
    supported_survival,
)

__all__ = ["concordance_index", "roc_auc", "time_dependent_auc", "uno_concordance_index"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def concordance_index(
    y: SurvivalOutcome, risk: npt.ArrayLike, alpha: float = 0.05
) -> MetricEstimate:
    """Share of comparable pairs in which the patient with the earlier event has the higher risk.

    C = (concordant + ties in risk / 2) / comparable pairs. A pair is comparable when the earlier
    time is an event; an event and a censoring at the same time are comparable (the censored patient
    outlived the event), two events at the same time are not.

    Under censoring the value depends on who was followed how long, and usually overstates the
    concordance of a fully observed population: see :func:`uno_concordance_index`.

    Parameters
    ----------
    y : structured array, shape (n_patients,)
    risk : array-like, shape (n_patients,)
        Higher means worse (earlier event).
    alpha : float

    Returns
    -------
    MetricEstimate
        In [0, 1]; .5 is chance, higher is better. The interval is symmetric on the logit scale.

    Raises
    ------
    NotEstimableError
        If no pair is comparable (all censored, say).

    Notes
    -----
    Time n log n, by counting pairs while splitting the times in halves.

    References
    ----------
    Harrell, Lee and Mark (1996), Statistics in Medicine 15.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> concordance_index(y, [4.0, 1.0, 3.0, 2.0]).value
    0.6
    """
    y = check_survival_outcome(y)
    score = check_numbers("risk", risk, (len(y),))
    value, influence, _ = _weighted_concordance(y, score, y["event"].astype(np.float64))
    return estimate("concordance_index", value, Influence(influence), "logit", alpha=alpha)


def uno_concordance_index(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    risk: npt.ArrayLike,
    tau: float,
    alpha: float = 0.05,
) -> MetricEstimate:
    """Concordance up to ``tau`` that does not depend on the censoring.

    Each pair whose earlier time T_i is an event before tau counts with weight 1 / G(T_i-)^2, where
    G is the chance of still being followed, learned from ``y_train``. It estimates
    P(risk_i > risk_j | T_i < T_j, T_i < tau).

    Assumes censoring independent of event time and covariates; if the follow-up differs by a
    covariate that also drives the risk, the weights are wrong and the value is biased.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Where the censoring distribution is learned.
    y : structured array, shape (n_patients,)
        The patients judged.
    risk : array-like, shape (n_patients,)
        Higher means worse.
    tau : float
        Events at or after tau do not count; in the unit of the durations. See
        :func:`biomarker.survival.censoring.default_tau`.
    alpha : float

    Returns
    -------
    MetricEstimate
        In [0, 1]; .5 is chance, higher is better.

    Raises
    ------
    NotEstimableError
        If tau lies beyond the follow-up of ``y_train``, or no pair is comparable.

    Notes
    -----
    Ties as in :func:`concordance_index`. The interval counts the uncertainty of G.

    References
    ----------
    Uno, Cai, Pencina, D'Agostino and Wei (2011), Statistics in Medicine 30.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> uno_concordance_index(y, y, [4.0, 1.0, 3.0, 2.0], tau=3.5).value
    0.6
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    score = check_numbers("risk", risk, (len(y),))
    followed = CensoringDistribution.fit(y_train)
    if not (np.isfinite(tau) and 0.0 < tau <= followed.support):
        raise NotEstimableError(
            f"tau must lie above 0 and at most at the largest follow-up ({followed.support:g}); "
            f"got {tau:g}. Choose an earlier tau."
        )
    duration = y["duration"]
    counted = y["event"] & (duration < tau)
    weight = np.zeros(len(y))
    weight[counted] = followed.before(duration[counted]) ** -2.0
    value, influence, shares = _weighted_concordance(y, score, weight)
    # G enters squared, hence the 2.
    train = 2.0 * censoring_influence(y_train, duration[counted], shares[counted])
    return estimate(
        "uno_concordance_index",
        value,
        Influence(influence, train),
        "logit",
        same_patients=same_outcomes(y_train, y),
        alpha=alpha,
        horizon=float(tau),
    )


def same_outcomes(y_train: SurvivalOutcome, y: SurvivalOutcome) -> bool:
    """Whether the censoring weights were learned from the judged patients themselves."""
    return y_train is y or (len(y_train) == len(y) and bool(np.array_equal(y_train, y)))


def _weighted_concordance(
    y: SurvivalOutcome, risk: Floats, weight: Floats
) -> tuple[float, Floats, Floats]:
    """Concordance, each patient's influence, and each event's share (concordant - C) in the sum.

    A patient enters pairs twice: as the earlier event (row) and as the one who outlives (column).
    """
    n = len(y)
    rank = np.unique(risk, return_inverse=True)[1]
    censored = (~y["event"]).astype(np.intp)
    # Events before censorings at one time; events of one time by risk, so that no pair among
    # them counts as "less": only their ties in risk need taking out.
    order = np.lexsort((rank, censored, y["duration"]))
    time, kind, rank = y["duration"][order], censored[order], rank[order]
    w = weight[order]
    less, equal, above, level = _later_counts(rank, w)
    moment = np.concatenate([[True], (time[1:] != time[:-1]) | (kind[1:] != kind[:-1])])
    start, end = _runs(moment)
    run_start, run_end = _runs(moment | np.concatenate([[True], rank[1:] != rank[:-1]]))
    index = np.arange(n)
    is_event = kind == 0
    equal -= np.where(is_event, run_end - 1 - index, 0)
    level -= np.where(is_event, w * (index - run_start), 0.0)
    cumulative = np.concatenate([[0.0], np.cumsum(w)])
    row_good, row_all = w * (less + 0.5 * equal), w * (n - end)
    total = float(row_all.sum())
    if not total > 0.0:
        raise NotEstimableError(
            "y must hold at least one pair whose earlier time is a counted event; got none among "
            f"{n} patients with {int(y['event'].sum())} event(s). Concordance is not defined here."
        )
    value = float(row_good.sum()) / total
    column = (above + 0.5 * level) - value * cumulative[start]
    shares = (row_good - value * row_all) / total
    influence = n * (shares + column / total)
    # Rank statistics of few events understate their variance by this factor (as n - 1 for n).
    used = int(np.count_nonzero(w))
    influence *= np.sqrt(used / max(used - 1, 1))
    back = np.empty(n, dtype=np.intp)
    back[order] = index
    return value, influence[back], shares[back]


def _runs(first: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Start and end (exclusive) of the run each position belongs to."""
    starts = np.nonzero(first)[0]
    number = np.cumsum(first) - 1
    ends = np.append(starts[1:], len(first))
    return starts[number], ends[number]


def _later_counts(rank: Indices, weight: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Count pairs of positions i < j by how their ranks compare, in n log n.

    Returns, for each i, how many later j have a smaller and an equal rank; for each j, the weight
    of earlier i with a larger and an equal rank. Positions are kept in rank order and split by
    halves of the position range: at each level every pair that the split parts is counted from
    running sums, so a level costs n.
    """
    n = len(rank)
    less, equal, above, level = (np.zeros(n) for _ in range(4))
    sequence = np.argsort(rank, kind="stable")
    half = 1
    while 2 * half < n:
        half *= 2
    while half >= 1:
        block = sequence // (2 * half)
        begin = block * (2 * half)
        finish = np.minimum(begin + 2 * half, n)
        right = (sequence // half) % 2 == 1
        ordered = rank[sequence]
        change = (ordered[1:] != ordered[:-1]) | (block[1:] != block[:-1])
        tie_start, tie_end = _runs(np.concatenate([[True], change]))
        n_right = np.concatenate([[0.0], np.cumsum(right)])
        w_left = np.concatenate([[0.0], np.cumsum(np.where(right, 0.0, weight[sequence]))])
        left_at, right_at = sequence[~right], sequence[right]
        less[left_at] += (n_right[tie_start] - n_right[begin])[~right]
        equal[left_at] += (n_right[tie_end] - n_right[tie_start])[~right]
        above[right_at] += (w_left[finish] - w_left[tie_end])[right]
        level[right_at] += (w_left[tie_end] - w_left[tie_start])[right]
        here = np.arange(n)
        right_before = (n_right[:-1] - n_right[begin]).astype(np.intp)
        target = np.where(right, begin + half + right_before, here - right_before)
        moved = np.empty(n, dtype=np.intp)
        moved[target] = sequence
        sequence, half = moved, half // 2
    return less, equal, above, level


def _weighted_auc(
    risk: Floats, case: npt.NDArray[np.bool_], control: npt.NDArray[np.bool_], weight: Floats
) -> tuple[float, Floats, Floats]:
    """Weighted area under the curve, influence of each patient, and each case's share."""
    n = len(risk)
    w = weight[case]
    if not case.any() or not control.any() or not w.sum() > 0.0:
        raise NotEstimableError(
            "both groups must be present to compare; got "
            f"{int(case.sum())} case(s) and {int(control.sum())} control(s)."
        )
    cases, controls = risk[case], risk[control]
    sorted_controls = np.sort(controls)
    below = np.searchsorted(sorted_controls, cases, side="left")
    upto = np.searchsorted(sorted_controls, cases, side="right")
    beats = 0.5 * (below + upto) / len(controls)
    order = np.argsort(cases, kind="stable")
    mass = np.concatenate([[0.0], np.cumsum(w[order])]) / w.sum()
    lower = mass[np.searchsorted(cases[order], controls, side="left")]
    upper = mass[np.searchsorted(cases[order], controls, side="right")]
    beaten = 1.0 - 0.5 * (lower + upper)
    value = float(beats @ w / w.sum())
    share = np.zeros(n)
    share[case] = w * (beats - value) / w.sum()
    influence = np.zeros(n)
    n_case, n_control = int(case.sum()), len(controls)
    influence[case] = n * share[case] * np.sqrt(n_case / max(n_case - 1, 1))
    spread = np.sqrt(n_control / max(n_control - 1, 1))
    influence[control] = n * (beaten - value) / n_control * spread
    return value, influence, share


def time_dependent_auc(
    y_train: SurvivalOutcome,
    y: SurvivalOutcome,
    risk: npt.ArrayLike,
    times: npt.ArrayLike,
    alpha: float = 0.05,
) -> TimedEstimate:
    """Chance that a patient with the event by t had a higher risk than one without (at each t).

    Cumulative cases (event at T <= t, weight 1 / G(T-)) against dynamic controls (T > t); ties in
    risk count one half. Assumes censoring independent of event time and covariates.

    Parameters
    ----------
    y_train : structured array, shape (n_train,)
        Where the censoring distribution G is learned.
    y : structured array, shape (n_patients,)
    risk : array-like, shape (n_patients,) or (n_patients, n_times)
        Higher means worse; one column per time where the ranking changes over time.
    times : array-like, shape (n_times,)
    alpha : float

    Returns
    -------
    TimedEstimate
        In [0, 1]; .5 is chance, higher is better. ``horizon`` of each value is its time.

    Raises
    ------
    NotEstimableError
        If a time lies beyond the follow-up, or leaves no case or no control.

    References
    ----------
    Uno, Cai, Tian and Wei (2007), JASA 102. Hung and Chiang (2010), Scand. J. Statist. 37.

    Examples
    --------
    >>> from biomarker import survival_outcome
    >>> y = survival_outcome([1, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    >>> time_dependent_auc(y, y, [4.0, 1.0, 3.0, 2.0], [1.5, 2.5]).value.tolist()
    [1.0, 0.5]
    """
    y_train, y = check_survival_outcome(y_train), check_survival_outcome(y)
    moments = check_times(times)
    score = np.asarray(risk, dtype=np.float64)
    if score.ndim == 1:
        score = np.repeat(score[:, None], len(moments), axis=1)
    score = check_numbers("risk", score, (len(y), len(moments)))
    followed = CensoringDistribution.fit(y_train)
    duration, columns = y["duration"], []
    for number, moment in enumerate(moments):
        supported_survival(followed, float(moment))
        case = y["event"] & (duration <= moment)
        weight = np.zeros(len(y))
        weight[case] = 1.0 / followed.before(duration[case])
        value, influence, share = _weighted_auc(score[:, number], case, duration > moment, weight)
        train = censoring_influence(y_train, duration[case], share[case])
        columns.append((value, influence, train))
    joint = Influence(
        np.column_stack([c[1] for c in columns]), np.column_stack([c[2] for c in columns])
    )
    return timed_estimate(
        "time_dependent_auc",
        moments,
        np.array([c[0] for c in columns]),
        joint,
        "logit",
        same_patients=same_outcomes(y_train, y),
        alpha=alpha,
    )


def check_times(times: npt.ArrayLike) -> Floats:
    """Pass ascending positive times through."""
    moments = np.atleast_1d(np.asarray(times, dtype=np.float64))
    ascending = moments.ndim == 1 and moments.size > 0 and bool(np.all(np.diff(moments) > 0))
    if not (ascending and np.all(np.isfinite(moments)) and moments[0] > 0):
        raise ValueError(
            f"times must be finite, above 0 and strictly ascending; got {moments.size} value(s)."
        )
    return moments


def roc_auc(response: npt.ArrayLike, risk: npt.ArrayLike, alpha: float = 0.05) -> MetricEstimate:
    """Chance that a responder's score is higher than a non-responder's; ties count one half.

    Parameters
    ----------
    response : array-like of bool or 0/1, shape (n_patients,)
    risk : array-like, shape (n_patients,)
        Score or probability; higher means that True is likelier.
    alpha : float

    Returns
    -------
    MetricEstimate
        In [0, 1]; .5 is chance, higher is better. Interval after DeLong, on the logit scale.

    Raises
    ------
    NotEstimableError
        If all responses are alike.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
    0.75
    """
    outcome = check_response(response)
    score = check_numbers("risk", risk, (len(outcome),))
    value, influence, _ = _weighted_auc(score, outcome, ~outcome, np.ones(len(outcome)))
    return estimate("roc_auc", value, Influence(influence), "logit", alpha=alpha)
