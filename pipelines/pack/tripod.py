"""TRIPOD+AI: the items a report of a clinical prediction model is expected to hold."""

from __future__ import annotations

from pipelines.pack.fields import Checklist, Item, Writer, pointer
from pipelines.pack.phrases import (
    arms,
    columns_missing,
    endpoint_flow,
    endpoint_words,
    main_performance,
    model_name,
    settings_words,
)

__all__ = ["tripod"]

_SOURCE = (
    "Collins GS, Moons KGM, Dhiman P, et al. TRIPOD+AI statement. BMJ 2024;385:e078378. Item "
    "numbers are theirs; names are ours and do not stand in for the statement."
)
_SAME = "Development and evaluation share these patients, by cross-validation."


def tripod(w: Writer) -> Checklist:
    """Fill the checklist from a run's artefacts.

    Parameters
    ----------
    w : Writer

    Returns
    -------
    Checklist
        Every item of the statement, subitems apart, in its order.
    """
    items = [*_opening(w), *_methods_data(w), *_methods_analysis(w), *_open_science(w)]
    items += [*_results(w), *_discussion(w)]
    return Checklist(
        "tripod-ai",
        "TRIPOD+AI checklist",
        "What a reader of a prediction-model study looks for, filled from this run where a run can "
        "know it.",
        _SOURCE,
        tuple(items),
    )


def _opening(w: Writer) -> list[Item]:
    done = []
    labels = w.value("cohort.json", "/endpoints")
    names = ", ".join(w.take("cohort.json", f"/endpoints/{i}/label") for i in range(len(labels)))
    w.say(f"“{w.take('cohort.json', '/title')}”: models for {names}, developed and evaluated.")
    done.append(w.item("1", "Title", "kind of study, population, outcome"))
    w.ask("abstract")
    done.append(w.item("2", "Abstract", "structured summary"))
    w.ask("rationale")
    done.append(w.item("3a", "Introduction", "clinical context and earlier models"))
    w.ask("intended_use")
    done.append(w.item("3b", "Introduction", "target population, purpose and users"))
    w.ask("inequalities")
    done.append(w.item("3c", "Introduction", "known health inequalities"))
    w.say(
        f"To forecast {names} from {w.take('cohort.json', '/columns', 'members')} baseline columns "
        f"with {w.take('models.json', '', 'members')} models, and to judge them on patients they "
        "had not seen."
    )
    done.append(w.item("4", "Introduction", "objectives: development, evaluation or both"))
    return done


def _methods_data(w: Writer) -> list[Item]:
    done = []
    w.say(
        f"Data file {w.take('settings.json', '/source')}, digest "
        f"{w.take('cohort.json', '/dataset_digest', 'short hash')}."
    )
    w.ask("data_source")
    done.append(w.item("5a", "Data", "sources, and why they fit"))
    w.ask("dates")
    done.append(w.item("5b", "Data", "dates of entry and of follow-up"))
    w.ask("setting")
    done.append(w.item("6a", "Participants", "setting and centres"))
    w.ask("eligibility")
    done.append(w.item("6b", "Participants", "who was eligible"))
    w.say(arms(w))
    w.ask("treatments")
    done.append(w.item("6c", "Participants", "treatments, and how handled"))
    w.say(
        "Every column was read as the study declares it; a value outside its declaration stops the "
        "run. Encoding, scaling and filling are learned inside each training fold.",
        f"{w.take('cohort.json', '/notices', 'members')} notices from reading the file stand in "
        "the report.",
    )
    done.append(w.item("7", "Data preparation", "cleaning and quality checks"))
    w.say(*endpoint_words(w))
    w.ask("outcome_assessment")
    done.append(w.item("8a", "Outcome", "definition, time, why chosen"))
    w.ask("outcome_assessment")
    done.append(w.item("8b", "Outcome", "who assessed it, where judgement enters"))
    w.ask("outcome_blinding")
    done.append(w.item("8c", "Outcome", "blinding of the assessment"))
    w.say(f"Candidate columns: {_columns(w)}.")
    w.ask("marker_choice")
    done.append(w.item("9a", "Predictors", "how candidates were chosen"))
    w.say("Kinds, units, levels and detection limits are declared in study.json of this pack.")
    w.ask("marker_assessment")
    done.append(w.item("9b", "Predictors", "definition and measurement"))
    w.ask("assay_blinding")
    done.append(w.item("9c", "Predictors", "who measured, where judgement enters"))
    w.say(*_sample(w))
    w.ask("sample_size")
    done.append(w.item("10", "Sample size", "how it came about, and whether it suffices"))
    w.say(
        columns_missing(w),
        "Filled with the training patients' median or most frequent level, with an indicator; no "
        "row is dropped for a missing baseline value.",
    )
    done.append(w.item("11", "Missing data", "how handled"))
    return done


def _columns(w: Writer) -> str:
    return "; ".join(
        f"{w.take('cohort.json', f'/columns/{i}/label')} "
        f"({w.take('cohort.json', f'/columns/{i}/role')}, "
        f"{w.take('cohort.json', f'/columns/{i}/kind')})"
        for i in range(len(w.value("cohort.json", "/columns")))
    )


def _sample(w: Writer) -> list[str]:
    said = []
    for i, endpoint in enumerate(w.value("cohort.json", "/endpoints")):
        at = pointer("endpoints", endpoint["name"])
        if "n_patients_riley" not in w.value("derived.json", at):
            continue
        rarer, features, needed = (
            w.take("derived.json", f"{at}/{name}", "count")
            for name in ("n_rarer_outcome", "n_candidate_features", "n_patients_riley")
        )
        each = w.take("derived.json", f"{at}/rarer_outcome_per_feature", "one decimal")
        said.append(
            f"{w.take('cohort.json', f'/endpoints/{i}/label')}: {rarer} of the rarer outcome for "
            f"{features} candidate features ({each} each); Riley's criteria ask for {needed} "
            "patients."
        )
    return said


