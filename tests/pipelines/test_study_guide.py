"""The guide to the study file is true: its example is accepted and it names what exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from biomarker.models.zoo import default_zoo
from biomarker.study import Kind, Role, Study, TrainingSettings, Transform

GUIDE = (Path(__file__).parents[2] / "docs" / "study.md").read_text("utf-8")


def test_the_examples_make_one_study() -> None:
    """The blocks of the guide, put together, are a study the reader could use."""
    first, *others = re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.DOTALL)
    column = '[columns.best_response]\nrole = "endpoint"\n'
    study = Study.from_toml("\n".join([first, column, *others]))
    assert study.feature_columns == ("arm", "vegf", "grade")
    assert set(study.endpoints) == {"os", "response"}
    assert study.randomised


def test_every_role_kind_transform_and_model_is_told() -> None:
    """A word added to the format and left out of the guide fails here."""
    models = [c.name for kind in ("survival", "response") for c in default_zoo(kind)]
    for word in [*get_args(Role), *get_args(Kind), *get_args(Transform), *models]:
        assert f"`{word}`" in GUIDE or word == "identity", word
    for key in [*Study.model_fields, *TrainingSettings.model_fields]:
        assert re.search(rf"\b{key}\b", GUIDE) or key == "answers", key
