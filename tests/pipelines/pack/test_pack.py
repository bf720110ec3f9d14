"""The pack of a finished run: every value traces, and no document claims more than it."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from biomarker.errors import ClaimError
from biomarker.figures.caution import PLOT_CAUTION
from biomarker.reporting import Reporting
from pipelines.bundle import load_bundle
from pipelines.pack.artefacts import Artefact, resolve
from pipelines.pack.build import Pack, build_pack
from pipelines.pack.check import check_documents, document_faults, gate_of
from pipelines.pack.claims import ClaimFault
from pipelines.pack.fields import STYLES, Trace, holds
from pipelines.pack.page import read_page
from pipelines.report import render_report, report_figures
from pipelines.report.words import CAUTION
from pipelines.results import StudyRun
from tests.pipelines.report.runs import assessed_run, small_run


@pytest.fixture(scope="module")
def run() -> StudyRun:
    """The small run with evidence."""
    return assessed_run()


@pytest.fixture(scope="module")
def pack(run: StudyRun) -> Pack:
    """Its pack."""
    return build_pack(run, {f"{m.endpoint}-{m.name}": "0" * 64 for m in run.models})


@pytest.fixture(scope="module")
def report(run: StudyRun) -> str:
    """Its report."""
    return render_report(run)


def with_reporting(run: StudyRun, **answers: str) -> StudyRun:
    """The run under the same study with the author's answers."""
    study = run.cohort.study.model_copy(update={"reporting": Reporting(**answers)})
    return replace(run, cohort=replace(run.cohort, study=study))


def pack_faults(run: StudyRun, pack: Pack) -> list[ClaimFault]:
    """Faults of the pack's own pages."""
    return document_faults(pack.pages, pack.artefacts, gate_of(run), pack.counts)


# --- traces ---------------------------------------------------------------------------------------


