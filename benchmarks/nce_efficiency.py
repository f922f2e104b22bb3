"""What noise-contrastive estimation loses to maximum likelihood, and whether its errors are right.

Mean squared errors relative to maximum likelihood with independent and quasi-Monte-Carlo noise,
coverage of intervals, and estimates across a density chasm. One argument: the number of
replications (default 200; ICA takes a quarter). The sizes of tests are in nce_test_sizes.py.
"""

import sys
import warnings

import numpy as np
from _report import header, table
from scipy import optimize, stats

from skgm import NCEDensity
from skgm._numerics.distributions import GaussianMixtureNoise
from skgm.nce._noise import make_noise
from skgm.nce._parametric import fit_parametric_critic
from skgm.nce._statistics import own_model, polynomial_statistics

LEVEL = 0.95


def gaussian(mean, covariance):
    factor = np.linalg.cholesky(np.atleast_2d(covariance))
    return GaussianMixtureNoise(np.ones(1), np.atleast_1d(mean)[None], factor[None])


def noise_for(X, kind):
    d = X.shape[1]
    if kind == "fitted":
        return gaussian(X.mean(axis=0), np.cov(X.T, bias=True))
    return gaussian(np.full(d, 0.2), 1.5 * np.eye(d))


def natural(mean, covariance):
    """Coefficients of monomials up to degree two, in their order, and log Z."""
    precision, d = np.linalg.inv(covariance), len(mean)
    upper = np.triu_indices(d)
    pairs = np.where(upper[0] == upper[1], -0.5, -1.0) * precision[upper]
    linear = precision @ mean
    log_z = 0.5 * mean @ linear + 0.5 * np.linalg.slogdet(covariance)[1] + d / 2 * np.log(2 * np.pi)
    return np.concatenate([linear, pairs, [log_z]])


def fit_gaussian(X, kind, ratio, sampling, rng):
    form = polynomial_statistics(X, None, 2, [f"x{j}" for j in range(X.shape[1])])
    options = {"noise_ratio": ratio, "noise_sampling": sampling, "rng": rng}
    return fit_parametric_critic(X, None, noise_for(X, kind), form, **options)


def inside(critic, truth, kind):
    found = critic.covariance(kind)
    df = found.degrees_of_freedom(np.eye(len(truth)))
    width = stats.t.ppf((1 + LEVEL) / 2, df) * np.sqrt(np.diag(found.matrix))
    return np.abs(critic.reported - truth) < width


def gaussian_row(kind, ratio, sampling, runs, n=2048, d=5):
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.5 * np.eye(d) + 0.5)
    truth = natural(np.zeros(d), root @ root.T)
    nce, mle, covered = [], [], {"model": [], "robust": []}
    for _ in range(runs):
        X = rng.standard_normal((n, d)) @ root.T
        critic = fit_gaussian(X, kind, ratio, sampling, rng)
        nce.append(critic.reported - truth)
        mle.append(natural(X.mean(axis=0), np.cov(X.T, bias=True)) - truth)
        for name, hits in covered.items():
            hits.append(inside(critic, truth, name))
    errors, best = np.square(nce), np.square(mle)
    ratios = errors[:, :-1].sum() / best[:, :-1].sum(), errors[:, -1].sum() / best[:, -1].sum()
    hits = [
        f"{np.mean(h, axis=0)[:-1].mean():.3f} / {np.mean(h, axis=0)[-1]:.3f}"
        for h in covered.values()
    ]
    return [kind, ratio, sampling, *(f"{r:.2f}" for r in ratios), *hits]


def ica_row(ratio, sampling, runs, n=2048, d=4):
    """Unmixing matrices of Laplace sources; the model is log p = -sqrt 2 |B x|_1 + c."""
    rng, root2 = np.random.default_rng(1), np.sqrt(2)

    def log_phi(X, theta):
        return -root2 * np.abs(X @ theta.reshape(d, d).T).sum(axis=1)

    def gradient(X, theta):
        signs = np.sign(X @ theta.reshape(d, d).T)
        return (-root2 * signs[:, :, None] * X[:, None, :]).reshape(len(X), -1)

    nce, mle = [], []
    for _ in range(runs):
        B = np.linalg.qr(rng.standard_normal((d, d)))[0] * rng.uniform(0.7, 1.4, size=(d, 1))
        X = rng.laplace(scale=1 / root2, size=(n, d)) @ np.linalg.inv(B).T

        def minus(theta, X=X):
            M = theta.reshape(d, d)
            value = -log_phi(X, theta).mean() - np.linalg.slogdet(M)[1]
            return value, -gradient(X, theta).mean(axis=0) - np.linalg.inv(M).T.ravel()

        best = optimize.minimize(minus, B.ravel(), jac=True, method="BFGS").x
        model = own_model(log_phi, B.ravel(), gradient, X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a search that ends at a kink of |x|
            critic = fit_parametric_critic(
                X,
                None,
                make_noise("gmm", X, None, rng),
                model,
                noise_ratio=ratio,
                noise_sampling=sampling,
                rng=rng,
            )
        nce.append(np.square(critic.coef - B.ravel()).sum())
        mle.append(np.square(best - B.ravel()).sum())
    geometric = np.exp(np.mean(np.log(np.divide(nce, mle))))
    return [ratio, sampling, f"{np.sum(nce) / np.sum(mle):.2f}", f"{geometric:.2f}"]


def chasm_row(n, seeds):
    slopes = []
    for seed in range(seeds):
        X = np.random.default_rng(seed).normal(16.0, size=(n, 1))
        density = NCEDensity("linear", stats.norm(), noise_ratio=1, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noise so far away cannot certify the normalizer
            slopes.append(density.fit(X).params_["x0"])
    return [n, seeds, f"{np.mean(slopes):.2f}", f"{np.std(slopes):.2f}"]


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    header("Noise-contrastive estimation against maximum likelihood")
    print(f"Gaussian, 5 columns, 2048 rows, {runs} runs; MSE over MLE's, coverage of 95% intervals")
    rows = [
        gaussian_row(kind, ratio, sampling, runs)
        for kind in ("fitted", "wide")
        for ratio, sampling in ((1, "iid"), (1, "qmc"), (4, "qmc"))
    ]
    table(["noise", "ratio", "sampling", "theta", "log Z", "model theta/Z", "robust theta/Z"], rows)
    least = max(runs // 4, 10)
    print(f"\nICA, 4 Laplace sources, 2048 rows, GMM noise, {least} runs: squared error / MLE's")
    rows = [
        ica_row(ratio, s, least) for ratio, s in ((1, "iid"), (1, "qmc"), (4, "iid"), (4, "qmc"))
    ]
    table(["ratio", "sampling", "mean", "geometric mean"], rows)
    print("\nN(16, 1) against N(0, 1) noise, 128 nats: slope, truth 16")
    table(["rows", "seeds", "mean", "sd"], [chasm_row(5000, 20), chasm_row(50_000, 1)])


if __name__ == "__main__":
    main()
