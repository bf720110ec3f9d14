"""Durable benefit: what a landmark keeps honest, and whether milestone intervals cover.

``run(2000, workers, seed)`` gives one row per cell and measure: rejection by the landmark
comparison under no effect (row 9), coverage of Kaplan-Meier limits (row 13), and coverage of the
absolute scale's intervals and of those of predicted benefit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from biomarker import Cohort, Study
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.absolute import absolute_effect
from biomarker.evidence.analysis_set import analysis_set
from biomarker.evidence.benefit import evaluate_benefit
from biomarker.evidence.benefit_models import BenefitData, CoxBenefit
from biomarker.evidence.durable import milestone_contrasts
from biomarker.evidence.landmark import landmark_association
from biomarker.metrics.benefit import c_for_benefit, rule_gain
from biomarker.outcomes import survival_outcome
from biomarker.resampling import spawn
from biomarker.survival.curves import kaplan_meier
from biomarker.survival.log_rank import log_rank
from experiments.cells import Parts

__all__ = ["run"]

N_TRUTH = 1_000_000
TAU = 1.0
LOG_HR = math.log(0.6)
SIZE, COVERAGE = "at most 6.0%", "95 +/- 1.5%"
REPORTED = "reported"

# -- row 9: groups that form after treatment began -------------------------------------------------

LANDMARKS = tuple(
    {"n": n, "responders": share, "arms": arms}
    for n, share, arms in (
        (60, 0.4, 1), (120, 0.2, 1), (120, 0.4, 1), (300, 0.4, 1), (700, 0.4, 1), (300, 0.4, 2),
    )
)  # fmt: skip


def landmark_cohort(cell: dict[str, Any], rng: np.random.Generator) -> tuple[Any, ...]:
    """Responders are drawn by lot; all that response needs is to live until it is seen.

    With two arms the drug doubles response and halves the hazard, so that pooling them would
    confound; within arm response still means nothing.
    """
    n = cell["n"]
    arm = rng.permutation(np.arange(n) % 2) if cell["arms"] == 2 else np.zeros(n, dtype=int)
    event_at = rng.exponential(12.0 * np.where(arm == 1, 2.0, 1.0))
    follow_up = rng.uniform(6.0, 48.0, n)
    y = survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up) + 1e-6)
    chance = np.where(arm == 1, 2.0, 1.0) * cell["responders"] / (1.5 if cell["arms"] == 2 else 1.0)
    seen_at = rng.uniform(1.0, 9.0, n)
    responded = (rng.random(n) < chance) & (seen_at < y["duration"])
    return y, responded, np.where(responded, seen_at, np.nan), arm


def landmark_replicate(cell: dict[str, Any], seed: int, b: int) -> dict[str, float]:
    """One cohort: the comparison at six months, and the one that is refused."""
    y, responded, seen_at, arm = landmark_cohort(cell, spawn(seed, "landmark", _key(cell), b))
    strata = arm if cell["arms"] == 2 else None
    refused = 0.0
    try:
        landmark_association(y, responded, strata=strata)
    except UsageError as error:
        refused = float("landmark" in str(error))
    naive = log_rank(y, responded, strata).p_value < 0.05
    found = {"refused": refused, "naive": float(naive)}
    try:
        result = landmark_association(
            y, responded, landmark=6.0, known_at=seen_at, strata=strata, seed=b
        )
    except NotEstimableError:
        return found | {"not_estimable": 1.0}
    shown = result.landmark == 6.0 and result.n_excluded == int(np.sum(y["duration"] <= 6.0))
    return found | {
        "not_estimable": 0.0,
        "rejected": float(result.p < 0.05),
        "asymptotic": float(result.p_asymptotic < 0.05),
        "shown": float(shown),
    }


# -- row 13: Kaplan-Meier at the median ------------------------------------------------------------

CURVES = ({"n": 50, "censored": 0.0}, {"n": 50, "censored": 0.3})


def curve_replicate(cell: dict[str, Any], seed: int, b: int) -> dict[str, float]:
    """Whether log-log and plain intervals hold one half at the true median."""
    rng = spawn(seed, "curve", _key(cell), b)
    n = cell["n"]
    event_at = rng.exponential(size=n)
    # Exponential follow-up with this rate is the shorter of the two in the wanted share.
    rate = cell["censored"] / (1.0 - cell["censored"])
    follow_up = rng.exponential(size=n) / rate if rate > 0 else np.full(n, np.inf)
    y = survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up))
    median = math.log(2.0)
    if y["duration"].max() <= median:
        return {"not_estimable": 1.0}
    curve = kaplan_meier(y)
    low, high = (float(v[0]) for v in curve.interval_at([median]))
    value = float(curve.survival_at([median])[0])
    past = curve.times <= median
    terms = curve.n_events[past] / (
        curve.n_at_risk[past] * np.maximum(curve.n_at_risk[past] - curve.n_events[past], 1.0)
    )
    half = 1.959964 * value * math.sqrt(float(terms.sum()))
    return {
        "not_estimable": 0.0,
        "log_log": float(low <= 0.5 <= high),
        "plain": float(value - half <= 0.5 <= value + half),
    }


# -- absolute scale --------------------------------------------------------------------------------

MARKERS = ("normal", "lognormal on its log", "binary", "lognormal untransformed")
EVENT_RATES = {0.3: 0.22, 0.5: 0.5, 0.7: 1.1}  # share with the event: baseline rate
ABSOLUTE = tuple(
    {"n": 300, "marker": marker, "events": share}
    for marker in MARKERS
    for share in (EVENT_RATES if marker != "lognormal untransformed" else (0.5,))
)


def population(
    marker: str, rate: float, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marker as measured, and event times under control and treatment.

    Hazard ratio 1.5 per SD under control, .6 of treatment, and .67 more per SD of the marker.
    """
    z = rng.normal(size=n)
    if marker == "binary":
        measured = (rng.random(n) < 0.2).astype(float)
        z = (measured - 0.2) / 0.4
    elif marker == "normal":
        measured = z
    else:
        measured = np.exp(z)
    waits = rng.exponential(size=(2, n))
    control = waits[0] / (rate * np.exp(0.4 * z))
    treated = waits[1] / (rate * np.exp(0.4 * z + LOG_HR - 0.4 * z))
    return measured, control, treated


