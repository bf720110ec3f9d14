"""A refit's table says what an attribution of that refit would, and nothing of a patient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from biomarker import survival_outcome
from biomarker.errors import UsageError
from biomarker.explain.attribution import attribute
from biomarker.explain.refits import Refits, blocks_of, directions, full_fit, join
from biomarker.features.frozen_column import ColumnPlan
from biomarker.models.pipeline import PipelineBuilder
from biomarker.parsing import ParseRule

LEVELS = ("clear", "papillary", "other")
PLANS = (
    ColumnPlan(ParseRule("vegf", "continuous", unit="pg/mL")),
    ColumnPlan(ParseRule("twin", "continuous")),
    ColumnPlan(ParseRule("histology", "categorical", levels=LEVELS)),
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(ParseRule("arm", "arm", levels=("0", "1"), control=("0",))),
)


def cohort(n=90, seed=1):
    """Twins at r .98, a nominal column, missing ages, two arms, a hazard that vegf drives."""
    rng = np.random.default_rng(seed)
    vegf = rng.normal(size=n)
    X = np.column_stack(
        [
            vegf,
            vegf + 0.2 * rng.normal(size=n),
            np.arange(n) % 3,
            rng.normal(60, 9, n),
            rng.permutation(n) % 2,
        ]
    )
    X[::11, 3] = np.nan
    event_at, follow_up = rng.exponential(np.exp(-0.9 * vegf)), rng.uniform(0.4, 3.0, n)
    return X, survival_outcome(event_at <= follow_up, np.minimum(event_at, follow_up) + 1e-9)


def explained(model="cox", params=None, n=90, **labels):
    """A full fit's attribution and the plan of its refits."""
    params = {"penalty": 3.0} if params is None else params
    X, y = cohort(n)
    build = PipelineBuilder(PLANS, model)
    fitted = build(dict(params), 0).fit(X, y)
    found = attribute(fitted, X, n_bootstrap=1, rng=np.random.default_rng(0))
    return found, Refits.of(found, build, params, X, y, seed=5, strata=y["event"], **labels)


def test_correlated_columns_are_one_unit_and_the_others_stand_alone():
    """The groups are those of the attribution, in column order."""
    found, plan = explained()
    assert plan.units == (("vegf", "twin"), ("histology",), ("age",), ("arm",))
    assert plan.sources == found.sources


def test_the_full_fit_row_is_the_attributions_own_importance():
    """Columns as in the attribution; a group is the mean absolute sum, never the sum of means."""
    found, plan = explained()
    table = full_fit(plan, found)
    importance = {item.source: item.value for item in found.importance}
    np.testing.assert_allclose(table.importance[0], [importance[s] for s in plan.sources])
    pair = np.abs(found.values[:, 0] + found.values[:, 1]).mean()
    np.testing.assert_allclose(table.together[0, 0], pair)
    assert table.together[0, 0] <= table.importance[0, :2].sum() + 1e-12


def test_directions_follow_ranks_and_leave_unordered_columns_out():
    """A monotone bend keeps its sign; nominal levels and constant attributions have none."""
    found, plan = explained()
    position = plan.sources.index("histology")
    assert np.all(plan.ordered[:, position] == 0)
    bent = np.sign(found.columns) * np.abs(found.columns) ** 3
    values = np.nan_to_num(bent - np.nanmean(bent, axis=0))
    expected = np.ones(5)
    expected[position] = 0
    np.testing.assert_array_equal(directions(plan.ordered, values), expected)
    np.testing.assert_array_equal(directions(plan.ordered, -values), -expected)
    assert not directions(plan.ordered, np.ones_like(values)).any()


def test_missing_values_take_no_part_in_a_direction():
    """Attributions of patients whose value is missing cannot turn the sign."""
    found, plan = explained()
    age = plan.sources.index("age")
    values = found.values.copy()
    missing = np.isnan(found.columns[:, age])
    assert missing.any()
    before = directions(plan.ordered, values)
    values[missing, age] += 1e3 * np.linspace(-1, 1, missing.sum())
    assert np.abs(values).max() < 1e4
    np.testing.assert_array_equal(directions(plan.ordered, values)[:age], before[:age])
    assert np.all(plan.ordered[missing, age] == 0)


def test_ranks_share_ties_and_are_centred():
    """Mid-ranks by hand: 1, 2.5, 2.5, 4 less their mean."""
    found, _ = explained()
    four = dataclasses.replace(
        found, columns=np.tile([[3.0], [5.0], [5.0], [9.0]], 5), values=np.zeros((4, 5))
    )
    plan = Refits.of(four, None, {}, np.zeros((4, 5)), np.zeros(4, bool))
    np.testing.assert_allclose(plan.ordered[:, 0], [-1.5, 0.0, 0.0, 1.5])


def test_blocks_cover_every_refit_once():
    """No gap, no overlap, whatever the size."""
    for n, size in ((0, 25), (1, 25), (25, 25), (61, 7)):
        numbers = [i for b in blocks_of("seed", n, size) for i in range(b.low, b.high)]
        assert numbers == list(range(n))
    with pytest.raises(UsageError, match="scheme must be among"):
        blocks_of("jackknife", 5)


def test_rows_that_do_not_agree_are_refused():
    """Counts are said, values are not."""
    found, plan = explained()
    with pytest.raises(UsageError, match="same rows; got 89, 90"):
        Refits.of(found, plan.build, {}, plan.X[1:], plan.y)
    with pytest.raises(UsageError, match="one scheme; got 0"):
        join([])


def test_a_model_without_a_random_part_is_not_seeded():
    """Seeds are only tried where they change something."""
    assert not explained()[1].seeded
    assert explained("boosted_cox", {"n_estimators": 5})[1].seeded
