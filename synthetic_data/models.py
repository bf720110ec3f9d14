"""Published studies that strata cannot describe: graded CAIX, serum markers, factors, trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, ndtri

from synthetic_data.covariates import caix_percent
from synthetic_data.draw_parts import HIDDEN, sample_by_outcome, weibull_times
from synthetic_data.table import Floats

__all__ = ["MODELS", "archive_population", "pattern_shares"]

_IMDC = ("favourable", "intermediate", "poor")


def _observe(rng: np.random.Generator, times: Floats, follow_up: list[float]) -> dict[str, Any]:
    """Survival columns under uniform administrative censoring."""
    end = rng.uniform(follow_up[0], follow_up[1], len(times))
    return {
        f"{HIDDEN}os_months": times,
        "os_months": np.maximum(np.round(np.minimum(times, end), 4), 1e-4),
        "os_event": (times <= end).astype(np.int64),
    }


def _caix_grade(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """CAIX from type and grade; death from grade alone, so that CAIX has no effect given grade."""
    clear_share = design["n_clear"] / (design["n_clear"] + design["n_non_clear"])
    if n_patients is None:
        n, n_clear = design["n_clear"] + design["n_non_clear"], design["n_clear"]
    else:
        n, n_clear = n_patients, int(rng.binomial(n_patients, clear_share))
    clear = np.arange(n) < n_clear
    grade = rng.choice(4, n, p=np.asarray(design["grade_share"]))
    high = np.asarray(design["high_by_grade"])[grade]
    high = np.where(clear, high, design.get("high_non_clear", 0.0))
    caix = caix_percent(rng.standard_normal(n), high, design["zero"])
    data: dict[str, Any] = {
        "histology": np.where(clear, "clear_cell", "unclassified").astype(object),
        "grade": np.asarray(["1", "2", "3", "4"], dtype=object)[grade],
        "caix": np.round(caix, 2),
    }
    if "os" in design:
        risk = np.asarray(design["log_hr_by_grade"])[grade]
        data |= _observe(
            rng, weibull_times(rng.random(n), design["os"], risk), design["follow_up_months"]
        )
    return pd.DataFrame(data)


def _serum(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """Serum markers with effects per SD on the hazard, and on response where one is stated."""
    n = n_patients or design["n_patients"]
    risk, respond = np.zeros(n), np.full(n, logit(design.get("response", 0.5)))
    data: dict[str, Any] = {}
    for name in ("vegf", "fibronectin"):
        if name not in design:
            continue
        margin, z = design[name], rng.standard_normal(n)
        if "sigma" in margin:
            data[name] = np.round(margin["median"] * np.exp(margin["sigma"] * z), 2)
        else:
            data[name] = np.round(np.maximum(margin["mean"] + margin["sd"] * z, 60.0), 1)
        risk += margin["log_hr"] * z
        respond += margin.get("log_or", 0.0) * z
    if "response" in design:
        answered = rng.random(n) < expit(respond)
        data[f"{HIDDEN}response_probability"] = expit(respond)
        data["response"] = np.where(answered, "PR", "PD").astype(object)
    times = weibull_times(rng.random(n), design["os"], risk)
    return pd.DataFrame(data | _observe(rng, times, design["follow_up_months"]))


def _populations(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """VEGF in several populations."""
    sizes = np.asarray([population["n"] for population in design["population"]])
    if n_patients is not None and n_patients != sizes.sum():
        sizes = rng.multinomial(n_patients, sizes / sizes.sum())
    parts = []
    for population, n in zip(design["population"], sizes, strict=True):
        margin = population["vegf"]
        value = margin["median"] * np.exp(margin["sigma"] * rng.standard_normal(n))
        data = population["set"] | {"vegf": np.round(value, 2)}
        parts.append(pd.DataFrame(data, index=range(n)))
    return pd.concat(parts, ignore_index=True)


def pattern_shares(odds: list[float]) -> tuple[Floats, Floats]:
    """All patterns of binary factors and their probability within each risk group.

    Parameters
    ----------
    odds : list of float
        Odds of each factor, independent before the group is fixed.

    Returns
    -------
    patterns : ndarray, shape (n_patterns, n_factors)
        Zeros and ones.
    shares : ndarray, shape (3, n_patterns)
        Rows: no factor, one or two, three or more; each sums to 1.
    """
    patterns = np.asarray(list(product((0.0, 1.0), repeat=len(odds))))
    weight = np.prod(np.where(patterns > 0, np.asarray(odds), 1.0), axis=1)
    count = patterns.sum(axis=1)
    group = np.where(count == 0, 0, np.where(count <= 2, 1, 2))
    shares = np.stack([np.where(group == g, weight, 0.0) for g in range(3)])
    return patterns, shares / shares.sum(axis=1, keepdims=True)


def _factors(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """Risk factors drawn within groups of fixed size; proportional hazards in the factors."""
    sizes = np.asarray(design["group_sizes"])
    if n_patients is not None and n_patients != sizes.sum():
        sizes = rng.multinomial(n_patients, sizes / sizes.sum())
    patterns, shares = pattern_shares(design["odds"])
    chosen = np.concatenate(
        [rng.choice(len(patterns), k, p=p) for k, p in zip(sizes, shares, strict=True)]
    )
    held = patterns[chosen]
    times = weibull_times(rng.random(len(held)), design["os"], held @ np.asarray(design["log_hr"]))
    data: dict[str, Any] = {"imdc": np.repeat(np.asarray(_IMDC, dtype=object), sizes)}
    data |= dict(zip(design["factors"], held.T, strict=True))
    return pd.DataFrame(data | _observe(rng, times, design["follow_up_months"]))


def _trial_effects(sizes: npt.NDArray[np.integer], sd: float) -> Floats:
    """Fixed deviations of the trials' log hazard ratios, with mean zero weighted by size."""
    n_trials = len(sizes)
    deviation = ndtri((np.arange(n_trials) + 0.5) / n_trials)
    deviation = deviation[np.random.default_rng(n_trials).permutation(n_trials)]
    deviation -= np.average(deviation, weights=sizes)
    return np.asarray(sd * deviation / deviation.std())