def on_scale(marker: str, measured: np.ndarray) -> np.ndarray:
    """The marker on its declared transform."""
    return np.log(measured) if marker == "lognormal on its log" else measured


def absolute_truth(cell: dict[str, Any], seed: int) -> float:
    """Least-squares slope of min(T1, tau) - min(T0, tau) in a million potential outcomes."""
    rng = spawn(seed, "absolute truth", _key(cell))
    rate = EVENT_RATES[cell["events"]]
    measured, control, treated = population(cell["marker"], rate, N_TRUTH, rng)
    x = on_scale(cell["marker"], measured)
    gain = np.minimum(treated, TAU) - np.minimum(control, TAU)
    return float(np.cov(x, gain)[0, 1] / np.var(x, ddof=1))


def study(marker: str) -> Study:
    """A randomised study of one marker."""
    column: dict[str, Any] = {"role": "marker", "kind": "continuous", "check_units": False}
    if marker == "binary":
        column = {"role": "marker", "kind": "categorical", "levels": ["low", "high"]}
    elif marker == "lognormal on its log":
        column |= {"transform": "log", "range": [1e-9, 1e9]}
    endpoint = {
        "type": "survival", "duration": "years", "event": "died", "event_values": ["1"],
        "censored_values": ["0"], "unit": "years", "tau": TAU, "horizons": [TAU],
    }  # fmt: skip
    arm = {"role": "arm", "levels": ["placebo", "drug"], "control": "placebo", "randomised": True}
    return Study.from_dict(
        {
            "format_version": 1,
            "name": "durable",
            "columns": {
                "pid": {"role": "id"},
                "arm": arm,
                "m": column,
                "years": {"role": "endpoint"},
                "died": {"role": "endpoint"},
            },
            "endpoints": {"os": endpoint},
        }
    )


def trial(cell: dict[str, Any], rng: np.random.Generator) -> tuple[Cohort, np.ndarray]:
    """A randomised cohort followed for .8 to 3 years, and the marker on its declared scale."""
    n, marker = cell["n"], cell["marker"]
    measured, control, treated = population(marker, EVENT_RATES[cell["events"]], n, rng)
    arm = rng.permutation(np.arange(n) % 2)
    event_at = np.where(arm == 1, treated, control)
    follow_up = rng.uniform(0.8, 3.0, n)
    frame = pd.DataFrame(
        {
            "pid": [f"p{i}" for i in range(n)],
            "arm": np.where(arm == 1, "drug", "placebo"),
            "m": np.where(measured == 1.0, "high", "low") if marker == "binary" else measured,
            "years": np.maximum(np.minimum(event_at, follow_up), 1e-9),
            "died": (event_at <= follow_up).astype(int).astype(str),
        }
    )
    return Cohort.from_frame(frame, study(marker)), on_scale(marker, measured)


