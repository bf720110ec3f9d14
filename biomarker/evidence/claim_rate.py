"""How often this very procedure claims an interaction: power, and false claims beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from biomarker.cohort import Cohort
from biomarker.errors import UsageError
from biomarker.evidence.power import interaction_power, response_interaction_power
from biomarker.resampling import TaskKey, spawn

__all__ = ["ClaimRate", "PowerCurve", "PowerPoint", "claim_rate", "power_curve"]

Generate = Callable[[int], Cohort]
GenerateSized = Callable[[int, int], Cohort]
Progress = Callable[[int, int], None]

_OUTCOMES = ("claimed", "withheld", "not significant", "not estimable")


@dataclass(frozen=True)
class ClaimRate:
    """How often the procedure claimed that the treatment's effect differs.

    Attributes
    ----------
    share, low, high : float
        Claims among cohorts, with the exact 95% interval. Power where an interaction was planted,
        the false-claim rate where none was.
    n_cohorts : int
    n_not_estimable : int
        Cohorts in which the interaction could not be fitted: no claim.
    n_withheld : int
        Cohorts significant after adjustment whose claim another rule withheld.
    mean_patients, mean_events : float
        Analysed, both arms together: marker measured and outcome known.
    mean_treated, mean_events_treated : float
        Of these the treated.
    """

    share: float
    low: float
    high: float
    n_cohorts: int
    n_not_estimable: int
    n_withheld: int
    mean_patients: float
    mean_events: float
    mean_treated: float
    mean_events_treated: float


@dataclass(frozen=True)
class PowerPoint:
    """One size of cohort.

    Attributes
    ----------
    n_patients : int
        Enrolled.
    formula : float or None
        Power by the large-sample formula at the mean number of events (patients, for a response);
        None where no ratio or variance was given.
    power : ClaimRate
        Where the interaction was planted.
    false_claims : ClaimRate or None
        On the twin without interaction.
    """

    n_patients: int
    formula: float | None
    power: ClaimRate
    false_claims: ClaimRate | None


@dataclass(frozen=True)
class PowerCurve:
    """Power of the whole procedure over cohort sizes.

    Attributes
    ----------
    marker, endpoint : str
    kind : str
        ``survival`` or ``response``: what events are, and which formula applies.
    family : tuple of str
        Markers assessed together.
    ratio : float or None
        Planted, per unit of the marker; below 1 the treatment lowers the hazard (or the odds of
        response) more where the marker is high.
    alpha : float
    seed : int
    points : tuple of PowerPoint
        In the order asked for.
    """

    marker: str
    endpoint: str
    kind: Literal["survival", "response"]
    family: tuple[str, ...]
    ratio: float | None
    alpha: float
    seed: int
    points: tuple[PowerPoint, ...]


@dataclass(frozen=True)
class _Task:
    """One cohort to make and assess."""

    generate: Callable[..., Cohort]
    words: tuple[int, ...]
    marker: str
    endpoint: str
    family: tuple[str, ...]
    alpha: float
    seed: int
    key: tuple[TaskKey, ...]


@dataclass(frozen=True)
class _Seen:
    """What the procedure said of one cohort."""

    outcome: str
    n_treated: int
    n_control: int
    events_treated: int
    events_control: int


def claim_rate(
    generate: Generate,
    n_cohorts: int,
    marker: str,
    endpoint: str,
    markers: tuple[str, ...] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> ClaimRate:
    """Run the whole assessment on simulated cohorts and count its claims about one marker.

    Parameters
    ----------
    generate : callable
        A cohort from a seed; the caller brings the generator. Picklable where ``n_jobs`` is not 1.
    n_cohorts : int
    marker, endpoint : str
        What is counted.
    markers : tuple of str, optional
        The family assessed together; the one marker by default.
    alpha : float
    seed : int
    n_jobs : int
        Processes; the result does not depend on it.
    progress : callable, optional
        Told (done, total) after each cohort.

    Returns
    -------
    ClaimRate

    Raises
    ------
    UsageError
        If there is no cohort to make, the marker is not in the family, the endpoint not in the
        study, or a cohort has one arm: no interaction can be shown there.
    """
    family = _family(n_cohorts, marker, markers)
    tasks = [
        _Task(generate, (), marker, endpoint, family, alpha, seed, ("claim rate", b))
        for b in range(n_cohorts)
    ]
    return _rate(_run(tasks, n_jobs, progress))


def power_curve(
    generate: GenerateSized,
    twin: GenerateSized | None,
    sizes: Sequence[int],
    n_cohorts: int,
    marker: str,
    endpoint: str,
    kind: Literal["survival", "response"] = "survival",
    ratio: float | None = None,
    marker_variance: float | None = 1.0,
    markers: tuple[str, ...] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> PowerCurve:
    """Power of the whole procedure at several sizes, and its false claims where nothing differs.

    Parameters
    ----------
    generate, twin : callable
        A cohort from a size and a seed: with the planted interaction, and the same without it.
        Picklable where ``n_jobs`` is not 1.
    sizes : sequence of int
        Patients enrolled.
    n_cohorts : int
        For each size, and as many for its twin.
    marker, endpoint, markers, alpha, seed, n_jobs, progress
        As in :func:`claim_rate`.
    kind : str
        Of the endpoint.
    ratio, marker_variance : float or None
        For the formula beside the simulation: per unit of the marker, in those units. None: no
        formula.

    Returns
    -------
    PowerCurve

    Raises
    ------
    UsageError
        As :func:`claim_rate`, or if no size is given, or one twice.

    Notes
    -----
    A cohort and its twin share a seed, size by size; whether power differs between sizes is told
    by independent cohorts.
    """
    family = _family(n_cohorts, marker, markers)
    if not sizes or len(set(sizes)) < len(sizes) or min(sizes) < 1:
        raise UsageError(f"sizes must be distinct and at least 1; got {len(sizes)} of them.")
    sources = [generate] if twin is None else [generate, twin]
    tasks = [
        _Task(source, (n,), marker, endpoint, family, alpha, seed, ("power", n, b))
        for n in sizes
        for source in sources
        for b in range(n_cohorts)
    ]
    seen = _run(tasks, n_jobs, progress)
    groups = [seen[i : i + n_cohorts] for i in range(0, len(seen), n_cohorts)]
    points = []
    for k, n in enumerate(sizes):
        rates = [_rate(group) for group in groups[k * len(sources) : (k + 1) * len(sources)]]
        formula = _formula(rates[0], kind, ratio, marker_variance, alpha)
        points.append(PowerPoint(n, formula, rates[0], rates[1] if twin is not None else None))
    return PowerCurve(marker, endpoint, kind, family, ratio, alpha, seed, tuple(points))


def _family(n_cohorts: int, marker: str, markers: tuple[str, ...] | None) -> tuple[str, ...]:
    """The markers assessed together."""
    family = (marker,) if markers is None else markers
    if n_cohorts < 1 or marker not in family:
        raise UsageError(
            f"n_cohorts must be at least 1 and marker one of markers; got {n_cohorts}, {marker!r}."
        )
    return family


def _run(tasks: Sequence[_Task], n_jobs: int, progress: Progress | None) -> list[_Seen]:
    """Every task in order, in this process or several."""
    results: Iterable[_Seen]
    if n_jobs == 1:
        results = map(_assess, tasks)
    else:
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=n_jobs, backend="loky", return_as="generator")
        results = parallel(delayed(_assess)(task) for task in tasks)
    seen = []
    for one in results:
        seen.append(one)
        if progress is not None:
            progress(len(seen), len(tasks))
    return seen


def _assess(task: _Task) -> _Seen:
    """Make one cohort, assess it, keep what became of the claim."""
    from biomarker.evidence.assessment import assess

    rng = spawn(task.seed, *task.key)
    one, other = (int(v) for v in rng.integers(0, 2**31, size=2))
    cohort = task.generate(*task.words, one)
    if cohort.treated is None:
        raise UsageError(
            "generate must give cohorts with a treated and a control arm; got one arm, which "
            "cannot show that an effect of treatment differs. Add a randomised control arm."
        )
    if task.endpoint not in cohort.outcomes:
        raise UsageError(f"endpoint must be one of the study's; got {task.endpoint!r}.")
    found = assess(cohort, task.family, task.alpha, random_state=other)
    verdict = next(v for v in found if (v.marker, v.endpoint) == (task.marker, task.endpoint))
    if verdict.claimed:
        outcome = "claimed"
    elif verdict.p_interaction is None or verdict.p_adjusted is None:
        outcome = "not estimable"
    else:
        outcome = "withheld" if verdict.p_adjusted < task.alpha else "not significant"
    return _Seen(
        outcome,
        verdict.n_treated,
        verdict.n_control,
        verdict.events_treated,
        verdict.events_control,
    )


def _rate(seen: Sequence[_Seen]) -> ClaimRate:
    """Counts as shares and means."""
    from scipy.stats import beta

    n = len(seen)
    count = {name: sum(s.outcome == name for s in seen) for name in _OUTCOMES}
    claims = count["claimed"]
    return ClaimRate(
        share=claims / n,
        low=float(beta.ppf(0.025, claims, n - claims + 1)) if claims else 0.0,
        high=float(beta.ppf(0.975, claims + 1, n - claims)) if claims < n else 1.0,
        n_cohorts=n,
        n_not_estimable=count["not estimable"],
        n_withheld=count["withheld"],
        mean_patients=sum(s.n_treated + s.n_control for s in seen) / n,
        mean_events=sum(s.events_treated + s.events_control for s in seen) / n,
        mean_treated=sum(s.n_treated for s in seen) / n,
        mean_events_treated=sum(s.events_treated for s in seen) / n,
    )


def _formula(
    rate: ClaimRate, kind: str, ratio: float | None, variance: float | None, alpha: float
) -> float | None:
    """The large-sample formula at the mean numbers of the simulated cohorts."""
    if ratio is None or variance is None:
        return None
    treated, control = rate.mean_treated, rate.mean_patients - rate.mean_treated
    events, of_treated = rate.mean_events, rate.mean_events_treated
    if min(treated, control, of_treated, events - of_treated) <= 0:
        return None
    if kind == "survival":
        return interaction_power(ratio, events, of_treated / events, variance, alpha)
    shares = (of_treated / treated, (events - of_treated) / control)
    if max(shares) >= 1.0:
        return None
    share = treated / rate.mean_patients
    return response_interaction_power(ratio, rate.mean_patients, *shares, share, variance, alpha)