def _methods_analysis(w: Writer) -> list[Item]:
    done = []
    w.say(settings_words(w))
    done.append(w.item("12a", "Analysis", "how data were split or reused"))
    w.say(
        "Continuous columns enter on their declared transform and standardised, levels as "
        "indicators; boosted models find thresholds themselves."
    )
    done.append(w.item("12b", "Analysis", "handling of predictors"))
    names = [model_name(w, i) for i in range(len(w.value("models.json", "")))]
    w.say(
        f"Models: {'; '.join(names)}. Each grid of settings was searched inside the training fold "
        "by a proper score; the model kept has the best out-of-fold proper score."
    )
    done.append(w.item("12c", "Analysis", "models, tuning, internal validation"))
    done.append(_centres(w, "12d", "Analysis", "differences between centres or clusters"))
    w.say(
        "Discrimination, Brier scores and calibration, each with its interval where one is known; "
        "concordance weighted for censoring. What every interval covers stands with it."
    )
    done.append(w.item("12e", "Analysis", "measures of performance"))
    done.append(w.item("12f", "Analysis", "updating after evaluation", "No model was updated."))
    w.say(
        "Out-of-fold predictions of the whole pipeline; the final models are bundles whose hashes "
        "stand in the model cards."
    )
    done.append(w.item("12g", "Analysis", "how predictions were computed"))
    w.say("None used: no class was weighted or resampled, so probabilities keep their level.")
    done.append(w.item("13", "Class imbalance", "methods, and recalibration after them"))
    w.ask("fairness")
    done.append(w.item("14", "Fairness", "approach to it"))
    w.say(
        "Risk, probabilities of survival at the judged horizons, or of response. No class and no "
        "threshold is set."
    )
    done.append(w.item("15", "Model output", "what it gives; thresholds"))
    w.say(f"{_SAME} No difference by design.")
    done.append(w.item("16", "Training and evaluation", "differences between their data"))
    w.ask("ethics")
    done.append(w.item("17", "Ethics", "approval and consent"))
    return done


def _centres(w: Writer, number: str, section: str, name: str) -> Item:
    roles = [c.get("role") for c in w.value("study.json", "/columns").values()]
    if "centre" in roles:
        return w.item(
            number, section, name, "A centre is declared; no estimate by centre was made.", True
        )
    return w.item(number, section, name, "No column with role centre is declared.")


def _open_science(w: Writer) -> list[Item]:
    done = []
    for number, fields, name in (
        ("18a", ("funding",), "funding"),
        ("18b", ("conflicts",), "conflicts of interest"),
        ("18c", ("protocol",), "protocol"),
        ("18d", ("registration",), "registration"),
        ("18e", ("data_sharing",), "availability of data"),
        ("18f", ("code_sharing",), "availability of code"),
    ):
        w.ask(*fields)
        if number == "18f":
            w.say(
                "Analysis by biomarker-response "
                f"{_version(w)}; versions in software.json of this pack."
            )
        done.append(w.item(number, "Open science", name))
    w.ask("involvement")
    done.append(w.item("19", "Patient and public involvement", "their part in the study"))
    return done


def _version(w: Writer) -> str:
    known = w.value("software.json", "")
    return w.take("software.json", "/biomarker-response") if "biomarker-response" in known else ""


def _results(w: Writer) -> list[Item]:
    done = []
    w.say(*endpoint_flow(w))
    done.append(w.item("20a", "Participants", "flow, outcomes, follow-up"))
    w.say("Table 1 by arm and missing values stand in the report.", columns_missing(w))
    done.append(w.item("20b", "Participants", "characteristics, overall and by centre"))
    done.append(w.item("20c", "Participants", "comparison with development data", _SAME))
    for i in range(len(w.value("models.json", ""))):
        w.say(
            f"{model_name(w, i)}: {w.take('models.json', f'/{i}/n_patients', 'count')} patients, "
            f"{w.take('models.json', f'/{i}/n_features', 'count')} encoded features, "
            f"{w.take('models.json', f'/{i}/n_fits', 'count')} fits in validation, "
            f"{w.take('models.json', f'/{i}/n_failed_fits', 'count')} not estimable."
        )
    done.append(w.item("21", "Model development", "patients and events of each analysis"))
    w.say(
        "Each model travels whole as a bundle of plain files with hashes; see its model card for "
        "settings, address and how to load it."
    )
    done.append(w.item("22", "Model specification", "everything needed to predict"))
    w.say(*(main_performance(w, i) for i in range(len(w.value("models.json", "")))))
    done.append(w.item("23a", "Model performance", "estimates with intervals, subgroups"))
    done.append(_centres(w, "23b", "Model performance", "differences between centres"))
    done.append(w.item("24", "Model updating", "result of it", "No model was updated."))
    return done


def _discussion(w: Writer) -> list[Item]:
    done = []
    w.ask("interpretation")
    done.append(w.item("25", "Discussion", "interpretation, fairness included"))
    w.say(*(w.take("limits.json", f"/{i}") for i in range(len(w.value("limits.json", "")))))
    done.append(w.item("26", "Discussion", "limitations"))
    w.say(
        "At scoring a value that is missing, out of range, unseen or in the wrong unit is refused "
        "or marked as the study declares, row by row with its reason."
    )
    w.ask("use_in_practice")
    done.append(w.item("27a", "Usability", "poor or absent input at use"))
    w.ask("use_in_practice")
    done.append(w.item("27b", "Usability", "what users must do and know"))
    w.ask("implications")
    done.append(w.item("27c", "Usability", "next steps"))
    return done
