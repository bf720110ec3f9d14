"""Boosted trees for survival: a proportional hazards and an accelerated failure time form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from biomarker.errors import BundleError, NotEstimableError
from biomarker.models.boosting import (
    FEWEST_FOLDS,
    BoostedModel,
    booster_margin,
    canonical_order,
)
from biomarker.models.cox_loss import CoxLoss
from biomarker.models.protocol import (
    FloatArray,
    MarginScale,
    check_features,
    check_rows,
    check_times,
    check_weights,
)
from biomarker.models.recalibration import (
    AFT_DISTRIBUTIONS,
    HAZARD_KNOTS,
    Distribution,
    calibrate_log_time,
    location_scale_hazard,
    observed_hazard,
    recalibrated_survival,
)
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.baseline_hazard import BaselineHazard

__all__ = ["BoostedAFT", "BoostedCox"]


class BoostedCox(BoostedModel):
    r"""Gradient-boosted trees on Cox's partial likelihood, with calibrated survival curves.

    .. math:: S(t \mid x) = \exp\{-H_0(t)\, e^{b\,(m(x) - \bar m)}\}

    where :math:`m(x)` is the trees' sum (the margin), :math:`\bar m` its training mean, and
    the slope :math:`b` and baseline :math:`H_0` come from margins of patients whom the booster
    had not seen, so that the curves carry the model's real, not its apparent, separation.

    Parameters
    ----------
    n_estimators : int, default 100
        Number of trees.
    learning_rate : float, default 0.05
        Share of each tree's fit that is kept.
    max_depth : int, default 2
        Depth of a tree: 1 = additive, 2 = pairwise interactions.
    subsample : float, default 0.8
        Share of patients each tree sees, in (0, 1].
    min_child_weight : float, default 2.0
        Least sum of second derivatives in a leaf: for this loss about a number of events.
    reg_lambda : float, default 1.0
        Ridge penalty on leaf values.
    random_state : int, default 0
        Seed of folds and subsamples; the same seed gives the same model on any thread count.
    n_threads : int, default 1
        Threads for one fit. Parallelise over folds and resamples first.

    Attributes
    ----------
    booster_ : xgboost.Booster
        Its contributions, bias included, sum to :meth:`predict_margin`.
    calibration_slope_ : float
        :math:`b` above, in [0, 5]; below 1 = the trees overfit and the curves are drawn in.
        Applied after the margin: risks and attributions are on the trees' own scale.
    margin_center_ : float
        :math:`\bar m`.
    baseline_times_, baseline_hazard_ : ndarray, shape (n_points,)
        :math:`H_0` on some 400 cells of a round width, so that no patient's own time is kept;
        exact at those times, interpolated linearly between.

    Notes
    -----
    Ties by Efron's approximation in loss and baseline: XGBoost's own Cox objective depends on the
    order of tied rows. Hazards are assumed proportional and censoring independent given
    the features. Beyond the last event the curve stays level. A fit trains up to six
    boosters: one on all patients and one for each fold of the calibration.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.outcomes import survival_outcome
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = survival_outcome(np.ones(200), rng.exponential(np.exp(-X[:, 0])))
    >>> curves = BoostedCox(n_estimators=30).fit(X, y).predict_survival([[-1, 0], [1, 0]], [0.5])
    >>> bool(curves[0, 0] > curves[1, 0])
    True
    """

    margin_scale: ClassVar[MarginScale] = "log hazard"
    _numbers = ("calibration_slope", "margin_center")
    _vectors = ("baseline_times", "baseline_hazard")

    def fit(
        self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> BoostedCox:
        """Learn trees, calibration slope and baseline hazard.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        y : structured array, shape (n_patients,)
            From :func:`biomarker.outcomes.survival_outcome`.
        sample_weight : array-like of float, shape (n_patients,), optional
            Case weights.

        Returns
        -------
        BoostedCox
            The fitted model.

        Raises
        ------
        NotEstimableError
            With fewer than six events: each of three folds needs two.
        """
        features, outcome, weight = _survival_rows(X, y, sample_weight)
        duration, event = outcome["duration"], outcome["event"]

        def train(rows: npt.NDArray[np.intp], seed: int) -> Any:
            loss = CoxLoss(duration[rows], event[rows], weight[rows])
            return self._train(features[rows], seed, base_score=0.0, gradients=loss.gradients)

        margin, self.booster_ = self._cross_fit(train, features, event, int(event.sum()))
        loss = CoxLoss(duration, event, weight)
        self.calibration_slope_ = loss.slope(margin)
        times, jumps = loss.baseline(self.calibration_slope_ * margin)
        baseline = BaselineHazard.from_jumps(times, jumps, jumps).coarse()
        self.baseline_times_, self.baseline_hazard_ = baseline.time, baseline.cumulative
        self.margin_center_ = float(booster_margin(self.booster_, features).mean())
        self.n_features_in_ = features.shape[1]
        return self

    def _level(self, booster: Any, held: FloatArray, kept: FloatArray) -> FloatArray:
        """Centre by the training rows: the partial likelihood leaves a booster's level free."""
        return booster_margin(booster, held) - booster_margin(booster, kept).mean()

    def predict_risk(self, X: npt.ArrayLike) -> FloatArray:
        """Risk of each patient, shape (n_patients,): the log hazard margin; higher = worse."""
        return self.predict_margin(X)

    def predict_survival(self, X: npt.ArrayLike, times: npt.ArrayLike) -> FloatArray:
        """Calibrated survival curves.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        times : array-like of float, shape (n_times,)
            Horizons, at least 0, in the unit of the durations.

        Returns
        -------
        ndarray, shape (n_patients, n_times)
            Probability of no event up to each time, in [0, 1]; never rises with time.
        """
        margin, horizons = self._raw_margin(X), check_times(times)
        hazard = np.interp(horizons, self.baseline_times_, self.baseline_hazard_)
        relative = np.exp(self.calibration_slope_ * (margin - self.margin_center_))
        survival: FloatArray = np.exp(-relative[:, None] * hazard)
        return survival

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> BoostedCox:
        """As for every model; the baseline hazard must also begin at 0 and never fall."""
        model: BoostedCox = super().from_state(state, blobs)
        times, hazard = model.baseline_times_, model.baseline_hazard_
        whole = len(times) == len(hazard) > 0 and times[0] == hazard[0] == 0
        if not (whole and (np.diff(times) > 0).all() and (np.diff(hazard) >= 0).all()):
            raise BundleError(
                "baseline_hazard must begin at 0 and never fall over rising baseline_times; got "
                f"{len(hazard)} value(s) at {len(times)} time(s). The bundle is damaged."
            )
        return model


