"""ScoreMatchingGaussian as a density: the fit, its density, its draws."""

import io
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance

from skgm import ScoreMatchingGaussian

TYPES = ("full", "diag", "spherical")


@pytest.fixture
def X(rng):
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 2.0]])
    return rng.standard_normal((400, 3)) @ mixing.T + [1.0, -2.0, 30.0]


def as_matrix(value, p):
    return np.asarray(value) if np.ndim(value) == 2 else np.eye(p) * value


def implicit_loss_by_rows(X, location, precision):
    """The definition, with the divergence by central differences of the score function."""
    step = 1e-4

    def score(x):
        return -(x - location) @ precision

    divergence = sum(
        (score(X + step * e)[:, j] - score(X - step * e)[:, j]) / (2 * step)
        for j, e in enumerate(np.eye(X.shape[1]))
    )
    return np.mean(0.5 * (score(X) ** 2).sum(axis=1) + divergence)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("assume_centered", [False, True])
def test_fit_minimizes_the_implicit_loss(X, covariance_type, assume_centered):
    X = (X - [1.0, -2.0, 30.0]) / X.std(axis=0)
    p, lower = 3, np.tril_indices(3)
    n_precision = {"full": 6, "diag": 3, "spherical": 1}[covariance_type]

    def unpack(theta):
        location = np.zeros(p) if assume_centered else theta[n_precision:]
        if covariance_type != "full":
            return location, np.eye(p) * theta[:n_precision]
        precision = np.zeros((p, p))
        precision[lower] = theta[:6]
        return location, precision + np.tril(precision, -1).T

    start = np.concatenate([np.eye(p)[lower] if n_precision == 6 else np.ones(n_precision)])
    start = start if assume_centered else np.concatenate([start, np.zeros(p)])
    found = optimize.minimize(
        lambda theta: implicit_loss_by_rows(X, *unpack(theta)), start, options={"gtol": 1e-8}
    )
    location, precision = unpack(found.x)
    density = ScoreMatchingGaussian(covariance_type, assume_centered=assume_centered).fit(X)
    # BFGS with finite differences stops within 1e-5 of the minimum
    assert_allclose(density.location_, location, atol=2e-5)
    assert_allclose(as_matrix(density.precision_, p), precision, atol=5e-5)
    assert_allclose(density.loss_, found.fun, rtol=1e-8)
    assert_allclose(density.loss(X), density.loss_, rtol=1e-12)


