"""Patients of open designs, drawn in fixed blocks, each with both potential outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthetic_data.assay import measure
from synthetic_data.covariates import copula_factor, draw_covariates
from synthetic_data.missingness import hide
from synthetic_data.outcomes import (
    ArmTerms,
    PotentialOutcome,
    arm_terms,
    draw_latent,
    marker_scores,
    potential_outcome,
)
from synthetic_data.plan import BLOCK, Plan
from synthetic_data.table import Coded, Floats, Table, id_width

__all__ = ["RESPONSES", "Block", "draw_block", "draw_measured"]

RESPONSES = ("CR", "PR", "SD", "PD", "NE")
STANDARD_COLUMNS = (
    "arm",
    "caix",
    "vegf",
    "fibronectin",
    "histology",
    "upton_group",
    "ccr5",
    "age",
    "sex",
    "ecog",
    "mskcc",
    "imdc",
    "grade",
    "stage",
    "ldh",
    "platelets",
    "era",
    "centre",
    "plate",
    "alveolar_percent",
    "granular_percent",
    "papillary_percent",
    "response",
    "os_months",
    "os_event",
    "pfs_months",
    "pfs_event",
)
_ROUND = {"vegf": 1, "fibronectin": 0, "age": 0, "ldh": 0, "platelets": 0}


@dataclass(frozen=True)
class Block:
    """One block of patients: what the file shows, and what only the truth knows.

    Parameters
    ----------
    first : int
        Number of the first patient, from 1.
    width : int
        Digits of an identifier.
    observed : dict of columns
        The cohort file's columns.
    true : dict of columns
        Biological values before laboratory and missingness, with every risk factor.
    measured : dict of columns
        Laboratory values before missingness.
    treated : ndarray of bool
        Arm of each patient.
    terms, outcomes : tuple
        Hazard multipliers and potential outcomes under control, then treatment.
    censoring : ndarray
        Latent censoring time in months.
    """

    first: int
    width: int
    observed: Table
    true: Table
    measured: Table
    treated: np.ndarray
    terms: tuple[ArmTerms, ArmTerms]
    outcomes: tuple[PotentialOutcome, PotentialOutcome]
    censoring: Floats


def _streams(seed: int, index: int) -> list[np.random.Generator]:
    """Independent generators of one block, one per part, keyed to seed and block."""
    root = np.random.SeedSequence(entropy=seed, spawn_key=(index,))
    return [np.random.Generator(np.random.SFC64(child)) for child in root.spawn(6)]


def _assign(rng: np.random.Generator, n: int, randomised: bool) -> np.ndarray:
    """Arm by permuted blocks of four, or everyone treated in a single-arm design."""
    if not randomised:
        return np.ones(n, dtype=np.bool_)
    order = rng.random((-(-n // 4), 4)).argsort(axis=1)
    return np.asarray((order < 2).ravel()[:n])


def _censor(rng: np.random.Generator, n: int, rule: Mapping[str, Any], risk: Floats) -> Floats:
    """Latent censoring time: administrative end or drop-out, whichever is first."""
    end = rng.uniform(rule["follow_up_low"], rule["follow_up_high"], n)
    rate = rule["dropout_per_month"]
    if rule["kind"] == "informative":
        rate = rate * np.exp(rule["log_rate_per_log_hazard"] * risk)
    drop_out = rng.standard_exponential(n) / np.maximum(rate, 1e-12)
    return np.asarray(np.minimum(end, drop_out))


def _round_time(months: Floats) -> Floats:
    """Months to four decimals, never zero: fine enough that ties stay rare."""
    return np.maximum(np.round(months, 4), 1e-4)


def _observe(
    treated: np.ndarray, outcomes: tuple[PotentialOutcome, PotentialOutcome], censoring: Floats
) -> Table:
    """Outcome columns of the file: the outcome under the arm received, up to censoring."""
    control, active = outcomes
    response = np.where(treated, active.response, control.response)
    os_months = np.where(treated, active.os_months, control.os_months)
    pfs_months = np.where(treated, active.pfs_months, control.pfs_months)
    dead, failed = os_months <= censoring, pfs_months <= censoring
    return {
        "response": Coded(response.astype(np.int8), RESPONSES),
        "os_months": _round_time(np.minimum(os_months, censoring)),
        "os_event": dead.astype(np.int64),
        "pfs_months": _round_time(np.minimum(pfs_months, censoring)),
        "pfs_event": failed.astype(np.int64),
    }


def draw_block(plan: Plan, index: int) -> Block:
    """Draw one block; the same bytes whoever asks, in whatever order.

    Parameters
    ----------
    plan : Plan
        From :func:`plan_for`.
    index : int
        From 0 to ``plan.n_blocks - 1``.

    Notes
    -----
    Covariates, arm, outcomes, censoring, laboratory and missingness each have a generator spawned
    from (seed, block): no stream is shared, so latent censoring is independent of every covariate
    unless the design declares it informative.
    """
    design, n = plan.design, plan.block_size(index)
    covariate_rng, arm_rng, outcome_rng, censor_rng, lab_rng, missing_rng = _streams(
        plan.seed, index
    )
    true, terms = _baseline(plan, covariate_rng, n)
    treated = _assign(arm_rng, n, design["randomised"])
    latent = draw_latent(outcome_rng, n, design["survival"]["link"])
    outcomes = (
        potential_outcome(latent, terms[0], design),
        potential_outcome(latent, terms[1], design),
    )
    risk = np.where(treated, terms[1].log_hazard, terms[0].log_hazard)
    censoring = _censor(censor_rng, n, design["censoring"], risk)
    measured, observed = _report(plan, index, true, treated, lab_rng)
    observed.update(_observe(treated, outcomes, censoring))
    if not plan.complete:
        observed = hide(missing_rng, observed, design["missing"], n)
    return Block(
        index * BLOCK + 1,
        id_width(plan.n_patients),
        {name: observed[name] for name in STANDARD_COLUMNS if name in observed},
        true,
        measured,
        treated,
        terms,
        outcomes,
        censoring,
    )


def _baseline(
    plan: Plan, rng: np.random.Generator, n: int
) -> tuple[Table, tuple[ArmTerms, ArmTerms]]:
    """Biological values, and what outcomes depend on under control and under treatment."""
    design = plan.design
    pairs = dict(design["correlations"])
    if plan.confounding:
        pairs |= {f"vegf:{name}": plan.confounding for name in ("ecog", "ldh")}
    true = draw_covariates(rng, n, design, copula_factor(tuple(design["margins"]), pairs))
    scores = marker_scores(true, design["markers"])
    control = arm_terms(true, scores, False, design, plan.effects)
    return true, (control, arm_terms(true, scores, True, design, plan.effects))


def draw_measured(plan: Plan, index: int) -> tuple[Table, tuple[ArmTerms, ArmTerms]]:
    """Laboratory values of one block and what its outcomes depend on, without drawing outcomes.

    Parameters
    ----------
    plan : Plan
        From :func:`plan_for`.
    index : int
        Number of the block.
    """
    covariate_rng, *_, lab_rng, _ = _streams(plan.seed, index)
    n = plan.block_size(index)
    true, terms = _baseline(plan, covariate_rng, n)
    nobody = np.zeros(n, dtype=np.bool_)
    return _report(plan, index, true, nobody, lab_rng)[0], terms


def _report(
    plan: Plan,
    index: int,
    true: Table,
    treated: np.ndarray,
    lab_rng: np.random.Generator,
) -> tuple[Table, Table]:
    """Laboratory values, rounded and limited, and the baseline columns of a file without gaps."""
    design, n = plan.design, len(treated)
    centre = lab_rng.integers(0, design["centres"], n)
    plate = (index * BLOCK + np.arange(n)) // design["plate_size"]
    measured = measure(lab_rng, true, design, centre, plate)
    measured = dict(measured)
    for name, assay in design["assay"].items():
        if "lower_limit" in assay:
            limit, value = assay["lower_limit"], np.asarray(measured[name])
            measured[name] = np.where(value < limit, limit / np.sqrt(2.0), value)
    for name, digits in _ROUND.items():
        if name in measured:
            value = np.asarray(measured[name])
            below = design["assay"].get(name, {}).get("lower_limit", -np.inf)
            measured[name] = np.where(value < below, value, np.round(value, digits))
    width = max(2, len(str(design["centres"])))
    centres = tuple(f"C{c + 1:0{width}d}" for c in range(design["centres"]))
    first = int(plate[0])
    plates = tuple(f"PL{p + 1:03d}" for p in range(first, int(plate[-1]) + 1))
    observed: Table = {}
    if design["randomised"]:  # a column with one level would say nothing
        observed["arm"] = Coded(treated.astype(np.int8), tuple(design["arms"]))
    observed.update(measured)
    observed["centre"] = Coded(centre.astype(np.int16), centres)
    observed["plate"] = Coded((plate - first).astype(np.int16), plates)
    return measured, observed
