"""The IL-2 trafficking model reproduces its anchors and behaves as biology says."""

import numpy as np
import pytest

from biomarker.errors import StudyError
from synthetic_data.il2_kinetics import ANALOGUE, WILD_TYPE, exposure, simulate_kinetics


def test_anchors():
    """Ligand and growth from 10 and 100 pM, wild type and analogue, to one part in a thousand."""
    low = simulate_kinetics(10.0, [1, 2, 3, 4, 5])
    np.testing.assert_allclose(low.ligand, [6.159, 3.379, 1.625, 0.701, 0.282], rtol=1e-3)
    assert low.cells[-1] == pytest.approx(1.121, rel=1e-3)
    assert simulate_kinetics(100.0, [5]).cells[0] == pytest.approx(3.912, rel=1e-3)
    assert simulate_kinetics(100.0, [5], ANALOGUE).cells[0] == pytest.approx(4.025, rel=1e-3)


def test_receptors_rest_where_synthesis_balances_loss():
    """Without ligand few complexes remain, near the receptors made over internalised."""
    resting = simulate_kinetics(0.0, [1.0])
    assert resting.complexes[0] < 1.0
    assert WILD_TYPE.vs / WILD_TYPE.kt == pytest.approx(1571, abs=1)


def test_exposure_saturates():
    """More ligand binds more, with less and less gain: receptors become limiting."""
    area = exposure([1.0, 10.0, 100.0, 1000.0])
    gains = np.diff(area) / area[:-1]
    assert (np.diff(area) > 0).all()
    assert gains[0] > gains[1] > gains[2]


@pytest.mark.parametrize(
    ("ligand", "days", "says"), [(-1.0, [1.0], "at least 0"), (1.0, [2.0, 1.0], "must rise")]
)
def test_bad_requests_are_named(ligand, days, says):
    """A negative dose and times that do not rise are errors."""
    with pytest.raises(StudyError, match=says):
        simulate_kinetics(ligand, days)
