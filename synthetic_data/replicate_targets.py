"""Stochastic checks: the published analysis on replicate cohorts, the mean held against a band."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthetic_data import analyses as run
from synthetic_data import measures as measure
from synthetic_data.facts import recipe
from synthetic_data.measures import Measures
from synthetic_data.published import draw

__all__ = ["Band", "Stochastic", "judge", "replicate", "stochastic_checks"]


@dataclass(frozen=True)
class Band:
    """What the mean over replicates must lie in, and what nine in ten replicates must lie in.

    Parameters
    ----------
    published : float
        As printed; not a number where only the band is (a range, a rate of significance).
    low, high : float
        Band for the mean.
    interval : pair of float, optional
        Published 95% interval; at least 90% of replicates must lie inside.
    """

    published: float
    low: float
    high: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Stochastic:
    """One analysis repeated on replicate cohorts.

    Parameters
    ----------
    target : str
        T1 to T32.
    recipe : str
        What is drawn.
    n_patients : int or None
        None draws the published size.
    measure : callable
        Cohort in, named figures out.
    bands : dict of str to Band
        By figure.
    share : float
        Replicates drawn per replicate asked for: fewer for large cohorts, more where a rate is
        judged.
    """

    target: str
    recipe: str
    n_patients: int | None
    measure: Callable[[pd.DataFrame], Measures]
    bands: dict[str, Band]
    share: float = 1.0


NOT_PRINTED = float("nan")


def _figure(name: str, figure: str) -> list[float]:
    """A published figure as a list of numbers."""
    value = recipe(name).figure(figure)
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]


def _within(published: float, relative: float) -> Band:
    """A band of so many parts of the published value."""
    return Band(published, published * (1.0 - relative), published * (1.0 + relative))


def _around(published: float, width: float, interval: tuple[float, float] | None = None) -> Band:
    """A band of so much either side of the published value."""
    return Band(published, published - width, published + width, interval)


def _upton_bands(specimen: str) -> dict[str, Band]:
    """Two points around each group's percentage, with its exact interval."""
    counts = _figure("upton-2005", f"{specimen}_counts")
    bands = {}
    for i, level in enumerate(("good", "intermediate", "poor", "non_clear")):
        k, n = int(counts[2 * i]), int(counts[2 * i + 1])
        low, high = run.clopper_pearson(k, n)
        # one responder: the lower limit is below one patient, and the mean asked for leaves more
        # than a third of replicates without any, so none counts as inside
        low = 0.0 if k <= 1 else low
        bands[f"{level} responding, %"] = _around(100.0 * k / n, 2.0, (100.0 * low, 100.0 * high))
    return bands


# -- the list ------------------------------------------------------------------------------------


def _medians(name: str, figure: str, labels: Iterable[str], relative: float) -> dict[str, Band]:
    """Bands of so many parts around published medians, by label."""
    return {k: _within(v, relative) for k, v in zip(labels, _figure(name, figure), strict=True)}


def _percy_bands() -> dict[str, Band]:
    """Hazard ratios and widths of their intervals for both margins."""
    bands = {}
    for name in ("il2", "ifn"):
        ratio, low, high = _figure("percy-quattro", f"{name}_hazard_ratio")
        bands[f"{name} OS hazard ratio"] = _around(ratio, 0.05, (low, high))
        half = 0.5 * float(np.log(high / low))
        bands[f"{name} half-width of ln interval"] = _within(half, 0.15)
    return bands


def _ives_bands() -> dict[str, Band]:
    """Pooled ratios on the log scale."""
    bands = {}
    for label, figure in (
        ("ln response odds ratio", "response_odds_ratio"),
        ("ln OS hazard ratio", "os_hazard_ratio"),
    ):
        ratio, low, high = np.log(_figure("ives-2007", figure))
        bands[label] = _around(float(ratio), 0.03, (float(low), float(high)))
    return bands


def _select_band() -> dict[str, Band]:
    """A point and a half around 25%."""
    low, high = _figure("select", "response_interval")
    return {"responding, %": _around(25.0, 1.5, (low, high))}


def _percent_bands(name: str, figure: str, labels: Iterable[str], width: float) -> dict[str, Band]:
    """Bands of so many points around published percentages."""
    return {k: _around(v, width) for k, v in zip(labels, _figure(name, figure), strict=True)}


_RISK = ("favourable", "intermediate", "poor")
_ARMS = ("biochemotherapy", "chemotherapy")
_OS = "median OS, months"


