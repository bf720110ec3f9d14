"""Every kind of page this program writes, by name: reports, evidence packs, comparison, drift."""

from __future__ import annotations

import functools

from pipelines.compare import compare_runs
from pipelines.pack.build import build_pack
from pipelines.report import render_report
from pipelines.report.comparison import render_comparison
from pipelines.report.drift import render_drift
from tests.pipelines.compared import cohort, evidence, importance, performance, stored, verdict
from tests.pipelines.report.demo_runs import DEMO_STUDIES, demo_run
from tests.pipelines.report.runs import assessed_run
from tests.pipelines.report.test_drift import case

__all__ = ["PAGES", "page"]

_PACK = ("tripod-ai", "remark", "model-card-os-cox")
PAGES = (*DEMO_STUDIES, *_PACK, "compared", "drift", "no-drift")


@functools.cache
def page(name: str) -> str:
    """The document of this name."""
    if name in DEMO_STUDIES:
        return render_report(demo_run(name))
    if name in _PACK:
        return _pack()[f"{name}.html"]
    if name == "compared":
        return _compared()
    drift, bundle = case(moved=45 if name == "drift" else 0)
    return render_drift(drift, bundle, "new.csv")


@functools.cache
def _pack() -> dict[str, str]:
    run = assessed_run()
    return dict(build_pack(run, {f"{m.endpoint}-{m.name}": "0" * 64 for m in run.models}).pages)


def _compared() -> str:
    """Two runs that differ in data, columns, performance, importance and a verdict."""
    sides = []
    for letter, value, columns, code, ratio in (
        ("a", 0.75, ("vegf", "age"), "predictive", (0.5, 0.3, 0.8)),
        ("b", 0.60, ("vegf", "grade"), "not_established", (1.0, 0.8, 1.25)),
    ):
        rows = [
            ("os", "cox", metric, 24.0, found, found - 0.05, found + 0.05, 200)
            for metric, found in (("uno_concordance_index", value), ("calibration_slope", 1.0))
        ]
        sides.append(
            stored(
                letter * 32,
                performance=performance(*rows),
                evidence=evidence(verdict(code, ratio)),
                cohort=cohort(columns=columns),
                model_files={"stability.json": importance(200, vegf=[0.4, 0.3, 0.5])},
            )
        )
    return render_comparison(compare_runs(*sides))
