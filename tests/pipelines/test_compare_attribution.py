from pipelines.compare_attribution import attribution_rows
from tests.pipelines.compared import importance, stored


def rows(a, b, file="tables/importance.json"):
    """Rows of two runs of one model."""
    pair = [stored(model_files={} if t is None else {file: t}) for t in (a, b)]
    return attribution_rows(*pair)


def test_a_move_within_one_fits_interval_is_noise():
    """Intervals too narrow for refitting can still show a move to be noise."""
    (row,) = rows(importance(vegf=(0.40, 0.30, 0.50)), importance(vegf=(0.45, 0.35, 0.55)))
    assert row.judgement == "within"
    assert row.p_adjusted is None


def test_a_larger_move_is_never_called_real_without_refits():
    """Beyond the interval of one fit nothing is known: refitting would move it too."""
    (row,) = rows(importance(vegf=(0.40, 0.39, 0.41)), importance(vegf=(0.80, 0.79, 0.81)))
    assert row.judgement == "not_judged"
    assert "fitting again" in row.basis
    assert row.p_value is None


def test_spread_over_refits_judges():
    """The same move, with its spread over refits in both runs: beyond, or within, it."""
    file = "tables/stability.json"
    a = importance(60, vegf=(0.4, 0.3, 0.5), grade=(0.3, 0.2, 0.4))
    b = importance(60, vegf=(0.9, 0.8, 1.0), grade=(0.32, 0.2, 0.4))
    vegf, grade = rows(a, b, file)
    assert (vegf.judgement, grade.judgement) == ("exceeds", "within")
    assert vegf.before == "rank 1 (1 to 2) of 2, 0.4 (0.3 to 0.5)"
    assert vegf.p_adjusted is not None


def test_withheld_importance_stays_withheld():
    """A model not above chance has no importance to compare; both withheld says nothing."""
    (row,) = rows(importance(vegf=(0.4, 0.3, 0.5)), None)
    assert row.after == "withheld: not shown to do better than chance"
    assert rows(None, None) == []


def test_equal_importance_is_not_listed_and_a_lost_column_is():
    """Only differences are shown."""
    a = importance(vegf=(0.4, 0.3, 0.5), grade=(0.3, 0.2, 0.4))
    assert rows(a, a) == []
    (row,) = rows(a, importance(vegf=(0.4, 0.3, 0.5)))
    assert (row.what, row.judgement) == ("os cox: grade", "fact")
