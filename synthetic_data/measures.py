"""The published analyses of replicate cohorts: each takes a cohort and returns named figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from synthetic_data import analyses as run
from synthetic_data.facts import recipe

__all__ = [
    "Measures",
    "arm_medians",
    "dagher",
    "e3695",
    "fisher",
    "genega",
    "imdc",
    "ives",
    "leibovich",
    "negrier",
    "one_median",
    "percy",
    "proclaim",
    "select_model",
    "select_orr",
    "target_caix",
    "target_vegf",
    "ugurel",
    "upton_logrank",
    "upton_medians",
    "upton_rates",
    "vegf_margins",
    "yang",
]

Measures = dict[str, float]


def _responder(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """CR or PR."""
    return np.asarray(frame["response"].isin(["CR", "PR"]))


def _median(frame: pd.DataFrame, endpoint: str = "os") -> float:
    """Median time to one endpoint."""
    return run.median_survival(frame[f"{endpoint}_months"].to_numpy(), frame[f"{endpoint}_event"])


def _alive(frame: pd.DataFrame, months: float) -> float:
    """Survival probability at one time."""
    return run.survival_at(frame["os_months"].to_numpy(), frame["os_event"], months)


def _by(frame: pd.DataFrame, column: str, level: str) -> pd.DataFrame:
    """Rows at one level of a column."""
    return frame[np.asarray(frame[column] == level)]


def _rates(frame: pd.DataFrame, column: str) -> Measures:
    """Percent responding per level."""
    yes = _responder(frame)
    return {
        f"{level} responding, %": 100.0 * float(yes[np.asarray(frame[column] == level)].mean())
        for level in pd.unique(frame[column])
    }


def upton_rates(specimen: str) -> Callable[[pd.DataFrame], Measures]:
    """Percent responding by pattern group in one kind of specimen."""
    return lambda frame: _rates(_by(frame, "specimen", specimen), "upton_group")


def upton_medians(frame: pd.DataFrame) -> Measures:
    """Median survival in years by pattern group."""
    return {
        f"{level} median OS, years": _median(_by(frame, "upton_group", level)) / 12.0
        for level in ("good", "intermediate", "poor")
    }


def upton_logrank(frame: pd.DataFrame) -> Measures:
    """Whether survival differs over the clear cell pattern groups of primaries at P < .001."""
    clear = _by(frame, "specimen", "primary")
    clear = clear[clear["upton_group"] != "non_clear"]
    p = run.logrank_p(clear["os_months"].to_numpy(), clear["os_event"], clear["upton_group"])
    return {"log-rank P < .001 at n = 146, share": float(p < 0.001)}


def select_orr(frame: pd.DataFrame) -> Measures:
    """Percent responding."""
    return {"responding, %": 100.0 * float(_responder(frame).mean())}


def select_model(frame: pd.DataFrame) -> Measures:
    """Odds ratio of response, good against poor model group, half a patient added per cell."""
    table = []
    for level in ("good", "poor"):
        yes = _responder(_by(frame, "model_group", level))
        table.append([yes.sum() + 0.5, (~yes).sum() + 0.5])
    ratio, low, high = run.odds_ratio(table)
    return {
        "odds ratio good against poor": ratio,
        "its 95% interval spans 1, share": float(low < 1.0 < high),
    }


def one_median(frame: pd.DataFrame) -> Measures:
    """Median survival of everyone."""
    return {"median OS, months": _median(frame)}


def fisher(frame: pd.DataFrame) -> Measures:
    """Median survival and the long plateau."""
    return {
        "median OS, months": _median(frame),
        "alive at 5 years": _alive(frame, 60.0),
        "alive at 10 years": _alive(frame, 120.0),
    }


def arm_medians(
    column: str, levels: tuple[str, ...], endpoint: str = "os"
) -> Callable[[pd.DataFrame], Measures]:
    """Median time by level of a column."""
    return lambda frame: {
        f"{level} median {endpoint.upper()}, months": _median(_by(frame, column, level), endpoint)
        for level in levels
    }


def _hazard_ratio(frame: pd.DataFrame, x: Any) -> tuple[float, float]:
    """Log hazard ratio of the first covariate and its standard error."""
    beta, se = run.cox(x, frame["os_months"].to_numpy(), frame["os_event"])
    return float(beta[0]), float(se[0])


def yang(frame: pd.DataFrame) -> Measures:
    """Hazard ratio of death, high against low dose."""
    beta, _ = _hazard_ratio(frame, np.asarray(frame["arm"] == "high_dose"))
    return {"OS hazard ratio": float(np.exp(beta))}


def percy(frame: pd.DataFrame) -> Measures:
    """Hazard ratios of the two margins of a factorial trial, with the widths of their intervals."""
    found = {}
    for name in ("il2", "ifn"):
        beta, se = _hazard_ratio(frame, np.asarray(frame[name] == "yes"))
        found[f"{name} OS hazard ratio"] = float(np.exp(beta))
        found[f"{name} half-width of ln interval"] = 1.959964 * se
    return found


def proclaim(frame: pd.DataFrame) -> Measures:
    """Median and two-year survival by risk group."""
    found = {}
    for level in ("favourable", "intermediate", "poor"):
        group = _by(frame, "imdc", level)
        found[f"{level} median OS, months"] = _median(group)
        found[f"{level} alive at 2 years, %"] = 100.0 * _alive(group, 24.0)
    return found


def e3695(frame: pd.DataFrame) -> Measures:
    """Medians and one-year survival by arm."""
    found = {}
    for level in ("biochemotherapy", "chemotherapy"):
        arm = _by(frame, "arm", level)
        found[f"{level} median PFS, months"] = _median(arm, "pfs")
        found[f"{level} median OS, months"] = _median(arm)
        found[f"{level} alive at 1 year, %"] = 100.0 * _alive(arm, 12.0)
    return found


def ives(frame: pd.DataFrame) -> Measures:
    """Pooled over trials: Mantel-Haenszel odds ratio, inverse-variance log hazard ratio."""
    tables, betas, weights = [], [], []
    for _, trial in frame.groupby("trial"):
        treated, yes = np.asarray(trial["arm"] == "biochemotherapy"), _responder(trial)
        tables.append(
            [
                [(yes & ~treated).sum(), (~yes & ~treated).sum()],
                [(yes & treated).sum(), (~yes & treated).sum()],
            ]
        )
        beta, se = _hazard_ratio(trial, treated)
        betas.append(beta)
        weights.append(se**-2)
    return {
        "ln response odds ratio": run.mantel_haenszel(np.asarray(tables, dtype=np.float64)),
        "ln OS hazard ratio": float(np.average(betas, weights=weights)),
    }


def ugurel(frame: pd.DataFrame) -> Measures:
    """Medians by genotype in stage IV, and the hazard ratio in everyone."""
    late = _by(frame, "setting", "stage_iv_immunotherapy")
    carrier = np.asarray(late["ccr5"] != "WT/WT")
    whole, _ = _hazard_ratio(frame, np.asarray(frame["ccr5"] != "WT/WT"))
    return {
        "stage IV carriers median OS, months": _median(late[carrier]),
        "stage IV non-carriers median OS, months": _median(late[~carrier]),
        "whole cohort hazard ratio": float(np.exp(whole)),
    }


def leibovich(frame: pd.DataFrame) -> Measures:
    """Hazard ratio of low CAIX alone, and whether it vanishes given grade."""
    low = np.asarray(frame["caix"] <= 85.0, dtype=np.float64)
    grade = np.asarray(frame["grade"].astype(int))
    alone, _ = _hazard_ratio(frame, low)
    adjusted, se = _hazard_ratio(frame, np.column_stack([low, grade == 2, grade == 3, grade == 4]))
    return {
        "hazard ratio low against high": float(np.exp(alone)),
        "adjusted for grade: 95% interval spans 1, share": float(abs(adjusted) < 1.959964 * se),
    }


def genega(frame: pd.DataFrame) -> Measures:
    """Percent of high CAIX by grade and by type."""
    high, clear = np.asarray(frame["caix"] > 85.0), np.asarray(frame["histology"] == "clear_cell")
    found = {
        f"grade {g} high, %": 100.0 * float(high[clear & np.asarray(frame["grade"] == g)].mean())
        for g in "1234"
    }
    return found | {
        "clear cell high, %": 100.0 * float(high[clear].mean()),
        "other types high, %": 100.0 * float(high[~clear].mean()),
    }


def target_caix(frame: pd.DataFrame) -> Measures:
    """Median PFS by arm and CAIX, and whether their interaction is significant."""
    high, drug = np.asarray(frame["caix"] > 85.0), np.asarray(frame["arm"] == "sorafenib")
    found = {
        f"{arm} {label} CAIX median PFS, months": _median(frame[a & h], "pfs")
        for arm, a in (("sorafenib", drug), ("placebo", ~drug))
        for label, h in (("high", high), ("low", ~high))
    }
    x = np.column_stack([high & drug, high, drug]).astype(np.float64)
    beta, se = run.cox(x, frame["pfs_months"].to_numpy(), frame["pfs_event"])
    p = 2.0 * stats.norm.sf(abs(beta[0] / se[0]))
    return found | {"interaction P < .05, share": float(p < 0.05)}


def negrier(frame: pd.DataFrame) -> Measures:
    """Hazard ratio per doubling of VEGF."""
    beta, _ = _hazard_ratio(frame, np.log2(frame["vegf"].to_numpy()))
    return {"hazard ratio per doubling": float(np.exp(beta))}


def target_vegf(frame: pd.DataFrame) -> Measures:
    """Hazard ratio above against below the sample's median VEGF."""
    vegf = frame["vegf"].to_numpy()
    beta, _ = _hazard_ratio(frame, vegf > np.median(vegf))
    return {"hazard ratio above against below the median": float(np.exp(beta))}


