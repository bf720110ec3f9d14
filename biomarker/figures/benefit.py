"""What a prediction says about the disease, and about the treatment: two beeswarms, one patient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biomarker.explain.benefit import BenefitAttribution
from biomarker.explain.benefit_shares import TREE_TOLERANCE
from biomarker.explain.illustrations import Illustration
from biomarker.figures.attribution import MOST_ROWS, value_words
from biomarker.figures.canvas import (
    GROUND,
    INK,
    MISSING,
    MUTED,
    SERIES,
    canvas,
    hover_row,
    mark_row,
    markup,
    plain,
    spare_axes,
    two_lines,
)
from biomarker.figures.caution import cautioned
from biomarker.figures.swarm import ramp_key, swarm

__all__ = ["BenefitStep", "benefit_beeswarms", "benefit_steps", "benefit_waterfall"]

Floats = npt.NDArray[np.float64]

_LEFT, _WIDE, _GAP = 0.235, 0.355, 0.04
_GREY = 0.4


def benefit_beeswarms(found: BenefitAttribution, labels: Mapping[str, str], *, name: str) -> str:
    """Prognostic and predictive parts of every patient, side by side on one order of columns.

    Behind the predictive parts a grey band reaches as far as their mean size does in 95% of refits
    without any interaction; the diamond is that mean size, with its interval: filled where the
    effect of treatment is claimed to differ by the column, hollow where that is not established.

    Parameters
    ----------
    found : BenefitAttribution
    labels : mapping of str to str
        Source column to the words a reader knows it by.
    name : str
        Keeps this figure's ids apart on a page.

    Returns
    -------
    str
        One ``<svg>`` element; both panels share one scale. At most 12 columns and 500 points each.
    """
    shown = found.parts[:MOST_ROWS]
    row, head, foot = 0.46, 0.78, 0.86
    height = head + foot + row * len(shown)
    sides = (
        ("prognostic part", "under control", found.shares.prognostic),
        ("predictive part", "of the benefit", found.shares.predictive),
    )
    reach = max(float(np.abs(values).max(initial=0.0)) for _, _, values in sides) or 1.0
    reach = 1.06 * max(reach, *(part.predictive_high for part in shown))
    with canvas(height) as figure:
        for i, (title, of, values) in enumerate(sides):
            box = (_LEFT + i * (_WIDE + _GAP), foot / height, _WIDE, row * len(shown) / height)
            axes = figure.add_axes(box)
            axes.axvline(0, color=MUTED, linewidth=1)
            for k, part in enumerate(shown):
                y = len(shown) - 1 - k
                hover_row(axes, y, k)
                j = found.shares.sources.index(part.source)
                if i and not math.isfinite(part.null_high):
                    _silent(axes, y)
                    continue
                if i:
                    _null_band(axes, part.null_high, y)
                swarm(axes, values, found.columns, j, y)
                if i:
                    _size(axes, part, y)
            axes.set_ylim(-0.6, len(shown) - 0.4)
            axes.set_xlim(-reach, reach)
            axes.locator_params(axis="x", nbins=5)
            spare_axes(axes, grid="x", hide=("left",))
            axes.set_yticks([])
            figure.text(
                box[0] + _WIDE / 2, 1 - 0.40 / height, title, ha="center", fontsize=10.5,
                fontweight="bold",
            )  # fmt: skip
            figure.text(
                box[0] + _WIDE / 2, 1 - 0.60 / height, of, ha="center", fontsize=9, color=MUTED
            )
            axes.set_xlabel(_meaning(found, predictive=bool(i)), fontsize=9)
        _rows(figure, [labels.get(part.source, part.source) for part in shown], row, foot, height)
        _band_key(figure, height)
        ramp_key(figure, height)
        return cautioned(markup(figure, name))


def _null_band(axes: Any, high: float, y: float) -> None:
    """Grey as far as chance alone carries the mean size, either way."""
    axes.barh(
        y, 2 * high, left=-high, height=0.9, color=MISSING, alpha=_GREY, linewidth=0, zorder=0
    )


def _silent(axes: Any, y: float) -> None:
    """Words in place of points: a row of zeros would look like a finding."""
    axes.text(
        0.96, y, "no interaction", transform=axes.get_yaxis_transform(), ha="right",
        va="center", fontsize=8, color=MUTED,
    )  # fmt: skip


def _size(axes: Any, part: Any, y: float) -> None:
    """Mean size with its interval, below the row's middle so that points stay visible."""
    low = y - 0.36
    axes.plot([part.predictive_low, part.predictive_high], [low, low], color=INK, linewidth=1.4)
    axes.plot(
        [part.predictive], [low], "D", color=INK, markersize=4.6, markeredgewidth=1.1,
        markerfacecolor=INK if part.established else GROUND,
    )  # fmt: skip


