"""The study beside a cohort: accepted by the library, and so is the cohort under it."""

import pytest
import tomli_w

from biomarker import Cohort, Study
from biomarker.errors import StudyError
from synthetic_data import simulate, study_for
from synthetic_data.facts import catalogue

WITHOUT_OUTCOME = {"dagher-isup", "genega-2010", "vegf-reference"}
WITH_OUTCOME = [r.name for r in catalogue() if r.name not in WITHOUT_OUTCOME]


@pytest.mark.parametrize("name", WITH_OUTCOME)
def test_study_and_cohort_fit(name):
    """The study reads back from TOML and the drawn cohort meets it without a fault."""
    study = Study.from_toml(tomli_w.dumps(study_for(name)))
    size = 200 if study.name in ("il2-rcc", "il2-melanoma", "select-like") else None
    frame, _ = simulate(name, size, 3)
    cohort = Cohort.from_frame(frame, study)
    assert cohort.n_rows == len(frame)
    assert study.primary_endpoint in study.endpoints


def test_designs_are_declared():
    """The randomised design says so; the single-arm one says who was treated."""
    assert Study.from_dict(study_for("il2-rcc")).randomised
    single = Study.from_dict(study_for("select-like"))
    assert not single.randomised
    assert single.single_arm == "treated"
    assert single.arm_column is None


def test_units_limits_and_horizons_are_declared():
    """VEGF has its unit, transform and limit; survival has the design's horizons."""
    study = study_for("il2-melanoma")
    assert study["columns"]["vegf"]["detection"] == {"lower": 43.0}
    assert study["columns"]["vegf"]["unit"] == "pg/mL"
    assert study["columns"]["vegf"]["transform"] == "log"
    assert study["endpoints"]["os"]["horizons"] == [6.0, 12.0, 24.0]


def test_a_file_with_limits_as_text_is_read():
    """A cohort whose VEGF says <43 is accepted under its study."""
    import pyarrow as pa

    from synthetic_data import plan_for
    from synthetic_data.schema import as_text, cohort_batches

    batches = [as_text(b) for b in cohort_batches(plan_for("il2-melanoma", 800, 2))]
    cohort = Cohort.from_frame(
        pa.Table.from_batches(batches), Study.from_dict(study_for("il2-melanoma"))
    )
    assert cohort.n_rows == 800


@pytest.mark.parametrize("name", sorted(WITHOUT_OUTCOME))
def test_reference_distributions_have_no_study(name):
    """A recipe without outcomes is refused by name."""
    with pytest.raises(StudyError, match="have an outcome"):
        study_for(name)


def test_studies_carry_no_truth():
    """Nothing in a study file tells which marker was given an effect."""
    assert "predictive" not in tomli_w.dumps(study_for("il2-rcc"))
