"""Marginal truth of each marker: what an analyst who looks at arm and marker alone can estimate.

A conditional log hazard ratio is not what a one-marker Cox fit converges to: other risk factors are
left out, the laboratory adds noise, some patients are cured. The limits are computed here from
about a million patients without missing values. Times are integrated out, not drawn: a patient's
survival is known given the hazard multiplier m, so each marker needs only the joint histogram of
its value and log m, and the Cox score equation is solved with expected numbers at risk and of
events under the design's censoring. Standard errors come from eight independent sub-draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthetic_data.blocks import draw_measured
from synthetic_data.least_false import cox_limit, logistic_limit
from synthetic_data.outcomes import ArmTerms, cumulative_hazard, marker_scores, pfs_hazard
from synthetic_data.patient_truth import restricted_mean, survival_probability
from synthetic_data.plan import BLOCK, Plan
from synthetic_data.table import Coded, Floats

__all__ = ["DRAW_SIZE", "marginal_table"]

N_DRAWS, _BLOCKS_PER_DRAW = 8, 2
DRAW_SIZE = N_DRAWS * _BLOCKS_PER_DRAW * BLOCK
_SEED = 19_871_208  # fixed: the truth of a design is one number, whatever the cohort's seed
# Bins carry their mean, so a width w costs a relative error of w*w/12 in a slope.
_Z_WIDTH, _Z_BINS, _Z_LOW = 0.05, 400, -10.0
_M_EDGES = np.linspace(-7.0, 7.0, 281)
_N_TIMES = 160


@dataclass
class _Sums:
    """What one marker's truths are computed from; sums, so that sub-draws add up.

    Parameters
    ----------
    counts : ndarray, shape (2, 4, n_z_bins, n_m_bins)
        Patients by arm, weight layer, marker bin and log m bin. Survival is linear in the
        products of durable (d) and toxic (q) probabilities: layers (1-d), (1-d)q, d, dq.
    totals : ndarray, shape (n_z_bins, 2 + n_sums)
        Patients, sum of z, then sums of responses under control and treatment and of benefits.
    cross : ndarray, shape (n_sums,)
        Sums of z times each benefit; ``squares`` is the sum of z squared.
    quartiles : ndarray, shape (2,)
        Sums over blocks of the 25th and 75th percentile of z; ``blocks`` counts them.
    """

    counts: Floats
    totals: Floats
    cross: Floats
    squares: float
    quartiles: Floats
    blocks: int = 1

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.counts + other.counts,
            self.totals + other.totals,
            self.cross + other.cross,
            self.squares + other.squares,
            self.quartiles + other.quartiles,
            self.blocks + other.blocks,
        )


def _histogram(codes: npt.NDArray[np.int64], terms: ArmTerms) -> Floats:
    """Weight layers by marker bin and log m bin; sharing between neighbours keeps the mean of m."""
    step = _M_EDGES[1] - _M_EDGES[0]
    place = np.clip((terms.log_hazard - _M_EDGES[0]) / step, 0.0, len(_M_EDGES) - 1.000001)
    low = place.astype(np.int64)
    upper = place - low
    flat = codes * len(_M_EDGES) + low
    size = _Z_BINS * len(_M_EDGES)
    durable, toxic = terms.durable, terms.toxic
    layers = np.zeros((4, size))
    weights = (1.0 - durable, (1.0 - durable) * toxic, durable, durable * toxic)
    for layer, weight in zip(layers, weights, strict=True):
        if weight.any():
            layer += np.bincount(flat, weight * (1.0 - upper), size)
            layer += np.bincount(flat + 1, weight * upper, size)
    return layers.reshape(4, _Z_BINS, len(_M_EDGES))


def _benefits(terms: tuple[ArmTerms, ArmTerms], design: Mapping[str, Any]) -> dict[str, Floats]:
    """Individual benefits of treatment by name; higher = better."""
    survival = design["survival"]
    found = {}
    for months in design["horizons_months"]:
        found[f"survival_{months:g}_months"] = survival_probability(
            terms[1], months, survival, True
        ) - survival_probability(terms[0], months, survival, False)
    tau = design["rmst_months"]
    found[f"rmst_{tau:g}_months"] = restricted_mean(
        terms[1], tau, survival, True
    ) - restricted_mean(terms[0], tau, survival, False)
    found["response"] = terms[1].response - terms[0].response
    return found


def _sums(z: Floats, terms: tuple[ArmTerms, ArmTerms], benefits: list[Floats]) -> _Sums:
    """Sums of one sub-draw for one marker."""
    # a percentile of heaped values is one of them, not a point between two
    quartiles = np.asarray(np.quantile(z, [0.25, 0.75], method="inverted_cdf"), dtype=np.float64)
    codes = np.clip((z - _Z_LOW) / _Z_WIDTH, 0, _Z_BINS - 1).astype(np.int64)
    counts = np.stack([_histogram(codes, arm) for arm in terms])
    columns = [np.ones_like(z), z, terms[0].response, terms[1].response, *benefits]
    totals = np.column_stack([np.bincount(codes, c, _Z_BINS).astype(np.float64) for c in columns])
    return _Sums(counts, totals, np.asarray([z @ b for b in benefits]), float(z @ z), quartiles)


def _curves(counts: Floats, hazard: Floats, died: Floats, open_share: Floats) -> Floats:
    """Expected patients alive, times the share not yet censored; shape (n_z_bins, n_times)."""
    kept = np.exp(-np.exp(_M_EDGES)[:, None] * hazard[None, :]) * open_share
    sick, sick_toxic, cured, cured_toxic = counts
    alive = sick @ kept
    if sick_toxic.any():
        alive -= (sick_toxic @ kept) * died
    if cured.any():
        alive += cured @ open_share - (cured_toxic @ open_share) * died
    return np.asarray(alive)


def _uncensored(rule: Mapping[str, Any], times: Floats) -> Floats:
    """Share not yet censored per log m bin and time."""
    low, high = rule["follow_up_low"], rule["follow_up_high"]
    administrative = np.clip((high - times) / (high - low), 0.0, 1.0)
    rate = np.full(len(_M_EDGES), rule["dropout_per_month"])
    if rule["kind"] == "informative":
        rate = rate * np.exp(rule["log_rate_per_log_hazard"] * _M_EDGES)
    return np.asarray(administrative[None, :] * np.exp(-rate[:, None] * times[None, :]))


def _risk_and_events(
    sums: _Sums, design: Mapping[str, Any], endpoint: str
) -> tuple[list[Floats], list[Floats]]:
    """Expected numbers at risk and of events per arm, marker bin and interval."""
    survival, rule = design["survival"], design["censoring"]
    edges = rule["follow_up_high"] * np.linspace(0.0, 1.0, _N_TIMES + 1) ** 1.5
    middle = 0.5 * (edges[1:] + edges[:-1])
    scale = survival["toxic_death"]["scale_months"]
    share = _uncensored(rule, middle)

    def hazard(times: Floats) -> Floats:
        return (
            cumulative_hazard(times, survival["os"])
            if endpoint == "os"
            else pfs_hazard(times, survival)
        )

    def died(times: Floats) -> Floats:
        return np.asarray(-np.expm1(-times / scale))

    held = sums.totals[:, 0] > 0
    at_risk, events = [], []
    for everyone in sums.counts:
        counts = everyone[:, held]
        at_risk.append(_curves(counts, hazard(middle), died(middle), share))
        start = _curves(counts, hazard(edges[:-1]), died(edges[:-1]), share)
        events.append(start - _curves(counts, hazard(edges[1:]), died(edges[1:]), share))
    return at_risk, events


def _cox_truths(sums: _Sums, design: Mapping[str, Any], endpoint: str) -> dict[str, float]:
    """Least-false log hazard ratios of one endpoint."""
    held = sums.totals[:, 0] > 0
    z = sums.totals[held, 1] / sums.totals[held, 0]
    at_risk, events = _risk_and_events(sums, design, endpoint)
    treated_alone = cox_limit(z[:, None], at_risk[1], events[1])[0]
    if not design["randomised"]:
        return {"log_hr_treated_alone": treated_alone}
    control_alone = cox_limit(z[:, None], at_risk[0], events[0])[0]
    arm = np.repeat([0.0, 1.0], len(z))
    both = np.concatenate([z, z])
    matrix = np.column_stack([arm, both, arm * both])
    joint = cox_limit(matrix, np.concatenate(at_risk), np.concatenate(events))
    return {
        "log_hr_control": joint[1],
        "log_ratio_of_hazard_ratios": joint[2],
        "log_hr_treatment_at_centre": joint[0],
        "log_hr_control_alone": control_alone,
        "log_hr_treated_alone": treated_alone,
    }


def _response_truths(sums: _Sums, design: Mapping[str, Any]) -> dict[str, float]:
    """Least-false log odds ratios of response."""
    held = sums.totals[:, 0] > 0
    n, z = sums.totals[held, 0], sums.totals[held, 1] / sums.totals[held, 0]
    treated = logistic_limit(z[:, None], n, sums.totals[held, 3])
    if not design["randomised"]:
        return {"log_or_treated": treated[1]}
    control = logistic_limit(z[:, None], n, sums.totals[held, 2])
    return {"log_or_control": control[1], "log_ratio_of_odds_ratios": treated[1] - control[1]}


def _mean_at(sums: _Sums, column: int, z: float) -> float:
    """Mean benefit at one marker value, by a local line through the bins around it."""
    held = sums.totals[:, 0] > 0
    n, centre = sums.totals[held, 0], sums.totals[held, 1] / sums.totals[held, 0]
    mean = sums.totals[held, column] / n
    near = np.abs(centre - z) <= max(0.2, 1.01 * float(np.abs(centre - z).min()))
    if near.sum() < 3:
        return float(mean[np.argmin(np.abs(centre - z))])
    offset, weight = centre[near] - z, np.sqrt(n[near])
    basis = np.column_stack([np.ones(near.sum()), offset])
    line = np.linalg.lstsq(basis * weight[:, None], mean[near] * weight, rcond=None)[0]
    return float(line[0])


def _benefit_truths(
    sums: _Sums, names: list[str], levels: tuple[str, ...] | None
) -> dict[str, float]:
    """Slope of each benefit per SD and its contrast between marker values."""
    n = sums.totals[:, 0].sum()
    mean_z = sums.totals[:, 1].sum() / n
    spread = sums.squares / n - mean_z**2
    found = {}
    values = sums.totals[:, 0] > 0
    centres = sums.totals[values, 1] / sums.totals[values, 0]
    for position, name in enumerate(names):
        column = 4 + position
        mean_b = sums.totals[:, column].sum() / n
        found[f"delta_{name}_mean"] = mean_b
        found[f"delta_{name}_per_sd"] = (sums.cross[position] / n - mean_z * mean_b) / spread
        if levels is None:
            low, high = (_mean_at(sums, column, z) for z in sums.quartiles / sums.blocks)
            found[f"delta_{name}_75th_minus_25th"] = high - low
        else:
            by_level = sums.totals[values, column] / sums.totals[values, 0]
            for k in range(1, len(centres)):
                found[f"delta_{name}_{levels[k]}_minus_{levels[0]}"] = by_level[k] - by_level[0]
    return found


def _quantities(
    sums: _Sums, design: Mapping[str, Any], names: list[str], levels: tuple[str, ...] | None
) -> dict[tuple[str, str], float]:
    """Every marginal truth of one marker, keyed by endpoint and quantity."""
    found = {}
    for endpoint in ("os", "pfs"):
        for name, value in _cox_truths(sums, design, endpoint).items():
            found[endpoint, name] = float(value)
    for name, value in _response_truths(sums, design).items():
        found["response", name] = float(value)
    if design["randomised"]:
        for name, value in _benefit_truths(sums, names, levels).items():
            found["response" if "response" in name else "os", name] = float(value)
    return found


def _levels(plan: Plan, marker: str) -> tuple[str, ...] | None:
    """Names of a marker's scored levels, or None for a continuous marker."""
    if plan.design["markers"][marker]["transform"] != "levels":
        return None
    if marker == "histology":
        return ("clear_cell", "other")
    column = draw_measured(Plan(plan.name, 1, 0), 0)[0][marker]
    assert isinstance(column, Coded)
    return column.levels