def _rows(figure: Any, names: list[str], row: float, foot: float, height: float) -> None:
    """Column names from the top down, left of both panels."""
    for k, label in enumerate(names):
        y = (foot + row * (len(names) - 0.4 - k)) / height
        said = figure.text(
            _LEFT - 0.02, y, two_lines(label, 15), ha="right", va="center", fontsize=9
        )
        mark_row(said, k)


def _band_key(figure: Any, height: float) -> None:
    """What grey and diamonds mean, at the foot."""
    y = 0.13 / height
    small = {"color": MUTED, "fontsize": 8.5, "va": "center"}
    figure.text(0.01, y, "■", color=MISSING, alpha=_GREY, fontsize=11, va="center")
    figure.text(0.04, y, "mean size without any interaction (95%)", **small)
    figure.text(0.545, y, "◆", color=INK, fontsize=8, va="center")
    figure.text(0.57, y, "mean size, claimed", **small)
    figure.text(0.80, y, "◇", color=INK, fontsize=8, va="center")
    figure.text(0.825, y, "not established", **small)


def _meaning(found: BenefitAttribution, predictive: bool) -> str:
    """Scale, and what a point to the right means."""
    if predictive:
        return f"{found.shares.scale}\nright = treatment helps more"
    way = found.shares.direction.removeprefix("higher = ")
    return f"{found.shares.scale}\nright = {way}"


@dataclass(frozen=True)
class BenefitStep:
    """One row of a patient's view.

    Attributes
    ----------
    label, value : str
        A column and its value as fifth or level; of a prediction, what it is and nothing.
    change : float or None
        On the margin; None of a prediction.
    reached : float
        Margin after the step.
    """

    label: str
    value: str
    change: float | None
    reached: float


def benefit_steps(
    found: BenefitAttribution, patient: Illustration, labels: Mapping[str, str]
) -> tuple[BenefitStep, ...]:
    """The rows of :func:`benefit_waterfall`, from the average patient to treatment.

    Parameters as for :func:`benefit_beeswarms`, with ``patient`` one of ``found.illustrations``.
    """
    shares, at = found.shares, patient.row
    average = ("average effect of treatment", "", shares.sign * shares.base_benefit)
    changes: list[tuple[str, str, float | None]] = [
        ("average patient, control", "", None),
        *_steps(found, labels, at, shares.prognostic[at]),
        ("prediction under control", "", None),
        average,
        *_steps(found, labels, at, shares.sign * shares.predictive[at]),
        ("prediction under treatment", "", None),
    ]
    level, rows = shares.base_control, []
    for label, value, change in changes:
        level += change or 0.0
        rows.append(BenefitStep(label, value, change, level))
    assert math.isclose(level, float(shares.treated[at]), abs_tol=TREE_TOLERANCE)
    return tuple(rows)


