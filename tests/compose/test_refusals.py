"""What a DensityPipeline refuses, by name and with the cure, and before anything is fitted."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from skgm import DensityChain, MLEDensity
from skgm.compose import DensityPipeline, make_density_pipeline
from tests.compose.densities import FullNormal, NoWeights
from tests.compose.transformers import positive_table, real_table
from tests.toy import ToyCounts

pd = pytest.importorskip("pandas")
X = real_table(3)


class Tripwire(TransformerMixin, BaseEstimator):
    """Fails the test if it is fitted."""

    def fit(self, X, y=None):
        raise AssertionError("fitted before the refusal")

    def transform(self, X):
        return X

    inverse_transform = transform


WIRE = {"tripwire": lambda X: np.zeros(len(X))}


class Halved(StandardScaler):
    """A subclass may do anything: it is not taken for its parent."""

    def transform(self, X):
        return super().transform(X) / 2


EARLY = {
    "clip": (MinMaxScaler(clip=True), r"'minmaxscaler' \(MinMaxScaler\).*set clip=False"),
    "pca": (PCA(n_components=2), r"'pca'.*keeps 2 of 3 components"),
    "quantile": (
        QuantileTransformer(n_quantiles=20, subsample=50),
        "reads 50 of the .* rows and clips those beyond them; set subsample=None",
    ),
    "subclass": (Halved(), "'halved'.*Jacobian is unknown"),
    "sin": (FunctionTransformer(np.sin), "'functiontransformer'.*'sin' is unknown"),
    "unhashable": (FunctionTransformer([]), "'functiontransformer'.*is unknown"),
    "wrong-inverse": (
        FunctionTransformer(np.log, inverse_func=np.expm1),
        "inverse_func is not the inverse of log.*give numpy.exp",
    ),
    "inverse-alone": (FunctionTransformer(inverse_func=np.exp), "inverse_func is given without"),
    "kw_args": (FunctionTransformer(np.log, kw_args={"where": True}), "kw_args is unknown"),
    "nested": (
        make_pipeline(StandardScaler(), MinMaxScaler(clip=True)),
        "'pipeline__minmaxscaler'.*clip=False",
    ),
    "columns": (
        ColumnTransformer([("a", PCA(1), [0, 1])], remainder="passthrough"),
        "'columntransformer__a'.*keeps 1 of 2",
    ),
    "dropped": (ColumnTransformer([("a", StandardScaler(), [0, 1])]), r"\['x2'\] are dropped"),
    "drop-part": (
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "drop", [2])]),
        r"\['x2'\] are dropped",
    ),
    "repeated": (
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", PCA(), [1, 2])]),
        r"\['x1'\] appear in more than one part",
    ),
    "weights": (
        ColumnTransformer([("a", StandardScaler(), [0, 1, 2])], transformer_weights={"a": 2}),
        "transformer_weights",
    ),
}


@pytest.mark.parametrize("name", EARLY)
def test_refused_by_name_before_fitting(name):
    """The tripwire stands after the step at fault: all steps are looked at first."""
    transformer, message = EARLY[name]
    pipe = make_density_pipeline(transformer, Tripwire(), FullNormal(), log_jacobians=WIRE)
    with pytest.raises(ValueError, match=message):
        pipe.fit(X)
    assert not hasattr(pipe, "pipeline_")


@pytest.mark.parametrize("name", ["clip", "sin", "nested"])
def test_refused_before_earlier_steps_are_fitted(name):
    transformer, message = EARLY[name]
    pipe = make_density_pipeline(Tripwire(), transformer, FullNormal(), log_jacobians=WIRE)
    with pytest.raises(ValueError, match=message):
        pipe.fit(X)


@pytest.mark.parametrize(
    ("transformer", "table", "message"),
    [
        (PCA(n_components=0.5), X, "keeps 1 of 3"),
        (PCA(), X[:2], "at most 2 components in 2 rows"),
        (PCA(whiten=True), X[:, [0, 1, 1]], "zero along 1 of 3 components.*whiten=False"),
        (
            make_pipeline(StandardScaler(), PCA(n_components=2)),
            X,
            "'pipeline__pca'.*keeps 2 of 3",
        ),
    ],
)
def test_refused_once_fitted(transformer, table, message):
    with pytest.raises(ValueError, match=message):
        make_density_pipeline(transformer, FullNormal()).fit(table)


@pytest.mark.skipif("clip" not in MaxAbsScaler().get_params(), reason="scikit-learn >= 1.9")
def test_clipping_of_max_abs_is_refused():
    with pytest.raises(ValueError, match=r"'maxabsscaler'.*clip=False"):
        make_density_pipeline(MaxAbsScaler(clip=True), FullNormal()).fit(X)


@pytest.mark.parametrize(
    ("transformer", "bound"),
    [
        (FunctionTransformer(np.log), 0),
        (FunctionTransformer(np.log1p, np.expm1), -1),
        (FunctionTransformer(np.sqrt), 0),
        (PowerTransformer(method="box-cox"), 0),
        (make_pipeline("passthrough", FunctionTransformer(np.log)), 0),
        (
            ColumnTransformer([("a", FunctionTransformer(np.log), ["b"])], remainder="passthrough"),
            0,
        ),
    ],
)
def test_value_outside_the_domain_names_step_column_and_row(transformer, bound):
    table = positive_table(2)
    table[7, 1] = bound
    frame = pd.DataFrame(table, columns=["a", "b"])
    with pytest.raises(ValueError, match=f"needs numbers > {bound} in column 'b'.*at row 7"):
        make_density_pipeline(transformer, FullNormal()).fit(frame)


def test_value_outside_the_domain_of_a_later_step():
    with pytest.raises(ValueError, match=r"'functiontransformer'.*> 0 in column 'x\d'"):
        make_density_pipeline(StandardScaler(), FunctionTransformer(np.log), FullNormal()).fit(X)
    with pytest.raises(ValueError, match=r"> 0 in column 'component \d'"):
        make_density_pipeline(PCA(), FunctionTransformer(np.log), FullNormal()).fit(X)
    inner = make_pipeline(StandardScaler(), FunctionTransformer(np.log))
    with pytest.raises(ValueError, match=r"'pipeline' turns row .* into NaN or infinity in column"):
        make_density_pipeline(inner, FullNormal()).fit(X)


def test_overflow_in_fit_names_the_row():
    table = X.copy()
    table[3, 2] = 1000.0
    with pytest.raises(ValueError, match="turns row 3 into NaN or infinity in column 'x2'"):
        make_density_pipeline(FunctionTransformer(np.exp), FullNormal()).fit(table)


@pytest.mark.parametrize(
    "transformer", [MinMaxScaler(), MaxAbsScaler(), RobustScaler(), PowerTransformer(), PCA()]
)
def test_weights_are_refused_by_transformers_that_learn_without_them(transformer):
    name = type(transformer).__name__
    pipe = make_density_pipeline(StandardScaler(), transformer, FullNormal())
    with pytest.raises(ValueError, match=rf"'{name.lower()}' \({name}\).*no sample_weight"):
        pipe.fit(X, sample_weight=np.ones(len(X)))
    nested = ColumnTransformer([("part", make_pipeline(transformer), [0, 1, 2])])
    with pytest.raises(ValueError, match=f"'columntransformer__part__{name.lower()}'"):
        make_density_pipeline(nested, FullNormal()).fit(X, sample_weight=np.ones(len(X)))


def test_weights_are_refused_by_a_density_without_them():
    with pytest.raises(ValueError, match=r"last step, 'noweights'.*sample_weight"):
        make_density_pipeline(NoWeights()).fit(X, sample_weight=np.ones(len(X)))


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([], ValueError, "steps is empty"),
        ([FullNormal()], ValueError, "list of .name, estimator."),
        ([("a", StandardScaler()), ("a", FullNormal())], ValueError, "not unique"),
        ([("a__b", FullNormal())], ValueError, "must not contain __"),
        ([("steps", FullNormal())], ValueError, "conflict with constructor"),
        ([("a", FullNormal()), ("b", FullNormal())], TypeError, "'a' must be a transformer"),
        ([("a", StandardScaler), ("b", FullNormal())], TypeError, "'a' must be a transformer"),
        ([("a", StandardScaler()), ("b", "passthrough")], TypeError, "last step, 'b'"),
        ([("a", LinearRegression())], TypeError, "Subclass skgm.DensityEstimator"),
    ],
)
def test_malformed_steps(steps, error, message):
    with pytest.raises(error, match=message):
        DensityPipeline(steps).fit(X)


def test_parameters_are_validated():
    with pytest.raises(ValueError, match="normalizer_draws"):
        DensityPipeline([("a", FullNormal())], normalizer_draws=0).fit(X)
    with pytest.raises(ValueError, match="log_jacobians"):
        DensityPipeline([("a", FullNormal())], log_jacobians=np.log).fit(X)


def test_log_jacobians_of_unknown_steps_and_without_inverse():
    with pytest.raises(ValueError, match=r"log_jacobians names \['scaler'\]"):
        make_density_pipeline(FullNormal(), log_jacobians={"scaler": np.log}).fit(X)
    one_way = FunctionTransformer(np.cbrt)
    with pytest.raises(ValueError, match="without inverse_func"):
        make_density_pipeline(
            one_way, FullNormal(), log_jacobians={"functiontransformer": np.log}
        ).fit(X)
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1, 2])])
    with pytest.raises(ValueError, match=r"\(ColumnTransformer\), which has no inverse_transform"):
        make_density_pipeline(
            columns, FullNormal(), log_jacobians={"columntransformer": np.log}
        ).fit(X)


def test_a_probability_mass_has_no_jacobian():
    counts = np.random.default_rng(0).poisson(3.0, size=(50, 2))
    with pytest.raises(ValueError, match=r"probability mass.*leave out step 'standardscaler'"):
        make_density_pipeline(StandardScaler(), ToyCounts()).fit(counts)
    assert make_density_pipeline("passthrough", ToyCounts()).fit(counts).sample().dtype == float


def test_failed_fit_leaves_the_fitted_state():
    pipe = make_density_pipeline(StandardScaler(), FullNormal()).fit(X)
    before = pipe.score(X)
    with pytest.raises(ValueError, match="NaN"):
        pipe.fit(np.where(X > 2, np.nan, X))
    assert pipe.score(X) == before


def test_a_column_selected_by_name_needs_names():
    by_name = ColumnTransformer([("a", StandardScaler(), ["b"])], remainder="passthrough")
    with pytest.raises(ValueError, match="selects column 'b' by name"):
        make_density_pipeline(by_name, FullNormal()).fit(X)
    frame = pd.DataFrame(X, columns=["u", "v", "w"])
    with pytest.raises(ValueError, match=r"selects column 'b'; there are \['u', 'v', 'w'\]"):
        make_density_pipeline(by_name, FullNormal()).fit(frame)


def test_nested_pipeline_is_only_known_by_exact_class():
    class Loud(Pipeline):
        def transform(self, X):
            return 2 * super().transform(X)

    with pytest.raises(ValueError, match="'loud'"):
        DensityPipeline([("loud", Loud([("s", StandardScaler())])), ("g", FullNormal())]).fit(X)


@pytest.mark.parametrize(
    ("step", "cure"),
    [
        (QuantileTransformer(n_quantiles=40), "in its column 1, where values come again; set n_q"),
        (OrdinalEncoder(), "reads categories"),
    ],
)
def test_steps_that_lose_what_a_density_needs_name_the_cure(step, cure):
    rounded = np.column_stack([X[:, 0], X[:, 1].round(), X[:, 2]])
    with pytest.raises(ValueError, match=cure):
        DensityPipeline([("step", step), ("density", FullNormal())]).fit(rounded)


@pytest.mark.parametrize(
    ("encoder", "density"),
    [
        (OneHotEncoder(), DensityChain()),
        (OneHotEncoder(), FullNormal()),
        (TargetEncoder(), DensityChain()),
        (OrdinalEncoder(), FullNormal()),
        (OrdinalEncoder(), GaussianMixture()),
        (OrdinalEncoder(), KernelDensity()),
        (OrdinalEncoder(), MLEDensity("categorical")),
    ],
)
def test_encoders_of_text_are_refused_for_what_they_are(encoder, density):
    frame = pd.DataFrame({"kind": ["x", "y"] * 10})
    with pytest.raises(ValueError, match=r"'code' \(.*give the table as it is to a density that"):
        DensityPipeline([("code", encoder), ("density", density)]).fit(frame)


@pytest.mark.parametrize(
    ("encoder", "columns", "cure"),
    [
        (OrdinalEncoder(max_categories=2), ["kind"], "merge them in the table"),
        (OrdinalEncoder(), ["kind", "code"], "column 'code' as categories.*kind 'integer'"),
        (StandardScaler(), ["kind", "code"], "let these columns pass through a ColumnTransformer"),
    ],
)
def test_steps_that_are_no_bijection_of_a_mixed_table_are_refused(encoder, columns, cure):
    frame = pd.DataFrame({"kind": ["x", "y"] * 10, "code": [3, 4, 5, 6] * 5})
    parts = ColumnTransformer([("part", encoder, columns)], remainder="passthrough")
    with pytest.raises(ValueError, match=cure):
        make_density_pipeline(parts, DensityChain()).fit(frame)
    with pytest.raises(ValueError, match="needs a data frame"):
        make_density_pipeline(OrdinalEncoder(), DensityChain()).fit(frame[["kind"]].to_numpy())


def test_quantiles_that_scikit_learn_clips_are_refused():
    step = QuantileTransformer(n_quantiles=20, output_distribution="normal")
    with pytest.raises(ValueError, match="put a StandardScaler before it"):
        DensityPipeline([("step", step), ("density", FullNormal())]).fit(1e-9 * X)
