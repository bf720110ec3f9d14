"""What the claim linter must refuse and what it must let pass."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pack.claims import Gate, Passage, lint, sentences
from pipelines.pack.printed import Values
from pipelines.report.words import CAUTION

RUN = {
    "n_patients": 686,
    "n_events": 299,
    "n_treated": 246,
    "events_treated": 94,
    "share_with_event": 299 / 686,
    "share_missing": 0.0712,
    "uno": 0.6812,
    "uno_low": 0.6401,
    "uno_high": 0.7218,
    "slope": -0.0574,
    "slope_low": -0.274,
    "slope_high": 0.0977,
    "ratio": 0.7531,
    "ratio_low": 0.5744,
    "ratio_high": 0.9863,
    "p_interaction": 0.0141,
    "p_adjusted": 0.0982,
    "p_prognostic": 0.000009,
    "horizon_days": 1095.0,
    "n_required": 4286,
    "seed": 0,
}
VALUES = Values().add_json(RUN)
GATE = Gate(
    claimed=frozenset({("caix", "os")}),
    markers={"caix": ("caix", "CAIX, tissue"), "progrec": ("progrec", "Progesterone receptor")},
    endpoints={"os": ("os", "Overall survival"), "rfs": ("rfs", "Relapse-free survival")},
    declared=("CAIX, tissue", "Progesterone receptor", "Drug 200 mg causes cure", "predictive",
              "Overall survival", "A 3-arm trial, 2019"),
)  # fmt: skip


def faults(text: str, attribution: bool = False, where: str = "") -> list[str]:
    """What is wrong with one passage."""
    return [fault.wrong for fault in lint([Passage(where, text, attribution)], VALUES, GATE)]


WRONG_NUMBERS = [
    "Uno’s concordance index is 0.78.",
    "Uno’s concordance index is 0.682.",
    "The index is 0.6813.",
    "The slope is 0.057.",  # the sign is gone
    "The slope is +0.0574.",
    "There were 687 patients.",
    "There were 6860 patients.",
    "There were 1,686 patients.",
    "Events were seen in 44.6% of patients.",
    "Events were seen in 34 % of patients.",
    "Events were seen in 44.6 per cent of patients.",
    "7.9% of values are missing.",
    "The p-value was .041.",
    "Adjusted p .010.",
    "p < .000001 for the interaction.",
    "Follow-up reached 1,905 days.",
    "Follow-up reached 36 months.",
    "About 4,300 patients would be needed.",
    "Concordance 0.68 (0.57 to 0.99).",  # ends of another estimate
    "Concordance 0.68 (0.64 to 0.99).",
    "The ratio is 0.753, 95% interval 0.640 to 0.722.",
    "The ratio is 0.753 (0.640 to 0.722).",
    "The ratio is 0.68 (95% interval 0.574 to 0.986).",
    "The ratio is 0.753 (95% interval 0.574 to 0.968).",
    "In 246 treated, 49 died.",
    "It was 12x higher.",
    "It was 2.5-fold higher.",
    "A quarter (25%) relapsed.",
    "AUC0.95 was reached.",
    "n=120 patients were scored.",
    "HR=.69 in the treated.",
    "Risk rose by 7e5.",
    "Between 50 and 94 died.",
    "The 3-year risk is 17%.",
    "٣٣ patients relapsed.",
    "1,686 were analysed.",
    "In 1 of them, n = 87.",
    "There were 43 events.",  # 43.6 per cent is no count
    "It rests on 88 patients.",
    "0.686 is the index.",
]


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_a_number_without_a_value_is_a_fault(text: str) -> None:
    """Wrong digits, signs, scales and intervals of another estimate are all found."""
    assert faults(text)


RIGHT_NUMBERS = [
    "Uno’s concordance index is 0.68.",
    "Uno’s concordance index is 0.681 (0.640 to 0.722), n = 686.",
    "Concordance 0.68 95%: 0.64 to 0.72.",
    "The slope is −0.057 (−0.274 to 0.098).",
    "The slope is -0.06.",
    "In 686 patients 299 events (44%).",
    "Events in 43.6% of patients; 7.1% of values missing.",
    "94 of 246 treated patients had the event.",
    "94/246 in the treated.",
    "p .014, adjusted p .098.",
    "p = 0.014; adjusted p = 0.10.",
    "p < .001 under control, p < 0.05 for the interaction.",
    "The ratio is 0.753, 95% interval 0.574 to 0.986, per SD of log.",
    "The interval excludes ratios below 0.574 and above 0.986.",
    "At 1,095 days the curve is read.",
    "At 1095 days the curve is read.",
    "Riley’s criteria ask for 4,286 patients.",
    "Riley’s criteria ask for 4286 patients (Riley et al. 2019).",
    "The run started 2026-11-22 12:00 UTC.",
    "The run started 2026-11-27T01:04:03Z, data digest 579fe3adfcff.",
    "Trained with Python 3.11.9 and numpy 2.0.0, release 0.1.0.",
    "Columns log1p(cd40) and IL-2 entered, R2 was not computed.",
    "Holm (1979) adjusts; see Uno et al. (2011), Stat Med 2011;30:1105–1117.",
    "See Table 2, Figure 3 and items 12a.",
    "McShane LM, et al. PLoS Med 2012;9:e1001216.",
    "Bars: 95% intervals; bands: 95% pointwise.",
    "A ratio that could be found with 80% power is printed.",
    "Below 1 the predictions are too extreme, above 1 too timid.",
    "The ratio is the interaction; 1 is no change.",
    "They correlate above 0.8, and are read together.",
    "Load models:/il2-os@candidate or models:/m-os/12 to score.",
    "A 3-arm trial, 2019: 686 patients.",
    "Seed 0.",
    "No number is claimed here at all.",
]


@pytest.mark.parametrize("text", RIGHT_NUMBERS)
def test_a_number_of_the_run_passes(text: str) -> None:
    """Computed values at any printed precision pass, and so does what is no result."""
    assert faults(text) == []


CAUSAL = [
    "VEGF causes early death.",
    "High VEGF is a cause of death.",
    "VEGF drives survival.",
    "The drivers of response are VEGF and age.",
    "Survival is driven by VEGF.",
    "High VEGF leads to worse survival.",
    "High VEGF led to relapse.",
    "High VEGF results in relapse.",
    "CAIX reduces risk.",
    "CAIX reduced mortality.",
    "Lowering VEGF would help.",
    "CAIX improves survival.",
    "CAIX is improving the outcome.",
    "CAIX protects patients.",
    "CAIX has a protective effect.",
    "Age increases the hazard.",
    "Raising CAIX raises survival.",
    "VEGF worsens prognosis.",
    "VEGF prevents response.",
    "VEGF accelerates progression.",
    "Death is due to VEGF.",
    "VEGF is responsible for the relapse.",
    "Relapse occurred because of VEGF.",
    "VEGF influences survival.",
    "VEGF affects survival.",
    "VEGF impacts survival.",
    "VEGF triggers relapse.",
    "VEGF has a causal effect.",
    "VEGF determines the outcome.",
    "CAIX prolongs life.",
    "CAIX extends survival.",
    "CAIX makes patients live longer.",
    "If VEGF were lowered, survival would follow.",
    "VEGF lowers survival.",
    "VEGF doubles the risk.",
    "VEGF brings about relapse.",
    "VEGF does not cause relapse.",  # a claim too
    "VEGF moved the hazard.",
]


@pytest.mark.parametrize("text", CAUSAL)
def test_attribution_never_says_cause(text: str) -> None:
    """In text on attribution each of these is a fault; elsewhere this rule is silent."""
    assert any("says cause" in wrong for wrong in faults(text, attribution=True))
    assert not any("says cause" in wrong for wrong in faults(text))


NOT_CAUSAL = [
    CAUTION,
    "VEGF is associated with worse survival.",
    "High VEGF raises the predicted risk.",
    "The column moves the margin up.",
    "The column lowers the model’s prediction.",
    "Right of zero where the column moves the margin up.",
    "Patients with increased VEGF are on the right.",
    "An increase in VEGF goes with a higher margin.",
    "Lower is better; higher = worse.",
    "Attribution does not show that VEGF causes anything.",
    "Importance is not cause.",
    "Importance says nothing about what would happen if VEGF were lowered.",
    "This is no evidence that VEGF drives survival.",
    "The data do not determine how attribution is shared among them.",
    "The results in the other models stand below.",
    "Bars extend from the lower to the upper end.",
    "Largest mean absolute attribution: VEGF, age.",
    "Which columns moved the forecast.",
    "Values moved between folds.",
    "Drug 200 mg causes cure: attribution against value.",  # the study's own label
]


@pytest.mark.parametrize("text", NOT_CAUSAL)
def test_attribution_may_describe_the_model(text: str) -> None:
    """Association, the model's own output and fixed cautions pass."""
    assert faults(text, attribution=True) == []