def vegf_margins(frame: pd.DataFrame) -> Measures:
    """Median and spread of VEGF by population."""
    found = {}
    for population in ("metastatic_rcc", "rcc", "control"):
        vegf = _by(frame, "population", population)["vegf"].to_numpy()
        found[f"{population} median, pg/mL"] = float(np.median(vegf))
        found[f"{population} SD of ln"] = float(np.log(vegf).std())
    return found


def imdc(frame: pd.DataFrame) -> Measures:
    """Medians by risk group, and concordance of fitted factors and of groups."""
    factors = recipe("imdc").design["factors"]
    x, time = frame[factors].to_numpy(dtype=np.float64), frame["os_months"].to_numpy()
    beta, _ = run.cox(x, time, frame["os_event"])
    group = np.asarray(frame["imdc"].map({"favourable": 0.0, "intermediate": 1.0, "poor": 2.0}))
    found = {
        f"{level} median OS, months": _median(_by(frame, "imdc", level))
        for level in ("favourable", "intermediate", "poor")
    }
    return found | {
        "C by factors": run.concordance(x @ beta, time, frame["os_event"]),
        "C by group": run.concordance(group, time, frame["os_event"]),
    }


def dagher(frame: pd.DataFrame) -> Measures:
    """Percent of each grade."""
    return {f"grade {g}, %": 100.0 * float((frame["grade"] == g).mean()) for g in "1234"}
