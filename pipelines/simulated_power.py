"""Power of an interaction by running the whole procedure on a recipe's cohorts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.claim_rate import PowerCurve, power_curve
from biomarker.study import Study
from pipelines.power import DEFAULT_RATIO
from synthetic_data.effects import Effect, parse_effects
from synthetic_data.facts import recipe as known_recipe
from synthetic_data.plan import Plan, plan_for

__all__ = ["SimulatedPower", "simulated_power"]

_LARGE = 4000  # patients from which a marker's variance is read


@dataclass(frozen=True)
class SimulatedPower:
    """Power of the whole procedure on a recipe's cohorts, and how they were made.

    Attributes
    ----------
    curve : PowerCurve
    recipe, title : str
    two_arms : bool
        Whether a one-arm recipe was given a randomised control arm.
    planted, twin : tuple of str
        Declared effects, and those left on the twin without interaction.
    unit : str
        What one unit of the marker is.
    covariates : tuple of str
        Adjusted for.
    marker_variance : float or None
        None where the marker takes several columns.
    """

    curve: PowerCurve
    recipe: str
    title: str
    two_arms: bool
    planted: tuple[str, ...]
    twin: tuple[str, ...]
    unit: str
    covariates: tuple[str, ...]
    marker_variance: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able record."""
        return {"kind": "simulated", **asdict(self)}


@dataclass(frozen=True)
class _Shape:
    """What of a recipe is simulated and assessed; small, and safe to send to a worker."""

    recipe: str
    two_arms: bool
    endpoint: str
    family: tuple[str, ...]
    covariates: tuple[str, ...] | None


@dataclass(frozen=True)
class _Source:
    """Cohorts of one truth by size and seed."""

    shape: _Shape
    effects: tuple[str, ...]

    def __call__(self, n_patients: int, seed: int) -> Cohort:
        """Draw the file's table and read it under the recipe's study."""
        import pandas as pd

        from synthetic_data.blocks import draw_block
        from synthetic_data.table import patient_ids, to_frame

        plan = plan_for(self.shape.recipe, n_patients, seed, list(self.effects) or None)
        if self.shape.two_arms:
            plan = _TwoArms(**{f.name: getattr(plan, f.name) for f in fields(plan)})
        blocks = [draw_block(plan, index) for index in range(plan.n_blocks)]
        frames = [
            to_frame(b.observed, patient_ids(b.first, len(b.treated), b.width)) for b in blocks
        ]
        return Cohort.from_frame(pd.concat(frames, ignore_index=True), _study(self.shape))


class _TwoArms(Plan):
    """A one-arm design whose patients are randomised between its treatment and its control."""

    @property
    def design(self) -> dict[str, Any]:
        """The recipe's design with a control arm."""
        return super().design | {"randomised": True}