def _pattern_checks() -> tuple[Stochastic, ...]:
    """Histology pattern and SELECT: T5 to T11."""
    return (
        Stochastic(
            "T5",
            "upton-2005",
            None,
            measure.upton_rates("primary"),
            _upton_bands("primary"),
            share=4.0,
        ),
        Stochastic(
            "T6",
            "upton-2005",
            None,
            measure.upton_rates("metastasis"),
            _upton_bands("metastasis"),
            share=8.0,
        ),
        Stochastic(
            "T7",
            "upton-2005",
            100_000,
            measure.upton_medians,
            _medians(
                "upton-2005",
                "os_median_years",
                [f"{k} median OS, years" for k in ("good", "intermediate", "poor")],
                0.05,
            ),
            share=0.02,
        ),
        Stochastic(
            "T7",
            "upton-2005",
            None,
            measure.upton_logrank,
            {"log-rank P < .001 at n = 146, share": Band(NOT_PRINTED, 0.8, 1.0)},
        ),
        Stochastic("T8", "select", None, measure.select_orr, _select_band()),
        Stochastic(
            "T10",
            "select",
            None,
            measure.select_model,
            {
                "odds ratio good against poor": Band(NOT_PRINTED, 0.5, 1.1),
                "its 95% interval spans 1, share": Band(NOT_PRINTED, 0.9, 1.0),
            },
            share=4.0,
        ),
        Stochastic(
            "T11",
            "select",
            None,
            measure.one_median,
            _medians("select", "os_median", [_OS], 0.05),
        ),
    )


def _renal_checks() -> tuple[Stochastic, ...]:
    """Renal cancer trials and registries: T12 to T16."""
    return (
        Stochastic(
            "T12",
            "fyfe-1995",
            None,
            measure.fisher,
            _medians("fyfe-1995", "os_median", [_OS], 0.05)
            | {
                "alive at 5 years": Band(NOT_PRINTED, 0.10, 0.20),
                "alive at 10 years": Band(NOT_PRINTED, 0.10, 0.20),
            },
        ),
        Stochastic(
            "T13",
            "mcdermott-2005",
            None,
            measure.arm_medians("arm", ("hd_il2", "sc_il2_ifn")),
            _medians(
                "mcdermott-2005",
                "os_median",
                [f"{k} {_OS}" for k in ("hd_il2", "sc_il2_ifn")],
                0.07,
            ),
        ),
        Stochastic(
            "T14", "yang-2003", None, measure.yang, {"OS hazard ratio": Band(NOT_PRINTED, 0.9, 1.1)}
        ),
        Stochastic("T15", "percy-quattro", None, measure.percy, _percy_bands()),
        Stochastic(
            "T16",
            "proclaim",
            None,
            measure.proclaim,
            _medians("proclaim", "os_median", [f"{k} {_OS}" for k in _RISK], 0.05)
            | _percent_bands(
                "proclaim", "alive_2_years", [f"{k} alive at 2 years, %" for k in _RISK], 3.0
            ),
        ),
    )


def _melanoma_checks() -> tuple[Stochastic, ...]:
    """Melanoma trials, pooled trials and genotype: T18 to T23."""
    return (
        Stochastic(
            "T18",
            "atkins-melanoma",
            None,
            measure.one_median,
            _medians("atkins-melanoma", "os_median", [_OS], 0.05),
        ),
        Stochastic(
            "T20",
            "e3695",
            None,
            measure.e3695,
            _medians("e3695", "pfs_median", [f"{k} median PFS, months" for k in _ARMS], 0.05)
            | _medians("e3695", "os_median", [f"{k} {_OS}" for k in _ARMS], 0.05)
            | _percent_bands(
                "e3695", "alive_1_year", [f"{k} alive at 1 year, %" for k in _ARMS], 3.0
            ),
        ),
        Stochastic("T21", "ives-2007", None, measure.ives, _ives_bands()),
        Stochastic(
            "T23",
            "ugurel-2008",
            None,
            measure.ugurel,
            _medians(
                "ugurel-2008",
                "stage_iv_median",
                [f"stage IV {k} {_OS}" for k in ("carriers", "non-carriers")],
                0.07,
            )
            | {"whole cohort hazard ratio": Band(NOT_PRINTED, 0.9, 1.1)},
        ),
    )


def _tissue_checks() -> tuple[Stochastic, ...]:
    """Tissue CAIX: T24 to T26."""
    return (
        Stochastic(
            "T24",
            "leibovich-2007",
            None,
            measure.leibovich,
            {
                "hazard ratio low against high": _around(1.65, 0.15),
                "adjusted for grade: 95% interval spans 1, share": Band(NOT_PRINTED, 0.85, 1.0),
            },
        ),
        Stochastic(
            "T25",
            "genega-2010",
            None,
            measure.genega,
            _percent_bands(
                "genega-2010", "high_by_grade_percent", [f"grade {g} high, %" for g in "1234"], 2.0
            )
            | _percent_bands(
                "genega-2010",
                "high_by_type_percent",
                ["clear cell high, %", "other types high, %"],
                2.0,
            ),
        ),
        Stochastic(
            "T26",
            "target-caix",
            None,
            measure.target_caix,
            {
                f"{arm} {label} CAIX median PFS, months": _within(v, 0.07)
                for arm in ("sorafenib", "placebo")
                for label, v in zip(
                    ("high", "low"), _figure("target-caix", f"pfs_median_{arm}"), strict=True
                )
            }
            | {"interaction P < .05, share": Band(NOT_PRINTED, 0.03, 0.08)},
            share=4.0,
        ),
    )


