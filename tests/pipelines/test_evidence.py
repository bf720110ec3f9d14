"""From file to verdicts: what is counted, when it is written down, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pipelines.evidence as room
from biomarker import Cohort, Study
from biomarker.errors import TrackingError, UsageError
from biomarker.evidence import assess
from biomarker.evidence.multiplicity import LedgerRow, dataset_digest
from biomarker.evidence.verdict import RECORD_FIELDS
from pipelines.evidence import assess_cohort, evidence, note_look, try_to_assess, with_looks
from pipelines.evidence_looks import look
from pipelines.ingest import load_cohort
from pipelines.terminal import Progress
from pipelines.tracking_ledger import append_to_ledger, load_ledger
from pipelines.tracking_store import open_store


@pytest.fixture
def cohort(cohort_folder: Path) -> Cohort:
    """The small study's patients, held against it."""
    return load_cohort(cohort_folder / "cohort.csv", cohort_folder / "small.toml")


def rows_of(cohort: Cohort, store: Path) -> list[LedgerRow]:
    """What the store holds of these patients."""
    return list(load_ledger(dataset_digest(cohort), store).ledger)


def test_every_test_is_counted_once_and_a_repeat_repeats(cohort: Cohort, store: Path) -> None:
    """Second call: same records, no row more, and the words say so."""
    first = assess_cohort(cohort, store)
    again = assess_cohort(cohort, store)
    rows = [row for row in rows_of(cohort, store) if row.kind == "test"]
    assert first.n_tests == first.n_tests_here == first.n_tests_added == len(rows)
    assert len(rows) >= 4  # one marker, two endpoints, two families
    assert [v.record() for v in first.verdicts] == [v.record() for v in again.verdicts]
    assert (again.n_tests, again.n_tests_added) == (first.n_tests, 0)
    assert again.ledger_words().endswith(f"this run {len(rows)} ({len(rows)} of them made before)")
    assert all(row.recorded.endswith("Z") for row in rows)


