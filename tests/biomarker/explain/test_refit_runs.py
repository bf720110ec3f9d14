"""Refits give the pipeline's own numbers, wherever and in whatever blocks they are run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from biomarker.errors import NotEstimableError
from biomarker.explain import refit_runs
from biomarker.explain.contributions import contributions
from biomarker.explain.refit_runs import fold_calls, permuted_rows, run_block, run_blocks
from biomarker.explain.refits import Block, RefitCall, blocks_of, join
from biomarker.models.zoo import model_choice
from biomarker.resampling import bootstrap_indices, spawn
from biomarker.validation.nested import nested_cross_validation
from tests.biomarker.explain.test_refits import cohort, explained

SMALL = {"n_estimators": 12, "max_depth": 2}


@pytest.mark.parametrize(("model", "params"), [("cox", {"penalty": 3.0}), ("boosted_cox", SMALL)])
def test_a_bootstrap_refit_is_the_pipeline_on_resampled_rows(model, params):
    """Fitted on drawn rows and explained on them: the weights give the same mean as the rows."""
    _, plan = explained(model, params)
    table = run_block(plan, Block("bootstrap", 3, 4))
    rng = spawn(plan.seed, "refits", "bootstrap", 3)
    seed = int(rng.integers(2**31 - 1))
    rows = bootstrap_indices(None, plan.strata, rng, len(plan.y))
    fitted = plan.build(dict(plan.params), seed).fit(plan.X[rows], plan.y[rows])
    parts = contributions(fitted, plan.X[rows])
    by_name = dict(zip(parts.sources, np.abs(parts.values).mean(axis=0), strict=True))
    expected = [by_name.get(source, 0.0) for source in plan.sources]
    np.testing.assert_allclose(table.importance[0], expected, rtol=0, atol=1e-9)
    assert len(set(rows.tolist())) < len(rows)


def test_a_linear_models_importance_is_known_in_closed_form():
    """|coefficient| times the mean distance from the training mean."""
    _, plan = explained()
    call = RefitCall({"penalty": 3.0}, 0, np.arange(60))
    table = run_block(replace(plan, folds=(call,)), Block("fold", 0, 1))
    fitted = plan.build({"penalty": 3.0}, 0).fit(plan.X[:60], plan.y[:60])
    vegf = plan.X[:60, 0]
    expected = abs(fitted.model.coef_[0]) * np.abs(vegf - vegf.mean()).mean()
    np.testing.assert_allclose(table.importance[0, 0], expected, rtol=1e-12)
    assert table.sign[0, 0] == np.sign(fitted.model.coef_[0])


@pytest.mark.parametrize("model", ["cox", "boosted_cox"])
def test_fold_refits_are_the_models_of_the_nested_validation(model):
    """Same settings, seed and rows: the out-of-fold risks come back to the last bit."""
    found, plan = explained(model, {"penalty": 3.0} if model == "cox" else SMALL)
    grid = model_choice(model).grid[-2:] if model == "cox" else (SMALL, {**SMALL, "max_depth": 1})
    nested = nested_cross_validation(
        plan.build, grid, plan.X, plan.y, kind="survival", n_splits=3, n_repeats=2, n_inner=2,
        n_training_groups=0, seed=8,
    )  # fmt: skip
    calls = fold_calls(nested, grid, 8)
    assert len(calls) == 6
    for call, (repeat, number) in zip(calls, np.ndindex(2, 3), strict=True):
        model_again = plan.build(dict(call.params), call.seed).fit(
            plan.X[call.rows], plan.y[call.rows]
        )
        test = nested.folds[repeat][number][1]
        np.testing.assert_array_equal(
            model_again.predict_risk(plan.X[test]), nested.risk[repeat, test]
        )
    table = run_block(replace(plan, folds=calls), Block("fold", 0, 6))
    assert table.fitted.all()
    assert found.sources == plan.sources


def test_a_refit_depends_on_its_number_alone():
    """Blocks of any size give the same bits."""
    _, plan = explained()
    whole = run_block(plan, Block("bootstrap", 0, 7))
    parts = join([run_block(plan, block) for block in blocks_of("bootstrap", 7, 3)])
    for name in ("importance", "together", "sign", "fitted"):
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes()
    assert len(np.unique(whole.importance[:, 0])) == 7


def test_seeds_move_only_models_that_have_a_random_part():
    """A linear model is the full fit again; trees differ."""
    _, plan = explained()
    table = run_block(plan, Block("seed", 0, 3))
    assert np.ptp(table.importance, axis=0).max() == 0.0
    _, plan = explained("boosted_cox", SMALL)
    assert np.ptp(run_block(plan, Block("seed", 0, 3)).importance[:, 0]) > 0


@pytest.mark.slow
def test_worker_processes_change_no_bit(monkeypatch):
    """Two workers give what one does."""
    monkeypatch.setattr(refit_runs, "_WORKERS_PAY_FROM_SECONDS", 0.0)
    _, plan = explained("boosted_cox", SMALL)
    blocks = blocks_of("bootstrap", 6, 2)
    alone = dict(run_blocks(plan, blocks, 1))
    side_by_side = dict(run_blocks(plan, blocks, 2))
    assert sorted(side_by_side) == [0, 1, 2]
    for k, table in alone.items():
        assert table.importance.tobytes() == side_by_side[k].importance.tobytes()


def test_a_refit_that_cannot_be_estimated_is_marked():
    """It is counted, not raised and not filled in."""
    _, plan = explained()
    calls = []

    class Failing:
        def fit(self, X, y):
            calls.append(len(X))
            if len(calls) % 2:
                raise NotEstimableError("no")
            return plan.build({"penalty": 3.0}, 0).fit(X, y)

    table = run_block(replace(plan, build=lambda params, seed: Failing()), Block("bootstrap", 0, 4))
    assert table.fitted.tolist() == [False, True, False, True]
    assert np.isnan(table.importance[0]).all()
    assert np.isfinite(table.together[1]).all()


def test_a_column_that_does_not_vary_in_a_sample_has_no_importance():
    """Rows without one arm: the arm gives no feature, and its importance is 0."""
    _, plan = explained()
    rows = np.flatnonzero(plan.X[:, 4] == 1)
    table = run_block(
        replace(plan, folds=(RefitCall({"penalty": 3.0}, 0, rows),)), Block("fold", 0, 1)
    )
    assert table.importance[0, 4] == 0.0
    assert table.sign[0, 4] == 0
    assert table.importance[0, 0] > 0


def test_permuted_outcomes_stay_whole_and_in_their_arm():
    """Each arm keeps its pairs of event and duration."""
    X, y = cohort()
    arm = X[:, 4]
    order = permuted_rows(np.random.default_rng(3), len(y), arm, None)
    assert (order != np.arange(len(y))).sum() > 60
    for value in (0, 1):
        before, after = y[arm == value], y[order][arm == value]
        assert sorted(before.tolist()) == sorted(after.tolist())


def test_patients_with_several_rows_swap_outcomes_as_one():
    """Rows of a patient go together, in order, to a patient alike."""
    groups = np.repeat(np.arange(20), 2)
    groups = np.concatenate([groups, np.arange(20, 30)])
    arm = (groups % 2).astype(float)
    order = permuted_rows(np.random.default_rng(0), len(groups), arm, groups)
    assert sorted(order.tolist()) == list(range(len(groups)))
    assert np.all(order[1:40:2] == order[0:40:2] + 1)
    np.testing.assert_array_equal(arm[order], arm)
