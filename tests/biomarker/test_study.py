"""Every rule a study must meet, with the words a person sees when it does not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from biomarker.errors import StudyError
from biomarker.study import Study
from pipelines.ingest import BUILT_IN, study

BASE: dict[str, Any] = {
    "format_version": 1,
    "name": "small",
    "columns": {
        "pid": {"role": "id"},
        "arm": {"role": "arm", "levels": ["a", "b"], "control": "a"},
        "x": {"role": "marker", "kind": "continuous", "unit": "g"},
        "sex": {"role": "covariate", "kind": "categorical", "levels": ["f", "m"]},
        "t": {"role": "endpoint"},
        "d": {"role": "endpoint"},
        "r": {"role": "endpoint"},
    },
    "endpoints": {
        "os": {
            "type": "survival", "duration": "t", "event": "d", "event_values": ["1"],
            "censored_values": ["0"], "unit": "months",
        },
        "resp": {"type": "response", "column": "r", "positive": ["CR"], "negative": ["PD"]},
    },
}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    """The base study with values set at dotted places (``__`` for a dot); None removes."""
    data: dict[str, Any] = tomllib.loads(tomli_w.dumps(BASE))
    for place, value in changes.items():
        *path, last = place.split("__")
        here = data
        for part in path:
            here = here.setdefault(part, {})
        if value is None:
            del here[last]
        else:
            here[last] = value
    return data


def refusal(**changes: Any) -> str:
    """What is said of the changed study."""
    with pytest.raises(StudyError) as caught:
        Study.from_dict(changed(**changes))
    return str(caught.value)


def test_the_base_study_is_accepted() -> None:
    """The cases below differ from a good study in one place each."""
    good = Study.from_dict(BASE)
    assert good.id_column == "pid"
    assert good.arm_column == "arm"
    assert good.feature_columns == ("arm", "x", "sex")
    assert good.primary_endpoint == "os"
    assert not good.randomised


DETECTION = "columns__x__detection"
RULES: list[tuple[dict[str, Any], str]] = [
    ({"name": "has space"}, "name: String should match pattern"),
    ({"name": None}, "name: must be given; it is missing"),
    ({"nmae": "x"}, "nmae: is not a name the study format knows; check the spelling"),
    ({"columns__x__untis": "g"}, "columns.x.untis: is not a name the study format knows"),
    ({"columns__x__role": "biomarker"}, "columns.x.role: Input should be 'id', 'arm', 'marker'"),
    ({"columns__x__kind": None}, "columns.x: a marker must declare its kind"),
    ({"columns__sex__levels": ["f"]}, "a column of kind categorical must list its levels"),
    ({"columns__sex__levels": ["f", "f"]}, "levels must be distinct"),
    ({"columns__sex__unit": "kg"}, "range, unit, detection and transform belong to continuous"),
    ({"columns__sex__aliases": {"F": "w"}}, "alias 'F' must name a level; 'w' is none"),
    ({"columns__sex__aliases": {"m": "f"}}, "alias 'm' is itself a level"),
    ({"columns__sex__control": "f"}, "control and randomised belong to the column with role 'arm'"),
    ({"columns__x__levels": ["1", "2"]}, "a continuous column has no levels"),
    ({"columns__x__range": [5, 1]}, "range must go from low to high; got [5.0, 1.0]"),
    ({"columns__x__range": [0, float("inf")]}, "must be a finite number; leave it out"),
    ({"columns__x__range": [float("nan"), 1]}, "must be a finite number; leave it out"),
    ({"columns__x__transform": "log"}, "transform log needs a range that starts above 0"),
    ({"columns__x__transform": "log", "columns__x__range": [0, 9]}, "starts above 0"),
    ({"columns__x__transform": "log1p", "columns__x__range": [-1, 9]}, "starts above -1"),
    ({"columns__x__transform": "sqrt", "columns__x__range": [-1, 9]}, "a range that starts at 0"),
    ({"columns__x__role": "stratum"}, "a stratum must be ordinal or categorical"),
    ({DETECTION: {}}, "must name a lower or an upper limit"),
    ({DETECTION: {"lower": 0}}, "columns.x.detection.lower: Input should be greater than 0"),
    ({DETECTION: {"lower": 9, "upper": 3}}, "lower must be below upper; got 9.0 and 3.0"),
    ({DETECTION: {"lower": 9, "rule": "zero"}}, "Input should be 'half', 'sqrt2' or 'limit'"),
    ({"columns__x__scoring": {"missing": "drop"}}, "Input should be 'warn' or 'refuse'"),
    ({"columns__x__scoring": {"typo": "warn"}}, "columns.x.scoring.typo: is not a name"),
    ({"columns__arm__levels": ["a"]}, "an arm column must list its levels (two or more)"),
    ({"columns__arm__control": "z"}, "control must name some but not all of the arm's levels"),
    ({"columns__arm__control": ["a", "b"]}, "control must name some but not all"),
    ({"columns__p2": {"role": "id"}}, "at most one column may have role 'id'; got ['pid', 'p2']"),
    (
        {"columns__a2": {"role": "arm", "levels": ["1", "2"], "control": "1"}},
        "at most one column may have role 'arm'; got ['arm', 'a2']",
    ),
    ({"missing": ["", "m"]}, "column 'sex' lists ['m'] among its levels or aliases"),
    ({"missing": ["", "0"]}, "endpoint 'os' codes ['0'] as an outcome"),
    ({"endpoints": {}}, "endpoints must declare at least one endpoint"),
    ({"endpoints__os__duration": "nope"}, "needs a column 'nope' declared with role 'endpoint'"),
    ({"endpoints__os__duration": "x"}, "needs a column 'x' declared with role 'endpoint'"),
    ({"endpoints__os__duration": "d"}, "endpoint 'os' reads duration and event from one column"),
    ({"endpoints__os__event_values": []}, "endpoints.os.survival.event_values: Tuple should have"),
    ({"endpoints__os__event_values": ["0"]}, "a value cannot mean event and censored; got ['0']"),
    ({"endpoints__os__unit": "hours"}, "Input should be 'days', 'weeks', 'months' or 'years'"),
    ({"endpoints__os__unit": None}, "endpoints.os.survival.unit: must be given; it is missing"),
    ({"endpoints__os__horizons": [12, 6]}, "horizons must rise"),
    ({"endpoints__os__horizons": [0]}, "Input should be greater than 0"),
    ({"endpoints__os__type": None}, 'must say type = "survival" or type = "response"'),
    ({"endpoints__os__type": "binary"}, 'must say type = "survival" or type = "response"'),
    ({"endpoints__resp__negative": ["CR"]}, "positive, negative and not_evaluable must not share"),
    ({"columns__z": {"role": "endpoint"}}, "column(s) ['z'] have role 'endpoint' but no endpoint"),
    (
        {"endpoints__os__primary": True, "endpoints__resp__primary": True},
        "at most one endpoint may be primary",
    ),
    (
        {"hypotheses": [{"marker": "sex", "endpoint": "os", "claim": "prognostic"}]},
        "hypothesis names 'sex', which is no marker",
    ),
    (
        {"hypotheses": [{"marker": "x", "endpoint": "pfs", "claim": "prognostic"}]},
        "hypothesis names endpoint 'pfs': not declared",
    ),
    (
        {"hypotheses": [{"marker": "x", "endpoint": "os", "claim": "causal"}]},
        "hypotheses.0.claim: Input should be 'predictive' or 'prognostic'",
    ),
    ({"training": {"folds": 1}}, "training.folds: Input should be greater than or equal to 2"),
]


@pytest.mark.parametrize(("changes", "words"), RULES, ids=[words[:40] for _, words in RULES])
def test_a_broken_rule_is_named_at_its_place(changes: dict[str, Any], words: str) -> None:
    """One broken rule, one sentence that says where and what."""
    assert words in refusal(**changes)


def test_every_fault_is_listed_at_once() -> None:
    """A person corrects a study in one round, not in one round a fault."""
    text = refusal(
        columns__x__kind=None,
        columns__sex__levels=["f"],
        endpoints__os__unit="hours",
        training={"folds": 1},
        typo=1,
    )
    assert text.startswith("The study has 5 fault(s):\n")
    assert len(text.splitlines()) == 6


def test_faults_between_the_parts_are_listed_at_once_too() -> None:
    """Rules that join columns, endpoints and hypotheses report together."""
    text = refusal(
        columns__p2={"role": "id"},
        columns__z={"role": "endpoint"},
        endpoints__os__duration="nope",
        hypotheses=[{"marker": "sex", "endpoint": "pfs", "claim": "prognostic"}],
    )
    assert text.startswith("The study has 5 fault(s):\n")
    assert all(line.startswith("  study: ") for line in text.splitlines()[1:])


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "got none. Write 'format_version = 1' at the top"),
        (2, "got 2. This study was written for a newer release: upgrade"),
        (0, "got 0. Write 'format_version = 1'"),
        ("1", "got '1'. Write 'format_version = 1'"),
    ],
)
def test_another_format_version_is_named(version: Any, words: str) -> None:
    """Missing, newer, older and mistyped versions each say what to do."""
    assert words in refusal(format_version=version)


def test_text_that_is_no_toml_says_where() -> None:
    """The parser's line and column reach the person."""
    with pytest.raises(StudyError, match=r"valid TOML; .*line 2"):
        Study.from_toml("format_version = 1\nname = \n")
    with pytest.raises(StudyError, match="Study.from_toml"):
        Study.from_dict("format_version = 1")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_study_survives_toml(name: str) -> None:
    """to_dict, written as TOML and read again, is the same study with the same digest."""
    built = study(name)
    again = Study.from_toml(tomli_w.dumps(built.to_dict()))
    assert again == built
    assert again.digest == built.digest
    assert again.columns[built.feature_columns[0]] == built.columns[built.feature_columns[0]]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_study_is_named_as_its_file(name: str) -> None:
    """``--study NAME`` and the study's own name agree, and each is what its file says."""
    import pipelines

    file = Path(str(pipelines.__file__)).parent / "studies" / f"{name}.toml"
    assert Study.from_toml(file.read_text("utf-8")).name == name


def test_the_digest_follows_the_meaning_and_not_the_spelling() -> None:
    """Defaults written out change nothing; any declared value does."""
    base = Study.from_dict(BASE)
    assert Study.from_dict(changed(columns__x__transform="identity")).digest == base.digest
    assert Study.from_dict(changed(columns__x__unit="mg")).digest != base.digest


def test_randomised_is_never_assumed() -> None:
    """Only a stated ``randomised = true`` counts."""
    assert Study.from_dict(changed(columns__arm__randomised=True)).randomised
    assert not Study.from_dict(changed(columns__arm__randomised=False)).randomised
    assert not Study.from_dict(BASE).randomised


def test_post_baseline_columns_are_never_features() -> None:
    """The trial's later measurements are declared and refused as features."""
    actg = study("actg175")
    assert set(actg.with_role("post_baseline")) == {"cd420", "cd496", "cd820", "r", "offtrt"}
    assert not set(actg.with_role("post_baseline")) & set(actg.feature_columns)
    assert actg.randomised
    assert not study("gbsg2").randomised


def test_a_study_cannot_be_changed() -> None:
    """What was declared stays declared."""
    with pytest.raises(Exception, match="frozen"):
        Study.from_dict(BASE).name = "other"