def test_every_trace_of_a_trained_run_resolves_on_disk(trained) -> None:
    """From the files alone: hash, place and printed value agree, for every value of every page."""
    result, _ = trained
    folder: Path = result.pack
    listed = dict(
        line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files - {"SHA256SUMS"} == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    traced = 0
    for document in folder.glob("*.json"):
        data = json.loads(document.read_text())
        for part in (*data["items"], *data["profiles"]):
            text = " ".join(part.get("said", [])) + json.dumps(
                part.get("rows", []), ensure_ascii=False
            )
            for trace in part["traces"]:
                raw = (folder / "artefacts" / trace["artefact"]).read_bytes()
                assert hashlib.sha256(raw).hexdigest() == trace["sha256"]
                value = resolve(json.loads(raw), trace["place"])
                assert STYLES[trace["style"]](value) == trace["printed"]
                assert trace["printed"] in text
                traced += 1
    assert traced > 300


def test_a_trace_fails_when_value_place_or_file_changes(pack: Pack) -> None:
    """Each of the three breaks it; otherwise it could not tell."""
    trace = next(t for t in pack.documents[0].traces() if t.style == "count")
    assert holds(trace, pack.artefacts)
    assert not holds(replace(trace, printed=trace.printed + "1"), pack.artefacts)
    assert not holds(replace(trace, place="/nowhere"), pack.artefacts)
    assert not holds(replace(trace, sha256="0" * 64), pack.artefacts)
    assert not holds(replace(trace, artefact="other.json"), pack.artefacts)
    source = pack.artefacts[trace.artefact]
    changed = Artefact(source.name, {}, source.text, source.sha256)
    assert not holds(trace, {**pack.artefacts, source.name: changed})


def test_every_number_of_a_filled_sentence_is_traced(pack: Pack) -> None:
    """Take the traced values out of the sentences and no digit of a result is left."""
    fixed = re.compile(r"95%|80% power|SHA-256|SHA256SUMS|Table 1|TRIPOD\+AI")
    for document in pack.documents:
        for item in document.items:
            text = fixed.sub("", " ".join(item.said))
            for trace in sorted(item.traces, key=lambda t: -len(t.printed)):
                text = text.replace(trace.printed, "")
            assert not re.search(r"\d", text), (document.name, item.number, text)
        for profile in document.profiles:
            text = " ".join(" ".join(row) for row in profile.rows)
            for trace in sorted(profile.traces, key=lambda t: -len(t.printed)):
                text = text.replace(trace.printed, "")
            assert not re.search(r"\d", text), (document.name, profile.title, text)


# --- items ----------------------------------------------------------------------------------------


def test_tripod_has_its_items_in_order(pack: Pack) -> None:
    """27 items, 52 with their parts."""
    numbers = [item.number for item in pack.documents[0].items]
    assert len(numbers) == 52
    assert list(dict.fromkeys(int(re.match(r"\d+", n)[0]) for n in numbers)) == [*range(1, 28)]
    assert len(set(numbers)) == 52


def test_remark_has_its_items_and_its_profile(pack: Pack, run: StudyRun) -> None:
    """20 items; the profile holds every ledger row and every model on every endpoint."""
    remark = pack.documents[1]
    assert [item.number for item in remark.items] == [str(n) for n in range(1, 21)]
    analyses = remark.profiles[1].rows
    assert run.evidence is not None
    assert run.evidence.result is not None
    tests = [row for row in analyses if row[0].startswith("Test:")]
    assert len(tests) == len(run.evidence.result.ledger.tests(run.evidence.result.dataset))
    models = [row for row in analyses if row[0].startswith("Model:")]
    assert len(models) == len(run.models)
    for row in models:
        assert re.search(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\), n = \d+", row[3]), row


def test_every_unanswered_item_names_its_field(pack: Pack) -> None:
    """An item left to the author leads to a key of the study's table; every key is asked for."""
    asked = set()
    for document in pack.documents:
        for item in document.items:
            asked |= {answer.field for answer in item.answers}
            if item.status == "needs author":
                assert any(not answer.words for answer in item.answers)
                assert f"reporting.{item.answers[0].field}" in pack.files[f"{document.name}.html"]
            elif item.status == "filled":
                assert item.said or item.answers
            else:
                assert item.reason
    assert asked == set(Reporting.model_fields)


def test_answers_of_the_author_fill_items_and_are_not_linted(run: StudyRun) -> None:
    """The author's words stand escaped as theirs, whatever they claim; the digest stays."""
    words = "Board 7/2020. <b>CAIX</b> is predictive & validated; 99.7% agreed."
    answered = with_reporting(run, **dict.fromkeys(Reporting.model_fields, words))
    assert answered.cohort.study.digest == run.cohort.study.digest
    pack = build_pack(answered)
    states = {item.status for document in pack.documents for item in document.items}
    assert "needs author" not in states
    page = pack.files["tripod-ai.html"]
    assert "&lt;b&gt;CAIX&lt;/b&gt; is predictive &amp; validated" in page
    assert "<b>CAIX</b>" not in page
    assert pack_faults(answered, pack) == []


def test_a_run_without_evidence_says_so(run: StudyRun) -> None:
    """No verdicts, no ledger: items say "not in this run", and the pages still pass."""
    plain = small_run()
    pack = build_pack(plain)
    states = {item.number: item.status for item in pack.documents[1].items}
    assert states["16"] == "not in this run"
    assert "evidence.json" not in pack.artefacts
    assert pack_faults(plain, pack) == []


def test_a_model_card_leads_to_the_bundle(trained) -> None:
    """The hash on the card is that of the bundle on disk; the address is registered."""
    result, _ = trained
    for name, place in result.bundles.items():
        card = json.loads((result.pack / f"model-card-{name}.json").read_text())
        text = " ".join(said for item in card["items"] for said in item["said"])
        assert load_bundle(place).digest in text
        registered, _, alias = re.search(r"models:/(\S+?)(@)(\S+)", text).groups()
        assert registered in result.registered
        assert alias.replace("-", "_") in result.registered[registered]


def test_the_pack_holds_no_patient(trained, cohort_folder: Path) -> None:
    """No id and no row of the file, in any file of the pack."""
    result, _ = trained
    ids = pd.read_csv(cohort_folder / "cohort.csv", dtype=str)["pid"]
    text = "\n".join(p.read_text() for p in result.pack.rglob("*") if p.is_file())
    assert not any(re.search(rf"\b{pid}\b", text) for pid in ids)


def test_the_same_run_gives_the_same_pack(run: StudyRun, pack: Pack) -> None:
    """Nothing of the clock or the machine enters."""
    again = build_pack(run, {f"{m.endpoint}-{m.name}": "0" * 64 for m in run.models})
    assert again.files == pack.files


def test_the_pack_is_logged_beside_the_report(trained) -> None:
    """MLflow's users find the same files under the run."""
    from pipelines.tracking_store import open_store

    result, store = trained
    client = open_store(store)
    logged = {file.path for file in client.list_artifacts(result.run_id, "evidence-pack")}
    assert "evidence-pack/remark.html" in logged
    assert "evidence-pack/SHA256SUMS" in logged


# --- the linter over real documents ---------------------------------------------------------------


def test_the_documents_of_a_run_claim_what_it_carries(
    run: StudyRun, report: str, pack: Pack
) -> None:
    """Report and pack of the fixtures pass whole."""
    assert check_documents(run, report, pack) == ()


def test_the_documents_of_a_trained_run_pass(trained) -> None:
    """So do those of a run through the main job, as it checked itself."""
    result, _ = trained
    assert check_documents(result.run, result.report.read_text(), build_pack(result.run)) == ()
    assert result.doubts == ()


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("<p>VEGF, serum is predictive for Overall survival.</p>", "predictive"),
        ("<p>The model is validated.</p>", "validated"),
        ("<figure><h4>Mean absolute attribution: cox</h4><figcaption>VEGF drives survival."
         "</figcaption></figure>", "says cause"),
        ("<h3>Attribution</h3><svg><text>reduces the hazard</text></svg>", "says cause"),
        ("<h3>Importance</h3><p aria-label='VEGF leads to death.'></p>", "says cause"),
        ("<table><tr><th>VEGF, serum</th><td>predictive</td></tr></table>", "predictive"),
    ],
)  # fmt: skip
def test_one_sentence_too_many_stops_the_run(
    run: StudyRun, report: str, pack: Pack, said: str, wrong: str
) -> None:
    """A false sentence anywhere in the real report is found, and the error says which."""
    spoiled = report.replace("</main>", f"{said}</main>")
    with pytest.raises(ClaimError, match="Nothing was published") as caught:
        check_documents(run, spoiled, pack)
    assert any(wrong in fault for fault in caught.value.faults)
    assert all("report.html" in fault for fault in caught.value.faults)


