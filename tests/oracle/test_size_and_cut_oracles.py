"""Published numbers of sample size and of the price of choosing a cut-point."""

from __future__ import annotations

import math

import pytest

from biomarker.evidence.cutpoint import selected_cut_p
from biomarker.evidence.sample_size import required_for_response, required_for_survival


def test_the_worked_survival_example() -> None:
    """Riley et al. 2019: R² .051, 25 parameters, rate .065, two years, follow-up 2.07 gives 4286.

    R: pmsampsize(type = "s", csrsquared = 0.051, parameters = 25, rate = 0.065, timepoint = 2,
    meanfup = 2.07)
    """
    size = required_for_survival(25, 0.065, 2.07, 2.0, explained=0.051)
    assert size.n_patients == size.for_shrinkage == 4286
    assert size.for_optimism < size.for_shrinkage
    assert size.for_precision < size.for_shrinkage


def test_the_worked_binary_precision() -> None:
    """Riley et al. 2020: an outcome in half of the patients needs 385 to know its share to .05."""
    assert required_for_response(1, 0.5).for_precision == 385


@pytest.mark.parametrize(("p", "corrected"), [(0.05, 0.4916), (0.01, 0.1615), (0.001, 0.0255)])
def test_the_corrected_p_of_a_ten_to_ninety_scan(p: float, corrected: float) -> None:
    """Miller and Siegmund over the middle 80%: .05 is really .49, .01 is .16, .001 is .026."""
    assert selected_cut_p(p) == pytest.approx(corrected, abs=5e-5)


@pytest.mark.parametrize("p", [0.01, 0.001])
def test_altmans_approximation_for_ten_to_ninety(p: float) -> None:
    """Altman et al. 1994: about -1.63 p (1 + 2.35 ln p) over 10-90%, for p from .0001 to .1."""
    assert selected_cut_p(p) == pytest.approx(-1.63 * p * (1 + 2.35 * math.log(p)), rel=0.03)
