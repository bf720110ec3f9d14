"""A table becomes a cohort, or a list of everything wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.cohort import Cohort
from biomarker.errors import CohortError, Fault
from biomarker.parsing import State
from biomarker.study import Study


@pytest.fixture(scope="module")
def study(ward: Any) -> Study:
    """The ward study."""
    return Study.from_toml(ward.study_text)


@pytest.fixture
def frame(ward: Any) -> pd.DataFrame:
    """Forty clean patients."""
    return pd.DataFrame(ward.frame(40, seed=2))


def faults(frame: Any, study: Study) -> list[Fault]:
    """The faults of a table that has some."""
    with pytest.raises(CohortError) as caught:
        Cohort.from_frame(frame, study)
    assert f"found {len(caught.value.faults)} fault(s)" in str(caught.value)
    return list(caught.value.faults)  # type: ignore[arg-type]


def kinds(frame: Any, study: Study) -> list[tuple[int | None, str, str]]:
    """Row, column and kind of each fault."""
    return [(fault.row, fault.column, fault.kind) for fault in faults(frame, study)]


def test_a_clean_table_is_a_cohort(frame: pd.DataFrame, study: Study) -> None:
    """Ids, features, groups and outcomes, each in row order."""
    cohort = Cohort.from_frame(frame, study)
    assert cohort.ids.tolist() == frame["pid"].tolist()
    assert cohort.features == ("arm", "age", "hb", "vegf", "sex", "grade")
    assert cohort.matrix().shape == (40, 6)
    np.testing.assert_array_equal(cohort.matrix(("age",)).ravel(), frame["age"].astype(float))
    assert cohort.treated is not None
    assert cohort.treated.tolist() == (frame["arm"] == "drug").tolist()
    y = cohort.outcomes["os"].y
    np.testing.assert_array_equal(y["duration"], frame["months"].astype(float))
    np.testing.assert_array_equal(y["event"], frame["died"] == "1")
    assert cohort.outcomes["response"].y.tolist() == (frame["best"] == "PR").tolist()
    assert len(set(cohort.groups["site"].tolist())) == 2
    assert "later" not in cohort.columns


def test_every_fault_is_collected_at_once(frame: pd.DataFrame, study: Study) -> None:
    """Nine things wrong, nine faults, each with its row."""
    frame.loc[0, "age"] = "150"
    frame.loc[1, "age"] = "forty"
    frame.loc[2, "hb"] = "inf"
    frame.loc[3, "sex"] = "woman"
    frame.loc[4, "months"] = "0"
    frame.loc[5, "died"] = "2"
    frame.loc[6, "best"] = "XX"
    frame.loc[8, "pid"] = frame.loc[7, "pid"]
    frame.loc[9, "arm"] = ""
    assert set(kinds(frame, study)) == {
        (0, "age", "outside allowed range"), (1, "age", "unparsable"), (2, "hb", "not finite"),
        (3, "sex", "undeclared category"), (4, "months", "invalid duration"),
        (5, "died", "undeclared coding"), (6, "best", "undeclared coding"),
        (8, "pid", "duplicate id"), (9, "arm", "missing arm"),
    }  # fmt: skip


def test_a_missing_endpoint_value_excludes_the_row_and_is_counted(
    frame: pd.DataFrame, study: Study
) -> None:
    """No row is dropped in silence: the reason and the number stand with the outcome."""
    frame.loc[[0, 1], "months"] = ""
    frame.loc[[1, 2, 3], "died"] = "NA"
    frame.loc[4, "best"] = "NE"
    frame.loc[5, "best"] = ""
    cohort = Cohort.from_frame(frame, study)
    survival, response = cohort.outcomes["os"], cohort.outcomes["response"]
    assert survival.excluded == {"duration missing": 2, "event missing": 2}
    assert np.flatnonzero(~survival.included).tolist() == [0, 1, 2, 3]
    assert len(survival.y) == 36
    assert response.excluded == {"response missing": 1, "not evaluable": 1}
    assert np.flatnonzero(~response.included).tolist() == [4, 5]


def test_not_evaluable_counts_as_no_response_where_declared(frame: pd.DataFrame, ward: Any) -> None:
    """The rule for NE and missing is the study's, not ours."""
    rules = 'not_evaluable_rule = "non_response"\nmissing_rule = "non_response"\n'
    text = ward.study_text + rules
    frame.loc[4, "best"], frame.loc[5, "best"] = "NE", ""
    response = Cohort.from_frame(frame, Study.from_toml(text)).outcomes["response"]
    assert response.included.all()
    assert not response.y[4]
    assert not response.y[5]


