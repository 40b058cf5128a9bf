"""What many fits leave behind: memory and open files, and how long the imports take."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sklearn.datasets import make_friedman1

from benchmarks._command import make_parser, report
from benchmarks._results import describe_machine, save
from sklearn_swat import SWATRegressor

# The bare import, that of an estimator, and what of the latter is scikit-learn's.
IMPORTS = (
    "import sklearn_swat", "from sklearn_swat import SWATRegressor", "import sklearn.base",
)  # fmt: skip
N_IMPORTS = 9  # of each, one after another, so that all meet the same load
WARM_UP = 20  # fits that load what is loaded once
QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}
TIMED = "import time; started = time.process_time(); {}; print(time.process_time() - started)"


def resident_bytes() -> int:
    """Return the memory of this process, in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Return the number of open file descriptors of this process (Linux)."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, fit, report."""
    parser = make_parser("footprint", __doc__)
    parser.add_argument("--fits", type=int, default=1000, help="how many")
    parser.add_argument(
        "--imports-only", action="store_true", help="keep the fits that --out has a record of"
    )
    report(parser.parse_args(arguments), run_all, make_report)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Fit, and look at the process now and then.

    Parameters
    ----------
    options : Namespace

    Returns
    -------
    dict
    """
    imports = _time_imports()
    if options.imports_only:
        results = json.loads(options.out.read_text(encoding="utf-8"))
        results["import_cpu_seconds"] = imports
        save(results, options.out)
        return results
    X, y = make_friedman1(50, n_features=5, random_state=0)
    results = {
        "machine": describe_machine(), "import_cpu_seconds": imports, "runs": [],
    }  # fmt: skip
    for i in range(WARM_UP + options.fits + 1):
        done = i - WARM_UP
        if done >= 0 and done % max(1, options.fits // 10) == 0:
            gc.collect()
            state = {"fits": done, "mebibytes": resident_bytes() / 2**20, "files": open_files()}
            results["runs"].append(state)
            save(results, options.out)
        SWATRegressor(**QUICK).fit(X, y).predict(X)
    return results


def _time_imports() -> dict[str, list[float]]:
    """Return the processor seconds of every import, each in a fresh process, ascending."""
    seconds: dict[str, list[float]] = {statement: [] for statement in IMPORTS}
    for _ in range(N_IMPORTS):
        for statement, times in seconds.items():
            command = [sys.executable, "-c", TIMED.format(statement)]
            times.append(float(subprocess.check_output(command, text=True)))
    return {statement: sorted(times) for statement, times in seconds.items()}


def make_report(results: dict[str, Any]) -> str:
    """Tell the growth.

    Parameters
    ----------
    results : dict

    Returns
    -------
    str
    """
    first, last = results["runs"][0], results["runs"][-1]
    imports = ", ".join(
        f"{statement!r} {seconds[0]:.3f} s"
        for statement, seconds in results["import_cpu_seconds"].items()
    )
    return (
        f"{last['fits']} fits: {last['mebibytes'] - first['mebibytes']:+.1f} MiB, "
        f"{last['files'] - first['files']:+d} open files; "
        f"least processor time of {N_IMPORTS} imports: {imports}"
    )


if __name__ == "__main__":
    main()
