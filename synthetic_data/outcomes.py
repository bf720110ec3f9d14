"""Potential outcomes under both arms, from one set of latent draws per patient.

Disease death has cumulative hazard ``m(x, a) * theta * (1 - exp(-(t/scale)^shape))``: proportional
hazards with a plateau, so that a share exp(-m*theta) never dies of the disease. Progression alike.
The two unit-exponential thresholds are tied by a Gumbel survival copula; it is max-stable, so the
hazard of progression or death is again proportional with the same multiplier ``m``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr, ndtri

from synthetic_data.effects import Effect
from synthetic_data.table import Coded, Floats, Table

__all__ = [
    "Latent",
    "PotentialOutcome",
    "arm_terms",
    "cumulative_hazard",
    "draw_latent",
    "marker_scores",
    "potential_outcome",
]

# Level codes at which a background log hazard ratio is counted as zero: near the means.
ECOG_CENTRE = 0.39
CENTRES = {"mskcc": 0.75, "stage": 1.35, "era": 1.0}


@dataclass(frozen=True)
class Latent:
    """What is fixed about a patient before the arm is known; each shape (n_patients,).

    Parameters
    ----------
    death, progression : ndarray
        Unit-exponential thresholds of cumulative hazard, Gumbel-tied; higher = later event.
    response : ndarray
        Standard normal noise of response; higher = responds more easily.
    plateau, durable, toxic, toxic_time, evaluable : ndarray
        Uniforms for rank among patients who never progress, the durable class, treatment-related
        death, its time, and evaluability.
    """

    death: Floats
    progression: Floats
    response: Floats
    plateau: Floats
    durable: Floats
    toxic: Floats
    toxic_time: Floats
    evaluable: Floats


@dataclass(frozen=True)
class PotentialOutcome:
    """Outcome a patient would have in one arm without censoring; each shape (n_patients,).

    Parameters
    ----------
    response : ndarray of int8
        Position in CR, PR, SD, PD, NE.
    pfs_months, os_months : ndarray
        Infinite where the event never comes.
    """

    response: npt.NDArray[np.int8]
    pfs_months: Floats
    os_months: Floats


def _positive_stable(rng: np.random.Generator, n: int, alpha: float) -> Floats:
    """Positive stable variable with Laplace transform exp(-s^alpha) (Kanter 1975)."""
    angle = np.pi * rng.random(n)
    exponential = rng.standard_exponential(n)
    head = np.sin(alpha * angle) / np.sin(angle) ** (1.0 / alpha)
    tail = np.sin((1.0 - alpha) * angle) / exponential
    return head * tail ** ((1.0 - alpha) / alpha)


def draw_latent(rng: np.random.Generator, n: int, link: float) -> Latent:
    """Latent draws of each patient, common to both arms.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of the outcomes alone.
    n : int
        Number of patients.
    link : float
        Gumbel parameter, 1 = independent; Kendall's tau is 1 - 1/link.
    """
    stable = _positive_stable(rng, n, 1.0 / link) if link > 1.0 else np.ones(n)
    pair = rng.standard_exponential((2, n))
    death, progression = (pair / stable) ** (1.0 / link)
    return Latent(death, progression, rng.standard_normal(n), *rng.random((5, n)))


def marker_scores(table: Table, markers: Mapping[str, Mapping[str, Any]]) -> dict[str, Floats]:
    """Standardised markers z = (transform(value) - centre) / scale, on which effects act.

    Parameters
    ----------
    table : dict of columns
        True or measured values.
    markers : mapping
        ``transform`` ("linear", "log" or "levels"), ``centre`` and ``scale`` per marker.

    Returns
    -------
    dict of ndarray, shape (n_patients,)
        NaN where the value is missing.
    """
    scores = {}
    for name, spec in markers.items():
        column = table[name]
        if isinstance(column, Coded):
            step = np.asarray(column.codes, dtype=np.float64)
            if name == "histology":
                step = np.where(step > 0, 1.0, step)
            value = np.where(step < 0, np.nan, step)
        else:
            value = np.log(column) if spec["transform"] == "log" else np.asarray(column)
        scores[name] = (value - spec["centre"]) / spec["scale"]
    return scores


@dataclass(frozen=True)
class ArmTerms:
    """What outcomes depend on in one arm; each shape (n_patients,).

    Parameters
    ----------
    log_hazard : ndarray
        Log of the multiplier m(x, a); higher = worse.
    response : ndarray
        Probability of response.
    durable : ndarray
        Probability of the durable class (0 unless an effect is declared on the cure scale).
    toxic : ndarray
        Probability of treatment-related death.
    """

    log_hazard: Floats
    response: Floats
    durable: Floats
    toxic: Floats


def _codes(table: Table, name: str) -> Floats:
    """Codes of a level column as floats."""
    column = table[name]
    assert isinstance(column, Coded)
    return column.codes.astype(np.float64)


def arm_terms(
    table: Table,
    scores: Mapping[str, Floats],
    treated: bool,
    design: Mapping[str, Any],
    effects: tuple[Effect, ...],
) -> ArmTerms:
    """Hazard multiplier and probabilities of each patient in one arm.

    Parameters
    ----------
    table : dict of columns
        True baseline values.
    scores : mapping of str to ndarray
        From :func:`marker_scores` on the true values.
    treated : bool
        Which arm.
    design : mapping
        Background, survival, response and cure parameters.
    effects : tuple of Effect
        Declared effects.
    """
    background, survival = design["background"], design["survival"]
    ecog = _codes(table, "ecog") - ECOG_CENTRE
    log_hazard = background["ecog_log_hr"] * ecog
    for name, centre in CENTRES.items():
        if f"{name}_log_hr" in background:
            log_hazard += background[f"{name}_log_hr"] * (_codes(table, name) - centre)
    age = table["age"]
    assert not isinstance(age, Coded)
    log_hazard += background["age_decade_log_hr"] * (age - 58.0) / 10.0
    respond = background["ecog_log_odds"] * ecog
    arm = "treated" if treated else "control"
    respond += logit(design["response"][arm])
    cured = np.full(len(ecog), logit(design["cure"][arm]))
    if treated:
        log_hazard += survival["treatment_log_hr"]
    parts = {"hazard": log_hazard, "response": respond, "cure": cured}
    for effect in effects:
        if effect.kind == "prognostic" or treated:
            parts[effect.scale] += effect.value * scores[effect.marker]
    has_durable = any(e.scale == "cure" for e in effects)
    toxic = np.zeros(len(ecog))
    if treated:
        risk = survival["toxic_death"]
        era = table["era"]
        assert isinstance(era, Coded)
        toxic = np.asarray([risk[level] for level in era.levels])[era.codes]
    return ArmTerms(
        log_hazard, expit(respond), expit(cured) if has_durable else np.zeros(len(ecog)), toxic
    )


def cumulative_hazard(times: Floats, baseline: Mapping[str, float]) -> Floats:
    """Baseline cumulative hazard theta * (1 - exp(-(t/scale)^shape)) at ``times`` (months)."""
    power: Floats = (np.asarray(times) / baseline["scale"]) ** baseline["shape"]
    hazard: Floats = baseline["theta"] * -np.expm1(-power)
    return hazard


def _invert(threshold: Floats, log_hazard: Floats, baseline: Mapping[str, float]) -> Floats:
    """Time at which the cumulative hazard reaches each threshold; infinite beyond the plateau."""
    share = threshold * np.exp(-log_hazard) / baseline["theta"]
    with np.errstate(divide="ignore", invalid="ignore"):
        time = baseline["scale"] * (-np.log1p(-np.minimum(share, 1.0))) ** (1 / baseline["shape"])
    time = np.maximum(time, 1e-3)  # a death on day 0 would be a duration of zero
    return np.asarray(time)


def pfs_hazard(times: Floats, survival: Mapping[str, Any]) -> Floats:
    """Baseline cumulative hazard of progression or disease death (Gumbel union of the two)."""
    link = survival["link"]
    death = cumulative_hazard(times, survival["os"])
    progression = cumulative_hazard(times, survival["ttp"])
    return np.asarray((death**link + progression**link) ** (1.0 / link))


def _responders(
    latent: Latent, terms: ArmTerms, disease_pfs: Floats, pfs: Floats, design: Mapping[str, Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Responders and complete responders among patients progression-free at the first assessment.

    Given PFS beyond the assessment at t0, H(PFS) - H(t0) is again unit-exponential, so its normal
    score is exact and can be tied to the response noise; dividing by P(PFS > t0) restores the
    declared response probability.
    """
    survival, answer = design["survival"], design["response"]
    first = answer["first_assessment_months"]
    multiplier = np.exp(terms.log_hazard)
    start = float(pfs_hazard(np.asarray(first), survival))
    reached = np.exp(-multiplier * start)
    reached *= 1.0 - terms.toxic * -np.expm1(-first / survival["toxic_death"]["scale_months"])
    beyond = multiplier * (pfs_hazard(disease_pfs, survival) - start)
    late = np.exp(-np.maximum(beyond, 0.0))
    # the plateau is an atom: spread it so that `late` stays uniform
    late = np.where(np.isinf(disease_pfs), late * latent.plateau, late)
    score = -ndtri(np.clip(late, 1e-300, 1.0 - 1e-16))
    tie = answer["correlation"]
    ease = ndtr(-tie * score - np.sqrt(1.0 - tie**2) * latent.response)
    share = np.maximum(terms.response - terms.durable, 0.0) / ((1.0 - terms.durable) * reached)
    free = pfs > first
    complete = answer["complete_share"]
    # `ease` is uniform among the progression-free, and small for those who stay so longest
    return free & (ease < share), free & (ease < complete * share)