@cache
def _marginal(
    name: str, effects: tuple[Any, ...], confounding: float, informative: float
) -> tuple[tuple[str, str, str, float, float], ...]:
    """Rows (marker, endpoint, quantity, value, standard error); cached, since it takes seconds."""
    plan = Plan(name, DRAW_SIZE, _SEED, effects, confounding, True, informative)
    design = plan.design
    per_draw: list[dict[tuple[str, str, str], float]] = []
    whole: dict[str, _Sums] = {}
    names: list[str] = []
    levels = {marker: _levels(plan, marker) for marker in design["markers"]}
    for index in range(N_DRAWS):
        draw: dict[str, _Sums] = {}
        for block in range(_BLOCKS_PER_DRAW):
            measured, terms = draw_measured(plan, index * _BLOCKS_PER_DRAW + block)
            benefits = _benefits(terms, design)
            names = list(benefits)
            for marker, z in marker_scores(measured, design["markers"]).items():
                sums = _sums(z, terms, list(benefits.values()))
                draw[marker] = draw[marker] + sums if marker in draw else sums
        part: dict[tuple[str, str, str], float] = {}
        for marker, sums in draw.items():
            whole[marker] = whole[marker] + sums if marker in whole else sums
            for key, value in _quantities(sums, design, names, levels[marker]).items():
                part[marker, *key] = value
        per_draw.append(part)
    rows = []
    for marker, sums in whole.items():
        for (endpoint, name_), value in _quantities(sums, design, names, levels[marker]).items():
            spread = np.std([d[marker, endpoint, name_] for d in per_draw], ddof=1)
            rows.append((marker, endpoint, name_, value, float(spread / np.sqrt(N_DRAWS))))
    return tuple(rows)


def marginal_table(plan: Plan) -> pd.DataFrame:
    """Marginal truths of every marker of a plan, whatever its size and seed.

    Parameters
    ----------
    plan : Plan
        From :func:`synthetic_data.plan.plan_for`.

    Returns
    -------
    DataFrame
        Columns marker, endpoint, quantity, value, mc_se. The marker is the measured one,
        standardised by the design's constants, in a file without missing values.
    """
    rows = _marginal(plan.name, plan.effects, plan.confounding, plan.informative)
    return pd.DataFrame(rows, columns=["marker", "endpoint", "quantity", "value", "mc_se"])
