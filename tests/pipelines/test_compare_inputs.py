from dataclasses import replace

import pytest
from scipy.stats import fisher_exact

from pipelines.compare_inputs import _newcombe, data_rows, same_patients, settings_rows, study_rows
from tests.pipelines.compared import cohort, stored


def found(rows):
    """Rows by what they compare."""
    return {row.what: row for row in rows}


def test_newcombes_interval_is_the_published_one():
    """56/70 against 48/80 (Newcombe 1998, table II, row a, method 10): .0524 to .3339."""
    low, high = _newcombe((48, 80), (56, 70))
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_a_share_of_the_data_is_judged_and_a_count_is_not():
    """Events 60% against 40% of 200: Fisher's p; the patients themselves are a fact."""
    a, b = stored(cohort=cohort()), stored(cohort=cohort(n=210, events=80, missing=11))
    rows = found(data_rows(a, b))
    assert rows["Patients"].judgement == "fact"
    events = rows["os: events"]
    assert events.judgement == "exceeds"
    assert events.p_value == pytest.approx(fisher_exact([[120, 80], [80, 130]]).pvalue)
    assert events.before == "120 of 200 (60.0%)"
    assert rows["vegf: missing"].judgement == "within"
    assert rows["vegf: missing"].verdict == "no more than resampling noise"


def test_what_is_equal_is_not_listed():
    """The same cohort gives no row; nor does a share of nothing in both."""
    assert data_rows(stored(cohort=cohort()), stored(cohort=cohort())) == []
    more = found(data_rows(stored(cohort=cohort(missing=0)), stored(cohort=cohort(220, 132, 0))))
    assert "vegf: missing" not in more
    assert "os: events" not in more


def test_columns_and_declarations_are_named():
    """A column that left the file, a unit that changed, a setting, a library."""
    a = stored(
        cohort=cohort(columns=("vegf", "caix")),
        study={
            "columns": {"vegf": {"role": "marker", "unit": "pg/mL"}, "caix": {"role": "marker"}}
        },
        settings={"settings": {"seed": {"value": 0}, "jobs": {"value": 1}}},
        software={"numpy": "2.0"},
    )
    b = stored(
        cohort=cohort(),
        study={"columns": {"vegf": {"role": "marker", "unit": "ng/mL"}}},
        settings={"settings": {"seed": {"value": 5}, "jobs": {"value": 2}}},
        software={"numpy": "2.1"},
    )
    assert found(data_rows(a, b))["Column caix"].after == "not in the file"
    study = found(study_rows(a, b))
    assert (study["Column vegf: unit"].before, study["Column vegf: unit"].after) == (
        "pg/mL",
        "ng/mL",
    )
    assert study["Column caix"].before == "declared (marker)"
    settings = found(settings_rows(a, b))
    assert set(settings) == {"seed", "Software: numpy"}


def test_whether_patients_are_shared_comes_from_their_fingerprint():
    """Equal, different, or not stored by an earlier release."""
    a = stored(model_files={"resampling.json": {"patients": "x"}})
    b = stored(model_files={"resampling.json": {"patients": "y"}})
    assert same_patients(a, a) == {"os": True}
    assert same_patients(a, b) == {"os": False}
    assert same_patients(a, stored()) == {"os": None}
    assert same_patients(a, replace(b, models=())) == {}