def _serum_and_risk_checks() -> tuple[Stochastic, ...]:
    """Serum VEGF, risk groups and grade: T27 to T31."""
    return (
        Stochastic(
            "T27",
            "negrier-vegf",
            None,
            measure.negrier,
            {"hazard ratio per doubling": _around(1.39, 0.08)},
        ),
        Stochastic(
            "T27",
            "target-vegf",
            None,
            measure.target_vegf,
            {"hazard ratio above against below the median": _around(1.65, 0.15)},
        ),
        Stochastic(
            "T28",
            "vegf-reference",
            300_000,
            measure.vegf_margins,
            _medians(
                "vegf-reference",
                "medians",
                [f"{k} median, pg/mL" for k in ("metastatic_rcc", "rcc", "control")],
                0.03,
            )
            | {
                "metastatic_rcc SD of ln": _around(0.83, 0.05),
                "rcc SD of ln": _around(0.83, 0.05),
                "control SD of ln": _around(0.71, 0.05),
            },
            share=0.02,
        ),
        Stochastic(
            "T29",
            "motzer-2002",
            None,
            measure.arm_medians("mskcc", _RISK),
            _medians("motzer-2002", "os_median", [f"{k} {_OS}" for k in _RISK], 0.05),
        ),
        Stochastic(
            "T30",
            "imdc",
            None,
            measure.imdc,
            _medians("imdc", "os_median", [f"{k} {_OS}" for k in _RISK], 0.05)
            | {"C by factors": _around(0.71, 0.03), "C by group": _around(0.664, 0.03)},
        ),
        Stochastic(
            "T31",
            "dagher-isup",
            None,
            measure.dagher,
            _percent_bands("dagher-isup", "grade_percent", [f"grade {g}, %" for g in "1234"], 1.0),
        ),
    )


def stochastic_checks() -> tuple[Stochastic, ...]:
    """Every stochastic check, in the order of the targets."""
    return (
        *_pattern_checks(),
        *_renal_checks(),
        *_melanoma_checks(),
        *_tissue_checks(),
        *_serum_and_risk_checks(),
    )


def replicate(check: Stochastic, n_replicates: int, seed: int) -> pd.DataFrame:
    """Figures of one check on replicate cohorts.

    Parameters
    ----------
    check : Stochastic
        From :func:`stochastic_checks`.
    n_replicates : int
        Asked for; checks on large cohorts draw their share of it, at least 3.
    seed : int
        Seed of the first replicate; the others follow.

    Returns
    -------
    DataFrame, shape (n_drawn, n_figures)
    """
    drawn = max(3, round(n_replicates * check.share))
    figures = [check.measure(draw(check.recipe, seed + r, check.n_patients)) for r in range(drawn)]
    return pd.DataFrame(figures)[list(check.bands)]


def judge(check: Stochastic, figures: pd.DataFrame, slack: float = 0.0) -> pd.DataFrame:
    """Published value, mean and 95% range of the replicates, and the verdict, per figure.

    Parameters
    ----------
    check : Stochastic
        From :func:`stochastic_checks`.
    figures : DataFrame
        From :func:`replicate`.
    slack : float
        Standard errors of the mean that the band is widened by; 0 at full depth.

    Returns
    -------
    DataFrame
        Columns target, recipe, figure, published, band_low, band_high, mean, low, high (95% of
        replicates), inside (share of replicates in the printed interval), holds.
    """
    rows = []
    for name, band in check.bands.items():
        values = figures[name].to_numpy()
        mean = float(values.mean())
        room = slack * float(values.std(ddof=1)) / np.sqrt(len(values))
        holds = band.low - room <= mean <= band.high + room
        inside = float("nan")
        if band.interval is not None:
            inside = float(((values >= band.interval[0]) & (values <= band.interval[1])).mean())
            holds = holds and inside >= 0.90 - slack * np.sqrt(0.09 / len(values))
        low, high = np.percentile(values, [2.5, 97.5])
        rows.append(
            (
                *(check.target, check.recipe, name, band.published, band.low, band.high),
                *(mean, low, high, inside, bool(holds)),
            )
        )
    columns = [
        *("target", "recipe", "figure", "published", "band_low", "band_high"),
        *("mean", "low", "high", "inside", "holds"),
    ]
    return pd.DataFrame(rows, columns=columns)
