"""Each mechanism hides what it says, and only because of what it says."""

import numpy as np
import pytest

from biomarker.errors import StudyError
from synthetic_data.missingness import MECHANISMS, hide, lost
from synthetic_data.table import Coded

N = 50_000


@pytest.fixture(scope="module")
def table():
    """A marker, an era and a follow-up time."""
    rng = np.random.default_rng(1)
    return {
        "marker": rng.standard_normal(N),
        "other": rng.standard_normal(N),
        "era": Coded(rng.integers(0, 2, N).astype(np.int8), ("old", "new")),
        "os_months": rng.exponential(20.0, N),
    }


def rates(table, rule):
    """Share lost in the lower and upper half of the marker, of follow-up, and by era."""
    gone = lost(np.random.default_rng(2), table, rule, N)
    high, late = table["marker"] > 0, table["os_months"] > 14
    era = table["era"].codes == 1
    return [gone[m].mean() for m in (~high, high, ~late, late, ~era, era)]


def test_mcar_depends_on_nothing(table):
    """Completely at random: the same rate in every half."""
    np.testing.assert_allclose(rates(table, {"kind": "mcar", "rate": 0.2}), 0.2, atol=0.01)


def test_mar_depends_on_the_observed_column_alone(table):
    """At random: one rate per era, none by the marker itself."""
    found = rates(table, {"kind": "mar", "by": "era", "rate": {"old": 0.4, "new": 0.1}})
    np.testing.assert_allclose(found, [0.25, 0.25, 0.25, 0.25, 0.4, 0.1], atol=0.012)


def test_mnar_depends_on_the_value_itself(table):
    """Not at random: high values go missing more often."""
    rule = {"kind": "mnar", "by": "marker", "rate": 0.2, "slope": 1.0, "centre": 0.0, "spread": 1.0}
    low, high, *rest = rates(table, rule)
    assert high > 2 * low
    assert np.ptp(rest) < 0.02


def test_informative_loss_follows_early_failure(table):
    """Patients who fail early give no sample."""
    rule = {
        "kind": "informative",
        "by": "os_months",
        "rate": 0.2,
        "slope": -1.0,
        "centre": 20.0,
        "spread": 20.0,
    }
    found = rates(table, rule)
    assert found[2] > 1.5 * found[3]


def test_blocks_go_missing_together(table):
    """Columns of one rule are missing in the same patients; columns of two rules are not."""
    rules = {
        "serum": {"columns": ["marker", "era"], "kind": "mcar", "rate": 0.3},
        "tissue": {"columns": ["other"], "kind": "mcar", "rate": 0.3},
    }
    hidden = hide(np.random.default_rng(3), table, rules, N)
    serum, tissue = np.isnan(hidden["marker"]), np.isnan(hidden["other"])
    assert (serum == (hidden["era"].codes == -1)).all()
    assert (serum & tissue).mean() == pytest.approx(0.09, abs=0.01)
    assert not np.isnan(table["marker"]).any()


def test_unknown_mechanisms_are_refused(table):
    """A misspelt kind is answered with the kinds there are."""
    with pytest.raises(StudyError, match=MECHANISMS[0]):
        lost(np.random.default_rng(1), table, {"kind": "random", "rate": 0.1}, N)