def test_a_sentence_on_importance_is_held_to_it_anywhere() -> None:
    """The rule follows the sentence, not only the heading above it."""
    assert faults("By its importance VEGF drives survival.")
    assert faults("Attribution is no proof, but VEGF causes relapse.")
    assert faults("SHAP shows that VEGF improves survival.")


UNGATED = [
    "Progesterone receptor is predictive for Overall survival.",
    "CAIX, tissue is predictive for Relapse-free survival.",
    "CAIX, tissue and Progesterone receptor are predictive for Overall survival.",
    "CAIX, tissue is predictive.",  # of which endpoint?
    "The marker is predictive.",
    "A highly predictive signature.",
    "The model has good predictive performance.",
    "Predictive: Progesterone receptor, Overall survival.",
    "Predictively, progrec on os stands out.",
    "caix on os is not predictive.",
    "progrec is non-predictive.",
    "The marker isn't predictive.",
    "The model is validated.",
    "A validated model.",
    "Externally validated in 686 patients.",
    "The signature was validated and cross-validated.",
    "predictive effect not established for caix, yet it is predictive for progrec.",
    "predictive",
]


@pytest.mark.parametrize("text", UNGATED)
def test_strong_words_need_their_gate(text: str) -> None:
    """The word for a marker, endpoint or model that the evidence does not carry is a fault."""
    assert faults(text)


