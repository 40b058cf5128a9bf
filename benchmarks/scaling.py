"""Time and memory: of predictions, and of fits over rows, features and candidates.

Predictions: 100,000 rows beside scikit-learn's dense MLP, and a single row through
`network_` beside `LinearRegression`. Fits: from 1,000 to 1,000,000 rows of 20 features,
from 10 to 5,000 features, and with more candidates, each in a fresh process. Results
are kept as JSON, one record per measurement, and the report is computed from that file.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1
from sklearn.linear_model import LinearRegression

from benchmarks._command import add_resume_option, make_parser, report
from benchmarks._dense import dense_mlp, fit_quietly, fitted_mlp
from benchmarks._fit_probe import measure_fit
from benchmarks._report import verdict
from benchmarks._results import begin, missing, run_and_keep
from sklearn_swat import SWATRegressor

PARTS: dict[str, tuple[int, ...]] = {
    "predict": (100_000,),
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "features": (10, 30, 100, 300, 1_000, 3_000, 5_000),
    "candidates": (1, 2, 4, 8, 16, 32),
}
N_FEATURES, N_ROWS = 20, 1_000  # where the other one grows
TRAINING_ROWS = 2_000  # of the models that predict
BATCH_REPEATS, ROW_REPEATS = 15, 2_000
# What the package must reach.
MIN_SPEEDUP = 3.0
MAX_ROW_MICROSECONDS = 20.0  # more than `LinearRegression`


# --------------------------------------------------------------------- measurements


def least_seconds(calls: dict[str, Callable[[], Any]], n_repeats: int) -> dict[str, dict[str, Any]]:
    """Return how long calls take that are made in turns.

    Parameters
    ----------
    calls : dict of callable
        Each without arguments.
    n_repeats : int
        Turns.

    Returns
    -------
    dict of dict
        ``least`` and ``median`` wall seconds and ``processor`` seconds (the mean) per
        call. The least is what other programs disturb least.
    """
    wall: dict[str, list[float]] = {name: [] for name in calls}
    processor = dict.fromkeys(calls, 0.0)
    for _ in range(n_repeats):
        for name, call in calls.items():
            begun, begun_processor = perf_counter(), process_time()
            call()
            wall[name].append(perf_counter() - begun)
            processor[name] += (process_time() - begun_processor) / n_repeats
    return {
        name: {
            "least": min(wall[name]),
            "median": float(np.median(wall[name])),
            "processor": processor[name],
        }
        for name in calls
    }


def measure_predictions(n_rows: int, seed: int) -> dict[str, Any]:
    """Measure predictions of many rows and of one.

    Parameters
    ----------
    n_rows : int
        Rows of the batch.
    seed : int
        Of rows and models.

    Returns
    -------
    dict
        ``nnz``, ``batch`` and ``row``: what `least_seconds` returns. The MLP is bare,
        and gets rows that are scaled already.
    """
    X, y = make_friedman1(TRAINING_ROWS, N_FEATURES, noise=1.0, random_state=seed)
    model = SWATRegressor(random_state=seed).fit(X, y)
    dense = fit_quietly(dense_mlp("regression", seed), X, y)
    linear = LinearRegression().fit(X, y)
    scaler, mlp = fitted_mlp(dense)
    rows = np.random.default_rng(seed).uniform(size=(n_rows, N_FEATURES))
    scaled, one = scaler.transform(rows), rows[:1]
    one_scaled, network = scaler.transform(one), model.network_
    batch = {
        "swat": lambda: model.predict(rows),
        "network_": lambda: network.predict(rows),
        "mlp": lambda: mlp.predict(scaled),
        "linear": lambda: linear.predict(rows),
    }
    row = {
        "swat": lambda: model.predict(one),
        "network_": lambda: network.predict(one),
        "mlp": lambda: mlp.predict(one_scaled),
        "linear": lambda: linear.predict(one),
    }
    return {
        "nnz": int(model.nnz_),
        "batch": least_seconds(batch, BATCH_REPEATS),
        "row": least_seconds(row, ROW_REPEATS),
    }


def run_one(part: str, value: int, seed: int) -> dict[str, Any]:
    """Make one measurement.

    Parameters
    ----------
    part : str
        One of `PARTS`.
    value : int
        Rows, features or restarts.
    seed : int
        Of rows and models.

    Returns
    -------
    dict
        The record that is kept.
    """
    record: dict[str, Any] = {"table": part, "n_rows": value, "seed": seed}
    if part == "predict":
        return {**record, **measure_predictions(value, seed)}
    settings: dict[str, Any] = {"n_rows": N_ROWS, "n_features": N_FEATURES, "seed": seed}
    if part == "candidates":
        settings["parameters"] = {"n_restarts": value}
    else:
        settings["n_rows" if part == "rows" else "n_features"] = value
    record["swat"] = measure_fit(settings)
    if part != "candidates":
        record["mlp"] = measure_fit({**settings, "model": "mlp"})
    return record


# --------------------------------------------------------------------- report


def prediction_lines(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the part of the report about predictions.

    Parameters
    ----------
    runs : sequence of dict
        Records of the part ``predict``.

    Returns
    -------
    list of str
        A table and the requirements.
    """
    rows = []
    for run in runs:
        for kind in ("batch", "row"):
            for model, seconds in run[kind].items():
                n_rows = run["n_rows"] if kind == "batch" else 1
                rows.append({"rows": n_rows, "model": model, **seconds})
    frame = pd.DataFrame(rows).groupby(["rows", "model"], sort=False).median() * 1e6
    lines = ["Predictions, microseconds", frame.to_string(float_format="{:,.1f}".format), ""]
    speedups = [r["batch"]["mlp"]["least"] / r["batch"]["swat"]["least"] for r in runs]
    speedup = float(np.median(speedups))
    extra = 1e6 * float(
        np.median([r["row"]["network_"]["least"] - r["row"]["linear"]["least"] for r in runs])
    )
    lines.append(
        verdict(
            speedup >= MIN_SPEEDUP,
            f"a batch at least {MIN_SPEEDUP:g} times as fast as by the dense MLP",
            f"{speedup:.1f} times, with {np.median([r['nnz'] for r in runs]):.0f} non-zeros",
        )
    )
    lines.append(
        verdict(
            extra <= MAX_ROW_MICROSECONDS,
            f"a row by network_ at most {MAX_ROW_MICROSECONDS:g} microseconds slower than by "
            "LinearRegression",
            f"{extra:+.1f} microseconds",
        )
    )
    return lines


