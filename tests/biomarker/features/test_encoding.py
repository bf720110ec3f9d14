"""What a fitted encoder learned from known rows, and what it says of later ones."""

from __future__ import annotations

import numpy as np
import pytest

from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder, fit_encoder, plan_columns
from biomarker.features.frozen_column import REASONS, ColumnPlan
from biomarker.parsing import ParseRule, State
from biomarker.study import ScoringRules, Study

NAN = np.nan
AGE = ColumnPlan(ParseRule("age", "continuous", unit="years"))
SEX = ColumnPlan(ParseRule("sex", "categorical", levels=("f", "m", "x", "y")))
VEGF = ColumnPlan(ParseRule("vegf", "continuous", unit="pg/mL"), "log1p")


def review(encoder: FrozenEncoder, value: float, state: State = State.OK) -> list[str]:
    """Reason codes of one value of the encoder's first column."""
    return list(encoder.columns[0].review(np.array([value]), np.array([state], np.uint8)))


def test_the_median_fills_and_an_indicator_says_so() -> None:
    """A missing number becomes the training median, and a feature of its own says it was."""
    encoder = fit_encoder((AGE,), np.array([[40.0], [50.0], [90.0], [NAN]]))
    assert encoder.feature_names == ("age", "age missing")
    assert encoder.sources == ("age", "age")
    assert encoder.transform(np.array([[NAN], [61.0]])).tolist() == [[50.0, 1.0], [61.0, 0.0]]


def test_a_column_complete_in_training_has_no_indicator_but_still_a_fill() -> None:
    """A value missing only later is filled; there is nothing an indicator could have learned."""
    encoder = fit_encoder((AGE,), np.array([[40.0], [50.0], [90.0]]))
    assert encoder.feature_names == ("age",)
    assert encoder.transform(np.array([[NAN]])).tolist() == [[50.0]]


def test_the_first_level_seen_is_the_reference() -> None:
    """One 0/1 feature for every other level met in training; levels never met give none."""
    encoder = fit_encoder((SEX,), np.array([[1.0], [2.0], [1.0], [2.0], [2.0]]))
    assert encoder.feature_names == ("sex=x",)
    assert encoder.transform(np.array([[1.0], [2.0], [NAN]])).ravel().tolist() == [0.0, 1.0, 1.0]
    assert review(encoder, 0.0) == ["unseen_category"]
    assert review(encoder, 2.0) == []


def test_the_transform_comes_after_the_fill() -> None:
    """The fill is on the raw scale, so that it reads as a measurement."""
    encoder = fit_encoder((VEGF,), np.array([[10.0], [100.0], [1000.0]]))
    np.testing.assert_array_equal(
        encoder.transform(np.array([[NAN], [7.0]])).ravel(), np.log1p([100.0, 7.0])
    )


def test_markers_missing_together_share_one_indicator() -> None:
    """A second indicator equal to the first would make both coefficients arbitrary."""
    raw = np.array([[40.0, 7.0], [50.0, 9.0], [NAN, NAN], [60.0, 3.0]])
    encoder = fit_encoder((AGE, VEGF), raw)
    assert encoder.feature_names == ("age", "age missing", "vegf")


def test_a_column_never_known_is_left_out() -> None:
    """Nothing can be learned from it, and nothing asks for it later."""
    encoder = fit_encoder((AGE, VEGF), np.array([[40.0, NAN], [50.0, NAN]]))
    assert [column.name for column in encoder.columns] == ["age"]


def test_values_are_reviewed_against_the_training_rows() -> None:
    """Outside the range is said; a thousandfold off and otherwise fitting is another unit."""
    encoder = fit_encoder((AGE,), np.linspace(30.0, 80.0, 51)[:, None])
    assert review(encoder, 50.0) == []
    assert review(encoder, 95.0) == ["outside_training_range"]
    assert review(encoder, 50000.0) == ["outside_training_range", "suspected_unit_mixup"]
    assert review(encoder, 0.05) == ["outside_training_range", "suspected_unit_mixup"]
    assert review(encoder, -50000.0) == ["outside_training_range"]
    assert review(encoder, 1e37) == ["outside_training_range"]
    assert review(encoder, 0.05, State.BELOW_DETECTION) == [
        "below_detection", "outside_training_range",
    ]  # fmt: skip


def test_a_whole_file_in_another_unit_is_seen_though_its_values_hide_in_the_range() -> None:
    """Where training spans zero to thousands, only the file's median tells pg from ng."""
    rng = np.random.default_rng(0)
    training = np.concatenate([[0.0, 5000.0], rng.lognormal(4.0, 1.0, 300)])
    column = fit_encoder((VEGF,), training[:, None]).columns[0]
    later = rng.lognormal(4.0, 1.0, 60)
    good = np.zeros(60, np.uint8)
    assert not column.in_other_unit(later, good)
    for factor in (1000.0, 0.001):
        assert column.in_other_unit(later * factor, good)
        assert not column.in_other_unit(later[:19] * factor, good[:19])
    for factor in (10.0, 0.1):
        assert not column.in_other_unit(later * factor, good)
    assert not column.in_other_unit(np.full(60, NAN), np.full(60, State.MISSING, np.uint8))


def test_a_transform_says_where_it_is_defined() -> None:
    """log1p of -2 is no number; a missing value is filled before the transform."""
    column = fit_encoder((VEGF,), np.array([[1.0], [2.0]])).columns[0]
    assert column.defined(np.array([-2.0, -1.0, 0.0, NAN])).tolist() == [False, False, True, True]


def test_reactions_come_from_the_study_and_default_to_the_table() -> None:
    """Each reason of each column may be warned of or refused, as declared."""
    study = Study.from_toml(
        """
        format_version = 1
        name = "s"
        [columns.x]
        role = "marker"
        kind = "continuous"
        scoring = { missing = "refuse", unparsable = "warn" }
        [columns.r]
        role = "endpoint"
        [endpoints.r]
        type = "response"
        column = "r"
        positive = ["1"]
        negative = ["0"]
        """
    )
    column = fit_encoder(plan_columns(study, ("x",)), np.array([[1.0], [2.0]])).columns[0]
    assert column.reaction("missing") == "refuse"
    assert column.reaction("unparsable") == "warn"
    assert column.reaction("outside_training_range") == "warn"
    assert set(ScoringRules.model_fields) == set(REASONS)
    for reason, default in ScoringRules().model_dump().items():
        if reason not in ("missing", "unparsable"):
            assert column.reaction(reason) == default


def test_rows_of_another_width_are_named() -> None:
    """A matrix that is not in the encoder's columns is refused with both shapes."""
    encoder = fit_encoder((AGE,), np.array([[40.0], [50.0]]))
    with pytest.raises(ValueError, match=r"1 columns; got shape \(2, 3\)"):
        encoder.transform(np.zeros((2, 3)))


@pytest.mark.parametrize("state", [{}, {"columns": []}, {"columns": [{}], "kept": [0]}, []])
def test_a_damaged_state_is_an_error_of_ours(state: object) -> None:
    """What this release did not write is not understood."""
    with pytest.raises(BundleError, match="encoder"):
        FrozenEncoder.from_state(state)  # type: ignore[arg-type]
