"""The kernel exponential family: losses, normalizer, score function, draws, held-out choices."""

import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.linalg import LinAlgWarning
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from skgm import KernelExpFamily, ScoreMatchingGaussian
from skgm._numerics.distributions import KernelProposal
from skgm.score_matching import denoising_loss, implicit_loss
from skgm.score_matching._kernel.fit import KernelFunction, choose_centers, median_distance, noisy
from skgm.score_matching._kernel.masses import Pool


def moons(n=300, seed=0):
    return make_moons(n, noise=0.1, random_state=seed)[0]


def differences(function, X, step=1e-5):
    parts = []
    for j in range(X.shape[1]):
        shift = np.zeros_like(X)
        shift[:, j] = step
        parts.append((function(X + shift) - function(X - shift)) / (2 * step))
    return np.stack(parts, axis=1)


def grid_over(X, n=300):
    ends = X.min(axis=0) - 3 * X.std(axis=0), X.max(axis=0) + 3 * X.std(axis=0)
    axes = [np.linspace(low, high, n) for low, high in zip(*ends)]
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2), cell


def test_gradient_of_the_kernel_function():
    rng = np.random.default_rng(0)
    function = KernelFunction(rng.normal(size=(7, 3)), rng.normal(size=7), 0.8)
    Z = rng.normal(size=(20, 3))
    values, gradient = function.with_gradient(Z)
    assert_allclose(values, function(Z), rtol=1e-12)
    assert_allclose(gradient, differences(function, Z), atol=1e-8)


def test_the_quadratic_form_is_the_implicit_loss():
    """c' G c / 2 - g' c, against the public loss of score functions, which differentiates them."""
    rng = np.random.default_rng(0)
    centers, Z = rng.normal(size=(6, 2)), rng.normal(size=(200, 2))
    weight = rng.integers(1, 4, 200).astype(float)
    coef = rng.normal(size=6)
    function = KernelFunction(centers, coef, 0.9)
    mean = function.sums(Z, weight).mean()
    score = lambda X: function.with_gradient(X)[1] - X  # noqa: E731
    with_kernel = implicit_loss(score, Z, sample_weight=weight)
    without = implicit_loss(lambda X: -X, Z, sample_weight=weight)
    expected = float(with_kernel) - float(without)
    assert_allclose(0.5 * coef @ mean.G @ coef - mean.g @ coef, expected, rtol=1e-6)


def test_the_fit_minimizes_the_penalized_loss():
    """Optimality by differences of the public loss plus the ridge, in whitened columns."""
    with pytest.warns(UserWarning, match="relative to the Gaussian alone"):
        fitted = KernelExpFamily(
            8, bandwidth=1.0, alpha=0.01, correct_masses=False, random_state=0
        ).fit(moons(100))
    Z, centers = fitted._whiten(moons(100)), fitted._centers
    gram = fitted._function().kernel(centers)

    def loss(coef):
        function = KernelFunction(centers, coef, 1.0)
        value = float(implicit_loss(lambda X: function.with_gradient(X)[1] - X, Z))
        return value + 0.005 * coef @ gram @ coef

    slope = optimize.approx_fprime(fitted._coef, loss, 1e-5)
    assert_allclose(slope, 0, atol=1e-4)


