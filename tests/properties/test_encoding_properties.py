"""What the frozen encoder promises for any training rows and any later row."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from biomarker.errors import NotEstimableError
from biomarker.features.encoding import Floats, FrozenEncoder, _outward, fit_encoder
from biomarker.features.frozen_column import ColumnPlan
from biomarker.parsing import ParseRule

PLANS = (
    ColumnPlan(ParseRule("age", "continuous", unit="years")),
    ColumnPlan(ParseRule("vegf", "continuous", range=(0.0, 1e6), unit="pg/mL"), "log1p"),
    ColumnPlan(ParseRule("sex", "categorical", levels=("f", "m", "x"))),
    ColumnPlan(ParseRule("grade", "ordinal", levels=("1", "2", "3"))),
    ColumnPlan(ParseRule("arm", "arm", levels=("c", "t"), control=("c",))),
)


@st.composite
def training_rows(draw: st.DrawFn) -> Floats:
    """Parsed rows of the five columns, any of them missing."""
    n = draw(st.integers(2, 30))
    columns = [
        hnp.arrays(float, n, elements=st.floats(-1e6, 1e6)),
        hnp.arrays(float, n, elements=st.floats(0, 1e6)),
        hnp.arrays(float, n, elements=st.sampled_from([0.0, 1.0, 2.0])),
        hnp.arrays(float, n, elements=st.sampled_from([0.0, 1.0, 2.0])),
        hnp.arrays(float, n, elements=st.sampled_from([0.0, 1.0])),
    ]
    raw = np.column_stack([draw(column) for column in columns])
    raw[draw(hnp.arrays(bool, raw.shape, elements=st.booleans()))] = np.nan
    return raw


def fitted(raw: Floats) -> tuple[FrozenEncoder, Floats]:
    """The encoder learned from rows, and those of its columns that it kept."""
    encoder = fit_encoder(PLANS, raw)
    names = [plan.rule.column for plan in PLANS]
    return encoder, raw[:, [names.index(column.name) for column in encoder.columns]]


def try_fitted(raw: Floats) -> tuple[FrozenEncoder, Floats] | None:
    """As :func:`fitted`; None where nothing varies."""
    try:
        return fitted(raw)
    except NotEstimableError:
        return None


@given(training_rows())
def test_a_stored_encoder_is_the_same_encoder(raw: Floats) -> None:
    """Through JSON and back: equal, and equal features to the last bit."""
    made = try_fitted(raw)
    if made is None:
        return
    encoder, rows = made
    text = json.dumps(encoder.to_state(), allow_nan=False)
    again = FrozenEncoder.from_state(json.loads(text))
    assert again == encoder
    assert again.transform(rows).tobytes() == encoder.transform(rows).tobytes()
    assert json.dumps(again.to_state(), allow_nan=False) == text


@given(training_rows(), training_rows())
def test_features_are_never_missing(raw: Floats, later: Floats) -> None:
    """Whatever is missing later, every feature of every row is a finite number."""
    made = try_fitted(raw)
    if made is None:
        return
    encoder, _ = made
    names = [plan.rule.column for plan in PLANS]
    rows = later[:, [names.index(column.name) for column in encoder.columns]]
    features = encoder.transform(rows)
    assert (
        features.shape
        == (len(later), len(encoder.feature_names))
        == (
            len(later),
            len(encoder.sources),
        )
    )
    assert np.isfinite(features).all()


@given(training_rows(), st.randoms())
def test_the_order_of_training_rows_means_nothing(raw: Floats, random: object) -> None:
    """Permuted training rows learn the same encoder; permuted rows give permuted features."""
    order = list(range(len(raw)))
    random.shuffle(order)  # type: ignore[attr-defined]
    made, shuffled = try_fitted(raw), try_fitted(raw[order])
    assert (made is None) == (shuffled is None)
    if made is None or shuffled is None:
        return
    assert shuffled[0] == made[0]
    np.testing.assert_array_equal(
        made[0].transform(made[1][order]), made[0].transform(made[1])[order]
    )


@given(training_rows())
def test_training_rows_lie_inside_their_own_range(raw: Floats) -> None:
    """No training row is warned of as outside the training range or refused as unseen."""
    made = try_fitted(raw)
    if made is None:
        return
    encoder, rows = made
    for index, column in enumerate(encoder.columns):
        states = np.where(np.isnan(rows[:, index]), 1, 0).astype(np.uint8)
        found = column.review(rows[:, index], states)
        assert set(found) <= {"missing"}


@given(training_rows())
def test_every_kept_feature_varies_and_none_is_repeated(raw: Floats) -> None:
    """A constant or a copy of another feature would make coefficients arbitrary."""
    made = try_fitted(raw)
    if made is None:
        return
    features = made[0].transform(made[1])
    assert (np.ptp(features, axis=0) > 0).all()
    assert len({column.tobytes() for column in features.T}) == features.shape[1]


@given(st.floats(-1e38, 1e38, allow_nan=False))
def test_a_bound_is_rounded_outward(value: float) -> None:
    """Rounding never cuts the value it was learned from off, and stays within a tenth of it."""
    low, high = _outward(value, -1), _outward(value, +1)
    assert low <= value <= high
    assert high - low <= 0.11 * abs(value) or abs(value) < 1e-300


def test_nothing_that_varies_is_an_error_with_counts() -> None:
    """Constant training rows carry no feature."""
    with pytest.raises(NotEstimableError, match="4 training rows; got none"):
        fit_encoder(PLANS, np.ones((4, 5)))
