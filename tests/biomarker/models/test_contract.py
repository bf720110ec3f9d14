"""Every model keeps the same promises: one sweep over all that the package holds."""

import inspect
import json
import pkgutil
import subprocess
import sys
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import biomarker.models
from biomarker.errors import BundleError, SchemaError
from biomarker.models import protocol
from biomarker.models.zoo import default_zoo, model_from_state
from biomarker.outcomes import survival_outcome

TIMES = np.array([0.0, 1.0, 5.0, 10.0, 20.0, 200.0])
# Quick, and with every random part at work.
SETTINGS = {"penalty": 1.0, "n_estimators": 25, "learning_rate": 0.1, "subsample": 0.7}


def _found():
    """Every public model class defined in the package, by looking at all its modules."""
    classes = []
    for info in pkgutil.iter_modules(biomarker.models.__path__):
        module = import_module(f"biomarker.models.{info.name}")
        classes += [
            value
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, BaseEstimator)
            and value.__module__ == module.__name__
            and not name.startswith("_")
            and hasattr(value, "to_state")
            and (hasattr(value, "predict_survival") or hasattr(value, "predict_response"))
        ]
    return classes


MODELS = _found()
SURVIVAL = [cls for cls in MODELS if hasattr(cls, "predict_survival")]
every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
every_survival_model = pytest.mark.parametrize("cls", SURVIVAL, ids=lambda cls: cls.__name__)


def _patients(n=160):
    rng = np.random.default_rng(20)
    X = np.column_stack([rng.normal(size=(n, 3)), rng.integers(0, 2, n)])
    time = np.exp(2.3 - 0.9 * X[:, 0] + 0.7 * np.log(rng.exponential(size=n)))
    censoring = rng.uniform(4, 30, n)
    y = survival_outcome(time <= censoring, np.ceil(np.minimum(time, censoring)))
    return X, y, rng.random(n) < 1 / (1 + np.exp(-1.5 * X[:, 0]))


def _new(cls, **changes):
    names = cls._get_param_names()
    settings = {**SETTINGS, **changes}
    return cls(**{name: value for name, value in settings.items() if name in names})


def _fresh(cls, rows=slice(None), **changes):
    """A model fitted anew."""
    X, survival, response = _patients()
    y = survival if cls in SURVIVAL else response
    return _new(cls, **changes).fit(X[rows], y[rows])


@cache
def _fitted(cls):
    """The one fitted model of each class that the tests read and none changes."""
    return _fresh(cls)


def _everything(model, X):
    """All predictions of a model side by side."""
    parts = [model.predict_margin(X)[:, None]]
    if type(model) in SURVIVAL:
        parts += [model.predict_risk(X)[:, None], model.predict_survival(X, TIMES)]
    else:
        parts += [model.predict_response(X)[:, None]]
    return np.hstack(parts)


def test_the_sweep_sees_every_model_of_the_zoo():
    """No model can be added to the zoo or the package and miss this sweep."""
    built = {type(c.build(c.grid[0], 0)) for k in ("survival", "response") for c in default_zoo(k)}
    assert built == set(MODELS)
    assert {cls.__name__ for cls in MODELS} == set(biomarker.models.__all__)


@every_model
def test_protocol(cls):
    """Methods, margin scale and attribution are those the protocol names."""
    kind = protocol.SurvivalModel if cls in SURVIVAL else protocol.ResponseModel
    model = _fitted(cls)
    assert isinstance(model, kind)
    assert cls.margin_scale in {"log hazard", "log time, sign reversed", "log odds"}
    X = _patients()[0]
    if cls.attribution == "linear":
        np.testing.assert_allclose(
            model.predict_margin(X), model.intercept_ + X @ model.coef_, atol=1e-12
        )
        np.testing.assert_allclose(model.center_, X.mean(axis=0), atol=1e-12)
    else:
        assert cls.attribution == "tree"
        assert cls.contribution_sign in (1, -1)
        assert model.booster_.num_features() == X.shape[1]


