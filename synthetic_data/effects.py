"""What a marker is declared to do: strings such as ``predictive:0.5@cure`` read into numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from biomarker.errors import StudyError

__all__ = ["KINDS", "SCALES", "Effect", "describe_mode", "parse_effects"]

KINDS = ("prognostic", "predictive")
SCALES = ("hazard", "cure", "response")

_FORM = (
    "Write KIND:NUMBER or KIND:NUMBER@SCALE, as in 'predictive:0.5', 'prognostic:0.7@response'; "
    f"kinds are {', '.join(KINDS)}, scales {', '.join(SCALES)} (hazard when none is given)."
)


@dataclass(frozen=True)
class Effect:
    """One declared effect of one marker.

    Parameters
    ----------
    marker : str
        Column the effect belongs to.
    kind : {"prognostic", "predictive"}
        Prognostic acts alike in both arms; predictive is what treatment adds to it.
    value : float
        Per SD of the transformed marker, or per level. Hazard: log hazard ratio (positive =
        worse). Cure and response: log odds ratio (positive = better).
    scale : {"hazard", "cure", "response"}
        Where the effect acts.
    """

    marker: str
    kind: str
    value: float
    scale: str = "hazard"

    def __str__(self) -> str:
        suffix = "" if self.scale == "hazard" else f"@{self.scale}"
        return f"{self.marker}={self.kind}:{self.value:g}{suffix}"


def _parse_one(marker: str, text: str) -> Effect:
    """Read one ``KIND:NUMBER@SCALE`` string."""
    body, at, scale = text.strip().partition("@")
    kind, colon, number = body.partition(":")
    kind, scale = kind.strip().lower(), scale.strip().lower() if at else "hazard"
    if not colon or kind not in KINDS:
        raise StudyError(f"effect on {marker!r} must start with its kind; got {text!r}. {_FORM}")
    if scale not in SCALES:
        raise StudyError(f"effect on {marker!r} must name a known scale; got {text!r}. {_FORM}")
    try:
        value = float(number)
    except ValueError:
        raise StudyError(
            f"effect on {marker!r} must carry a number; got {text!r}. {_FORM}"
        ) from None
    if not math.isfinite(value) or abs(value) > 5.0:
        raise StudyError(
            f"effect on {marker!r} must be a log ratio within -5 to 5; got {number!r}. "
            "Give the natural logarithm of the ratio, not the ratio."
        )
    return Effect(marker, kind, value, scale)


def parse_effects(
    effects: Mapping[str, object] | Iterable[str] | None, markers: Iterable[str]
) -> tuple[Effect, ...]:
    """Read declared effects, sorted, with every mistake named.

    Parameters
    ----------
    effects : mapping of str to str or list of str, iterable of "MARKER=EFFECT", or None
        None declares the null: no marker affects anything. Several effects on one marker come as
        a list or joined by commas.
    markers : iterable of str
        Names that may carry an effect.

    Returns
    -------
    tuple of Effect
        Sorted, zero effects dropped, so that equal declarations compare equal.

    Raises
    ------
    StudyError
        If a marker is unknown, a string cannot be read, or one marker declares the same kind on
        the same scale twice.

    Examples
    --------
    >>> [str(e) for e in parse_effects({"vegf": "predictive:0.5,prognostic:0.3"}, ["vegf"])]
    ['vegf=predictive:0.5', 'vegf=prognostic:0.3']
    >>> parse_effects(None, ["vegf"])
    ()
    """
    known = tuple(markers)
    pairs: list[tuple[str, str]] = []
    if isinstance(effects, str):
        effects = [effects]
    if isinstance(effects, Mapping):
        for marker, value in effects.items():
            items = value if isinstance(value, (list, tuple)) else [value]
            pairs += [(str(marker), str(item)) for item in items]
    else:
        for item in effects or ():
            marker, equals, text = str(item).partition("=")
            if not equals:
                raise StudyError(f"effect must read MARKER=KIND:NUMBER; got {item!r}. {_FORM}")
            pairs.append((marker.strip(), text))
    found: dict[tuple[str, str, str], Effect] = {}
    for marker, text in pairs:
        if marker not in known:
            raise StudyError(
                f"effect must be declared on a marker of this design; got {marker!r}. "
                f"Its markers are {', '.join(known)}."
            )
        for part in text.split(","):
            effect = _parse_one(marker, part)
            key = (effect.marker, effect.kind, effect.scale)
            if key in found:
                raise StudyError(
                    f"effect on {marker!r} must be declared once per kind and scale; got "
                    f"{effect.kind} on the {effect.scale} scale twice. Keep one of them."
                )
            found[key] = effect
    return tuple(found[key] for key in sorted(found) if found[key].value != 0.0)


def describe_mode(effects: tuple[Effect, ...]) -> str:
    """Name the truth mode: null, prognostic-only or predictive, and where interactions are zero.

    Parameters
    ----------
    effects : tuple of Effect
        As returned by :func:`parse_effects`.
    """
    if not effects:
        return "null: no marker affects hazard, cure or response in either arm"
    predictive = sorted({e.scale for e in effects if e.kind == "predictive"})
    if predictive:
        return "predictive on the scale of: " + ", ".join(predictive)
    scales = sorted({e.scale for e in effects})
    unit = {"hazard": "conditional log hazard", "cure": "log odds of cure"}
    names = " and ".join(unit.get(s, "log odds of response") for s in scales)
    return (
        f"prognostic-only: the marker × arm interaction is zero on the {names} scale; on survival "
        "probability, RMST and risk scales it is not, whenever treatment works"
    )
