"""REMARK: what a tumour marker study is expected to report, and its profile of all analyses."""

from __future__ import annotations

from pipelines.pack.fields import Checklist, Item, Profile, Writer, pointer
from pipelines.pack.phrases import (
    arms,
    columns_missing,
    endpoint_flow,
    endpoint_words,
    interval_of,
    main_performance,
    performance_words,
    settings_words,
)

__all__ = ["remark"]

_SOURCE = (
    "McShane LM, Altman DG, Sauerbrei W, et al. Reporting recommendations for tumour marker "
    "prognostic studies (REMARK). J Natl Cancer Inst 2005;97:1180–1184; profile after Altman DG, "
    "et al. PLoS Med 2012;9:e1001216. Item numbers are theirs; names are ours."
)
_FAMILY = {
    "interaction": "does the effect of treatment differ by the marker",
    "association": "does the marker go with the outcome under control, or in the only arm",
    "interaction_spline": "does the effect of treatment differ along a curve in the marker",
    "association_bend": "does the association with the outcome bend",
}


def remark(w: Writer) -> Checklist:
    """Fill the checklist and its profile from a run's artefacts.

    Parameters
    ----------
    w : Writer

    Returns
    -------
    Checklist
        Twenty items in their order, and the profile: patients, markers and further columns, then
        every analysis made, those of earlier runs on the same data included.
    """
    items = [*_methods(w), *_statistics(w), *_results(w), *_discussion(w)]
    return Checklist(
        "remark",
        "REMARK checklist and profile",
        "What a reader of a marker study looks for, filled from this run where a run can know it; "
        "then every analysis made of these data.",
        _SOURCE,
        tuple(items),
        (_patients(w), _analyses(w)),
    )


def _markers(w: Writer) -> str:
    named = [
        w.take("cohort.json", f"/columns/{i}/label")
        for i, column in enumerate(w.value("cohort.json", "/columns"))
        if column["role"] == "marker"
    ]
    return ", ".join(named) or "none declared"


def _methods(w: Writer) -> list[Item]:
    done = []
    recorded = _hypotheses(w)
    w.say(f"Markers: {_markers(w)}.", recorded)
    w.ask("rationale")
    done.append(w.item("1", "Introduction", "markers, aims, hypotheses written down"))
    w.say(f"{w.take('cohort.json', '/n_patients', 'count')} patients in the file.")
    w.ask("data_source", "eligibility")
    done.append(w.item("2", "Patients", "source, stage, who was eligible"))
    w.say(arms(w))
    w.ask("treatments")
    done.append(w.item("3", "Patients", "treatments and how chosen"))
    w.ask("specimen")
    done.append(w.item("4", "Specimens", "material, preservation, storage"))
    w.say("Unit, detection limits and allowed range of every marker stand in study.json.")
    w.ask("assay", "assay_blinding")
    done.append(w.item("5", "Assay", "method, protocol, quality, blinding"))
    w.say(arms(w))
    w.ask("selection", "dates")
    done.append(w.item("6", "Study design", "selection of cases, period, follow-up"))
    w.say(*endpoint_words(w))
    w.ask("outcome_assessment")
    done.append(w.item("7", "Study design", "endpoints, defined"))
    count = w.take("cohort.json", "/columns", "members")
    names = ", ".join(
        w.take("cohort.json", f"/columns/{i}/label")
        for i in range(len(w.value("cohort.json", "/columns")))
    )
    w.say(f"All {count} candidate columns: {names}.")
    done.append(w.item("8", "Study design", "every variable looked at"))
    for i in range(len(_records(w))):
        stem = f"/records/{i}"
        if w.value("evidence.json", f"{stem}/detectable_ratio_80") is not None:
            w.say(
                f"{_which(w, i)}: an interaction ratio of "
                f"{w.take('evidence.json', f'{stem}/detectable_ratio_80', 'ratio')}, or its "
                "inverse, could be detected with 80% power."
            )
    w.ask("sample_size")
    done.append(w.item("9", "Study design", "sample size and what it could detect"))
    return done


def _records(w: Writer) -> list[dict[str, object]]:
    return list(w.value("evidence.json", "/records")) if "evidence.json" in w.found else []


def _which(w: Writer, i: int) -> str:
    return (
        f"{w.take('evidence.json', f'/records/{i}/marker')}, "
        f"{w.take('evidence.json', f'/records/{i}/endpoint')}"
    )


def _hypotheses(w: Writer) -> str:
    if "evidence.json" not in w.found:
        return "The markers were not assessed in this run."
    n = w.take("evidence.json", "/ledger/hypotheses", "members")
    return f"Hypotheses recorded before the first test of these data: {n}."


