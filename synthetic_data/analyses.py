"""The published analyses in plain NumPy and SciPy: counts, exact tests, curves, simple Cox fits.

They judge cohorts against print and share no code with the estimators that cohorts later judge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from synthetic_data.table import Floats

__all__ = [
    "clopper_pearson",
    "concordance",
    "cox",
    "fisher_p",
    "hardy_weinberg_chi2",
    "kaplan_meier",
    "logrank_p",
    "mantel_haenszel",
    "median_survival",
    "odds_ratio",
    "pearson_p",
    "survival_at",
]

Bools = npt.NDArray[np.bool_]


def fisher_p(table: npt.ArrayLike) -> float:
    """Two-sided Fisher exact p of a two-by-two table of counts."""
    return float(stats.fisher_exact(np.asarray(table))[1])


def pearson_p(table: npt.ArrayLike) -> float:
    """Pearson chi-square p of a two-by-two table, without continuity correction."""
    return float(stats.chi2_contingency(np.asarray(table), correction=False)[1])


def odds_ratio(table: npt.ArrayLike) -> tuple[float, float, float]:
    """Odds ratio of [[a, b], [c, d]] with Woolf's 95% interval."""
    (a, b), (c, d) = np.asarray(table, dtype=np.float64)
    log_ratio = np.log(a * d / (b * c))
    half = stats.norm.ppf(0.975) * np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return (
        float(np.exp(log_ratio)),
        float(np.exp(log_ratio - half)),
        float(np.exp(log_ratio + half)),
    )


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Exact 95% interval of a proportion."""
    low = stats.beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0
    high = stats.beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def hardy_weinberg_chi2(counts: npt.ArrayLike) -> float:
    """Chi-square (1 df) of genotype counts (WT/WT, WT/d32, d32/d32) against Hardy-Weinberg."""
    observed = np.asarray(counts, dtype=np.float64)
    n = observed.sum()
    q = (observed[1] + 2 * observed[2]) / (2 * n)
    expected = n * np.asarray([(1 - q) ** 2, 2 * q * (1 - q), q**2])
    return float(((observed - expected) ** 2 / expected).sum())


def kaplan_meier(time: Floats, event: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Event times and the survival curve just after each.

    Parameters
    ----------
    time : ndarray, shape (n_patients,)
        Durations.
    event : array-like, shape (n_patients,)
        True or 1 for an event.
    """
    order = np.argsort(time, kind="stable")
    times, events = np.asarray(time)[order], np.asarray(event)[order].astype(bool)
    unique, first = np.unique(times, return_index=True)
    at_risk = len(times) - first
    deaths = np.add.reduceat(events.astype(np.float64), first)
    return unique, np.asarray(np.cumprod(1.0 - deaths / at_risk), dtype=np.float64)


def median_survival(time: Floats, event: npt.ArrayLike) -> float:
    """First time at which the curve is at or below one half; infinite if it never is."""
    times, alive = kaplan_meier(time, event)
    below = np.flatnonzero(alive <= 0.5 + 1e-9)  # a product that should be one half may miss it
    return float(times[below[0]]) if len(below) else float("inf")


def survival_at(time: Floats, event: npt.ArrayLike, months: float) -> float:
    """Kaplan-Meier survival probability at one time."""
    times, alive = kaplan_meier(time, event)
    at = int(np.searchsorted(times, months, side="right"))
    return float(alive[at - 1]) if at else 1.0


def logrank_p(time: Floats, event: npt.ArrayLike, group: npt.ArrayLike) -> float:
    """Log-rank p for two or more groups."""
    events = np.asarray(event).astype(bool)
    labels, codes = np.unique(np.asarray(group), return_inverse=True)
    order = np.argsort(time, kind="stable")
    t, d, g = np.asarray(time)[order], events[order], codes[order]
    first = np.unique(t, return_index=True)[1]
    member = np.eye(len(labels))[g]
    at_risk = np.cumsum(member[::-1], axis=0)[::-1][first]
    deaths = np.add.reduceat(member * d[:, None], first, axis=0)
    n, k = at_risk.sum(axis=1), deaths.sum(axis=1)
    share = at_risk / n[:, None]
    excess = (deaths - k[:, None] * share).sum(axis=0)
    scale = np.where(n > 1, k * (n - k) / np.maximum(n - 1, 1), 0.0)
    variance = np.diag(scale @ share) - (share * scale[:, None]).T @ share
    chi2 = excess[1:] @ np.linalg.solve(variance[1:, 1:], excess[1:])
    return float(stats.chi2.sf(chi2, len(labels) - 1))


def cox(x: npt.ArrayLike, time: Floats, event: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Breslow Cox fit by Newton steps that are halved until the likelihood rises.

    Parameters
    ----------
    x : array-like, shape (n_patients,) or (n_patients, n_features)
        Covariates.
    time, event : array-like, shape (n_patients,)
        Durations; True or 1 for an event.

    Returns
    -------
    beta, se : ndarray, shape (n_features,)
        Log hazard ratios (higher = worse) and standard errors.
    """
    matrix = np.asarray(x, dtype=np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    order = np.argsort(-np.asarray(time), kind="stable")
    matrix = matrix[order] - matrix.mean(axis=0)
    t, d = np.asarray(time)[order], np.asarray(event)[order].astype(bool)
    # the risk set of a tied time ends at the last of its ties
    last = np.searchsorted(-t, -t[d], side="right") - 1
    p = matrix.shape[1]
    pairs = (matrix[:, :, None] * matrix[:, None, :]).reshape(len(t), p * p)
    observed = matrix[d].sum(axis=0)

    def parts(beta: Floats) -> tuple[float, Floats, Floats]:
        eta = matrix @ beta
        weight = np.exp(eta)
        zero = np.cumsum(weight)[last]
        mean = np.cumsum(weight[:, None] * matrix, axis=0)[last] / zero[:, None]
        second = (np.cumsum(weight[:, None] * pairs, axis=0)[last] / zero[:, None]).sum(axis=0)
        value = float(eta[d].sum() - np.log(zero).sum())
        return value, observed - mean.sum(axis=0), second.reshape(p, p) - mean.T @ mean

    beta = np.zeros(p)
    value, score, information = parts(beta)
    for _ in range(40):
        step = np.linalg.solve(information, score)
        for _ in range(20):
            trial = parts(beta + step)
            if trial[0] >= value - 1e-12:
                break
            step = step / 2.0
        beta = beta + step
        value, score, information = trial
        if np.abs(step).max() < 1e-9:
            break
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


def concordance(risk: Floats, time: Floats, event: npt.ArrayLike) -> float:
    """Harrell's C: share of comparable pairs where the higher risk fails first, ties half."""
    events = np.asarray(event).astype(bool)
    total = agree = 0.0
    for i in np.flatnonzero(events):
        later = (time > time[i]) | ((time == time[i]) & ~events)
        total += float(later.sum())
        agree += float((risk[later] < risk[i]).sum()) + 0.5 * float((risk[later] == risk[i]).sum())
    return agree / total


def mantel_haenszel(tables: Floats) -> float:
    """Log of the Mantel-Haenszel odds ratio over two-by-two tables, shape (n_strata, 2, 2)."""
    n = tables.sum(axis=(1, 2))
    up = (tables[:, 0, 0] * tables[:, 1, 1] / n).sum()
    down = (tables[:, 0, 1] * tables[:, 1, 0] / n).sum()
    return float(np.log(up / down))
