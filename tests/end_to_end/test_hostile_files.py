"""Files made to harm: nothing in them runs, and no process ends by a signal, at any way in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipelines.bundle
from biomarker.errors import BundleError
from biomarker.features.encoding import FrozenEncoder
from pipelines.bundle import load_bundle

_FLIPS = 1000
_BOOSTERS = 60


@pytest.fixture(scope="module")
def boosted(ward: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a booster."""
    return Path(ward.train(tmp_path_factory.mktemp("boosted") / "bundle", "boosted_cox"))


def reseal(folder: Path) -> None:
    """Record the hashes of whatever the folder holds, as its maker would."""
    files = sorted(p for p in folder.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_a_thousand_flips_are_refused_before_any_parser(
    boosted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random byte of a random file, drawn over all bytes of the bundle, changed to another."""
    import xgboost

    def reached(*_: Any, **__: Any) -> Any:
        raise AssertionError("a parser saw bytes that were not verified")

    for owner, name in (
        (json, "loads"),
        (xgboost.Booster, "load_model"),
        (pipelines.bundle, "model_from_state"),
        (FrozenEncoder, "from_state"),
    ):
        monkeypatch.setattr(owner, name, reached)
    copy = Path(shutil.copytree(boosted, tmp_path / "copy"))
    files = sorted(copy.iterdir())
    data = [file.read_bytes() for file in files]
    ends = np.cumsum([len(part) for part in data])
    rng = np.random.default_rng(61)
    for place in rng.integers(ends[-1], size=_FLIPS):
        k = int(np.searchsorted(ends, place, side="right"))
        harmed = bytearray(data[k])
        harmed[int(place - (ends[k - 1] if k else 0))] ^= int(rng.integers(1, 256))
        files[k].write_bytes(harmed)
        with pytest.raises(BundleError):
            load_bundle(copy)
        files[k].write_bytes(data[k])
    monkeypatch.undo()
    assert load_bundle(copy).digest == load_bundle(boosted).digest


class _Runs:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.canary),))


def payloads(canary: Path) -> dict[str, bytes]:
    """A pickle, and the containers numpy may carry one in."""
    hostile = np.array([_Runs(canary)], dtype=object)
    alone, packed = io.BytesIO(), io.BytesIO()
    np.save(alone, hostile, allow_pickle=True)
    np.savez(packed, key=hostile, importance=hostile, together=hostile, sign=hostile)
    return {
        "pickle": pickle.dumps(_Runs(canary)),
        "npy": alone.getvalue(),
        "npz": packed.getvalue(),
    }


# Each way a stored file is read, one call a line; what is said of it is printed.
ENTRIES = """
import sys, types
from pathlib import Path
folder = Path(sys.argv[1])

def tried(name, call):
    try:
        print(name, type(call()).__name__, flush=True)
    except Exception as error:
        print(name, type(error).__name__, flush=True)

from pipelines.bundle import load_bundle
for bundle in sorted(folder.glob("bundle-*")):
    tried("bundle", lambda: load_bundle(bundle))
    from pipelines.scoring import resolve_bundle
    tried("named", lambda: resolve_bundle(str(bundle)))
    context = types.SimpleNamespace(artifacts={"bundle": str(bundle)})
    from pipelines.served_model import ServedBundle
    tried("served", lambda: ServedBundle().load_context(context))
from pipelines.row_ids import RepeatedIds
for ids in sorted(folder.glob("ids-*")):
    tried("ids", lambda: RepeatedIds.load(ids))
from pipelines.refits import _read
plan = types.SimpleNamespace(sources=("a",), units=("a",))
block = types.SimpleNamespace(low=0, high=1, scheme="fold")
for block_file in sorted(folder.glob("block-*")):
    tried("block", lambda: _read(block_file, "key", plan, block))
"""


def test_nothing_in_a_file_runs_where_it_is_read(boosted: Path, tmp_path: Path) -> None:
    """Pickles in the place of every file, with hashes that fit; the same file unpickled would."""
    canary = tmp_path / "canary"
    for kind, content in payloads(canary).items():
        for name in ("booster.ubj", "model.json", "bundle.json", "encoder.json", "study.json"):
            folder = Path(shutil.copytree(boosted, tmp_path / f"bundle-{kind}-{name}"))
            (folder / name).write_bytes(content)
            reseal(folder)
        ids = tmp_path / f"ids-{kind}"
        ids.mkdir()
        (ids / "names.json").write_text('{"names": [], "n_rows": 1}')
        for name in ("hashes.npy", "shared.npy"):
            (ids / name).write_bytes(content)
        (tmp_path / f"block-{kind}").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENTRIES, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [line.split() for line in done.stdout.splitlines()]
    assert len(said) == 3 * 5 * 3 + 3 + 3
    assert {word for entry, word in said if entry in ("bundle", "named", "served")} == {
        "BundleError"
    }
    # Blocks that cannot be read are made anew.
    assert {word for entry, word in said if entry == "block"} == {"NoneType"}
    assert {word for entry, word in said if entry == "ids"} == {"BundleError"}
    assert not canary.exists()
    pickle.loads(payloads(canary)["pickle"])  # a test that could not fail proves little
    assert canary.exists()


SCORES = """
import sys
from pathlib import Path
import pyarrow as pa
from biomarker.errors import BiomarkerError
from pipelines.bundle import load_bundle
from pipelines.row_scores import FileMarks, RowScorer
said = []
for folder in sorted(Path(sys.argv[1]).glob("bundle-*")):
    try:
        bundle = load_bundle(folder)
        columns = {c.name: pa.array(["1", "30", "x", None]) for c in bundle.encoder.columns}
        table = pa.table({bundle.id_column: pa.array(list("abcd")), **columns})
        scorer = RowScorer(bundle)
        scorer.score(table, FileMarks())
        scorer.prepare()
        scorer.score(table, FileMarks())
        said.append("scored")
    except BiomarkerError:
        said.append("refused")
print(" ".join(said))
"""


def test_a_malformed_booster_ends_no_process(boosted: Path, tmp_path: Path) -> None:
    """Flipped, cut, overwritten and made-up bytes with hashes that fit: scored, or refused."""
    raw, rng = (boosted / "booster.ubj").read_bytes(), np.random.default_rng(62)
    for k in range(_BOOSTERS):
        harmed = bytearray(raw)
        if k % 4 == 0:
            for place in rng.integers(len(raw), size=1 + 15 * (k % 8 == 0)):
                harmed[place] = int(rng.integers(256))
        elif k % 4 == 1:
            harmed = harmed[: int(rng.integers(len(raw)))]
        elif k % 4 == 2:
            place = int(rng.integers(len(raw) - 64))
            harmed[place : place + 64] = bytes([(0, 127, 255)[k % 3]]) * 64
        else:
            harmed = bytearray(rng.bytes(int(rng.integers(1, 4000))))
        folder = Path(shutil.copytree(boosted, tmp_path / f"bundle-{k:03d}"))
        (folder / "booster.ubj").write_bytes(harmed)
        reseal(folder)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCORES, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert len(done.stdout.split()) == _BOOSTERS
    assert done.stdout.split().count("refused") > _BOOSTERS // 2