def benefit_waterfall(
    found: BenefitAttribution, patient: Illustration, labels: Mapping[str, str], *, name: str
) -> str:
    """One illustrative patient: from the average to control, and from there to treatment.

    The upper steps are prognostic parts and end at the prediction under control; the lower ones are
    the average effect of treatment and the predictive parts, and end at the prediction under
    treatment. Values are shown by fifths or levels, never as measured.

    Parameters as for :func:`benefit_beeswarms`, with ``patient`` one of ``found.illustrations``.
    """
    shares = found.shares
    rows = benefit_steps(found, patient, labels)
    turn = [i for i, step in enumerate(rows) if step.change is None][1]
    row, head, foot = 0.36, 0.08, 0.56
    height = head + foot + row * len(rows)
    with canvas(height) as figure:
        axes = figure.add_axes((0.42, foot / height, 0.54, row * len(rows) / height))
        edges = [step.reached for step in rows]
        for i, step in enumerate(rows):
            y, level = len(rows) - 1 - i, step.reached
            if step.change is None:
                (drawn,) = axes.plot([level], [y], "o", color=INK, markersize=5.5)
            else:
                # A step of the effect of treatment is told apart from one of the disease.
                (drawn,) = axes.barh(
                    y, -step.change, left=level, height=0.56, linewidth=0, alpha=0.85,
                    color=SERIES[2] if i > turn else SERIES[3],
                )  # fmt: skip
            mark_row(drawn, i)
            hover_row(axes, y, i)
            if i < len(rows) - 1:
                axes.plot([level, level], [y - 0.72, y + 0.28], color=MUTED, linewidth=0.9)
        pad = 0.26 * (max(edges) - min(edges)) or 0.1
        axes.set_xlim(min(edges) - pad, max(edges) + pad)
        axes.set_ylim(-0.75, len(rows) - 0.4)
        _words(axes, rows, pad)
        axes.set_yticks([])
        way = shares.direction.removeprefix("higher = ")
        axes.set_xlabel(f"margin ({shares.scale}), right = {way}", fontsize=9.5)
        axes.locator_params(axis="x", nbins=5)
        spare_axes(axes, grid="x", hide=("left",))
        return cautioned(markup(figure, name))


def _steps(
    found: BenefitAttribution, labels: Mapping[str, str], at: int, amounts: Floats
) -> list[tuple[str, str, float]]:
    """The five largest steps of one kind, others summed; columns without a part are left out."""
    order = [j for j in np.argsort(-np.abs(amounts), kind="stable") if amounts[j] != 0.0]
    most = 6 if len(order) == 6 else 5
    rows = [
        (
            labels.get(found.shares.sources[j], found.shares.sources[j]),
            value_words(found, int(j), at),  # type: ignore[arg-type]
            float(amounts[j]),
        )
        for j in order[:most]
    ]
    if order[most:]:
        rows.append((f"{len(order) - most} other columns", "", float(amounts[order[most:]].sum())))
    return rows


def _words(axes: Any, rows: Sequence[BenefitStep], pad: float) -> None:
    """Names at the left, signed steps beside their bars, levels beside their points."""
    where = axes.get_yaxis_transform()
    for i, step in enumerate(rows):
        label, words, amount, level = step.label, step.value, step.change, step.reached
        y = len(rows) - 1 - i
        text = f"{level:.2f}" if amount is None else f"{amount:+.2f}"
        left = amount is not None and amount < 0
        axes.text(
            level + (-0.08 if left else 0.08) * pad * (1 if amount is not None else 1.8), y,
            text.replace("-", "−"), ha="right" if left else "left", va="center", fontsize=9,
            color=INK, fontweight="bold" if amount is None else "normal",
        )  # fmt: skip
        said = axes.text(
            -0.03, y + (0.17 if words else 0.0), plain(label, 28), transform=where, ha="right",
            va="center", fontsize=9.5, fontweight="bold" if amount is None else "normal",
        )  # fmt: skip
        mark_row(said, i)
        axes.text(
            -0.03, y - 0.24, plain(words, 24), transform=where, ha="right", va="center",
            fontsize=8, color=MUTED,
        )  # fmt: skip
