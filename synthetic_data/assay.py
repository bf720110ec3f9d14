"""What the laboratory reports: centre, plate, reader and assay error, rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from synthetic_data.covariates import caix_from_score
from synthetic_data.table import Coded, Floats, Table

__all__ = ["centre_offsets", "heap", "measure", "platform_offsets"]

# Serum holds about 3.3 times the VEGF of plasma; the spread of the ratio is assumed.
PLASMA_LOG_OFFSET = 1.19
PLASMA_LOG_SD = 0.3


def centre_offsets(n_centres: int, sd: float, marker: str) -> Floats:
    """Fixed centre offsets on the log scale: normal quantiles in an order set by the marker.

    They are constants of the design, not draws, so that the measured distribution, and with it
    every marginal truth, is one number per design.

    Parameters
    ----------
    n_centres : int
        Number of centres.
    sd : float
        Standard deviation of the offsets.
    marker : str
        Name that fixes the order.
    """
    quantiles = ndtri((np.arange(n_centres) + 0.5) / n_centres)
    quantiles *= 1.0 / max(float(np.std(quantiles)), 1e-12) if n_centres > 1 else 0.0
    order = np.random.default_rng([len(marker), *marker.encode()]).permutation(n_centres)
    return np.asarray(sd * quantiles[order])


def platform_offsets(platforms: Mapping[str, float], n_centres: int) -> Floats:
    """Log offset of each centre's assay platform; centres are dealt over the platforms in turn.

    Parameters
    ----------
    platforms : mapping of str to float
        Offset of each platform against the reference, on the log scale.
    n_centres : int
        Number of centres.
    """
    offsets = np.asarray(list(platforms.values()), dtype=np.float64)
    return np.asarray(offsets[np.arange(n_centres) % len(offsets)])


def heap(percent: Floats) -> Floats:
    """Percentages as readers write them: steps of 5, finer only above 95 and below 5.

    Readings between 85 and 90 become 90: a reader who sees more than the cut writes more than it.

    Parameters
    ----------
    percent : ndarray, shape (n_patients,)
        Values from 0 to 100.
    """
    coarse = 5.0 * np.round(percent / 5.0)
    coarse = np.where((percent > 85.0) & (percent < 90.0), 90.0, coarse)
    fine = np.round(percent)
    return np.where((percent > 95.0) | (percent < 5.0), fine, coarse)


def measure(
    rng: np.random.Generator,
    table: Table,
    design: Mapping[str, Any],
    centre: npt.NDArray[np.integer],
    plate: npt.NDArray[np.integer],
) -> Table:
    """Measured columns from true ones: ln y = ln x + centre + platform + matrix + plate + noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Stream of the laboratory alone.
    table : dict of columns
        True values.
    design : mapping
        ``assay`` holds one entry per analyte, ``centres`` their number.
    centre, plate : ndarray of int, shape (n_patients,)
        Codes from 0.

    Returns
    -------
    dict of columns
        The table with measured analytes in place of true ones. Values below a detection limit
        keep their measured number; :mod:`synthetic_data.schema` writes them as text.
    """
    measured = dict(table)
    n = len(centre)
    for name, assay in design["assay"].items():
        column = table[name]
        assert not isinstance(column, Coded)
        if "reliability" in assay:
            # noise enters the latent score, so the distribution of readings is the stated margin
            keep = assay["reliability"]
            score = np.sqrt(keep) * np.asarray(table["caix_score"])
            score += np.sqrt(1.0 - keep) * rng.standard_normal(n)
            measured[name] = heap(caix_from_score(table, score, design["margins"][name]))
            continue
        shift = assay["noise_sd"] * rng.standard_normal(n)
        if assay["centre_sd"]:
            shift += centre_offsets(design["centres"], assay["centre_sd"], name)[centre]
        if "platforms" in assay:
            shift += platform_offsets(assay["platforms"], design["centres"])[centre]
        if assay.get("plasma_share"):
            plasma = rng.random(n) < assay["plasma_share"]
            shift -= plasma * (PLASMA_LOG_OFFSET + PLASMA_LOG_SD * rng.standard_normal(n))
        if assay["plate_sd"]:
            plates = rng.standard_normal(int(plate.max()) + 1 - int(plate.min()))
            shift += assay["plate_sd"] * plates[plate - plate.min()]
        measured[name] = np.asarray(column) * np.exp(shift)
    return measured
