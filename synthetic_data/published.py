"""Cohorts of published studies: exact tables turned into rows, and random draws from strata."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from biomarker.errors import StudyError
from synthetic_data.draw_parts import HIDDEN, scale_and_shape, weibull_times
from synthetic_data.facts import Recipe, recipe
from synthetic_data.table import Floats, patient_ids

__all__ = ["couple", "draw", "draw_with_truth", "fixture"]

_ORDER = ("CR", "PR", "SD")


def _generator(name: str, seed: int) -> np.random.Generator:
    """A generator keyed to recipe and seed."""
    root = np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(name.encode()),))
    return np.random.default_rng(root)


def couple(rng: np.random.Generator, pfs: Floats, os_months: Floats, rounds: int = 8) -> Floats:
    """Rearrange survival times so that none is shorter than its PFS, as loosely as that allows.

    Starts from equal ranks, then swaps the survival times of random pairs wherever both still
    satisfy PFS <= OS. Both distributions stay what they were, except where the two samples' sorted
    values cross by chance: there survival is raised to the PFS.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of the swaps.
    pfs, os_months : ndarray, shape (n_patients,)
        Independent draws; the OS curve must lie above the PFS curve.
    rounds : int
        How many times each patient is offered a swap.

    Returns
    -------
    ndarray, shape (n_patients,)
        Survival times, by patient.
    """
    n = len(pfs)
    order = np.argsort(pfs, kind="stable")
    paired = np.empty(n)
    paired[order] = np.sort(os_months)
    # with finite samples equal ranks can still cross where the curves nearly touch
    paired = np.maximum(paired, pfs)
    half = n // 2
    for _ in range(rounds):
        mix = rng.permutation(n)
        i, j = mix[:half], mix[half : 2 * half]
        fits = (pfs[i] <= paired[j]) & (pfs[j] <= paired[i])
        keep_i = paired[i[fits]].copy()
        paired[i[fits]] = paired[j[fits]]
        paired[j[fits]] = keep_i
    return paired


def _fill(rng: np.random.Generator, column: Any, n: int) -> Any:
    """A constant column, or whole numbers drawn between two ends."""
    if isinstance(column, list):
        return rng.integers(int(column[0]), int(column[1]) + 1, n).astype(np.float64)
    return float(column) if isinstance(column, (int, float)) else column


def _finish(rng: np.random.Generator, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join, shuffle and number the rows."""
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    ids = patient_ids(1, len(frame), 6).astype(str).astype(object)
    frame.insert(0, "patient_id", ids)
    return frame


def fixture(name: str, snapshot: str | None = None) -> pd.DataFrame:
    """Row-level patients whose cross-tables are the published counts.

    Parameters
    ----------
    name : str
        A recipe with exact tables.
    snapshot : str, optional
        Which publication of the same patients, where a recipe holds several.

    Returns
    -------
    DataFrame, shape (n_patients, n_columns)
        One row per patient in random order. Values within a published class (a percentage, a
        time) are drawn; which class a patient is in is fixed by the recipe.

    Raises
    ------
    StudyError
        If the recipe has no exact table, or the snapshot is not one of several it has.

    Examples
    --------
    >>> rows = fixture("klapper-2008")
    >>> len(rows), int((rows["response"] == "CR").sum())
    (259, 23)
    """
    tables = recipe(name).design.get("table", [])
    snapshots = sorted({t["snapshot"] for t in tables if "snapshot" in t})
    if snapshots and snapshot not in snapshots:
        raise StudyError(
            f"snapshot must be one of {', '.join(snapshots)} for {name}; got {snapshot!r}."
        )
    tables = [t for t in tables if not snapshots or t["snapshot"] == snapshot]
    if not tables:
        raise StudyError(f"name must be a recipe with exact tables; {name!r} has none to build.")
    rng = _generator(name, 0)
    parts = []
    for table in tables:
        n = table["n"]
        data = {k: _fill(rng, v, n) for k, v in table["set"].items()}
        if "response" in table:
            data["response"] = table["response"]
        for endpoint in ("os", "pfs"):
            if endpoint in table:
                low, high = table[endpoint]["range"]
                data[f"{endpoint}_months"] = np.round(rng.uniform(low, high, n), 4)
                data[f"{endpoint}_event"] = table[endpoint]["event"]
        parts.append(pd.DataFrame(data, index=range(n)))
    return _finish(rng, parts)


def _respond(
    rng: np.random.Generator, alive: Floats, reached: float, shares: Mapping[str, float]
) -> npt.NDArray[np.object_]:
    """Best response with the stated probabilities, tied to the PFS level and never before it ends.

    Only patients past the first assessment (PFS level below ``reached``) can respond; given that,
    level / reached is uniform, and its normal score is tied to the response noise.
    """
    tie = 0.75
    level = np.clip(alive / reached, 1e-12, 1.0 - 1e-12)
    ease = ndtr(tie * ndtri(level) + np.sqrt(1.0 - tie**2) * rng.standard_normal(len(alive)))
    answer = np.full(len(alive), "PD", dtype=object)
    edge = 0.0
    free = alive < reached
    for label in _ORDER:
        low, edge = edge, edge + shares.get(label, 0.0) / reached
        answer[free & (ease >= low) & (ease < edge)] = label
    return answer


