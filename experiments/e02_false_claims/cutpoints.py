"""Rows 4 and 5 of the threats, and the coverage of what a chosen cut reports.

Every cell draws cohorts from a declared truth and runs the very procedure of the library on each:
how often the best cut is called a difference where there is none, how often the interval of the
ratio at the chosen cut holds the ratio that this split really has, how often the cut's own interval
holds the planted threshold, and how often a threshold is placed where the effect is smooth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biomarker import Cohort, Study
from biomarker.evidence.cut_scan import CutResult, CutSettings, interaction_cut, prognostic_cut
from biomarker.outcomes import survival_outcome
from biomarker.resampling import spawn
from biomarker.survival.batched_cox import fit_batch_columns
from experiments.cells import Parts, Row, rate_row, replicates

__all__ = ["CELLS", "PARTS", "Cell", "measure"]

_BLOCK = 25  # cohorts a task
_MANY = 100_000  # patients from whom a split's true ratio is taken
_SPLITS = 93
N_DRAWS = 399  # the library draws 999: p below .05 then allows 49 of 1,000 ranks, here 19 of 400


@dataclass(frozen=True)
class Cell:
    """One truth.

    Attributes
    ----------
    name : str
    question : {"prognostic", "interaction"}
    n : int
        Patients; all controls for the prognostic question.
    n_cuts : int
    marker : {"normal", "lognormal"}
    threshold : float
        Quantile of the marker at which an effect sits; 0 for none.
    step : float
        Hazard ratio above against below it; for an interaction the ratio of hazard ratios.
    slope : float
        Hazard ratio per SD of the marker (of its logarithm where lognormal), in everybody.
    varying : float
        Ratio of treatment's hazard ratios per SD: a smooth interaction.
    treatment : float
        Hazard ratio below the threshold.
    covariate : float
        Hazard ratio per SD of a covariate correlated .5 with the marker; 1 for no covariate.
    follow_up : float
        Longest follow-up, in mean survival times under control; censoring is even from a fifth.
    folds : int
        Of the out-of-fold effect; 0 leaves it out, for time.
    """

    name: str
    question: str
    n: int
    n_cuts: int = 40
    marker: str = "normal"
    threshold: float = 0.0
    step: float = 1.0
    slope: float = 1.0
    varying: float = 1.0
    treatment: float = 1.0
    covariate: float = 1.0
    follow_up: float = 2.0
    folds: int = 0

    @property
    def null(self) -> bool:
        """Whether nothing differs between the sides of any cut, beyond the null model."""
        smooth = self.slope if self.question == "prognostic" else 1.0
        return self.step == smooth == self.varying == 1.0


CELLS = (
    Cell("prognostic null, n 200", "prognostic", 200, folds=5),
    Cell("interaction null", "interaction", 300, 21),
    Cell("interaction null, HR .6, strong marker", "interaction", 300, 21, slope=2.0,
         treatment=0.6),
    Cell("prognostic null, n 300", "prognostic", 300),
    Cell("prognostic threshold, HR 2.5", "prognostic", 300, threshold=0.6, step=2.5),
    Cell("prognostic threshold, HR 1.5", "prognostic", 300, threshold=0.4, step=1.5),
    Cell("interaction threshold, ratio .25", "interaction", 300, threshold=0.4, step=0.25,
         slope=1.5, follow_up=4.0),
    Cell("prognostic slope, HR 2 per SD", "prognostic", 300, slope=2.0),
    Cell("interaction null, HR .6, strong lognormal marker", "interaction", 300, 21,
         marker="lognormal", slope=2.0, treatment=0.6),
    Cell("prognostic null beside a strong covariate", "prognostic", 200, covariate=2.0),
    Cell("interaction slope, ratio .5 per SD", "interaction", 300, varying=0.5, follow_up=4.0),
    Cell("prognostic null, n 60", "prognostic", 60),
    Cell("interaction null, n 120", "interaction", 120, 21, treatment=0.6, follow_up=4.0),
)  # fmt: skip


def patients(cell: Cell, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Exponential survival in a cell's truth, and what only the truth knows: ``z`` and ``side``."""
    from scipy.special import ndtri

    z = rng.normal(size=n)
    age = 0.5 * z + np.sqrt(0.75) * rng.normal(size=n)
    two = cell.question == "interaction"
    arm = rng.permutation(np.arange(n) % 2) if two else np.zeros(n, dtype=int)
    side = z > (ndtri(cell.threshold) if cell.threshold else np.inf)
    acting = arm if two else np.ones(n)
    log_rate = (
        np.log(cell.slope) * z
        + np.log(cell.covariate) * age
        + np.log(cell.treatment) * arm
        + acting * (np.log(cell.step) * side + np.log(cell.varying) * z)
    )
    time = rng.exponential(size=n) * np.exp(-log_rate)
    limit = rng.uniform(0.2 * cell.follow_up, cell.follow_up, size=n)
    return pd.DataFrame(
        {
            "pid": np.arange(n).astype(str),
            "arm": np.where(arm == 1, "drug", "placebo"),
            "marker": np.exp(z) if cell.marker == "lognormal" else z,
            "age": age,
            "months": np.maximum(np.minimum(time, limit), 1e-9),
            "died": (time <= limit).astype(int).astype(str),
            "z": z,
            "side": side,
        }
    )


