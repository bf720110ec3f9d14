"""How far a model may be read: over refits, over time, and what of it concerns the treatment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biomarker.explain.benefit import BenefitAttribution, WithheldBenefit
from biomarker.explain.controls import NullBand
from biomarker.explain.illustrations import Illustration
from biomarker.explain.over_time import TimeAttribution
from biomarker.explain.stability import first_place
from biomarker.explain.stability_result import Stability
from biomarker.figures.attribution_over_time import attribution_over_time
from biomarker.figures.benefit import benefit_beeswarms, benefit_steps, benefit_waterfall
from biomarker.figures.performance import number
from biomarker.figures.stability import importance_over_refits, rank_intervals
from pipelines.report.parts import Figure, Table
from pipelines.report.words import CAUTION, lower_first, time_words
from pipelines.results import EndpointReading

__all__ = ["Reading", "reading"]

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Reading:
    """Parts of an endpoint's attribution section.

    Attributes
    ----------
    said : tuple of str
        What refits allow to be said of the first place and of noise.
    stability, over_time, benefit : tuple of Figure
    table : Table or None
        Top-k shares and turned signs.
    benefit_withheld : str
        Why no benefit is split; empty where it is.
    benefit_said : tuple of str
    absolute : tuple of Table
        Benefit on scales of probability and time.
    caution : str
        Fixed words under every attribution figure.
    """

    said: tuple[str, ...] = ()
    stability: tuple[Figure, ...] = ()
    table: Table | None = None
    over_time: tuple[Figure, ...] = ()
    benefit: tuple[Figure, ...] = ()
    benefit_withheld: str = ""
    benefit_said: tuple[str, ...] = ()
    absolute: tuple[Table, ...] = ()
    caution: str = CAUTION

    def figures(self) -> tuple[Figure, ...]:
        """All of them, for the store."""
        return (*self.stability, *self.over_time, *self.benefit)


def reading(found: EndpointReading | None, labels: Labels, key: str, endpoint: str) -> Reading:
    """Draw what a run found about the model kept for one endpoint.

    Parameters
    ----------
    found : EndpointReading or None
        None where a run was not explained further.
    labels : mapping of str to str
    key : str
        Starts every figure's id.
    endpoint : str
        The words a reader knows the endpoint by.
    """
    if found is None:
        return Reading()
    parts = {}
    if found.examination is not None and not found.examination.stability.withheld:
        stability, band = found.examination.stability, found.examination.band
        parts = {
            "said": (_first(stability, labels), *(() if band is None else (band.said(labels),))),
            "stability": _stability(stability, band, labels, key),
            "table": _top_table(stability, labels),
        }
    split = _benefit(found.benefit, labels, key, endpoint)
    over = () if found.over_time is None else (_over_time(found.over_time, labels, key),)
    return Reading(**parts, **split, over_time=over)  # type: ignore[arg-type]


def _unit(members: Sequence[str], labels: Labels) -> str:
    return " + ".join(labels.get(name, name) for name in members)


def _first(found: Stability, labels: Labels) -> str:
    """What may be said of the first place, in a reader's names."""
    if not found.units:
        return found.sentence
    return first_place(found.units, found.n_refits["bootstrap"], found.n_patients, labels)[1]


def _share(share: float) -> str:
    return f"{share:.0%}"