def _statistics(w: Writer) -> list[Item]:
    done = []
    w.say(f"Models: {settings_words(w)}")
    if _records(w):
        w.say(
            "Markers: one test of interaction with treatment and one of association each, p-values "
            "against outcomes redrawn under the fitted null model, adjusted over all markers and "
            f"endpoints; two-sided level {w.take('evidence.json', '/alpha', 'plain')}. "
            "For an interaction they are redrawn with the marker's own effect as a curve."
        )
    w.say(columns_missing(w))
    done.append(w.item("10", "Statistics", "methods, selection, missing data"))
    w.say("Verdicts use continuous markers as declared, uncut.")
    cuts = w.value("evidence.json", "").get("cut_points", []) if _records(w) else []
    if cuts:
        w.say(
            f"Cut-points were scanned {w.take('evidence.json', '/cut_points', 'members')} times, "
            "exploratory, with the scan counted in p-value and interval; no verdict rests on one."
        )
    done.append(w.item("11", "Statistics", "handling of marker values, cut-points"))
    return done


def _results(w: Writer) -> list[Item]:
    done = []
    w.say(*endpoint_flow(w))
    done.append(w.item("12", "Data", "flow of patients, events, follow-up"))
    w.say("Table 1 by arm stands in the report.", columns_missing(w))
    done.append(w.item("13", "Data", "distributions, missing values"))
    w.ask("marker_relations")
    done.append(w.item("14", "Analysis", "markers beside standard variables"))
    if not _records(w):
        for number, name in (
            ("15", "each marker alone"),
            ("16", "key models with intervals"),
            ("17", "markers beside standard variables, whatever their significance"),
        ):
            done.append(w.item(number, "Analysis", name, "No marker was assessed.", True))
    else:
        done += _effects(w)
    w.say(
        "Checks beside each verdict (proportionality, influence, ranks, curves, the absolute "
        "scale) stand in the report.",
        *(main_performance(w, i) for i in _kept(w)),
    )
    done.append(w.item("18", "Analysis", "assumptions, sensitivity, internal validation"))
    return done


def _kept(w: Writer) -> list[int]:
    return [i for i, model in enumerate(w.value("models.json", "")) if model["kept"]]


def _effects(w: Writer) -> list[Item]:
    done = []
    adjusting = [
        i
        for i, column in enumerate(w.value("cohort.json", "/columns"))
        if column["role"] in ("covariate", "stratum")
    ]
    if adjusting:
        done.append(
            w.item("15", "Analysis", "each marker alone",
                   "Every estimate is adjusted for the declared covariates; none was made of a "
                   "marker alone.", True)
        )  # fmt: skip
    else:
        w.say(*(_association(w, i) for i in range(len(_records(w)))))
        done.append(w.item("15", "Analysis", "each marker alone"))
    w.say(*(_interaction(w, i) for i in range(len(_records(w)))))
    done.append(w.item("16", "Analysis", "key models with intervals"))
    if adjusting:
        names = ", ".join(w.take("cohort.json", f"/columns/{i}/label") for i in adjusting)
        w.say(f"Adjusted for {names}.", *(_association(w, i) for i in range(len(_records(w)))))
        done.append(w.item("17", "Analysis", "markers beside standard variables"))
    else:
        done.append(
            w.item("17", "Analysis", "markers beside standard variables",
                   "The study declares no covariate.")
        )  # fmt: skip
    return done


def _association(w: Writer, i: int) -> str:
    stem = f"/records/{i}"
    found = interval_of(
        w, "evidence.json", stem, "ratio", ("hr_control", "hr_control_low", "hr_control_high")
    )
    return (
        f"{_which(w, i)}: {w.take('evidence.json', f'{stem}/scale')} {found}, adjusted p "
        f"{w.take('evidence.json', f'{stem}/p_prognostic_adjusted', 'p')}."
    )


def _interaction(w: Writer, i: int) -> str:
    stem = f"/records/{i}"
    if w.value("evidence.json", f"{stem}/ratio") is None:
        return f"{_which(w, i)}: no interaction could be fitted."
    found = interval_of(w, "evidence.json", stem, "ratio", ("ratio", "ratio_low", "ratio_high"))
    return (
        f"{_which(w, i)}: interaction ratio {found}, adjusted p "
        f"{w.take('evidence.json', f'{stem}/p_adjusted', 'p')}."
    )


def _discussion(w: Writer) -> list[Item]:
    done = []
    w.say(*(w.take("limits.json", f"/{i}") for i in range(len(w.value("limits.json", "")))))
    w.ask("interpretation")
    done.append(w.item("19", "Discussion", "meaning beside the hypotheses; limitations"))
    w.ask("implications")
    done.append(w.item("20", "Discussion", "what should follow"))
    return done


# --- the profile ----------------------------------------------------------------------------------