def test_a_number_too_many_is_told(run: StudyRun, report: str, pack: Pack) -> None:
    """It stops no run: a right sentence may quote what no artefact holds; our tests allow none."""
    said = "<p>The risk falls by 31.7% in all 4711 patients.</p>"
    faults = check_documents(run, report.replace("</main>", f"{said}</main>"), pack)
    assert any("4711 is no computed count" in str(fault) for fault in faults)
    assert all(fault.of_number for fault in faults)


def test_most_numbers_of_the_report_cannot_be_altered_unseen(
    run: StudyRun, report: str, pack: Pack
) -> None:
    """Change one printed decimal number of the prose at a time: nearly all changes are faults."""
    from pipelines.pack.check import values_of
    from pipelines.pack.claims import lint

    text = read_page(report)
    values = values_of(pack.artefacts)
    for row in text.rows:
        values.add_cells(row)
    gate = gate_of(run)
    decimals = re.compile(r"(?<![\d.,])\d\.\d{3}(?![\d.])")
    changed = seen = 0
    for passage in text.passages:
        if not passage.numbers:
            continue
        for match in list(decimals.finditer(passage.text))[:6]:
            wrong = f"{float(match[0]) + 0.137:.3f}"
            spoiled = passage.text[: match.start()] + wrong + passage.text[match.end() :]
            changed += 1
            seen += len(lint([replace(passage, text=spoiled)], values, gate)) > len(
                lint([passage], values, gate)
            )
    assert changed > 60
    assert seen / changed > 0.9


def test_every_drawing_of_attribution_carries_the_fixed_words(run: StudyRun) -> None:
    """Row 21: as a file of its own, too, a plot says that it is no statement of cause."""
    drawn = {
        name: svg
        for name, svg in report_figures(run).items()
        if re.search(r"beeswarm|importance|dependence|patient|other|stabilit|benefit-", name)
    }
    assert len(drawn) >= 12
    assert [name for name, svg in drawn.items() if PLOT_CAUTION not in svg] == []


def test_attribution_carries_its_caution(report: str) -> None:
    """Row 21: wherever attribution is drawn the long words stand in the same section."""
    parts = re.split(r"<section ", report)
    drawn = [part for part in parts if re.search(r'id="endpoint-\d+-(beeswarm|importance)', part)]
    assert drawn
    for part in drawn:
        assert CAUTION in part


def test_a_fault_stops_train_before_anything_is_written(
    cohort_folder: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production the run fails with the sentence named; no report, bundle or model exists."""
    import pipelines.report
    from pipelines.training import train

    honest = pipelines.report.render_report
    monkeypatch.setattr(
        pipelines.report,
        "render_report",
        lambda run: honest(run).replace("</main>", "<p>It was validated.</p></main>"),
    )
    with pytest.raises(ClaimError, match="It was validated"):
        train(
            cohort_folder / "cohort.csv",
            cohort_folder / "small.toml",
            models=["logistic"],
            endpoints=["response"],
            evidence=False,
            refits=0,
            out=tmp_path / "out",
            store=store,
        )
    assert list((tmp_path / "out").iterdir()) == []


# --- the study's table ----------------------------------------------------------------------------


def test_a_draft_holds_the_table_commented_out(cohort_folder: Path) -> None:
    """Every key stands there, and uncommenting makes a table that is read."""
    import pyarrow.csv

    from pipelines.draft import draft_study

    text = draft_study(pyarrow.csv.read_csv(cohort_folder / "cohort.csv"), "drafted")
    assert "reporting" not in tomllib.loads(text)
    opened = "\n".join(
        re.sub(r"^# (\[reporting\]|\w+ = \"\")", r"\1", line) for line in text.split("\n")
    )
    assert set(tomllib.loads(opened)["reporting"]) == set(Reporting.model_fields)


def test_every_key_is_documented() -> None:
    """The guide's table lists each key of ``[reporting]``."""
    guide = (Path(__file__).parents[3] / "docs" / "study.md").read_text()
    assert all(f"| `{name}` |" in guide for name in Reporting.model_fields)


def test_traces_are_plain_records() -> None:
    """A trace is data: a reader needs no code of ours to check it."""
    assert set(Trace.__dataclass_fields__) == {"printed", "artefact", "place", "style", "sha256"}
