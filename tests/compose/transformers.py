"""One instance of every known transformer, with a table inside its domain."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)


def real_table(n_columns, n_rows=200, seed=0):
    """Dependent, mildly skewed columns around different locations."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_columns) + 0.5 * np.tri(n_columns, k=-1)
    X = rng.normal(size=(n_rows, n_columns)) @ mixing.T
    return np.arcsinh(X) + 0.1 * X**2 + np.arange(n_columns)


def positive_table(n_columns, n_rows=200, seed=0):
    """Dependent gamma-like columns."""
    rng = np.random.default_rng(seed)
    common = rng.gamma(2.0, size=(n_rows, 1))
    return (common + rng.gamma(1.0, size=(n_rows, n_columns))) * (1 + np.arange(n_columns))


def spread_table(n_columns, n_rows=200, seed=0):
    """Positive, so skewed that a normal fitted to square roots reaches below zero."""
    return positive_table(n_columns, n_rows, seed) ** 3


def light_table(n_columns, n_rows=200, seed=0):
    """Left-skewed columns, whose exponential is well behaved."""
    return np.log(positive_table(n_columns, n_rows, seed))


AFFINE = {
    "standard": StandardScaler(),
    "standard-no-mean": StandardScaler(with_mean=False),
    "standard-no-std": StandardScaler(with_std=False),
    "standard-nothing": StandardScaler(with_mean=False, with_std=False),
    "minmax": MinMaxScaler((-1, 3)),
    "maxabs": MaxAbsScaler(),
    "robust": RobustScaler(unit_variance=True),
    "robust-no-center": RobustScaler(with_centering=False),
    "robust-no-scale": RobustScaler(with_scaling=False),
    "pca": PCA(),
    "pca-whiten": PCA(whiten=True),
    "identity": FunctionTransformer(),
    "passthrough": "passthrough",
}

# name -> (transformer, table); "skewed" and "left" have exponents below 0 and above 2.
CURVED = {
    "yeo-johnson": (PowerTransformer(), real_table),
    "yeo-johnson-raw": (PowerTransformer(standardize=False), real_table),
    "yeo-johnson-skewed": (PowerTransformer(), lambda d: np.exp(real_table(d))),
    "yeo-johnson-left": (PowerTransformer(), lambda d: -np.exp(real_table(d))),
    "box-cox": (PowerTransformer(method="box-cox"), positive_table),
    "box-cox-raw": (PowerTransformer(method="box-cox", standardize=False), positive_table),
    "log": (FunctionTransformer(np.log), positive_table),
    "log1p": (FunctionTransformer(np.log1p, np.expm1), positive_table),
    "exp": (FunctionTransformer(np.exp), light_table),
    "expm1": (FunctionTransformer(np.expm1), light_table),
    "sqrt": (FunctionTransformer(np.sqrt, inverse_func=np.square), spread_table),
    "quantile": (QuantileTransformer(n_quantiles=20), real_table),
    "quantile-normal": (
        QuantileTransformer(n_quantiles=20, output_distribution="normal"),
        real_table,
    ),
    "nested": (
        make_pipeline(FunctionTransformer(np.log), "passthrough", StandardScaler()),
        positive_table,
    ),
}

KNOWN = {name: (t, real_table) for name, t in AFFINE.items()} | CURVED


def column_transformer():
    """Parts out of order, one of them mixing its columns, one passed through; three columns."""
    parts = [
        ("log", make_pipeline(FunctionTransformer(np.log), StandardScaler()), [2]),
        ("mix", PCA(whiten=True), slice(0, 2)),
    ]
    return ColumnTransformer(parts, remainder="passthrough")
