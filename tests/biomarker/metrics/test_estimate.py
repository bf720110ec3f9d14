from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from biomarker.metrics.estimate import Influence, interval


def test_intervals_stay_in_their_range():
    """Each scale keeps its metric inside the values it can take."""
    low, high = interval(0.97, 0.05, "logit")
    assert 0 < low < 0.97 < high < 1
    low, high = interval(0.01, 0.02, "log")
    assert 0 < low < 0.01 < high
    low, high = interval(0.9, 0.3, "log_complement")
    assert low < 0.9 < high < 1
    assert interval(1.0, 0.1, "identity") == (
        pytest.approx(1 - 0.195996398),
        pytest.approx(1 + 0.195996398),
    )


def test_no_error_means_no_interval():
    """A value without a standard error claims nothing."""
    assert interval(1.0, 0.0, "logit") == (None, None)
    assert interval(0.0, 0.1, "log") == (None, None)


def test_few_degrees_of_freedom_widen():
    """A variance resting on few patients gets a wider interval."""
    normal, few = (interval(0.0, 1.0, "identity", degrees_of_freedom=df)[1] for df in (np.inf, 5))
    assert few == pytest.approx(2.570582, abs=1e-5)
    assert normal < few


def test_shares_of_same_and_other_patients_join_differently():
    """One cohort: influences add before squaring; two cohorts: variances add."""
    influence = Influence(np.array([1.0, -1.0]), np.array([-1.0, 1.0]))
    assert influence.standard_error(same_patients=True) == 0.0
    assert influence.standard_error(same_patients=False) == pytest.approx(np.sqrt(2.0))


def test_importing_metrics_loads_nothing_heavy():
    """Using a metric imports neither pandas, numba, lifelines nor a plotting library."""
    code = (
        "import sys; from biomarker.metrics import concordance_index, calibration; "
        "heavy = {'numba', 'lifelines', 'matplotlib', 'mlflow', 'xgboost', 'shap', 'pandas'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_functions_keep_their_names_after_their_modules_load():
    """No submodule takes the place of a function of the package."""
    import biomarker.metrics as metrics

    for name in metrics.__all__:
        assert callable(getattr(metrics, name)), name
