"""The slower half of explaining a trained model: refits, horizons, and what concerns treatment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from biomarker.errors import NotEstimableError
from biomarker.explain.benefit import BenefitAttribution, WithheldBenefit, attribute_benefit
from biomarker.explain.over_time import TimeAttribution, attribute_over_time
from biomarker.explain.scales import Scale
from biomarker.resampling import spawn
from pipelines.limits import beats_chance
from pipelines.refits import examine
from pipelines.results import EndpointReading, Examination, ModelRun, StudyRun
from pipelines.terminal import Progress

__all__ = ["explained"]

_TIMES = 10  # of the grid over which attributions are drawn
_SEEDS = 10
_FEWEST_PERMUTED = 39  # of which none may exceed a driver for p below .05 by a margin


def explained(run: StudyRun, folder: Path, progress: Progress) -> StudyRun:
    """Add to a run what its report says of the models kept.

    Parameters
    ----------
    run : StudyRun
    folder : path
        Blocks of refits are kept in it, so that a run that was stopped goes on.
    progress : Progress

    Returns
    -------
    StudyRun
        With a reading of every endpoint that has a model.
    """
    readings = {}
    for endpoint, name in run.best.items():
        model = next(m for m in run.models if (m.endpoint, m.name) == (endpoint, name))
        progress.stage(f"{endpoint}: refits of {name}")
        readings[endpoint] = EndpointReading(
            examination=_examined(run, model, folder, progress),
            over_time=_over_time(run, model, progress),
            benefit=_benefit(run, endpoint, progress),
        )
    progress.done()
    return replace(run, readings=readings)


def _examined(
    run: StudyRun, model: ModelRun, folder: Path, progress: Progress
) -> Examination | None:
    """Stability and null band, by as many refits as the settings ask; None for none."""
    n = int(run.settings["refits"]["value"])
    if n == 0:
        return None
    try:
        return examine(
            run,
            model,
            folder,
            n_bootstrap=n,
            n_seeds=min(_SEEDS, n),
            n_permuted=max(_FEWEST_PERMUTED, n // 2),
            progress=progress.step,
        )
    except NotEstimableError:
        return None


def _over_time(run: StudyRun, model: ModelRun, progress: Progress) -> TimeAttribution | None:
    """What moved the predicted survival, over the supported times; None where none may be read."""
    plan = run.time_plans.get(model.endpoint)
    if plan is None or not beats_chance(model):
        return None
    progress.stage(f"{model.endpoint}: attribution over time")
    grid = np.linspace(float(plan.times[0]), float(plan.times[-1]), _TIMES)
    times = tuple(sorted({*(float(f"{t:.3g}") for t in grid), *plan.horizons} - {0.0}))
    outcome = run.cohort.outcomes[model.endpoint]
    X = run.cohort.matrix()[outcome.included]
    many = run.cohort.n_patients < run.cohort.n_rows
    seed = run.settings["seed"]["value"]
    return attribute_over_time(
        model.fitted,
        X,
        Scale("survival", times, plan.unit),
        X,
        rng=spawn(seed, "attribution over time", model.endpoint, model.name),
        patient_numbers=run.cohort.patient_numbers[outcome.included] if many else None,
        progress=progress.step,
    )


def _benefit(
    run: StudyRun, endpoint: str, progress: Progress
) -> BenefitAttribution | WithheldBenefit:
    """Both parts of the prediction where a verdict allows it, else why not."""
    if run.evidence is None or run.evidence.result is None:
        return WithheldBenefit(endpoint, "Withheld: the markers were not assessed in this run.")
    progress.stage(f"{endpoint}: benefit")
    plan = run.time_plans.get(endpoint)
    try:
        return attribute_benefit(
            run.cohort,
            endpoint,
            run.evidence.verdicts,
            at=None if plan is None else plan.horizons[-1],
            random_state=run.settings["seed"]["value"],
        )
    except NotEstimableError as error:
        return WithheldBenefit(endpoint, f"Withheld: it cannot be estimated here. {error}")
