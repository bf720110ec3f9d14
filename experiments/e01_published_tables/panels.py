"""The plot of the results page: one panel a figure, replicates against the published value."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from synthetic_data.replicate_targets import Band, Stochastic

COLUMNS = 6
GREY, BLUE, RED = "#d9d9d9", "#4878a8", "#c0392b"


def draw_panels(values: list[tuple[Stochastic, pd.DataFrame]], path: Path) -> None:
    """Draw every figure whose replicates vary; rates of yes and no are drawn as a bar.

    Parameters
    ----------
    values : list of (check, replicates)
        As run.py collects them.
    path : Path
        PNG to write.
    """
    panels = [
        (check.target, name, band, figures[name].to_numpy())
        for check, figures in values
        for name, band in check.bands.items()
    ]
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(12.6, 1.42 * rows))
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (target, name, band, found) in zip(axes.ravel(), panels, strict=False):
        axis.axis("on")
        _panel(axis, f"{target}  {name}", band, found)
    figure.suptitle(
        "Published value (red), allowed band of the mean (grey), replicates and their mean (blue)",
        fontsize=10,
        y=0.998,
    )
    figure.tight_layout(pad=0.3, h_pad=0.7, rect=(0, 0, 1, 0.993))
    figure.savefig(path, dpi=84, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: plt.Axes, title: str, band: Band, found: np.ndarray) -> None:
    """One figure: histogram of replicates, or the share of a yes-or-no figure."""
    axis.axvspan(band.low, band.high, color=GREY, lw=0)
    if set(np.unique(found)) <= {0.0, 1.0}:
        axis.barh([0], [found.mean()], color=BLUE, height=0.4)
        axis.set_ylim(-0.5, 0.5)
        axis.set_xlim(0, 1)
    else:
        bins = min(24, max(6, len(np.unique(found))))
        axis.hist(found, bins=bins, color=BLUE, alpha=0.55, lw=0)
        axis.axvline(found.mean(), color=BLUE, lw=1.4)
    if not np.isnan(band.published):
        axis.axvline(band.published, color=RED, lw=1.4)
    axis.set_title(_wrapped(title), fontsize=6.0, pad=2)
    axis.set_yticks([])
    axis.tick_params(axis="x", labelsize=5.5, length=2, pad=1)
    for side in ("top", "left", "right"):
        axis.spines[side].set_visible(False)


def _wrapped(title: str) -> str:
    """Break a long title once."""
    if len(title) <= 36:
        return title
    cut = title.rfind(" ", 0, 36)
    return f"{title[:cut]}\n{title[cut + 1 :]}"