def _patients(w: Writer) -> Profile:
    patients = w.take("cohort.json", "/n_patients", "count")
    rows: list[tuple[str, ...]] = [
        ("Rows read", w.take("cohort.json", "/n_rows", "count"), f"patients {patients}")
    ]
    for i, endpoint in enumerate(w.value("cohort.json", "/endpoints")):
        at = pointer("endpoints", i)
        rows.append(
            (
                f"Analysed: {w.take('cohort.json', f'{at}/label')}",
                w.take("cohort.json", f"{at}/n_patients", "count"),
                f"events or responses {w.take('cohort.json', f'{at}/n_events', 'count')}; left out "
                + (_left_out(w, at, list(endpoint["excluded"])) or "nobody"),
            )
        )
    for i, column in enumerate(w.value("cohort.json", "/columns")):
        kind = "Marker" if column["role"] == "marker" else "Further column"
        missing = w.take("cohort.json", f"/columns/{i}/n_missing", "count")
        rows.append(
            (
                f"{kind}: {w.take('cohort.json', f'/columns/{i}/label')}",
                w.take("cohort.json", f"/columns/{i}/kind"),
                f"missing {missing}",
            )
        )
    return w.profile(
        "Profile, part A: patients, markers and further columns",
        "Counts are rows of the file; what was left out of an endpoint stands with its reason.",
        ("What", "How many, or kind", "Remark"),
        rows,
    )


def _left_out(w: Writer, at: str, reasons: list[str]) -> str:
    return ", ".join(
        f"{w.take('cohort.json', at + pointer('excluded', why), 'count')} ({why})"
        for why in reasons
    )


def _analyses(w: Writer) -> Profile:
    """One row an analysis: ledger tests, models on endpoints, and the displays beside verdicts."""
    rows = [*_tests(w), *_models(w), *_displays(w)]
    return w.profile(
        "Profile, part B: every analysis made",
        "Tests come from the ledger of this data set, those of earlier runs included; nothing is "
        "left out for its result.",
        ("Analysis", "Of", "Patients", "Result", "Standing"),
        rows,
    )


def _tests(w: Writer) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    ledger = w.value("ledger.json", "") if "ledger.json" in w.found else []
    records = {(r["marker"], r["endpoint"]): i for i, r in enumerate(_records(w))}
    for i, row in enumerate(ledger):
        of = f"{w.take('ledger.json', f'/{i}/marker')}, {w.take('ledger.json', f'/{i}/endpoint')}"
        known = records.get((row["marker"], row["endpoint"]))
        n = "another run" if known is None else _counted(w, known)
        first = row["stage"] == 1
        if row["kind"] == "hypothesis":
            asked = _FAMILY[row["family"]]
            rows.append((f"Hypothesis written down: {asked}", of, "–", "–", "recorded"))
            continue
        result = (
            "not fitted"
            if row["p"] is None
            else f"p {w.take('ledger.json', f'/{i}/p', 'p')}, unadjusted"
        )
        asked = _FAMILY[row["family"]]
        rows.append((f"Test: {asked}", of, n, result, "hypothesis" if first else "exploratory"))
    return rows


def _counted(w: Writer, i: int) -> str:
    stem = f"/records/{i}"
    parts = [
        f"{w.take('evidence.json', f'{stem}/events_{arm}', 'count')} of "
        f"{w.take('evidence.json', f'{stem}/n_{arm}', 'count')} {arm}"
        for arm in ("treated", "control")
        if w.value("evidence.json", f"{stem}/n_{arm}")
    ]
    return "events " + ", ".join(parts)


def _models(w: Writer) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for i, model in enumerate(w.value("models.json", "")):
        main = {"survival": "uno_concordance_index", "response": "roc_auc"}[model["kind"]]
        j = next(k for k, p in enumerate(model["performance"]) if p["metric"] == main)
        rows.append(
            (
                f"Model: {w.take('models.json', f'/{i}/model')}",
                w.take("models.json", f"/{i}/endpoint"),
                w.take("models.json", f"/{i}/n_patients", "count"),
                performance_words(w, i, j),
                "kept" if model["kept"] else "compared",
            )
        )
    return rows


def _displays(w: Writer) -> list[tuple[str, ...]]:
    if not _records(w):
        return []
    data = w.value("evidence.json", "")
    names = {
        "cut_points": "Cut-point scans",
        "effect_curves": "Curves of effect along a marker",
        "milestones": "Milestones by arm and level",
        "benefits": "Treating by the marker, out of fold",
        "not_shown": "Displays that could not be estimated",
    }
    return [
        (title, "see the report", "–", w.take("evidence.json", f"/{key}", "members"), "exploratory")
        for key, title in names.items()
        if data.get(key)
    ]
