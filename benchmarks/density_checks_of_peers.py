"""Print which density checks scikit-learn's densities and ours pass.

Run ``python benchmarks/density_checks_of_peers.py``. The columns normal to mv. normal are families
of MLEDensity. The last column is an absurd estimator
(its log-density is a million times the row sum, its samples are a text) that satisfies
scikit-learn's own `check_estimator`. GaussianMixture has two components here, because the order
of its samples cannot show with one. The reasons of all failures follow the table.
"""

import time
import warnings
from typing import Any

from _report import header, table
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skgm import MLEDensity, ScoreMatchingGaussian, make_density_pipeline
from skgm.testing import check_density_estimator
from skgm.testing._absurd import AbsurdDensity

ESTIMATORS = {
    "ScoreMatching": ScoreMatchingGaussian(),
    "normal": MLEDensity("normal"),
    "exponential": MLEDensity("exponential"),
    "Bernoulli": MLEDensity("bernoulli"),
    "Poisson": MLEDensity("poisson"),
    "mv. normal": MLEDensity("multivariate_normal"),
    "Pipeline": make_density_pipeline(StandardScaler(), ScoreMatchingGaussian()),
    "KernelDensity": KernelDensity(),
    "GaussianMixture": GaussianMixture(2),
    "BayesianGM": BayesianGaussianMixture(n_components=2),
    "absurd": AbsurdDensity(),
}
WORDS = {"passed": "pass", "failed": "FAIL", "not applicable": "n.a."}


def run(estimator: Any) -> tuple[list[dict[str, Any]], float]:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate tables and of mixtures that stop early
        records = check_density_estimator(estimator, on_fail=None)
    return records, time.perf_counter() - start


def totals(records: list[dict[str, Any]]) -> tuple[int, int, int]:
    statuses = [record["status"] for record in records]
    return tuple(statuses.count(status) for status in WORDS)


def main() -> None:
    header("Density checks by estimator", ("numpy", "scipy", "scikit-learn"))
    run(ScoreMatchingGaussian())  # imports are not to be timed
    results = {name: run(estimator) for name, estimator in ESTIMATORS.items()}
    columns = [records for records, _ in results.values()]
    rows = [
        [
            same_check[0]["check_name"].removeprefix("check_"),
            *(WORDS[r["status"]] for r in same_check),
        ]
        for same_check in zip(*columns)
    ]
    counts = [totals(records) for records in columns]
    rows += [[f"TOTAL {WORDS[s]}", *(c[i] for c in counts)] for i, s in enumerate(WORDS)]
    rows.append(["share of applicable passed", *(f"{p / (p + f):.0%}" for p, f, _ in counts)])
    rows.append(["seconds", *(f"{seconds:.2f}" for _, seconds in results.values())])
    table(["check", *ESTIMATORS], rows)
    for name, (records, _) in results.items():
        failed = [record for record in records if record["status"] == "failed"]
        for record in failed:
            print(f"\n{name}: {record['check_name']}: {' '.join(record['reason'].split())[:150]}")


if __name__ == "__main__":
    main()
