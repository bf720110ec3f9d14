"""A drafted study reads back, and lets no outcome pass as a feature unremarked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import lifelines
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomarker.cohort import Cohort
from biomarker.errors import CohortError
from biomarker.study import Study
from pipelines.draft import draft_study
from pipelines.readers import read_table

DATASETS = Path(lifelines.__file__).parent / "datasets"
FILES = {"lung": 165, "rossi": 114, "gbsg2": 299, "ACTG175": 521}


def notes(draft: str) -> dict[str, str]:
    """The comment above each column of a draft."""
    found: dict[str, str] = {}
    for comment, header in re.findall(r"((?:^#.*\n)*)^\[columns\.(.+)\]$", draft, re.MULTILINE):
        found.setdefault(next(iter(tomllib.loads(f"{header} = 1"))), comment)
    return found


def drafted(**columns: object) -> tuple[str, Study]:
    """Draft and study of a small table."""
    draft = draft_study(pa.table(columns), "x")
    return draft, Study.from_toml(draft)


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_can_be_used_as_drafted(name: str) -> None:
    """Four trials nobody wrote a study for: the draft is accepted and finds the events."""
    table = read_table(DATASETS / f"{name}.csv").table
    study = Study.from_toml(draft_study(table, name))
    cohort = Cohort.from_frame(table, study)
    assert int(cohort.outcomes["survival"].event.sum()) == FILES[name]
    assert cohort.n_rows == table.num_rows
    assert len(cohort.features) >= 5


@pytest.mark.parametrize("name", FILES)
def test_every_drafted_feature_asks_whether_it_was_known_before(name: str) -> None:
    """No column becomes a feature without a CHECK about when it was measured."""
    table = read_table(DATASETS / f"{name}.csv").table
    draft = draft_study(table, name)
    said = notes(draft)
    for feature in Study.from_toml(draft).with_role("marker", "covariate"):
        assert "CHECK" in said[feature]
        assert "known before treatment began" in said[feature]


def test_the_trials_own_later_columns_are_remarked() -> None:
    """ACTG 175: off-treatment is no feature at all; later CD4 counts carry the question."""
    table = read_table(DATASETS / "ACTG175.csv").table
    draft = draft_study(table, "ACTG175")
    study = Study.from_toml(draft)
    said = notes(draft)
    assert study.columns["offtrt"].role == "post_baseline"
    assert study.columns["arms"].role == "ignore"
    for later in ("cd420", "cd496", "cd820", "offtrt", "r", "arms"):
        assert "CHECK" in said[later], later


def test_a_second_endpoint_is_an_endpoint_and_never_a_feature() -> None:
    """os_* and pfs_* pair by name; an unpaired time or a status with three codes is set aside."""
    n = 12
    _, study = drafted(
        os_months=[f"{i}.5" for i in range(1, n + 1)], os_event=["1", "0"] * 6,
        pfs_months=[f"{i}.25" for i in range(1, n + 1)], pfs_event=["0", "1"] * 6,
        ttp_months=[f"{i}.75" for i in range(1, n + 1)], status=["0", "1", "2"] * 4,
        best_response=["a", "b"] * 6, age=[str(40 + i) for i in range(n)],
    )  # fmt: skip
    assert set(study.endpoints) == {"os", "pfs"}
    assert study.with_role("post_baseline") == ("ttp_months", "status", "best_response")
    assert study.feature_columns == ("age",)


def test_event_codes_are_read_by_their_words() -> None:
    """'dead' is the event wherever it stands; CDISC's CNSR counts the other way."""
    n = 10
    _, study = drafted(time=[str(i + 1) for i in range(n)], status=["dead", "alive"] * 5)
    assert study.endpoints["survival"].event_values == ("dead",)  # type: ignore[union-attr]
    _, study = drafted(AVAL=[str(i + 1) for i in range(n)], CNSR=["0", "1"] * 5)
    assert study.endpoints["survival"].event_values == ("0",)  # type: ignore[union-attr]


def test_words_for_missing_are_proposed_where_a_column_is_else_numbers() -> None:
    """SAS's dot and R's NaN are declared for a person to confirm, not guessed at reading."""
    table = pa.table(
        {"time": list("123456789"), "event": list("101010101"), "hb": [".", *"12345678"]}
    )
    draft = draft_study(table, "x")
    study = Study.from_toml(draft)
    assert study.missing == ("", "NA", ".")
    assert "CHECK: that each text under 'missing'" in draft
    assert study.columns["hb"].kind == "continuous"
    Cohort.from_frame(table, study)


def test_readings_beyond_detection_propose_limits() -> None:
    """'<15' among numbers gives a continuous column with that limit, marked CHECK."""
    table = pa.table(
        {"time": list("123456789"), "event": list("101010101"), "vegf": ["<15", ">900", *"2345678"]}
    )
    draft = draft_study(table, "x")
    limits = Study.from_toml(draft).columns["vegf"].detection
    assert limits is not None
    assert (limits.lower, limits.upper) == (15.0, 900.0)
    assert "detection limits" in notes(draft)["vegf"]
    Cohort.from_frame(table, Study.from_toml(draft))