def test_density_integrates_to_one_and_the_score_is_its_gradient():
    X = moons()
    fitted = KernelExpFamily(random_state=0).fit(X)
    grid, cell = grid_over(X)
    mass = np.exp(fitted.score_samples(grid)).sum() * cell
    assert abs(np.log(mass)) < 5 * fitted.log_normalizer_se_ + 1e-3
    assert_allclose(
        fitted.score_function(X), differences(fitted.score_samples, X), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("sampler", ["langevin", "resampling"])
def test_draws_follow_the_density(sampler):
    """Moments of 4000 draws against a grid, within five standard errors."""
    X = moons()
    fitted = KernelExpFamily(random_state=0, sampler=sampler).fit(X)
    grid, cell = grid_over(X)
    share = np.exp(fitted.score_samples(grid)) * cell
    rows = fitted.sample(4000, random_state=1)
    for moment in (lambda R: R, lambda R: R**2, lambda R: R[:, :1] * R[:, 1:] ** 2):
        mean = share @ moment(grid) / share.sum()
        spread = share @ (moment(grid) - mean) ** 2
        # picks from a pool of twenty rows per draw, a tenth of them effective, add to the error
        error = np.sqrt(1.5 * spread / len(rows))
        assert (np.abs(moment(rows).mean(axis=0) - mean) < 5 * error).all()
    if sampler == "langevin":
        assert len(np.unique(rows, axis=0)) > 0.98 * len(rows)


@pytest.mark.parametrize("law", ["exponential", "standard_t"])
@pytest.mark.parametrize("seed", range(3))
def test_lonely_rows_of_a_long_tail_get_no_peak(law, seed):
    """The density integrates to one by a fine grid, and no row holds a tenth of the mass."""
    rng = np.random.default_rng(seed)
    x = rng.exponential(size=500) if law == "exponential" else rng.standard_t(3, size=500)
    x = (x - x.mean()) / x.std()
    fitted = KernelExpFamily(random_state=0).fit(x[:, None])
    grid = np.linspace(-15, 25, 80_001)
    mass = np.exp(fitted.score_samples(grid[:, None])) * (grid[1] - grid[0])
    assert_allclose(mass.sum(), 1.0, rtol=0, atol=max(4.5 * fitted.log_normalizer_se_, 0.01))
    away = (grid < np.sort(x)[5]) | (grid > np.sort(x)[-6])
    assert mass[away].sum() < 0.1


def test_a_peak_that_the_normalizer_misses_is_warned_of():
    x = np.random.default_rng(1).exponential(size=500)[:, None]
    with pytest.warns(ConvergenceWarning, match=r"narrow peak at a training row.*larger alpha"):
        fitted = KernelExpFamily(bandwidth=0.15, alpha=1e-7, random_state=0).fit(x)
    assert fitted.score_samples(x).max() < 20  # or 10^4 nats, were that mass not counted


def test_the_proposal_is_what_its_density_says():
    """Moments of its draws against those of its density on a grid; one column has no kernels."""
    centers = np.random.default_rng(0).normal([3.0], 0.5, size=(20, 1))
    proposal = KernelProposal(centers, np.linspace(0.2, 0.6, 20), np.array([False, True]))
    n = 200_000
    U = proposal.transform(np.random.default_rng(1).uniform(size=(n, 3)))
    grid = np.linspace(-8, 8, 401)
    cells = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    share = np.exp(proposal.log_density(cells)) * (grid[1] - grid[0]) ** 2
    assert_allclose(share.sum(), 1.0, rtol=1e-6)
    for power in (1, 2):
        error = (U**power).std(axis=0) / np.sqrt(n)
        assert (np.abs((U**power).mean(axis=0) - share @ cells**power) < 4.5 * error).all()


def test_the_proposal_follows_a_curved_shape():
    """Of the Gaussian's own points less than one in a hundred would count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    X = np.column_stack([x, x**2 + 0.4 * rng.normal(size=500)])
    fitted = KernelExpFamily(random_state=0).fit(X)
    assert fitted.normalizer_ess_ > 0.1
    with pytest.warns(FutureWarning, match="normalizer_ess_"):
        assert fitted.effective_sample_size_ == fitted.normalizer_ess_
    assert fitted.log_normalizer_se_ < 0.01


def test_it_beats_the_gaussian_on_moons_and_equals_it_on_gaussian_rows():
    X, new = moons(500), moons(500, seed=1)
    gain = KernelExpFamily(random_state=0).fit(X).score(new) - ScoreMatchingGaussian().fit(X).score(
        new
    )
    assert gain > 0.5
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(500, 2)), rng.normal(size=(500, 2))
    with pytest.warns(UserWarning, match="the density is the Gaussian"):
        fitted = KernelExpFamily(random_state=0).fit(X)
    assert abs(fitted.score(new) - ScoreMatchingGaussian().fit(X).score(new)) < 0.05
    assert fitted.cv_losses_.shape == (5, 7)


def test_held_out_losses_are_those_of_the_five_folds():
    """Against score-matching fits of four folds, normalized on a grid: the choice among ridges."""
    X = moons(60)
    fitted = KernelExpFamily(60, bandwidth=1.0, correct_masses=False, random_state=0).fit(X)
    Z = fitted._whiten(np.unique(X, axis=0))
    grid, cell = grid_over(Z, 200)
    fold, alpha = np.arange(60) % 5, 30 * 2 / 60  # the sixth of the ridges: 30 d / (n h^2)
    expected = 0.0
    for k in range(5):
        train = KernelFunction(Z, np.zeros(60), 1.0)
        mean = train.sums(Z[fold != k], np.ones((fold != k).sum())).mean()
        matrix = mean.G + alpha * train.kernel(Z)
        coef = np.linalg.solve(matrix + 1e-10 * np.trace(matrix) / 60 * np.eye(60), mean.g)
        function = KernelFunction(Z, coef, 1.0)
        base = stats.multivariate_normal(np.zeros(2)).logpdf
        log_z = np.log(np.exp(function(grid) + base(grid)).sum() * cell)
        expected += (function(Z[fold == k]) - log_z).sum() / 60
    assert_allclose(-fitted.cv_losses_[0, 5], expected, atol=0.01)  # the error of the pool


def test_denoising_is_the_implicit_loss_of_blurred_rows():
    """The public denoising loss falls by the same amount, within five standard errors."""
    X = moons(400)
    fitted = KernelExpFamily(
        40,
        bandwidth=1.0,
        alpha=0.01,
        objective="denoising",
        noise_scale=0.3,
        correct_masses=False,
        random_state=0,
    ).fit(X)
    Z, function = fitted._whiten(X), fitted._function()
    options = {"noise_scale": 0.3, "n_noise": 200, "random_state": 0}
    ours = denoising_loss(lambda R: function.with_gradient(R)[1] - R, Z, **options)
    base = denoising_loss(lambda R: -R, Z, **options)
    gap = ours.per_row - base.per_row  # the same noise in both
    assert abs(gap.mean() - fitted.loss_) < 5 * gap.std() / np.sqrt(len(gap))
    assert fitted.loss_ < 0


def test_weights_are_repetitions_also_of_centers():
    X = moons(80)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    one = KernelExpFamily(20, random_state=0).fit(X, sample_weight=weight)
    other = KernelExpFamily(20, random_state=0).fit(np.repeat(X, weight, axis=0))
    assert_allclose(one.centers_, other.centers_)
    assert_allclose(one.score_samples(X), other.score_samples(X), rtol=1e-6)


def test_centers_are_picked_in_proportion_to_weights():
    """1000 choices of one row among two: a binomial with standard deviation 0.014."""
    rng = np.random.default_rng(0)
    picked = [choose_centers(np.array([1.0, 3.0]), 1, rng)[0] for _ in range(1000)]
    assert abs(np.mean(picked) - 0.75) < 0.07


def test_noise_is_antithetic_and_of_the_stated_scale():
    Z = np.zeros((3, 2))
    rows = noisy(Z, 0.5, 64)
    assert_allclose(rows.sum(axis=0), 0, atol=1e-9)
    assert_allclose(rows.std(axis=0), 0.5, rtol=0.1)


def test_median_distance_of_normal_rows():
    """The distance of two normals in the plane is sqrt(2) times a chi: median 1.665."""
    Z = np.random.default_rng(0).normal(size=(1000, 2))
    assert_allclose(median_distance(Z), np.sqrt(2) * stats.chi(2).median(), rtol=0.03)
    assert median_distance(np.ones((4, 2))) == 1.0


def test_singular_tables_are_warned_of_and_uncertain_normalizers_too():
    X = moons(50)
    with pytest.warns(LinAlgWarning, match="singular"):
        fitted = KernelExpFamily(random_state=0).fit(np.column_stack([X, X[:, 0]]))
    assert np.isfinite(fitted.score_samples(np.column_stack([X, X[:, 0]]))).all()
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], size=(300, 12)) + 0.01 * rng.normal(size=(300, 12))
    with pytest.warns(ConvergenceWarning, match=r"normalizer is uncertain.*alpha"):
        KernelExpFamily(300, bandwidth=0.7, alpha=1e-6, random_state=0).fit(X)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_components": 0}, "n_components"),
        ({"bandwidth": -1.0}, "bandwidth"),
        ({"bandwidth": "wide"}, "bandwidth"),
        ({"alpha": 0.0}, "alpha"),
        ({"objective": "sliced"}, "objective"),
        ({"sampler": "gibbs"}, "sampler"),
    ],
)
def test_bad_parameters_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        KernelExpFamily(**options).fit(moons(30))


# The masses of clusters, which score matching does not see.


def clusters(n, seed, shares, centers, sds):
    """Spherical Gaussians; the number of rows of each is its share of n, rounded."""
    rng = np.random.default_rng(seed)
    counts = np.round(np.multiply(shares, n)).astype(int)
    parts = [
        rng.normal(center, sd, size=(count, len(center)))
        for center, sd, count in zip(centers, sds, counts)
    ]
    return np.concatenate(parts), np.repeat(np.arange(len(shares)), counts)


FAR = {
    "three in the plane": ((0.85, 0.1, 0.05), [(0, 0), (12, 0), (0, 12)], (1, 0.5, 0.3)),
    "two in a line": ((0.95, 0.05), [(0.0,), (30.0,)], (1, 1)),
    "two in four columns": ((0.7, 0.3), [(0, 0, 0, 0), (9, 9, 0, 0)], (1, 1)),
    "a fifth farther away": ((0.4, 0.4, 0.2), [(0, 0), (8, 0), (40, 40)], (1, 1, 2)),
    "a fifth very far away": ((0.4, 0.4, 0.2), [(0, 0), (8, 0), (300, 300)], (1, 1, 1)),
}


@pytest.mark.parametrize("layout", FAR)
@pytest.mark.parametrize("sampler", ["langevin", "resampling"])
def test_each_far_cluster_has_the_share_of_its_rows(layout, sampler):
    """Within four standard errors of 2000 draws, and what a ridge of one row may take."""
    shares, centers, sds = FAR[layout]
    X, _ = clusters(400, 0, shares, centers, sds)
    fitted = KernelExpFamily(random_state=0, sampler=sampler).fit(X)
    rows = fitted.sample(2000, random_state=1)
    nearest = np.linalg.norm(rows[:, None] - np.array(centers, dtype=float), axis=2).argmin(axis=1)
    found = np.bincount(nearest, minlength=len(shares)) / len(rows)
    error = np.sqrt(np.array(shares) * (1 - np.array(shares)) / len(rows))
    assert (np.abs(found - shares) < 4 * error + 0.01).all()


def test_moons_get_their_masses():
    """Four quarters of two moons: the densities' masses on a grid against the rows' shares."""
    X = moons(400)
    fitted = KernelExpFamily(random_state=0).fit(X)
    grid, cell = grid_over(X)
    mass = np.exp(fitted.score_samples(grid)) * cell

    def quarter(R):
        return 2 * (R[:, 0] > 0.5) + (R[:, 1] > 0.25)

    shares = np.bincount(quarter(X), minlength=4) / len(X)
    found = np.bincount(quarter(grid), weights=mass, minlength=4)
    assert (np.abs(found - shares) < 0.03).all()


@pytest.mark.parametrize("d", [1, 2])
def test_outliers_a_thousand_times_larger_take_no_mass_from_the_mode(d):
    """At the mode within half a nat of the density that the rows came from; they are 3%."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, d)) * np.where(np.arange(400) % 33 == 0, 1000.0, 1.0)[:, None]
    fitted = KernelExpFamily(random_state=0).fit(X)
    right = np.log(0.97) - 0.5 * d * np.log(2 * np.pi)
    assert abs(fitted.score_samples(np.zeros((1, d)))[0] - right) < 0.5


@pytest.mark.parametrize("d", [6, 8])
@pytest.mark.parametrize("options", [{}, {"alpha": 1e-4}])
def test_clusters_in_many_columns_beat_the_gaussian_or_are_warned_of(d, options):
    centers = [np.zeros(d), np.full(d, 8 / np.sqrt(d))]
    X, _ = clusters(300, 0, (0.3, 0.7), centers, (1, 1))
    new, _ = clusters(3000, 1, (0.3, 0.7), centers, (1, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = KernelExpFamily(random_state=0, **options).fit(X)
    said = [str(record.message) for record in caught]
    if fitted.coef_.any():
        gap = fitted.score_samples(new) - ScoreMatchingGaussian().fit(X).score_samples(new)
        assert gap.mean() > -3 / len(X) - 4 * gap.std() / np.sqrt(len(new)) or said
    else:
        assert any("is the Gaussian" in words and "NCEDensity" in words for words in said)


def test_a_fit_that_is_worse_than_the_gaussian_is_warned_of():
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.warns(UserWarning, match=r"-0\.\d+ nats.* the Gaussian alone.*alpha=\"cv\""):
        KernelExpFamily(bandwidth=0.6, alpha=0.02, random_state=0).fit(X)
    with pytest.warns(UserWarning, match="the density is the Gaussian"):
        fitted = KernelExpFamily(random_state=0).fit(X)
    assert not fitted.coef_.any()
    assert_allclose(fitted.score_samples(X), ScoreMatchingGaussian().fit(X).score_samples(X))


def test_threads_of_linear_algebra_change_neither_fit_nor_draws():
    X = moons(400)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            fitted = KernelExpFamily(random_state=0).fit(X)
            found.append((fitted.score_samples(X), fitted.sample(50, random_state=0)))
    for one, two in zip(*found):
        assert_allclose(one, two, rtol=0, atol=1e-8)


def test_scores_of_many_rows_take_bounded_memory():
    X = moons(100)
    fitted = KernelExpFamily(random_state=0).fit(X)
    many = np.tile(X, (2000, 1))
    tracemalloc.start()
    fitted.score_samples(many)
    fitted.score_function(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * many.nbytes  # the kernel matrix is 50 times as large as the table


@pytest.mark.parametrize("bandwidth", [1e-160, 1e160])
def test_bandwidths_out_of_range_are_refused(bandwidth):
    with pytest.raises(ValueError, match="leaves the range of float64"):
        KernelExpFamily(bandwidth=bandwidth).fit(moons(30))


def test_the_pool_has_the_mass_of_the_base():
    """Its weights sum to one, and weighted moments are those of the standard normal."""
    rows = np.random.default_rng(0).normal(size=(50, 2)) * [1.0, 0.1]
    pool = Pool.of(KernelProposal.near(rows, np.array([True, True])), 2**13)
    weight = np.exp(pool.log_weight)
    assert_allclose(weight.sum(), 1, atol=0.01)
    assert_allclose(weight @ pool.rows**2, 1, atol=0.03)