def _trials(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """Two-arm trials whose pooled effects are stated; they differ in baseline and effect."""
    sizes = np.asarray(design["sizes"])
    if n_patients is not None:
        sizes = rng.multinomial(n_patients, sizes / sizes.sum())
    n_trials = len(sizes)
    trial = np.repeat(np.arange(n_trials), sizes)
    n = len(trial)
    treated = rng.permutation(n) % 2 == 0
    base = logit(design["control_response"]) + rng.normal(0.0, 0.25, n_trials)
    odds = base[trial] - np.log(design["response_odds_ratio"]) * treated
    effect = np.log(design["os_hazard_ratio"]) + _trial_effects(sizes, design["os_log_hr_sd"])
    risk = rng.normal(0.0, 0.15, n_trials)[trial] + effect[trial] * treated
    times = weibull_times(rng.random(n), {"median": design["os_median"], "shape": 1.0}, risk)
    with_il2 = trial < design["with_il2"]
    data: dict[str, Any] = {
        "trial": np.asarray([f"T{t + 1:02d}" for t in range(n_trials)], dtype=object)[trial],
        "arm": np.where(treated, "biochemotherapy", "chemotherapy").astype(object),
        "regimen": np.where(with_il2, "ifn_il2", "ifn").astype(object),
        "response": np.where(rng.random(n) < expit(odds), "PR", "PD").astype(object),
    }
    return pd.DataFrame(data | _observe(rng, times, design["follow_up_months"]))


def archive_population(
    rng: np.random.Generator, design: Mapping[str, Any], n: int, response: float
) -> pd.DataFrame:
    """Population in which pattern and CAIX are distributed by response as in the archive.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of the population.
    design : mapping
        Holds the exact ``table``.
    n : int
        Size.
    response : float
        Share of responders, as rare as in trials.
    """
    tables = design["table"]
    size = np.asarray([t["n"] for t in tables], dtype=np.float64)
    yes = np.asarray([t["response"] in ("CR", "PR") for t in tables])
    share = np.where(
        yes, response * size / size[yes].sum(), (1 - response) * size / size[~yes].sum()
    )
    cell = rng.choice(len(tables), n, p=share)
    high = np.asarray([t["set"]["caix"][0] > 85 for t in tables])[cell]
    caix = np.where(high, rng.integers(86, 101, n), rng.integers(0, 86, n))
    columns = {
        key: np.asarray([t["set"][key] for t in tables], dtype=object)[cell]
        for key in ("pattern_group", "histology")
    }
    answer = np.asarray([t["response"] for t in tables], dtype=object)[cell]
    return pd.DataFrame(columns | {"caix": caix.astype(np.float64), "response": answer})


def _archive(
    rng: np.random.Generator, design: Mapping[str, Any], n_patients: int | None
) -> pd.DataFrame:
    """Outcome-dependent sample: a population, then as many responders and others as published."""
    responders, others = design["responders"], design["non_responders"]
    if n_patients is not None:
        responders = round(n_patients * responders / (responders + others))
        others = n_patients - responders
    size = 10 * (responders + others) + 1000
    people = archive_population(rng, design, size, design["population_response"])
    return sample_by_outcome(people, responders, others, rng)


Model = Callable[[np.random.Generator, Mapping[str, Any], int | None], pd.DataFrame]
MODELS: dict[str, Model] = {
    "archive": _archive,
    "caix_grade": _caix_grade,
    "factors": _factors,
    "populations": _populations,
    "serum": _serum,
    "trials": _trials,
}