def test_a_measurement_is_not_taken_for_an_id() -> None:
    """Names such as 'lipid' or 'patient_age' end or begin like an id and are none."""
    values = [f"{i}.5" for i in range(12)]
    _, study = drafted(
        patient_id=[f"p{i}" for i in range(12)], lipid=values, patient_age=values, acid=values,
        time=[str(i + 1) for i in range(12)], event=["0", "1"] * 6,
    )  # fmt: skip
    assert study.id_column == "patient_id"
    assert study.with_role("covariate") == ("lipid", "patient_age", "acid")


def test_long_numbers_keep_their_digits_as_levels() -> None:
    """1000001 and 1000002 are two levels."""
    table = pa.table(
        {"time": list("123456"), "event": list("101010"), "x": ["1000001", "1000002"] * 3}
    )
    study = Study.from_toml(draft_study(table, "x"))
    assert study.columns["x"].levels == ("1000001", "1000002")
    Cohort.from_frame(table, study)


def test_typed_columns_are_drafted_too() -> None:
    """Booleans, dates, lists, categories and nulls from Parquet give a study that reads."""
    n = 12
    table = pa.table(
        {
            "time": [float(i + 1) for i in range(n)], "event": [True, False] * 6,
            "flag": [True, False] * 6, "when": pa.array(range(n), pa.timestamp("s")),
            "list": [[1]] * n, "none": pa.nulls(n),
            "cat": pa.array(["a", "b"] * 6).dictionary_encode(),
            "id": [float(i) for i in range(n)], "grade": [1, 2, 3] * 4,
        }
    )  # fmt: skip
    study = Study.from_toml(draft_study(table, "x"))
    cohort = Cohort.from_frame(table, study)
    assert int(cohort.outcomes["survival"].event.sum()) == 6
    assert study.columns["grade"].kind == "ordinal"
    assert study.id_column is None


hostile = st.text(max_size=12) | st.sampled_from(
    [
        '"',
        "'",
        "a\nb",
        "a.b",
        "[columns]\n",
        "# x",
        "",
        " ",
        "\\",
        "a = 1",
        "🦠",
        "\t",
        "]",
        "é",
        "\x7f",
    ]
)


known = hostile.filter(lambda text: text not in ("", "NA"))


@settings(max_examples=60)
@given(
    names=st.lists(hostile, min_size=1, max_size=6, unique=True),
    levels=st.lists(known, min_size=2, max_size=2, unique=True),
    title=st.text(max_size=80),
)  # fmt: skip
def test_any_column_name_and_level_gives_valid_toml(
    names: list[str], levels: list[str], title: str
) -> None:
    """Quotes, line ends, dots, brackets, emoji and the empty name are read back exactly."""
    names = [name for name in names if name not in ("time", "event")]
    columns = dict.fromkeys(names, levels * 3)
    table = pa.table({**columns, "time": list("123456"), "event": levels * 3})
    study = Study.from_toml(draft_study(table, title))
    assert list(study.columns) == table.column_names
    Cohort.from_frame(table, study)


@pytest.mark.parametrize("name", ["", "-x", "...", "ä b", "x" * 100, "a/b"])
def test_any_title_gives_a_usable_study_name(name: str) -> None:
    """Characters a name may not hold become hyphens."""
    draft = draft_study(pa.table({"time": list("123"), "event": list("101")}), name)
    assert Study.from_toml(draft).name


def test_without_an_endpoint_the_draft_says_what_to_add() -> None:
    """The draft is honest that it is not yet a study."""
    draft = draft_study(pa.table({"age": ["40", "50"]}), "x")
    assert "No endpoint was recognised" in draft
    assert "event_values" in draft


def test_a_repeated_name_cannot_be_drafted() -> None:
    """Each name once, as TOML and tables need."""
    with pytest.raises(CohortError, match="1 of them stand more than once"):
        draft_study(pa.table([["1"], ["2"]], names=["a", "a"]), "x")


def test_times_of_zero_are_still_times() -> None:
    """A duration column with zeros is the endpoint (check will name the zeros), not a feature."""
    _, study = drafted(
        time=["0", *"123456789"], event=["0", "1"] * 5, age=[str(i) for i in range(10)]
    )
    assert study.columns["time"].role == "endpoint"
    frame = pd.DataFrame({"time": ["-5", *"123456789"], "event": ["0", "1"] * 5})
    draft = draft_study(pa.Table.from_pandas(frame), "x")
    roles = {name: body["role"] for name, body in tomllib.loads(draft)["columns"].items()}
    assert set(roles.values()) == {"post_baseline"}


def test_ids_that_repeat_and_interval_ends_never_become_features() -> None:
    """A row per interval: its end is the outcome, its id no measurement, and the note says so."""
    table = read_table(DATASETS / "stanford_heart.csv").table
    draft = draft_study(table, "stanford_heart")
    columns = tomllib.loads(draft)["columns"]
    assert columns["id"]["role"] == "ignore"
    assert columns["start"]["role"] == columns["stop"]["role"] == "post_baseline"
    assert "rows_per_patient" in notes(draft)["id"]
    assert "CHECK" in notes(draft)["stop"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [("mes données ü", "mes-donnees-u"), ("患者", "study"), ("a  b!", "a-b"), ("_x_", "x")],
)
def test_a_study_is_named_after_its_file_in_plain_letters(name: str, slug: str) -> None:
    """Accents fall away and blanks become one hyphen, with none left at the ends."""
    assert tomllib.loads(draft_study(pa.table({"x": [1, 2]}), name))["name"] == slug