def test_typed_columns_give_the_same_cohort_as_text(frame: pd.DataFrame, study: Study) -> None:
    """Numbers, categories, nullable types: the digest of what was understood is one."""
    digest = Cohort.from_frame(frame, study).digest
    typed = frame.assign(
        age=frame["age"].astype(float), hb=frame["hb"].astype("Float64"),
        vegf=frame["vegf"].astype("category"), sex=frame["sex"].astype("category"),
        grade=frame["grade"].astype(int).astype("Int64"), died=frame["died"].astype(int),
        months=frame["months"].astype("string"), best=frame["best"].astype("category"),
        pid=frame["pid"].astype("category"),
    )  # fmt: skip
    assert Cohort.from_frame(typed, study).digest == digest
    assert Cohort.from_frame(pa.Table.from_pandas(typed), study).digest == digest
    boolean = frame.assign(died=frame["died"] == "1")
    assert Cohort.from_frame(boolean, study).digest == digest


@pytest.mark.parametrize("pandas_index", [[5] * 40, list("ab") * 20])
def test_a_frames_index_means_nothing(
    frame: pd.DataFrame, study: Study, pandas_index: list[Any]
) -> None:
    """Rows are counted from the top, whatever the frame's index says."""
    digest = Cohort.from_frame(frame, study).digest
    assert Cohort.from_frame(frame.set_axis(pandas_index), study).digest == digest


@settings(max_examples=15)
@given(random=st.randoms())
def test_permuted_rows_give_the_permuted_cohort(ward: Any, random: Any) -> None:
    """What a row means does not depend on where it stands."""
    study, frame = Study.from_toml(ward.study_text), ward.frame(40, seed=2)
    order = list(range(40))
    random.shuffle(order)
    whole = Cohort.from_frame(frame, study)
    shuffled = Cohort.from_frame(frame.iloc[order], study)
    np.testing.assert_array_equal(shuffled.matrix(), whole.matrix()[order])
    np.testing.assert_array_equal(shuffled.outcomes["os"].y, whole.outcomes["os"].y[order])


# -- ids -------------------------------------------------------------------------------------------


def test_ids_are_text_and_stay_as_they_are(frame: pd.DataFrame, study: Study) -> None:
    """Leading zeros, NA, exponents, spaces and trailing NULs keep patients apart."""
    odd = ["007", "7", "NA", "nan", "1e5", "100000", " 7", "7 ", "a", "a\0", "😀", "=1+1"]
    frame.loc[: len(odd) - 1, "pid"] = odd
    cohort = Cohort.from_frame(frame, study)
    assert cohort.ids[: len(odd)].tolist() == odd
    assert cohort.n_patients == 40
    assert len(set(cohort.patient_numbers.tolist())) == 40


def test_ids_beyond_double_precision_stay_apart(frame: pd.DataFrame, study: Study) -> None:
    """2^53 and 2^53 + 1 are two patients when stored as whole numbers; floats are refused."""
    numbers = [2**53 + i for i in range(40)]
    cohort = Cohort.from_frame(frame.assign(pid=numbers), study)
    assert cohort.ids.tolist() == [str(number) for number in numbers]
    with pytest.raises(CohortError, match="a float cannot say which id it was"):
        Cohort.from_frame(frame.assign(pid=[float(i) for i in range(40)]), study)


def test_repeated_ids_are_one_patient_only_where_declared(
    frame: pd.DataFrame, ward: Any, study: Study
) -> None:
    """With rows_per_patient = 'many' rows are grouped; else every repeat is a fault."""
    frame.loc[[1, 2], "pid"] = frame.loc[0, "pid"]
    assert kinds(frame, study) == [(1, "pid", "duplicate id"), (2, "pid", "duplicate id")]
    many = Study.from_toml(
        ward.study_text.replace('name = "ward"', 'name = "ward"\nrows_per_patient = "many"')
    )
    cohort = Cohort.from_frame(frame, many)
    assert (cohort.n_rows, cohort.n_patients) == (40, 38)
    assert len(set(cohort.patient_numbers[:3].tolist())) == 1


def test_an_empty_id_is_a_fault(frame: pd.DataFrame, study: Study) -> None:
    """Every patient has an id."""
    frame.loc[3, "pid"] = ""
    frame.loc[4, "pid"] = None
    assert kinds(frame, study) == [(3, "pid", "empty id"), (4, "pid", "empty id")]


# -- columns ---------------------------------------------------------------------------------------


