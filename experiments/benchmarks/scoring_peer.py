"""What an MLflow user would build: the same trees behind scikit-learn's encoders, on pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["pandas_pipeline"]


def pandas_pipeline(bundle: Any, folder: Path) -> Any:
    """A pyfunc model: imputing, indicators, logarithm, one-hot, then the bundle's booster."""
    import mlflow
    import mlflow.sklearn
    import xgboost
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

    from experiments.benchmarks.scoring_case import table_of

    columns = bundle.encoder.columns
    numbers = [c.name for c in columns if c.kind == "continuous" and c.plan.transform != "log"]
    logged = [c.name for c in columns if c.plan.transform == "log"]
    groups = [c.name for c in columns if c.kind == "categorical"]
    graded = [c.name for c in columns if c.kind in ("genotype", "ordinal")]
    levels = {c.name: list(c.plan.rule.levels) for c in columns}
    fill = {"strategy": "median", "add_indicator": True}
    encoder = ColumnTransformer(
        [
            ("numbers", SimpleImputer(**fill), numbers),
            ("logged", Pipeline([("impute", SimpleImputer(**fill)),
                                 ("log", FunctionTransformer(_log_first))]), logged),
            ("groups", Pipeline([("impute", SimpleImputer(missing_values=None,
                                                          strategy="most_frequent")),
                                 ("levels", OneHotEncoder(categories=[levels[g] for g in groups],
                                                          drop="first",
                                                          sparse_output=False))]), groups),
            ("graded", Pipeline([("impute", SimpleImputer(missing_values=None,
                                                          strategy="most_frequent")),
                                 ("grades", OrdinalEncoder(
                                     categories=[levels[g] for g in graded]))]), graded),
            ("absent", FunctionTransformer(_absent), groups + graded),
        ]
    )  # fmt: skip
    frame = table_of(2_000, 0).to_pandas()
    width = encoder.fit_transform(frame).shape[1]
    booster = bundle.fitted.model.booster_
    if width != booster.num_features():
        raise ValueError(f"the pipeline must give {booster.num_features()} features; got {width}.")
    regressor = xgboost.XGBRegressor(n_jobs=2)
    regressor.load_model(bytearray(booster.save_raw("ubj")))
    pipeline = Pipeline([("encode", encoder), ("trees", regressor)])
    if not folder.exists():
        mlflow.sklearn.save_model(
            pipeline, folder, serialization_format="cloudpickle", pip_requirements=[]
        )
    return mlflow.pyfunc.load_model(str(folder))


def _log_first(X: Any) -> Any:
    """Logarithm of the value, the indicator as it is."""
    out = np.array(X, dtype=np.float64)
    out[:, 0] = np.log(out[:, 0])
    return out


def _absent(X: Any) -> Any:
    """Indicators of missing texts."""
    return X.isna().to_numpy(dtype=np.float64)
