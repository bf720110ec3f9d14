"""Flow, states of columns, methods and decision curves say what the run itself holds."""

from __future__ import annotations

import numpy as np

from biomarker.metrics.decision_curve import net_benefit
from pipelines.report.decision import decision_figures
from pipelines.report.methods import methods
from pipelines.report.quality import column_states, flow_by_arm, quality_notes
from tests.pipelines.report.runs import small_run


def _cells(text: str) -> list[int]:
    return [int(part.split(" ")[0].replace(",", "")) for part in text.split("|")]


def test_the_flow_adds_up_in_every_arm() -> None:
    """In the file = left out + analysed, overall and by arm; arms add to all."""
    run = small_run()
    table = flow_by_arm(run.summary, run.cohort)
    for block in range(len(run.summary.endpoints)):
        rows = table.rows[5 * block + 1 : 5 * block + 5]
        read, out, kept, events = (_cells("|".join(row[1:])) for row in rows)
        assert read == [a + b for a, b in zip(out, kept, strict=True)]
        for counts in (read, out, kept, events):
            assert counts[0] == sum(counts[1:])
        summary = run.summary.endpoints[block]
        assert (kept[0], events[0]) == (summary.n_patients, summary.n_events)
        assert out[0] == sum(summary.excluded.values())
        assert all(reason in rows[1][0] for reason in summary.excluded)


def test_every_feature_has_a_row_with_its_known_values() -> None:
    """Known counts are those of the cohort; a never-measured and a constant column are named."""
    run = small_run()
    table = column_states(run.summary, run.cohort)
    assert len(table.rows) == len(run.summary.columns)
    vegf = next(row for row in table.rows if row[0] == "VEGF, serum")
    known = int(np.isfinite(run.cohort.columns["vegf"].values).sum())
    assert vegf[3].startswith(f"{known} (")
    assert quality_notes(run.summary, run.cohort)[1] == "No patient has more than one row."


def test_methods_come_from_the_runs_own_settings() -> None:
    """Folds, seed, models, horizons and exclusions are those of this run."""
    said = " ".join(sentence for _, part in methods(small_run()) for sentence in part)
    assert "1 × 3-fold cross-validation" in said
    assert "Seed 0." in said
    assert "horizons 12 months" in said
    assert "of 2 models cox was kept" in said
    assert "2 left out: not evaluable" in said


def test_the_decision_curve_prints_the_metrics_own_net_benefit() -> None:
    """Each printed threshold carries the value that the metric gives for it."""
    run = small_run()
    summary = next(e for e in run.summary.endpoints if e.kind == "response")
    best = next(m for m in run.models if m.name == run.best["response"])
    (figure,) = decision_figures(run, best, summary, "k")
    assert figure.numbers is not None
    assert best.nested.response is not None
    for row in figure.numbers.rows:
        threshold = float(row[0].rstrip("%")) / 100
        found = net_benefit(run.cohort.outcomes["response"].y, best.nested.response[0], [threshold])
        value = f"{100 * found.value[0]:.1f}".replace("-", "−")
        assert row[1].split(" ")[0].replace("−0.0", "0.0") == value.replace("−0.0", "0.0")
