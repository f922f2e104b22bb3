"""Wide restricted Boltzmann machines on tables of zeros and ones: more units are not worse.

``python benchmarks/rbm_widths.py``

Machines of 16, 50 and 256 hidden units, with the defaults of skgm, on digits and on one-hot tables
(every column of breast cancer and wine is cut at its quartiles; mushrooms are read from the folder
that SKGM_BENCH_DATA names). "test" is the log-likelihood of test rows in nats, exact with 16 units,
by annealing in both directions with more. "gap" is log Z minus the logarithm of the mass near the
training chains: a nat or more means that training did not see most of the model, of which `fit` or
`log_partition` warns. Beside the defaults stands a standard normal prior on each weight with one
Gibbs step, which was the default once.
"""

import time
import warnings

from _report import header, table
from rbm_quality import chow_liu, load

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads

WIDTHS = (16, 50, 256)
TABLES = ("digits", "breast cancer", "wine", "mushrooms")
HEADINGS = ("table", "units", "model", "seed", "test", "gap", "reliable", "CPU s of the fit")


def widths():
    """Yield the likelihood of small and large machines, and what training did not see of them."""
    for name in TABLES:
        if (data := load(name)) is None:
            continue
        train, test = data
        prior = {"weight_decay": 1 / len(train), "n_gibbs_steps": 1}
        yield [name, "-", "Chow-Liu tree", "-", f"{chow_liu(train, test):.2f}", "-", "-", "-"]
        for k in WIDTHS:
            for label, options in (("defaults", {}), ("normal prior, one step", prior)):
                for seed in range(2 if label == "defaults" else 1):
                    model = BernoulliRBMCD(k, random_state=seed, **options)
                    start = time.thread_time()
                    model.fit(train)
                    seconds = time.thread_time() - start
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # the table shows what they say
                        found = model.log_partition()
                    cells = [f"{model.score(test):.2f}", f"{found.gap:.2f}", found.reliable]
                    yield [name, k, label, seed, *cells, f"{seconds:.2f}"]


def main():
    header(__doc__)
    with limit_blas_threads(1):
        table(HEADINGS, list(widths()))


if __name__ == "__main__":
    main()
