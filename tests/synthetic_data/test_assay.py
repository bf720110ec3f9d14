"""The laboratory adds what is declared, and no more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic_data.assay import centre_offsets, heap, measure, platform_offsets
from synthetic_data.table import Coded

N = 40_000


def measured(assay, centres=20):
    """Ln of a constant analyte after one assay."""
    rng = np.random.default_rng(1)
    centre = rng.integers(0, centres, N)
    table = {"vegf": np.full(N, 100.0)}
    design = {"assay": {"vegf": assay}, "centres": centres}
    found = measure(rng, table, design, centre, np.arange(N) // 80)["vegf"]
    return np.log(found / 100.0), centre


def test_error_components_add_up():
    """Centre, plate and noise variances sum on the log scale."""
    shift, _ = measured({"centre_sd": 0.25, "plate_sd": 0.09, "noise_sd": 0.05})
    assert shift.std() == pytest.approx(np.sqrt(0.25**2 + 0.09**2 + 0.05**2), rel=0.05)


def test_centre_offsets_are_constants_of_the_design():
    """Offsets have mean 0 and the stated spread, whatever the cohort's seed."""
    offsets = centre_offsets(20, 0.25, "vegf")
    assert offsets.mean() == pytest.approx(0.0, abs=1e-12)
    assert offsets.std() == pytest.approx(0.25, rel=1e-9)
    assert (offsets == centre_offsets(20, 0.25, "vegf")).all()
    assert (offsets != centre_offsets(20, 0.25, "fibronectin")).any()


def test_platform_and_matrix_effects():
    """A bead array reads lower by its offset; plasma holds about a third of serum's VEGF."""
    assay = {"centre_sd": 0.0, "plate_sd": 0.0, "noise_sd": 0.0}
    shift, centre = measured(assay | {"platforms": {"elisa": 0.0, "xmap": -0.3}})
    assert platform_offsets({"elisa": 0.0, "xmap": -0.3}, 4).tolist() == [0.0, -0.3, 0.0, -0.3]
    np.testing.assert_allclose(shift[centre % 2 == 1], -0.3, atol=1e-12)
    plasma, _ = measured(assay | {"plasma_share": 0.25})
    low = plasma < -0.2
    assert low.mean() == pytest.approx(0.25, abs=0.01)
    assert np.exp(-plasma[low].mean()) == pytest.approx(3.3, rel=0.03)


@given(st.floats(0.0, 100.0))
def test_heaping_keeps_the_high_cut(percent):
    """A written percentage is above 85 exactly when the seen one is, and never leaves 0 to 100."""
    written = float(heap(np.array([percent]))[0])
    assert (written > 85.0) == (percent > 85.0)
    assert 0.0 <= written <= 100.0
    assert written == round(written)


def test_readers_disagree_but_keep_the_distribution():
    """Reader noise moves patients without moving the share of high tumours."""
    from synthetic_data.blocks import draw_block
    from synthetic_data.plan import plan_for

    block = draw_block(plan_for("il2-rcc", 40_000, 2, complete=True), 0)
    true, read = block.true["caix"], block.measured["caix"]
    assert (read > 85).mean() == pytest.approx((true > 85).mean(), abs=0.01)
    assert 0.02 < ((read > 85) != (true > 85)).mean() < 0.2
    assert np.isin(read % 5, (0, 1, 2, 3, 4)).all()
    assert isinstance(block.observed["plate"], Coded)
