"""Held-out log-likelihood of NCEDensity as constructed by default, beside scikit-learn's densities.

    python benchmarks/nce_density.py [table ...]
    python benchmarks/nce_density.py grids

Tables that ship with scikit-learn, larger ones, and made-up ones: light and heavy tails, clusters,
edges, peaks, many columns and few rows, where the mixture is the truth and where it is not.

Every table is treated alike: repeated rows are dropped, every number is drawn uniformly from the
cell that is recorded as it, and columns are standardized by the training rows. Peers choose their
options on the training rows: GaussianMixture the number of components and the form of the
covariances by BIC, KernelDensity its bandwidth by five-fold cross-validation. NCEDensity gets no
options at all. Larger tables are read from the folder that the environment variable
SKGM_BENCH_DATA names.

"grids" compares log Z with integrals over grids of two columns, against noise near the rows and
against one Gaussian.

Differences are paired over the test rows: mean over the splits, and the standard error of one
split, because the splits share rows. Seconds are those of the processor.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from _report import header, table
from _tables import bundled, dequantized, from_folder, kernel_by_cv, mixture_by_bic
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_digits, load_linnerud
from sklearn.preprocessing import StandardScaler

from skgm import NCEDensity

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
TRAIN_ROWS = {"power plant": 6000}  # else three quarters
SPLITS = {"red wine": 5, "power plant": 1, "digits": 1}  # else three


def tables():
    """Every table of numbers that ships with scikit-learn, and those of the folder."""
    yield from bundled()
    yield "breast cancer, 30 columns", load_breast_cancer(as_frame=True).data
    exercise, body = load_linnerud(return_X_y=True, as_frame=True)
    yield "linnerud", pd.concat([exercise, body], axis=1)
    digits = load_digits(as_frame=True).data
    yield "digits", digits.loc[:, digits.nunique() > 4]
    for name, frame in from_folder():
        yield name, frame.iloc[:, :11] if name == "red wine" else frame  # the last is a grade
    for name, X in made_up():
        yield name, pd.DataFrame(X)


def made_up():
    """Tables whose shapes are known, some of them hard for trees, mixtures or kernels."""
    rng = np.random.default_rng(0)

    def normal(n, d, correlation=0.5):
        shared = rng.normal(size=(n, 1))
        return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=(n, d))

    angle, x = rng.uniform(0, 2 * np.pi, 2000), rng.normal(size=(3000, 2))
    claws = rng.integers(5, size=5000) / 2 - 1 + 0.1 * rng.normal(size=5000)
    centers, member = 3 * rng.normal(size=(4, 10)), rng.integers(4, size=2000)
    yield "normal, 60 x 8", normal(60, 8)
    yield "normal, 40 x 60", normal(40, 60)
    yield "normal, 2000 x 10", normal(2000, 10)
    yield "4 normals, 2000 x 10", centers[member] + normal(2000, 10)
    yield (
        "factors, 800 x 50",
        rng.normal(size=(800, 5)) @ rng.normal(size=(5, 50)) + normal(800, 50),
    )
    yield "t of 2 df, 3000 x 3", rng.standard_t(2, size=(3000, 3))
    yield "lognormal, 1000 x 5", np.exp(normal(1000, 5))
    yield "copula, 1500 x 5", norm.cdf(normal(1500, 5, 0.7))
    yield "arcsine, 1500 x 4", rng.beta(0.5, 0.5, size=(1500, 4))
    yield "banana, 3000 x 2", np.column_stack([2 * x[:, 0], x[:, 1] + x[:, 0] ** 2])
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    yield "ring, 2000 x 2", ring + 0.05 * rng.normal(size=(2000, 2))
    claw = np.where(rng.uniform(size=5000) < 0.5, rng.normal(size=5000), claws)
    yield "claw, 5000 x 1", claw[:, None]


METHODS = {
    "NCEDensity": lambda Z: NCEDensity(random_state=0).fit(Z),
    "GaussianMixture": lambda Z: mixture_by_bic(Z, COMPONENTS, n_init=1),
    "KernelDensity": kernel_by_cv,
}


def split(X, name, seed):
    order = np.random.default_rng(seed).permutation(len(X))
    n_train = TRAIN_ROWS.get(name, int(0.75 * len(X)))
    train, test = X[order[:n_train]], X[order[n_train:]]
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def measure(X, name):
    """Return per split the test log-densities of all methods, the seconds, and our estimator."""
    for seed in range(SPLITS.get(name, 3)):
        train, test = split(X, name, seed)
        values, seconds, fitted = {}, {}, {}
        for method, fit in METHODS.items():
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the columns below tell what they warn of
                fitted[method] = fit(train)
            seconds[method] = time.process_time() - start
            values[method] = fitted[method].score_samples(test)
        yield values, seconds, fitted["NCEDensity"]


def verdict(ours, theirs):
    """Return "mean difference ± standard error" and whether we win, tie or lose at two of them."""
    gaps = [a - b for a, b in zip(ours, theirs)]
    mean = np.mean([gap.mean() for gap in gaps])
    error = np.mean([gap.std(ddof=1) / np.sqrt(len(gap)) for gap in gaps])
    word = "win" if mean > 2 * error else "loss" if mean < -2 * error else "tie"
    return f"{mean:+.3f} ± {error:.3f}", word


def rows(name, X):
    runs = list(measure(X, name))
    values = {m: [run[0][m] for run in runs] for m in METHODS}
    level = {m: np.mean([v.mean() for v in values[m]]) for m in METHODS}
    best = max(list(METHODS)[1:], key=level.get)
    n_test = len(values[best][0])
    size = f"{len(X) - n_test} + {n_test}, {X.shape[1]}"
    yield [name, size, *(f"{v:.3f}" for v in level.values())]
    yield [name, best, *verdict(values["NCEDensity"], values[best])]
    fits = [run[2] for run in runs]
    worst = ("log_normalizer_se_", "pareto_k_")
    seconds = [f"{np.mean([run[1][m] for run in runs]):.1f}" for m in METHODS]
    certificate = [max(getattr(fit, name) for fit in fits) for name in worst]
    yield [name, *seconds, *certificate, min(fit.normalizer_ess_ for fit in fits)]


def shapes(n=500):
    """Yield rows of shapes that no Gaussian has, and even or stretched nodes of both columns."""
    rng = np.random.default_rng(0)
    normal, angle = rng.normal(size=(n, 2)), rng.uniform(0, 2 * np.pi, (n, 1))
    around = np.hstack([np.cos(angle), np.sin(angle)]) * (2 + 0.2 * normal[:, :1])
    bent = np.column_stack([normal[:, 0], normal[:, 0] ** 2 + 0.3 * normal[:, 1]])
    stretched = 0.3 * np.sinh(np.linspace(-7, 7, 701))
    yield "ring", around, [np.linspace(-9, 9, 601)] * 2
    yield "banana", bent, [np.linspace(-12, 12, 901), np.linspace(-20, 30, 1501)]
    far = normal + 20 * (np.arange(n) % 2)[:, None]
    yield "modes 28 apart", far, [np.linspace(-60, 80, 1001)] * 2
    heavy = normal / np.sqrt(rng.chisquare(2, (n, 1)) / 2)
    yield "t of 2 df", heavy, [stretched] * 2
    yield "box", rng.uniform(size=(n, 2)), [np.linspace(-1.5, 2.5, 701)] * 2


def grids():
    """Yield log of the integral of each density, its reported standard error, and their ratio."""
    for name, X, (x, y) in shapes():
        for noise in ("auto", "gaussian"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                density = NCEDensity(noise=noise, random_state=0).fit(X)
            grid = np.column_stack([np.repeat(x, len(y)), np.tile(y, len(x))])
            values = np.exp(density.score_samples(grid)).reshape(len(x), len(y))
            error = float(np.log(np.gradient(x) @ values @ np.gradient(y)))
            se = density.log_normalizer_se_
            yield [name, noise, f"{error:+.4f}", f"{se:.4f}", density.n_iter_]


def main():
    if sys.argv[1:] == ["grids"]:
        header("Log of the integral over a grid, which is 0", ("numpy", "scikit-learn"))
        table(["rows", "noise", "log integral", "reported SE", "trees"], list(grids()))
        return
    header("Held-out log-likelihood of NCEDensity, nats per row", ("numpy", "scikit-learn"))
    wanted = sys.argv[1:]
    chosen = [pair for pair in tables() if not wanted or pair[0] in wanted]
    results = []
    for name, frame in chosen:
        results.append(list(rows(name, dequantized(frame))))
        print(*results[-1][1], file=sys.stderr, flush=True)
    levels, duels, costs = zip(*results)
    table(["table", "train + test rows, columns", *METHODS], levels)
    print("\nNCEDensity minus the better of the two\n")
    table(["table", "better peer", "difference ± standard error", "NCEDensity"], duels)
    print("\nProcessor seconds of a fit, and the certificate of NCEDensity (worst split)\n")
    table(["table", *METHODS, "SE(log Z)", "Pareto k", "ESS share"], costs)


if __name__ == "__main__":
    main()