@every_model
def test_scikit_learn_conventions(cls):
    """Clones and get_params work, fit returns self, and the number of features is learned."""
    model = _new(cls)
    assert clone(model).get_params() == model.get_params()
    X, survival, response = _patients()
    assert model.fit(X, survival if cls in SURVIVAL else response) is model
    assert model.n_features_in_ == 4
    assert not hasattr(clone(model), "n_features_in_")


@every_model
def test_predictions_are_finite_and_in_range(cls):
    """Every number is finite; probabilities lie in [0, 1]; shapes are as promised."""
    X = _patients()[0]
    predictions = _everything(_fitted(cls), np.vstack([X, 30 * X]))
    assert np.isfinite(predictions).all()
    first = 2 if cls in SURVIVAL else 1
    assert predictions.shape == (320, first + (len(TIMES) if cls in SURVIVAL else 1))
    assert ((predictions[:, first:] >= 0) & (predictions[:, first:] <= 1)).all()


@every_survival_model
def test_survival_starts_at_one_and_never_rises(cls):
    """Time 0 has probability 1, and later is never more probable."""
    X = _patients()[0]
    curves = _fitted(cls).predict_survival(X, TIMES)
    assert (curves[:, 0] == 1).all()
    assert (np.diff(curves, axis=1) <= 0).all()
    assert curves[:, 2].max() < 1


@every_survival_model
def test_higher_risk_is_lower_survival(cls):
    """Risk orders the curves at every time: worse means less survival."""
    X = _patients()[0]
    model = _fitted(cls)
    order = np.argsort(model.predict_risk(X))
    curves = model.predict_survival(X[order], [2.0, 5.0, 12.0])
    assert (np.diff(curves, axis=0) <= 1e-12).all()
    assert np.ptp(curves[:, 1]) > 0.3


@every_survival_model
def test_risk_points_the_right_way(cls):
    """The feature that shortens survival raises risk, and a longer-lived patient scores lower."""
    risk = _fitted(cls).predict_risk([[1.5, 0, 0, 0], [-1.5, 0, 0, 0]])
    assert risk[0] > risk[1] + 0.5


@every_model
def test_row_order_of_the_file_does_not_matter(cls):
    """Fitting on permuted rows gives the same predictions, and predictions follow their rows."""
    X = _patients()[0]
    order = np.random.default_rng(1).permutation(len(X))
    model, moved = _fitted(cls), _fresh(cls, rows=order)
    exact = _everything(model, X)
    np.testing.assert_allclose(_everything(moved, X), exact, rtol=0, atol=1e-8)
    assert np.array_equal(_everything(model, X[order]), exact[order])


@every_model
def test_a_patients_score_does_not_depend_on_the_batch(cls):
    """Alone, in a chunk or in the whole file, to the last bit."""
    X = _patients()[0]
    model = _fitted(cls)
    whole = _everything(model, X)
    alone = np.vstack([_everything(model, X[i : i + 1]) for i in range(12)])
    assert np.array_equal(alone, whole[:12])
    assert np.array_equal(_everything(model, X[5:100]), whole[5:100])
    assert np.array_equal(_everything(model, np.asfortranarray(X)), whole)


@every_model
def test_same_seed_same_model_on_any_number_of_threads(cls):
    """Fits repeat to the last bit, with one thread as with two."""
    X = _patients()[0]
    first = _everything(_fresh(cls, n_estimators=8), X)
    assert np.array_equal(_everything(_fresh(cls, n_estimators=8), X), first)
    assert np.array_equal(_everything(_fresh(cls, n_estimators=8, n_threads=2), X), first)


@pytest.mark.parametrize(
    "cls", [c for c in MODELS if "random_state" in c._get_param_names()], ids=lambda c: c.__name__
)
def test_another_seed_is_another_model(cls):
    """The seed does reach the folds and subsamples."""
    X = _patients()[0]
    assert not np.array_equal(
        _everything(_fitted(cls), X), _everything(_fresh(cls, random_state=1), X)
    )


