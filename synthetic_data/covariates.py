"""Baseline covariates drawn jointly: a Gaussian copula over the margins a design states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from biomarker.errors import StudyError
from synthetic_data.table import Coded, Floats, Table

__all__ = [
    "caix_from_score",
    "caix_percent",
    "copula_factor",
    "draw_covariates",
    "risk_groups",
    "upton_group",
]

UPTON = ("good", "intermediate", "poor", "non_clear")
RISK = ("favourable", "intermediate", "poor")


def copula_factor(names: tuple[str, ...], pairs: Mapping[str, float]) -> Floats:
    """Cholesky factor of the latent correlation matrix.

    Parameters
    ----------
    names : tuple of str
        Latent scores in their order.
    pairs : mapping of "a:b" to float
        Correlations; every other pair is independent.

    Returns
    -------
    ndarray, shape (n_names, n_names)
        Lower triangular.

    Raises
    ------
    StudyError
        If a pair names an unknown score or the matrix is not positive definite.
    """
    matrix = np.eye(len(names))
    for pair, rho in pairs.items():
        first, _, second = pair.partition(":")
        if first not in names or second not in names:
            raise StudyError(f"correlation must join two margins of the design; got {pair!r}.")
        i, j = names.index(first), names.index(second)
        matrix[i, j] = matrix[j, i] = rho
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise StudyError(
            "correlations must form a positive definite matrix; got one that is not. "
            "Weaken the strongest pair."
        ) from None
    return np.asarray(factor, dtype=np.float64)


def _latent(
    rng: np.random.Generator, n: int, names: tuple[str, ...], factor: Floats
) -> dict[str, Floats]:
    """Correlated standard normal scores, one array per name; zeros of the factor cost nothing."""
    noise = rng.standard_normal((len(names), n))
    scores = {}
    for i, name in enumerate(names):
        used = np.flatnonzero(factor[i, : i + 1])
        if len(used) == 1:
            scores[name] = noise[i]
        else:
            scores[name] = factor[i, used] @ noise[used]
    return scores


def _levels(z: Floats, margin: Mapping[str, Any]) -> Coded:
    """Cut a score into levels with the stated shares."""
    share = np.asarray(margin["share"], dtype=np.float64)
    cuts = ndtri(np.cumsum(share / share.sum())[:-1])
    codes = np.zeros(len(z), dtype=np.int8)
    for cut in cuts:
        codes += z > cut
    return Coded(codes, tuple(margin["levels"]))


def _truncated_normal(
    z: Floats, margin: Mapping[str, Any], female: npt.NDArray[np.bool_]
) -> Floats:
    """Normal with a lower bound, by the quantile of the truncated distribution."""
    mean, sd = margin["mean"], margin["sd"]
    below = float(ndtr((margin["low"] - mean) / sd))
    score = ndtri(below + (1.0 - below) * ndtr(z)) if below > 1e-7 else z
    value: Floats = mean + sd * score
    if "female_factor" in margin:
        value = value * np.where(female, margin["female_factor"], 1.0)
    return value


def caix_percent(z: Floats, high_share: Floats, zero_share: float) -> Floats:
    """Percent of CAIX-positive cells whose share above 85% is given per patient.

    A point mass at 0, a rising segment up to 85 and a segment from 85 to 100 that leans to 100.

    Parameters
    ----------
    z : ndarray, shape (n_patients,)
        Latent score, higher = more positive cells.
    high_share : ndarray, shape (n_patients,)
        Probability of more than 85%.
    zero_share : float
        Probability of 0 where at least as many patients are not high.

    Returns
    -------
    ndarray, shape (n_patients,)
        Percent, 0 to 100.
    """
    u = ndtr(z)
    low_share = 1.0 - high_share
    zero = np.minimum(zero_share, 0.5 * low_share)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = 85.0 * np.clip((u - zero) / (low_share - zero), 0.0, 1.0) ** 1.2
        high = 85.0 + 15.0 * np.clip((u - low_share) / high_share, 0.0, 1.0) ** 0.6
    return np.where(u < zero, 0.0, np.where(u <= low_share, low, high))


def caix_from_score(table: Table, z: Floats, margin: Mapping[str, Any]) -> Floats:
    """CAIX percentages whose share above 85% follows type and grade (see :func:`caix_percent`).

    Parameters
    ----------
    table : dict of columns
        Needs histology and grade.
    z : ndarray, shape (n_patients,)
        Latent score, of the tumour or of a reader.
    margin : mapping
        ``high_by_grade``, ``high_non_clear`` and ``zero``.
    """
    histology, grade = table["histology"], table["grade"]
    assert isinstance(histology, Coded)
    assert isinstance(grade, Coded)
    high = np.asarray(margin["high_by_grade"])[grade.codes]
    high = np.where(histology.codes == 0, high, margin["high_non_clear"])
    return caix_percent(z, high, margin["zero"])


def upton_group(
    clear_cell: npt.NDArray[np.bool_], alveolar: Floats, granular: Floats, papillary: Floats
) -> npt.NDArray[np.int8]:
    """Histology pattern group: 0 good, 1 intermediate, 2 poor, 3 non-clear.

    Good: more than 50% alveolar, no granular, no papillary. Poor: any papillary, or no alveolar,
    or more than 50% granular. Intermediate: every other clear cell tumour, which settles the cases
    the published wording leaves open (50% alveolar or less without granular; exactly 50% granular).

    Parameters
    ----------
    clear_cell : ndarray of bool, shape (n_patients,)
        Whether the tumour is of clear cell type.
    alveolar, granular, papillary : ndarray, shape (n_patients,)
        Percent of the tumour with each feature.

    Examples
    --------
    >>> upton_group(np.array([True, True, False]), np.array([80.0, 60, 0]),
    ...             np.array([0.0, 20, 0]), np.array([0.0, 0, 90])).tolist()
    [0, 1, 3]
    """
    poor = (papillary > 0) | (alveolar <= 0) | (granular > 50)
    good = (alveolar > 50) & (granular <= 0) & ~poor
    group = np.where(poor, 2, np.where(good, 0, 1))
    return np.where(clear_cell, group, 3).astype(np.int8)


def _pattern(
    rng: np.random.Generator, z: Floats, margin: Mapping[str, Any], histology: Coded
) -> dict[str, Floats]:
    """Feature percentages in steps of 5 that fall into the pattern group the score asks for."""
    n = len(z)
    group = _levels(z, {"share": margin["share"], "levels": UPTON[:3]}).codes
    u, v, which = rng.random(n), rng.random(n), rng.random(n)
    clear = histology.codes == 0
    any_papillary, no_alveolar = which < 0.3, which < 0.7
    # case table, in units of 5%: good; intermediate; poor by papillary, by no alveolar, by granular
    alveolar = np.where(
        group == 0, 11 + np.floor(u * 10), np.where(group == 1, 4 + np.floor(u * 15), 0.0)
    )
    granular = np.where(group == 1, 1 + np.floor(v * np.minimum(9, 20 - alveolar)), 0.0)
    poor = group == 2
    by_granular = poor & ~no_alveolar
    alveolar = np.where(by_granular, 1 + np.floor(u * 8), alveolar)
    granular = np.where(by_granular, 11 + np.floor(v * (9 - alveolar)), granular)
    granular = np.where(poor & no_alveolar, np.floor(v * 15), granular)
    papillary = np.where(poor & any_papillary, 1 + np.floor(u * 5), 0.0)
    papillary_type = histology.codes == 1
    return {
        "alveolar_percent": np.where(clear, 5 * alveolar, 0.0),
        "granular_percent": np.where(clear, 5 * granular, 5 * np.floor(v * 8)),
        "papillary_percent": np.where(
            clear, 5 * papillary, np.where(papillary_type, 60 + 5 * np.floor(u * 9), 0.0)
        ),
    }


def risk_groups(table: Table, female: npt.NDArray[np.bool_]) -> dict[str, Coded]:
    """MSKCC and IMDC risk groups from their factors: 0, 1 to 2, 3 or more.

    MSKCC counts low performance status, high LDH, anaemia, high calcium and treatment within a
    year of diagnosis; IMDC replaces LDH by neutrophils and platelets above normal.

    Parameters
    ----------
    table : dict of columns
        Needs ecog, haemoglobin, calcium, diagnosis_months, ldh, neutrophils and platelets.
    female : ndarray of bool, shape (n_patients,)
        Sex sets the lower limit of haemoglobin.
    """
    ecog = table["ecog"]
    assert isinstance(ecog, Coded)
    values = {k: np.asarray(v) for k, v in table.items() if not isinstance(v, Coded)}
    shared = (
        (ecog.codes >= 2).astype(np.int8)
        + (values["haemoglobin"] < np.where(female, 115.0, 130.0))
        + (values["calcium"] > 2.5)
        + (values["diagnosis_months"] < 12.0)
    )
    counts = {
        "mskcc": shared + (values["ldh"] > 375.0),  # 1.5 times the upper limit of 250 U/L
        "imdc": shared + (values["neutrophils"] > 7.0) + (values["platelets"] > 400.0),
    }
    return {
        name: Coded((count > 0).astype(np.int8) + (count > 2), RISK)
        for name, count in counts.items()
    }


def draw_covariates(
    rng: np.random.Generator, n: int, design: Mapping[str, Any], factor: Floats
) -> Table:
    """Biological truth of each patient at baseline, before any laboratory touches it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of the covariates alone.
    n : int
        Number of patients.
    design : mapping
        Holds ``margins``; each becomes one column under its own name.
    factor : ndarray
        From :func:`copula_factor` over the margins' names.

    Returns
    -------
    dict of columns
        In the order of the margins, with derived columns after their sources.
    """
    margins: Mapping[str, Any] = design["margins"]
    scores = _latent(rng, n, tuple(margins), factor)
    table: Table = {}
    female = np.zeros(n, dtype=np.bool_)
    if "sex" in margins:
        sex = _levels(scores["sex"], margins["sex"])
        female = sex.codes == sex.levels.index("female")
    for name, margin in margins.items():
        kind, z = margin["kind"], scores[name]
        if kind == "lognormal":
            table[name] = np.exp(np.log(margin["median"]) + margin["sigma"] * z)
        elif kind == "truncated_normal":
            table[name] = _truncated_normal(z, margin, female)
        elif kind == "levels":
            table[name] = _levels(z, margin)
        elif kind not in ("caix", "pattern"):
            raise StudyError(f"margin {name!r} must be of a known kind; got {kind!r}.")
    if "pattern" in margins:
        histology = table["histology"]
        assert isinstance(histology, Coded)
        clear = histology.codes == 0
        percentages = _pattern(rng, scores["pattern"], margins["pattern"], histology)
        table.update(percentages)
        group = upton_group(clear, *(percentages[k] for k in percentages))
        table["upton_group"] = Coded(group, UPTON)
    if "caix" in margins:
        table["caix_score"] = scores["caix"]
        table["caix"] = caix_from_score(table, scores["caix"], margins["caix"])
    if "diagnosis_months" in margins:
        table.update(risk_groups(table, female))
    return table
