"""ColumnTransformer in a pipeline: every way to choose columns, on arrays and data frames."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from skgm.compose import make_density_pipeline
from tests.compose.densities import FullNormal
from tests.compose.transformers import positive_table

X = positive_table(4)
NAMES = ["a", "b", "c", "d"]
LOG = FunctionTransformer(np.log)

# Each chooses columns 1 and 3.
CHOICES = {
    "positions": [3, 1],
    "negative": [-3, -1],
    "slice": slice(1, 4, 2),
    "mask": [False, True, False, True],
    "array-mask": np.array([False, True, False, True]),
    "callable": lambda X: [1, 3],
    "names": ["d", "b"],
    "name-array": np.array(["d", "b"]),
    "selector": make_column_selector(pattern="b|d"),
    "callable-names": lambda X: ["b", "d"],
}
NEED_NAMES = ("names", "name-array", "selector", "callable-names")


def table(kind):
    if kind == "array":
        return X
    frames = pytest.importorskip(kind)
    return frames.DataFrame(dict(zip(NAMES, X.T)))


def expected(log_columns, rows):
    """Log-density by hand: logs of some columns, a normal, and minus the logs themselves."""
    Z = X.copy()
    Z[:, log_columns] = np.log(Z[:, log_columns])
    new = rows.copy()
    new[:, log_columns] = np.log(new[:, log_columns])
    return FullNormal().fit(Z).score_samples(new) - new[:, log_columns].sum(axis=1)


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
@pytest.mark.parametrize("choice", CHOICES)
def test_columns_chosen_in_every_way(choice, kind):
    if choice in NEED_NAMES and kind == "array":
        pytest.skip("an array has no names")
    if choice == "selector" and kind == "polars":
        pytest.skip("make_column_selector knows pandas only")
    parts = [("log", LOG, CHOICES[choice])]
    pipe = make_density_pipeline(
        ColumnTransformer(parts, remainder="passthrough"), FullNormal()
    ).fit(table(kind))
    rows = table(kind)[:10]
    np.testing.assert_allclose(pipe.score_samples(rows), expected([1, 3], X[:10]))
    drawn = pipe.sample(5, random_state=0)
    assert type(drawn) is type(table(kind))
    if kind != "array":
        assert list(drawn.columns) == NAMES


@pytest.mark.parametrize("stop", ["c", None])
def test_slices_of_names_include_both_ends(stop):
    parts = [("log", LOG, slice("b", stop))]
    pipe = make_density_pipeline(
        ColumnTransformer(parts, remainder="passthrough"), FullNormal()
    ).fit(table("pandas"))
    columns = [1, 2] if stop else [1, 2, 3]
    np.testing.assert_allclose(pipe.score_samples(table("pandas")), expected(columns, X))


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
def test_output_containers_between_steps(kind, output):
    """Intermediate data frames change nothing, nor do names that a second step selects by."""
    steps = [
        ColumnTransformer(
            [("s", StandardScaler(), [2, 0])],
            remainder=RobustScaler(),
        ),
        PCA(),
    ]
    plain = make_density_pipeline(*steps, FullNormal()).fit(X)
    if output != "default":
        pytest.importorskip(output)
    with config_context(transform_output=output):
        pipe = make_density_pipeline(*steps, FullNormal()).fit(table(kind))
        np.testing.assert_allclose(
            pipe.score_samples(table(kind)), plain.score_samples(X), rtol=1e-9
        )
        assert type(pipe.sample(2)) is type(table(kind))


def test_a_later_column_transformer_selects_by_the_names_that_reach_it():
    by_name = ColumnTransformer([("log", LOG, ["b"])], remainder="passthrough")
    first = FunctionTransformer(np.sqrt, feature_names_out="one-to-one")
    first.set_output(transform="pandas")
    pipe = make_density_pipeline(first, by_name, FullNormal()).fit(table("pandas"))
    half = X.copy()
    half[:, 1] = np.log(np.sqrt(X[:, 1]))
    half[:, [0, 2, 3]] = np.sqrt(X[:, [0, 2, 3]])
    log_slope = -np.log(X[:, 1]) - np.log(2)
    log_slope -= (np.log(2) + 0.5 * np.log(X[:, [0, 2, 3]])).sum(axis=1)
    law = FullNormal().fit(half)
    value = law.score_samples(half) + log_slope - pipe.log_image_probability_
    np.testing.assert_allclose(pipe.score_samples(table("pandas")), value)


def test_nested_column_transformers_and_pipelines():
    inner = ColumnTransformer([("log", LOG, [1])], remainder="passthrough")
    outer = ColumnTransformer(
        [("x", make_pipeline(StandardScaler(), PCA()), [3, 0]), ("y", inner, [2, 1])]
    )
    pipe = make_density_pipeline(outer, FullNormal()).fit(X)
    np.testing.assert_allclose(pipe.score_samples(X), expected([1], X))
    np.testing.assert_allclose(pipe._chain.inverse(pipe._chain.forward(X)), X)


def test_integer_column_names_are_positions_to_scikit_learn():
    frame = pytest.importorskip("pandas").DataFrame(X)
    columns = ColumnTransformer([("log", LOG, [3, 1])], remainder="passthrough")
    pipe = make_density_pipeline(columns, FullNormal()).fit(frame)
    np.testing.assert_allclose(pipe.score_samples(frame), expected([1, 3], X))


def test_empty_parts_and_exact_partitions_without_remainder():
    columns = ColumnTransformer(
        [("none", LOG, []), ("log", LOG, [1, 3]), ("rest", "passthrough", [2, 0])]
    )
    pipe = make_density_pipeline(columns, FullNormal()).fit(X)
    np.testing.assert_allclose(pipe.score_samples(X), expected([1, 3], X))


def test_weights_reach_the_parts():
    """Through ColumnTransformer and Pipeline, with metadata routing left off."""
    columns = ColumnTransformer(
        [("a", make_pipeline(LOG, StandardScaler()), [1, 3])], remainder=StandardScaler()
    )
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    weighted = make_density_pipeline(columns, FullNormal()).fit(X, sample_weight=weight)
    repeated = make_density_pipeline(columns, FullNormal()).fit(np.repeat(X, weight, axis=0))
    scaler = weighted[0].named_transformers_["remainder"]
    np.testing.assert_allclose(scaler.mean_, np.average(X[:, [0, 2]], axis=0, weights=weight))
    np.testing.assert_allclose(weighted.score_samples(X), repeated.score_samples(X), rtol=1e-10)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_nested_column_transformers_choose_by_name(kind):
    inner = ColumnTransformer([("log", LOG, ["d"])], remainder="passthrough")
    chosen = ColumnTransformer(
        [("inner", inner, ["b", "d"]), ("log", LOG, lambda X: ["a"])], remainder="passthrough"
    )
    pipe = make_density_pipeline(chosen, FullNormal()).fit(table(kind))
    np.testing.assert_allclose(pipe.score_samples(table(kind)), expected([3, 0], X))
    assert list(pipe.sample(2, random_state=0).columns) == NAMES


def test_nested_column_transformers_choose_by_a_callable_of_their_columns():
    inner = ColumnTransformer([("log", LOG, lambda part: [part.shape[1] - 1])], remainder=LOG)
    chosen = ColumnTransformer([("inner", inner, [1, 3])], remainder="passthrough")
    pipe = make_density_pipeline(chosen, FullNormal()).fit(X)
    np.testing.assert_allclose(pipe.score_samples(X), expected([1, 3], X))