@every_model
def test_a_stored_model_predicts_the_same_bits(cls):
    """Through JSON text and bytes and back, by class name, with its parameters."""
    X = _patients()[0]
    model = _fitted(cls)
    state, blobs = model.to_state()
    text = json.dumps(state, allow_nan=False)
    assert all(isinstance(blob, bytes) for blob in blobs.values())
    again = model_from_state(json.loads(text), blobs)
    assert type(again) is cls
    assert again.get_params() == model.get_params()
    assert np.array_equal(_everything(again, X), _everything(model, X))
    second, _ = again.to_state()
    assert json.dumps(second) == text


@every_model
def test_a_state_with_a_missing_or_unknown_key_is_refused(cls):
    """Nothing is guessed and nothing is ignored."""
    state, blobs = _fitted(cls).to_state()
    for key in state:
        with pytest.raises(BundleError):
            model_from_state({k: v for k, v in state.items() if k != key}, blobs)
    with pytest.raises(BundleError):
        model_from_state({**state, "unknown": 1}, blobs)
    with pytest.raises(BundleError):
        model_from_state(state, {**blobs, "unknown": b""})


@every_model
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_and_infinite_features_are_refused(cls, value):
    """In fit and in every prediction, with a message that says so and shows no value."""
    X, survival, response = _patients()
    model, spoiled = _fitted(cls), X.copy()
    spoiled[3, 1] = value
    y = survival if cls in SURVIVAL else response
    for call in (lambda: _new(cls).fit(spoiled, y), lambda: _everything(model, spoiled)):
        with pytest.raises(ValueError, match="finite"):
            call()


@every_model
def test_wrong_shapes_are_refused(cls):
    """Another number of features, of rows or of weights, and a vector for a matrix."""
    X, survival, response = _patients()
    y = survival if cls in SURVIVAL else response
    model = _fitted(cls)
    with pytest.raises(SchemaError, match=r"X must have .*4 column"):
        model.predict_margin(X[:, :3])
    with pytest.raises(ValueError, match="must"):
        _new(cls).fit(X[:-1], y)
    with pytest.raises(ValueError, match="sample_weight must"):
        _new(cls).fit(X, y, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="sample_weight must"):
        _new(cls).fit(X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="X must"):
        _new(cls).fit(X[:, 0], y)


@every_survival_model
@pytest.mark.parametrize("times", [[-1.0], [np.nan], [[1.0, 2.0]]])
def test_horizons_that_are_no_times_are_refused(cls, times):
    """Negative, missing or nested horizons are errors."""
    with pytest.raises(ValueError, match="times must"):
        _fitted(cls).predict_survival(_patients()[0], times)


@every_model
def test_an_unfitted_model_says_so(cls):
    """Predicting and storing before fitting raise scikit-learn's NotFittedError."""
    with pytest.raises(NotFittedError):
        _new(cls).predict_margin(_patients()[0])
    with pytest.raises(NotFittedError):
        _new(cls).to_state()


def test_a_stored_model_predicts_without_the_training_libraries(tmp_path):
    """Reading and scoring import no lifelines, numba, shap, matplotlib or fitter of sklearn."""
    cases = [(cls.__name__, *_fitted(cls).to_state()) for cls in MODELS]
    for name, state, blobs in cases:
        (tmp_path / f"{name}.json").write_text(json.dumps(state))
        for blob, content in blobs.items():
            (tmp_path / f"{name}.{blob}").write_bytes(content)
    script = """
import json, pathlib, sys
import numpy as np
from biomarker.models.zoo import model_from_state
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.glob("*.json")):
    name = path.stem
    blobs = {p.name[len(name) + 1:]: p.read_bytes()
             for p in folder.glob(name + ".*") if p.suffix != ".json"}
    model = model_from_state(json.loads(path.read_text()), blobs)
    X = np.zeros((2, 4))
    if hasattr(model, "predict_survival"):
        model.predict_survival(X, [1.0]), model.predict_risk(X)
    else:
        model.predict_response(X)
heavy = {"lifelines", "numba", "shap", "matplotlib", "mlflow", "sklearn.linear_model"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
