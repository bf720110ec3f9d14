"""Exact checks: counts, ratios, p-values and intervals recomputed from rows, held against print."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from synthetic_data import analyses as run
from synthetic_data.facts import recipe
from synthetic_data.il2_kinetics import ANALOGUE, simulate_kinetics
from synthetic_data.published import fixture

__all__ = ["Exact", "exact_checks", "exact_table"]


@dataclass(frozen=True)
class Exact:
    """One check by equality or to the printed digit.

    Parameters
    ----------
    target : str
        T1 to T32.
    recipe : str
        Where the published figure stands.
    what : str
        The figure, in words.
    published : list of float
        As printed.
    tolerance : list of float
        Zero for a count, half the last printed digit otherwise.
    compute : callable
        Recomputes the figure from rows.
    """

    target: str
    recipe: str
    what: str
    published: tuple[float, ...]
    tolerance: tuple[float, ...]
    compute: Callable[[], Iterable[float]]


def _figure(name: str, figure: str) -> list[float]:
    """A published figure as a list of numbers."""
    value = recipe(name).figure(figure)
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]


def _responder(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """CR or PR."""
    return np.asarray(frame["response"].isin(["CR", "PR"]))


def _counts(frame: pd.DataFrame, column: str, levels: Iterable[str]) -> list[int]:
    """Responders and patients of each level, in turn."""
    yes = _responder(frame)
    found = []
    for level in levels:
        held = np.asarray(frame[column] == level)
        found += [int((yes & held).sum()), int(held.sum())]
    return found


def _two_by_two(counts: list[int]) -> npt.NDArray[np.int64]:
    """[[responders, others], ...] from responders and n of two groups."""
    (a, n), (b, m) = counts[:2], counts[2:]
    return np.asarray([[a, n - a], [b, m - b]])


def _caix_by_response() -> list[int]:
    """Responders and others with high, then low CAIX."""
    rows = fixture("atkins-2005")
    high, yes = np.asarray(rows["caix"] > 85), _responder(rows)
    return [int((a & b).sum()) for a in (high, ~high) for b in (yes, ~yes)]


def _integrated() -> list[int]:
    """Responders and others in the integrated good group, then the rest."""
    rows = fixture("atkins-2005")
    pattern, yes = rows["pattern_group"], _responder(rows)
    good = np.asarray((pattern == "good") | ((pattern == "intermediate") & (rows["caix"] > 85)))
    return [int((a & b).sum()) for a in (good, ~good) for b in (yes, ~yes)]


def _pattern_counts() -> list[int]:
    """Responders and others by pattern group."""
    rows = fixture("atkins-2005")
    counts = _counts(rows, "pattern_group", ("good", "intermediate", "poor"))
    return [k for r, n in zip(counts[::2], counts[1::2], strict=True) for k in (r, n - r)]


def _intermediate_caix() -> list[int]:
    """High and low CAIX among responders, then others, of intermediate pattern."""
    rows = fixture("atkins-2005").query("pattern_group == 'intermediate'")
    high, yes = np.asarray(rows["caix"] > 85), _responder(rows)
    return [int((a & b).sum()) for a in (yes, ~yes) for b in (high, ~high)]


def _features() -> list[int]:
    """Clear cell tumours, then tumours with any of each feature."""
    rows = fixture("atkins-2005")
    clear = int((rows["histology"] == "clear_cell").sum())
    held = [int((rows[f"{k}_percent"] > 0).sum()) for k in ("alveolar", "granular", "papillary")]
    return [clear, *held]


def _upton(specimen: str) -> list[int]:
    """Responders and n of each pattern group in one kind of specimen."""
    rows = fixture("upton-2005")
    rows = rows[rows["specimen"] == specimen]
    return _counts(rows, "upton_group", ("good", "intermediate", "poor", "non_clear"))


def _intervals(counts: list[int]) -> list[float]:
    """Exact 95% intervals in percent, of responders and n in turn."""
    pairs = zip(counts[::2], counts[1::2], strict=True)
    return [100.0 * v for k, n in pairs for v in run.clopper_pearson(k, n)]


def _clear_against_variant() -> float:
    """Fisher p of clear cell against other primaries."""
    good, n1, middle, n2, poor, n3, other, m = _upton("primary")
    return run.fisher_p(_two_by_two([good + middle + poor, n1 + n2 + n3, other, m]))


def _select() -> list[int]:
    """Responders and n."""
    rows = fixture("select")
    return [int(_responder(rows).sum()), len(rows)]


def _select_p() -> float:
    """Exact binomial p against the historical 14%."""
    yes, n = _select()
    return float(stats.binomtest(yes, n, 0.14).pvalue)


def _best(name: str, snapshot: str | None = None) -> list[int]:
    """CR, PR and n."""
    rows = fixture(name, snapshot)
    return [int((rows["response"] == k).sum()) for k in ("CR", "PR")] + [len(rows)]


def _progression_free(name: str, arm: str | None = None) -> int:
    """Patients progression-free beyond three years."""
    rows = fixture(name)
    rows = rows if arm is None else rows[rows["arm"] == arm]
    return int((rows["pfs_months"] > 36.0).sum())


def _arms(name: str, column: str, levels: tuple[str, str]) -> list[int]:
    """Responders and n of two levels."""
    return _counts(fixture(name), column, levels)


def _progression_free_p() -> float:
    """Fisher p of three-year progression-free survival by arm."""
    hd, sc = (_progression_free("mcdermott-2005", a) for a in ("hd_il2", "sc_il2_ifn"))
    return run.fisher_p([[hd, 95 - hd], [sc, 91 - sc]])


def _levels(name: str, column: str, levels: Iterable[str]) -> list[int]:
    """Patients at each level."""
    rows = fixture(name)
    return [int((rows[column] == level).sum()) for level in levels]


def _leibovich() -> list[int]:
    """Any, high and low CAIX, and n."""
    caix = fixture("leibovich-2007")["caix"]
    return [int((caix > 0).sum()), int((caix > 85).sum()), int((caix <= 85).sum()), len(caix)]


def _kinetics() -> list[float]:
    """Ligand and cells as the anchors list them."""
    low = simulate_kinetics(10.0, np.arange(1.0, 6.0))
    high = [simulate_kinetics(100.0, np.asarray([5.0]), **k) for k in ({}, {"rates": ANALOGUE})]
    return [*low.ligand, low.cells[-1], *(float(h.cells[-1]) for h in high)]


_HD_SC = partial(_arms, "mcdermott-2005", "arm", ("hd_il2", "sc_il2_ifn"))
_HIGH_LOW = partial(_arms, "yang-2003", "arm", ("high_dose", "low_dose"))
_SITES = partial(_arms, "phan-2001", "site", ("skin_only", "other"))
_BCT = partial(_arms, "e3695", "arm", ("biochemotherapy", "chemotherapy"))
_GENOTYPES = partial(_levels, "ugurel-2008", "ccr5", ("WT/WT", "WT/d32", "d32/d32"))
_RISK = ("favourable", "intermediate", "poor")


def _exact(
    target: str,
    name: str,
    figures: str | tuple[str, ...],
    tolerance: float | tuple[float, ...],
    compute: Callable[[], Any],
) -> Exact:
    """Build one check; ``figures`` name published values in the recipe."""
    names = (figures,) if isinstance(figures, str) else figures
    published = tuple(v for f in names for v in _figure(name, f))
    width = (tolerance,) * len(published) if isinstance(tolerance, (int, float)) else tolerance
    what = ", ".join(f.replace("_", " ") for f in names)
    return Exact(target, name, what, published, width, compute)


def _as_list(value: Any) -> list[float]:
    """Numbers as a flat list."""
    return [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]


_CAIX = (
    "responders_caix_high",
    "non_responders_caix_high",
    "responders_caix_low",
    "non_responders_caix_low",
)


def _square(counts: list[int]) -> npt.NDArray[np.int64]:
    """Four counts as a two-by-two table."""
    return np.asarray(counts).reshape(2, 2)


def _archive_checks() -> tuple[Exact, ...]:
    """The tissue archives: T1 to T6."""
    return (
        _exact("T1", "atkins-2005", _CAIX, 0, _caix_by_response),
        _exact(
            "T1",
            "atkins-2005",
            ("caix_odds_ratio", "caix_fisher_p"),
            (0.005, 5e-4),
            lambda: [
                run.odds_ratio(_square(_caix_by_response()))[0],
                run.fisher_p(_square(_caix_by_response())),
            ],
        ),
        _exact("T2", "atkins-2005", "integrated_counts", 0, _integrated),
        _exact(
            "T2",
            "atkins-2005",
            "integrated_odds_ratio",
            (0.05, 0.05, 0.5),
            lambda: run.odds_ratio(_square(_integrated())),
        ),
        _exact("T3", "atkins-2005", "pattern_counts", 0, _pattern_counts),
        _exact("T3", "atkins-2005", "intermediate_caix_counts", 0, _intermediate_caix),
        _exact("T4", "atkins-2005", "feature_counts", 0, _features),
        _exact("T5", "upton-2005", "primary_counts", 0, partial(_upton, "primary")),
        _exact(
            "T5",
            "upton-2005",
            "primary_intervals",
            (0.5, 0.5, 0.5, 0.5, 0.05, 0.5, 0.05, 0.5),
            lambda: _intervals(_upton("primary")),
        ),
        _exact("T5", "upton-2005", "clear_against_variant_p", 5e-4, _clear_against_variant),
        _exact("T6", "upton-2005", "metastasis_counts", 0, partial(_upton, "metastasis")),
        _exact(
            "T6",
            "upton-2005",
            "metastasis_upper",
            0.05,
            lambda: _intervals(_upton("metastasis"))[5::2],
        ),
    )


def _renal_checks() -> tuple[Exact, ...]:
    """Renal cancer trials: T8 to T17."""
    return (
        _exact("T8", "select", "responders", 0, _select),
        _exact("T8", "select", "response_interval", 0.05, lambda: _intervals(_select())),
        _exact("T8", "select", "response_p", 5e-5, _select_p),
        _exact("T9", "select", "best_response", 0, lambda: _best("select")[:2]),
        _exact("T9", "select", "progression_free_3_years", 0, partial(_progression_free, "select")),
        _exact("T12", "fyfe-1995", "responses_1995", 0, partial(_best, "fyfe-1995", "1995")),
        _exact("T12", "fyfe-1995", "responses_2000", 0, partial(_best, "fyfe-1995", "2000")),
        _exact("T13", "mcdermott-2005", "responses", 0, _HD_SC),
        _exact(
            "T13",
            "mcdermott-2005",
            "response_p",
            5e-4,
            lambda: run.fisher_p(_two_by_two(_HD_SC())),
        ),
        _exact(
            "T13",
            "mcdermott-2005",
            "progression_free_3_years",
            0,
            lambda: [_progression_free("mcdermott-2005", a) for a in ("hd_il2", "sc_il2_ifn")],
        ),
        _exact("T13", "mcdermott-2005", "progression_free_p", 5e-4, _progression_free_p),
        _exact("T14", "yang-2003", "responses", 0, _HIGH_LOW),
        _exact(
            "T14", "yang-2003", "response_p", 5e-4, lambda: run.pearson_p(_two_by_two(_HIGH_LOW()))
        ),
        _exact("T16", "proclaim", "group_sizes", 0, partial(_levels, "proclaim", "imdc", _RISK)),
        _exact("T17", "klapper-2008", "responses", 0, partial(_best, "klapper-2008")),
    )


def _melanoma_checks() -> tuple[Exact, ...]:
    """Melanoma trials and genotype: T18 to T22."""
    return (
        _exact("T18", "atkins-melanoma", "responses", 0, partial(_best, "atkins-melanoma")),
        _exact(
            "T18",
            "atkins-melanoma",
            "response_interval",
            0.5,
            lambda: _intervals([sum(_best("atkins-melanoma")[:2]), 270]),
        ),
        _exact(
            "T18",
            "atkins-melanoma",
            "alive",
            0,
            lambda: int((fixture("atkins-melanoma")["os_event"] == 0).sum()),
        ),
        _exact("T19", "phan-2001", "responses", 0, _SITES),
        _exact("T19", "phan-2001", "response_p", 5e-8, lambda: run.fisher_p(_two_by_two(_SITES()))),
        _exact(
            "T19",
            "phan-2001",
            "odds_ratio",
            0.05,
            lambda: run.odds_ratio(_two_by_two(_SITES())),
        ),
        _exact("T20", "e3695", "responses", 0, _BCT),
        _exact("T20", "e3695", "response_p", 5e-4, lambda: run.fisher_p(_two_by_two(_BCT()))),
        _exact("T22", "ugurel-2008", "genotypes", 0, _GENOTYPES),
        _exact(
            "T22", "ugurel-2008", "hwe_chi2", 0.05, lambda: run.hardy_weinberg_chi2(_GENOTYPES())
        ),
    )


def _other_checks() -> tuple[Exact, ...]:
    """CAIX, risk groups and kinetics: T24 to T32."""
    return (
        _exact("T24", "leibovich-2007", "caix_counts", 0, _leibovich),
        _exact("T30", "imdc", "group_sizes", 0, partial(_levels, "imdc", "imdc", _RISK)),
        Exact(
            "T32",
            "il2-kinetics",
            "ligand at day 1 to 5 and cells at day 5 from 10 pM; cells from 100 pM, also analogue",
            _ANCHORS,
            tuple(1e-3 * a for a in _ANCHORS),
            _kinetics,
        ),
    )


def exact_checks() -> tuple[Exact, ...]:
    """Every exact check, in the order of the targets."""
    return (*_archive_checks(), *_renal_checks(), *_melanoma_checks(), *_other_checks())


_ANCHORS = (6.159, 3.379, 1.625, 0.701, 0.282, 1.121, 3.912, 4.025)


def exact_table() -> pd.DataFrame:
    """Every exact figure with what the rows give: one row per printed number.

    Returns
    -------
    DataFrame
        Columns target, recipe, what, published, computed, tolerance, holds.
    """
    rows = []
    for check in exact_checks():
        computed = _as_list(check.compute())
        for printed, found, width in zip(check.published, computed, check.tolerance, strict=True):
            # half a last digit may itself round up: allow the last bit
            holds = abs(found - printed) <= width * (1.0 + 1e-9)
            rows.append(
                (check.target, check.recipe, check.what, printed, found, width, bool(holds))
            )
    columns = ["target", "recipe", "what", "published", "computed", "tolerance", "holds"]
    return pd.DataFrame(rows, columns=columns)