def _study(cell: Cell) -> Study:
    """How the file of a cell is declared."""
    columns: dict[str, Any] = {
        "pid": {"role": "id"},
        "marker": {"role": "marker", "kind": "continuous"},
        "months": {"role": "endpoint"},
        "died": {"role": "endpoint"},
    }
    if cell.question == "interaction":
        columns["arm"] = {
            "role": "arm", "levels": ["placebo", "drug"], "control": "placebo", "randomised": True,
        }  # fmt: skip
    if cell.covariate != 1.0:
        columns["age"] = {"role": "covariate", "kind": "continuous"}
    study: dict[str, Any] = {
        "format_version": 1,
        "name": "cut",
        "columns": columns,
        "endpoints": {
            "os": {
                "type": "survival", "duration": "months", "event": "died", "unit": "months",
                "event_values": ["1"], "censored_values": ["0"], "primary": True,
            }
        },
    }  # fmt: skip
    if cell.question == "prognostic":
        study["single_arm"] = "control"
    return Study.from_dict(study)


def true_ratios(cell: Cell, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log ratio that a split really has, over splits of the marker.

    The fit of the reported model to very many patients: where a cut misses the threshold its sides
    are mixtures, and their ratio lies nearer 1.
    """
    frame = patients(cell, _MANY, spawn(seed, "cut truth", cell.name))
    marker = frame["marker"].to_numpy()
    splits = np.quantile(marker, np.linspace(0.04, 0.96, _SPLITS))
    above = (marker > splits[:, None]).astype(float)
    columns, fixed = above[:, :, None], []
    if cell.covariate != 1.0:
        fixed.append(frame["age"].to_numpy())
    if cell.question == "interaction":
        arm = (frame["arm"] == "drug").to_numpy(dtype=float)
        rank = (np.argsort(np.argsort(marker)) + 0.5) / _MANY - 0.5
        fixed += [arm, marker, rank, rank**2]
        columns = np.stack([above, above * arm], axis=2)
    fits = fit_batch_columns(
        columns,
        survival_outcome(frame["died"] == "1", frame["months"]),
        fixed=np.column_stack(fixed) if fixed else None,
    )
    return splits, fits.coefficients[:, -1]


def one(cell: Cell, replicate: int, seed: int) -> CutResult | None:
    """The procedure on one cohort; None where it cannot be estimated."""
    from biomarker.errors import NotEstimableError

    frame = patients(cell, cell.n, spawn(seed, "cut cohort", cell.name, replicate))
    drop = ["z", "side"]
    drop += ["age"] if cell.covariate == 1.0 else []
    drop += ["arm"] if cell.question == "prognostic" else []
    cohort = Cohort.from_frame(frame.drop(columns=drop), _study(cell))
    settings = CutSettings(most=cell.n_cuts, n_folds=cell.folds, n_draws=N_DRAWS)
    ask = prognostic_cut if cell.question == "prognostic" else interaction_cut
    try:
        return ask(cohort, "marker", "os", settings, seed=replicate)
    except NotEstimableError:
        return None


def measure(cell: Cell, n_cohorts: int, workers: int, seed: int) -> list[Row]:
    """Error rates and coverage in one cell."""
    results = replicates(one, cell, n_cohorts, workers, seed, _BLOCK)
    truth = (np.array([0.0, 1.0]), np.zeros(2)) if cell.null else true_ratios(cell, seed)
    return list(_measures(cell, results, truth))


def _measures(
    cell: Cell, results: list[CutResult | None], truth: tuple[np.ndarray, np.ndarray]
) -> Iterator[Row]:
    """What one cell shows."""
    from scipy.special import ndtri

    found = [r for r in results if r is not None]
    claim = "4" if cell.question == "prognostic" else "5"
    share = 1.0 - len(found) / len(results)
    yield _row(cell, claim, "not estimable", len(results) - len(found), len(results),
               "at most 2%", share <= 0.02)  # fmt: skip
    corrected = sum(r.p_corrected < 0.05 for r in found)
    n = len(found)
    if cell.null:
        yield _row(cell, claim, "corrected p below .05", corrected, n, "3.5% to 6.0%",
                   0.035 <= corrected / n <= 0.060)  # fmt: skip
        yield _row(cell, claim, "uncorrected p below .05", sum(r.p_minimal < 0.05 for r in found),
                   n, "", True)  # fmt: skip
    else:
        yield _row(cell, claim, "corrected p below .05", corrected, n, "", True)
    log = np.log(np.array([[r.ratio, r.ratio_low, r.ratio_high] for r in found]))
    true = np.interp([r.cut for r in found], *truth)
    held = (log[:, 1] <= true) & (true <= log[:, 2])
    # Promised where nothing differs and under a threshold; where the truth is smooth, reported.
    judged = cell.n >= 300 and (cell.null or cell.threshold > 0)
    yield _row(cell, "coverage", "ratio at the chosen cut", int(held.sum()), n,
               "93.5% to 96.5%" if judged else "",
               not judged or 0.935 <= held.mean() <= 0.965)  # fmt: skip
    z = -ndtri(np.array([r.p_minimal for r in found]) / 2.0)
    naive = np.abs(log[:, 0] - true) <= 1.959964 * np.abs(log[:, 0]) / np.maximum(z, 1e-9)
    yield _row(cell, "coverage", "the same, naive interval", int(naive.sum()), n, "", True)
    apart = np.array([[r.out_of_fold_low, r.out_of_fold_high] for r in found])
    usable = np.isfinite(apart).all(axis=1)
    if cell.null and cell.folds:
        good = int(((apart[usable, 0] <= 1.0) & (apart[usable, 1] >= 1.0)).sum())
        yield _row(cell, "coverage", "out-of-fold ratio", good, int(usable.sum()), "", True)
    identified = [r for r in found if r.identified]
    smooth = cell.threshold == 0.0
    yield _row(cell, "coverage", "threshold identified", len(identified), n,
               "at most 6.0%" if smooth else "",
               not smooth or len(identified) / n <= 0.060)  # fmt: skip
    if not smooth and identified:
        at = float(ndtri(cell.threshold))
        place = sum(r.cut_low <= at <= r.cut_high for r in identified)
        yield _row(cell, "coverage", "cut's interval, where identified", place, len(identified),
                   "at least 93.5%", place / len(identified) >= 0.935)  # fmt: skip
    if cell.question == "interaction" and cell.null:
        yield from _sides(cell, found)


def _sides(cell: Cell, found: list[CutResult]) -> Iterator[Row]:
    """Treatment's effect on either side, where it is the same on both."""
    for k, label in enumerate(("at or below", "above")):
        held = sum(r.subgroups[k].low <= cell.treatment <= r.subgroups[k].high for r in found)
        yield _row(cell, "coverage", f"treatment's effect {label} the cut", held, len(found), "",
                   True)  # fmt: skip


def _row(cell: Cell, row: str, measure: str, count: int, n: int, limit: str, passed: bool) -> Row:
    """One figure with its exact binomial interval."""
    words = {"": cell.name, "n": cell.n, "cuts": cell.n_cuts}
    return rate_row(row, words, measure, count, n, limit or "reported", lambda _: passed)


PARTS: Parts = {"cutpoints": (lambda: CELLS, measure)}
