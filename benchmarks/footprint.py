"""What many fits leave behind: memory and open files, and how long the import takes."""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sklearn.datasets import make_friedman1

from benchmarks._command import make_parser, report
from benchmarks._results import describe_machine, save
from sklearn_swat import SWATRegressor

PACKAGES = ("sklearn.base", "sklearn_swat")  # what the second adds to the first is ours
WARM_UP = 20  # fits that load what is loaded once
QUICK = {"max_iter": 3, "depth": 1, "max_width": 4, "n_restarts": 1, "random_state": 0}
IMPORT = (
    "import time; started = time.process_time(); import {}; print(time.process_time() - started)"
)


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
    imports = {name: sorted(_import_seconds(name) for _ in range(5)) for name in PACKAGES}
    X, y = make_friedman1(50, n_features=5, random_state=0)
    results: dict[str, Any] = {
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


def _import_seconds(name: str) -> float:
    """Return the processor time of an import in a fresh process."""
    return float(subprocess.check_output([sys.executable, "-c", IMPORT.format(name)], text=True))


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
        f"{name} {seconds[0]:.2f} s" for name, seconds in results["import_cpu_seconds"].items()
    )
    return (
        f"{last['fits']} fits: {last['mebibytes'] - first['mebibytes']:+.1f} MiB, "
        f"{last['files'] - first['files']:+d} open files; "
        f"processor time of an import, the least of five: {imports}"
    )


if __name__ == "__main__":
    main()