def potential_outcome(
    latent: Latent, terms: ArmTerms, design: Mapping[str, Any]
) -> PotentialOutcome:
    """Uncensored response, PFS and OS of each patient in one arm, coherent with one another.

    PFS is the earlier of progression and death; responders come from those progression-free at the
    first assessment; PD is progression within two months; NE is death within two months without an
    assessment, or an assessment that failed.

    Parameters
    ----------
    latent : Latent
        Draws common to both arms.
    terms : ArmTerms
        Multipliers and probabilities in this arm.
    design : mapping
        Survival and response parameters.
    """
    survival, answer = design["survival"], design["response"]
    death = _invert(latent.death, terms.log_hazard, survival["os"])
    progression = _invert(latent.progression, terms.log_hazard, survival["ttp"])
    toxic_months = -survival["toxic_death"]["scale_months"] * np.log(latent.toxic_time)
    toxic_months = np.where(latent.toxic < terms.toxic, np.maximum(toxic_months, 1e-3), np.inf)
    durable = latent.durable < terms.durable
    disease_pfs = np.minimum(progression, death)
    pfs_months = np.minimum(disease_pfs, toxic_months)
    responder, complete = _responders(latent, terms, disease_pfs, pfs_months, design)
    os_months = np.where(durable, toxic_months, np.minimum(death, toxic_months))
    pfs_months = np.where(durable, toxic_months, pfs_months)
    response = np.where(pfs_months < 2.0, 3, 2)
    missed = latent.evaluable < answer["not_evaluable"]
    response = np.where((os_months < 2.0) | missed, 4, response)
    responder |= durable & (pfs_months > answer["first_assessment_months"])
    response = np.where(responder, np.where(complete | durable, 0, 1), response)
    return PotentialOutcome(response.astype(np.int8), pfs_months, os_months)
