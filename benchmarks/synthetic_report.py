"""Which faults a report names first, how often it accuses faithful tables, and what an audit finds.

    python benchmarks/synthetic_report.py [n_replications] [n_rows]

Tables of a known law: a category, a number that depends on it, a number with a point mass, a count
and a bent pair. Real and synthetic rows are drawn from the same law; then one fault is put into the
synthetic rows: a column shuffled, a category dropped, ten real rows copied, a margin shifted. A
fault counts as named if the first warning says its kind and its column. The audit is that of a
Gaussian, of the same Gaussian with a twentieth of its mass on training rows, and of a copy machine.
"""

import sys
import time

import numpy as np
import pandas as pd
from _report import header, table

from skgm import MLEDensity, TableReport, privacy_audit


def draw(n, rng):
    group = rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05])
    age = rng.normal(40, 10, n) + 8 * (group == "b")
    pay = np.where(rng.uniform(size=n) < 0.3, 0.0, np.exp(0.05 * age + rng.normal(0, 0.4, n)))
    tail = rng.standard_t(2, n)
    bent = np.abs(tail) + 0.5 * rng.normal(size=n)
    kids = rng.poisson(1.5, n)
    return pd.DataFrame(
        {"group": group, "age": age, "pay": pay.round(2), "kids": kids, "tail": tail, "bent": bent}
    )


def shuffle(rows, real, rng):
    rows["bent"] = rng.permutation(rows["bent"])
    return rows


def drop(rows, real, rng):
    return rows[rows["group"] != "d"]


def copy(rows, real, rng):
    rows.iloc[:10] = real.iloc[:10]
    return rows


def shift(rows, real, rng):
    rows["age"] += 5
    return rows


FAULTS = {
    "a column shuffled": (shuffle, ("pairs", "'bent'")),
    "a category dropped": (drop, ("margins", "lost the category 'd'")),
    "ten rows copied": (copy, ("copies", "10 synthetic rows are copied")),
    "a margin shifted": (shift, ("margins", "'age'")),
}


def reports(n_replications, n_rows):
    rows = []
    for name, (spoil, (part, words)) in {"none": (None, ("", "")), **FAULTS}.items():
        named, accused, seconds = 0, 0, 0.0
        for seed in range(n_replications):
            rng = np.random.default_rng(seed)
            real, synthetic = draw(n_rows, rng), draw(n_rows, rng)
            if spoil is not None:
                synthetic = spoil(synthetic, real, rng)
            start = time.process_time()
            warnings = TableReport(real, synthetic).warnings
            seconds += time.process_time() - start
            accused += bool(warnings)
            if warnings:
                named += warnings[0].part == part and words in warnings[0].text
        rate = "" if spoil is None else f"{named}/{n_replications}"
        rows.append([name, rate, f"{accused}/{n_replications}", seconds / n_replications])
    table(["fault", "named first", "any warning", "processor s"], rows)


def leak(train, drawn, share, rng):
    chosen = rng.permutation(len(drawn))[: round(share * len(drawn))]
    drawn[chosen] = train[rng.integers(0, len(train), len(chosen))]
    return drawn


def audits(n_replications, n_rows):
    rows = []
    for name, share in (("Gaussian", 0.0), ("with a 5% leak", 0.05), ("copy machine", 1.0)):
        caught, area, ratio, near = 0, [], [], []
        for seed in range(n_replications):
            rng = np.random.default_rng(seed)
            train, holdout = rng.normal(size=(2, n_rows, 4))
            density = MLEDensity("mvn").fit(train)
            model = density
            if share:
                model = leak(train, density.sample(n_rows, random_state=10**6 + seed), share, rng)
            audit = privacy_audit(model, train, holdout, n_attacks=100, random_state=10**6 + seed)
            caught += bool(audit.warnings)
            near.append(audit.nearest.share)
            if audit.membership is not None:
                area.append(audit.membership.auc)
                ratio.append(audit.ratio.auc)
        means = [f"{np.mean(part):.3f}" if part else "" for part in (area, ratio, near)]
        rows.append([name, f"{caught}/{n_replications}", *means])
    table(["model", "warned", "area, log p", "area, ratio", "nearer to training"], rows)


def main():
    words = [int(word) for word in sys.argv[1:]]
    n_replications, n_rows = (words + [10, 600][len(words) :])[:2]
    header(f"Reports on {n_rows} synthetic rows, and audits: {n_replications} replications")
    reports(n_replications, n_rows)
    print()
    audits(n_replications, n_rows)


if __name__ == "__main__":
    main()
