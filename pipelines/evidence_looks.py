"""What is looked at beside the verdicts: effects along a marker, cuts, milestones, benefit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from biomarker.cohort import Cohort
from biomarker.errors import NotEstimableError, UsageError
from biomarker.evidence.benefit import BenefitEvaluation, evaluate_benefit
from biomarker.evidence.cut_scan import CutResult, CutSettings, interaction_cut, prognostic_cut
from biomarker.evidence.durable import (
    MilestoneContrast,
    milestone_contrasts,
    unsupported_milestones,
)
from biomarker.evidence.effect_curve import EffectCurve, effect_curve
from biomarker.evidence.verdict import Verdict, of_hazards
from biomarker.side_by_side import side_by_side, workers_are_set

__all__ = ["Looks", "NotShown", "look", "plain_numbers"]

_WORTH_PROCESSES = 4


@dataclass(frozen=True)
class NotShown:
    """What could not be looked at for one marker and endpoint, and why."""

    marker: str
    endpoint: str
    what: str
    reason: str


@dataclass(frozen=True, eq=False)
class Looks:
    """Displays that create and upgrade no verdict."""

    curves: tuple[EffectCurve, ...] = ()
    cuts: tuple[CutResult, ...] = ()
    milestones: tuple[MilestoneContrast, ...] = ()
    benefits: tuple[BenefitEvaluation, ...] = ()
    not_shown: tuple[NotShown, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; places on a marker or in time at three digits: none is a patient's."""
        return {
            "effect_curves": [_curve(curve) for curve in self.curves],
            "cut_points": [_cut(cut) for cut in self.cuts],
            "milestones": [_milestone(contrast) for contrast in self.milestones],
            "benefits": [_benefit(one) for one in self.benefits],
            "not_shown": [asdict(item) for item in self.not_shown],
        }


def look(
    cohort: Cohort,
    verdicts: tuple[Verdict, ...],
    alpha: float,
    seed: int,
    jobs: int = 1,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Looks:
    """Look beside every verdict; what cannot be estimated is named with its reason.

    Parameters
    ----------
    cohort : Cohort
    verdicts : tuple of Verdict
    alpha : float
    seed : int
    jobs : int
        Processes; the result does not depend on their number.
    step : callable
        Told how many verdicts of how many are done.

    Returns
    -------
    Looks
    """
    found = []
    for done, one in enumerate(_each(cohort, verdicts, alpha, seed, jobs)):
        step(done + 1, len(verdicts))
        found.append(one)
    return Looks(
        tuple(item for one in found for item in one.curves),
        tuple(item for one in found for item in one.cuts),
        tuple(item for one in found for item in one.milestones),
        tuple(item for one in found for item in one.benefits),
        tuple(item for one in found for item in one.not_shown),
    )


def _each(
    cohort: Cohort, verdicts: tuple[Verdict, ...], alpha: float, seed: int, jobs: int
) -> Iterator[Looks]:
    """One look a verdict, in order; starting processes pays from a handful on."""
    if not workers_are_set() and (jobs == 1 or len(verdicts) < _WORTH_PROCESSES):
        for verdict in verdicts:
            yield _look_once(cohort, verdict, alpha, seed)
        return
    calls = [(cohort, verdict, alpha, seed) for verdict in verdicts]
    yield from side_by_side(_look_once, calls, jobs)


def _look_once(cohort: Cohort, verdict: Verdict, alpha: float, seed: int) -> Looks:
    """Everything there is to see beside one verdict."""
    kinds = (EffectCurve, CutResult, MilestoneContrast, BenefitEvaluation)
    found: dict[type, list[Any]] = {kind: [] for kind in kinds}
    not_shown: list[NotShown] = []
    for what, make in _questions(cohort, verdict, alpha, seed):
        try:
            for item in make():
                if isinstance(item, str):
                    not_shown.append(NotShown(verdict.marker, verdict.endpoint, what, item))
                else:
                    found[type(item)].append(item)
        except (UsageError, NotEstimableError) as error:
            not_shown.append(NotShown(verdict.marker, verdict.endpoint, what, str(error)))
    return Looks(
        tuple(found[EffectCurve]),
        tuple(found[CutResult]),
        tuple(found[MilestoneContrast]),
        tuple(found[BenefitEvaluation]),
        tuple(not_shown),
    )


def _questions(
    cohort: Cohort, verdict: Verdict, alpha: float, seed: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The looks that make sense for a marker of this kind in this design."""
    marker, endpoint = verdict.marker, verdict.endpoint
    two_arms = cohort.treated is not None
    settings = CutSettings(alpha=alpha)
    if cohort.study.columns[marker].kind == "continuous":
        yield (
            "best cut, outcome",
            lambda: [prognostic_cut(cohort, marker, endpoint, settings, seed)],
        )
        if two_arms:
            by_arm = verdict.design == "observational"
            yield (
                "best cut, treatment",
                lambda: [interaction_cut(cohort, marker, endpoint, settings, seed, by_arm)],
            )
            yield (
                "effect along the marker",
                lambda: [effect_curve(cohort, marker, endpoint, alpha=alpha, seed=seed)],
            )
    if two_arms and of_hazards(verdict.scale):
        yield "milestones", lambda: _milestones(cohort, marker, endpoint, alpha)
    if two_arms and cohort.study.randomised and endpoint == cohort.study.primary_endpoint:
        yield (
            "treating by the marker",
            lambda: [
                evaluate_benefit(cohort, endpoint, markers=[marker], alpha=alpha, random_state=seed)
            ],
        )


def _milestones(
    cohort: Cohort, marker: str, endpoint: str, alpha: float
) -> list[MilestoneContrast | str]:
    """The declared milestones that every arm and level carries, and why the others are not."""
    short = unsupported_milestones(cohort, marker, endpoint)
    declared = getattr(cohort.outcomes[endpoint].endpoint, "horizons", ())
    carried = [at for at in declared if at not in short]
    if declared and not carried:
        return list(short.values())
    found = milestone_contrasts(cohort, marker, endpoint, carried or None, alpha)
    return [*found, *short.values()]


_MARKER_VALUES = ("cut", "cut_low", "cut_high", "scanned_low", "scanned_high")


def _cut(cut: CutResult) -> dict[str, Any]:
    body = asdict(cut)
    for name in _MARKER_VALUES:
        body[name] = _three(body[name])
    return dict(plain_numbers(body))


def _curve(curve: EffectCurve) -> dict[str, Any]:
    body = {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in vars(curve).items()
    }
    for name in ("at", "window_low", "window_high"):
        body[name] = [_three(value) for value in body[name]]
    return dict(plain_numbers(body))


def _milestone(contrast: MilestoneContrast) -> dict[str, Any]:
    return dict(plain_numbers(asdict(contrast) | {"at": _three(contrast.at)}))


def _benefit(found: BenefitEvaluation) -> dict[str, Any]:
    """Every number but the patients' own predictions."""
    body = asdict(found)
    del body["predictions"]
    body["groups"] = {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in body["groups"].items()
    }
    for part in (body, body["groups"]["slope"], body["groups"]["in_the_large"]):
        for name in ("at", "horizon"):
            if part.get(name) is not None:
                part[name] = _three(part[name])
    return dict(plain_numbers(body))


def _three(value: float) -> float:
    """A value of a marker as the report prints it."""
    return float(f"{value:.3g}")


def plain_numbers(value: Any) -> Any:
    """The same with null for what is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(item) for item in value]
    return value