def test_column_faults_say_what_to_do(frame: pd.DataFrame, study: Study) -> None:
    """A renamed, an undeclared and a missing column, with the likely rename."""
    found = faults(frame.rename(columns={"hb": "Hb "}).assign(extra="1"), study)
    by_column = {fault.column: fault for fault in found}
    assert by_column["hb"].advice == "Rename 'Hb ' to 'hb'?"
    assert by_column["extra"].kind == "undeclared column"
    assert all(fault.row is None for fault in found)


def test_undeclared_columns_can_be_left_out(frame: pd.DataFrame, study: Study) -> None:
    """With undeclared_columns = 'ignore' they are named in a notice and not used."""
    lenient = study.model_copy(update={"undeclared_columns": "ignore"})
    cohort = Cohort.from_frame(frame.assign(extra="1"), lenient)
    assert cohort.notices == ("not declared, so not used: extra",)
    assert "extra" not in cohort.columns


def test_a_table_without_any_known_name_shows_none_of_them(
    frame: pd.DataFrame, study: Study
) -> None:
    """Names that are all unknown may be a patient's values: they are counted."""
    headless = frame.set_axis([f"secret{i}" for i in range(12)], axis=1)
    (fault,) = faults(headless, study)
    assert fault.kind == "no known column"
    assert "12 names" in fault.found
    assert "secret" not in str(fault)
    doubled = frame.set_axis(["secret"] * 12, axis=1)
    assert "secret" not in str(faults(doubled, study))


def test_repeated_names_and_names_that_are_no_text(frame: pd.DataFrame, study: Study) -> None:
    """A repeated name is a fault; a number as a name is its digits."""
    doubled = pd.concat([frame, frame[["hb"]]], axis=1)
    assert kinds(doubled, study) == [(None, "hb", "repeated column")]
    numbered = frame.assign(**{"x": "1"}).rename(columns={"x": 7})
    assert kinds(numbered, study) == [(None, "7", "undeclared column")]


@pytest.mark.parametrize("thing", [None, {"a": [1]}, [[1]], np.zeros((2, 2)), pd.Series([1])])
def test_what_is_no_table_is_named_by_its_type(study: Study, thing: object) -> None:
    """A frame or an Arrow table; anything else is said to be what it is."""
    with pytest.raises(CohortError, match=type(thing).__name__):
        Cohort.from_frame(thing, study)


def test_no_rows_is_a_fault(frame: pd.DataFrame, study: Study) -> None:
    """A header alone is no cohort."""
    assert kinds(frame.iloc[:0], study) == [(None, "(table)", "empty")]


def test_a_centre_stored_as_a_list_is_a_fault(frame: pd.DataFrame, study: Study) -> None:
    """A group is one text or number a patient."""
    assert kinds(frame.assign(site=pd.Series([["A"]] * 40, dtype=object)), study) == [
        (None, "site", "unparsable")
    ]


def test_missing_groups_are_no_group(frame: pd.DataFrame, study: Study) -> None:
    """Empty, NA and null centres are -1."""
    frame.loc[[0, 1, 2], "site"] = ["", "NA", None]
    assert Cohort.from_frame(frame, study).groups["site"][:3].tolist() == [-1, -1, -1]


# -- values and outcomes ---------------------------------------------------------------------------


def test_a_few_values_in_another_unit_are_suspected(frame: pd.DataFrame, study: Study) -> None:
    """Where the rest lie close together, a thousandfold is no patient."""
    frame.loc[3, "hb"], frame.loc[5, "hb"] = "131000", "0.131"
    found = faults(frame, study)
    assert [(fault.row, fault.kind) for fault in found] == [
        (3, "suspected unit mix-up"), (5, "suspected unit mix-up"),
    ]  # fmt: skip
    assert "more" in found[0].found
    assert "less" in found[1].found
    assert "131" not in str(found)


