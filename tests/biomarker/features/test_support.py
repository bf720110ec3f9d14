"""Training rows in counts: what is counted, what is stored, and how far a row lies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder, fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.features.support import ColumnSupport, Support, fit_support
from biomarker.parsing import ParseRule, State

PLANS = (
    ColumnPlan(ParseRule("arm", "arm", levels=("control", "drug"), control=("control",))),
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(
        ParseRule("vegf", "continuous", unit="pg/mL", lower_limit=60.0, upper_limit=5000.0),
        transform="log",
    ),
    ColumnPlan(ParseRule("grade", "ordinal", levels=("1", "2", "3", "4"))),
)


def drawn(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Parsed values and states: some missing, some VEGF below detection, no grade 4."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    raw = np.column_stack(
        [
            rng.integers(0, 2, n),
            60 + 8 * z[:, 0],
            np.exp(5.5 + 0.7 * (0.5 * z[:, 0] + z[:, 1])),
            rng.integers(0, 3, n),
        ]
    ).astype(np.float64)
    states = np.zeros(raw.shape, np.uint8)
    low = raw[:, 2] < 60
    raw[low, 2], states[low, 2] = 60 / np.sqrt(2), State.BELOW_DETECTION
    absent = rng.random(raw.shape) < 0.05
    absent[:, 0] = False
    raw[absent], states[absent] = np.nan, State.MISSING
    return raw, states


@pytest.fixture(scope="module")
def fitted() -> tuple[FrozenEncoder, Support]:
    """An encoder and the support of its 400 training rows."""
    raw, states = drawn(400)
    encoder = fit_encoder(PLANS, raw)
    return encoder, fit_support(encoder, raw, states)


def test_each_row_is_counted_where_it_belongs() -> None:
    """Bounds belong to the range above them; every kind of value has its place."""
    cells = ("below detection", "under 1", "1 to 2", "2 and over", "above detection")
    column = ColumnSupport("x", "continuous", cells, (1.0, 2.0), (0,) * 5, 0)
    raw = np.array([0.5, 1.0, 1.5, 2.0, 9.0, 0.7, 8.0, np.nan, np.nan, -3.0])
    states = np.array([0, 0, 0, 0, 0, 2, 3, 1, 4, 6], np.uint8)
    outside = raw > 8.5
    assert column.tally(raw, states, outside).tolist() == [1, 2, 2, 2, 1, 1, 1, 1]
    plain = column.tally(raw[:5], states[:5], None)
    assert plain.tolist() == [0, 1, 2, 2, 0, 0, 0, 0]
    levels = ColumnSupport("g", "ordinal", ("a", "b", "no declared level"), (), (0,) * 3, 0)
    raw, states = np.array([0, 1, 1, np.nan, np.nan]), np.array([0, 0, 0, 1, 7], np.uint8)
    assert levels.tally(raw, states, None).tolist() == [1, 2, 1, 1, 0, 0]


def test_training_rows_fall_into_tenths(fitted: tuple[FrozenEncoder, Support]) -> None:
    """Every training row is in a cell, missing, or below detection, and about a tenth in each."""
    support = fitted[1]
    assert [column.name for column in support.columns] == ["age", "vegf", "grade"]
    raw, states = drawn(400)
    for column, index in zip(support.columns, (1, 2, 3), strict=True):
        assert column.n_missing == int(np.isnan(raw[:, index]).sum())
        assert column.n_known + column.n_missing == 400
    age, vegf, grade = support.columns
    assert len(age.edges) == 9
    assert max(age.counts) - min(age.counts) < 8
    assert vegf.counts[0] == int((states[:, 2] == State.BELOW_DETECTION).sum())
    assert grade.cells == ("1", "2", "3", "4", "no declared level")
    assert grade.counts[3:] == (0, 0)


@given(data=st.data())
def test_counts_of_parts_add_up(fitted: tuple[FrozenEncoder, Support], data: Any) -> None:
    """Cut anywhere, a file's counts are the sum of its parts', and every row is in one of them."""
    support = fitted[1]
    raw, states = drawn(60, seed=data.draw(st.integers(0, 5)))
    cut = data.draw(st.integers(0, 60))
    for column, index in zip(support.columns, (1, 2, 3), strict=True):
        values, kinds = raw[:, index], states[:, index]
        whole = column.tally(values, kinds, values > 70)
        parts = [
            column.tally(values[part], kinds[part], values[part] > 70)
            for part in (slice(0, cut), slice(cut, 60))
        ]
        assert (whole == parts[0] + parts[1]).all()
        assert whole[:-1].sum() == 60


def test_distance_is_mahalanobis(fitted: tuple[FrozenEncoder, Support]) -> None:
    """Against the inverse of the training covariance itself, for features that all vary well."""
    raw = np.random.default_rng(2).normal([60, 30], [8, 2], (500, 2))
    raw[:, 1] += 0.15 * raw[:, 0]
    plans = tuple(ColumnPlan(ParseRule(name, "continuous")) for name in ("a", "b"))
    support = fit_support(fit_encoder(plans, raw), raw, np.zeros(raw.shape, np.uint8))
    moved = raw - raw.mean(axis=0)
    inverse = np.linalg.inv(np.cov(raw.T))
    expected = np.sqrt(np.einsum("ij,jk,ik->i", moved, inverse, moved))
    np.testing.assert_allclose(support.spread.distance(raw), expected, rtol=0.01, atol=0.01)


def test_new_rows_exceed_the_limits_as_often_as_said() -> None:
    """One in twenty and one in a hundred, though there are few training rows for many features."""
    rng = np.random.default_rng(3)
    plans = tuple(ColumnPlan(ParseRule(f"x{i}", "continuous")) for i in range(15))
    shares = []
    for _ in range(40):
        raw = rng.normal(size=(100, 15))
        encoder = fit_encoder(plans, raw)
        support = fit_support(encoder, raw, np.zeros(raw.shape, np.uint8))
        n, *beyond = support.spread.tally(encoder.transform(rng.normal(size=(1000, 15))))
        shares.append(np.array(beyond) / n)
    found = np.mean(shares, axis=0)
    assert 0.035 < found[0] < 0.06
    assert 0.005 < found[1] < 0.02


def test_long_parts_are_thinned_evenly(fitted: tuple[FrozenEncoder, Support]) -> None:
    """A part of 4,096 rows or more gives every second row, or fewer."""
    encoder, support = fitted
    features = encoder.transform(np.resize(drawn(400)[0], (10_000, 4)))
    assert support.spread.tally(features[:4095])[0] == 4095
    assert support.spread.tally(features)[0] == 2500


def test_a_stored_support_comes_back(fitted: tuple[FrozenEncoder, Support]) -> None:
    """Through JSON, to the same state and the same counts and distances."""
    encoder, support = fitted
    again = Support.from_state(json.loads(json.dumps(support.to_state())), encoder)
    assert again.to_state() == support.to_state()
    assert again.columns == support.columns
    features = encoder.transform(drawn(50, seed=9)[0])
    assert (again.spread.tally(features) == support.spread.tally(features)).all()


HARMS: dict[str, Any] = {
    "no columns": lambda s: s.pop("columns"),
    "an added name": lambda s: s.update(more=1),
    "another column": lambda s: s["columns"][0].update(name="other"),
    "a column less": lambda s: s["columns"].pop(),
    "unordered bounds": lambda s: s["columns"][0]["edges"].reverse(),
    "a bound less": lambda s: s["columns"][0]["edges"].pop(),
    "a negative count": lambda s: s["columns"][0]["counts"].__setitem__(0, -1),
    "text as count": lambda s: s["columns"][0]["counts"].__setitem__(0, "1"),
    "a feature less": lambda s: s["spread"]["mean"].pop(),
    "a scale of nothing": lambda s: s["spread"]["scale"].__setitem__(0, 0.0),
    "no number": lambda s: s["spread"]["mean"].__setitem__(0, None),
    "thresholds turned round": lambda s: s["thresholds"].update(psi=[0.25, 0.1]),
    "no threshold": lambda s: s["thresholds"].pop("psi"),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_damaged_state_is_refused(fitted: tuple[FrozenEncoder, Support], name: str) -> None:
    """Whatever is not what this release writes is a BundleError."""
    encoder, support = fitted
    state = json.loads(json.dumps(support.to_state()))
    HARMS[name](state)
    with pytest.raises(BundleError, match="support"):
        Support.from_state(state, encoder)


def test_nothing_of_one_patient_can_be_worked_out() -> None:
    """Bounds are rounded, and a feature that one patient has carries no correlation."""
    raw, states = drawn(80)
    raw[:, 1] = np.where(np.isnan(raw[:, 1]), 60.0, raw[:, 1])
    states[:, 1] = 0
    raw[7, 1], states[7, 1] = np.nan, State.MISSING
    raw[7, 2], states[7, 2] = 471.147114, State.OK
    encoder = fit_encoder(PLANS, raw)
    support = fit_support(encoder, raw, states)
    lone = encoder.feature_names.index("age missing")
    off = np.delete(support.spread.correlation[lone], lone)
    assert (off == 0).all()
    assert (np.delete(support.spread.correlation[:, lone], lone) == 0).all()
    text = json.dumps(support.to_state())
    known = raw[states == State.OK]
    assert not [value for value in known if value % 1 and repr(float(value)) in text]
    for column in support.columns:
        assert all(float(f"{edge:.3g}") == edge for edge in column.edges)


def test_a_column_of_one_value_or_few_rows_has_cells_too() -> None:
    """Ties leave fewer bounds; five rows a range at least."""
    rng = np.random.default_rng(0)
    raw = np.column_stack([np.full(20, 5.0), rng.normal(size=20)])
    plans = tuple(ColumnPlan(ParseRule(name, "continuous")) for name in ("a", "b"))
    support = fit_support(fit_encoder(plans, raw), raw, np.zeros(raw.shape, np.uint8))
    assert support.columns[0].cells == ("under 5", "5 and over")
    assert support.columns[0].counts == (0, 20)
    assert len(support.columns[1].cells) == 4
