"""What `biomarker power` says: sizes and shares in a table, every assumption under it."""

from __future__ import annotations

from biomarker.evidence.claim_rate import ClaimRate
from biomarker.evidence.power import events_for_interaction, patients_for_response_interaction
from pipelines.power import FormulaPower
from pipelines.simulated_power import SimulatedPower
from pipelines.terminal import table

__all__ = ["formula_text", "simulated_text"]


def formula_text(found: FormulaPower) -> str:
    """Power at the sizes asked for, the size needed, a main effect's beside it, what is assumed."""
    lines = [
        f"Interaction: ratio of {found.scale}s {found.ratio:g}, treated over control, "
        f"{found.unit}; two-sided alpha {found.alpha:g}.",
        "",
    ]
    if found.rows:
        rows = []
        for patients, counted, power in found.rows:
            row = {"patients": f"{patients:,}"} if patients is not None else {}
            if found.counted == "events":
                row["events"] = f"{counted:,.0f}"
            rows.append(row | {"power": percent(power)})
        lines += [table(rows), ""]
    also = ""
    if found.counted == "events" and found.patients_needed is not None:
        also = f" ({found.patients_needed:,} patients)"
    lines += [
        f"{percent(found.power)} power needs {found.needed:,} {found.counted}{also}.",
        _main_effect(found.scale, found.ratio, found.main_effect, found.halves, found.counted),
        "",
        f"Assumed: randomised, {percent(found.share_treated)} treated; marker known for everyone "
        "and unrelated to the arm;",
        "effects small enough for "
        + (
            "events to fall on the groups as patients do"
            if found.counted == "events"
            else "the marker to move the response shares little"
        )
        + "; one test, large sample.",
        "Several markers, covariates, missing values and the rules a claim must pass are not in",
        "it: biomarker power --recipe RECIPE --marker MARKER runs them.",
    ]
    return "\n".join(lines)


def simulated_text(found: SimulatedPower, target: float = 0.80) -> str:
    """Claims with and without the interaction at every size, and how the cohorts were made."""
    curve = found.curve
    events = "events" if curve.kind == "survival" else "responses"
    rows = []
    for point in curve.points:
        row = {
            "patients": f"{point.n_patients:,}",
            "analysed": f"{point.power.mean_patients:,.0f}",
            events: f"{point.power.mean_events:,.0f}",
            "formula": "-" if point.formula is None else percent(point.formula),
            "claimed, %": _interval(point.power),
        }
        if point.false_claims is not None:
            row["false claims, %"] = _interval(point.false_claims)
        row["withheld"] = str(point.power.n_withheld)
        row["not estimable"] = str(point.power.n_not_estimable)
        rows.append(row)
    n = curve.points[0].power.n_cohorts
    arms = ", given a randomised control arm" if found.two_arms else ""
    ratio = "" if curve.ratio is None else f"; ratio {curve.ratio:.3g} {found.unit}"
    lines = [
        f"{curve.marker} × treatment on {curve.endpoint}, by the whole procedure; "
        f"two-sided alpha {curve.alpha:g}.",
        "",
        table(rows),
        "",
        f"{n:,} cohorts a size, and as many without the interaction, seed {curve.seed}; exact 95% "
        "intervals.",
        "claimed: power. false claims: without the interaction. withheld: significant, yet refused",
        "by another rule. not estimable: no claim.",
        "",
        *_formula_lines(found, target),
        f"Recipe {found.recipe}{arms}: {found.title}.",
        f"Planted: {', '.join(found.planted)}{ratio}.",
        f"Without: {', '.join(found.twin) or 'no effect of any marker'}.",
        f"Tested together: {', '.join(curve.family)}, on {curve.endpoint} alone.",
        f"Adjusted for: {', '.join(found.covariates) or 'nothing'}.",
        "The formula takes the planted ratio and the mean numbers above: the marker without error,",
        "no covariates, one test.",
    ]
    return "\n".join(lines)


def _formula_lines(found: SimulatedPower, target: float) -> list[str]:
    """What the formula asks for, with a main effect beside it."""
    curve, variance = found.curve, found.marker_variance
    if curve.ratio is None or variance is None:
        return []
    last = curve.points[-1].power
    sizes = (variance, 1.0, 0.25)
    if curve.kind == "survival":
        share = last.mean_events_treated / last.mean_events if last.mean_events else 0.5
        if not 0.0 < share < 1.0:
            return []
        needed = [events_for_interaction(curve.ratio, target, share, v, curve.alpha) for v in sizes]
        unit = "events"
    else:
        treated, control = last.mean_treated, last.mean_patients - last.mean_treated
        p = (
            last.mean_events_treated / treated,
            (last.mean_events - last.mean_events_treated) / control,
        )
        if min(p) <= 0.0 or max(p) >= 1.0:
            return []
        share = treated / last.mean_patients
        needed = [
            patients_for_response_interaction(curve.ratio, *p, target, share, v, curve.alpha)
            for v in sizes
        ]
        unit = "patients"
    scale = "hazard ratio" if curve.kind == "survival" else "odds ratio"
    return [
        f"By the formula {percent(target)} power needs {needed[0]:,} {unit}.",
        _main_effect(scale, curve.ratio, needed[1], needed[2], unit),
        "",
    ]


def _main_effect(scale: str, ratio: float, alone: int, halves: int, unit: str) -> str:
    """What the same ratio needs as an overall effect, and as a difference between halves."""
    return (
        f"As an overall effect of treatment the same {scale}, {ratio:g}, needs {alone:,} {unit};\n"
        f"as a difference between two equal halves of the patients {halves:,}: four times as many."
    )


def percent(share: float) -> str:
    """A share in whole per cent, never rounded to certainty.

    Examples
    --------
    >>> percent(0.7983), percent(0.9987), percent(0.0004)
    ('80%', '>99%', '<1%')
    """
    if 0.995 <= share < 1.0:
        return ">99%"
    if 0.0 < share < 0.005:
        return "<1%"
    return f"{100 * share:.0f}%"


def _interval(rate: ClaimRate) -> str:
    return f"{100 * rate.share:.1f} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