def absolute_replicate(cell: dict[str, Any], truth: float, seed: int, b: int) -> dict[str, float]:
    """Whether the interval of the slope holds the truth, per this cohort's unit of contrast."""
    cohort, x = trial(cell, spawn(seed, "absolute", _key(cell), b))
    target = truth if cell["marker"] == "binary" else truth * float(x.std(ddof=1))
    try:
        found = absolute_effect(analysis_set(cohort, "m", "os"), at=TAU)
    except (NotEstimableError, UsageError):
        return {"not_estimable": 1.0}
    return {"not_estimable": 0.0, "restricted_mean_slope": float(found.low <= target <= found.high)}


MILESTONES = ({"n": 300, "marker": "binary", "events": 0.3},)


def milestone_truth(cell: dict[str, Any], seed: int) -> dict[tuple[str, str], tuple[float, ...]]:
    """Control's value and the difference, by level and measure."""
    rng = spawn(seed, "milestone truth", _key(cell))
    measured, control, treated = population(
        cell["marker"], EVENT_RATES[cell["events"]], N_TRUTH, rng
    )
    found = {}
    for level, inside in (("low", measured == 0.0), ("high", measured == 1.0)):
        one, none = treated[inside], control[inside]
        found[level, "survival"] = (np.mean(none > TAU), np.mean(one > TAU) - np.mean(none > TAU))
        means = [np.minimum(t, TAU).mean() for t in (none, one)]
        found[level, "restricted_mean"] = (means[0], means[1] - means[0])
    return found


def milestone_replicate(cell: dict[str, Any], truth: Any, seed: int, b: int) -> dict[str, float]:
    """Whether the intervals of each level's contrasts hold the truth."""
    cohort, _ = trial(cell, spawn(seed, "milestone", _key(cell), b))
    try:
        contrasts = milestone_contrasts(cohort, "m", "os")
    except (NotEstimableError, UsageError):
        return {"not_estimable": 1.0}
    found = {"not_estimable": 0.0}
    for c in contrasts:
        control, gap = truth[c.level, c.measure]
        found[f"{c.measure} control {c.level}"] = float(c.control_low <= control <= c.control_high)
        found[f"{c.measure} difference {c.level}"] = float(
            c.difference_low <= gap <= c.difference_high
        )
    return found


# -- predicted benefit -----------------------------------------------------------------------------

PREDICTED = ({"n": 300, "marker": "normal", "events": 0.5},)


def true_benefit(z: np.ndarray, rate: float) -> np.ndarray:
    """Restricted mean to tau under treatment less that under control, exponential times."""
    hazards = [rate * np.exp(0.4 * z + a * (LOG_HR - 0.4 * z)) for a in (1.0, 0.0)]
    means = [(1.0 - np.exp(-h * TAU)) / h for h in hazards]
    return means[0] - means[1]


