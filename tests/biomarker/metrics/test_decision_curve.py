from __future__ import annotations

import numpy as np
import pytest

from biomarker.metrics import net_benefit, survival_net_benefit
from biomarker.outcomes import survival_outcome


def test_counts_by_hand():
    """Two true and one false positive of five at a threshold of one quarter."""
    result = net_benefit([1, 1, 0, 0, 0], [0.9, 0.3, 0.5, 0.1, 0.2], [0.25])
    assert result.value[0] == pytest.approx(2 / 5 - 1 / 5 * (0.25 / 0.75))
    assert result.treat_all[0] == pytest.approx(2 / 5 - 3 / 5 / 3)


def test_acting_on_nobody_has_no_benefit():
    """Above every prediction the net benefit is that of treating none."""
    assert net_benefit([1, 0], [0.2, 0.1], [0.9]).value[0] == 0.0


def test_survival_without_censoring_equals_response():
    """Weights of one: the two functions agree."""
    y = survival_outcome([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0])
    S = np.array([0.1, 0.7, 0.4, 0.9])
    thresholds = [0.2, 0.5]
    with_time = survival_net_benefit(y, y, S, 2.5, thresholds)
    plain = net_benefit([1, 1, 0, 0], 1 - S, thresholds)
    np.testing.assert_allclose(with_time.value, plain.value)
    assert with_time.horizon == 2.5


def test_thresholds_lie_strictly_inside():
    """A threshold of one would weigh a false positive infinitely."""
    with pytest.raises(ValueError, match="strictly between"):
        net_benefit([1, 0], [0.2, 0.1], [1.0])
