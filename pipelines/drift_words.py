"""What changed between a scored file and the training rows, in words."""

from __future__ import annotations

from biomarker.metrics.drift import Check, Drift

__all__ = ["change_words", "drift_lines"]

# What each check is about, in a sentence, and what its n counts.
_WHAT = {
    "psi": ("distribution", "known values"),
    "missing": ("missing values", "rows"),
    "below_detection": ("values below detection", "known values"),
    "above_detection": ("values above detection", "known values"),
    "outside_training_range": ("values outside the training range", "known values"),
    "distance": ("rows far from the training rows over all columns together", "rows"),
}


def drift_lines(drift: Drift) -> list[str]:
    """A line for each check with a verdict, the worst first."""
    return [
        f"{check.verdict} drift: {check.column or 'all columns'}: {change_words(check)}"
        for check in drift.drifting
    ]


def change_words(check: Check) -> str:
    """What changed, with its size, interval or chance, n and unit."""
    about, counted = _WHAT[check.what]
    n = f"n = {check.n:,} {counted}"
    if check.what == "psi":
        return (
            f"{about}, population stability index {check.value:.2f} (by sampling alone up to "
            f"{check.by_chance:.2f}; {n})"
        )
    assert check.share is not None
    assert check.training is not None
    assert check.low is not None
    assert check.high is not None
    if check.what in ("outside_training_range", "distance"):
        interval = f"95% interval {100 * check.low:.1f}% to {100 * check.high:.1f}%"
    else:
        interval = (
            f"change {100 * check.value:+.1f} points, 95% interval {100 * check.low:+.1f} to "
            f"{100 * check.high:+.1f}"
        )
    words = (
        f"{about}, {100 * check.share:.1f}% against {100 * check.training:.1f}% in training "
        f"({interval}; {n})"
    )
    return words.replace("-", "−")
