"""Exponential families by score matching beside maximum likelihood; the kernel family beside peers.

``python benchmarks/score_matching_families.py [replicates] [seeds]``

Efficiency: each ready-made family on its own data, 1,000 rows; the mean squared error of maximum
likelihood over that of score matching, averaged over the coefficients and of the worst, and CPU
times of a fit with errors. The likelihood of "gamma" is that of scipy.stats.gamma (its normalizer
is known), of "von_mises_fisher" that of scipy.stats.vonmises_fisher; for the others this script
maximizes it with Newton's method, the normalizer and its derivatives by Gauss-Legendre quadrature
(64 nodes per column), which is what one would have to write. Coverage: nominal 95% sandwich
intervals of every coefficient (replicates: 2,000).

Kernel family: KernelExpFamily with its defaults beside KernelDensity (bandwidth by grid search),
GaussianMixture (1 to 12 components, by BIC) and ScoreMatchingGaussian, 500 training and 1,000 test
rows of two-dimensional shapes, and five folds of iris (four columns); means over the seeds (10).
Held-out implicit score-matching loss in standardized columns (differences between models are those
of half the mean squared distance of their score functions to that of the data; lower is better),
held-out log-likelihood in nats per row, and CPU seconds, selection included. The peers that fit
kernel exponential families cannot be run beside: karlnapf/kernel_exp_family is for Python 2; the
R packages genscore and scorematchingad, which fit families like those above, need R.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import header, table
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_iris, make_moons
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from skgm import KernelExpFamily, ScoreMatchingExpFamily, ScoreMatchingGaussian
from skgm.score_matching import implicit_loss

N_ROWS = 1_000
Statistics = Callable[[np.ndarray], np.ndarray]


class ByQuadrature:
    """Log-density theta' t(x) on a box, its normalizer on a grid."""

    def __init__(self, statistics: Statistics, lower: float, upper: float, d: int) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(64)
        x = lower + (upper - lower) * (nodes + 1) / 2
        grid = np.stack(np.meshgrid(*[x] * d, indexing="ij"), axis=-1).reshape(-1, d)
        each = np.meshgrid(*[np.log(weights * (upper - lower) / 2)] * d, indexing="ij")
        self.log_weight = np.sum(each, axis=0).ravel()
        self.statistics, self.on_grid = statistics, statistics(grid)

    def fit(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the maximum of the likelihood, by Newton's method from theta."""
        target = self.statistics(X).mean(axis=0)
        for _ in range(50):
            log_share = self.on_grid @ theta + self.log_weight
            log_share -= logsumexp(log_share)
            share = np.exp(log_share)
            mean = share @ self.on_grid
            centered = self.on_grid - mean
            step = np.linalg.solve((centered * share[:, None]).T @ centered, target - mean)
            height = theta @ target - logsumexp(self.on_grid @ theta + self.log_weight)
            while True:  # halve it until the likelihood does not fall
                new = theta + step
                value = new @ target - logsumexp(self.on_grid @ new + self.log_weight)
                if value >= height - 1e-10:
                    break
                step /= 2
            theta = new
            if np.abs(step).max() < 1e-8 * (1 + np.abs(theta).max()):
                break
        return theta


def pairs(Y: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(Y.shape[1])
    return np.hstack([Y, Y[:, first] * Y[:, second]])


def powers(X: np.ndarray) -> np.ndarray:
    return (X[:, :, None] ** np.arange(1, 5)).reshape(len(X), -1)


def by_rejection(
    log_kernel: Callable[[np.ndarray], np.ndarray], upper: float, d: int, rng: np.random.Generator
) -> np.ndarray:
    """Return N_ROWS rows of a density on [0, upper]^d, exactly."""
    grid = np.linspace(0, upper, 200)
    cells = np.stack(np.meshgrid(*[grid] * d, indexing="ij"), axis=-1).reshape(-1, d)
    most = log_kernel(cells).max() + 0.05  # the grid may miss the very top
    parts, found = [], 0
    while found < N_ROWS:
        rows = rng.uniform(0, upper, size=(40_000, d))
        parts.append(rows[np.log(rng.uniform(size=len(rows))) < log_kernel(rows) - most])
        found += len(parts[-1])
    return np.concatenate(parts)[:N_ROWS]


def of_gamma(X: np.ndarray, theta: np.ndarray) -> np.ndarray:
    shape, _, scale = stats.gamma.fit(X[:, 0], floc=0)
    return np.array([shape - 1, -1 / scale])


def of_sphere(X: np.ndarray, theta: np.ndarray) -> np.ndarray:
    direction, kappa = stats.vonmises_fisher.fit(X)
    return kappa * direction


def cases() -> list[tuple[str, Any, np.ndarray, Callable, Callable]]:
    """Return name, estimator, true theta, draws and maximum likelihood of each family."""
    roots = np.array([1.0, 0.5, -0.5, -0.3, -0.5])  # of sqrt(x0), sqrt(x1), x0, sqrt(x0 x1), x1
    cut = np.array([0.5, 0.0, -0.5, -0.3, -0.5])
    hump = np.array([8.0, -20.0, 20.0, -10.0])
    sphere = 4.0 * np.ones(3) / np.sqrt(3)
    # substituting y = sqrt(x) takes the pole of the roots away: dx = 4 y0 y1 dy
    of_roots = ByQuadrature(lambda Y: pairs(Y), 0.0, 12.0, 2)
    of_roots.log_weight = of_roots.log_weight + np.log(of_roots.on_grid[:, :2]).sum(axis=1)
    of_cut, of_hump = ByQuadrature(pairs, 0.0, 12.0, 2), ByQuadrature(powers, 0.0, 1.0, 1)

    def draw_roots(rng: np.random.Generator) -> np.ndarray:
        def kernel(Y: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return pairs(Y) @ roots + np.log(Y).sum(axis=1)

        return by_rejection(kernel, 12.0, 2, rng) ** 2

    return [
        (
            "gamma",
            ScoreMatchingExpFamily("gamma"),
            np.array([2.0, -0.5]),
            lambda rng: rng.gamma(3.0, 2.0, size=(N_ROWS, 1)),
            of_gamma,
        ),
        (
            "exponential square root, 2 columns",
            ScoreMatchingExpFamily("exponential_square_root"),
            roots,
            draw_roots,
            lambda X, theta: of_roots.fit(np.sqrt(X), theta),
        ),
        (
            "normal cut to x > 0, 2 columns",
            ScoreMatchingExpFamily(bounds="positive"),
            cut,
            lambda rng: by_rejection(lambda X: pairs(X) @ cut, 12.0, 2, rng),
            of_cut.fit,
        ),
        (
            "polynomial of degree 4 on [0, 1]",
            ScoreMatchingExpFamily("polynomial", bounds=(0.0, 1.0)),
            hump,
            lambda rng: by_rejection(lambda X: powers(X) @ hump, 1.0, 1, rng),
            of_hump.fit,
        ),
        (
            "von Mises-Fisher, 3 columns",
            ScoreMatchingExpFamily("von_mises_fisher"),
            sphere,
            lambda rng: stats.vonmises_fisher(sphere / 4, 4.0).rvs(N_ROWS, random_state=rng),
            of_sphere,
        ),
    ]


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.thread_time()
    found = function()
    return found, time.thread_time() - start


def family_row(case: tuple[str, Any, np.ndarray, Callable, Callable], replicates: int) -> list[Any]:
    name, estimator, truth, draw, maximum = case
    ours, best, inside, seconds = [], [], [], []
    for seed in range(replicates):
        X = draw(np.random.default_rng(seed))
        fitted, mine = timed(lambda X=X: estimator.fit(X))
        found, theirs = timed(lambda X=X: maximum(X, truth))
        ours.append(fitted.theta_ - truth)
        best.append(found - truth)
        seconds.append([mine, theirs])
        low, high = np.transpose(list(fitted.confidence_intervals().values()))
        inside.append((low <= truth) & (high >= truth))
    efficiency = np.square(best).mean(axis=0) / np.square(ours).mean(axis=0)
    coverage = 100 * np.mean(inside, axis=0)
    ms = 1e3 * np.median(seconds, axis=0)
    numbers = [efficiency.mean(), efficiency.min(), *ms]
    numbers += [coverage.mean(), coverage.min(), coverage.max()]
    return [name, *map(float, numbers)]


def moons(n: int, rng: np.random.Generator) -> np.ndarray:
    return make_moons(n, noise=0.1, random_state=int(rng.integers(2**31)))[0]


def ring(n: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, size=n)
    return np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.standard_normal((n, 2))


def banana(n: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal(n)
    return np.column_stack([x, x**2 + 0.4 * rng.standard_normal(n)])


def clusters(n: int, rng: np.random.Generator) -> np.ndarray:
    centers = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.5]])
    return centers[rng.integers(3, size=n)] + 0.7 * rng.standard_normal((n, 2))


SHAPES = {"two moons": moons, "ring": ring, "banana": banana, "three clusters": clusters}


def kernel_score(density: KernelDensity, X: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the score function of a Gaussian kernel density of rows X."""

    def score(Z: np.ndarray) -> np.ndarray:
        away = X - Z[:, None]  # (m, n, d)
        log_share = -0.5 * (away**2).sum(axis=2) / density.bandwidth_**2
        log_share -= logsumexp(log_share, axis=1, keepdims=True)
        return np.einsum("mn,mnd->md", np.exp(log_share), away) / density.bandwidth_**2

    return score


def mixture_score(density: GaussianMixture) -> Callable[[np.ndarray], np.ndarray]:
    def score(Z: np.ndarray) -> np.ndarray:
        share = density.predict_proba(Z)
        parts = [(m - Z) @ P for m, P in zip(density.means_, density.precisions_)]
        return np.einsum("nk,knd->nd", share, np.array(parts))

    return score


def best_kernel_density(X: np.ndarray) -> KernelDensity:
    grid = {"bandwidth": np.geomspace(0.05, 1.0, 12)}
    return GridSearchCV(KernelDensity(), grid).fit(X).best_estimator_


def best_mixture(X: np.ndarray) -> GaussianMixture:
    fits = [GaussianMixture(k, random_state=0).fit(X) for k in range(1, 13)]
    return min(fits, key=lambda fitted: fitted.bic(X))


def shape_results(train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, list[float]]:
    """Return held-out loss, log-likelihood and seconds of each model."""
    mean, sd = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / sd, (test - mean) / sd
    models = {
        "KernelExpFamily": lambda: KernelExpFamily(random_state=seed).fit(train),
        "KernelDensity": lambda: best_kernel_density(train),
        "GaussianMixture": lambda: best_mixture(train),
        "ScoreMatchingGaussian": lambda: ScoreMatchingGaussian().fit(train),
    }
    found = {}
    for name, fit in models.items():
        fitted, seconds = timed(fit)
        score: Any = fitted
        if name == "KernelDensity":
            score = kernel_score(fitted, train)
        elif name == "GaussianMixture":
            score = mixture_score(fitted)
        value = float(implicit_loss(score, test))
        # in the units of the table
        log_density = float(fitted.score_samples(test).mean() - np.log(sd).sum())
        found[name] = [value, log_density, seconds]
    return found


def kernel_rows(name: str, results: list[dict[str, list[float]]]) -> list[list[Any]]:
    rows = []
    for model in results[0]:
        values = np.array([found[model] for found in results])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * values
        of = [f"{m:.3f} ± {e:.3f}" for m, e in zip(values.mean(axis=0)[:2], np.ravel(error)[:2])]
        rows.append([name, model, *of, float(values[:, 2].mean())])
    return rows


def main() -> None:
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    replicates, seeds = (numbers + [2_000, 10][len(numbers) :])[:2]
    header("Exponential families by score matching", ("numpy", "scipy", "scikit-learn"))
    headings = ["family", "efficiency", "worst", "ms", "ms, likelihood", "coverage, %", "least"]
    rows = []
    for case in cases():
        rows.append(family_row(case, replicates))
        print(f"({rows[-1][0]}: done)", flush=True)
    table([*headings, "most"], rows)
    rows = []
    for name, draw in SHAPES.items():
        results = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            results.append(shape_results(draw(500, rng), draw(1_000, rng), seed))
        rows += kernel_rows(name, results)
        print(f"({name}: done)", flush=True)
    flowers, results = load_iris().data, []
    for seed in range(max(1, seeds // 5)):
        for part in KFold(5, shuffle=True, random_state=seed).split(flowers):
            results.append(shape_results(*(flowers[rows_of] for rows_of in part), seed))
    rows += kernel_rows("iris", results)
    table(["table", "model", "held-out loss", "held-out log-likelihood", "CPU s"], rows)


if __name__ == "__main__":
    main()