def make_report(results: dict[str, Any]) -> str:
    """Return the report of kept results.

    Parameters
    ----------
    results : dict
        What `run_all` returns.

    Returns
    -------
    str
        Predictions, then a table per part.
    """
    parts = [", ".join(f"{key} {value}" for key, value in results["meta"].items())]
    for part in PARTS:
        runs = [run for run in results["runs"] if run["table"] == part]
        if not runs:
            continue
        if part == "predict":
            parts.append("\n".join(prediction_lines(runs)))
            continue
        rows = [
            {part: run["n_rows"], **{f"{m} {k}": v for k, v in run[m].items()}}
            for run in runs
            for m in [m for m in ("swat", "mlp") if m in run]
        ]
        frame = pd.DataFrame(rows).groupby(part).median()
        frame.columns = [str(c).replace("_", " ") for c in frame]
        shown = [c for c in frame if "data" not in c]
        fixed = {"rows": f"{N_FEATURES} features", "features": f"{N_ROWS:,} rows"}
        title = fixed.get(part, f"{N_ROWS:,} rows x {N_FEATURES} features, per depth")
        parts.append(
            f"A fit over {part} ({title})\n{frame[shown].to_string(float_format='{:,.2f}'.format)}"
        )
    return "\n\n".join(parts)


# --------------------------------------------------------------------- command line


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
    """
    results = begin(options)
    keys = (
        (part, value, seed)
        for part in options.parts
        for value in PARTS[part]
        for seed in range(options.seeds)
        if part == "predict" or value <= options.largest
    )
    todo = missing(results, keys)

    def describe(record: dict[str, Any]) -> str:
        what = f"{record['table']} {record['n_rows']:,}"
        if "swat" not in record:
            return what
        found = record["swat"]
        return f"{what}: {found['wall_seconds']:.1f} s, {found['peak_megabytes']:.0f} MB"

    run_and_keep(results, options.out, run_one, todo, 1, describe, tuple(PARTS))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its report.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The command line; by default that of the process.
    """
    parser = make_parser("scaling", __doc__)
    add = parser.add_argument
    add("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to measure")
    add("--largest", type=int, default=1_000_000, help="rows, features or restarts of a fit")
    add("--seeds", type=int, default=1, help="repetitions, with other rows")
    add_resume_option(parser)
    report(parser.parse_args(arguments), run_all, make_report)


if __name__ == "__main__":
    main()