GATED = [
    "CAIX, tissue is predictive for Overall survival.",
    "caix, os: predictive and prognostic.",
    "Overall survival. predictive CAIX, tissue; prognostic Progesterone receptor.",
    "progrec, os: predictive effect not established.",
    "Predictive effect is not estimable for progrec.",
    "The predictive part is withheld: no interaction is established.",
    "No predictive effect of progrec was shown.",
    "Whether progrec is predictive cannot be told.",
    "The positive predictive value was not computed.",
    "The word “predictive” needs two arms.",
    "The model was cross-validated.",
    "The model was not validated on patients from elsewhere.",
    "The model has never been externally validated.",
    "Out of fold validation, not hold-out.",
]


@pytest.mark.parametrize("text", GATED)
def test_strong_words_pass_where_the_evidence_carries_them(text: str) -> None:
    """A claimed marker on its endpoint, and every way of not claiming, pass."""
    assert faults(text) == []


def test_validation_elsewhere_opens_its_word() -> None:
    """With patients from elsewhere the word is allowed, and only then."""
    assert lint(["The model is validated."], VALUES, Gate(validated=True)) == []
    assert lint(["The model is validated."], VALUES, Gate())


def test_headings_say_which_endpoint_is_meant() -> None:
    """A table row names the marker; the heading above it names the endpoint."""
    row = "CAIX, tissue | predictive (exploratory)"
    assert faults(row, where="Evidence › Overall survival") == []
    assert faults(row, where="Evidence › Relapse-free survival")


def test_a_column_called_by_a_guarded_word_does_not_open_the_gate() -> None:
    """A label that is only the word covers nothing."""
    gate = Gate(declared=("predictive", "Predictive!", "12.5"))
    assert lint(["The marker is predictive."], VALUES, gate)
    assert lint(["The risk is 12.5."], VALUES, gate)


def test_a_name_cut_short_in_a_drawing_stays_the_studys() -> None:
    """Fragments of declared names are not judged, in drawings alone."""
    gate = Gate(declared=("Externally validated ten-gene signature",))
    for part in ("validated ten-gene", "Externally validated ten-…"):
        assert lint([Passage("", part, numbers=False)], VALUES, gate) == []
        assert lint([Passage("", f"It is {part}.", numbers=False)], VALUES, gate)
        assert lint([f"{part} it is"], VALUES, gate)


def test_a_fault_says_where_what_and_why() -> None:
    """Place, sentence and reason, and the sentence alone, not the passage."""
    found = lint([Passage("Summary", "All is well. The risk is 0.47. More follows.")], VALUES, GATE)
    assert [str(fault) for fault in found] == [
        "Summary: “The risk is 0.47.” — 0.47 equals no computed value at printed precision"
    ]


def test_enough_sentences_are_held_on_both_sides() -> None:
    """The adversarial lists hold at least forty each, none twice."""
    wrong = [*WRONG_NUMBERS, *CAUSAL, *UNGATED]
    right = [*RIGHT_NUMBERS, *NOT_CAUSAL, *GATED]
    assert len(set(wrong)) == len(wrong) >= 40
    assert len(set(right)) == len(right) >= 40


@given(st.floats(-1e4, 1e4, allow_nan=False), st.integers(0, 4))
def test_a_value_printed_at_any_precision_passes_and_a_shifted_one_does_not(
    value: float, places: int
) -> None:
    """Rounding never makes a fault; a whole unit of the last digit always does."""
    text = f"{value:.{places}f}"
    only = Values().add_json({"x": value})
    assert lint([f"It is {text} here."], only) == []
    shifted = f"{float(text) + 3 * 10.0**-places:.{places}f}"
    assert lint([f"It is {shifted} here."], only)


@given(st.lists(st.sampled_from(["One is here.", "p .05.", "See e.g. this.", "Uno et al. wrote."])))
def test_sentences_part_a_text_without_losing_any(parts: list[str]) -> None:
    """Joining the sentences gives the text back."""
    text = " ".join(parts)
    assert " ".join(sentences(text)) == text


@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    """No input breaks the linter, and no fault holds more than its sentence."""
    for fault in lint([text], VALUES, GATE):
        assert re.sub(r"\s+", " ", fault.sentence).rstrip("…") in " ".join(text.split())