def _interval(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _stability(
    found: Stability, band: NullBand | None, labels: Labels, key: str
) -> tuple[Figure, ...]:
    """Importance with its limits over refits before the noise, and ranks."""
    rows = []
    for unit in found.units:
        null = None if band is None else band.of(unit.members)
        limit = "none" if null is None or null.limit is None else number(null.limit)
        rows.append(
            (
                _unit(unit.members, labels),
                number(unit.importance),
                _interval(unit.bootstrap.low, unit.bootstrap.high),
                limit,
            )
        )
    ranks = tuple(
        (
            _unit(unit.members, labels),
            f"{unit.rank:g}",
            f"{unit.bootstrap.rank_low:g} to {unit.bootstrap.rank_high:g}",
        )
        for unit in found.units
    )
    grey = "" if band is None else f" Grey: permuted outcomes, {band.n_refits} refits."
    said = "; ".join(f"{row[0]} {row[1]} ({row[2]})" for row in rows[:6])
    return (
        Figure(
            f"{key}-stability-importance",
            "Importance over refits",
            importance_over_refits(found, band, labels, name=f"{key}-stability-importance"),
            f"Importance with limits over refits, {found.scale} scale. {said}.{grey}",
            f"{found.interval_covers}.{grey}",
            Table(
                f"Importance over refits ({found.scale}; {found.n_patients:,} patients).",
                (
                    "Column",
                    "Mean |attribution|",
                    "Limits over refits",
                    "Limit on permuted outcomes",
                ),
                tuple(rows),
            ),
        ),
        Figure(
            f"{key}-stability-ranks",
            "Rank over refits",
            rank_intervals(found, labels, name=f"{key}-stability-ranks"),
            "Rank of each column with its limits over refits: "
            + "; ".join(f"{row[0]} {row[2]}" for row in ranks[:6])
            + ".",
            "Rank 1 has the largest importance; bars are limits over bootstrap refits.",
            Table("Rank over refits.", ("Column", "Rank", "Limits over refits"), ranks),
        ),
    )


def _top_table(found: Stability, labels: Labels) -> Table:
    """How often each column is among the first, and whether its direction turns."""
    rows = []
    for unit in found.units:
        flips = [m.flip_rate for m in unit.detail if m.flip_rate is not None]
        rows.append(
            (
                _unit(unit.members, labels),
                *(_share(share) for share in unit.bootstrap.top),
                _share(max(flips)) if flips else "no direction",
            )
        )
    n = found.n_refits.get("bootstrap", 0)
    return Table(
        f"Share of {n:,} bootstrap refits with a column among the first.",
        ("Column", "First", "First 3", "First 5", "Direction turned"),
        tuple(rows),
        note="Columns that correlate above 0.8 are ranked as one.",
    )


def _over_time(found: TimeAttribution, labels: Labels, key: str) -> Figure:
    order = sorted(range(len(found.sources)), key=lambda j: -float(found.mean_absolute[j].max()))
    names = [labels.get(found.sources[j], found.sources[j]) for j in order]
    rows: list[tuple[str, ...]] = []
    for name, j in zip(names, order, strict=True):
        rows.append((name, *_at(found, j, int(found.mean_absolute[j].argmax()))))
        rows += [
            (f"  {time_words(found.times[t], found.unit)}", *_at(found, j, t))
            for t in range(len(found.times))
        ]
    return Figure(
        f"{key}-over-time",
        "Attribution of the predicted survival over time",
        attribution_over_time(found, labels, name=f"{key}-over-time"),
        f"Mean absolute attribution of the survival probability over time. Largest: "
        f"{', '.join(names[:3])}.",
        f"{found.method[0].upper()}{found.method[1:]}. Intervals: {found.interval_covers}.",
        Table(
            f"Mean |attribution| of the survival probability ({found.n_patients:,} patients).",
            ("Column", "Mean |attribution|", "95% interval"),
            tuple(rows),
            note="Beside a column's name stands its largest mean over time.",
        ),
    )


def _at(found: TimeAttribution, j: int, t: int) -> tuple[str, str]:
    """A column's mean at one time, and its interval."""
    return (
        number(float(found.mean_absolute[j, t])),
        _interval(float(found.low[j, t]), float(found.high[j, t])),
    )


def _benefit(
    found: BenefitAttribution | WithheldBenefit, labels: Labels, key: str, endpoint: str
) -> dict[str, object]:
    if isinstance(found, WithheldBenefit):
        here = f" assessed on {found.endpoint}"
        words = f" assessed on {lower_first(endpoint)}"
        return {"benefit_withheld": found.reason.replace(here, words, 1)}
    rows = tuple(
        (
            labels.get(part.source, part.source),
            f"{number(part.prognostic)} ({_interval(part.prognostic_low, part.prognostic_high)})",
            f"{number(part.predictive)} ({_interval(part.predictive_low, part.predictive_high)})",
            "none" if part.null_high != part.null_high else number(part.null_high),
            _share(part.first),
        )
        for part in found.parts
    )
    name = f"{key}-benefit"
    shares = found.shares
    swarms = Figure(
        name,
        "What concerns the disease, and what the treatment",
        benefit_beeswarms(found, labels, name=name),
        f"Two beeswarms on one order of columns, {shares.scale} scale: parts of the prediction "
        "under control, and parts of the benefit. "
        + "; ".join(f"{row[0]} {row[2]}" for row in rows[:5])
        + ".",
        f"{found.band_means} {found.interval_covers}",
        Table(
            f"Mean |part| ({shares.scale}; {found.n_treated:,} treated, {found.n_control:,} "
            "control patients).",
            ("Column", "Under control", "Of the benefit", "Limit without interaction",
             "First in refits"),
            rows,
        ),
    )  # fmt: skip
    patients = tuple(
        Figure(
            f"{name}-{i}",
            f"{one.pseudonym[0].upper()}{one.pseudonym[1:]}: {one.level} benefit",
            benefit_waterfall(found, one, labels, name=f"{name}-{i}"),
            f"From the average to the prediction under control, and from there to treatment; "
            f"{one.level} predicted benefit, {shares.scale} scale.",
            "Values as levels or fifths.",
            _steps_table(found, one, labels),
        )
        for i, one in enumerate(found.illustrations)
    )
    tables = tuple(
        Table(
            f"Benefit on the scale of {one.shares.scale} ({one.words}).",
            ("Column", "Mean |part| of the benefit", "95% interval"),
            tuple(
                (
                    labels.get(source, source),
                    number(float(one.benefit[j])),
                    _interval(float(one.benefit_low[j]), float(one.benefit_high[j])),
                )
                for j, source in enumerate(one.shares.sources)
            ),
            note=f"In the file's order: no rank is claimed. {one.interval_covers}",
        )
        for one in found.absolute
    )
    return {
        "benefit": (swarms, *patients),
        "benefit_said": tuple(filter(None, (shares.direction, shares.note))),
        "absolute": tables,
    }


def _steps_table(found: BenefitAttribution, one: Illustration, labels: Labels) -> Table:
    """Each row of a patient's view: its step and the margin then reached."""
    return Table(
        f"{one.pseudonym[0].upper()}{one.pseudonym[1:]}, {one.level} predicted benefit "
        f"({found.shares.scale}).",
        ("Step", "Value", "Change", "Reached"),
        tuple(
            (
                f"{step.label[0].upper()}{step.label[1:]}" if step.change is None else step.label,
                step.value or "–",
                "–" if step.change is None else f"{step.change:+.3f}".replace("-", "−"),
                number(step.reached),
            )
            for step in benefit_steps(found, one, labels)
        ),
    )
