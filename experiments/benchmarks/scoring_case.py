"""The scoring benchmark's model and files: 20 columns, five of them the IL-2 markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["make_bundle", "table_of", "write_file"]

_MARKERS = {
    "caix": {"kind": "continuous", "unit": "%", "range": [0, 100]},
    "vegf": {
        "kind": "continuous", "unit": "pg/mL", "transform": "log", "range": [1, 10000],
        "check_units": False,
    },
    "fibronectin": {"kind": "continuous", "unit": "mg/L", "range": [1, 5000]},
    "histology": {"kind": "categorical", "levels": ["clear_cell", "papillary", "other"]},
    "ccr5": {"kind": "genotype", "levels": ["wt/wt", "wt/d32", "d32/d32"]},
}  # fmt: skip
_N_NUMBERS, _N_GROUPS = 12, 3
_GROUPS = ["a", "b", "c", "d"]


def study() -> Any:
    """Its columns: markers, 12 continuous covariates and 3 categorical ones."""
    from biomarker import Study

    columns: dict[str, Any] = {
        "patient": {"role": "id"},
        "months": {"role": "endpoint"},
        "died": {"role": "endpoint"},
    }
    columns |= {name: {"role": "marker"} | found for name, found in _MARKERS.items()}
    columns |= {f"x{i}": {"role": "covariate", "kind": "continuous"} for i in range(_N_NUMBERS)}
    columns |= {
        f"g{i}": {"role": "covariate", "kind": "categorical", "levels": _GROUPS}
        for i in range(_N_GROUPS)
    }
    endpoint = {
        "type": "survival", "duration": "months", "event": "died", "event_values": ["1"],
        "censored_values": ["0"], "unit": "months", "primary": True,
    }  # fmt: skip
    return Study.from_dict(
        {
            "format_version": 1, "name": "bench", "single_arm": "control", "columns": columns,
            "endpoints": {"os": endpoint},
        }
    )  # fmt: skip


def table_of(n: int, seed: int, first: int = 0) -> pa.Table:
    """Rows ``first`` to ``first + n`` of a file, 1 value in 50 missing."""
    rng = np.random.default_rng([seed, first])
    columns: dict[str, Any] = {
        "patient": pa.array(np.char.add("P", np.arange(first, first + n).astype("U10"))),
        "caix": rng.uniform(0, 100, n).round(1),
        "vegf": np.exp(rng.normal(5.5, 0.6, n)).round(1).clip(1, 9999),
        "fibronectin": rng.gamma(9, 40, n).round().clip(1, 4999),
    }
    columns |= {f"x{i}": rng.normal(size=n).round(4) for i in range(_N_NUMBERS)}
    for name in [*columns][1:]:
        columns[name] = pa.array(columns[name], mask=rng.random(n) < 0.02)
    texts = {"histology": _MARKERS["histology"]["levels"], "ccr5": _MARKERS["ccr5"]["levels"]}
    texts |= {f"g{i}": _GROUPS for i in range(_N_GROUPS)}
    for name, levels in texts.items():
        codes = pa.array(rng.integers(len(levels), size=n), pa.int8(), mask=rng.random(n) < 0.02)
        columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(levels)).cast(pa.string())
    return pa.table(columns)


def write_file(path: Path, n: int, seed: int = 1) -> Path:
    """A Parquet file, or CSV by its ending, written in pieces of a million rows."""
    import pyarrow.csv as pa_csv

    schema = table_of(1, seed).schema
    csv = path.suffix == ".csv"
    with (pa_csv.CSVWriter if csv else pq.ParquetWriter)(path, schema) as writer:
        for first in range(0, n, 1_000_000):
            writer.write_table(table_of(min(1_000_000, n - first), seed, first))
    return path


def make_bundle(folder: Path) -> Path:
    """A boosted Cox model of 300 trees, four splits deep, trained on 2,000 patients."""
    from biomarker.features.encoding import plan_columns
    from biomarker.models import BoostedCox
    from biomarker.models.pipeline import EncodedModel
    from biomarker.outcomes import survival_outcome
    from biomarker.parsing import ParseRule
    from pipelines.bundle import save_bundle

    declared, table = study(), table_of(2_000, 0)
    names = tuple(table.column_names[1:])
    X = np.column_stack(
        [
            ParseRule.from_column(n, declared.columns[n], declared.missing).parse(table[n]).values
            for n in names
        ]
    )
    known = np.nan_to_num(X)
    rate = np.exp(0.02 * known[:, 0] + 0.5 * known[:, 3] * known[:, 4] + known[:, 5])
    time = np.random.default_rng(3).exponential(size=len(X)) / rate
    y = survival_outcome(time < 1.0, np.minimum(time, 1.0) * 24 + 0.1)
    model = EncodedModel(plan_columns(declared, names), BoostedCox(n_estimators=300, max_depth=4))
    model.fit(X, y)
    description = {
        "name": "bench-os-boosted_cox",
        "endpoint": "os",
        "kind": "survival",
        "model": "boosted_cox",
        "params": {},
        "horizons": [6.0, 12.0],
        "unit": "months",
        "id_column": "patient",
        "id_optional": False,
    }
    save_bundle(folder, model, declared.to_dict(), description)
    return folder
