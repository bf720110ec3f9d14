"""Cohorts of a design or a published study, each beside the truth it was drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from synthetic_data.blocks import draw_block
from synthetic_data.patient_truth import patient_truth
from synthetic_data.plan import plan_for
from synthetic_data.published import draw_with_truth
from synthetic_data.table import patient_ids, to_frame
from synthetic_data.truth import Truth

__all__ = ["simulate"]


def simulate(
    name: str,
    n_patients: int | None,
    seed: int,
    effects: Mapping[str, object] | Iterable[str] | None = None,
    *,
    confounding: float = 0.0,
    complete: bool = False,
    informative: float = 0.0,
) -> tuple[pd.DataFrame, Truth]:
    """Draw a cohort and the truth it was drawn from.

    Parameters
    ----------
    name : str
        Design or published study, as ``catalogue()`` lists them ("il2-rcc").
    n_patients : int or None
        Size of the cohort; None draws a published study at its published size.
    seed : int
        The same seed gives the same cohort on any machine with the same NumPy.
    effects : mapping of str to str, iterable of "MARKER=EFFECT", or None
        ``{"vegf": "predictive:0.5"}``: log ratio of hazard ratios, treated over control, per SD of
        log VEGF; positive = less benefit at higher values. ``prognostic:0.7``: log hazard ratio per
        SD in both arms. ``@cure`` and ``@response`` act on log odds, where positive = more cures or
        responses; a cure effect also brings in a durable class that other truths do not have.
        None: no marker affects anything. Published studies take no effects.
    confounding : float, default 0
        Correlation of VEGF with ECOG and LDH. At 0 a marker without an effect is associated with
        no outcome; above 0 VEGF is a proxy of risk, as published series found.
    complete : bool, default False
        True to hide no values.
    informative : float, default 0
        Log drop-out rate per unit of log hazard: above 0 patients at risk leave earlier, and
        censoring is no longer independent of outcome. At 0 it is independent of everything.

    Returns
    -------
    frame : DataFrame, shape (n_patients, n_columns)
        The cohort file's columns; None or NaN where missing. A value below its detection limit is
        given as the limit divided by the square root of 2.
    truth : Truth
        Potential outcomes per patient and the marker table. The frame does not refer to it.

    Raises
    ------
    StudyError
        If the name, size, seed or an effect cannot be used; the message says how to write it.

    Examples
    --------
    >>> frame, truth = simulate("il2-rcc", 200, seed=1, effects={"vegf": "predictive:0.5"})
    >>> len(frame), truth.mode
    (200, 'predictive on the scale of: hazard')
    """
    plan = plan_for(name, n_patients, seed, effects, confounding, complete, informative)
    if plan.published:
        frame, people = draw_with_truth(name, plan.seed, plan.n_patients)
        return frame, Truth(plan, people)
    frames, patients = [], []
    for index in range(plan.n_blocks):
        block = draw_block(plan, index)
        ids = patient_ids(block.first, len(block.treated), block.width)
        frames.append(to_frame(block.observed, ids))
        patients.append(to_frame(patient_truth(block, plan.design), ids))
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    people = pd.concat(patients, ignore_index=True) if len(patients) > 1 else patients[0]
    return frame, Truth(plan, people)