def rule_truth(cell: dict[str, Any], seed: int) -> dict[str, float]:
    """What predictions by a fixed rule are worth, from potential outcomes."""
    rng = spawn(seed, "rule truth", _key(cell))
    rate = EVENT_RATES[cell["events"]]
    z, control, treated = population(cell["marker"], rate, N_TRUTH, rng)
    gain, chosen = np.minimum(treated, TAU) - np.minimum(control, TAU), true_benefit(z, rate) > 0.06
    # In blocks, since pairs of pairs are counted; half of each block is taken as treated.
    values = []
    for block in np.array_split(rng.permutation(N_TRUTH), N_TRUTH // 2_000)[:200]:
        arm = np.arange(len(block)) % 2 == 1
        time = np.where(arm, treated[block], control[block])
        y = survival_outcome(np.ones(len(block)), time + 1e-12)
        values.append(c_for_benefit(true_benefit(z[block], rate), arm, y, TAU).value)
    return {
        "c_for_benefit": float(np.mean(values)),
        "gain_over_all": float(-gain[~chosen].sum() / N_TRUTH),
        "gain_over_none": float(gain[chosen].sum() / N_TRUTH),
    }


def rule_replicate(
    cell: dict[str, Any], truth: dict[str, float], seed: int, b: int
) -> dict[str, float]:
    """Intervals of the metrics with the predictions given, as for an external file."""
    cohort, z = trial(cell, spawn(seed, "rule", _key(cell), b))
    y, arm = cohort.outcomes["os"].y, cohort.treated
    benefit = true_benefit(z, EVENT_RATES[cell["events"]])
    c = c_for_benefit(benefit, arm, y, TAU)
    gain = rule_gain(benefit, arm, y, TAU, threshold=0.06)
    found = {"c_for_benefit": c, "gain_over_all": gain.over_all, "gain_over_none": gain.over_none}
    return {
        f"{name}, fixed predictions": float(e.low <= truth[name] <= e.high)
        for name, e in found.items()
        if e.low is not None and e.high is not None
    }


def procedure_truth(cell: dict[str, Any], seed: int, b: int) -> dict[str, float]:
    """What the procedure, learned from four fifths of a cohort, is worth in new patients."""
    rng = spawn(seed, "procedure truth", _key(cell), b)
    n, new = cell["n"] * 4 // 5, 4_000
    rate = EVENT_RATES[cell["events"]]
    z, control, treated = population(cell["marker"], rate, n + new, rng)
    arm = np.arange(n + new) % 2 == 1
    time = np.where(arm, treated, control) + 1e-12
    follow_up = np.where(np.arange(n + new) < n, rng.uniform(0.8, 3.0, n + new), np.inf)
    y = survival_outcome(time <= follow_up, np.minimum(time, follow_up))
    data = BenefitData(np.empty((n + new, 0)), z[:, None], arm, y, "restricted_mean", TAU)
    learned = np.arange(n + new) < n
    benefit = CoxBenefit().resamples(
        data, learned[None, :].astype(np.uint16), ~learned[None, :]
    )[0, n:]  # fmt: skip
    gain = (np.minimum(treated, TAU) - np.minimum(control, TAU))[n:]
    return {
        "c_for_benefit": c_for_benefit(benefit, arm[n:], y[n:], TAU).value,
        "gain_over_all": float(-gain[benefit <= 0.06].sum() / new),
        "gain_over_none": float(gain[benefit > 0.06].sum() / new),
    }


def procedure_replicate(
    cell: dict[str, Any], truth: dict[str, float], seed: int, b: int
) -> dict[str, float]:
    """Intervals over the whole fitting procedure."""
    cohort, _ = trial(cell, spawn(seed, "procedure", _key(cell), b))
    try:
        found = evaluate_benefit(
            cohort, "os", threshold=0.06, n_resamples=100, n_null=20, random_state=b
        )
    except (NotEstimableError, UsageError):
        return {"not_estimable": 1.0}
    measures = {name: getattr(found, name) for name in truth}
    return {"not_estimable": 0.0} | {
        f"{name}, whole procedure": float(m.low <= truth[name] <= m.high)
        for name, m in measures.items()
        if m.low is not None
    }


def null_replicate(cell: dict[str, Any], seed: int, b: int) -> dict[str, float]:
    """Out-of-fold values where treatment does nothing and the marker means nothing."""
    rng = spawn(seed, "no heterogeneity", _key(cell), b)
    n = cell["n"]
    event_at, follow_up = rng.exponential(2.0, n), rng.uniform(0.8, 3.0, n)
    frame = pd.DataFrame(
        {
            "pid": [f"p{i}" for i in range(n)],
            "arm": np.where(rng.permutation(np.arange(n) % 2) == 1, "drug", "placebo"),
            "m": rng.normal(size=n),
            "years": np.minimum(event_at, follow_up) + 1e-9,
            "died": (event_at <= follow_up).astype(int).astype(str),
        }
    )
    found = evaluate_benefit(
        Cohort.from_frame(frame, study("normal")), "os", n_resamples=20, n_null=20, random_state=b
    )
    return {
        "c_for_benefit": found.c_for_benefit.value,
        "c_for_benefit, redrawn": found.c_for_benefit.null_value,
        "gain_over_all": found.gain_over_all.value,
        "gain_over_none": found.gain_over_none.value,
    }


# -- the table -------------------------------------------------------------------------------------


def run(n_cohorts: int, workers: int, seed: int) -> list[dict[str, Any]]:
    """Every cell and measure.

    Parameters
    ----------
    n_cohorts : int
        Replicates of each cell; a tenth of it where a replicate refits the whole procedure.
    workers : int
        Processes; results do not depend on their number.
    seed : int

    Returns
    -------
    list of dict
        ``row``, ``cell``, ``measure``, ``value`` with its exact binomial 95% limits ``low`` and
        ``high`` (normal limits for a mean), ``n``, ``limit`` and ``passed``.
    """
    table: list[dict[str, Any]] = []

    def repeat(step: Callable[..., dict[str, float]], *given: Any, n: int = n_cohorts) -> Any:
        return Parallel(n_jobs=workers)(delayed(step)(*given, seed, b) for b in range(n))

    for cell in LANDMARKS:
        found = repeat(landmark_replicate, cell)
        limits = {"refused": "always", "shown": "always", "rejected": SIZE,
                  "not_estimable": "at most 2%"}  # fmt: skip
        table += _rates("9", cell, found, limits)
    for cell in CURVES:
        table += _rates("13", cell, repeat(curve_replicate, cell), {"log_log": COVERAGE})
    for cell in ABSOLUTE:
        found = repeat(absolute_replicate, cell, absolute_truth(cell, seed))
        held = cell["marker"] != "lognormal untransformed"
        limits = {"restricted_mean_slope": COVERAGE} if held else {}
        table += _rates("coverage", cell, found, limits)
    for cell in MILESTONES:
        found = repeat(milestone_replicate, cell, milestone_truth(cell, seed))
        table += _rates("coverage", cell, found, {})
    few = max(1, n_cohorts // 10)
    for cell in PREDICTED:
        table += _rates("coverage", cell, repeat(rule_replicate, cell, rule_truth(cell, seed)), {})
        worth = repeat(procedure_truth, cell, n=few)
        truth = {name: float(np.mean([w[name] for w in worth])) for name in worth[0]}
        table += _rates("coverage", cell, repeat(procedure_replicate, cell, truth, n=few), {})
        table += _means(cell | {"effect": "none"}, repeat(null_replicate, cell, n=few))
    return table


def _key(cell: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in sorted(cell.items()))


def _rates(
    row: str, cell: dict[str, Any], found: list[dict[str, float]], limits: dict[str, str]
) -> list[dict[str, Any]]:
    """Share of replicates with each property."""
    from scipy.stats import binomtest

    names = dict.fromkeys(name for replicate in found for name in replicate)
    rows = []
    for name in names:
        values = [replicate[name] for replicate in found if name in replicate]
        exact = binomtest(int(sum(values)), len(values)).proportion_ci()
        value, limit = float(np.mean(values)), limits.get(name, REPORTED)
        rows.append(
            {
                "row": row,
                "cell": cell,
                "measure": name,
                "value": value,
                "low": float(exact.low),
                "high": float(exact.high),
                "n": len(values),
                "limit": limit,
                "passed": bool(_within(value, limit)),
            }
        )
    return rows


def _within(value: float, limit: str) -> bool:
    """Whether a rate is what its limit says."""
    return {
        "always": value == 1.0,
        "at most 2%": value <= 0.02,
        SIZE: value <= 0.06,
        COVERAGE: abs(value - 0.95) <= 0.015 + 1e-12,
        REPORTED: True,
    }[limit]


def _means(cell: dict[str, Any], found: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Mean values without heterogeneity: a C-for-benefit of one half within .02."""
    rows = []
    for name in found[0]:
        values = np.array([replicate[name] for replicate in found])
        value = float(values.mean())
        half = 1.959964 * float(values.std(ddof=1)) / math.sqrt(len(values))
        c = name.startswith("c_for_benefit")
        rows.append(
            {
                "row": "coverage",
                "cell": cell,
                "measure": f"mean {name}",
                "value": value,
                "low": value - half,
                "high": value + half,
                "n": len(values),
                "limit": ".50 +/- .02" if c else REPORTED,
                "passed": bool(not c or abs(value - 0.5) <= 0.02),
            }
        )
    return rows


PARTS: Parts = {
    "durable": (lambda: ["all"], lambda _, cohorts, workers, seed: run(cohorts, workers, seed))
}
