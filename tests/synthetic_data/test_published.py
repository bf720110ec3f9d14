"""Fixtures and draws of published studies: exact tables, exact margins, coherent rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from biomarker.errors import StudyError
from synthetic_data.covariates import upton_group
from synthetic_data.draw_parts import sample_by_outcome, weibull_times
from synthetic_data.facts import catalogue, recipe
from synthetic_data.models import archive_population, pattern_shares
from synthetic_data.published import couple, draw, fixture

TABLES = [r.name for r in catalogue() if "table" in r.design and r.name != "fyfe-1995"]
PUBLISHED = [r.name for r in catalogue() if r.kind == "published"]


@pytest.mark.parametrize("name", TABLES)
def test_fixtures_have_one_row_per_patient(name):
    """A fixture holds as many shuffled, numbered rows as its tables declare."""
    rows = fixture(name)
    assert len(rows) == sum(t["n"] for t in recipe(name).design["table"])
    assert rows["patient_id"].is_unique
    assert rows.equals(fixture(name))


def test_a_fixture_with_two_snapshots_asks_which():
    """One trial reported twice is two tables; neither is the default."""
    assert len(fixture("fyfe-1995", "2000")) == 255
    with pytest.raises(StudyError, match="1995, 2000"):
        fixture("fyfe-1995")
    with pytest.raises(StudyError, match="exact tables"):
        fixture("negrier-vegf")


def test_archive_features_give_the_declared_pattern():
    """The archive's percentages compute to its pattern groups in every clear cell tumour."""
    rows = fixture("atkins-2005").query("histology == 'clear_cell'")
    columns = [rows[f"{k}_percent"].to_numpy(float) for k in ("alveolar", "granular", "papillary")]
    group = upton_group(np.ones(len(rows), dtype=bool), *columns)
    assert (
        np.array(["good", "intermediate", "poor"])[group].tolist() == rows["pattern_group"].tolist()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_draws_are_seeded_coherent_and_sized(name):
    """A replicate has the published size, repeats with its seed, and has PFS within OS."""
    first = draw(name, 3)
    assert first.equals(draw(name, 3))
    assert not first.equals(draw(name, 4))
    if {"pfs_months", "os_months"} <= set(first):
        assert (first["pfs_months"] <= first["os_months"]).all()
        responder = first["response"].isin(["CR", "PR"])
        assert first["pfs_months"][responder].min() > 1.4
    assert len(draw(name, 3, 500)) == 500
    assert not [c for c in first if c.startswith("truth:")]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_coupling_keeps_both_margins(seed):
    """Rearranging survival to follow PFS changes no value, only who has it."""
    rng = np.random.default_rng(seed)
    pfs = weibull_times(rng.random(400), {"median": 4.0, "shape": 1.0})
    later = weibull_times(rng.random(400), {"median": 12.0, "shape": 1.0})
    paired = couple(rng, pfs, later)
    assert (pfs <= paired).all()
    assert np.abs(np.sort(paired) - np.sort(later)).max() < 0.5
    rank = np.corrcoef(np.argsort(np.argsort(pfs)), np.argsort(np.argsort(paired)))[0, 1]
    assert rank < 0.9


def test_weibull_times_hit_the_stated_points():
    """Median, a second point and the plateau are where the curve is told to pass."""
    u = np.random.default_rng(1).random(200_000)
    two = weibull_times(u, {"median": 42.4, "at": 24.0, "alive": 0.682})
    assert (two > 42.4).mean() == pytest.approx(0.5, abs=0.004)
    assert (two > 24.0).mean() == pytest.approx(0.682, abs=0.004)
    plateau = weibull_times(u, {"median": 12.0, "shape": 1.1, "plateau": 0.1})
    assert np.isinf(plateau).mean() == pytest.approx(0.1, abs=0.003)
    assert np.median(plateau) == pytest.approx(12.0, rel=0.02)
    assert kstest(weibull_times(u, {"median": np.log(2), "shape": 1.0}), "expon").pvalue > 0.001


def test_enrichment_comes_from_sampling_not_from_response():
    """The archive is 41% responders because it was sampled so; its population has one in five."""
    rng = np.random.default_rng(2)
    people = archive_population(rng, recipe("atkins-2005").design, 40_000, 0.20)
    responder = people["response"].isin(["CR", "PR"])
    assert responder.mean() == pytest.approx(0.20, abs=0.01)
    sample = sample_by_outcome(people, 27, 39, rng)
    assert sample["response"].isin(["CR", "PR"]).sum() == 27
    with pytest.raises(StudyError, match="larger population"):
        sample_by_outcome(people.head(20), 27, 39, rng)


@pytest.mark.parametrize(("base_rate", "value"), [(0.14, 0.25), (0.25, 0.41)])
def test_predictive_values_do_not_transfer(base_rate, value):
    """At trial response rates the integrated rule is right in 25% or 41%, not the archive's 59%."""
    rng = np.random.default_rng(3)
    people = archive_population(rng, recipe("atkins-2005").design, 200_000, base_rate)
    pattern = people["pattern_group"]
    good = (pattern == "good") | ((pattern == "intermediate") & (people["caix"] > 85))
    assert people["response"].isin(["CR", "PR"])[good].mean() == pytest.approx(value, abs=0.01)


def test_factor_patterns_fill_their_groups():
    """Patterns of six factors have no factor, one or two, or three and more, by group."""
    patterns, shares = pattern_shares([0.3] * 6)
    count = patterns.sum(axis=1)
    assert shares.sum(axis=1) == pytest.approx([1.0, 1.0, 1.0])
    assert set(count[shares[1] > 0]) == {1.0, 2.0}
    assert count[shares[2] > 0].min() == 3.0
