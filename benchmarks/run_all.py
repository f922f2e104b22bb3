"""Runs the benchmarks and keeps what each prints in ``benchmarks/results``, for the documentation.

    python benchmarks/run_all.py [--quick] [NAME ...] [NAME=ARGUMENTS ...]

Each result is a text file that begins with its command and ends with its wall time. With
``--quick`` most benchmarks run at a reduced size, one after the other, each for at most a minute of
processor time; their results go to ``benchmarks/results/quick``. Names choose among the benchmarks;
``parallel="5 DDPM.sample"`` runs one with other arguments than those listed here.
Benchmarks that need tables which do not ship with scikit-learn read them from the folder that the
environment variable SKGM_BENCH_DATA names.
"""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
LIMIT = 60  # processor seconds of a quick run, so that all of them end in half an hour

# Arguments of the full and of the quick run; None: not part of the quick run.
ARGUMENTS: dict[str, tuple[str, str | None]] = {
    "held_out_likelihood": ("", ""),
    "stacked": ("", None),
    "nce_density": ("", "iris wine"),
    "ddpm_mixed": ("3", "1 300"),
    "ddpm_tables": ("3 5", "1 1"),
    "tabular_c2st": ("adult magic --seeds 1", None),
    "synthetic_report": ("10", "2"),
    "ddpm_digits": ("3", None),
    "ddpm_imputation": ("", None),
    "multiple_imputation": ("2000 100", "5 2"),
    "inference_coverage": ("", "1000"),
    "censored_coverage": (
        "1000 exponential weibull normal lognormal poisson",
        "20 exponential weibull",
    ),
    "inference_test_sizes": ("", "5000"),
    "inference_speed": ("", ""),
    "censored_speed": ("", ""),
    "inference_robust_sizes": ("", "200"),
    "goodness_of_fit": ("", None),
    "score_matching_gaussian": ("", "3"),
    "score_matching_graphs": ("10 --peer-path", "1"),
    "score_matching_truncated": ("600", "20"),
    "score_matching_families": ("1000 5", "20 1"),
    "nce_efficiency": ("", "10"),
    "nce_test_sizes": ("", "100"),
    "nce_classifier": ("", "300 6000"),
    "nce_language_model": ("", None),
    "ddpm_toys": ("5", "1 500"),
    "ddpm_speed": ("20", "3"),
    "rbm_quality": ("", None),
    "rbm_widths": ("", None),
    "rbm_speed": ("", ""),
    "rbm_sampling": ("", None),
    "rbm_log_partition": ("50", "1"),
    "density_checks_of_peers": ("", ""),
    "memory": ("1e6", None),
    "import_time": ("", ""),
    "parallel": ("3", None),
    "out_of_core": ("5e6", "2e5"),
}


def limit() -> None:
    """Bound the processor time of the process that starts."""
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))


def run(name: str, arguments: str | None, quick: bool) -> str:
    """Run one benchmark, write its file, and return a word on how it went."""
    if arguments is None:
        return "not part of the quick run"
    command = f"python benchmarks/{name}.py {arguments}".strip()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=limit if quick else None,
    )
    seconds = time.perf_counter() - start
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"stopped after {LIMIT} s of processor time"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"
    folder = FOLDER / "results" / ("quick" if quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    (folder / f"{name}.txt").write_text(f"$ {command}\n\n{text}\n\nWall time: {seconds:.0f} s\n")
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    wanted = [word for word in sys.argv[1:] if word != "--quick"] or list(ARGUMENTS)
    chosen = [word.partition("=") for word in wanted]
    unknown = {name for name, _, _ in chosen} - set(ARGUMENTS)
    if unknown:
        sys.exit(f"no benchmark is called {sorted(unknown)}; there are {', '.join(ARGUMENTS)}")
    for name, equals, own in chosen:
        arguments = own if equals else ARGUMENTS[name][quick]
        print(f"{name}: {run(name, arguments, quick)}", flush=True)
