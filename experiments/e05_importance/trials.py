"""One cohort each: what an importance plot names that is not there, and what it misses that is.

``noise_trial`` goes through the whole rule (nested validation, permuted refits) on outcomes that no
column has to do with, or with one true driver; ``proxy_trial`` gives three proxies of one cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.attribution import attribute
from biomarker.explain.controls import null_band
from biomarker.explain.refit_runs import run_block
from biomarker.explain.refits import Refits, blocks_of
from biomarker.explain.stability import AGREEMENT, stability
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.pipeline import PipelineBuilder
from biomarker.models.zoo import model_choice
from biomarker.outcomes import survival_outcome
from biomarker.parsing import ParseRule
from biomarker.resampling import joint_strata, spawn
from biomarker.validation.nested import validate_and_refit
from pipelines.limits import beats_chance
from pipelines.results import ModelRun

__all__ = ["NOISE", "PROXIES", "Noise", "Proxy", "noise_trial", "proxy_trial"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """A randomised cohort of normal, skewed and binary columns, one of which may matter.

    ``hazard_ratio`` belongs to a standard deviation of the first column; 1 is nothing to find.
    ``treatment`` is the hazard ratio of the drug: where it is real, the model may beat chance by
    the arm alone, and the gate on performance stands open for every other column. Permuted refits
    are left out where the gate is shut, unless ``always``, since nothing is shown then.
    """

    model: str
    n: int
    hazard_ratio: float
    treatment: float = 1.0
    always: bool = False
    n_columns: int = 8
    n_splits: int = 5
    n_repeats: int = 2
    n_permuted: int = 199


@dataclass(frozen=True)
class Proxy:
    """Columns that measure one cause, correlated at ``r`` with one another, beside noise."""

    model: str
    n: int
    r: float
    n_proxies: int = 3
    n_bootstrap: int = 200


_FEW = {"n_columns": 5, "n_splits": 3, "n_repeats": 1, "n_permuted": 39}
NOISE = {
    "null-cox": Noise("cox", 200, 1.0),
    "null-cox-treated": Noise("cox", 200, 1.0, treatment=0.5, always=True),
    "true-cox": Noise("cox", 200, 2.0),
    "null-boosted": Noise("boosted_cox", 120, 1.0, **_FEW),
    "true-boosted": Noise("boosted_cox", 120, 3.0, **_FEW),
}
PROXIES = {
    "proxies-cox": Proxy("cox", 200, 0.96),
    "proxies-cox-loose": Proxy("cox", 200, 0.6),
    "single-cox": Proxy("cox", 200, 0.96, n_proxies=1),
    "proxies-boosted": Proxy("boosted_cox", 200, 0.96, n_bootstrap=40),
}


def noise_trial(cell: Noise, seed: int, number: int) -> dict[str, bool]:
    """Whether the gate opens, the band is left, and a column is shown, in one cohort."""
    rng = spawn(seed, "noise", cell.model, cell.n, cell.hazard_ratio, cell.treatment, number)
    X = _columns(rng, cell.n, cell.n_columns)
    arm = rng.permutation(np.arange(cell.n) % 2).astype(np.float64)
    y = _outcome(rng, np.log(cell.hazard_ratio) * X[:, 0] + np.log(cell.treatment) * arm)
    X = np.column_stack([X, arm])
    build = PipelineBuilder((*_plans(cell.n_columns), _arm()), cell.model)
    strata = joint_strata(y["event"], arm)
    number_seed = int(rng.integers(2**31 - 1))
    nested, tuned = validate_and_refit(
        build, model_choice(cell.model).grid, X, y, kind="survival", n_splits=cell.n_splits,
        n_repeats=cell.n_repeats, strata=strata, seed=number_seed,
    )  # fmt: skip
    found = attribute(tuned.model, X, n_bootstrap=1, rng=rng)
    run = ModelRun(cell.model, "os", "survival", tuned.params, tuned.model, nested, found, 0.0)
    plan = Refits.of(found, build, tuned.params, X, y, seed=number_seed, strata=strata, arm=arm)
    gate = beats_chance(run)
    flags = {"gate open": gate, "shown": False}
    planted = cell.hazard_ratio != 1.0
    if planted:
        flags |= {"true driver shown": False, "noise shown beside it": False}
    if gate or cell.always:
        tables = [run_block(plan, block) for block in blocks_of("permuted", cell.n_permuted)]
        beyond = null_band(plan, found, tables, above_chance=True).shown
        shown = null_band(plan, found, tables, above_chance=gate).shown
        flags["shown"] = bool(shown)
        if planted:
            flags["true driver shown"] = ("m1",) in shown
            flags["noise shown beside it"] = bool(set(shown) - {("m1",)})
        if cell.always:
            flags["beyond the band, gate or not"] = bool(beyond)
    return flags


def proxy_trial(cell: Proxy, seed: int, number: int) -> dict[str, bool]:
    """What is named first, by the rule and by one fit, and whether proxies are read as one."""
    rng = spawn(seed, "proxies", cell.model, cell.n, cell.r, cell.n_proxies, number)
    cause = rng.normal(size=cell.n)
    noise = rng.normal(size=(cell.n, cell.n_proxies))
    proxies = np.sqrt(cell.r) * cause[:, None] + np.sqrt(1.0 - cell.r) * noise
    X = np.column_stack([proxies, rng.normal(size=(cell.n, 3))])
    y = _outcome(rng, np.log(2.0) * cause)
    build = PipelineBuilder(_plans(X.shape[1]), cell.model)
    params = model_choice(cell.model).grid[1 if cell.model != "cox" else 3]
    found = attribute(build(dict(params), 0).fit(X, y), X, n_bootstrap=1, rng=rng)
    plan = Refits.of(found, build, params, X, y, seed=number, strata=y["event"])
    tables = [run_block(plan, block) for block in blocks_of("bootstrap", cell.n_bootstrap)]
    read = stability(plan, found, tables, above_chance=True)
    names = tuple(f"m{j + 1}" for j in range(cell.n_proxies))
    winners = np.argmax(np.concatenate([table.importance for table in tables]), axis=1)
    share = max(float(np.mean(winners == j)) for j in range(cell.n_proxies))
    return {
        "a single column named first": read.top is not None,
        "a proxy named first": read.top in names,
        "proxies read as one": any(unit.members == names for unit in read.units),
        "they come first": read.units[0].members == names,
        "one proxy first in 80% of refits, groups apart": share >= AGREEMENT,
        **{f"{name} first in one fit": found.importance[0].source == name for name in names},
    }


def _columns(rng: np.random.Generator, n: int, n_columns: int) -> Floats:
    """Normal, lognormal and one-in-five binary columns in turn, each of variance one."""
    X = rng.normal(size=(n, n_columns))
    for j in range(1, n_columns, 3):
        X[:, j] = (np.exp(0.8 * X[:, j]) - np.exp(0.32)) / np.sqrt(np.expm1(0.64) * np.exp(0.64))
    for j in range(2, n_columns, 3):
        X[:, j] = (rng.random(n) < 0.2) / 0.4
    return X


def _outcome(rng: np.random.Generator, log_hazard: Floats) -> Any:
    """Exponential times, followed up evenly: some three in five have the event."""
    event_at = rng.exponential(np.exp(-log_hazard))
    follow_up = rng.uniform(0.3, 2.5, len(log_hazard))
    return survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up) + 1e-9)


def _plans(n_columns: int) -> tuple[ColumnPlan, ...]:
    return tuple(ColumnPlan(ParseRule(f"m{j + 1}", "continuous")) for j in range(n_columns))


def _arm() -> ColumnPlan:
    return ColumnPlan(ParseRule("arm", "arm", levels=("control", "drug"), control=("control",)))
