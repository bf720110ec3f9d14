"""Answers a report needs and no software can know: the study's ``[reporting]`` table."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Reporting"]


class Reporting(BaseModel):
    """What a reader of the evidence pack must be told and no software can know.

    Each text answers an item of a reporting checklist or a line of a model card; it is printed as
    the author's own words. No analysis reads them, so they are no part of the study's digest.

    Examples
    --------
    >>> Reporting(ethics="Board 12/2024; written consent").ethics
    'Board 12/2024; written consent'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    abstract: str = Field(default="", description="where the structured abstract can be read")
    rationale: str = Field(default="", description="why this question, and what is known already")
    intended_use: str = Field(default="", description="which decision, in whom, by whom, when")
    not_for: str = Field(default="", description="uses for which the model must not serve")
    inequalities: str = Field(default="", description="known differences in care between groups")
    data_source: str = Field(default="", description="trial, cohort or registry, and why it fits")
    dates: str = Field(default="", description="first and last enrolment, end of follow-up")
    setting: str = Field(default="", description="kind, number and place of centres")
    eligibility: str = Field(default="", description="who could enter and who could not")
    selection: str = Field(default="", description="how cases were chosen; forward or backward")
    treatments: str = Field(default="", description="treatments received, and how chosen")
    outcome_assessment: str = Field(default="", description="how, when and why these outcomes")
    outcome_blinding: str = Field(default="", description="what assessors of outcome knew")
    marker_choice: str = Field(default="", description="how candidate columns were chosen")
    marker_assessment: str = Field(default="", description="how and when columns were measured")
    specimen: str = Field(default="", description="material, how taken, kept and stored")
    assay: str = Field(default="", description="method, protocol, reagents, quality control")
    assay_blinding: str = Field(default="", description="what assessors of the marker knew")
    marker_relations: str = Field(default="", description="markers beside standard variables")
    sample_size: str = Field(default="", description="how the number of patients came about")
    fairness: str = Field(default="", description="what was done so that no group is wronged")
    ethics: str = Field(default="", description="approving board and number, and consent")
    funding: str = Field(default="", description="who paid, and what they had a say in")
    conflicts: str = Field(default="", description="conflicts of interest and disclosures")
    protocol: str = Field(default="", description="where the protocol can be read")
    registration: str = Field(default="", description="registry and number of the study")
    data_sharing: str = Field(default="", description="whether and where the data can be had")
    code_sharing: str = Field(default="", description="whether and where the code can be had")
    involvement: str = Field(default="", description="part that patients and public had")
    interpretation: str = Field(default="", description="what it means, beside earlier work")
    implications: str = Field(default="", description="what should follow, in research and care")
    use_in_practice: str = Field(default="", description="what users need, poor input included")
    contact: str = Field(default="", description="who answers for the model")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        """Refuse a name that is none, with the nearest that is."""
        faults = []
        for name in data if isinstance(data, dict) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(str(name), cls.model_fields, 1, 0.5)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                faults.append(f"{name!r} is not a name of this table{meant}")
        if faults:
            raise ValueError("; ".join(faults))
        return data
