"""The stored model: verified before anything parses it, read back to the bit, free of patients."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipelines.bundle
from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder
from pipelines.bundle import load_bundle, save_bundle
from pipelines.scoring import score

ROOT = Path(__file__).parents[2]
OLD_BUNDLE = ROOT / "tests" / "data" / "bundle_format_1"
ZOO = ("cox", "weibull_aft", "boosted_cox", "boosted_aft", "logistic", "boosted_response")


@pytest.fixture(scope="module")
def zoo(ward: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A stored bundle of every zoo model."""
    folder = tmp_path_factory.mktemp("zoo")
    return {name: ward.train(folder / name, name) for name in ZOO}


@pytest.fixture
def copy(zoo: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a boosted bundle (JSON and UBJ) to harm."""
    return Path(shutil.copytree(zoo["boosted_cox"], tmp_path / "copy"))


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any parser that is reached fails the test at once."""

    def reached(*_: Any, **__: Any) -> Any:
        raise AssertionError("a parser saw bytes that were not verified")

    import xgboost

    monkeypatch.setattr(json, "loads", reached)
    monkeypatch.setattr(xgboost.Booster, "load_model", reached)
    monkeypatch.setattr(pipelines.bundle, "model_from_state", reached)
    monkeypatch.setattr(FrozenEncoder, "from_state", reached)


def resealed(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change one JSON file and record its new hash, as a careless hand would."""
    file = folder / name
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    reseal(folder)


def reseal(folder: Path) -> None:
    """Write the list of hashes anew over whatever the folder holds."""
    files = sorted(p for p in folder.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.usefixtures("no_parser")
def test_every_flipped_byte_is_refused_before_any_parser_sees_it(copy: Path) -> None:
    """One altered byte anywhere, the list of hashes included, stops the load at the hashes."""
    rng = np.random.default_rng(7)
    n_tried = 0
    for file in sorted(copy.iterdir()):
        data = file.read_bytes()
        everywhere = range(len(data)) if file.name == "SHA256SUMS" else ()
        places = list(everywhere) or rng.choice(len(data), min(80, len(data)), replace=False)
        for place in places:
            harmed = bytearray(data)
            harmed[place] ^= int(rng.integers(1, 256))
            file.write_bytes(harmed)
            with pytest.raises(BundleError):
                load_bundle(copy)
            n_tried += 1
        file.write_bytes(data)
    assert n_tried > 700


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("harm", ["extra", "missing", "renamed", "cut", "folder", "hidden"])
def test_a_folder_that_is_not_exactly_the_list_is_refused(copy: Path, harm: str) -> None:
    """An extra, missing, renamed or shortened file, or a folder inside, stops the load."""
    model = copy / "model.json"
    if harm == "extra":
        (copy / "notes.txt").write_text("hello")
    elif harm == "hidden":
        (copy / ".hidden").write_text("hello")
    elif harm == "missing":
        model.unlink()
    elif harm == "renamed":
        model.rename(copy / "model2.json")
    elif harm == "cut":
        model.write_bytes(model.read_bytes()[:-1])
    else:
        (copy / "more").mkdir()
    with pytest.raises(BundleError):
        load_bundle(copy)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("name", ["model.json", "SHA256SUMS", "booster.ubj"])
def test_a_symbolic_link_is_no_part_of_a_bundle(copy: Path, tmp_path: Path, name: str) -> None:
    """A link could be pointed elsewhere between the check and the reading."""
    elsewhere = tmp_path / "elsewhere"
    shutil.move(copy / name, elsewhere)
    (copy / name).symlink_to(elsewhere)
    with pytest.raises(BundleError, match="plain"):
        load_bundle(copy)


@pytest.mark.parametrize("kind", ["absent", "file", "empty folder", "list without end"])
def test_what_is_no_bundle_is_named(copy: Path, tmp_path: Path, kind: str) -> None:
    """A wrong path says what a bundle is."""
    path = tmp_path / "thing"
    if kind == "file":
        path.write_text("x")
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "list without end":
        path = copy
        (path / "SHA256SUMS").write_bytes((path / "SHA256SUMS").read_bytes()[:-1])
    with pytest.raises(BundleError, match="SHA256SUMS"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (2, "Upgrade"),
        (99, "Upgrade"),
        (0, "Train the model again"),
        (None, "Train"),
        ("1", "Train"),
    ],
)
def test_another_format_is_refused_by_name(copy: Path, version: Any, words: str) -> None:
    """A newer format names itself and its release, and says to upgrade; an older one to retrain."""
    resealed(copy, "bundle.json", lambda d: {**d, "format": version, "release": "9.9"})
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(copy)
    assert repr(version) in str(caught.value)
    assert "9.9" in str(caught.value)


HOSTILE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "no JSON object": ("bundle.json", lambda d: [d]),
    "no kind": ("bundle.json", lambda d: {k: v for k, v in d.items() if k != "kind"}),
    "strange kind": ("bundle.json", lambda d: {**d, "kind": "other"}),
    "text as horizon": ("bundle.json", lambda d: {**d, "horizons": ["six"]}),
    "class of another library": ("model.json", lambda d: {**d, "class": "os.system"}),
    "no class": ("model.json", lambda d: {}),
    "wrong values": ("model.json", lambda d: dict.fromkeys(d, None) | {"class": d["class"]}),
    "encoder as list": ("encoder.json", lambda d: {"columns": [[]], "kept": [0]}),
    "encoder without columns": ("encoder.json", lambda d: {"kept": [0]}),
    "kept beyond the features": ("encoder.json", lambda d: {**d, "kept": [10**6]}),
    "kept below zero": ("encoder.json", lambda d: {**d, "kept": [-1]}),
    "fewer features": ("encoder.json", lambda d: {**d, "kept": d["kept"][:-1]}),
    "unknown transform": (
        "encoder.json",
        lambda d: {**d, "columns": [{**c, "transform": "exp"} for c in d["columns"]]},
    ),
    "unknown reaction": (
        "encoder.json",
        lambda d: {**d, "columns": [{**c, "reactions": {"missing": "run"}} for c in d["columns"]]},
    ),
    "added name": (
        "encoder.json",
        lambda d: {**d, "columns": [{**c, "more": 1} for c in d["columns"]]},
    ),
    "rule missing": (
        "encoder.json",
        lambda d: {**d, "columns": [{**c, "rule": None} for c in d["columns"]]},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_resealed_but_wrong_bundle_is_an_error_of_ours(copy: Path, name: str) -> None:
    """Hashes that agree prove no meaning: every other inconsistency is a BundleError too."""
    file, change = HOSTILE[name]
    resealed(copy, file, change)
    with pytest.raises(BundleError):
        load_bundle(copy)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', "", "\x00", '{"a": 1'])
def test_hostile_json_is_an_error_of_ours(copy: Path, text: str) -> None:
    """Deep nesting, NaN and broken JSON end in a BundleError, not in a crash."""
    (copy / "study.json").write_text(text)
    reseal(copy)
    with pytest.raises(BundleError, match=r"study\.json"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ZOO)
def test_a_stored_model_scores_to_the_bit_and_stores_to_the_byte(
    zoo: dict[str, Path], ward: Any, tmp_path: Path, name: str
) -> None:
    """Loaded, scored, saved and loaded again: the same digest and the same doubles."""
    bundle = load_bundle(zoo[name])
    first = score(ward.frame(25, seed=9), bundle)
    stored = {k: v for k, v in bundle.description.items() if k not in ("format", "release")}
    digest = save_bundle(tmp_path / "again", bundle.fitted, bundle.study, stored)
    again = load_bundle(tmp_path / "again")
    assert digest == bundle.digest == again.digest
    assert score(ward.frame(25, seed=9), again).table.equals(first.table)
    assert first.counts == {"ok": 25, "warned": 0, "refused": 0}
    assert again.fitted.model.to_state() == bundle.fitted.model.to_state()


def test_the_model_in_memory_and_the_stored_one_agree_at_the_horizons(
    ward: Any, tmp_path: Path
) -> None:
    """What was validated is what scores: risk and survival at the declared horizons are equal."""
    from biomarker.cohort import Cohort
    from biomarker.features.encoding import plan_columns
    from biomarker.models.pipeline import PipelineBuilder
    from biomarker.study import Study

    study = Study.from_toml(ward.study_text)
    cohort = Cohort.from_frame(ward.frame(), study)
    builder = PipelineBuilder(plan_columns(study, cohort.features), "cox")
    fitted = builder({"penalty": 1.0}, 0).fit(cohort.matrix(), cohort.outcomes["os"].y)
    horizons = [5.37, 11.93]
    description = {
        "name": "x", "endpoint": "os", "kind": "survival", "model": "cox", "unit": "months",
        "horizons": horizons, "id_column": "pid",
    }  # fmt: skip
    save_bundle(tmp_path / "b", fitted, study.to_dict(), description)
    scored = score(ward.frame(), load_bundle(tmp_path / "b")).table.to_pandas()
    np.testing.assert_array_equal(scored["risk"], fitted.predict_risk(cohort.matrix()))
    expected = fitted.predict_survival(cohort.matrix(), horizons)
    found = scored[["survival_5.37_months", "survival_11.93_months"]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_bundle_of_format_1_stays_loadable_with_its_recorded_scores() -> None:
    """The bundle this release wrote for a dozen synthetic patients scores as it did then."""
    bundle = load_bundle(OLD_BUNDLE / "bundle")
    scored = score(OLD_BUNDLE / "patients.csv", bundle).table.to_pandas()
    recorded = pd.read_csv(OLD_BUNDLE / "scores.csv", dtype={"pid": str, "reason": str}).fillna(
        {"reason": ""}
    )
    pd.testing.assert_frame_equal(scored, recorded, check_dtype=False, rtol=1e-9)
    assert set(recorded["status"]) == {"ok", "warned", "refused"}


@pytest.mark.parametrize("name", ZOO)
def test_no_patient_value_is_in_any_file_of_a_bundle(ward: Any, tmp_path: Path, name: str) -> None:
    """Ids and exact measurements planted in training are found in no stored byte."""
    frame = ward.frame(seed=4)
    secrets = {
        "pid": "ZQ-4711-secret", "age": "47.1147114", "hb": "131.471147", "vegf": "247.114711",
        "months": "9.4711471",
    }  # fmt: skip
    for column, secret in secrets.items():
        frame.loc[[2, 50, 90], column] = (
            secret if column != "pid" else [f"{secret}{i}" for i in "abc"]
        )
    folder = ward.train(tmp_path / name, name, frame=frame)
    for file in folder.iterdir():
        data = file.read_bytes()
        for secret in secrets.values():
            assert secret.encode() not in data, (file.name, secret)
            if secret[0].isdigit():
                number = float(secret)
                assert np.float64(number).tobytes() not in data
                assert np.float64(number).byteswap().tobytes() not in data
                assert repr(number).encode() not in data


def test_no_load_path_can_unpickle() -> None:
    """Neither the library nor the pipelines import or call anything that runs stored code."""
    forbidden_modules = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "skops"}
    found = []
    for file in [*ROOT.glob("biomarker/**/*.py"), *ROOT.glob("pipelines/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""] + [f"{node.module}.{a.name}" for a in node.names]
            elif isinstance(node, ast.Call):
                names = [ast.unparse(node.func)]
                if any(
                    k.arg == "allow_pickle" and ast.unparse(k.value) != "False"
                    for k in node.keywords
                ):
                    found.append((file.name, "allow_pickle"))
            for name in names:
                root, leaf = name.split(".")[0], name.split(".")[-1]
                if root in forbidden_modules or name in (
                    "joblib.load",
                    "joblib.dump",
                    "eval",
                    "exec",
                ):
                    found.append((file.name, name))
                if root in ("pd", "pandas") and leaf == "read_pickle":
                    found.append((file.name, name))
    assert found == []