def simulated_power(
    recipe: str,
    marker: str,
    sizes: Sequence[int],
    n_cohorts: int,
    *,
    ratio: float | None = None,
    effects: Sequence[str] = (),
    endpoint: str | None = None,
    family: Sequence[str] = (),
    covariates: Sequence[str] | None = None,
    two_arms: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedPower:
    """Run this very procedure on cohorts of a recipe, with an interaction and without.

    Parameters
    ----------
    recipe : str
        An open design with a control arm, or one arm and ``two_arms``.
    marker : str
        That carries the interaction.
    sizes : sequence of int
        Patients enrolled.
    n_cohorts : int
        At each size, and as many without the interaction.
    ratio : float, optional
        Planted on the hazard (odds of response where the endpoint is one), per marker unit; 0.6
        where no interaction of this marker is among ``effects``.
    effects : sequence of str
        Further ``MARKER=KIND:SIZE``; the twin keeps those that are not predictive.
    endpoint : str, optional
        The recipe's first by default.
    family : sequence of str
        Markers tested together; the marker alone by default.
    covariates : sequence of str, optional
        Adjusted for; all that the recipe's study declares by default.
    two_arms : bool
        Give a one-arm recipe a randomised control arm.
    alpha, seed, n_jobs, progress
        As :func:`biomarker.evidence.claim_rate.power_curve` takes them.

    Raises
    ------
    UsageError
        If the recipe has one arm, is a published study, or lacks what is named.
    StudyError
        If there is no such recipe, or an effect cannot be read.
    """
    known = known_recipe(recipe)
    _check_arms(recipe, known, two_arms)
    whole = _declared(recipe)
    end = next(iter(whole["endpoints"])) if endpoint is None else endpoint
    together = tuple(dict.fromkeys([marker, *family]))
    _check_names("endpoint", [end], list(whole["endpoints"]))
    _check_names("marker", together, _with_role(whole, "marker"))
    _check_names("covariate", covariates or (), _with_role(whole, "covariate"))
    shape = _Shape(
        recipe, two_arms, end, together, None if covariates is None else tuple(covariates)
    )
    kind = whole["endpoints"][end]["type"]
    planted, size = _plant(known.design, marker, ratio, effects, kind)
    twin = tuple(_text(e) for e in planted if e.kind != "predictive")
    source = _Source(shape, tuple(_text(e) for e in planted))
    levels = known.design["markers"][marker]["transform"] == "levels"
    unit = "per level" if levels else "per SD of the marker's true value"
    variance = _variance(_Source(shape, twin), marker, end)
    curve = power_curve(
        source, _Source(shape, twin), sizes, n_cohorts, marker, end, kind,
        ratio=size, marker_variance=variance, markers=together, alpha=alpha, seed=seed,
        n_jobs=n_jobs, progress=progress,
    )  # fmt: skip
    return SimulatedPower(
        curve, recipe, known.title, two_arms, tuple(str(e) for e in planted),
        tuple(str(e) for e in planted if e.kind != "predictive"),
        unit, _study(shape).with_role("covariate"), variance,
    )  # fmt: skip


def _check_arms(name: str, known: Any, two_arms: bool) -> None:
    """Refuse what cannot show an interaction, and say why."""
    design = known.design
    published = known.kind != "open"
    one_arm = bool(design.get("study", {}).get("single_arm")) if published else (
        not design["randomised"]
    )  # fmt: skip
    if one_arm and (published or not two_arms):
        way = (
            "Take an open design: il2-rcc, or select-like with --two-arms."
            if published
            else "Add --two-arms for its randomised two-arm twin."
        )
        raise UsageError(
            f"recipe must have a control arm; {name!r} treats every patient. At no number of "
            "patients can one arm show that a treatment's effect differs by a marker: it can show "
            f"association under treatment, no more. {way}"
        )
    if published:
        raise UsageError(
            f"recipe must be an open design, on which effects can be declared; {name!r} is a "
            "published study. Take il2-rcc or il2-melanoma."
        )
    if two_arms and not one_arm:
        raise UsageError(f"two_arms must be left out where there are two; {name!r} has them.")


def _check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a name the recipe does not have."""
    for name in given:
        if name not in known:
            raise UsageError(
                f"{what} must be one of the recipe's; got {name!r}. It has {', '.join(known)}."
            )


def _with_role(study: dict[str, Any], role: str) -> list[str]:
    return [name for name, spec in study["columns"].items() if spec["role"] == role]


def _plant(
    design: dict[str, Any], marker: str, ratio: float | None, effects: Sequence[str], kind: str
) -> tuple[tuple[Effect, ...], float]:
    """Declared effects with the interaction among them, and its ratio."""
    scale = "hazard" if kind == "survival" else "response"
    texts = list(effects)
    given = parse_effects(texts or None, design["markers"])
    wanted = (marker, "predictive", scale)
    declared = [e.value for e in given if (e.marker, e.kind, e.scale) == wanted]
    if ratio is None and declared:
        return given, math.exp(declared[0])
    size = DEFAULT_RATIO if ratio is None else ratio
    if not (size > 0 and math.isfinite(size) and size != 1.0):
        raise UsageError(f"ratio must be finite, above 0 and not 1; got {size}.")
    texts.append(f"{marker}=predictive:{math.log(size)!r}@{scale}")
    return parse_effects(texts, design["markers"]), size


def _text(effect: Effect) -> str:
    """An effect with every digit."""
    return f"{effect.marker}={effect.kind}:{effect.value!r}@{effect.scale}"


def _variance(source: _Source, marker: str, endpoint: str) -> float | None:
    """Variance of the marker's one column; None where it takes several."""
    from biomarker.evidence.analysis_set import analysis_set

    columns = analysis_set(source(_LARGE, 0), marker, endpoint).marker_columns
    return float(columns.var()) if columns.shape[1] == 1 else None


@cache
def _declared(recipe: str) -> dict[str, Any]:
    """The recipe's study as a dictionary."""
    from synthetic_data.study_files import study_for

    return study_for(recipe)


@cache
def _study(shape: _Shape) -> Study:
    """The recipe's study with one endpoint, the family and the adjustment set; the rest ignored."""
    whole = _declared(shape.recipe)
    chosen = whole["endpoints"][shape.endpoint]
    needed = {chosen.get(key) for key in ("duration", "event", "column")}
    columns: dict[str, Any] = {}
    for name, spec in whole["columns"].items():
        kept = {
            "marker": name in shape.family,
            "covariate": shape.covariates is None or name in shape.covariates,
            "endpoint": name in needed,
        }.get(spec["role"], True)
        columns[name] = spec if kept else {"role": "ignore"}
    study = whole | {"columns": columns, "endpoints": {shape.endpoint: chosen | {"primary": True}}}
    if shape.two_arms:
        arms = list(known_recipe(shape.recipe).design["arms"])
        arm = {"role": "arm", "levels": arms, "control": arms[:1], "randomised": True}
        study["columns"] = {"patient_id": columns["patient_id"], "arm": arm} | columns
        study.pop("single_arm", None)
    return Study.from_dict(study)