def _alive_at(curve: Mapping[str, float], months: float) -> float:
    """Survival probability of a curve at one time."""
    scale, shape, plateau = scale_and_shape(curve)
    return float(plateau + (1.0 - plateau) * np.exp(-((months / scale) ** shape)))


def _stratum(
    rng: np.random.Generator, spec: Mapping[str, Any], n: int, follow_up: list[float] | None
) -> pd.DataFrame:
    """Patients of one stratum."""
    data = {k: _fill(rng, v, n) for k, v in spec["set"].items()}
    times: dict[str, Floats] = {}
    lead: Floats | None = None
    for endpoint in ("pfs", "os"):
        if endpoint in spec:
            alive = rng.random(n)
            times[endpoint] = weibull_times(alive, spec[endpoint])
            lead = alive if lead is None else lead
    if "pfs" in times and "os" in times:
        times["os"] = couple(rng, times["pfs"], times["os"])
    data |= {f"{HIDDEN}{endpoint}_months": months for endpoint, months in times.items()}
    if "response" in spec:
        data[f"{HIDDEN}response_probability"] = sum(
            spec["response"].get(label, 0.0) for label in ("CR", "PR")
        )
        first = spec.get("pfs", spec.get("os"))
        reached = _alive_at(first, 1.5) if first else 1.0
        level = rng.random(n) if lead is None else lead
        data["response"] = _respond(rng, level, reached, spec["response"])
    if times and follow_up:
        end = rng.uniform(follow_up[0], follow_up[1], n)
        for endpoint in ("os", "pfs"):
            if endpoint in times:
                seen = np.minimum(times[endpoint], end)
                data[f"{endpoint}_months"] = np.maximum(np.round(seen, 4), 1e-4)
                data[f"{endpoint}_event"] = (times[endpoint] <= end).astype(np.int64)
    return pd.DataFrame(data, index=range(n))


def _sizes(rng: np.random.Generator, published: list[int], n_patients: int | None) -> list[int]:
    """Published stratum sizes, or a multinomial draw in the same shares for another total."""
    total = sum(published)
    if n_patients is None or n_patients == total:
        return published
    share = np.asarray(published, dtype=np.float64) / total
    return [int(k) for k in rng.multinomial(n_patients, share)]


def draw(name: str, seed: int, n_patients: int | None = None) -> pd.DataFrame:
    """Random cohort of a published study: sizes as published, responses and times drawn anew.

    Parameters
    ----------
    name : str
        A published recipe.
    seed : int
        Keyed to the recipe, so equal seeds of two recipes are unrelated.
    n_patients : int, optional
        Another size; strata keep their shares on average.

    Returns
    -------
    DataFrame, shape (n_patients, n_columns)
        One row per patient, PFS never longer than OS, no responder progressing within the first
        six weeks.

    Raises
    ------
    StudyError
        If the recipe has nothing to draw from.
    """
    return draw_with_truth(name, seed, n_patients)[0]


def draw_with_truth(
    name: str, seed: int, n_patients: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As :func:`draw`, with each patient's uncensored times and response probability beside it.

    Parameters
    ----------
    name, seed, n_patients
        As for :func:`draw`.

    Returns
    -------
    frame, truth : DataFrame
        The same patients in the same order; infinite times where an event never comes.
    """
    rows = _draw(name, seed, n_patients)
    hidden = [str(c) for c in rows.columns if str(c).startswith(HIDDEN)]
    truth = rows[["patient_id", *hidden]].rename(columns=lambda c: c.removeprefix(HIDDEN))
    return rows.drop(columns=hidden), truth


def _draw(name: str, seed: int, n_patients: int | None) -> pd.DataFrame:
    """Rows with hidden columns."""
    known = recipe(name)
    rng = _generator(name, seed)
    if "model" in known.design and "stratum" not in known.design:
        from synthetic_data.models import MODELS

        return _finish(rng, [MODELS[known.design["model"]](rng, known.design, n_patients)])
    if "stratum" not in known.design:
        raise StudyError(f"name must be a recipe to draw from; {name!r} is an open design.")
    return _draw_strata(rng, known, n_patients)


def _draw_strata(rng: np.random.Generator, known: Recipe, n_patients: int | None) -> pd.DataFrame:
    """Every stratum of a recipe, shuffled together."""
    strata = known.design["stratum"]
    sizes = _sizes(rng, [s["n"] for s in strata], n_patients)
    follow_up = known.design.get("follow_up_months")
    parts = [_stratum(rng, s, k, follow_up) for s, k in zip(strata, sizes, strict=True) if k]
    return _finish(rng, parts)
