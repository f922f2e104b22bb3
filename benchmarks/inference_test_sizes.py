"""Sizes of nominal 5% tests in samples of ten: likelihood ratio, corrected, score, and r*.

    python benchmarks/inference_test_sizes.py [replicates]

Samples are columns of one table where columns are independent, so that a test of 20,000 samples
is one call of the library; the multivariate normal goes through a loop.
"""

import sys
from collections.abc import Iterator

import numpy as np
from _report import header, table
from scipy import stats

from skgm.inference import MLEDensity, likelihood_ratio_test
from skgm.inference._likelihood.bartlett import column_means
from skgm.inference._likelihood.rstar import rstar
from skgm.inference.families import (
    Beta,
    Gamma,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    Weibull,
)

N, LEVEL, CHUNK = 10, 0.05, 20_000
CASES = [
    ("normal mu and sigma", Normal(), {"mu": 0.0, "sigma": 1.0}, ("mu", "sigma")),
    ("normal mu", Normal(), {"mu": 0.0, "sigma": 1.0}, ("mu",)),
    ("normal sigma", Normal(), {"mu": 0.0, "sigma": 1.0}, ("sigma",)),
    ("gamma shape 0.5", Gamma(), {"shape": 0.5, "scale": 1.0}, ("shape",)),
    ("gamma shape 2", Gamma(), {"shape": 2.0, "scale": 1.0}, ("shape",)),
    ("gamma shape 10", Gamma(), {"shape": 10.0, "scale": 1.0}, ("shape",)),
    ("gamma shape 2 and scale", Gamma(), {"shape": 2.0, "scale": 1.0}, ("shape", "scale")),
    ("beta a = 2", Beta(), {"a": 2.0, "b": 0.7}, ("a",)),
    ("weibull shape", Weibull(), {"shape": 2.0, "scale": 1.0}, ("shape",)),
]


def columnwise(family, truth, held, replicates, rng) -> Iterator[dict[str, np.ndarray]]:
    """Yield statistics of chunks of replicates."""
    pattern = np.array([p.name in held for p in family.parameters])
    for start in range(0, replicates, CHUNK):
        wide = {k: np.full(min(CHUNK, replicates - start), v) for k, v in truth.items()}
        X = family.sample(wide, N, rng)
        data = family.summarize(X, None)
        null = {k: v if k in held else np.full(len(v), np.nan) for k, v in wide.items()}
        full = family.estimate(data)
        small = family.restricted_near(data, null, full)
        W = 2 * (family.log_likelihood(data, full) - family.log_likelihood(data, small))
        mean = column_means(family, pattern, small, N)
        found = {"W": W, "corrected": W * pattern.sum() / mean}
        found["score"] = family.score_statistic(X, None, small)
        if len(held) == 1:
            r, found["rstar"] = rstar(family, held[0], data, full, wide[held[0]])
            found["r"] = r
        yield found


def rejections(found, df) -> dict[str, np.ndarray]:
    """Return which replicates each test rejects."""
    quantile = stats.chi2.ppf(1 - LEVEL, df)
    out = {name: found[name] > quantile for name in ("W", "corrected", "score")}
    if "rstar" in found:
        z = stats.norm.ppf(1 - LEVEL / 2)
        out |= {"r* greater": found["rstar"] > z, "r* less": found["rstar"] < -z}
        out |= {"r greater": found["r"] > z, "r less": found["r"] < -z}
    return out


def independence(replicates, rng, d=4) -> dict[str, np.ndarray]:
    """Return statistics of independence of d normal columns, one table after the other."""
    family = MultivariateNormal()
    null = {"mean": np.full(d, np.nan), "covariance": np.where(np.eye(d, dtype=bool), np.nan, 0.0)}
    X = rng.standard_normal((N, d))
    hypothesis = {"covariance": null["covariance"]}
    plain = likelihood_ratio_test(MLEDensity("mvn"), X, hypothesis).statistic
    fair = likelihood_ratio_test(MLEDensity("mvn"), X, hypothesis, correction="bartlett").statistic
    W, score = np.empty(replicates), np.empty(replicates)
    for j in range(replicates):
        X = rng.standard_normal((N, d))
        data = family.summarize(X, None)
        small = family.restricted_estimate(data, null)
        best = family.log_likelihood(data, family.estimate(data))
        W[j] = 2 * (best - family.log_likelihood(data, small))
        score[j] = family.score_statistic(X, None, small)
    return {"W": W, "corrected": W * fair / plain, "score": score}


def edge(replicates, rng, n, chunk=1000) -> tuple[float, float]:
    """Return sizes of the naive test and of the mixture for Poisson in negative binomial."""
    whole, limit, naive, mixture = NegativeBinomial(), Poisson(), [], []
    for _ in range(0, replicates, chunk):
        X = rng.poisson(4.0, (n, chunk)).astype(float)
        a, b = whole.summarize(X, None), limit.summarize(X, None)
        full = whole.estimate(a)
        W = 2 * (whole.log_likelihood(a, full) - limit.log_likelihood(b, limit.estimate(b)))
        W = np.where(np.isinf(full["size"]), 0.0, W)
        naive.append(stats.chi2.sf(W, 1) < LEVEL)
        mixture.append((W > 0) & (stats.chi2.sf(W, 1) / 2 < LEVEL))
    return float(np.mean(naive)), float(np.mean(mixture))


def main(replicates: int) -> None:
    """Print the tables."""
    rng = np.random.default_rng(0)
    header(f"Size in % of nominal 5% tests, n = {N}, {replicates} replicates")
    rows, sides = [], []
    for label, family, truth, held in CASES:
        parts = [rejections(f, len(held)) for f in columnwise(family, truth, held, replicates, rng)]
        size = {k: 100 * np.mean(np.concatenate([p[k] for p in parts])) for k in parts[0]}
        rows.append([label, len(held), *(f"{size[k]:.2f}" for k in ("W", "corrected", "score"))])
        if len(held) == 1:
            names = ("r less", "r greater", "r* less", "r* greater")
            sides.append([label, *(f"{size[k]:.2f}" for k in names)])
    size = {k: 100 * np.mean(v) for k, v in rejections(independence(replicates, rng), 6).items()}
    label = "independence of 4 normal columns"
    rows.append([label, 6, *(f"{size[k]:.2f}" for k in ("W", "corrected", "score"))])
    table(["null", "df", "likelihood ratio", "/ its mean", "score"], rows)
    print("\nEach side, nominal 2.5%\n")
    table(["null", "r low", "r high", "r* low", "r* high"], sides)
    print("\nPoisson (mean 4) in negative binomial, a null on the edge\n")
    sizes = ((200, max(replicates // 10, 1000)), (1000, max(replicates // 50, 1000)))
    edges = [(n, *edge(m, rng, n, 200_000 // n)) for n, m in sizes]
    shown = [[n, f"{100 * naive:.2f}", f"{100 * mixture:.2f}"] for n, naive, mixture in edges]
    table(["n", "chi-square", "half point mass, half chi-square"], shown)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
