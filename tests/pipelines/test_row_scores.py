"""Columns out: benefit only where a bundle may say so, and every documented reason produced."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from biomarker.features.frozen_column import REASONS
from pipelines.bundle import Bundle, load_bundle
from pipelines.scoring import score
from pipelines.scoring_job import score_file
from tests.pipelines.test_scoring import VALUE_OF

BENEFIT = ["benefit_6_months", "benefit_12_months"]
HORIZONS = ["survival_6_months", "survival_12_months"]
ALLOWED = {"arm": "arm", "markers": ["vegf"]}


@pytest.fixture(scope="module")
def frame(ward: Any) -> pd.DataFrame:
    """Forty new patients without outcomes."""
    return ward.frame(40, seed=6).drop(columns=["months", "died", "best", "site", "later"])


def telling(folder: Path, **changes: Any) -> Bundle:
    """The bundle with other words in its description, sealed again."""
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    files = sorted(p for p in folder.iterdir() if p.name != "SHA256SUMS")
    sums = "".join(f"{sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files)
    (folder / "SHA256SUMS").write_text(sums)
    return load_bundle(folder)


def scored(frame: Any, bundle: Bundle, **options: Any) -> pd.DataFrame:
    """Scores as a frame."""
    return score(frame, bundle, **options).table.to_pandas()


@pytest.mark.parametrize("model", ["cox", "weibull_aft", "boosted_cox", "boosted_aft"])
def test_benefit_is_survival_if_treated_less_survival_if_not(
    model: str, ward: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Of the same row, whatever arm it stands in; other columns are as without it."""
    folder = ward.train(tmp_path / "b", model)
    plain = scored(frame, load_bundle(folder))
    bundle = telling(folder, benefit=ALLOWED)
    assert bundle.number_names == ("risk", *HORIZONS, *BENEFIT)
    out = scored(frame, bundle)
    assert list(out.columns) == ["pid", "risk", *HORIZONS, *BENEFIT, "status", "reason"]
    treated = scored(frame.assign(arm="drug"), bundle)
    control = scored(frame.assign(arm="control"), bundle)
    for benefit, survival in zip(BENEFIT, HORIZONS, strict=True):
        np.testing.assert_allclose(
            out[benefit], treated[survival] - control[survival], rtol=0, atol=1e-12
        )
        np.testing.assert_array_equal(treated[benefit], control[benefit])
    pd.testing.assert_frame_equal(out[plain.columns], plain)


def test_a_job_writes_the_benefit_that_memory_gives(
    ward: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Compiled trees, in chunks: the same column, to the last bit of a double."""
    bundle = telling(ward.train(tmp_path / "b", "boosted_cox"), benefit=ALLOWED)
    source = tmp_path / "new.csv"
    frame.to_csv(source, index=False)
    score_file(source, bundle, tmp_path / "o.parquet", chunk_rows=7, single_file=True)
    found = pd.read_parquet(tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(found, scored(frame, bundle), check_dtype=False)


@pytest.mark.parametrize("told", [{}, {"benefit": None}])
def test_without_evidence_there_is_no_benefit(
    told: dict[str, Any], ward: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """A bundle that says nothing, or was told none, has no such column."""
    bundle = telling(ward.train(tmp_path / "b", "boosted_cox"), **told)
    assert bundle.benefit_names == ()
    assert not [name for name in scored(frame, bundle) if name.startswith("benefit")]


def test_a_model_without_the_arm_has_no_benefit(
    ward: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Whatever its description says: nothing in it could differ."""
    text = ward.study_text.replace(
        '[columns.arm]\nrole = "arm"\nlevels = ["control", "drug"]\ncontrol = "control"\n'
        "randomised = true\n",
        '[columns.arm]\nrole = "ignore"\n',
    )
    assert text != ward.study_text
    bundle = telling(ward.train(tmp_path / "b", "cox", text), benefit=ALLOWED)
    assert bundle.arm_feature is None
    assert not [name for name in scored(frame, bundle) if name.startswith("benefit")]


def test_a_response_model_has_no_benefit(ward: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    """The column is of survival at a horizon."""
    bundle = telling(ward.train(tmp_path / "b", "logistic"), benefit=ALLOWED)
    assert list(scored(frame, bundle)) == ["pid", "response_probability", "status", "reason"]


def test_a_refused_row_carries_no_number_anywhere(
    ward: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Risk, survival, benefit, drivers and their values are all empty; its neighbours' are not."""
    bundle = telling(ward.train(tmp_path / "b", "boosted_cox"), benefit=ALLOWED)
    harmed = frame.copy()
    harmed.loc[[3, 17], "sex"] = "unknown"
    harmed.loc[20, "age"] = "x"
    out = scored(harmed, bundle, drivers=3)
    refused = out["status"] == "refused"
    assert np.flatnonzero(refused).tolist() == [3, 17, 20]
    numbers = out.columns.drop(["pid", "status", "reason"])
    assert len(numbers) == 5 + 6
    assert out.loc[refused, numbers].isna().all().all()
    assert out.loc[~refused, numbers].notna().all().all()


def test_an_unknown_arm_still_has_a_benefit(ward: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    """Both arms are set, so the row's own does not matter."""
    bundle = telling(ward.train(tmp_path / "b", "cox"), benefit=ALLOWED)
    lost = scored(frame.assign(arm=""), bundle)
    np.testing.assert_array_equal(lost[BENEFIT], scored(frame, bundle)[BENEFIT])
    assert lost["reason"].str.contains("missing:arm").all()


def test_every_documented_reason_is_produced_and_no_other(
    ward: Any, ward_bundle: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """What files that hold each oddity give is the table in docs/scoring.md, code by code."""
    assert set(VALUE_OF) == set(REASONS)
    harmed = frame.copy()
    for row, (column, value) in enumerate(VALUE_OF.values()):
        harmed.loc[row, column] = value
    harmed.loc[30, "pid"] = harmed.loc[31, "pid"]
    produced = set(score(harmed, load_bundle(ward_bundle)).reasons)
    # Accepted values whose sum no double holds: a Cox coefficient as only a broken fit has it.
    folder = ward.train(tmp_path / "b", "cox")
    file = folder / "model.json"
    state = json.loads(file.read_text())
    state["coef"] = [1e308] * len(state["coef"])
    file.write_text(json.dumps(state))
    broken = score(frame, telling(folder))
    assert broken.counts["refused"] == 40
    produced |= set(broken.reasons)
    text = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text("utf-8")
    codes = text.split("## Reason codes")[1].split("## What stops")[0]
    documented = {line.split("`")[1] for line in codes.splitlines() if line.startswith("| `")}
    assert {name.split(":")[0] for name in produced} == documented
