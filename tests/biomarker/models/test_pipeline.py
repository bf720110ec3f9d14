"""An encoder and a model as one estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from biomarker.cohort import Cohort
from biomarker.features.encoding import plan_columns
from biomarker.models.pipeline import EncodedModel, PipelineBuilder
from biomarker.study import Study


@pytest.fixture(scope="module")
def cohort(ward: Any) -> Cohort:
    """Ward patients, a marker of whom a third lack and another that none has."""
    frame = ward.frame()
    frame.loc[::3, "hb"] = ""
    frame["vegf"] = ""
    return Cohort.from_frame(frame, Study.from_toml(ward.study_text))


def built(cohort: Cohort, model: str = "cox", **params: Any) -> EncodedModel:
    """An unfitted pipeline."""
    plans = plan_columns(cohort.study, cohort.features)
    return PipelineBuilder(plans, model)(params or {"penalty": 1.0}, 0)


def test_raw_columns_in_predictions_out(cohort: Cohort) -> None:
    """A column never known is left out of the features yet keeps its place in X."""
    fitted = built(cohort).fit(cohort.matrix(), cohort.outcomes["os"].y)
    assert fitted.columns_.tolist() == [0, 1, 2, 4, 5]
    assert "hb missing" in fitted.encoder_.feature_names
    assert fitted.encode(cohort.matrix()).shape == (120, 6)
    assert fitted.predict_risk(cohort.matrix()).shape == (120,)
    survival = fitted.predict_survival(cohort.matrix(), [6.0, 12.0])
    assert ((survival[:, 0] >= survival[:, 1]) & (survival[:, 1] > 0)).all()


def test_nothing_of_the_predicted_rows_is_learned(cohort: Cohort) -> None:
    """A row's prediction is the same alone as among others: fills come from training."""
    fitted = built(cohort).fit(cohort.matrix(), cohort.outcomes["os"].y)
    whole = fitted.predict_risk(cohort.matrix())
    alone = [float(fitted.predict_risk(cohort.matrix()[i : i + 1])[0]) for i in range(10)]
    np.testing.assert_allclose(alone, whole[:10], rtol=1e-12)


def test_parts_joined_again_predict_the_same(cohort: Cohort) -> None:
    """From the stored encoder and model, X then has the encoder's own columns."""
    fitted = built(cohort).fit(cohort.matrix(), cohort.outcomes["os"].y)
    joined = EncodedModel.from_parts(fitted.encoder_, fitted.model)
    np.testing.assert_array_equal(
        joined.predict_risk(cohort.matrix()[:, fitted.columns_]),
        fitted.predict_risk(cohort.matrix()),
    )


def test_case_weights_reach_the_model(cohort: Cohort) -> None:
    """Weight two counts a patient twice."""
    X, y = cohort.matrix(), cohort.outcomes["os"].y
    weights = np.ones(len(y))
    weights[:40] = 2.0
    weighted = built(cohort).fit(X, y, sample_weight=weights)
    plain = built(cohort).fit(X, y)
    assert not np.allclose(weighted.predict_risk(X), plain.predict_risk(X))


def test_a_response_model_gives_probabilities(cohort: Cohort) -> None:
    """The same pipeline around a response model."""
    fitted = built(cohort, "logistic").fit(cohort.matrix(), cohort.outcomes["response"].y)
    probability = fitted.predict_response(cohort.matrix())
    assert ((probability > 0) & (probability < 1)).all()


def test_a_clone_is_unfitted_and_fits_alike(cohort: Cohort) -> None:
    """scikit-learn's clone keeps the declarations and forgets what was learned."""
    fitted = built(cohort).fit(cohort.matrix(), cohort.outcomes["os"].y)
    copy = clone(fitted)
    assert not hasattr(copy, "encoder_")
    copy.fit(cohort.matrix(), cohort.outcomes["os"].y)
    np.testing.assert_array_equal(
        copy.predict_risk(cohort.matrix()), fitted.predict_risk(cohort.matrix())
    )
