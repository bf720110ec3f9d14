"""One outer fold: tuned and refitted on the others, predicted, and trained again without parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.errors import NotEstimableError
from biomarker.resampling import Fold, make_folds, spawn
from biomarker.validation.procedure import FitCall, Procedure, TunedFit

__all__ = ["CUT_LEVELS", "FoldOutput", "final_fit", "outer_fold", "training_groups"]

Floats = npt.NDArray[np.float64]

# Thirds of the training patients' risk: low, middle, high.
CUT_LEVELS = (1.0 / 3.0, 2.0 / 3.0)


@dataclass(frozen=True)
class FoldOutput:
    """What one outer fold sends back: plain arrays, no model."""

    risk: Floats
    survival: Floats | None
    cuts: Floats
    params: dict[str, Any]
    scores: tuple[float | None, ...]
    calls: tuple[FitCall, ...]
    n_failed: int
    perturbed: Floats


def final_fit(
    procedure: Procedure,
    X: Floats,
    y: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
) -> TunedFit:
    """Tune and fit on every patient."""
    return procedure.fit(X, y, np.arange(len(y)), labels, groups, "final")


def outer_fold(
    procedure: Procedure,
    X: Floats,
    y: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    asked: Floats,
    repeat: int,
    number: int,
    fold: Fold,
    parts: Sequence[npt.NDArray[np.intp]],
) -> FoldOutput:
    """Tune and refit on the training patients, predict the test patients."""
    train, test = fold
    tuned = procedure.fit(X, y, train, labels, groups, "outer", repeat, number)
    model = tuned.model
    if procedure.kind == "survival":
        risk = np.asarray(model.predict_risk(X[test]), dtype=np.float64)
        known = np.asarray(model.predict_risk(X[train]), dtype=np.float64)
        survival = np.asarray(model.predict_survival(X[test], asked), dtype=np.float64)
    else:
        risk = np.asarray(model.predict_response(X[test]), dtype=np.float64)
        known = np.asarray(model.predict_response(X[train]), dtype=np.float64)
        survival = None
    perturbed, calls, failed = _perturb(
        procedure, tuned, X, y, fold, parts if repeat == 0 else (), number
    )
    cuts = np.asarray(np.quantile(known, CUT_LEVELS), dtype=np.float64)
    return FoldOutput(
        risk,
        survival,
        cuts,
        tuned.params,
        tuned.scores,
        (*tuned.calls, *calls),
        tuned.n_failed + failed,
        perturbed,
    )


def training_groups(
    n_parts: int, patient: npt.NDArray[Any] | None, labels: npt.NDArray[Any], seed: int
) -> tuple[npt.NDArray[np.intp], ...]:
    """Parts of the cohort to leave out of training, the same for every outer fold."""
    if n_parts == 0:
        return ()
    folds = make_folds(n_parts, patient, labels, spawn(seed, "training groups"))
    return tuple(part for _, part in folds)


def _perturb(
    procedure: Procedure,
    tuned: TunedFit,
    X: Floats,
    y: npt.NDArray[Any],
    fold: Fold,
    parts: Sequence[npt.NDArray[np.intp]],
    number: int,
) -> tuple[Floats, list[FitCall], int]:
    """Risk of the test patients from training without each part; NaN where not estimable."""
    train, test = fold
    risks = np.full((len(parts), len(test)), np.nan)
    calls: list[FitCall] = []
    failed = 0
    for part, left_out in enumerate(parts):
        rows = np.setdiff1d(train, left_out)
        try:
            model = procedure.refit(X, y, rows, tuned.params, calls, "outer", 0, number, part)
            if procedure.kind == "survival":
                risks[part] = model.predict_risk(X[test])
            else:
                risks[part] = model.predict_response(X[test])
        except NotEstimableError:
            failed += 1
    return risks, calls, failed