def test_a_value_out_of_range_says_if_another_unit_would_fit(
    frame: pd.DataFrame, study: Study
) -> None:
    """The side is said, and whether a thousandth of it or a thousand times it would be allowed."""
    frame.loc[0, "age"], frame.loc[1, "age"], frame.loc[2, "age"] = "45000", "0.045", "-45"
    words = [fault.found for fault in faults(frame, study)]
    assert words == [
        "above the maximum; a thousandth of it would fit: another unit?",
        "below the minimum; a thousand times it would fit: another unit?",
        "below the minimum",
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("12-May", "spreadsheet may have changed it"), ("2021-03-04", "A date stands where"),
        ("#REF!", "A spreadsheet's error"), (" 130", "Remove the spaces"),
        ("<100", "Declare the detection limits"), ("130,5", "Write 12.5, not 12,5"),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_does_is_recognised(
    frame: pd.DataFrame, study: Study, text: str, advice: str
) -> None:
    """The advice fits what went wrong."""
    frame.loc[3, "hb"] = text
    (fault,) = faults(frame, study)
    assert advice in fault.advice


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        ("0", "zero", "half a day"), ("-2", "a negative time", "which date"),
        ("2021-03-04", "'9999-99-99'", "not a date"), ("ten", "'aaa'", "plain number"),
    ],
)  # fmt: skip
def test_a_time_that_is_none_says_what_to_do(
    frame: pd.DataFrame, study: Study, text: str, found: str, advice: str
) -> None:
    """Zero days, negative days, dates and words each have their own remedy."""
    frame.loc[3, "months"] = text
    (fault,) = faults(frame, study)
    assert (fault.row, fault.kind, fault.found) == (3, "invalid duration", found)
    assert advice in fault.advice


def test_dates_stored_as_dates_are_no_durations(frame: pd.DataFrame, study: Study) -> None:
    """A typed date column is named for what it is."""
    found = faults(frame.assign(months=pd.Timestamp("2020-01-02")), study)
    assert len(found) == 40
    assert "not a date" in found[0].advice


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("died", "0", "all censored"), ("died", "", "no outcomes"),
        ("best", "PD", "one response class"),
        ("best", "CR", "one response class"), ("arm", "drug", "one arm only"),
    ],
)  # fmt: skip
def test_a_column_that_says_nothing_is_a_fault(
    frame: pd.DataFrame, study: Study, column: str, value: str, kind: str
) -> None:
    """Nothing can be estimated from a constant outcome or a single arm."""
    assert kinds(frame.assign(**{column: value}), study) == [(None, column, kind)]


def test_constant_and_empty_features_are_noticed(frame: pd.DataFrame, study: Study) -> None:
    """They are no fault, but a person should know."""
    cohort = Cohort.from_frame(frame.assign(hb="", grade="2"), study)
    assert cohort.notices == ("hb: every value is missing", "grade: every known value is the same")
    assert (cohort.columns["hb"].states == State.MISSING).all()


def test_one_half_of_an_endpoint_is_a_fault(frame: pd.DataFrame, study: Study) -> None:
    """A time without its event is no endpoint."""
    optional = study.model_dump(mode="json")
    for name in ("months", "died", "best"):
        optional["columns"][name]["optional"] = True
    lenient = Study.from_dict(optional)
    found = faults(frame.drop(columns="died"), lenient)
    assert [(fault.column, fault.kind) for fault in found] == [("died", "missing column")]
    cohort = Cohort.from_frame(frame.drop(columns=["died", "months"]), lenient)
    assert list(cohort.outcomes) == ["response"]
    none = faults(frame.drop(columns=["died", "months", "best"]), lenient)
    assert "no endpoint's columns" in none[0].found


@settings(max_examples=30)
@given(
    secret=st.from_regex(r"\A(zq[0-9]{5}[a-zé]{3}|4711[0-9]{4}\.[0-9]{3}|-4711[0-9]{4})\Z"),
    column=st.sampled_from(
        ["pid", "arm", "age", "hb", "vegf", "sex", "grade", "months", "died", "best"]
    ),
)  # fmt: skip
def test_no_fault_carries_a_value_of_the_table(ward: Any, secret: str, column: str) -> None:
    """Whatever is planted, neither the error nor any fault repeats it."""
    study, frame = Study.from_toml(ward.study_text), ward.frame(40, seed=2)
    frame.loc[[3, 4], column] = secret
    frame.loc[9, "age"] = "x"
    with pytest.raises(CohortError) as caught:
        Cohort.from_frame(frame, study)
    text = str(caught.value) + repr(caught.value.faults)
    assert secret not in text
    assert secret.strip("-").split(".")[0] not in text


def test_the_digest_sees_every_parsed_value_and_the_order(
    frame: pd.DataFrame, study: Study
) -> None:
    """Two cohorts with one digest are one cohort."""
    digest = Cohort.from_frame(frame, study).digest
    assert Cohort.from_frame(frame.iloc[::-1], study).digest != digest
    for column, value in (("age", "50.5"), ("pid", "new"), ("sex", ""), ("months", "7.7")):
        changed = frame.copy()
        changed.loc[0, column] = value
        assert Cohort.from_frame(changed, study).digest != digest