class BoostedAFT(BoostedModel):
    r"""Gradient-boosted trees on log survival time, with calibrated survival curves.

    .. math:: \log T = \log u + a + b\, m(x) + \sigma\varepsilon

    where :math:`m(x)` is the trees' sum and :math:`u` a unit of time set by the data. The trees
    maximise the censored likelihood under ``distribution``; location :math:`a`, slope :math:`b`,
    scale :math:`\sigma` and the error's distribution (normal, logistic or extreme value, whichever
    is likeliest) are then estimated on margins of patients whom the booster had not seen. What that
    distribution gets wrong on those patients as a whole is put right by ``observed_hazard_``.

    Parameters
    ----------
    distribution : {"normal", "logistic", "extreme"}, default "normal"
        Error distribution of the trees' loss.
    n_estimators, learning_rate, max_depth, subsample, min_child_weight, reg_lambda
        As for :class:`BoostedCox`; ``min_child_weight`` is in second derivatives of this loss, some
        tenths to one per patient.
    random_state : int, default 0
        Seed of folds and subsamples.
    n_threads : int, default 1
        Threads for one fit.

    Attributes
    ----------
    booster_ : xgboost.Booster
        Its contributions, bias included, sum to the log time margin: minus
        :meth:`predict_margin`, as ``contribution_sign`` says.
    location_, calibration_slope_, log_scale_ : float
        :math:`\log u + a`, :math:`b` in [0, 5], and :math:`\log\sigma`.
    curve_distribution_ : str
        The error distribution of the curves.
    observed_hazard_ : ndarray, shape (24,)
        What the curves' cumulative hazard is replaced by, at fixed values of it: the Nelson-Aalen
        estimate of Cox-Snell residuals, the identity where the error distribution is right.

    Notes
    -----
    Risk is the log time margin with its sign reversed: higher = worse, one unit = survival times
    e-fold shorter before calibration. Errors are assumed to have one shape for all patients, and
    censoring to be independent given the features. A fit trains up to six
    boosters.

    Examples
    --------
    >>> import numpy as np
    >>> from biomarker.outcomes import survival_outcome
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = survival_outcome(np.ones(200), np.exp(rng.normal(X[:, 0], 0.5)))
    >>> curves = BoostedAFT(n_estimators=30).fit(X, y).predict_survival([[-1, 0], [1, 0]], [1.0])
    >>> bool(curves[0, 0] < curves[1, 0])
    True
    """

    margin_scale: ClassVar[MarginScale] = "log time, sign reversed"
    contribution_sign: ClassVar[int] = -1
    _numbers = ("location", "calibration_slope", "log_scale")
    _vectors = ("observed_hazard",)
    _words: ClassVar[dict[str, tuple[str, ...]]] = {"curve_distribution": AFT_DISTRIBUTIONS}

    def __init__(
        self,
        distribution: Distribution = "normal",
        n_estimators: int = 100,
        learning_rate: float = 0.05,
        max_depth: int = 2,
        subsample: float = 0.8,
        min_child_weight: float = 2.0,
        reg_lambda: float = 1.0,
        random_state: int = 0,
        n_threads: int = 1,
    ) -> None:
        super().__init__(
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            max_depth=max_depth,
            subsample=subsample,
            min_child_weight=min_child_weight,
            reg_lambda=reg_lambda,
            random_state=random_state,
            n_threads=n_threads,
        )
        self.distribution = distribution

    def fit(
        self, X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> BoostedAFT:
        """Learn trees and the calibrated distribution around them.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        y : structured array, shape (n_patients,)
            From :func:`biomarker.outcomes.survival_outcome`.
        sample_weight : array-like of float, shape (n_patients,), optional
            Case weights.

        Returns
        -------
        BoostedAFT
            The fitted model.

        Raises
        ------
        NotEstimableError
            With fewer than six events: each of three folds needs two.
        """
        if self.distribution not in AFT_DISTRIBUTIONS:
            raise ValueError(
                f"distribution must be one of {AFT_DISTRIBUTIONS}; got {self.distribution!r}."
            )
        features, outcome, weight = _survival_rows(X, y, sample_weight)
        event, log_time = outcome["event"], np.log(outcome["duration"])
        # Without features, so that the trees start from the population and in its units.
        null = calibrate_log_time(np.zeros(len(event)), log_time, event, weight, self.distribution)
        relative = np.exp(log_time - null[0])
        latest = np.where(event, relative, np.inf)

        def train(rows: npt.NDArray[np.intp], seed: int) -> Any:
            return self._train(
                features[rows],
                seed,
                base_score=1.0,
                objective="survival:aft",
                aft_loss_distribution=self.distribution,
                aft_loss_distribution_scale=float(np.exp(null[2])),
                label_lower_bound=relative[rows],
                label_upper_bound=latest[rows],
                weight=weight[rows],
            )

        margin, self.booster_ = self._cross_fit(train, features, event, int(event.sum()))
        fits = {
            name: calibrate_log_time(margin, log_time - null[0], event, weight, name)
            for name in AFT_DISTRIBUTIONS
        }
        self.curve_distribution_ = max(fits, key=lambda name: fits[name][3])
        best = fits[self.curve_distribution_]
        self.location_ = best[0] + null[0]
        self.calibration_slope_, self.log_scale_ = best[1], best[2]
        z = (log_time - self._locations(margin)) / np.exp(self.log_scale_)
        predicted = location_scale_hazard(z, self.curve_distribution_)
        self.observed_hazard_ = observed_hazard(predicted, event, weight)
        self.n_features_in_ = features.shape[1]
        return self

    def _locations(self, margin: FloatArray) -> FloatArray:
        """Location of log time at each booster margin."""
        return self.location_ + self.calibration_slope_ * margin

    def predict_risk(self, X: npt.ArrayLike) -> FloatArray:
        """Risk of each patient, shape (n_patients,): minus the log time margin; higher = worse."""
        return self.predict_margin(X)

    def predict_survival(self, X: npt.ArrayLike, times: npt.ArrayLike) -> FloatArray:
        """Calibrated survival curves.

        Parameters
        ----------
        X : array-like of float, shape (n_patients, n_features)
            Finite features.
        times : array-like of float, shape (n_times,)
            Horizons, at least 0, in the unit of the durations.

        Returns
        -------
        ndarray, shape (n_patients, n_times)
            Probability of no event up to each time, in [0, 1]; falls with time.
        """
        margin, horizons = self._raw_margin(X), check_times(times)
        with np.errstate(divide="ignore"):
            z = (np.log(horizons) - self._locations(margin)[:, None]) / np.exp(self.log_scale_)
        hazard = location_scale_hazard(z, self.curve_distribution_)
        return recalibrated_survival(hazard, self.observed_hazard_)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> BoostedAFT:
        """As for every model; the observed hazard must also begin at 0 and never fall."""
        model: BoostedAFT = super().from_state(state, blobs)
        hazard = model.observed_hazard_
        if len(hazard) != len(HAZARD_KNOTS) or hazard[0] != 0 or (np.diff(hazard) < 0).any():
            raise BundleError(
                f"observed_hazard must be {len(HAZARD_KNOTS)} values from 0 that never fall; got "
                f"{len(hazard)}. The bundle is damaged."
            )
        return model


def _survival_rows(
    X: npt.ArrayLike, y: Any, sample_weight: npt.ArrayLike | None
) -> tuple[FloatArray, SurvivalOutcome, FloatArray]:
    """Checked features, outcome and weights in canonical order, without weightless rows."""
    features, outcome = check_features(X), check_survival_outcome(y)
    check_rows(len(features), len(outcome))
    weight = check_weights(sample_weight, len(features))
    n_events = int(np.count_nonzero(outcome["event"] & (weight > 0)))
    if n_events < 2 * FEWEST_FOLDS:
        raise NotEstimableError(
            f"y must hold at least {2 * FEWEST_FOLDS} events; got {n_events} among {len(outcome)} "
            "patients. Use the Cox or Weibull model with a penalty."
        )
    order = canonical_order(features, outcome["duration"], outcome["event"], weight)
    order = order[weight[order] > 0]
    return features[order], outcome[order], weight[order]
