"""Cox proportional hazards with exact tie methods, ridge, strata, weights and late entry."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from biomarker.errors import BundleError, NotEstimableError, SchemaError
from biomarker.models.protocol import (
    Attribution,
    MarginScale,
    linear_margin,
    open_blobs,
    open_state,
)
from biomarker.outcomes import SurvivalOutcome, check_survival_outcome
from biomarker.survival.baseline_hazard import BaselineHazard
from biomarker.survival.partial_likelihood_inputs import (
    case_weights,
    column_names,
    entry_times,
    feature_table,
    requested_times,
    same_length,
    strata_codes,
)

if TYPE_CHECKING:
    from biomarker.survival.partial_likelihood import CoxFit, PartialLikelihood

__all__ = ["CoxRegression"]

Floats = npt.NDArray[np.float64]

_STATE_FORMAT = 1
_STATE_KEYS = (
    "settings",
    "coef",
    "center",
    "information",
    "covariance",
    "log_likelihood",
    "n_iter",
    "converged",
    "n_events",
    "feature_names",
    "strata",
    "baseline_points",
)


class CoxRegression(BaseEstimator):
    r"""How covariates multiply the hazard: maximum partial likelihood, with ridge on request.

    The hazard of a patient with covariates x is h0(t) exp(x'b), with h0 free and, where ``strata``
    are given, its own for each stratum. ``fit`` maximises logL(b) - penalty/2 * ||b||^2, logL being
    Efron's or Breslow's partial likelihood.

    Assumes that hazards stay proportional over follow-up and that censoring (and entry) carry no
    information about the event given x. Without the first, a coefficient is an average over the
    follow-up that happened to be observed.

    Parameters
    ----------
    ties : {"efron", "breslow"}, default "efron"
        How tied deaths share their risk set. The baseline hazard and residuals follow the same
        method.
    penalty : float, default 0.0
        Ridge strength, at least 0, on the log-likelihood's own scale (not divided by n).
    standardise : bool, default False
        Penalise coefficients per standard deviation of their column (weighted, divisor n) instead
        of per unit, so that units do not matter. ``coef_`` is per unit either way.
    max_iter : int, default 50
        Newton steps allowed; each is halved until the penalised likelihood rises.
    tol : float, default 1e-10
        Stop when a full step moves no coefficient, per standard deviation, by more than this.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Log hazard ratios per unit; higher = worse.
    center_ : ndarray, shape (n_features,)
        Training mean of each column (weighted): the reference of attributions.
    covariance_ : ndarray, shape (n_features, n_features)
        Inverse of ``information_``.
    standard_error_ : ndarray, shape (n_features,)
    information_ : ndarray, shape (n_features, n_features)
        Negative second derivative of the penalised log-likelihood at ``coef_``.
    log_likelihood_ : tuple of float
        Partial log-likelihood at zero and at ``coef_``, both without the penalty.
    n_iter_ : int
    converged_ : bool
    n_events_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where ``X`` had column names.
    strata_ : ndarray or None
        The distinct strata, in the order of the rows of stratified results.

    Notes
    -----
    Sorting costs n log n, each gradient n p, each information matrix n p^2, on one
    thread and in a fixed order: results do not depend on the number of threads. The first fit on a
    machine compiles for some seconds, which later ones read from numba's cache.
    ``sample_weight`` are case weights as in R's survival package: Efron gives every one of d tied
    deaths the mean weight of the d; rows of weight 0 are left out. Standard errors take the weights
    as counts. Columns are centred and scaled inside, so units do not affect accuracy.

    References
    ----------
    Therneau and Grambsch, Modeling Survival Data (2000), chapter 3 and appendix E.

    Examples
    --------
    >>> from biomarker.outcomes import survival_outcome
    >>> y = survival_outcome([1, 0, 1, 1, 0, 1], [1, 1, 6, 6, 8, 9])
    >>> model = CoxRegression().fit([[1], [1], [1], [0], [0], [0]], y)
    >>> round(float(model.coef_[0]), 6), model.cumulative_baseline_hazard([6.0]).round(6).tolist()
    (1.676857, [0.365543])
    """

    margin_scale: ClassVar[MarginScale] = "log hazard"
    attribution: ClassVar[Attribution] = "linear"
    # The baseline hazard carries the level: the margin is 0 where all covariates are 0.
    intercept_: ClassVar[float] = 0.0

    center_: Floats
    coef_: Floats
    covariance_: Floats
    standard_error_: Floats
    information_: Floats
    log_likelihood_: tuple[float, float]
    n_iter_: int
    converged_: bool
    n_events_: int
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    strata_: npt.NDArray[Any] | None

    def __init__(
        self,
        ties: Literal["efron", "breslow"] = "efron",
        penalty: float = 0.0,
        standardise: bool = False,
        max_iter: int = 50,
        tol: float = 1e-10,
    ) -> None:
        self.ties = ties
        self.penalty = penalty
        self.standardise = standardise
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        X: npt.ArrayLike,
        y: SurvivalOutcome,
        sample_weight: npt.ArrayLike | None = None,
        entry: npt.ArrayLike | None = None,
        strata: npt.ArrayLike | None = None,
    ) -> CoxRegression:
        """Estimate the log hazard ratios.

        Parameters
        ----------
        X : array-like, shape (n_patients, n_features)
            Finite numbers.
        y : structured array, shape (n_patients,)
            From :func:`biomarker.outcomes.survival_outcome`.
        sample_weight : array-like, shape (n_patients,), optional
            Case weights, at least 0.
        entry : array-like, shape (n_patients,), optional
            Time at which each patient came under observation, in the unit of the durations and
            before them; at risk at t when entry < t <= duration.
        strata : array-like of str or int, shape (n_patients,), optional
            Patients of different strata share coefficients but not a baseline hazard.

        Returns
        -------
        CoxRegression
            Itself.

        Raises
        ------
        NotEstimableError
            If there is no event; if, without a penalty, a column is constant or collinear among
            the patients at risk together, or the likelihood is monotone (separation).
        CohortError, OutcomeError
            If an input is malformed.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` steps did not reach ``tol``; ``converged_`` is then False.
        """
        from biomarker.survival.partial_likelihood import PartialLikelihood, maximise, sort_cohort
        from biomarker.survival.partial_likelihood_estimability import (
            check_columns,
            check_finite_maximum,
        )

        self._check_settings()
        names = column_names(X)
        table = feature_table(X)
        outcome = check_survival_outcome(y)
        same_length(table, outcome)
        labels, codes = strata_codes(strata, len(table))
        weight, entered = case_weights(sample_weight, len(table)), entry_times(entry, outcome)
        event, duration = outcome["event"].copy(), outcome["duration"].copy()
        if weight is not None and not np.all(weight > 0):
            kept = weight > 0
            table, event, duration, weight = table[kept], event[kept], duration[kept], weight[kept]
            entered = None if entered is None else entered[kept]
            codes = None if codes is None else codes[kept]
        if not event.any():
            raise NotEstimableError(
                "y must hold at least one event with positive weight; "
                f"got none among {len(outcome)} patient(s). A hazard ratio needs events."
            )
        cohort = sort_cohort(table, event, duration, weight, entered, codes)
        likelihood = PartialLikelihood(cohort, self.ties)
        per_unit = cohort.scale**2
        penalty = np.full(table.shape[1], float(self.penalty))
        fit = maximise(
            likelihood, penalty if self.standardise else penalty / per_unit, self.max_iter, self.tol
        )
        if self.penalty == 0:
            called = [f"column {j}" for j in range(table.shape[1])]
            if names is not None:
                called = [f"{where} ({name!r})" for where, name in zip(called, names, strict=True)]
            check_columns(fit, called)
            check_finite_maximum(cohort, fit, called)
        if not fit.converged:
            warnings.warn(
                f"Newton's steps did not settle within {fit.n_iter} of them (max_iter="
                f"{self.max_iter}, tol={self.tol}). Treat this fit as no evidence.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self._keep(fit, likelihood, labels)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    def predict_risk(self, X: npt.ArrayLike) -> Floats:
        """Log hazard relative to a patient with all covariates zero; higher = worse.

        Parameters
        ----------
        X : array-like, shape (n_patients, n_features)

        Returns
        -------
        ndarray, shape (n_patients,)
        """
        return self.predict_margin(X)

    def predict_margin(self, X: npt.ArrayLike) -> Floats:
        """The number that attributions sum to: the log hazard ``X @ coef_``, as the risk."""
        return linear_margin(self._features(X), self.coef_, self.intercept_)

    def predict_survival(
        self, X: npt.ArrayLike, times: npt.ArrayLike, strata: npt.ArrayLike | None = None
    ) -> Floats:
        """Probability of being free of the event beyond each time.

        S(t | x) = exp(-H0(t) exp(x'b)). After the last event time the curve is held flat: what
        happens later was not observed.

        Parameters
        ----------
        X : array-like, shape (n_patients, n_features)
        times : array-like, shape (n_times,)
            In the unit of the durations, at least 0.
        strata : array-like, shape (n_patients,), optional
            Each patient's stratum; required exactly when the fit had strata.

        Returns
        -------
        ndarray, shape (n_patients, n_times)
            Between 0 and 1, falling along a row.
        """
        table = self._features(X)
        wanted = requested_times(times)
        with np.errstate(over="ignore"):
            relative = np.exp(linear_margin(table - self.center_, self.coef_, 0.0))
            hazards = self._hazard_rows(wanted, strata, len(table))
            with np.errstate(invalid="ignore"):
                exponent = relative[:, None] * hazards
        # A zero hazard times an overflowed risk is still zero hazard.
        survival: Floats = np.exp(-np.where(hazards == 0, 0.0, exponent))
        return survival

    def cumulative_baseline_hazard(
        self, times: npt.ArrayLike, stratum: object | None = None
    ) -> Floats:
        """Cumulative hazard of a patient with all covariates zero, by the fit's own tie method.

        Parameters
        ----------
        times : array-like, shape (n_times,)
            In the unit of the durations; events at a time are included, and after the last event
            time the value is held.
        stratum : optional
            One stratum of a stratified fit; every stratum by default.

        Returns
        -------
        ndarray, shape (n_times,), or (n_strata, n_times) for every stratum of a stratified fit
            Rows in the order of ``strata_``.
        """
        check_is_fitted(self, "coef_")
        wanted = requested_times(times)
        factor = np.exp(-float(self.center_ @ self.coef_))
        if self.strata_ is None:
            if stratum is not None:
                raise SchemaError("stratum must be None for a fit without strata; got a value.")
            return factor * self._baselines[0].at(wanted)
        if stratum is None:
            return factor * np.array([b.at(wanted) for b in self._baselines])
        code = self._known_strata(np.asarray([stratum]), 1)[0]
        return factor * self._baselines[code].at(wanted)

    def martingale_residuals(
        self,
        X: npt.ArrayLike,
        y: SurvivalOutcome,
        entry: npt.ArrayLike | None = None,
        strata: npt.ArrayLike | None = None,
    ) -> Floats:
        """Events observed minus events expected under the fitted model, one per patient.

        event - (H0(duration) - H0(entry)) exp(x'b). A death tied with others at one of the fit's
        event times accrues Efron's smaller share there, so that over the fitted patients the
        residuals (times their weights) sum to zero. Positive: the event came sooner than expected.

        Parameters
        ----------
        X : array-like, shape (n_patients, n_features)
        y : structured array, shape (n_patients,)
        entry, strata : array-like, shape (n_patients,), optional
            As in ``fit``.

        Returns
        -------
        ndarray, shape (n_patients,)
            At most 1.

        Notes
        -----
        A model restored from its state holds the baseline on a coarse grid: its residuals are
        approximate.
        """
        table = self._features(X)
        outcome = check_survival_outcome(y)
        same_length(table, outcome)
        entered = entry_times(entry, outcome)
        codes = self._strata_of(strata, len(table))
        accrued = np.empty(len(table))
        by_stratum = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[by_stratum], np.arange(len(self._baselines) + 1))
        for (low, high), hazard in zip(itertools.pairwise(edges), self._baselines, strict=True):
            here = by_stratum[low:high]
            accrued[here] = hazard.accrued(outcome["duration"][here], outcome["event"][here])
            if entered is not None:
                accrued[here] -= hazard.at(entered[here])
        relative = np.exp(linear_margin(table - self.center_, self.coef_, 0.0))
        return outcome["event"] - accrued * relative

    def to_state(self, horizons: npt.ArrayLike = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Everything scoring needs, as a JSON-able dictionary and named bytes; no patient rows.

        The baseline hazard is stored on an even grid of at most 400 cells with a round step, plus
        ``horizons``, so that no patient's own time is kept. Curves of a restored model are exact
        at grid points (multiples of the step: 12 or 24 months) and horizons; between them they are
        interpolated.

        Parameters
        ----------
        horizons : array-like, optional
            Times at which the restored model must be exact.

        Returns
        -------
        tuple of dict and dict of bytes
        """
        check_is_fitted(self, "coef_")
        grids = [hazard.coarse(horizons) for hazard in self._baselines]
        state: dict[str, Any] = {
            "class": "CoxRegression",
            "format": _STATE_FORMAT,
            "settings": self.get_params(),
            "coef": self.coef_.tolist(),
            "center": self.center_.tolist(),
            "information": self.information_.tolist(),
            "covariance": self.covariance_.tolist(),
            "log_likelihood": list(self.log_likelihood_),
            "n_iter": self.n_iter_,
            "converged": self.converged_,
            "n_events": self.n_events_,
            "feature_names": [str(name) for name in getattr(self, "feature_names_in_", [])],
            "strata": None if self.strata_ is None else self.strata_.tolist(),
            "baseline_points": [len(grid.time) for grid in grids],
        }
        points = [part for grid in grids for part in (grid.time, grid.cumulative)]
        return state, {"baseline_hazard.f64": np.concatenate(points).astype("<f8").tobytes()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], blobs: Mapping[str, bytes]) -> CoxRegression:
        """Rebuild a fitted model from :meth:`to_state`.

        Raises
        ------
        BundleError
            If the state is of another model or format, or its parts do not fit together.
        """
        state = open_state(state, "CoxRegression", _STATE_KEYS)
        blobs = open_blobs(blobs, "CoxRegression", ("baseline_hazard.f64",))
        try:
            model = cls(**state["settings"])
            model._restore(state, blobs["baseline_hazard.f64"])
        except (KeyError, TypeError, ValueError) as fault:
            raise BundleError(
                f"state must hold a whole CoxRegression; got one that does not fit together "
                f"({type(fault).__name__}). Store the model again."
            ) from fault
        return model

    def _restore(self, state: Mapping[str, Any], blob: bytes) -> None:
        """Set the learned attributes from a state."""
        self.coef_ = np.asarray(state["coef"], dtype=np.float64)
        p = len(self.coef_)
        self.center_ = np.asarray(state["center"], dtype=np.float64).reshape(p)
        self.information_ = np.asarray(state["information"], dtype=np.float64).reshape(p, p)
        self.covariance_ = np.asarray(state["covariance"], dtype=np.float64).reshape(p, p)
        self.standard_error_ = np.sqrt(np.diag(self.covariance_))
        null, fitted = state["log_likelihood"]
        self.log_likelihood_ = (float(null), float(fitted))
        self.n_iter_, self.converged_ = int(state["n_iter"]), bool(state["converged"])
        self.n_events_ = int(state["n_events"])
        self.n_features_in_ = p
        if state["feature_names"]:
            self.feature_names_in_ = np.asarray(state["feature_names"], dtype=object).reshape(p)
        self.strata_ = None if state["strata"] is None else np.asarray(state["strata"])
        values = np.frombuffer(blob, dtype="<f8").astype(np.float64)
        points = [int(k) for k in state["baseline_points"]]
        strata = 1 if self.strata_ is None else len(self.strata_)
        if 2 * sum(points) != len(values) or len(points) != strata or min(points) < 1:
            raise ValueError("baseline")
        parts = np.split(values, np.cumsum(np.repeat(points, 2))[:-1])
        self._baselines = [
            BaselineHazard.from_points(time, cumulative)
            for time, cumulative in zip(parts[::2], parts[1::2], strict=True)
        ]

    def _keep(
        self, fit: CoxFit, likelihood: PartialLikelihood, labels: npt.NDArray[Any] | None
    ) -> None:
        """Turn a fit on scaled columns into the learned attributes on the caller's scale."""
        cohort = likelihood.cohort
        self.coef_ = fit.coef / cohort.scale
        self.information_ = fit.information * np.outer(cohort.scale, cohort.scale)
        self.covariance_ = _inverse(fit.information) / np.outer(cohort.scale, cohort.scale)
        self.standard_error_ = np.sqrt(np.diag(self.covariance_))
        self.log_likelihood_ = (fit.null_log_likelihood, fit.log_likelihood)
        self.n_iter_, self.converged_ = fit.n_iter, fit.converged
        self.n_events_ = int(np.count_nonzero(cohort.dead_weight))
        self.n_features_in_ = len(fit.coef)
        self.strata_ = labels
        self.center_ = cohort.centre
        jump, jump_dying = likelihood.baseline()
        n_strata = 1 if labels is None else len(labels)
        edges = np.searchsorted(cohort.stratum[cohort.end - 1], np.arange(n_strata + 1))
        self._baselines = []
        for low, high in itertools.pairwise(edges):
            rows = np.arange(low, high)[::-1]  # death times fall within a stratum
            self._baselines.append(
                BaselineHazard.from_jumps(cohort.time[rows], jump[rows], jump_dying[rows])
            )

    def _check_settings(self) -> None:
        """Refuse settings outside their range."""
        if self.ties not in ("efron", "breslow"):
            raise ValueError(f"ties must be 'efron' or 'breslow'; got {self.ties!r}.")
        if not (np.isfinite(self.penalty) and self.penalty >= 0):
            raise ValueError(f"penalty must be finite and at least 0; got {self.penalty!r}.")
        if not self.tol > 0 or self.max_iter < 1:
            raise ValueError(
                "tol must be greater than 0 and max_iter at least 1; "
                f"got {self.tol!r} and {self.max_iter!r}."
            )

    def _features(self, X: npt.ArrayLike) -> Floats:
        """Check a feature table against the fitted columns."""
        check_is_fitted(self, "coef_")
        names = column_names(X)
        known = getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and list(names) != list(known):
            missing = [str(name) for name in known if name not in set(names)]
            raise SchemaError(
                "X must have the fitted columns in the fitted order; got "
                f"{len(names)} column(s), missing {missing[:5] or 'none, in another order'}."
            )
        table = feature_table(X)
        if table.shape[1] != self.n_features_in_:
            raise SchemaError(
                f"X must have {self.n_features_in_} column(s); got {table.shape[1]}. "
                "Pass the columns the model was fitted on."
            )
        return table

    def _strata_of(self, strata: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64]:
        """Position of each patient's stratum in ``strata_``."""
        if self.strata_ is None:
            if strata is not None:
                raise SchemaError("strata must be None for a fit without strata; got an array.")
            return np.zeros(n, dtype=np.int64)
        if strata is None:
            raise SchemaError(
                "strata must be given for a stratified fit; got None. Pass each patient's stratum."
            )
        return self._known_strata(np.asarray(strata), n)

    def _known_strata(self, labels: npt.NDArray[Any], n: int) -> npt.NDArray[np.int64]:
        """Codes of fitted strata; others are refused."""
        assert self.strata_ is not None
        codes = {label: code for code, label in enumerate(self.strata_.tolist())}
        found = np.array([codes.get(label, -1) for label in labels.tolist()], dtype=np.int64)
        if found.shape != (n,) or np.any(found < 0):
            raise SchemaError(
                f"strata must hold one fitted stratum for each of {n} patient(s); got shape "
                f"{labels.shape} with {int(np.count_nonzero(found < 0))} unknown."
            )
        return found

    def _hazard_rows(self, times: Floats, strata: npt.ArrayLike | None, n: int) -> Floats:
        """Cumulative hazard at the covariates' centre, one row per patient or one for all."""
        codes = self._strata_of(strata, n)
        table = np.array([hazard.at(times) for hazard in self._baselines])
        return table[:1] if self.strata_ is None else table[codes]


def _inverse(information: Floats) -> Floats:
    """Invert a positive definite matrix through its unit-diagonal form."""
    unit = 1.0 / np.sqrt(np.diag(information))
    inverse = np.linalg.inv(information * np.outer(unit, unit)) * np.outer(unit, unit)
    return 0.5 * (inverse + inverse.T)
