"""IL-2 receptor trafficking and ligand depletion (Fallon and Lauffenburger 2000), as an ODE model.

Receptors and complexes are counted per cell, ligand in pM, cells per litre, time in minutes. The
right-hand side follows the public encoding (BioModels BIOMD0000000665), including its use of the
surface association rate inside the endosome's ligand balance, where the endosomal one would be
expected; the published anchors hold for the encoding as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from biomarker.errors import StudyError
from synthetic_data.table import Floats

__all__ = ["ANALOGUE", "WILD_TYPE", "Kinetics", "Rates", "exposure", "simulate_kinetics"]

MINUTES_PER_DAY = 1440.0
_AVOGADRO_PMOL = 6.022e11  # molecules per pmol


@dataclass(frozen=True)
class Rates:
    """Rate constants, per minute unless stated.

    Parameters
    ----------
    kr, kf : float
        Dissociation, and association per pM, at the surface.
    kre, kfe : float
        The same in the endosome.
    kt, ke, kh, kx : float
        Constitutive internalisation, internalisation of complexes, degradation, recycling.
    vs : float
        Receptors made per cell and minute.
    ksyn : float
        Receptors made in response to surface complexes.
    volume : float
        Endosomal volume, litres.
    """

    kr: float = 0.0138
    kf: float = 0.0138 / 11.1
    kre: float = 8.0 * 0.0138
    kfe: float = 8.0 * 0.0138 / 1000.0
    kt: float = 0.007
    vs: float = 11.0
    ksyn: float = 0.0011
    ke: float = 0.04
    kx: float = 0.15
    kh: float = 0.035
    volume: float = 1e-14


WILD_TYPE = Rates()
ANALOGUE = replace(WILD_TYPE, kf=0.0138 / 8.2, kre=5.0 * 0.0138, kfe=5.0 * 0.0138 / 3000.0)

# surface receptors, surface complexes, endosomal receptors, endosomal complexes, endosomal ligand
# (pM), degraded ligand, medium ligand (pM), cells per litre
_START = (1500.0, 1.0, 300.0, 1.0, 0.01, 0.0, 10.0, 2.5e8)


@dataclass(frozen=True)
class Kinetics:
    """Solution at the times asked for.

    Attributes
    ----------
    days : ndarray, shape (n_times,)
    ligand : ndarray, shape (n_times,)
        IL-2 in the medium, pM.
    cells : ndarray, shape (n_times,)
        Relative to the start.
    complexes : ndarray, shape (n_times,)
        Surface complexes per cell.
    """

    days: Floats
    ligand: Floats
    cells: Floats
    complexes: Floats


def _slope(_: float, state: Floats, rates: Rates) -> list[float]:
    """Right-hand side of the eight equations."""
    rs, cs, ri, ci, li, _degraded, ligand, cells = state
    bind = rates.kf * ligand * rs
    inside = rates.kfe * li * ri
    growth = 1000.0 * (600.0 * cs / (250.0 + cs) - 200.0)
    recycled = rates.kx * li * rates.volume * _AVOGADRO_PMOL
    return [
        rates.vs - rates.kt * rs - bind + rates.kr * cs + rates.ksyn * cs,
        bind - (rates.kr + rates.ke) * cs,
        rates.kt * rs - inside + rates.kre * ci - rates.kh * ri,
        rates.ke * cs + inside - (rates.kre + rates.kh) * ci,
        -(rates.kf * li * ri - rates.kre * ci) / (rates.volume * _AVOGADRO_PMOL) - rates.kx * li,
        rates.kh * ci,
        -(bind - rates.kr * cs - recycled) * cells / _AVOGADRO_PMOL,
        max(0.0, growth),
    ]


def simulate_kinetics(ligand_pm: float, days: npt.ArrayLike, rates: Rates = WILD_TYPE) -> Kinetics:
    """Solve the model from a starting ligand concentration.

    Parameters
    ----------
    ligand_pm : float
        IL-2 in the medium at the start, pM.
    days : array-like, shape (n_times,)
        Times to report, rising, from 0.
    rates : Rates
        :data:`WILD_TYPE` or :data:`ANALOGUE`.

    Raises
    ------
    StudyError
        If the concentration is negative or the times do not rise from 0 or later.

    Examples
    --------
    >>> round(float(simulate_kinetics(10.0, [1.0]).ligand[0]), 3)
    6.159
    """
    times = np.asarray(days, dtype=np.float64)
    if not ligand_pm >= 0.0:
        raise StudyError(f"ligand_pm must be at least 0; got {ligand_pm!r}.")
    if times.ndim != 1 or not len(times) or times[0] < 0.0 or (np.diff(times) <= 0.0).any():
        raise StudyError(f"days must rise from 0 or later; got {len(times)} value(s) that do not.")
    start = np.asarray(_START)
    start[6] = ligand_pm
    minutes = times * MINUTES_PER_DAY
    solved = solve_ivp(
        _slope,
        (0.0, float(minutes[-1]) or 1.0),
        start,
        method="LSODA",
        t_eval=minutes,
        args=(rates,),
        rtol=1e-8,
        atol=1e-10,
    )
    return Kinetics(times, solved.y[6], solved.y[7] / start[7], solved.y[1])


def exposure(doses_pm: npt.ArrayLike, days: float = 5.0, rates: Rates = WILD_TYPE) -> Floats:
    """Area under the curve of surface complexes over some days, for each starting dose.

    A dose-exposure covariate: it saturates, since receptors and not ligand become limiting.

    Parameters
    ----------
    doses_pm : array-like, shape (n_patients,)
        Starting concentrations, pM.
    days : float
        Length of exposure.
    rates : Rates
        Which ligand.

    Returns
    -------
    ndarray, shape (n_patients,)
        Complexes per cell times days, interpolated on 25 solved doses.
    """
    doses = np.asarray(doses_pm, dtype=np.float64)
    grid = np.geomspace(max(float(doses.min()), 1e-3), max(float(doses.max()), 2e-3), 25)
    times = np.linspace(0.0, days, 201)
    area = [np.trapezoid(simulate_kinetics(d, times, rates).complexes, times) for d in grid]
    return np.asarray(np.interp(np.log(np.maximum(doses, grid[0])), np.log(grid), area))