def test_full_fit_equals_scikit_learn_and_numpy(X):
    density = ScoreMatchingGaussian().fit(X)
    peer = EmpiricalCovariance().fit(X)
    # variances of order one and a mean of 15 standard deviations: 15^2 roundings at most
    assert_allclose(density.covariance_, peer.covariance_, atol=2e-13)
    assert_allclose(density.covariance_, np.cov(X, rowvar=False, bias=True), atol=2e-13)
    assert_allclose(density.precision_, peer.precision_, rtol=1e-9)
    assert_allclose(density.location_, X.mean(axis=0), rtol=1e-13)
    assert density.ridge_ == 0.0
    assert density.n_samples_seen_ == len(X)
    centered = ScoreMatchingGaussian(assume_centered=True).fit(X)
    assert_allclose(centered.covariance_, X.T @ X / len(X), rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("assume_centered", [False, True])
def test_log_density_equals_scipy(X, covariance_type, assume_centered):
    density = ScoreMatchingGaussian(covariance_type, assume_centered=assume_centered).fit(X)
    peer = stats.multivariate_normal(density.location_, as_matrix(density.covariance_, 3))
    assert_allclose(density.score_samples(X), peer.logpdf(X), rtol=1e-10)
    assert_allclose(density.loglik_, peer.logpdf(X).sum(), rtol=1e-11)
    expected = {"covariance"} if assume_centered else {"location", "covariance"}
    assert set(density.params_) == expected


def test_columns_of_any_scale_side_by_side(X):
    scales = np.array([1e-6, 1.0, 1e6])
    density, scaled = ScoreMatchingGaussian().fit(X), ScoreMatchingGaussian().fit(X * scales)
    assert scaled.ridge_ == 0.0
    assert_allclose(
        scaled.score_samples(X * scales),
        density.score_samples(X) - np.log(scales).sum(),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_density_integrates_to_one(rng, covariance_type):
    X = rng.standard_normal((50, 2)) @ [[1.0, 0.7], [0.0, 0.4]]
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    sd = np.sqrt(np.diag(as_matrix(density.covariance_, 2)))
    axes = [m + s * np.linspace(-9, 9, 301) for m, s in zip(density.location_, sd)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(density.score_samples(grid)).reshape(301, 301)
    total = integrate.trapezoid(integrate.trapezoid(p, axes[1]), axes[0])
    # the trapezoidal rule is exact to rounding for a Gaussian at 17 points per standard deviation
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_score_function_is_the_gradient(X, covariance_type):
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    rows, step = X[:20], 1e-5
    gradient = np.stack(
        [
            (density.score_samples(rows + step * e) - density.score_samples(rows - step * e))
            / (2 * step)
            for e in np.eye(3)
        ],
        axis=1,
    )
    assert_allclose(density.score_function(rows), gradient, rtol=1e-6, atol=1e-7)
    assert density.score_function(rows.astype(np.float32)).dtype == np.float64


def test_rows_do_not_depend_on_their_batch(rng):
    X = rng.standard_normal((9000, 40)) @ rng.standard_normal((40, 40))
    density = ScoreMatchingGaussian().fit(X)
    whole = density.score_samples(X)
    assert_allclose(density.score_samples(X[7000:7003]), whole[7000:7003], rtol=1e-10)
    assert_allclose(density.score_samples(X[::-1]), whole[::-1], rtol=1e-10)


def test_far_away_rows_have_no_nan(X):
    density = ScoreMatchingGaussian().fit(X)
    far = np.full((1, 3), 1e300)
    assert density.score_samples(far)[0] == -np.inf
    tiny = ScoreMatchingGaussian().fit(X * 1e-100)
    with pytest.raises(ValueError, match="overflows at row 1"):
        tiny.score_function(np.vstack([X[:1] * 1e-100, far]))


def test_losses(X):
    density = ScoreMatchingGaussian().fit(X)
    rows, weight = X[:50] + 0.3, np.arange(50.0)
    expected = implicit_loss_by_rows(rows, density.location_, density.precision_)
    assert density.loss(rows) == pytest.approx(expected, rel=1e-6)
    repeated = np.repeat(rows, weight.astype(int), axis=0)
    assert density.loss(rows, sample_weight=weight) == pytest.approx(density.loss(repeated))
    target = np.sin(rows)
    by_hand = np.mean(
        [0.5 * np.sum((s - t) ** 2) for s, t in zip(density.score_function(rows), target)]
    )
    assert density.loss(rows, "explicit", score_data=target) == pytest.approx(by_hand)
    assert density.loss(rows, "explicit", score_data=target, sample_weight=weight) == pytest.approx(
        density.loss(repeated, "explicit", score_data=np.sin(repeated))
    )


def test_loss_arguments(X):
    density = ScoreMatchingGaussian().fit(X)
    with pytest.raises(ValueError, match="kind must be"):
        density.loss(X, kind="denoising")
    with pytest.raises(ValueError, match="needs score_data"):
        density.loss(X, kind="explicit")
    with pytest.raises(ValueError, match="takes no score_data"):
        density.loss(X, score_data=X)
    with pytest.raises(ValueError, match=r"shape of X, \(400, 3\); got \(400, 2\)"):
        density.loss(X, kind="explicit", score_data=X[:, :2])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_partial_fit_equals_fit(rng, covariance_type):
    X = rng.standard_normal((1000, 5)) @ rng.standard_normal((5, 5))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    weight = rng.integers(0, 3, 1000).astype(float)
    whole = ScoreMatchingGaussian(covariance_type).fit(X, sample_weight=weight)
    parts = ScoreMatchingGaussian(covariance_type)
    for rows in np.split(np.arange(1000), [300, 302, 700]):
        parts.partial_fit(X[rows], y="ignored", sample_weight=weight[rows] + 0.0)
    for name in ("location_", "covariance_", "precision_", "loglik_", "loss_"):
        assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-12)
    assert parts.n_samples_seen_ == weight.sum()


def test_partial_fit_takes_single_rows(rng):
    X = rng.standard_normal((30, 2))
    stream = ScoreMatchingGaussian()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for row in X:
            stream.partial_fit(row[None])
    # after one and after two rows; three span the plane
    assert ["covariance is singular" in str(w.message) for w in caught] == [True, True]
    assert_allclose(stream.covariance_, ScoreMatchingGaussian().fit(X).covariance_, rtol=1e-12)


def test_partial_fit_keeps_its_structure(X):
    density = ScoreMatchingGaussian("diag").partial_fit(X)
    density.set_params(covariance_type="full")
    with pytest.raises(ValueError, match="cannot be merged"):
        density.partial_fit(X)


def test_failed_fit_leaves_the_old_one(X):
    density = ScoreMatchingGaussian().fit(X)
    before = density.score(X)
    with pytest.raises(ValueError, match="NaN in column 'x1'"):
        density.partial_fit([[0.0, np.nan, 0.0]])
    with pytest.raises(ValueError, match="infinity in column 'x2'"):
        density.fit([[0.0, 1.0, 0.0], [0.0, 0.0, np.inf]])
    assert density.score(X) == before
    assert density.n_samples_seen_ == len(X)


def test_non_finite_values_in_rows_of_zero_weight_are_refused(X):
    X[3, 1] = np.nan
    weight = np.ones(len(X))
    weight[3] = 0
    with pytest.raises(ValueError, match=r"NaN in column 'x1' \(first at row 3\)"):
        ScoreMatchingGaussian().fit(X, sample_weight=weight)


def test_float32_in_float32_out(X):
    table = (X + 1000).astype(np.float32)
    density = ScoreMatchingGaussian().fit(table)
    exact = np.cov(table.astype(np.float64), rowvar=False, bias=True)
    assert_allclose(density.covariance_, exact, rtol=2e-7)  # one rounding to float32
    for value in (density.location_, density.covariance_, density.precision_, density.sample(3)):
        assert value.dtype == np.float32
    assert density.score_samples(table).dtype == np.float64
    double = ScoreMatchingGaussian().fit(table.astype(np.float64))
    assert_allclose(density.score_samples(table), double.score_samples(table), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_scales_that_overflow_are_refused(X, scale, covariance_type):
    table = X.copy()
    table[:, 1] *= scale
    with pytest.raises(ValueError, match=r"column 'x1' leave the range of float64. Rescale"):
        ScoreMatchingGaussian(covariance_type).fit(table)


@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_float32_overflow_is_refused(X, scale):
    with pytest.raises(ValueError, match="leaves the range of float32"):
        ScoreMatchingGaussian().fit((X * scale).astype(np.float32))


@pytest.mark.parametrize("scale", [1e120, 1e-120])
def test_large_scales_that_fit(X, scale):
    density = ScoreMatchingGaussian().fit(X * scale)
    reference = ScoreMatchingGaussian().fit(X)
    shift = 3 * np.log(scale)
    assert_allclose(density.score_samples(X * scale) + shift, reference.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_draws_have_the_fitted_moments(X, covariance_type):
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    n = 200_000
    drawn = density.sample(n, random_state=1)
    covariance = as_matrix(density.covariance_, 3)
    variance = np.diag(covariance)
    # five Monte-Carlo standard errors, from the Gaussian's own fourth moments
    assert np.all(np.abs(drawn.mean(axis=0) - density.location_) < 5 * np.sqrt(variance / n))
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    assert np.all(np.abs(np.cov(drawn, rowvar=False) - covariance) < 5 * error)


def test_conditional_draws_follow_the_regression(rng):
    X = rng.standard_normal((2000, 4)) @ rng.standard_normal((4, 4)) + 5
    density = ScoreMatchingGaussian().fit(X)
    given = np.array(
        [[np.nan, 1.0, np.nan, 7.0], [2.0, np.nan, 3.0, 4.0], [np.nan] * 4, [1.0, 2.0, 3.0, 4.0]]
    )
    n = 40_000
    drawn = density.sample(n, random_state=0, given=given).reshape(4, n, 4)
    for row, block in zip(given, drawn):
        seen = ~np.isnan(row)
        assert np.array_equal(block[:, seen], np.broadcast_to(row[seen], (n, seen.sum())))
        if seen.all():
            continue
        # another route: least squares of the missing on the observed training columns
        design = np.column_stack([np.ones(len(X)), X[:, seen]])
        coefficients = np.linalg.lstsq(design, X[:, ~seen], rcond=None)[0]
        center = np.concatenate([[1.0], row[seen]]) @ coefficients
        residual = X[:, ~seen] - design @ coefficients
        covariance = residual.T @ residual / len(X)
        variance = np.diag(covariance)
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
        missing = block[:, ~seen]
        assert np.all(np.abs(missing.mean(axis=0) - center) < 5 * np.sqrt(variance / n))
        assert np.all(np.abs(np.cov(missing, rowvar=False) - covariance) < 5 * error)


@pytest.mark.parametrize("covariance_type", ["diag", "spherical"])
def test_conditional_draws_of_independent_columns(X, covariance_type):
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    drawn = density.sample(20_000, 3, given=[[5.0, np.nan, -1.0]])
    sd = np.sqrt(as_matrix(density.covariance_, 3)[1, 1])
    assert stats.kstest(drawn[:, 1], stats.norm(density.location_[1], sd).cdf).pvalue > 1e-4
    assert set(drawn[:, 0]) == {5.0}


def test_impute_and_frames(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    density = ScoreMatchingGaussian().fit(frame)
    holes = frame.mask(np.random.default_rng(0).uniform(size=X.shape) < 0.3)
    filled = density.impute(holes, random_state=0)
    assert list(filled.columns) == ["a", "b", "c"]
    assert filled.notna().all(axis=None)
    kept = holes.notna()
    assert (filled.where(kept) == frame.where(kept)).where(kept, other=True).all(axis=None)
    assert list(density.sample(2).columns) == ["a", "b", "c"]


def test_pickle_and_skops(X):
    density = ScoreMatchingGaussian().fit(X)
    copies = [pickle.loads(pickle.dumps(density))]
    skops = pytest.importorskip("skops.io")
    stream = io.BytesIO()
    skops.dump(density, stream)
    stream.seek(0)
    untrusted = skops.get_untrusted_types(data=stream.getvalue())
    assert set(untrusted) <= {"skgm.score_matching._gaussian.estimator.ScoreMatchingGaussian"}
    copies.append(skops.loads(stream.getvalue(), trusted=untrusted))
    for copy in copies:
        assert np.array_equal(copy.score_samples(X), density.score_samples(X))
        assert np.array_equal(copy.sample(4, 0), density.sample(4, 0))
        assert copy.partial_fit(X[:5]).n_samples_seen_ == len(X) + 5


def test_fit_forgets_what_it_saw(X):
    density = ScoreMatchingGaussian("diag").fit(X[:, :2])
    again = clone(density).fit(X)
    density.set_params(covariance_type="diag").fit(X)
    assert_allclose(density.covariance_, again.covariance_, rtol=0)


def test_one_row_is_refused(X):
    with pytest.raises(ValueError, match="1 sample"):
        ScoreMatchingGaussian().fit(X[:1])
    weight = np.zeros(len(X))
    weight[7] = 1
    with pytest.raises(ValueError, match="1 sample with positive weight"):
        ScoreMatchingGaussian().fit(X, sample_weight=weight)