def test_hypotheses_are_written_down_before_the_first_test(
    cohort: Cohort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the assessment to fail, the store would hold the hypotheses and nothing else."""

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "assess", fail)
    with pytest.raises(KeyboardInterrupt):
        assess_cohort(cohort, store)
    rows = rows_of(cohort, store)
    assert [(row.kind, row.marker, row.stage) for row in rows] == [("hypothesis", "vegf", 1)]
    assert rows[0].recorded
    # They are the very rows the library would have written: nothing is recorded twice.
    monkeypatch.undo()
    found = assess_cohort(cohort, store)
    library = [row for row in assess(cohort).ledger if row.kind == "hypothesis"]
    assert [row.key for row in found.recorded_hypotheses] == [row.key for row in library]


def test_a_hypothesis_added_after_a_look_is_not_recorded(
    cohort: Cohort, cohort_folder: Path, store: Path
) -> None:
    """The first test of the patients closes the book for hypotheses about them."""
    text = (cohort_folder / "small.toml").read_text()
    before = text.replace('claim = "prognostic"', 'claim = "predictive"')
    assess_cohort(cohort, store)
    late = load_cohort(cohort_folder / "cohort.csv", Study.from_toml(before))
    assert dataset_digest(late) == dataset_digest(cohort)
    found = assess_cohort(late, store)
    assert [row.family for row in found.recorded_hypotheses] == ["association"]
    assert not any(verdict.confirmatory for verdict in found.verdicts)


def test_tests_another_run_made_meanwhile_are_paid_for(
    cohort: Cohort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The assessment is made again with the foreign row in its ledger."""
    calls = []

    def beside(c: Cohort, *words: Any, **more: Any) -> Any:
        result = assess(c, *words, **more)
        if not calls:
            digest = dataset_digest(c)
            other = LedgerRow("test", digest, "another", "interaction", "m", "os", p=0.5)
            append_to_ledger(digest, [other], load_ledger(digest, store), store)
        calls.append(result[0].family_size)
        return result

    monkeypatch.setattr(room, "assess", beside)
    found = assess_cohort(cohort, store)
    assert len(calls) == 2
    assert calls[1] == calls[0] + 1
    assert found.verdicts[0].family_size == calls[1]
    assert found.n_tests == found.n_tests_here + 1


def test_a_ledger_that_never_holds_still_is_an_error(
    cohort: Cohort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No result is given that does not count what others did."""
    digest = dataset_digest(cohort)
    real = assess(cohort)

    def busy(c: Cohort, *_: Any, ledger: Any, **__: Any) -> Any:
        from dataclasses import replace

        other = LedgerRow("test", digest, f"other {len(ledger)}", "interaction", "m", "os", p=0.5)
        append_to_ledger(digest, [other], load_ledger(digest, store), store)
        return replace(real, ledger=ledger.append(real.ledger))

    monkeypatch.setattr(room, "assess", busy)
    with pytest.raises(TrackingError, match="hold still"):
        assess_cohort(cohort, store)


def test_what_is_stored_holds_no_patient(cohort: Cohort, cohort_folder: Path, store: Path) -> None:
    """Neither an id, nor a measured value, nor a time to event is in ledger, JSON or page."""
    out = store.parent / "out"
    evidence(cohort_folder / "cohort.csv", cohort_folder / "small.toml", store=store, out=out)
    frame = pd.read_csv(cohort_folder / "cohort.csv", dtype=str, keep_default_na=False)
    secrets = [f'"{pid}"' for pid in frame["pid"]] + [v for v in frame["vegf"] if len(v) > 5]
    secrets += [m for m in frame["months"] if len(m) > 5]
    files = [file for file in [*store.rglob("*.json"), *out.iterdir()] if file.is_file()]
    assert {"ledger.json", "evidence.json", "evidence.html"} <= {file.name for file in files}
    for file in files:
        text = file.read_text("utf-8")
        assert [secret for secret in secrets if secret in text] == [], file.name


def test_an_mlflow_user_finds_verdicts_numbers_and_records(
    cohort_folder: Path, store: Path
) -> None:
    """A tag a verdict, metrics with their ends, the records as an artifact and as a table."""
    done = evidence(cohort_folder / "cohort.csv", cohort_folder / "small.toml", store=store)
    client = open_store(store)
    run = client.get_run(done.run_id)
    verdict = done.evidence.verdicts[0]
    assert run.data.tags["biomarker.kind"] == "evidence"
    assert run.data.tags["evidence.os.vegf"] == verdict.verdict
    metrics = run.data.metrics
    assert metrics["evidence.os.vegf.ratio_low"] < metrics["evidence.os.vegf.ratio"]
    assert metrics["evidence.os.vegf.p_adjusted"] == verdict.p_adjusted
    assert metrics["evidence.tests_of_this_dataset"] == done.evidence.n_tests
    names = {item.path for item in client.list_artifacts(done.run_id)}
    assert {"evidence.json", "tables"} <= names


def test_a_frame_and_its_file_give_the_same_verdicts(cohort_folder: Path, store: Path) -> None:
    """And the same dataset in the ledger."""
    study = Study.from_toml((cohort_folder / "small.toml").read_text())
    frame = pd.read_csv(cohort_folder / "cohort.csv", dtype=str, keep_default_na=False)
    one = evidence(frame.sample(frac=1, random_state=1), study, store=store).evidence
    two = evidence(cohort_folder / "cohort.csv", study, store=store).evidence
    assert one.to_dict()["dataset"] == two.to_dict()["dataset"]
    assert two.n_tests_added == 0


def test_records_have_the_published_fields_and_are_json(cohort: Cohort, store: Path) -> None:
    """In order, null for what is not finite, looks included."""
    body = with_looks(assess_cohort(cohort, store)).to_dict()
    text = json.dumps(body, allow_nan=False)
    assert all(tuple(record) == RECORD_FIELDS for record in json.loads(text)["records"])
    assert {"effect_curves", "cut_points", "milestones", "benefits", "not_shown"} <= set(body)
    assert {cut["question"] for cut in body["cut_points"]} == {"prognostic", "interaction"}


def test_the_looks_do_not_depend_on_the_number_of_processes(cohort: Cohort) -> None:
    """Each has its own key of the seed; order is that of the verdicts."""
    verdicts = tuple(assess(cohort)) * 2
    one, two = (look(cohort, verdicts, 0.05, 0, jobs).to_dict() for jobs in (1, 2))
    assert json.dumps(one) == json.dumps(two)
    assert len(one["effect_curves"]) >= 2


def test_what_cannot_be_assessed_is_words_in_a_longer_run(cohort_folder: Path, store: Path) -> None:
    """Training goes on without verdicts, and its report says why."""
    text = (cohort_folder / "small.toml").read_text()
    text = text.replace('role = "marker"', 'role = "covariate"')
    text = text[: text.index("[[hypotheses]]")] + text[text.index("[training]") :]
    plain = load_cohort(cohort_folder / "cohort.csv", Study.from_toml(text))
    found = try_to_assess(plain, store, 0, Progress(quiet=True))
    assert found.result is None
    assert "role 'marker'" in found.refused
    assert found.to_dict()["records"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"markers": ["vgef"]}, "markers must be among those declared \\(vegf\\); got vgef"),
        ({"markers": ["grade"]}, "got grade"),
        ({"alpha": 5.0}, "alpha must lie between 0.0001 and 1; got 5"),
    ],
)
def test_a_slip_of_the_hand_writes_nothing(
    cohort_folder: Path, store: Path, words: dict[str, Any], said: str
) -> None:
    """Named before the store is touched."""
    with pytest.raises(UsageError, match=said):
        evidence(cohort_folder / "cohort.csv", cohort_folder / "small.toml", store=store, **words)
    assert open_store(store).get_experiment_by_name("biomarker ledger") is None


def test_a_refused_store_is_an_error_even_in_a_longer_run(
    cohort: Cohort, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be written must not be passed over as 'not assessed'."""

    def refuse(*_: Any, **__: Any) -> Callable[..., Any]:
        raise TrackingError("no")

    monkeypatch.setattr(room, "append_to_ledger", refuse)
    with pytest.raises(TrackingError):
        try_to_assess(cohort, store, 0, Progress(quiet=True))


def test_a_hypothesis_written_after_another_look_stays_exploratory(
    cohort: Cohort, store: Path
) -> None:
    """Outcomes were analysed without a test: it is in the ledger, counts no test, closes the book.

    The study's own hypotheses go in before it and stay what they were.
    """
    study = cohort.study.to_dict()
    late = study.pop("hypotheses")
    plain = replace(cohort, study=Study.from_dict(study))
    note_look(plain, store)
    note_look(plain, store)
    assert [row.kind for row in rows_of(plain, store)] == ["look"]
    declared = replace(cohort, study=Study.from_dict(study | {"hypotheses": late}))
    found = assess_cohort(declared, store)
    assert not found.recorded_hypotheses
    assert not any(v.confirmatory for v in found.verdicts)
    assert found.n_tests == found.n_tests_here


def test_a_look_writes_the_study_s_hypotheses_down_first(cohort: Cohort, store: Path) -> None:
    """Trained without evidence today, assessed tomorrow: the hypothesis came first."""
    note_look(cohort, store)
    assert sorted(row.kind for row in rows_of(cohort, store)) == ["hypothesis", "look"]
    assert assess_cohort(cohort, store).recorded_hypotheses


def test_an_assessment_reports_the_seed_that_made_its_numbers(cohort: Cohort, store: Path) -> None:
    """A dataset keeps its first seed, in the JSON too."""
    assess_cohort(cohort, store, seed=2)
    again = assess_cohort(cohort, store, seed=9)
    assert again.to_dict()["seed"] == again.verdicts[0].seed == 2
