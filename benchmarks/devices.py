"""The descent on a GPU beside that on the CPU of the same machine.

Over the number of candidates, and over the rows that every step sees. Results are kept as
JSON, one record per size, and the report is computed from that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from sklearn.datasets import make_friedman1

from benchmarks._command import add_resume_option, make_parser, report
from benchmarks._report import verdict
from benchmarks._results import begin, missing, run_and_keep
from sklearn_swat import SWATRegressor
from sklearn_swat._network import MAX_DEPTH

PARTS: dict[str, tuple[int, ...]] = {
    "candidates": (8, 16, 64, 256, 1024),
    "rows": (1_000, 10_000, 50_000),
}
N_FEATURES, N_ROWS = 20, 1_000
N_STEPS = 50  # of the kept records, which are older than a default of fewer
LARGEST_ON_CPU = {"candidates": 256, "rows": 50_000}
MANY, FEW = 256, 16  # candidates on the GPU and on the CPU that are compared


def measure_fit(device: str, part: str, value: int, seed: int) -> dict[str, float]:
    """Fit Friedman's first function.

    Parameters
    ----------
    device : str
        Of torch.
    part : str
        One of `PARTS`.
    value : int
        Candidates, or rows that every step sees.
    seed : int
        Of rows and model.

    Returns
    -------
    dict
        ``seconds`` of the fit, ``descent_seconds``, ``score`` on the training rows, ``nnz``.
    """
    n_rows = value if part == "rows" else N_ROWS
    X, y = make_friedman1(n_rows, N_FEATURES, noise=1.0, random_state=seed)
    n_restarts = value // MAX_DEPTH if part == "candidates" else 2
    model = SWATRegressor(
        n_restarts=n_restarts, max_iter=N_STEPS, batch_size=n_rows, device=device,
        random_state=seed,
    )  # fmt: skip
    begun = perf_counter()
    model.fit(X, y)
    return {
        "seconds": perf_counter() - begun,
        "descent_seconds": model.history_[-1]["seconds"],
        "score": float(model.score(X, y)),
        "nnz": int(model.nnz_),
    }


def run_one(part: str, value: int, seed: int) -> dict[str, Any]:
    """Make one measurement on the GPU, and on the CPU where it does not take minutes.

    Parameters
    ----------
    part : str
        One of `PARTS`.
    value : int
        Candidates or rows.
    seed : int
        Of rows and models.

    Returns
    -------
    dict
        The record that is kept.
    """
    record: dict[str, Any] = {"table": part, "n_rows": value, "seed": seed}
    record["gpu"] = torch.cuda.get_device_name()
    if value <= LARGEST_ON_CPU[part]:
        record["cpu"] = measure_fit("cpu", part, value, seed)
    record["cuda"] = measure_fit("cuda", part, value, seed)
    return record


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        A table per part, and the requirement.
    """
    gpus = ", ".join(sorted({run["gpu"] for run in results["runs"]}))
    versions = ", ".join(f"{key} {value}" for key, value in results["meta"].items())
    parts = [f"{gpus}; {versions}"]
    for part in PARTS:
        runs = [run for run in results["runs"] if run["table"] == part]
        rows = [
            {part: run["n_rows"], **{f"{d} {k}": v for k, v in run[d].items()}}
            for run in runs
            for d in ("cpu", "cuda")
            if d in run
        ]
        if not rows:
            continue
        frame = pd.DataFrame(rows).groupby(part).median()
        if part == "candidates":
            for device in ("cpu", "cuda"):
                frame[f"{device} candidates per second"] = (
                    frame.index / frame[f"{device} descent_seconds"]
                )
        frame.columns = [str(c).replace("_", " ") for c in frame]
        shown = [c for c in sorted(frame) if "score" not in c and "nnz" not in c]
        parts.append(
            f"Fits and their descents over {part}, medians\n"
            + frame[shown].T.to_string(float_format="{:,.2f}".format, na_rep="")
        )
        if part == "candidates" and {MANY, FEW} <= set(frame.index):
            gpu = frame.loc[MANY, "cuda descent seconds"]
            cpu = frame.loc[FEW, "cpu descent seconds"]
            parts.append(
                verdict(
                    gpu <= cpu,
                    f"{MANY} candidates on the GPU take no longer than {FEW} on the CPU",
                    f"{gpu:.2f} and {cpu:.2f} s",
                )
            )
    return "\n\n".join(parts)


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing and keep every record as it comes.

    Parameters
    ----------
    options : Namespace
        The command line.

    Returns
    -------
    dict
        The results.

    Raises
    ------
    SystemExit
        If torch finds no GPU.
    """
    if not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no GPU; --report-only prints what is kept, and "
            "`python -m benchmarks.scaling` measures the CPU"
        )
    results = begin(options)
    seeds = range(options.seeds)
    keys = ((part, n, seed) for seed in seeds for part in options.parts for n in PARTS[part])
    todo = missing(results, keys)
    if todo:  # what libraries set up at their first use is no part of a fit's time
        for device in ("cpu", "cuda"):
            measure_fit(device, "candidates", MAX_DEPTH, 0)

    def describe(record: dict[str, Any]) -> str:
        seconds = record["cuda"]["descent_seconds"]
        return f"{record['table']} {record['n_rows']:,}: descent of {seconds:.2f} s on the GPU"

    run_and_keep(results, options.out, run_one, todo, 1, describe, tuple(PARTS))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("devices", __doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure")
    add("--seeds", type=int, default=1, help="repetitions, with other rows")
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()
