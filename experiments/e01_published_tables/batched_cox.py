"""A Cox fit of arm, marker and arm × marker over many cohorts of one size at once."""

import numpy as np
from scipy.stats import chi2


def interaction_p(arm, marker, time, event):
    """Likelihood-ratio p of arm × marker in each cohort.

    Parameters
    ----------
    arm, marker, time, event : ndarray, shape (n_cohorts, n_patients)
        No tied times.

    Returns
    -------
    ndarray, shape (n_cohorts,)
    """
    order = np.argsort(-time, axis=1)
    arm, marker, event = (np.take_along_axis(v, order, axis=1) for v in (arm, marker, event))
    marker = marker - marker.mean(axis=1, keepdims=True)
    full = np.stack([arm - 0.5, marker, (arm - 0.5) * marker], axis=2)
    gain = _log_likelihood(full, event) - _log_likelihood(full[:, :, :2], event)
    return chi2.sf(2.0 * gain, 1)


def _log_likelihood(x, event):
    """Maximised log partial likelihood of each cohort, by Newton steps; latest time first."""
    n_cohorts, _, p = x.shape
    beta = np.zeros((n_cohorts, p))
    for _ in range(7):
        value, score, information = _parts(x, event, beta)
        step = np.linalg.solve(information, score[..., None])[..., 0]
        beta += np.clip(step, -1.0, 1.0)
    assert np.abs(step).max() < 1e-6
    return value


def _parts(x, event, beta):
    """Log-likelihood, score and information."""
    eta = np.einsum("bnp,bp->bn", x, beta)
    weight = np.exp(eta)
    zero = np.cumsum(weight, axis=1)
    mean = np.cumsum(weight[..., None] * x, axis=1) / zero[..., None]
    value = (event * (eta - np.log(zero))).sum(axis=1)
    score = np.einsum("bn,bnp->bp", event, x - mean)
    p = x.shape[2]
    information = np.empty((len(x), p, p))
    for i in range(p):
        for j in range(i, p):
            second = np.cumsum(weight * x[..., i] * x[..., j], axis=1) / zero
            entry = (event * (second - mean[..., i] * mean[..., j])).sum(axis=1)
            information[:, i, j] = information[:, j, i] = entry
    return value, score, information
