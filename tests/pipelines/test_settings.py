import pytest

from biomarker.errors import UsageError
from biomarker.study import TrainingSettings
from pipelines.settings import resolve


def test_flag_beats_environment_beats_study_beats_default():
    """Each setting comes from the first place that names it, and the place is recorded."""
    declared = TrainingSettings(folds=3, repeats=4)
    environment = {"BIOMARKER_FOLDS": "7", "BIOMARKER_SEED": "11"}
    chosen = resolve({"folds": 9}, declared, environment)
    assert chosen["folds"] == {"value": 9, "from": "flag"}
    assert chosen["seed"] == {"value": 11, "from": "environment"}
    assert chosen["repeats"] == {"value": 4, "from": "study"}
    assert chosen["inner_folds"] == {"value": 3, "from": "default"}


def test_models_are_listed_with_commas_in_the_environment():
    """An environment variable can only hold text, so names are split at commas."""
    chosen = resolve({}, TrainingSettings(), {"BIOMARKER_MODELS": "cox,weibull_aft"})
    assert chosen["models"]["value"] == ("cox", "weibull_aft")


@pytest.mark.parametrize(("flag", "value"), [("folds", 1), ("seed", -1), ("repeats", 0)])
def test_a_setting_that_breaks_its_rule_is_refused_by_name_and_source(flag, value):
    """The message says which setting, where it came from and what was got."""
    with pytest.raises(UsageError, match=rf"{flag} \(from flag\).*got {value}"):
        resolve({flag: value}, TrainingSettings(), {})


def test_text_that_is_no_number_in_the_environment_is_refused():
    """A typo in an environment variable is an error, not a default."""
    with pytest.raises(UsageError, match="folds \\(from environment\\)"):
        resolve({}, TrainingSettings(), {"BIOMARKER_FOLDS": "many"})
