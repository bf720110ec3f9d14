"""The names users choose by, their grids, and the reading of stored models."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from biomarker.errors import BundleError
from biomarker.models.zoo import default_zoo, model_choice, model_from_state
from biomarker.outcomes import survival_outcome

ALL = [*default_zoo("survival"), *default_zoo("response")]
every_choice = pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.name)


def test_the_names_are_the_documented_ones():
    """Four survival models and two response models, the plainest first."""
    assert [c.name for c in default_zoo("survival")] == [
        "cox",
        "weibull_aft",
        "boosted_cox",
        "boosted_aft",
    ]
    assert [c.name for c in default_zoo("response")] == ["logistic", "boosted_response"]
    assert all(model_choice(c.name) is c for c in ALL)


def test_an_unknown_name_or_kind_is_refused_with_the_choices():
    """The message lists what there is."""
    with pytest.raises(ValueError, match=r"cox, weibull_aft, .*; got 'forest'"):
        model_choice("forest")
    with pytest.raises(ValueError, match="kind must be"):
        default_zoo("regression")


@every_choice
def test_every_grid_point_builds_with_its_parameters_and_seed(choice):
    """Grid parameters reach the estimator, the seed its random parts, and grids stay small."""
    assert 2 <= len(choice.grid) <= 6
    for params in choice.grid:
        built = choice.build(params, 11).get_params()
        assert {name: built[name] for name in params} == params
        assert built.get("random_state", 11) == 11
        assert built.get("n_threads", 1) == 1
    assert len({tuple(sorted(params.items())) for params in choice.grid}) == len(choice.grid)


@every_choice
def test_every_grid_point_fits_a_small_trial(choice):
    """Sixty patients, some twenty events, ten features, two of them constant or collinear."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 10))
    X[:, 8], X[:, 9] = 1.0, X[:, 0]
    time, censoring = rng.exponential(np.exp(-X[:, 0])), rng.exponential(0.5, 60)
    y = survival_outcome(time <= censoring, np.minimum(time, censoring))
    assert 15 <= y["event"].sum() <= 30
    response = rng.random(60) < 1 / (1 + np.exp(1 - X[:, 0]))
    for params in choice.grid:
        model = choice.build(params, 0).fit(X, y if choice.kind == "survival" else response)
        if choice.kind == "survival":
            assert np.isfinite(model.predict_survival(X, [0.2, 1.0])).all()
        else:
            assert np.isfinite(model.predict_response(X)).all()


def test_a_choice_cannot_be_changed():
    """Choices are shared, so they are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        model_choice("cox").name = "other"


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"class": "os.system", "format": 1},
        {"class": "biomarker.models.cox.CoxRegression", "format": 1},
        {"class": ["CoxRegression"], "format": 1},
        {"class": "EncodedModel", "format": 1},
        "CoxRegression",
        None,
    ],
)
def test_a_state_can_name_only_classes_of_the_fixed_list(state):
    """Text from a file never decides what is imported."""
    with pytest.raises(BundleError, match="class must be one of"):
        model_from_state(state, {})


def test_listing_the_zoo_loads_no_model_library():
    """Names, descriptions and grids cost nothing to read."""
    script = (
        "import sys; from biomarker.models.zoo import default_zoo; default_zoo('survival');"
        "print([m for m in ('numpy', 'sklearn', 'xgboost', 'lifelines') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
