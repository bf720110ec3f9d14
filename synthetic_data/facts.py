"""Published figures and design parameters, read from the packaged study files."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from biomarker.errors import StudyError

__all__ = ["EVIDENCE", "Figure", "Recipe", "catalogue", "recipe"]

EVIDENCE = ("verified", "derived", "unverified", "assumed")


@dataclass(frozen=True)
class Figure:
    """One published number with where it comes from.

    Parameters
    ----------
    id : str
        Name within its recipe.
    value : float, int, str or list
        The number as printed.
    unit : str
        Unit of ``value``.
    source : str
        Tag of the page the number was read on.
    evidence : {"verified", "derived", "unverified", "assumed"}
        Only verified and derived figures may be targets.
    target : str
        The reproduction target it belongs to ("T5"), or empty.
    """

    id: str
    value: Any
    unit: str
    source: str
    evidence: str
    target: str = ""


@dataclass(frozen=True)
class Recipe:
    """One study: a title, its published figures and what the generator needs to draw it.

    Parameters
    ----------
    name : str
        Name used with :func:`synthetic_data.simulate`.
    title : str
        One line for a list.
    kind : str
        Which generator draws it ("open" for the designs with declared truth).
    figures : tuple of Figure
        What was published.
    design : dict
        Parameters of the generator.
    """

    name: str
    title: str
    kind: str
    figures: tuple[Figure, ...]
    design: dict[str, Any]

    def figure(self, figure_id: str) -> Any:
        """Value of one published figure.

        Raises
        ------
        StudyError
            If the recipe has no such figure.
        """
        for figure in self.figures:
            if figure.id == figure_id:
                return figure.value
        raise StudyError(f"figure must be one of the recipe {self.name}; got {figure_id!r}.")


@cache
def _names() -> tuple[str, ...]:
    """Names of the packaged study files, sorted."""
    folder = resources.files("synthetic_data") / "studies"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def _parsed(name: str) -> dict[str, Any]:
    """A packaged study file, parsed."""
    text = (resources.files("synthetic_data") / "studies" / f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def recipe(name: str) -> Recipe:
    """Read one packaged recipe.

    Parameters
    ----------
    name : str
        As listed by :func:`catalogue`.

    Raises
    ------
    StudyError
        If there is no such recipe, or an unverified figure is marked as a target.
    """
    if name not in _names():
        raise StudyError(
            f"name must be a packaged recipe; got {name!r}. Recipes: {', '.join(_names())}."
        )
    raw = _parsed(name)
    figures = tuple(Figure(**entry) for entry in raw.get("figure", []))
    for figure in figures:
        if figure.evidence not in EVIDENCE:
            raise StudyError(
                f"evidence of {figure.id!r} must be one of {', '.join(EVIDENCE)}; "
                f"got {figure.evidence!r}."
            )
        if figure.target and figure.evidence in ("unverified", "assumed"):
            raise StudyError(f"figure {figure.id!r} must be verified to be a target; it is not.")
    return Recipe(name, raw["title"], raw["kind"], figures, raw.get("design", {}))


def catalogue() -> tuple[Recipe, ...]:
    """Every packaged recipe, open designs first, then by name."""
    recipes = [recipe(name) for name in _names()]
    return tuple(sorted(recipes, key=lambda r: (r.kind != "open", r.name)))
